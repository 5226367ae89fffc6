//! A gate against slowness that a busy machine does not disturb: instructions that the host executes in small cases,
//! compared with the figures in `benches/counts.txt`.
//!
//!     cargo run --release --example counts [-- CASE...]
//!     cargo run --release --example counts -- update
//!
//! Each case runs in a process of its own under valgrind's callgrind, which counts what happens inside [`measured`] and
//! nothing of what prepares it. Everything is translated on the spot, inputs are fixed, and valgrind shows every
//! processor as the same one, so that counts repeat to a small part of a percent on any x86-64 machine with AVX2. They
//! are no times: what waits for memory, or for a branch that was guessed wrong, shows in `figures` alone. A count that is
//! off by more than the tolerance fails, to either side: what became quicker is written down, or it could be lost again.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use tachy::risc0::poseidon2::Kernel;
use tachy::risc0::{PageContent, Tree};
use tachy::{Engine, Env, Executor, JitOptions, Limits, NullSink, Program};
use tempfile::TempDir;

/// Relative difference that is let pass.
const TOLERANCE: f64 = 0.05;
/// The same where another compiler than the figures' has built this: its choices weigh more than ours.
const TOLERANCE_OTHER_COMPILER: f64 = 0.3;

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts.txt");
/// The first argument of the process that runs one case, before the case's name.
const ALONE: &str = "run-alone";
const UPDATE_COMMAND: &str = "cargo run --release --example counts -- update";

/// What is counted of a case, once it is prepared.
type Work = Box<dyn FnOnce()>;
type Case = (&'static str, fn() -> Work);
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const OFF: NullSink = NullSink::off();
const ROWS: NullSink = NullSink::rows();

#[rustfmt::skip]
const CASES: [Case; 18] = [
    ("start: load rust_mix",             || load("rust_mix")),
    ("start: a session of rust_mix",     || run(&on(Engine::Jit, on_the_spot(), "rust_mix", Some(1)), &[], OFF)),
    ("interpreter: sha256",              || run(&on(Engine::Interpreter, on_the_spot(), "sha256", None), &["100"], OFF)),
    ("interpreter: sha256, rows",        || run(&on(Engine::Interpreter, on_the_spot(), "sha256", None), &["100"], ROWS)),
    ("interpreter: vm",                  || run(&on(Engine::Interpreter, on_the_spot(), "vm", None), &["40"], OFF)),
    ("cold: mix",                        || run(&on(Engine::Jit, on_the_spot(), "mix", None), &["1"], OFF)),
    ("translation: mix",                 || run(&on(Engine::Jit, JitOptions::eager(), "mix", None), &["1"], OFF)),
    ("translation: mix, rows",           || run(&on(Engine::Jit, JitOptions::eager(), "mix", None), &["1"], ROWS)),
    ("warm: fib",                        || run_warm("fib", &["24"], OFF)),
    ("warm: fib, rows",                  || run_warm("fib", &["24"], ROWS)),
    ("warm: sha256",                     || run_warm("sha256", &["400"], OFF)),
    ("warm: sha256, rows",               || run_warm("sha256", &["400"], ROWS)),
    ("warm: vm",                         || run_warm("vm", &["100"], OFF)),
    ("warm: vm, rows",                   || run_warm("vm", &["100"], ROWS)),
    ("warm: rust_mix",                   || run_warm("rust_mix", &["1"], OFF)),
    ("warm: rust_mix, rows",             || run_warm("rust_mix", &["1"], ROWS)),
    ("hashing: 16 pages, portable",      || hash(Kernel::PORTABLE)),
    ("hashing: 16 pages and their tree", update_tree),
];

/// What callgrind counts in: found by its name, so it must stay a function.
#[inline(never)]
fn measured(work: Work) {
    work();
    // No jump in place of the call above.
    black_box(());
}

/// Translation where it is asked for, as in a session of its own, but never on another thread.
fn on_the_spot() -> JitOptions {
    let mut options = JitOptions::default();
    options.background = false;
    options
}

fn elf(guest: &str) -> Vec<u8> {
    let path = format!("{}/guests/bin/{guest}.elf", env!("CARGO_MANIFEST_DIR"));
    fs::read(path).expect("the guests are built")
}

fn on(engine: Engine, jit: JitOptions, guest: &str, limit_steps: Option<u64>) -> Executor {
    let program = Program::from_elf(&elf(guest)).expect("a guest is a program");
    let limits = Limits { steps: limit_steps, ..Limits::default() };
    Executor::builder().engine(engine).jit(jit).limits(limits).build(&program).expect("an executor")
}

/// A session from its start to its end, or to the limit on steps.
fn session(executor: &Executor, args: &[String], mut sink: NullSink) {
    let mut session = executor.start(Env::new().args(args.iter().map(String::as_str))).expect("a session");
    match session.run(&mut sink) {
        Ok(_) => assert_eq!(session.exit_code(), Some(0), "the guest checks its own work"),
        Err(error) => assert_eq!(error.kind(), "step-limit", "{error}"),
    }
    black_box(session.steps());
}

fn run(executor: &Executor, args: &[&str], sink: NullSink) -> Work {
    let args: Vec<String> = ["guest"].iter().chain(args).map(|arg| arg.to_string()).collect();
    let executor = executor.clone();
    Box::new(move || session(&executor, &args, sink))
}

/// A session after others that left nothing to translate.
fn run_warm(guest: &str, args: &[&str], sink: NullSink) -> Work {
    // All that is hot is translated before anything is counted.
    let mut options = on_the_spot();
    options.paid_by_steps = false;
    let executor = on(Engine::Jit, options, guest, None);
    for _ in 0..3 {
        run(&executor, args, sink)();
    }
    run(&executor, args, sink)
}

fn load(guest: &str) -> Work {
    let bytes = elf(guest);
    Box::new(move || drop(black_box(Program::from_elf(&bytes))))
}

fn pages() -> Vec<PageContent> {
    (0..16usize).map(|seed| std::array::from_fn(|at| (seed * 31 + at * 7) as u8)).collect()
}

fn hash(kernel: Kernel) -> Work {
    let pages = pages();
    Box::new(move || {
        black_box(kernel.hash_pages(&pages.iter().collect::<Vec<_>>()));
    })
}

fn update_tree() -> Work {
    let (pages, mut tree) = (pages(), Tree::new(Kernel::best()));
    Box::new(move || {
        tree.update((0x1000..).zip(&pages));
        black_box(tree.root());
    })
}

/// Host instructions of a case.
fn count(name: &str) -> Result<u64> {
    let folder = TempDir::new()?;
    let file = folder.path().join("counts");
    let out = format!("--callgrind-out-file={}", file.display());
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counts*measured*", &out]);
    let output = command.arg(env::current_exe()?).args([ALONE, name]).output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = fs::read_to_string(&file)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("callgrind gave no totals")?;
    match totals.trim().parse()? {
        0 => Err(format!("{name}: nothing was counted; is `measured` still a function with a name?").into()),
        count => Ok(count),
    }
}

/// The committed figures: of each case its count, and the compiler.
fn figures() -> Result<(Vec<(String, u64)>, String)> {
    let text = fs::read_to_string(FIGURES)?;
    let mut figures = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, count) = line.rsplit_once("  ").ok_or_else(|| format!("counts.txt: {line}"))?;
        figures.push((name.trim().to_owned(), count.trim().parse()?));
    }
    let compiler = text.lines().find_map(|line| line.strip_prefix("# Compiler: ")).unwrap_or_default();
    Ok((figures, compiler.to_owned()))
}

/// What a command says about its version, or why not.
fn version_of(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output().map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Counts cases, and compares or writes down; whether all is as it should be.
fn check(wanted: &[String], update: bool) -> Result<bool> {
    let (valgrind, compiler) = (version_of("valgrind")?, version_of("rustc")?);
    let (known, built_by) = if update { Default::default() } else { figures()? };
    let same = update || compiler == built_by;
    if !same {
        println!("notice: this is {compiler}, the figures are {built_by}'s; a larger tolerance applies");
    }
    let tolerance = if same { TOLERANCE } else { TOLERANCE_OTHER_COMPILER };
    let mut text = format!(
        "# Host instructions of the cases in counts.rs. Written by `{UPDATE_COMMAND}`.\n# Compiler: {compiler}\n\
         # Counted by: {valgrind}\n"
    );
    let mut good = true;
    println!("{:<34} {:>13} {:>13} {:>9}", "case", "figure", "now", "change");
    for (name, _) in CASES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part)))
    {
        let now = count(name)?;
        let _ = writeln!(text, "{name:<34}  {now:>12}");
        let figure = known.iter().find(|(known, _)| known == name).map(|(_, figure)| *figure);
        let Some(figure) = figure else {
            println!("{name:<34} {:>13} {now:>13}", "none");
            good &= update;
            continue;
        };
        let change = now as f64 / figure as f64 - 1.0;
        let word = match change {
            _ if change.abs() <= tolerance => "",
            _ if change > 0.0 => "  SLOWER",
            _ => "  QUICKER",
        };
        good &= word.is_empty();
        println!("{name:<34} {figure:>13} {now:>13} {:>+8.2} %{word}", change * 100.0);
    }
    if update {
        fs::write(FIGURES, text)?;
    }
    if !good {
        println!(
            "Beyond {:.0} %, or without a figure. If it is meant to be so, write it down: {UPDATE_COMMAND}",
            tolerance * 100.0
        );
    }
    Ok(good)
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [first, name] = args.as_slice()
        && first == ALONE
    {
        let case = CASES.iter().find(|(case, _)| case == name).expect("a case that was named by this program");
        measured(case.1());
        return ExitCode::SUCCESS;
    }
    let update = args.iter().any(|arg| arg == "update");
    match check(if update { &[] } else { &args }, update) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
