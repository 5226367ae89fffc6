//! Hashes the segments of a session beside its runs and hands them over.
//!
//! Each run has threads beside it that work on the session's pipeline. The first one starts with the run. A thread
//! starts the next one when it would leave work behind, so a run that changes little has one thread, however many it
//! may have. If it may have none, or the system refuses the first, the run's own thread does the work.
//!
//! All threads end with the run. Between two runs, a session is therefore plain data, and a process may fork. If the
//! process forks during a run with threads, the child's run ends, and the child's session with it.
//!
//! This file must not know how a run makes records, or how they become segments.

use std::sync::Arc;

use tachy_runtime::{Beside, ProcessNumber, beside};

use super::format::{Digest, SegmentRecord};
pub(crate) use super::pipeline::SegmentSink;
use super::pipeline::{Ended, Pipeline, Stopped};
use crate::callers::{self, Failed, Panic};
use crate::program::Program;

/// Stack size of a thread. It is set explicitly, because `RUST_MIN_STACK` would apply otherwise, and a stack overflow
/// ends the process.
const STACK_BYTES: usize = 2 << 20;

/// The run's end of the pipeline: takes the records of finished segments.
pub(crate) struct Records<'env> {
    pipeline: Arc<Pipeline<'env>>,
    /// The process that has the threads; `None` without threads.
    process: Option<ProcessNumber>,
}

impl Records<'_> {
    /// Hands a record over. Returns whether the run may continue; it may not after a segment was refused.
    pub(crate) fn send(&self, record: SegmentRecord) -> bool {
        !self.is_elsewhere() && self.pipeline.enter(record, self.process.is_some())
    }

    /// Returns whether the threads belong to another process. Then nobody takes records here, and a sender would wait
    /// forever.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process.is_some_and(|process| process != ProcessNumber::current())
    }
}

/// When the run ends, even by a panic, so do the threads.
impl Drop for Records<'_> {
    fn drop(&mut self) {
        if !self.is_elsewhere() {
            self.pipeline.close();
        }
    }
}

/// Why a segment could not be handed over.
pub(crate) enum Unsealed {
    /// The sink failed on the segment with this index.
    Refused(u64, Failed),
    /// A hashing thread has panicked, and its data are lost.
    Broken,
    /// The process forked during a run, and the threads stayed in the parent.
    Elsewhere,
}

/// The segments of a session; see the module.
pub(crate) struct Sealer<'env> {
    pipeline: Arc<Pipeline<'env>>,
    max_threads: usize,
}

impl<'env> Sealer<'env> {
    /// Makes a sealer that begins with the memory of `program` and has at most this many threads in a run.
    pub(crate) fn new(program: &Program, sink: SegmentSink<'env>, max_threads: usize) -> Sealer<'env> {
        Sealer { pipeline: Arc::new(Pipeline::new(program, sink)), max_threads }
    }

    /// Executes `run` with threads beside it that seal its records. Waits until all of them are taken or one is
    /// refused. Segments that wait from an earlier run come first. Returns nothing of a run that was not begun.
    pub(crate) fn beside<R>(
        &mut self,
        run: impl FnOnce(Records<'env>) -> R,
    ) -> (Option<Result<R, Panic>>, Option<Unsealed>) {
        if self.pipeline.is_broken() {
            return (None, Some(Unsealed::Broken));
        }
        self.pipeline.open();
        let mut run = Some(run);
        let mut run_with = |process| {
            let records = Records { pipeline: Arc::clone(&self.pipeline), process };
            run.take().map(|run| callers::call(|| run(records)))
        };
        let process = ProcessNumber::current();
        let work = || work(&self.pipeline, process, self.max_threads);
        let with_threads = match self.max_threads {
            0 => None,
            _ => beside(THREAD, STACK_BYTES, work, || run_with(Some(process))).ok(),
        };
        let (ran, how) = with_threads.unwrap_or_else(|| {
            self.pipeline.work_alone();
            let ran = run_with(None);
            self.pipeline.work_alone();
            (ran, Beside::Done(()))
        });
        let unsealed = match how {
            Beside::Elsewhere => Some(Unsealed::Elsewhere),
            Beside::Done(()) | Beside::Panicked => match self.pipeline.ended() {
                Ended::Taken => None,
                Ended::Refused(index, failed) => Some(Unsealed::Refused(index, failed)),
                Ended::Broken => Some(Unsealed::Broken),
            },
        };
        (ran, unsealed)
    }

    /// Returns whether segments wait for the next run.
    pub(crate) fn owes(&self) -> bool {
        self.pipeline.owes()
    }

    /// Begins another part of the session.
    pub(crate) fn begin_part(&mut self) {
        self.pipeline.begin_part();
    }

    /// Returns the roots of memory before the first and after the last sealed segment; `None` before the first run.
    pub(crate) fn roots(&self) -> Option<(Digest, Digest)> {
        self.pipeline.roots()
    }
}

/// The name of a thread.
const THREAD: &str = "tachy-sealer";

/// Works on a thread that may start others, so that there are at most `max_threads` with this one.
fn work(pipeline: &Pipeline<'_>, process: ProcessNumber, max_threads: usize) {
    if pipeline.work(process, max_threads > 1) != Stopped::NeedsHelp {
        return;
    }
    let next = || work(pipeline, process, max_threads - 1);
    let helped = beside(THREAD, STACK_BYTES, next, || pipeline.work(process, false));
    if helped.is_err() {
        // The system refuses another thread, so this one does what there is.
        pipeline.work(process, false);
    }
}
