//! Counts the instructions that the host executes in small cases, and compares them with `benches/counts.txt`.
//!
//! The counts catch a slowdown even on a busy machine. Each case runs in a process of its own under valgrind's
//! callgrind, which counts only what happens inside [`measured`]. Translation happens on the calling thread, inputs are
//! fixed, and valgrind presents every processor as the same one. So counts repeat to a small fraction of a percent on
//! any x86-64 machine with AVX2. Counts are not times: cache misses and mispredicted branches show in `figures` alone.
//! A count beyond the tolerance fails in either direction, so that an improvement is recorded and cannot be lost.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;
use tachy::risc0::poseidon2::Kernel;
use tachy::risc0::{PageContent, Tree};
use tachy::{Engine, Env, Executor, JitOptions, Limits, MachineKind, NullSink, Program};
use tempfile::TempDir;

use crate::Result;
use crate::common::{ROOT, guest};

/// The largest relative difference that passes.
const TOLERANCE: f64 = 0.05;
/// The tolerance where another compiler built this program than the one that `counts.txt` names.
const TOLERANCE_OTHER_COMPILER: f64 = 0.3;

/// Where the committed counts are, from the root of the repository.
const FIGURES: &str = "benches/counts.txt";
/// The word that replaces the committed counts, in place of the names of cases.
const UPDATE: &str = "update";
const UPDATE_COMMAND: &str = "cargo xtask counts update";

/// The part of a case that is counted, once it is prepared.
type Work = Box<dyn FnOnce()>;
type Case = (&'static str, fn() -> Work);

/// Count host instructions of small cases under valgrind and compare them with benches/counts.txt
#[derive(Args)]
pub(crate) struct Counts {
    /// Parts of the names of the cases to count; all without any. The word `update` replaces the committed counts
    #[arg(value_name = "CASE|update")]
    cases: Vec<String>,
}

/// What to do with the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Compare,
    Update,
}

/// Run one case; callgrind runs this
#[derive(Args)]
pub(crate) struct CountOne {
    case: String,
}

const OFF: NullSink = NullSink::off();
const ROWS: NullSink = NullSink::rows();

#[rustfmt::skip]
const CASES: [Case; 20] = [
    ("start: load rust_mix",             || load("rust_mix")),
    ("start: load chain, r0vm",          || load_risc0("chain")),
    ("start: first step of chain, r0vm", || first_step("chain")),
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

/// The function that callgrind counts in. Callgrind finds it by its name, so it must stay a function.
#[inline(never)]
fn measured(work: Work) {
    work();
    // Prevents a tail call above.
    black_box(());
}

/// Returns the default options, but with translation on the calling thread.
fn on_the_spot() -> JitOptions {
    let mut options = JitOptions::default();
    options.background = false;
    options
}

fn elf(name: &str) -> Vec<u8> {
    fs::read(guest(name)).expect("the guests are built")
}

fn on(engine: Engine, jit: JitOptions, guest: &str, limit_steps: Option<u64>) -> Executor {
    let program = Program::from_elf(&elf(guest)).expect("a guest is a program");
    let limits = Limits::none().steps(limit_steps);
    Executor::builder().engine(engine).jit(jit).limits(limits).build(&program).expect("an executor")
}

/// Runs a session from its start to its end, or to the step limit.
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

/// Prepares a session that follows others and has nothing left to translate.
fn run_warm(guest: &str, args: &[&str], sink: NullSink) -> Work {
    // Translates everything hot before anything is counted.
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

fn risc0(guest: &str) -> Vec<u8> {
    fs::read(Path::new(ROOT).join(format!("guests/r0vm/bin/{guest}.bin"))).expect("the guests are built")
}

fn executor_risc0(binary: &[u8]) -> Executor {
    let program = Program::from_risc0(binary).expect("a guest is a program");
    let builder = Executor::builder().machine(MachineKind::R0vm).jit(on_the_spot());
    builder.limits(Limits::none().steps(1)).build(&program).expect("an executor")
}

/// Prepares the way from a program binary in memory to an executor.
fn load_risc0(guest: &str) -> Work {
    let binary = risc0(guest);
    Box::new(move || drop(black_box(executor_risc0(&binary))))
}

/// Prepares the way from an executor to its session's first step.
fn first_step(guest: &str) -> Work {
    let executor = executor_risc0(&risc0(guest));
    Box::new(move || {
        let mut session = executor.start(Env::new()).expect("a session");
        let error = session.run(&mut NullSink::off()).expect_err("there is a limit");
        assert_eq!((error.kind(), session.steps()), ("step-limit", 1), "{error}");
    })
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

/// Counts the host instructions of a case.
fn count(name: &str) -> Result<u64> {
    let folder = TempDir::new()?;
    let file = folder.path().join("counts");
    let out = format!("--callgrind-out-file={}", file.display());
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counts*measured*", &out]);
    let output = command.arg(env::current_exe()?).args(["count-one", name]).output()?;
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

/// Returns the committed counts by case, and the compiler that they were made with.
fn figures() -> Result<(Vec<(String, u64)>, String)> {
    let text = fs::read_to_string(Path::new(ROOT).join(FIGURES))?;
    let mut figures = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, count) = line.rsplit_once("  ").ok_or_else(|| format!("counts.txt: {line}"))?;
        figures.push((name.trim().to_owned(), count.trim().parse()?));
    }
    let compiler = text.lines().find_map(|line| line.strip_prefix("# Compiler: ")).unwrap_or_default();
    Ok((figures, compiler.to_owned()))
}

/// Returns the version that a command prints.
fn version_of(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output().map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Counts cases and compares them with the committed counts, or replaces those. Returns whether all counts pass.
fn check(wanted: &[String], mode: Mode) -> Result<bool> {
    let (valgrind, compiler) = (version_of("valgrind")?, version_of("rustc")?);
    let (known, built_by) = match mode {
        Mode::Update => (Vec::new(), compiler.clone()),
        Mode::Compare => figures()?,
    };
    let same = compiler == built_by;
    if !same {
        println!("notice: this is {compiler}, the figures are {built_by}'s; a larger tolerance applies");
    }
    let tolerance = if same { TOLERANCE } else { TOLERANCE_OTHER_COMPILER };
    let mut text = format!(
        "# Host instructions of the cases in xtask/src/counts.rs. Written by `{UPDATE_COMMAND}`.\n# Compiler: {compiler}\n\
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
            good &= mode == Mode::Update;
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
    if mode == Mode::Update {
        fs::write(Path::new(ROOT).join(FIGURES), text)?;
    }
    if !good {
        println!(
            "Some counts differ by more than {:.0} % or have no figure. If that is intended, run {UPDATE_COMMAND}",
            tolerance * 100.0
        );
    }
    Ok(good)
}

impl Counts {
    pub(crate) fn run(self) -> Result {
        let good = match self.cases.iter().any(|case| case == UPDATE) {
            true => check(&[], Mode::Update)?,
            false => check(&self.cases, Mode::Compare)?,
        };
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl CountOne {
    pub(crate) fn run(self) -> Result {
        let (_, prepare) = CASES.iter().find(|(name, _)| *name == self.case).ok_or("no such case")?;
        measured(prepare());
        Ok(ExitCode::SUCCESS)
    }
}
