//! A thread that hashes: it keeps the tree of a session's memory and makes segments of the machine's records while the
//! machine runs on.
//!
//! Few records wait at a time, so that memory stays bounded: who is faster waits for the other. Segments come back to
//! the thread that runs the session, in order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::{Digest, Image, Segment, SegmentRecord, Tree};
use crate::program::Program;

/// Records that may wait to be hashed.
const WAITING: usize = 2;

/// The stack of the thread. Said here, because `RUST_MIN_STACK` decides else, and too little ends the process.
const STACK_BYTES: usize = 2 << 20;

/// What the thread gives back.
enum Sealed {
    /// The root of memory before the first segment.
    Root(Digest),
    /// A segment.
    Segment(Box<Segment>),
}

/// The executing thread's end.
pub(crate) struct Sealer {
    /// None once no more records come.
    records: Option<SyncSender<SegmentRecord>>,
    sealed: Receiver<Sealed>,
    thread: Option<JoinHandle<()>>,
    /// Records handed over that have not come back.
    under_way: usize,
    /// Whether the thread has panicked: what it had is lost.
    broken: bool,
    roots: Option<(Digest, Digest)>,
}

impl Sealer {
    /// Begins with the memory of `program`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(program: &Program) -> std::io::Result<Sealer> {
        let (records, waiting) = sync_channel::<SegmentRecord>(WAITING);
        // As many as wait, one in work, one that is done, and the root.
        let (done, sealed) = sync_channel(WAITING + 3);
        let program = program.clone();
        let work = move || {
            let mut tree = Tree::of(&Image::of(&program));
            // Who no longer listens has dropped its session.
            let mut given = done.send(Sealed::Root(tree.root()));
            for record in waiting {
                given = given.and_then(|()| done.send(Sealed::Segment(Box::new(tree.seal(record)))));
            }
        };
        let thread = Builder::new().name("tachy-sealer".to_owned()).stack_size(STACK_BYTES).spawn(work)?;
        Ok(Sealer { records: Some(records), sealed, thread: Some(thread), under_way: 0, broken: false, roots: None })
    }

    /// Hands a record over; gives back what is sealed by now, which is waited for if too much is under way.
    pub(crate) fn seal(&mut self, record: SegmentRecord) -> Vec<Segment> {
        let mut done = Vec::new();
        while self.under_way > WAITING {
            done.extend(self.receive());
        }
        match self.records.as_ref().is_some_and(|records| records.send(record).is_ok()) {
            true => self.under_way += 1,
            false => self.broken = true,
        }
        done
    }

    /// The next segment that is under way, waited for.
    pub(crate) fn receive(&mut self) -> Option<Segment> {
        while self.under_way > 0 || self.roots.is_none() {
            match self.sealed.recv() {
                Ok(Sealed::Root(root)) => self.roots = Some((root, root)),
                Ok(Sealed::Segment(segment)) => {
                    self.under_way -= 1;
                    self.roots = self.roots.map(|(pre, _)| (pre, segment.claim().post_state));
                    return Some(*segment);
                }
                // The thread has panicked, and said so.
                Err(_) => {
                    self.broken = true;
                    self.under_way = 0;
                    return None;
                }
            }
            if self.under_way == 0 {
                break;
            }
        }
        None
    }

    /// Whether segments were lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// What comes from here on belongs to another part of the session.
    pub(crate) fn begin_part(&mut self) {
        self.roots = self.roots.map(|(_, post)| (post, post));
    }

    /// The roots of memory before the first and after the last segment that came back.
    pub(crate) fn roots(&self) -> Option<(Digest, Digest)> {
        self.roots
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.records = None;
        // Whatever is still in the queue is sealed for nobody; at most as many as may wait.
        while self.sealed.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
