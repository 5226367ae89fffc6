//! The background compiler: one thread for all sessions of an executor. The first region that a session requests starts
//! it, and it ends with the executor and its last session.
//!
//! It must not know what it compiles or for which session: a job contains all of that. The hottest code comes first
//! because each session sends only a few of its hottest regions at a time; the others wait in the session.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tachy_runtime::ProcessLocal;

use super::counters::Counters;
use super::job::{Batch, Compiler, Job};

/// Maximum number of waiting jobs: enough to fill a page of code together.
pub(crate) const QUEUE: usize = 16;

/// Stack size of the thread. It is set here because `RUST_MIN_STACK` decides otherwise, and a stack that is too small
/// ends the process.
const STACK_BYTES: usize = 2 << 20;

/// The thread, once there is one. In a child of a fork the thread does not exist, whatever this holds.
#[derive(Default)]
pub(crate) struct Background {
    worker: OnceLock<Option<ProcessLocal<Worker>>>,
    state: Arc<State>,
}

struct Worker {
    /// `None` once the thread has to end.
    jobs: Option<Sender<(Job, Slot)>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// State shared by both sides.
#[derive(Default)]
struct State {
    /// Slots that are taken.
    waiting: AtomicUsize,
    ending: AtomicBool,
}

/// A place in the queue. It is taken before a job is created for it, so that no job is created and paid for in vain.
/// Dropping it frees the place.
pub(crate) struct Slot(Arc<State>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Background {
    /// Returns whether a slot is free right now. Another session may take it.
    pub(crate) fn has_room(&self) -> bool {
        self.state.waiting.load(Ordering::Relaxed) < QUEUE
    }

    /// Takes a place in the queue, if one is free.
    pub(crate) fn take_slot(&self) -> Option<Slot> {
        let one_more = |waiting| (waiting < QUEUE).then_some(waiting + 1);
        let taken = self.state.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Slot(self.state.clone()))
    }

    /// Queues `job`; returns it if there is no thread because the system could not create one.
    pub(crate) fn send(&self, job: Job, slot: Slot) -> Result<(), Box<Job>> {
        let start = || Worker::start(&self.state).map(ProcessLocal::new);
        let worker = self.worker.get_or_init(start).as_ref().filter(|worker| !worker.is_foreign());
        match worker.and_then(|worker| worker.jobs.as_ref()) {
            Some(jobs) => jobs.send((job, slot)).map_err(|unsent| Box::new(unsent.0.0)),
            None => Err(Box::new(job)),
        }
    }
}

impl Worker {
    fn start(state: &Arc<State>) -> Option<Worker> {
        let (sender, jobs) = channel();
        let state = state.clone();
        let seen = state.clone();
        let builder = thread::Builder::new().name("tachy-compiler".to_owned()).stack_size(STACK_BYTES);
        let thread = builder.spawn(move || work(&jobs, &seen)).ok()?;
        Some(Worker { jobs: Some(sender), state, thread: Some(thread) })
    }
}

impl Drop for Worker {
    /// Waits for the current compilation, not for those in the queue.
    fn drop(&mut self) {
        self.state.ending.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported there.
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Receiver<(Job, Slot)>, state: &State) {
    let mut compiler = Compiler::new();
    while let Ok(first) = jobs.recv() {
        // Whatever goes wrong with a batch, its jobs end their reservations, and the next one is compiled.
        let batch = AssertUnwindSafe(|| work_on_batch(first, jobs, state, &mut compiler));
        if catch_unwind(batch).is_err() {
            compiler = Compiler::new();
        }
        if state.ending.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Compiles jobs and publishes them. Stops when they fill a page of code, none waits, or the first has waited for long.
fn work_on_batch(first: (Job, Slot), jobs: &Receiver<(Job, Slot)>, state: &State, compiler: &mut Compiler) {
    let mut batch = Batch::new();
    let mut next = Some(first);
    while let Some((job, slot)) = next {
        // The job no longer waits.
        drop(slot);
        if state.ending.load(Ordering::Relaxed) {
            // Finished translations may go to disk.
            batch.publish();
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
