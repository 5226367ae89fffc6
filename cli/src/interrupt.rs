//! Requests to stop a run: Ctrl-C, SIGTERM, SIGHUP, and the time limit while the run waits for a stream.
//!
//! The first request ends a run between two steps, or where it waits, so that the run can still report. A second Ctrl-C
//! ends the process immediately. A second SIGTERM or SIGHUP changes nothing, since these are often sent twice. Only the
//! command line installs handlers, never the library. A signal that the process was started to ignore stays ignored.
//! This module must not know what a run is doing.

use std::error::Error;
use std::fs;
use std::io::{self, PipeReader};
use std::process;
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;
use tachy::CancelHandle;

/// Signals that ask a run to end.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Why a run must stop although the guest could continue. Streams that wait fail with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// A signal arrived.
    #[error("stopped by a signal")]
    Signal(i32),
    /// The time limit was reached.
    #[error("stopped by the time limit of {} s", .0.as_secs_f64())]
    Time(Duration),
}

impl Stop {
    /// The request that caused an error, if one did.
    pub(crate) fn behind(error: &(dyn Error + 'static)) -> Option<Stop> {
        let mut link = Some(error);
        while let Some(error) = link {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(stop) = inner.and_then(|inner| inner.downcast_ref::<Stop>()) {
                return Some(*stop);
            }
            link = error.source();
        }
        None
    }

    /// The start of a message about a run that this request ended.
    pub(crate) fn verb(self) -> String {
        match self {
            Stop::Signal(SIGINT) => "interrupted".to_owned(),
            Stop::Signal(signal) => format!("ended by {}", signal_name(signal).unwrap_or("a signal")),
            Stop::Time(_) => self.to_string(),
        }
    }
}

/// The requests so far.
struct Requests {
    /// The run that the first signal ends.
    run: Option<CancelHandle>,
    /// The first signal that arrived.
    signal: Option<i32>,
    /// The time at which the time limit is reached, and the limit.
    deadline: Option<(Instant, Duration)>,
    /// The run has ended.
    over: bool,
}

static REQUESTS: Mutex<Requests> = Mutex::new(Requests { run: None, signal: None, deadline: None, over: false });

/// A pipe that is at its end once a signal has arrived; `None` if the system refused a pipe or a thread.
static WAKE: OnceLock<Option<PipeReader>> = OnceLock::new();

fn requests() -> MutexGuard<'static, Requests> {
    REQUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to handle signals, and starts the time limit again. Sessions that start with the returned handle are cancelled by
/// a signal. If no session is running, the signal cancels the next one.
pub(crate) fn begin(limit_time: Option<Duration>) -> CancelHandle {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        // If this fails, signals keep their default action.
        let _ = WAKE.set(listen());
    });
    let handle = CancelHandle::default();
    let mut requests = requests();
    if requests.signal.is_some() {
        handle.cancel();
    }
    requests.run = Some(handle.clone());
    requests.deadline = limit_time.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
    handle
}

/// The run is over and only reporting is left. A signal ends that immediately, unless it already ended the run.
pub(crate) fn end() {
    let mut requests = requests();
    requests.over = true;
    requests.deadline = requests.deadline.filter(|(deadline, _)| *deadline <= Instant::now());
}

/// Why the run must stop, if it must.
pub(crate) fn stopped() -> Option<Stop> {
    let requests = requests();
    let is_late = requests.deadline.filter(|(deadline, _)| *deadline <= Instant::now());
    requests.signal.map(Stop::Signal).or(is_late.map(|(_, limit)| Stop::Time(limit)))
}

/// The time that is left, if there is a time limit.
pub(crate) fn time_left() -> Option<Duration> {
    requests().deadline.map(|(deadline, _)| deadline.saturating_duration_since(Instant::now()))
}

/// The pipe that becomes readable when a signal arrives.
pub(crate) fn wake() -> Option<&'static PipeReader> {
    WAKE.get()?.as_ref()
}

/// The signal that has arrived since [`begin`], if any.
pub(crate) fn signal() -> Option<i32> {
    requests().signal
}

/// The exit code that a shell gives to a program that this signal ended.
pub(crate) fn exit_code(signal: i32) -> u8 {
    128 + (signal & 0x7f) as u8
}

/// Starts the thread that handles signals. Returns the pipe that wakes waiting streams.
fn listen() -> Option<PipeReader> {
    let ignored = ignored_signals();
    let heard: Vec<i32> = SIGNALS.into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0).collect();
    let (wake, woken) = io::pipe().ok()?;
    let (ready, is_ready) = mpsc::channel();
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(mut signals) = Signals::new(heard) else { return };
        let mut woken = Some(woken);
        // If nobody waits for this any more, signals are handled all the same.
        let _ = ready.send(());
        for signal in signals.forever() {
            asked(signal);
            // Closing the pipe makes the other end readable.
            woken = None;
        }
        drop(woken);
    });
    thread.ok()?;
    is_ready.recv().ok()?;
    Some(wake)
}

/// Handles a signal.
fn asked(signal: i32) {
    let mut requests = requests();
    if requests.signal.is_some() || requests.over {
        if signal == SIGINT || requests.signal.is_none() {
            process::exit(exit_code(signal).into());
        }
        return;
    }
    requests.signal = Some(signal);
    if let Some(run) = &requests.run {
        run.cancel();
    }
}

/// The signals that the process was started to ignore, one bit each. Only Linux reports them without unsafe code.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tachy::risc0::MachineError;
    use tachy::risc0::host::HostError;
    use tachy::{MachineFailure, MachineKind};

    #[test]
    fn a_request_is_found_behind_what_failed_with_it() {
        let stop = Stop::Time(Duration::from_millis(1500));
        let failed = || io::Error::other(stop);
        assert_eq!(Stop::behind(&failed()), Some(stop));
        let location = tachy::Location { pc: 0, step: 0 };
        let stream = tachy::Error::Stream { stream: tachy::StreamName::Stdin, location, source: failed() };
        assert_eq!(Stop::behind(&stream), Some(stop));
        let host = HostError::Stream { descriptor: 4, source: failed() };
        let error = Box::new(MachineError::Host(host));
        let failure = MachineFailure { machine: MachineKind::R0vm, location, error };
        assert_eq!(Stop::behind(&tachy::Error::from(failure)), Some(stop));
        assert_eq!(Stop::behind(&io::Error::other("another")), None);
        assert_eq!(stop.to_string(), "stopped by the time limit of 1.5 s");
    }

    #[test]
    fn ends_are_told_by_the_signal() {
        let told = SIGNALS.map(|signal| (Stop::Signal(signal).verb(), exit_code(signal)));
        let expected = [("interrupted", 130), ("ended by SIGTERM", 143), ("ended by SIGHUP", 129)];
        assert_eq!(told, expected.map(|(verb, code)| (verb.to_owned(), code)));
    }
}
