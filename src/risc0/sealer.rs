//! Hashes the segments of a session beside its runs and hands them over.
//!
//! Each run has a thread beside it. The thread maintains the tree of memory, makes segments from the machine's records
//! and calls the segment sink. At most a few records are queued, so memory stays bounded and the faster side waits for
//! the other.
//!
//! The thread ends with its run. Between two runs, a session is therefore plain data, and a process may fork. If the
//! process forks during a run, the child's run ends, and the child's session with it.
//!
//! This file must not know how a run makes records.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tachy_runtime::{Beside, ProcessNumber, beside};

use super::format::{Digest, Image, Segment, SegmentRecord, Tree};
use crate::callers::{self, Failed, Panic};
use crate::program::Program;
use crate::trace::SinkError;

/// Takes each finished segment.
pub(crate) type SegmentSink<'env> = Box<dyn FnMut(&Segment) -> Result<(), SinkError> + Send + 'env>;

/// Maximum number of records that wait to be hashed.
const WAITING: usize = 2;

/// Stack size of the thread. It is set explicitly, because `RUST_MIN_STACK` would apply otherwise, and a stack overflow
/// ends the process.
const STACK_BYTES: usize = 2 << 20;

/// The run's end of the queue: takes the records of finished segments.
pub(crate) struct Records {
    records: SyncSender<SegmentRecord>,
    stopped: Arc<AtomicBool>,
    /// The process that owns the thread.
    process: ProcessNumber,
}

impl Records {
    /// Hands a record over. Returns whether the run may continue; it may not after a segment was refused.
    pub(crate) fn send(&self, record: SegmentRecord) -> bool {
        !self.is_elsewhere() && self.records.send(record).is_ok() && !self.stopped.load(Ordering::Acquire)
    }

    /// Returns whether the thread belongs to another process. Then nobody takes records here, and a sender would wait
    /// forever.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process != ProcessNumber::current()
    }
}

/// Why a segment could not be handed over.
pub(crate) enum Unsealed {
    /// The system could not create the thread; nothing was run.
    Thread(std::io::Error),
    /// The sink failed on the segment with this index.
    Refused(u64, Failed),
    /// The hashing thread has panicked, and its data are lost.
    Broken,
    /// The process forked during a run, and the thread stayed in the parent.
    Elsewhere,
}

/// The segments of a session; see the module.
pub(crate) struct Sealer<'env> {
    program: Program,
    sink: SegmentSink<'env>,
    /// Memory after the last segment; built when the first run begins.
    tree: Option<Tree>,
    roots: Option<(Digest, Digest)>,
    /// Sealed segments that the sink has not taken, the refused one first.
    waiting: VecDeque<Segment>,
    broken: bool,
}

impl<'env> Sealer<'env> {
    /// Makes a sealer that begins with the memory of `program`.
    pub(crate) fn new(program: &Program, sink: SegmentSink<'env>) -> Sealer<'env> {
        Sealer { program: program.clone(), sink, tree: None, roots: None, waiting: VecDeque::new(), broken: false }
    }

    /// Executes `run` with a thread beside it that seals its records. Waits until all of them are taken or one is
    /// refused. Segments that wait from an earlier run come first.
    pub(crate) fn beside<R>(&mut self, run: impl FnOnce(Records) -> R) -> (Option<Result<R, Panic>>, Option<Unsealed>) {
        if self.broken {
            return (None, Some(Unsealed::Broken));
        }
        let (sender, records) = sync_channel::<SegmentRecord>(WAITING);
        let (stopped, process) = (Arc::new(AtomicBool::new(false)), ProcessNumber::current());
        let flag = Arc::clone(&stopped);
        // The sender is dropped when the run ends, even by a panic. The thread then ends.
        let run = || callers::call(|| run(Records { records: sender, stopped, process }));
        let done = beside("tachy-sealer", STACK_BYTES, || self.seal_all(records, &flag, process), run);
        let (ran, sealed) = match done {
            Ok((ran, sealed)) => (ran, sealed),
            Err(source) => return (None, Some(Unsealed::Thread(source))),
        };
        let unsealed = match sealed {
            Beside::Done(sealed) => sealed.err(),
            Beside::Panicked => Some(Unsealed::Broken),
            Beside::Elsewhere => Some(Unsealed::Elsewhere),
        };
        self.broken = matches!(unsealed, Some(Unsealed::Broken));
        (Some(ran), unsealed)
    }

    /// Seals records until the sender is dropped. After a refusal, the rest waits for the next run.
    fn seal_all(
        &mut self,
        records: Receiver<SegmentRecord>,
        stopped: &AtomicBool,
        process: ProcessNumber,
    ) -> Result<(), Unsealed> {
        let tree = self.tree.get_or_insert_with(|| Tree::of(&Image::of(&self.program)));
        let root = tree.root();
        self.roots.get_or_insert((root, root));
        let mut given = give(&mut self.sink, &mut self.waiting);
        for record in records {
            let segment = tree.seal(record);
            self.roots = self.roots.map(|(pre, _)| (pre, segment.claim().post_state));
            self.waiting.push_back(segment);
            given = given.and_then(|()| give(&mut self.sink, &mut self.waiting));
            stopped.store(given.is_err(), Ordering::Release);
            // The sink has forked, and this is the child. It has no running thread that could send more records.
            if process != ProcessNumber::current() {
                return Err(Unsealed::Elsewhere);
            }
        }
        given
    }

    /// Returns whether segments wait for the next run.
    pub(crate) fn owes(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins another part of the session.
    pub(crate) fn begin_part(&mut self) {
        self.roots = self.roots.map(|(_, post)| (post, post));
    }

    /// Returns the roots of memory before the first and after the last sealed segment; `None` before the first run.
    pub(crate) fn roots(&self) -> Option<(Digest, Digest)> {
        self.roots
    }
}

/// Hands segments over in order. A refused segment stays in the queue.
fn give(sink: &mut SegmentSink<'_>, waiting: &mut VecDeque<Segment>) -> Result<(), Unsealed> {
    while let Some(segment) = waiting.front() {
        callers::give(|| sink(segment)).map_err(|failed| Unsealed::Refused(segment.index(), failed))?;
        waiting.pop_front();
    }
    Ok(())
}
