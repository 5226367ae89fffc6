//! Hashes the segments of a session beside its runs and hands them over.
//!
//! Each run has a thread beside it that keeps the tree of memory, makes segments of the machine's records and calls who
//! takes them. Few records wait at a time, so that memory stays bounded: who is faster waits for the other. The thread
//! ends with its run, so that between two runs a session is plain data; a process may fork there. Where it forks in a run,
//! the child's run ends, and the session with it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tachy_runtime::{Beside, ProcessNumber, beside};

use super::format::{Digest, Image, Segment, SegmentRecord, Tree};
use crate::callers::{self, Failed, Panic};
use crate::program::Program;
use crate::trace::SinkError;

/// Takes each segment when it has ended.
pub(crate) type SegmentSink<'env> = Box<dyn FnMut(&Segment) -> Result<(), SinkError> + Send + 'env>;

/// Records that may wait to be hashed.
const WAITING: usize = 2;

/// The stack of the thread. Said here, because `RUST_MIN_STACK` decides else, and too little ends the process.
const STACK_BYTES: usize = 2 << 20;

/// The run's end: takes the records of segments that have ended.
pub(crate) struct Records {
    records: SyncSender<SegmentRecord>,
    stopped: Arc<AtomicBool>,
    /// The process that has the thread.
    process: ProcessNumber,
}

impl Records {
    /// Hands a record over. Whether the run may go on: not once a segment was refused.
    pub(crate) fn send(&self, record: SegmentRecord) -> bool {
        !self.is_elsewhere() && self.records.send(record).is_ok() && !self.stopped.load(Ordering::Acquire)
    }

    /// Whether the thread is another process's: nobody takes records here, and whoever sent one would wait for ever.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process != ProcessNumber::current()
    }
}

/// Why a segment could not be handed over.
pub(crate) enum Unsealed {
    /// The system gave no thread; nothing was run.
    Thread(std::io::Error),
    /// Who takes segments failed on the one with this index.
    Refused(u64, Failed),
    /// The thread that hashes has panicked, and what it had is lost.
    Broken,
    /// The process has forked in a run, and the thread stayed in the parent.
    Elsewhere,
}

/// The segments of one session. See the module.
pub(crate) struct Sealer<'env> {
    program: Program,
    sink: SegmentSink<'env>,
    /// Memory as the last segment left it; made when the first run begins.
    tree: Option<Tree>,
    roots: Option<(Digest, Digest)>,
    /// Segments that are sealed and not taken, the refused one first.
    waiting: VecDeque<Segment>,
    broken: bool,
}

impl<'env> Sealer<'env> {
    /// Begins with the memory of `program`.
    pub(crate) fn new(program: &Program, sink: SegmentSink<'env>) -> Sealer<'env> {
        Sealer { program: program.clone(), sink, tree: None, roots: None, waiting: VecDeque::new(), broken: false }
    }

    /// Does `run` with a thread beside it that seals its records, and waits until all of them are taken or one is
    /// refused. What waits from an earlier run comes first.
    pub(crate) fn beside<R>(&mut self, run: impl FnOnce(Records) -> R) -> (Option<Result<R, Panic>>, Option<Unsealed>) {
        if self.broken {
            return (None, Some(Unsealed::Broken));
        }
        let (sender, records) = sync_channel::<SegmentRecord>(WAITING);
        let (stopped, process) = (Arc::new(AtomicBool::new(false)), ProcessNumber::current());
        let flag = Arc::clone(&stopped);
        // The sender is gone when the run is over, also by a panic, and then the thread ends.
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

    /// Seals records until no more come. After a refusal the rest waits for the next run.
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
            // Who takes segments has forked, and this is the child: it has no thread that could send more.
            if process != ProcessNumber::current() {
                return Err(Unsealed::Elsewhere);
            }
        }
        given
    }

    /// Whether segments wait for the next run.
    pub(crate) fn owes(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What comes from here on belongs to another part of the session.
    pub(crate) fn begin_part(&mut self) {
        self.roots = self.roots.map(|(_, post)| (post, post));
    }

    /// The roots of memory before the first and after the last segment that was sealed; none before the first run.
    pub(crate) fn roots(&self) -> Option<(Digest, Digest)> {
        self.roots
    }
}

/// Hands segments over, in order; one that is refused stays where it is.
fn give(sink: &mut SegmentSink<'_>, waiting: &mut VecDeque<Segment>) -> Result<(), Unsealed> {
    while let Some(segment) = waiting.front() {
        callers::give(|| sink(segment)).map_err(|failed| Unsealed::Refused(segment.index(), failed))?;
        waiting.pop_front();
    }
    Ok(())
}
