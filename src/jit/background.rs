//! The background compiler: one thread for all sessions of an executor, started by the first region they ask for and
//! ended with the last of them.
//!
//! It must not know what it translates for whom: a job brings all of that, and publishes only what is still wanted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::cache::{Compiler, Job};
use super::counters::Counters;

/// Jobs that may wait. They are done in the order they come; whoever finds the queue full asks again when the code is
/// hotter, so that a short queue keeps what is hot in front.
const QUEUE: usize = 16;

/// The thread, once there is one.
#[derive(Default)]
pub(super) struct Background {
    worker: OnceLock<Option<Worker>>,
}

struct Worker {
    /// None once it is told to end.
    jobs: Option<SyncSender<Job>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// What both sides look at.
#[derive(Default)]
struct State {
    waiting: AtomicUsize,
    ending: AtomicBool,
}

/// A job that was not taken.
pub(super) enum Unsent {
    /// Too many wait already.
    Full(Job),
    /// There is no thread: the system gives none.
    NoThread(Job),
}

impl Background {
    /// Whether a job sent now would be taken, as far as can be told.
    pub(super) fn has_room(&self) -> bool {
        let worker = self.worker.get().and_then(Option::as_ref);
        worker.is_none_or(|worker| worker.state.waiting.load(Ordering::Relaxed) < QUEUE)
    }

    /// Has `job` done some time.
    pub(super) fn send(&self, job: Job) -> Result<(), Unsent> {
        let worker = self.worker.get_or_init(Worker::start).as_ref();
        let Some((worker, jobs)) = worker.and_then(|worker| Some((worker, worker.jobs.as_ref()?))) else {
            return Err(Unsent::NoThread(job));
        };
        worker.state.waiting.fetch_add(1, Ordering::Relaxed);
        jobs.try_send(job).map_err(|error| {
            worker.state.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(job) => Unsent::Full(job),
                TrySendError::Disconnected(job) => Unsent::NoThread(job),
            }
        })
    }
}

impl Worker {
    fn start() -> Option<Worker> {
        let (sender, jobs) = sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let seen = state.clone();
        let thread = thread::Builder::new().name("tachy-compiler".to_owned()).spawn(move || work(&jobs, &seen)).ok()?;
        Some(Worker { jobs: Some(sender), state, thread: Some(thread) })
    }
}

impl Drop for Worker {
    /// Waits for a translation under way, not for those in the queue.
    fn drop(&mut self) {
        self.state.ending.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported there.
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Receiver<Job>, state: &State) {
    let mut compiler = Compiler::new();
    for job in jobs {
        state.waiting.fetch_sub(1, Ordering::Relaxed);
        if state.ending.load(Ordering::Relaxed) {
            return;
        }
        if job.is_orphan() {
            continue;
        }
        let (started, counters) = (Instant::now(), job.counters.clone());
        job.run(&mut compiler);
        Counters::add_time(&counters.background_nanos, started.elapsed());
    }
}
