//! Compares both engines on random programs for hours.
//!
//! A file keeps the next seed and the totals, so that runs add up; without the file the first seed is 0. A failure is
//! shrunk and saved in `tests/regressions`, where the tests run it from then on, and the task exits with code 1. If native
//! code crashes the process, the file is at most one interval behind; `--show` prints every seed before it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::common::comparison::{Comparison, quick_setups};
use crate::common::generator::{Length, generate_of};
use crate::common::reached::Reached;
use crate::common::regression::{self, Regression};

/// Programs that a thread takes at a time.
const BATCH: u64 = 50;
/// Every this many programs, the oracle checks the rows of one.
const JUDGED: u64 = 64;
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Compare both engines on random programs for hours
#[derive(Args)]
pub(crate) struct Soak {
    /// File with the next seed and the totals so far; created if it does not exist
    #[arg(long, value_name = "FILE")]
    seed_file: PathBuf,
    /// Stop after this many hours
    #[arg(long, value_name = "H", default_value_t = 1.0)]
    hours: f64,
    /// Stop after this many programs in total, including those of earlier runs
    #[arg(long, value_name = "N", default_value_t = u64::MAX)]
    programs: u64,
    /// Number of threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Print each seed before it runs
    #[arg(long)]
    show: bool,
}

/// The contents of the seed file.
#[derive(Default, Clone, Serialize, Deserialize)]
struct State {
    next_seed: u64,
    /// Time spent, summed over threads.
    thread_seconds: u64,
    reached: Reached,
}

impl Soak {
    pub(crate) fn run(self) -> Result {
        match soak(&self) {
            Ok(None) => Ok(ExitCode::SUCCESS),
            Ok(Some(failure)) => {
                println!("{failure}");
                Ok(ExitCode::FAILURE)
            }
            Err(error) => Err(format!("{}: {error}", self.seed_file.display()).into()),
        }
    }
}

/// Runs until the time or the programs are used up, and returns the text of the first failure.
fn soak(arguments: &Soak) -> std::io::Result<Option<String>> {
    let mut state: State = match fs::read_to_string(&arguments.seed_file) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
        Err(error) => return Err(error),
    };
    let deadline = Instant::now() + Duration::from_secs_f64(arguments.hours * 3600.0);
    let mut failure = None;
    while Instant::now() < deadline && failure.is_none() && state.reached.programs < arguments.programs {
        let left = arguments.programs - state.reached.programs;
        let started = Instant::now();
        let (next_seed, reached);
        (next_seed, reached, failure) = stretch(arguments, state.next_seed, left, deadline.min(started + REPORT_EVERY));
        state.next_seed = next_seed;
        state.reached.merge(&reached);
        state.thread_seconds += started.elapsed().as_secs() * arguments.threads as u64;
        save(&state, &arguments.seed_file)?;
        println!("next seed {next_seed}, {} thread seconds: {}", state.thread_seconds, state.reached);
    }
    failure.map(|(seed, text)| keep(seed, &text)).transpose()
}

/// Compares programs from a seed on until the time is up. Returns the seed after the last, what the programs reached, and
/// the first failure. All programs below that seed were compared, so the totals stay right when the next stretch begins there.
fn stretch(arguments: &Soak, first_seed: u64, programs: u64, end: Instant) -> (u64, Reached, Option<(u64, String)>) {
    let (next, failed) = (AtomicU64::new(first_seed), AtomicBool::new(false));
    let sums = Mutex::new((Reached::default(), None));
    let last = first_seed.saturating_add(programs);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                let (mut plain, mut judged) = (Comparison::new(false), Comparison::new(true));
                let mut reached = Reached::default();
                while Instant::now() < end && !failed.load(Ordering::Relaxed) {
                    let batch = next.fetch_add(BATCH, Ordering::Relaxed);
                    if batch >= last {
                        break;
                    }
                    for seed in (batch..batch + BATCH).take_while(|&seed| seed < last) {
                        if arguments.show {
                            eprintln!("seed {seed}");
                        }
                        let program = generate_of(seed, Length::SOAK);
                        let comparison = if seed.is_multiple_of(JUDGED) { &mut judged } else { &mut plain };
                        match comparison.check_under(&program.case(), &quick_setups(seed), seed) {
                            Ok(compared) => reached.add(&program, &compared, comparison.reference_rows()),
                            Err(text) => {
                                failed.store(true, Ordering::Relaxed);
                                sums.lock().expect("no thread panics").1.get_or_insert((seed, text));
                            }
                        }
                    }
                }
                sums.lock().expect("no thread panics").0.merge(&reached);
            });
        }
    });
    let (reached, failure) = sums.into_inner().expect("no thread panics");
    (next.into_inner().min(last), reached, failure)
}

/// Replaces the file in one step, so that a killed run leaves it whole.
fn save(state: &State, path: &Path) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_string_pretty(state)? + "\n")?;
    fs::rename(&new, path)
}

/// Shrinks a failure and saves it. Returns what to print about it.
fn keep(seed: u64, text: &str) -> std::io::Result<String> {
    println!("seed {seed} differs, shrinking it: {text}");
    let regression = Regression::shrunk(generate_of(seed, Length::SOAK), &quick_setups(seed), text);
    let path = regression.save(&regression::folder())?;
    let listing = regression.listing.join("\n");
    let again = "repeat it with: cargo test --test it -- regressions";
    Ok(format!("seed {seed}: {}\n{listing}\nsaved in {}\n{again}", regression.found, path.display()))
}
