//! Requests from outside to stop a run: Ctrl-C, SIGTERM, SIGHUP, and the limit on time where the run waits for others.
//!
//! The first request ends a run between two steps, or where it waits, so that it can still tell how far it came. Another
//! Ctrl-C ends everything at once; another SIGTERM or SIGHUP changes nothing, since those who send them often do so twice.
//! The handlers are the program's, never the library's, and a signal that we were started to ignore stays ignored.
//! It must not know what a run is doing.

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

/// Why a run must stop although the guest could go on. Streams that wait for others fail with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// A signal came.
    #[error("stopped by a signal")]
    Signal(i32),
    /// The limit on time was reached.
    #[error("stopped by the time limit of {} s", .0.as_secs_f64())]
    Time(Duration),
}

impl Stop {
    /// The request that an error comes from, if it does.
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

    /// How a signal's end of a run is told.
    pub(crate) fn verb(self) -> String {
        match self {
            Stop::Signal(SIGINT) => "interrupted".to_owned(),
            Stop::Signal(signal) => format!("ended by {}", signal_name(signal).unwrap_or("a signal")),
            Stop::Time(_) => self.to_string(),
        }
    }
}

/// What has been asked for.
struct Requests {
    /// The run that the first signal ends.
    run: Option<CancelHandle>,
    /// The first signal that came.
    signal: Option<i32>,
    /// When the limit on time is reached, and the limit.
    deadline: Option<(Instant, Duration)>,
    /// No run is left to end.
    over: bool,
}

static REQUESTS: Mutex<Requests> = Mutex::new(Requests { run: None, signal: None, deadline: None, over: false });

/// Can be read, at its end, once a signal has come. None where the system gave no pipe or no thread.
static WAKE: OnceLock<Option<PipeReader>> = OnceLock::new();

fn requests() -> MutexGuard<'static, Requests> {
    REQUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on signals are heard, and time is counted, anew where it was before. The handle is for sessions that are yet to
/// begin: a signal cancels the one that runs then, or else the next.
pub(crate) fn begin(limit_time: Option<Duration>) -> CancelHandle {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        // Where it fails, signals do what they do to any program.
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

/// The run is over, and the rest is ours to tell: a signal ends that at once, unless it ended the run already.
pub(crate) fn end() {
    let mut requests = requests();
    requests.over = true;
    requests.deadline = requests.deadline.filter(|(deadline, _)| *deadline <= Instant::now());
}

/// Whether a run must stop by now, and why.
pub(crate) fn stopped() -> Option<Stop> {
    let requests = requests();
    let is_late = requests.deadline.filter(|(deadline, _)| *deadline <= Instant::now());
    requests.signal.map(Stop::Signal).or(is_late.map(|(_, limit)| Stop::Time(limit)))
}

/// The time that is left, if it is limited.
pub(crate) fn time_left() -> Option<Duration> {
    requests().deadline.map(|(deadline, _)| deadline.saturating_duration_since(Instant::now()))
}

/// What becomes readable when a signal has come.
pub(crate) fn wake() -> Option<&'static PipeReader> {
    WAKE.get()?.as_ref()
}

/// The signal that has come since [`begin`], if one has.
pub(crate) fn signal() -> Option<i32> {
    requests().signal
}

/// The exit code that a shell gives to what this signal ended.
pub(crate) fn exit_code(signal: i32) -> u8 {
    128 + (signal & 0x7f) as u8
}

/// Starts the thread that hears signals; what wakes those who wait.
fn listen() -> Option<PipeReader> {
    let ignored = ignored_signals();
    let heard: Vec<i32> = SIGNALS.into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0).collect();
    let (wake, woken) = io::pipe().ok()?;
    let (ready, is_ready) = mpsc::channel();
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(mut signals) = Signals::new(heard) else { return };
        let mut woken = Some(woken);
        // Whoever waits for this may have given up; signals are heard all the same.
        let _ = ready.send(());
        for signal in signals.forever() {
            asked(signal);
            // The end of the pipe is what the other side sees.
            woken = None;
        }
        drop(woken);
    });
    thread.ok()?;
    is_ready.recv().ok()?;
    Some(wake)
}

/// A signal has come.
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

/// Signals that whoever started us had us ignore, one bit each. Only Linux tells without unsafe code; elsewhere none is.
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
        let place = tachy::Place { pc: 0, step: 0 };
        let stream = tachy::Error::Stream { stream: tachy::StreamName::Stdin, place, source: failed() };
        assert_eq!(Stop::behind(&stream), Some(stop));
        let host = HostError::Stream { descriptor: 4, source: failed() };
        let error = Box::new(MachineError::Host(host));
        let failure = MachineFailure { machine: MachineKind::R0vm, place, error };
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
