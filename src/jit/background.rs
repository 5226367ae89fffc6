//! The background compiler: one thread for all sessions of an executor, started by the first region they ask for and
//! ended with the last of them.
//!
//! It must not know what it translates for whom: a job brings all of that. What is hottest comes first because sessions
//! send no more than a few at a time, and the hottest of theirs; the others wait with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tachy_runtime::ProcessLocal;

use super::counters::Counters;
use super::job::{Batch, Compiler, Job};

/// Jobs that may wait: enough to fill a page of code together.
const QUEUE: usize = 16;

/// The stack of the thread. Said here, because `RUST_MIN_STACK` decides else, and too little ends the process.
const STACK_BYTES: usize = 2 << 20;

/// The thread, once there is one. A child of a fork has none, whatever it finds here.
#[derive(Default)]
pub(super) struct Background {
    worker: OnceLock<Option<ProcessLocal<Worker>>>,
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
    Full(Box<Job>),
    /// There is no thread: the system gives none.
    NoThread(Box<Job>),
}

impl Background {
    /// Whether a job sent now would be taken, as far as can be told.
    pub(super) fn has_room(&self) -> bool {
        let worker = self.worker.get().and_then(Option::as_ref);
        worker.is_none_or(|worker| worker.state.waiting.load(Ordering::Relaxed) < QUEUE)
    }

    /// Has `job` done some time.
    pub(super) fn send(&self, job: Job) -> Result<(), Unsent> {
        let start = || Worker::start().map(ProcessLocal::new);
        let worker = self.worker.get_or_init(start).as_ref().filter(|worker| !worker.is_foreign());
        let Some((worker, jobs)) = worker.and_then(|worker| Some((worker, worker.jobs.as_ref()?))) else {
            return Err(Unsent::NoThread(Box::new(job)));
        };
        worker.state.waiting.fetch_add(1, Ordering::Relaxed);
        jobs.try_send(job).map_err(|error| {
            worker.state.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(job) => Unsent::Full(Box::new(job)),
                TrySendError::Disconnected(job) => Unsent::NoThread(Box::new(job)),
            }
        })
    }
}

impl Worker {
    fn start() -> Option<Worker> {
        let (sender, jobs) = sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let seen = state.clone();
        let builder = thread::Builder::new().name("tachy-compiler".to_owned()).stack_size(STACK_BYTES);
        let thread = builder.spawn(move || work(&jobs, &seen)).ok()?;
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
    while let Ok(job) = jobs.recv() {
        // Whatever goes wrong with a batch, its jobs end their reservations, and the next one is translated.
        let batch = AssertUnwindSafe(|| work_on_batch(job, jobs, state, &mut compiler));
        if catch_unwind(batch).is_err() {
            compiler = Compiler::new();
        }
        if state.ending.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Translates jobs until they fill a page of code, none waits, or the first of them has waited for long; publishes them.
fn work_on_batch(first: Job, jobs: &Receiver<Job>, state: &State, compiler: &mut Compiler) {
    let mut batch = Batch::new();
    let mut next = Some(first);
    while let Some(job) = next {
        state.waiting.fetch_sub(1, Ordering::Relaxed);
        if state.ending.load(Ordering::Relaxed) {
            return;
        }
        let (started, counters) = (Instant::now(), job.counters.clone());
        batch.translate(job, compiler);
        next = if batch.is_due() { None } else { jobs.try_recv().ok() };
        if next.is_none() {
            std::mem::replace(&mut batch, Batch::new()).publish();
        }
        Counters::add_time(&counters.background_nanos, started.elapsed());
    }
}
