//! Measures both engines on the guests, next to qemu-riscv32 where it is installed, and prints Markdown.
//!
//! `warm` prints benches/RESULTS.md instead: the rates of warm sessions, and their first second.
//!
//! One thread runs all contenders in turn, round by round, so that a slow minute affects all of them. The figures are
//! medians over the rounds. A run of Tachy creates an executor and a session, so every run starts cold, and it has a step
//! limit. A run of qemu is its whole process, so it also includes some milliseconds of startup.

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use tachy::{Engine, Env, Executor, Limits, NullSink, Program, Stats};
use tempfile::NamedTempFile;

use crate::Result;
use crate::common::{ROOT, guest};

const ROUNDS: usize = 5;
/// No guest reaches this limit, but checking it is part of the measurement.
const LIMIT_STEPS: u64 = 1 << 40;
const QEMU: &str = "qemu-riscv32";

/// The guests, about 400 million steps each; `rust_mix` more, since it has far more code to translate than the others,
/// `smc` less, since qemu takes so long.
const WORK: [Call; 10] = [
    ("fib", &["35"]),
    ("sieve", &["4000000", "6"]),
    ("sha256", &["100000"]),
    ("quicksort", &["500000", "4"]),
    ("vm", &["14000"]),
    ("mix", &["5500"]),
    ("brk", &["4000"]),
    ("filter", &[]),
    ("rust_mix", &["600"]),
    ("smc", &["200000"]),
];
/// This guest overwrites its own code all the time, so its time says nothing about other programs.
const APART: &str = "smc";
/// The line that `filter` reads, and how often.
const LINE: &str = "The quick brown fox jumps over the lazy dog.\n";
const LINES: usize = 500_000;

/// The contenders, in the order of the columns.
const CONTENDERS: [&str; 5] = ["interpreter", "interpreter, rows", "JIT", "JIT, rows", "qemu-riscv32"];
const INTERPRETER: usize = 0;
const INTERPRETER_ROWS: usize = 1;
const JIT: usize = 2;
const JIT_ROWS: usize = 3;
const QEMU_USER: usize = 4;

/// A guest's name and its arguments.
type Call = (&'static str, &'static [&'static str]);

/// A guest that any contender can run.
struct Guest<'a> {
    name: &'a str,
    args: &'a [&'a str],
    path: PathBuf,
    program: Program,
    /// The file that is its standard input.
    input: &'a Path,
}

/// The measurements of one guest.
struct Measured<'a> {
    name: &'a str,
    steps: u64,
    /// Seconds of every round, by contender; empty where the contender is not installed.
    seconds: [Vec<f64>; CONTENDERS.len()],
    /// Statistics of the JIT, without rows and with rows.
    stats: [Stats; 2],
}

impl<'a> Guest<'a> {
    /// Runs the guest in Tachy. Returns seconds, steps and statistics.
    fn run(&self, engine: Engine, mut sink: NullSink) -> Result<(f64, u64, Stats)> {
        let limits = Limits::none().steps(LIMIT_STEPS);
        let args = [&[self.name], self.args].concat();
        let input = File::open(self.input)?;
        let started = Instant::now();
        // A new executor each time, since an executor keeps its translations.
        let executor = Executor::builder().engine(engine).limits(limits).build(&self.program)?;
        let session = black_box(executor.trace(Env::new().args(args).stdin(input), &mut sink)?);
        let (code, steps, stats) = (session.exit_code(), session.steps(), session.stats());
        drop((session, executor));
        let seconds = started.elapsed().as_secs_f64();
        if code != Some(0) {
            return Err(format!("{} failed with {code:?}", self.name).into());
        }
        Ok((seconds, steps, stats))
    }

    /// Runs the guest in qemu. Returns seconds.
    fn run_qemu(&self) -> Result<f64> {
        let mut command = Command::new(QEMU);
        command.arg(&self.path).args(self.args).stdin(File::open(self.input)?);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let status = command.status()?;
        let seconds = started.elapsed().as_secs_f64();
        if !status.success() {
            return Err(format!("{} failed in {QEMU}: {status}", self.name).into());
        }
        Ok(seconds)
    }

    fn measure(&self, rounds: usize, with_qemu: bool) -> Result<Measured<'a>> {
        let name = self.name;
        let mut measured = Measured { name, steps: 0, seconds: Default::default(), stats: Default::default() };
        for round in 1..=rounds {
            eprintln!("{name}: round {round} of {rounds}");
            let (interpreter, steps, _) = self.run(Engine::Interpreter, NullSink::off())?;
            let (interpreter_rows, ..) = self.run(Engine::Interpreter, NullSink::rows())?;
            let (jit, jit_steps, jit_stats) = self.run(Engine::Jit, NullSink::off())?;
            let (jit_rows, _, jit_rows_stats) = self.run(Engine::Jit, NullSink::rows())?;
            assert_eq!(steps, jit_steps, "the engines do the same steps");
            measured.steps = steps;
            measured.stats = [jit_stats, jit_rows_stats];
            for (index, seconds) in [interpreter, interpreter_rows, jit, jit_rows].into_iter().enumerate() {
                measured.seconds[index].push(seconds);
            }
            if with_qemu {
                measured.seconds[QEMU_USER].push(self.run_qemu()?);
            }
        }
        Ok(measured)
    }
}

impl Measured<'_> {
    /// Returns billions of steps per second, from the median round.
    fn rate(&self, contender: usize) -> Option<f64> {
        let mut seconds = self.seconds[contender].clone();
        seconds.sort_by(f64::total_cmp);
        let median = match seconds.len() {
            0 => return None,
            odd if odd % 2 == 1 => seconds[odd / 2],
            even => (seconds[even / 2 - 1] + seconds[even / 2]) / 2.0,
        };
        Some(self.steps as f64 / median / 1e9)
    }

    /// Returns how many times as fast one contender is as another.
    fn ratio(&self, [one, other]: [usize; 2]) -> Option<f64> {
        Some(self.rate(one)? / self.rate(other)?)
    }
}

fn geometric_mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let logarithms = values.map(|value| value.map(f64::ln)).collect::<Option<Vec<f64>>>()?;
    Some((logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

/// Formats a rate or ratio with three significant digits.
fn cell(value: Option<f64>) -> String {
    match value {
        None => "n/a".to_owned(),
        Some(value) if value < 0.1 => format!("{value:.4}"),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.1}"),
    }
}

fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn header(text: &mut String, names: &[&str]) {
    row(text, names.iter().map(|name| name.to_string()));
    let line = |index: usize| if index == 0 { "---".to_owned() } else { "---:".to_owned() };
    row(text, (0..names.len()).map(line));
}

/// Writes a line for each guest and one for the geometric mean. [`APART`] is not in the mean and is listed below it.
fn table(
    text: &mut String,
    names: &[&str],
    measured: &[Measured<'_>],
    cells: impl Fn(&Measured<'_>) -> Vec<Option<f64>>,
) {
    header(text, names);
    let line = |name: String, values: Vec<Option<f64>>| [name].into_iter().chain(values.into_iter().map(cell));
    let (apart, usual): (Vec<_>, Vec<_>) = measured.iter().partition(|guest| guest.name == APART);
    for guest in &usual {
        row(text, line(guest.name.to_owned(), cells(guest)));
    }
    if !usual.is_empty() {
        let mean = |column: usize| geometric_mean(usual.iter().map(|guest| cells(guest)[column]));
        row(text, line("geometric mean".to_owned(), (0..names.len() - 1).map(mean).collect()));
    }
    for guest in apart {
        row(text, line(format!("{} (not in the mean)", guest.name), cells(guest)));
    }
}

/// Writes the cost of translation, without rows and with rows.
fn translation(text: &mut String, measured: &[Measured<'_>]) {
    let names = [
        "guest",
        "steps",
        "regions",
        "instructions",
        "us each",
        "bytes each",
        "ms in all",
        "KiB in all",
        "interpreted",
    ];
    header(text, &names);
    for guest in measured {
        for (stats, what) in guest.stats.iter().zip(["", ", rows"]) {
            let each = |value: f64| format!("{:.1}", value / stats.translated_instructions.max(1) as f64);
            let seconds = (stats.compile_time + stats.background_time).as_secs_f64();
            let cells = [
                format!("{}{what}", guest.name),
                format!("{:.1} M", guest.steps as f64 / 1e6),
                stats.regions.to_string(),
                stats.translated_instructions.to_string(),
                each(seconds * 1e6),
                each(stats.code_bytes as f64),
                format!("{:.1}", seconds * 1e3),
                format!("{:.0}", stats.code_bytes as f64 / 1024.0),
                format!("{:.2} %", 100.0 * stats.interpreted_steps as f64 / guest.steps as f64),
            ];
            row(text, cells);
        }
    }
}

/// Returns the first line that a command prints, if the command is installed.
fn told_by(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).current_dir(ROOT).output().ok().filter(|it| it.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}

/// Returns a line about the machine, the date and the versions.
fn circumstances(rounds: usize, load: &str) -> String {
    let unknown = || "unknown".to_owned();
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = models.map(|(_, model)| model.trim().to_owned()).next().unwrap_or_else(unknown);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let date = told_by("date", &["-u", "+%F"]).unwrap_or_else(unknown);
    let commit = told_by("git", &["describe", "--always", "--dirty"]).unwrap_or_else(unknown);
    let rustc = told_by("rustc", &["--version"]).unwrap_or_else(unknown);
    let qemu = told_by(QEMU, &["--version"]).unwrap_or_else(|| format!("{QEMU} not installed"));
    format!(
        "Machine: {model}, {cores} cores, load {load} before the first round. Date: {date}. Commit {commit}; {rustc}; \
         {qemu}. Rounds: {rounds}."
    )
}

/// The command that generates benches/RESULTS.md.
const WARM_COMMAND: &str = "cargo xtask figures warm > benches/RESULTS.md";
/// Steps after which a session counts as warm. A guest must run longer than this.
const WARM_UP_STEPS: u64 = 100_000_000;
/// Replaces the `smc` above, which never gets warm: this one changes its code only now and then.
const WARM_SMC: Call = ("smc", &["40", "fence", "1000000"]);
/// The two trace levels and their names in tables.
const LEVELS: [(&str, NullSink); 2] = [("", NullSink::off()), (", rows", NullSink::rows())];

/// Totals of what sessions did after their warm-up.
#[derive(Default)]
struct Warm {
    steps: f64,
    /// Seconds of processor time.
    seconds: f64,
    interpreted: f64,
}

/// The first second of a session, or all of it if it is shorter.
struct FirstSecond {
    seconds: f64,
    steps: u64,
    stats: Stats,
}

/// Processor time of this thread, which other load hardly affects. Linux updates it at each tick, so a single run of a
/// tenth of a second is off by a few percent, but the sum of several runs is not.
fn processor_seconds() -> Result<f64> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: u64 = times.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanos as f64 / 1e9)
}

impl Guest<'_> {
    fn start(&self, limits: Limits) -> Result<tachy::Session<'_>> {
        let executor = Executor::builder().limits(limits).build(&self.program)?;
        let args = [&[self.name], self.args].concat();
        Ok(executor.start(Env::new().args(args).stdin(File::open(self.input)?))?)
    }

    fn run_warm(&self, mut sink: NullSink) -> Result<Warm> {
        let mut session = self.start(Limits::none().steps(LIMIT_STEPS))?;
        session.run_to(WARM_UP_STEPS, &mut sink)?;
        let (seconds, steps, interpreted) = (processor_seconds()?, session.steps(), session.stats().interpreted_steps);
        session.run(&mut sink)?;
        let seconds = processor_seconds()? - seconds;
        let steps = (session.steps() - steps) as f64;
        let interpreted = session.stats().interpreted_steps - interpreted;
        Ok(Warm { steps, seconds, interpreted: interpreted as f64 })
    }

    fn run_first_second(&self, mut sink: NullSink) -> Result<FirstSecond> {
        let limits = Limits::none().time(Duration::from_secs(1)).steps(LIMIT_STEPS);
        let mut session = self.start(limits)?;
        match session.run(&mut sink) {
            Err(error) if error.kind() != "time-limit" => return Err(error.into()),
            _ => {}
        }
        Ok(FirstSecond { seconds: session.time().as_secs_f64(), steps: session.steps(), stats: session.stats() })
    }
}

/// Writes the warm rates and first seconds of the guests.
fn warm_tables(text: &mut String, guests: &[Guest<'_>], rounds: usize) -> Result<()> {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let (mut warm, mut first) = (String::new(), String::new());
    header(&mut warm, &["guest", "steps", "interpreted", "rows", "interpreted, rows"]);
    header(&mut first, &["guest", "seconds", "steps", "interpreted", "translating", "in background"]);
    let mut rates = [Vec::new(), Vec::new()];
    for guest in guests {
        let mut sums: [Warm; 2] = Default::default();
        let mut seconds: [Vec<FirstSecond>; 2] = Default::default();
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", guest.name);
            for (level, (_, sink)) in LEVELS.into_iter().enumerate() {
                let found = guest.run_warm(sink)?;
                let Warm { steps, seconds: processor, interpreted } = &mut sums[level];
                *steps += found.steps;
                *processor += found.seconds;
                *interpreted += found.interpreted;
                seconds[level].push(guest.run_first_second(sink)?);
            }
        }
        let mut cells = vec![guest.name.to_owned()];
        for (sum, rates) in sums.iter().zip(&mut rates) {
            rates.push(Some(sum.steps / sum.seconds / 1e9));
            cells.extend([cell(rates[rates.len() - 1]), percent(sum.interpreted / sum.steps)]);
        }
        row(&mut warm, cells);
        for (mut seconds, (level, _)) in seconds.into_iter().zip(LEVELS) {
            seconds.sort_by_key(|second| second.stats.compile_time);
            let FirstSecond { seconds, steps, stats } = &seconds[rounds / 2];
            let begin =
                [format!("{}{level}", guest.name), format!("{seconds:.2}"), format!("{:.0} M", *steps as f64 / 1e6)];
            let shares = [
                stats.interpreted_steps as f64 / *steps as f64,
                stats.compile_time.as_secs_f64() / seconds,
                stats.background_time.as_secs_f64() / seconds,
            ];
            row(&mut first, begin.into_iter().chain(shares.map(percent)));
        }
    }
    let [off, rows] = rates.map(|rates| cell(geometric_mean(rates.into_iter())));
    row(&mut warm, ["geometric mean".to_owned(), off, String::new(), rows, String::new()]);
    let millions = WARM_UP_STEPS / 1_000_000;
    let _ = write!(
        text,
        "After {millions} million steps: billions of steps (or rows) for each second of the thread's processor time, all \
         rounds together, and the share of steps interpreted. With a limit on steps; `{} {}`.\n\n{warm}\n\
         The first second, or the whole run where that is shorter, of the round with the median share of translation: \
         interpreted is a share of the steps, translating one of the time of the thread that runs the guest, which \
         hands work over and does not wait, in background what the other thread spent.\n\n{first}",
        WARM_SMC.0,
        WARM_SMC.1.join(" "),
    );
    Ok(())
}

/// Measure both engines on the guests, next to qemu-riscv32 where it is installed
#[derive(Args)]
pub(crate) struct Figures {
    /// The word `warm` for warm sessions, a number of rounds, then guests; all guests without any
    #[arg(value_name = "[warm] [ROUNDS] [GUEST...]")]
    arguments: Vec<String>,
}

/// Returns the number of rounds and the guests that the command line requests.
fn asked_for(mut args: Peekable<impl Iterator<Item = String>>) -> Result<(usize, Vec<Call>)> {
    let rounds = args.next_if(|arg| arg.parse::<usize>().is_ok());
    let rounds = rounds.map_or(Ok(ROUNDS), |arg| arg.parse())?.max(1);
    let names: Vec<String> = args.collect();
    if let Some(name) = names.iter().find(|name| !WORK.iter().any(|(guest, _)| guest == name)) {
        return Err(format!("no guest {name}; there are {}", WORK.map(|(guest, _)| guest).join(", ")).into());
    }
    let wanted = WORK.into_iter().filter(|(guest, _)| names.is_empty() || names.iter().any(|name| name == guest));
    Ok((rounds, wanted.collect()))
}

impl Figures {
    pub(crate) fn run(self) -> Result {
        let mut args = self.arguments.into_iter().peekable();
        let warm = args.next_if_eq("warm").is_some();
        let (rounds, work) = asked_for(args)?;
        measure(warm, rounds, work).map(|()| ExitCode::SUCCESS)
    }
}

fn measure(warm: bool, rounds: usize, mut work: Vec<Call>) -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    let mut text_input = NamedTempFile::new()?;
    text_input.write_all(LINE.repeat(LINES).as_bytes())?;
    if warm {
        work.iter_mut().filter(|(name, _)| *name == WARM_SMC.0).for_each(|call| *call = WARM_SMC);
    }
    let mut guests = Vec::new();
    for (name, args) in work {
        let path = guest(name);
        let program = Program::from_elf(&std::fs::read(&path)?)?;
        let input = if name == "filter" { text_input.path() } else { Path::new("/dev/null") };
        guests.push(Guest { name, args, path, program, input });
    }
    if warm {
        let mut text = format!("# Warm sessions\n\nMade by `{WARM_COMMAND}`. {}\n\n", circumstances(rounds, &load));
        warm_tables(&mut text, &guests, rounds)?;
        print!("{text}");
        return Ok(());
    }
    let with_qemu = told_by(QEMU, &["--version"]).is_some();
    let measured = guests.iter().map(|guest| guest.measure(rounds, with_qemu)).collect::<Result<Vec<_>>>()?;

    let mut text = format!("{}\n\nBillions of steps (or rows) a second:\n\n", circumstances(rounds, &load));
    let names: Vec<&str> = ["guest"].into_iter().chain(CONTENDERS).collect();
    table(&mut text, &names, &measured, |guest| (0..CONTENDERS.len()).map(|index| guest.rate(index)).collect());
    text.push_str("\nTimes as fast:\n\n");
    let ratios = [
        ("JIT : interpreter", [JIT, INTERPRETER]),
        ("with rows", [JIT_ROWS, INTERPRETER_ROWS]),
        ("JIT : qemu", [JIT, QEMU_USER]),
        ("JIT with rows : qemu", [JIT_ROWS, QEMU_USER]),
        ("JIT with rows : JIT", [JIT_ROWS, JIT]),
    ];
    let names: Vec<&str> = ["guest"].into_iter().chain(ratios.map(|(name, _)| name)).collect();
    table(&mut text, &names, &measured, |guest| ratios.map(|(_, pair)| guest.ratio(pair)).to_vec());
    text.push_str("\nTranslation, of the last round:\n\n");
    translation(&mut text, &measured);
    print!("{text}");
    Ok(())
}
