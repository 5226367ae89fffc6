//! Random programs for hours: compares both engines on one program after the other, from where a file says the last
//! time ended, and says what that reached.
//!
//!     cargo run --release --example soak -- --seed-file soak.json --hours 8
//!
//! The file keeps the next seed and the sums, so that runs add up; without it the first seed is 0. A failure is shrunk
//! and kept in `tests/regressions`, where the tests find it from then on, and the command ends with code 1. Where native
//! code takes the process down, the file's seed is at most one interval behind: `--show` names every seed as it starts.

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "this program uses a part of it")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use common::comparison::{Comparison, quick_setups};
use common::generator::{Length, generate_of};
use common::reached::Reached;
use common::regression::{self, Regression};
use serde::{Deserialize, Serialize};

/// Programs that a thread takes at once.
const BATCH: u64 = 50;
/// One program in so many has its rows judged by the oracle, too.
const JUDGED: u64 = 64;
const REPORT_EVERY: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Arguments {
    /// File of the next seed and the sums so far; made if it is not there.
    #[arg(long, value_name = "FILE")]
    seed_file: PathBuf,
    /// Stop after so many hours.
    #[arg(long, value_name = "H", default_value_t = 1.0)]
    hours: f64,
    /// Stop after so many programs in all, those of earlier runs included.
    #[arg(long, value_name = "N", default_value_t = u64::MAX)]
    programs: u64,
    /// Threads at work.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Name each seed as it starts.
    #[arg(long)]
    show: bool,
}

/// What the file holds.
#[derive(Default, Clone, Serialize, Deserialize)]
struct State {
    next_seed: u64,
    /// Time spent, summed over threads.
    thread_seconds: u64,
    reached: Reached,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match soak(&arguments) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(failure)) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}: {error}", arguments.seed_file.display());
            ExitCode::from(2)
        }
    }
}

/// Runs until time or programs are used up; the text of the first failure.
fn soak(arguments: &Arguments) -> std::io::Result<Option<String>> {
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

/// Programs from a seed on until the time is up: the seed after the last, what they reached, and the first failure. All
/// programs below that seed were compared, so the sums stay true when the next stretch begins there.
fn stretch(
    arguments: &Arguments,
    first_seed: u64,
    programs: u64,
    end: Instant,
) -> (u64, Reached, Option<(u64, String)>) {
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

/// In one step, so that a run that is killed leaves the file whole.
fn save(state: &State, path: &Path) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_string_pretty(state)? + "\n")?;
    fs::rename(&new, path)
}

/// Shrinks a failure and keeps it; what to print about it.
fn keep(seed: u64, text: &str) -> std::io::Result<String> {
    println!("seed {seed} differs, being shrunk: {text}");
    let regression = Regression::shrunk(generate_of(seed, Length::SOAK), &quick_setups(seed), text);
    let path = regression.save(&regression::folder())?;
    let listing = regression.listing.join("\n");
    let again = "again with: cargo test --test it -- regressions";
    Ok(format!("seed {seed}: {}\n{listing}\nkept in {}\n{again}", regression.found, path.display()))
}
