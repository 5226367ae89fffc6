//! Measures the targets that `figures` does not cover: rows that a sink reads, cold start, warm-up, memory, two cores.
//! Run it on an idle machine. It takes some minutes and prints Markdown:
//!
//!     cargo bench --bench aims >> benches/RESULTS.md
//!     cargo bench --bench aims -- 1              # one round, to try it
//!
//! All times are wall-clock times, and medians over the rounds.

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "this benchmark uses a part of it")]
mod common;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use common::assembler::{Assembler, Label};
use common::rng::Rng;
use common::{CODE, R, X, code, elf, guest};
use tachy::isa::Op;
use tachy::risc0::{Binary, KERNEL_ELF};
use tachy::trace::{Effect, SinkError};
use tachy::{Engine, Env, Executor, JitOptions, Limits, NullSink, Program, Row, Session, Sink};
use tempfile::NamedTempFile;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 5;
/// A process is short and its time depends on the system, so the median needs more of them.
const PROCESSES_PER_ROUND: usize = 20;

/// Guests with arguments that run for about 0.1 to 0.5 seconds, rows included.
const WORK: [(&str, &[&str]); 8] = [
    ("fib", &["33"]),
    ("sieve", &["4000000", "2"]),
    ("sha256", &["40000"]),
    ("quicksort", &["500000", "2"]),
    ("vm", &["6000"]),
    ("mix", &["2500"]),
    ("brk", &["1500"]),
    ("rust_mix", &["30"]),
];

/// Where RISC Zero's tools place a user program.
const CODE_RISC0: u32 = 0x0020_0800;

/// Instructions of the program that executes everything once.
const ONCE_INSTRUCTIONS: usize = 28_000;
/// Instructions of the loops that get hot.
const HOT_INSTRUCTIONS: [usize; 4] = [100, 500, 1000, 1500];
/// How long a loop is observed; the second half gives its steady rate.
const WATCHED: Duration = Duration::from_millis(1000);
/// Steps between two clock readings, and the number of readings that make a rate.
const WATCH_STEPS: u64 = 1 << 17;
const WATCH_LOOKS: usize = 8;

/// Approximate time in each round for which concurrent executors are observed: threads and cores take a while to wake
/// up.
const TOGETHER: Duration = Duration::from_millis(300);

/// The first argument of the process whose memory is measured.
const RESIDENT: &str = "run-resident";
/// The first argument of a process that runs its own executor next to others.
const APART: &str = "run-apart";

// ---------------------------------------------------------------------------------------------------------------------
// Programs

/// Emits a random instruction that computes, loads or stores near the stack pointer, with x5 to x15.
fn some_instruction(asm: &mut Assembler, rng: &mut Rng) {
    let mut register = || 5 + rng.below(11) as u8;
    let (rd, rs1, rs2) = (register(), register(), register());
    let offset = -4 * (1 + rng.below(64) as i32);
    match rng.below(8) {
        0 => asm.i(Op::Lw, rd, 2, offset),
        1 => asm.store(Op::Sw, rs2, offset, 2),
        2 => asm.i(Op::Addi, rd, rs1, offset),
        3 => asm.r(Op::Mul, rd, rs1, rs2),
        kind => asm.r([Op::Add, Op::Xor, Op::Sub, Op::Sltu][kind as usize - 4], rd, rs1, rs2),
    }
}

fn exit(asm: &mut Assembler) {
    asm.li(10, 0);
    asm.li(17, 93);
    asm.op(Op::Ecall, 0, 0, 0, 0);
}

/// Builds blocks in random order. Each runs once and jumps to the next.
fn once() -> Result<Program> {
    let (mut asm, mut rng) = (Assembler::new(CODE), Rng::new(1));
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < ONCE_INSTRUCTIONS {
        lengths.push(3 + rng.below(9) as usize);
    }
    let labels: Vec<Label> = lengths.iter().map(|_| asm.label()).collect();
    let last = asm.label();
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    for location in (1..places.len()).rev() {
        places.swap(location, rng.below(location as u64 + 1) as usize);
    }
    asm.jal(0, labels[0]);
    for block in places {
        asm.place(labels[block]);
        (1..lengths[block]).for_each(|_| some_instruction(&mut asm, &mut rng));
        asm.jal(0, labels.get(block + 1).copied().unwrap_or(last));
    }
    asm.place(last);
    exit(&mut asm);
    Ok(Program::from_elf(&code(&asm.finish().words))?)
}

/// Builds an endless loop of `instructions` instructions; one in eight is a branch that is taken half of the time.
fn hot(instructions: usize) -> Result<Program> {
    let (mut asm, mut rng) = (Assembler::new(CODE), Rng::new(instructions as u64));
    let start = asm.label_here();
    asm.i(Op::Addi, 31, 31, 1);
    let size = |asm: &Assembler| (asm.here() - CODE) as usize / 4;
    while size(&asm) + 9 < instructions {
        (0..5).for_each(|_| some_instruction(&mut asm, &mut rng));
        let over = asm.label();
        asm.i(Op::Andi, 30, 31, 1 << rng.below(4));
        asm.branch(Op::Bne, 30, 0, over);
        some_instruction(&mut asm, &mut rng);
        asm.place(over);
    }
    while size(&asm) + 1 < instructions {
        some_instruction(&mut asm, &mut rng);
    }
    asm.jal(0, start);
    Ok(Program::from_elf(&code(&asm.finish().words))?)
}

/// Returns an ELF of 250 KB that exits at once.
fn exits_at_once() -> Vec<u8> {
    let mut asm = Assembler::new(CODE);
    exit(&mut asm);
    asm.pad_to(CODE + 250_000 / 4 * 4);
    let bytes: Vec<u8> = asm.finish().words.iter().flat_map(|word| word.to_le_bytes()).collect();
    elf(CODE, &[(CODE, &bytes, R | X)])
}

/// Returns a RISC Zero program binary of 400 KB that halts at once.
fn halts_at_once() -> Vec<u8> {
    let mut asm = Assembler::new(CODE_RISC0);
    for (register, value) in [(5, 0), (10, 0), (11, CODE_RISC0)] {
        asm.li(register, value);
    }
    asm.op(Op::Ecall, 0, 0, 0, 0);
    let mut bytes: Vec<u8> = asm.finish().words.iter().flat_map(|word| word.to_le_bytes()).collect();
    // No page is zero.
    bytes.resize((400_000 - KERNEL_ELF.len()) / 4 * 4, 0xa5);
    Binary { user_elf: &elf(CODE_RISC0, &[(CODE_RISC0, &bytes, R | X)]), kernel_elf: KERNEL_ELF }.encode()
}

// ---------------------------------------------------------------------------------------------------------------------
// Running programs

/// Reads every row once and sums each column.
#[derive(Default)]
struct ColumnSums([u32; 8]);

impl Sink for ColumnSums {
    fn rows(&mut self, _: u64, rows: &[Row], _: &[Effect]) -> std::result::Result<(), SinkError> {
        let rows: &[[u32; 8]] = bytemuck::cast_slice(rows);
        let mut sums = self.0;
        rows.iter().for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, word)| *sum = sum.wrapping_add(*word)));
        self.0 = sums;
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    (values[low] + values[high]) / 2.0
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

fn guest_program(name: &str) -> Result<Program> {
    Ok(Program::from_elf(&fs::read(guest(name))?)?)
}

/// Runs a session of a guest to its end. Returns seconds and steps.
fn run(executor: &Executor, args: &[&str], sink: &mut dyn Sink) -> Result<(f64, u64)> {
    let mut session = executor.start(Env::new().args(["guest"].iter().chain(args).copied()))?;
    let started = Instant::now();
    session.run(sink)?;
    Ok((started.elapsed().as_secs_f64(), session.steps()))
}

/// Builds an executor that translates synchronously, on the running thread.
fn on_the_spot(program: &Program) -> Result<Executor> {
    let mut jit = JitOptions::default();
    jit.background = false;
    Ok(Executor::builder().jit(jit).build(program)?)
}

// ---------------------------------------------------------------------------------------------------------------------
// Output

/// Prints a table row: quantity, target, measured value.
fn line(what: &str, aim: &str, measured: &str, reached: Option<bool>) {
    let word = match reached {
        None => "",
        Some(true) => "reached",
        Some(false) => "missed",
    };
    println!("| {what} | {aim} | {measured} | {word} |");
    // Flushes so that a long run shows progress.
    let _ = std::io::stdout().flush();
}

/// Measures rows into a sink that reads them.
fn sinks(rounds: usize) -> Result<()> {
    let mut rates = [Vec::new(), Vec::new()];
    for (name, args) in WORK {
        let executor = on_the_spot(&guest_program(name)?)?;
        (0..2).try_for_each(|_| run(&executor, args, &mut NullSink::rows()).map(drop))?;
        let mut seconds = [Vec::new(), Vec::new()];
        let mut steps = 0;
        for _ in 0..rounds {
            let mut sums = ColumnSums::default();
            let (dropped, read) = (run(&executor, args, &mut NullSink::rows())?, run(&executor, args, &mut sums)?);
            black_box(sums.0);
            seconds[0].push(dropped.0);
            seconds[1].push(read.0);
            steps = read.1;
        }
        let [dropped, read] = seconds.map(|seconds| steps as f64 / median(seconds) / 1e9);
        rates[0].push(dropped);
        rates[1].push(read);
        line(&format!("{name}: rows summed by column"), "", &format!("{read:.2} G rows/s, dropped {dropped:.2}"), None);
    }
    let [dropped, read] = rates.map(|rates| geometric_mean(&rates));
    line("geometric mean", "", &format!("{read:.2} G rows/s, dropped {dropped:.2}"), None);
    Ok(())
}

/// Measures whole processes.
fn cold_start(rounds: usize) -> Result<()> {
    let mut file = NamedTempFile::new()?;
    file.write_all(&exits_at_once())?;
    let path = file.path().to_str().ok_or("a path that is text")?;
    let tachy = env!("CARGO_BIN_EXE_tachy");
    let commands: [(&str, &[&str]); 4] = [
        (tachy, &["run", "--no-cache", path]),
        (tachy, &["run", "--interpreter", path]),
        (tachy, &["--version"]),
        ("true", &[]),
    ];
    let mut millis: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds * PROCESSES_PER_ROUND {
        for ((program, args), millis) in commands.iter().zip(&mut millis) {
            let mut command = Command::new(program);
            command.args(*args).stdin(Stdio::null()).stdout(Stdio::null());
            let started = Instant::now();
            let status = command.status()?;
            millis.push(started.elapsed().as_secs_f64() * 1e3);
            if !status.success() {
                return Err(format!("{program} {args:?}: {status}").into());
            }
        }
    }
    let [jit, interpreter, version, nothing] = millis.map(median);
    let measured =
        format!("{jit:.2} ms (`--interpreter` {interpreter:.2}, `tachy --version` {version:.2}, `true` {nothing:.2})");
    line("`tachy run` of a 250 KB ELF that exits at once, whole process", "10 ms", &measured, Some(jit <= 10.0));
    Ok(())
}

/// Measures the steps from a program binary to its first step, and whole processes that run it.
fn cold_start_risc0(rounds: usize) -> Result<()> {
    let binary = halts_at_once();
    let mut file = NamedTempFile::new()?;
    file.write_all(&binary)?;
    let path = file.path().to_str().ok_or("a path that is text")?;
    let mut millis: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds * PROCESSES_PER_ROUND {
        let [load, start, whole, nothing] = &mut millis;
        let began = Instant::now();
        let (program, machine) = Program::load(&binary, None)?;
        let limits = Limits::none().steps(1);
        let executor = Executor::builder().machine(machine).limits(limits).build(&program)?;
        load.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let mut session = executor.start(Env::new())?;
        let error = session.run(&mut NullSink::off()).err().ok_or("the limit is one step")?;
        start.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!((error.kind(), session.steps()), ("step-limit", 1), "{error}");
        let tachy = [env!("CARGO_BIN_EXE_tachy"), "run", "--no-cache", "--execute-only", path];
        for (command, millis) in [(&tachy[..], whole), (&["true"], nothing)] {
            let mut process = Command::new(command[0]);
            process.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null());
            let began = Instant::now();
            let status = process.status()?;
            millis.push(began.elapsed().as_secs_f64() * 1e3);
            if !status.success() {
                return Err(format!("{command:?}: {status}").into());
            }
        }
    }
    let [load, start, whole, nothing] = millis.map(median);
    line("R0BF of 400 KB in memory to an executor", "1 ms", &format!("{load:.2} ms"), Some(load <= 1.0));
    line("its executor to the first step", "1 ms", &format!("{start:.2} ms"), Some(start <= 1.0));
    let measured = format!("{whole:.2} ms (`true` {nothing:.2})");
    line("`tachy run --execute-only` of it, whole process", "5 ms", &measured, Some(whole <= 5.0));
    Ok(())
}

/// Measures programs that execute everything once, each with a fresh executor.
fn touch_once(rounds: usize) -> Result<()> {
    let program = once()?;
    let mut seconds = [Vec::new(), Vec::new()];
    let mut steps = 0;
    for _ in 0..rounds * PROCESSES_PER_ROUND {
        for (engine, seconds) in [Engine::Interpreter, Engine::Jit].into_iter().zip(&mut seconds) {
            let started = Instant::now();
            let executor = Executor::builder().engine(engine).build(&program)?;
            steps = run(&executor, &[], &mut NullSink::off())?.1;
            drop(executor);
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    let [interpreter, jit] = seconds.map(|seconds| median(seconds) * 1e3);
    let measured = format!("{:.2} times: {jit:.2} ms, {interpreter:.2} ms", jit / interpreter);
    let what = format!("{steps} instructions once each: executor and session, against the interpreter");
    line(&what, "1.3 times", &measured, Some(jit <= 1.3 * interpreter));
    Ok(())
}

/// Returns the seconds until a loop runs at 90 % of its steady rate, and that rate in steps per second.
fn get_warm(program: &Program, mut sink: NullSink) -> Result<(f64, f64)> {
    let started = Instant::now();
    let executor = Executor::builder().limits(Limits::none().steps(1 << 40)).build(program)?;
    let mut session: Session<'_> = executor.start(Env::new())?;
    let mut looks = vec![0.0];
    while started.elapsed() < WATCHED {
        session.run_to(session.steps() + WATCH_STEPS, &mut sink)?;
        looks.push(started.elapsed().as_secs_f64());
    }
    let steps = (WATCH_LOOKS as u64 * WATCH_STEPS) as f64;
    let windows: Vec<(f64, f64)> =
        looks.windows(WATCH_LOOKS + 1).map(|looks| (looks[0], steps / (looks[WATCH_LOOKS] - looks[0]))).collect();
    let half = WATCHED.as_secs_f64() / 2.0;
    let steady = median(windows.iter().filter(|(start, _)| *start >= half).map(|(_, rate)| *rate).collect());
    let warm = windows.iter().find(|(_, rate)| *rate >= 0.9 * steady).ok_or("a median has values above it")?;
    Ok((warm.0, steady))
}

fn hot_sets(rounds: usize) -> Result<()> {
    for (sink, level) in [(NullSink::off(), ""), (NullSink::rows(), ", rows")] {
        for instructions in HOT_INSTRUCTIONS {
            let program = hot(instructions)?;
            let found = (0..rounds).map(|_| get_warm(&program, sink)).collect::<Result<Vec<_>>>()?;
            let (seconds, rates): (Vec<f64>, Vec<f64>) = found.into_iter().unzip();
            let millis = median(seconds) * 1e3;
            let measured = format!("{millis:.0} ms to 90 % of {:.2} G/s", median(rates) / 1e9);
            line(&format!("{instructions} hot instructions{level}"), "100 ms", &measured, Some(millis <= 100.0));
        }
    }
    Ok(())
}

/// Runs a guest in this process and prints the peak resident memory and the guest's share of it, in KiB.
fn run_resident(name: &str, rows: bool) -> Result<()> {
    let (_, args) = WORK.into_iter().find(|(guest, _)| *guest == name).ok_or("a guest")?;
    let executor = Executor::builder().build(&guest_program(name)?)?;
    let mut session = executor.start(Env::new().args(["guest"].iter().chain(args).copied()))?;
    session.run(&mut if rows { NullSink::rows() } else { NullSink::off() })?;
    let status = fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    println!("{} {}", most.ok_or("Linux tells it")?, session.stats().pages);
    Ok(())
}

fn resident() -> Result<()> {
    for (name, rows) in [("fib", "off"), ("mix", "on"), ("rust_mix", "off"), ("rust_mix", "on")] {
        let output = Command::new(std::env::current_exe()?).args([RESIDENT, name, rows]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let (most, pages) = text.trim().split_once(' ').ok_or("two numbers")?;
        let (most, pages): (f64, f64) = (most.parse()?, pages.parse()?);
        let beyond = (most - pages) / 1024.0;
        let measured = format!("{beyond:.1} MiB, and {:.1} of the guest's", pages / 1024.0);
        line(&format!("{name}, rows {rows}: resident beyond guest memory"), "64 MB", &measured, Some(beyond <= 61.0));
    }
    Ok(())
}

/// Runs `count` sessions of an executor, one after the other.
fn sessions(executor: &Executor, args: &[&str], count: usize) -> Result<()> {
    (0..count).try_for_each(|_| run(executor, args, &mut NullSink::off()).map(drop))
}

/// Builds an executor whose guest is already compiled, on the thread that runs it.
fn compiled(name: &str, args: &[&str]) -> Result<Executor> {
    let executor = on_the_spot(&guest_program(name)?)?;
    sessions(&executor, args, 2)?;
    Ok(executor)
}

/// Runs each executor on its own thread. Returns the seconds until all have finished their sessions.
fn threads(executors: &[Executor], args: &[&str], count: usize) -> Result<f64> {
    let barrier = Barrier::new(executors.len() + 1);
    thread::scope(|scope| {
        let barrier = &barrier;
        let work = move |executor| {
            barrier.wait();
            sessions(executor, args, count).map_err(|error| error.to_string())
        };
        let threads: Vec<_> = executors.iter().map(|executor| scope.spawn(move || work(executor))).collect();
        barrier.wait();
        let started = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| "a session panicked")??;
        }
        Ok(started.elapsed().as_secs_f64())
    })
}

/// A process with its own executor. It runs as many sessions as it is asked to, and answers when they are done.
struct Apart {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Apart {
    fn start(name: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.args([APART, name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = process.stdin.take().ok_or("a pipe")?;
        let answers = BufReader::new(process.stdout.take().ok_or("a pipe")?);
        let mut apart = Self { process, orders, answers };
        apart.answer()?;
        Ok(apart)
    }

    fn answer(&mut self) -> Result<()> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 { Err("the process ended".into()) } else { Ok(()) }
    }

    /// Ends the process.
    fn end(self) -> Result<()> {
        let Self { mut process, orders, .. } = self;
        drop(orders);
        process.wait()?;
        Ok(())
    }
}

fn run_apart(name: &str) -> Result<()> {
    let (_, args) = WORK.into_iter().find(|(guest, _)| *guest == name).ok_or("a guest")?;
    let executor = compiled(name, args)?;
    println!("compiled");
    for order in io::stdin().lines() {
        sessions(&executor, args, order?.parse()?)?;
        println!("done");
    }
    Ok(())
}

/// Returns the seconds until all processes have finished their sessions.
fn processes(processes: &mut [Apart], count: usize) -> Result<f64> {
    let started = Instant::now();
    for process in processes.iter_mut() {
        writeln!(process.orders, "{count}")?;
    }
    processes.iter_mut().try_for_each(Apart::answer)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Compares two executors in one process with two processes of one executor each, which share nothing. The processes
/// show what the two cores can deliver: a virtual machine's cores are often halves of one. Each round compares only its
/// own measurements, because the load on the host may differ in the next one.
fn two_cores(rounds: usize) -> Result<()> {
    let (mut in_one, mut apart) = (Vec::new(), Vec::new());
    for (name, args) in WORK {
        let executors = [compiled(name, args)?, compiled(name, args)?];
        let mut others = [Apart::start(name)?, Apart::start(name)?];
        let count = (TOGETHER.as_secs_f64() / threads(&executors[..1], args, 1)?).ceil() as usize;
        let mut ratios = (Vec::new(), Vec::new());
        for _ in 0..3 * rounds {
            let one = threads(&executors[..1], args, count)?;
            let two = threads(&executors, args, count)?;
            let two_apart = processes(&mut others, count)?;
            let one_apart = processes(&mut others[..1], count)?;
            ratios.0.push(2.0 * one / two);
            ratios.1.push(2.0 * one_apart / two_apart);
        }
        others.into_iter().try_for_each(Apart::end)?;
        in_one.push(median(ratios.0));
        apart.push(median(ratios.1));
        let measured =
            format!("{:.2} times one, two processes {:.2}", in_one[in_one.len() - 1], apart[apart.len() - 1]);
        line(&format!("{name}: two executors"), "", &measured, None);
    }
    let (in_one, apart) = (geometric_mean(&in_one), geometric_mean(&apart));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    line(
        &format!("two executors on two cores (of {cores}), untraced, geometric mean"),
        "1.9 times one",
        &format!("{in_one:.2} times one, two processes {apart:.2}"),
        Some(in_one >= 1.9),
    );
    Ok(())
}

fn main() -> Result<()> {
    // Cargo adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [first, name, rows] = args.as_slice()
        && first == RESIDENT
    {
        return run_resident(name, rows == "on");
    }
    if let [first, name] = args.as_slice()
        && first == APART
    {
        return run_apart(name);
    }
    let rounds = args.first().map_or(Ok(ROUNDS), |rounds| rounds.parse())?.max(1);
    let load = fs::read_to_string("/proc/loadavg")?;
    println!("\n# Beside the rates\n");
    println!(
        "Made by `cargo bench --bench aims >> benches/RESULTS.md`; medians of {rounds} rounds and of {} times as many",
        PROCESSES_PER_ROUND
    );
    println!(
        "for processes and for the program that runs once; load {} before.\n",
        load.split(' ').next().unwrap_or_default()
    );
    println!("| what | aim | measured | |\n| --- | --- | --- | --- |");
    cold_start(rounds)?;
    cold_start_risc0(rounds)?;
    touch_once(rounds)?;
    hot_sets(rounds)?;
    resident()?;
    two_cores(rounds)?;
    sinks(rounds)
}
