//! The way from the machine's records to the caller's segments, in three stages: hash pages, update the tree, hand over.
//!
//! Any number of threads work on it. Each takes the most urgent task that is free. There is one tree and one sink, so
//! segments stay in order, but pages are hashed by any thread and in any order. Pages of several segments are hashed
//! together, and so are their inner nodes, because the hash is fast only if its lanes are full.
//!
//! The number of segments under way is bounded, and so are the bytes of their pages. A record without room waits. This
//! file must not know who starts threads, or how a run makes records.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tachy_runtime::poseidon2::{Kernel, PoseidonDigest};
use tachy_runtime::{PAGE_BYTES, PageContent, ProcessNumber};

use super::format::{Digest, HashedRecord, Segment, SegmentRecord, Tree, initial_tree, take_written};
use crate::callers::{self, Failed};
use crate::program::Program;
use crate::trace::SinkError;

/// Takes each finished segment.
pub(crate) type SegmentSink<'env> = Box<dyn FnMut(&Segment) -> Result<(), SinkError> + Send + 'env>;

/// A record enters while fewer segments than this are under way.
const LIMIT_SEGMENTS: usize = 32;

/// A record enters while the pages of the segments under way have fewer bytes than this.
const LIMIT_BYTES: usize = 32 << 20;

/// Maximum number of pages that a thread takes at once: two rounds of the widest kernel.
const CHUNK_PAGES: usize = 32;

/// Number of pages that fill the lanes of the widest kernel. Fewer pages take as long.
const FULL_PAGES: usize = 16;

/// Why a thread stopped working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Everything is done, or a thread has panicked.
    Done,
    /// There is work for another thread, and none is idle.
    NeedsHelp,
    /// The sink has forked, and this is the child. It has no run that could make more records.
    Elsewhere,
}

/// How a run's segments were handed over.
pub(super) enum Ended {
    /// The sink has taken them all.
    Taken,
    /// The sink failed on the segment with this index.
    Refused(u64, Failed),
    /// A thread has panicked, and its data are lost.
    Broken,
}

/// The segments of a session that are under way; see the module.
pub(super) struct Pipeline<'env> {
    program: Program,
    kernel: Kernel,
    state: Mutex<State<'env>>,
    /// Where threads wait for work.
    work: Condvar,
    /// Where a record waits for room.
    room: Condvar,
}

struct State<'env> {
    /// Records that are not sealed, in order.
    records: VecDeque<Hashing>,
    /// How many records were sealed before them.
    records_before: u64,
    /// Pages that no thread has taken.
    pages: VecDeque<Page<Box<PageContent>>>,
    /// `None` while a thread has it. Inside is memory after the last sealed segment, once a thread has hashed the
    /// program's memory.
    tree: Option<Option<Tree>>,
    /// Sealed segments that the sink has not taken, the refused one first.
    sealed: VecDeque<Sealed>,
    /// `None` while a thread calls it.
    sink: Option<SegmentSink<'env>>,
    /// The segment that the sink refused in this run. The sink is not called again before the next run.
    refused: Option<(u64, Failed)>,
    /// Roots of memory before the first and after the last sealed segment.
    roots: Option<(Digest, Digest)>,
    /// Number of segments under way: from a record's entry until the sink has taken the segment.
    segments: usize,
    /// Bytes of their pages.
    bytes: usize,
    /// Whether no more records enter in this run.
    is_closed: bool,
    /// Whether a thread has panicked, or an invariant does not hold. Then nothing more is done.
    is_broken: bool,
    /// Number of threads that wait for work.
    idle: usize,
    /// Number of threads that have a task.
    busy: usize,
}

/// A written page, or its digest.
struct Page<T> {
    /// The number of its record.
    record: u64,
    /// Its place among the written pages of the record.
    place: usize,
    value: T,
}

/// A record whose pages are being hashed.
struct Hashing {
    hashed: HashedRecord,
    /// Number of written pages that have no digest yet.
    missing: usize,
    bytes: usize,
}

/// A segment with the bytes of its pages.
struct Sealed {
    segment: Box<Segment>,
    bytes: usize,
}

/// What a thread does next, with everything that it needs.
enum Task<'env> {
    Hash(Vec<Page<Box<PageContent>>>),
    Seal(Option<Tree>, Vec<Hashing>),
    Give(SegmentSink<'env>, Sealed),
}

/// What a task comes to.
enum Done<'env> {
    Hash(Vec<Page<PoseidonDigest>>),
    Seal(Tree, Vec<Sealed>),
    Give(SegmentSink<'env>, Sealed, Result<(), Failed>),
}

impl<'env> Pipeline<'env> {
    /// Makes a pipeline that begins with the memory of a program. It is closed until the first run.
    pub(super) fn new(program: &Program, sink: SegmentSink<'env>) -> Pipeline<'env> {
        let state = State {
            records: VecDeque::new(),
            records_before: 0,
            pages: VecDeque::new(),
            tree: Some(None),
            sealed: VecDeque::new(),
            sink: Some(sink),
            refused: None,
            roots: None,
            segments: 0,
            bytes: 0,
            is_closed: true,
            is_broken: false,
            idle: 0,
            busy: 0,
        };
        Pipeline {
            program: program.clone(),
            kernel: Kernel::best(),
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'env>> {
        // A thread that panics marks the state as broken.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run: records may enter, and the sink gets the segments that it refused before.
    pub(super) fn open(&self) {
        let mut state = self.lock();
        state.is_closed = false;
        state.refused = None;
    }

    /// Ends a run: no more records enter.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.work.notify_all();
    }

    /// Lets a record enter, and first waits for room. Without other threads, this one makes the room. Returns whether
    /// the run may continue; it may not after a segment was refused.
    pub(super) fn enter(&self, record: SegmentRecord, has_threads: bool) -> bool {
        let mut state = self.lock();
        while !state.has_room() && !state.has_failed() {
            if has_threads {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                drop(state);
                self.work_alone();
                state = self.lock();
            }
        }
        state.enter(record);
        if state.idle > 0 {
            self.work.notify_one();
        }
        !state.has_failed()
    }

    /// Does everything that can be done, on a thread without others.
    pub(super) fn work_alone(&self) {
        let _mark = MarkPanic(self);
        loop {
            let Some(task) = self.lock().next_task() else { return };
            let done = task.run(&self.program, self.kernel);
            self.finish(&mut self.lock(), done);
        }
    }

    /// Works until the run has ended and everything is done. With `asks_for_help`, stops earlier where another thread
    /// would help.
    pub(super) fn work(&self, process: ProcessNumber, asks_for_help: bool) -> Stopped {
        let _mark = MarkPanic(self);
        let mut state = self.lock();
        while !state.is_broken {
            if state.tasks() > 1 {
                if state.idle > 0 {
                    self.work.notify_one();
                } else if asks_for_help {
                    return Stopped::NeedsHelp;
                }
            }
            let Some(task) = state.next_task() else {
                if state.is_done() {
                    break;
                }
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            drop(state);
            let done = task.run(&self.program, self.kernel);
            if process != ProcessNumber::current() {
                // Another thread of the parent may hold the lock forever, or may be changing anything else here.
                mem::forget(done);
                return Stopped::Elsewhere;
            }
            state = self.lock();
            self.finish(&mut state, done);
        }
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
        Stopped::Done
    }

    /// Puts back what a task has used, and what came of it.
    fn finish(&self, state: &mut State<'env>, done: Done<'env>) {
        state.busy -= 1;
        match done {
            Done::Hash(pages) => state.take_digests(pages),
            Done::Seal(tree, sealed) => state.take_sealed(tree, sealed),
            Done::Give(sink, sealed, given) => {
                state.take_back(sink, sealed, given);
                self.room.notify_one();
            }
        }
    }

    /// Returns how the run's segments were handed over.
    pub(super) fn ended(&self) -> Ended {
        let mut state = self.lock();
        match state.refused.take() {
            _ if state.is_broken => Ended::Broken,
            Some((index, failed)) => Ended::Refused(index, failed),
            None => Ended::Taken,
        }
    }

    /// Returns whether a thread has panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// Returns whether segments wait for the next run.
    pub(super) fn owes(&self) -> bool {
        !self.lock().sealed.is_empty()
    }

    /// Begins another part of the session.
    pub(super) fn begin_part(&self) {
        let mut state = self.lock();
        state.roots = state.roots.map(|(_, post)| (post, post));
    }

    /// Returns the roots of memory before the first and after the last sealed segment; `None` before the first run.
    pub(super) fn roots(&self) -> Option<(Digest, Digest)> {
        self.lock().roots
    }
}

impl<'env> State<'env> {
    fn has_room(&self) -> bool {
        self.segments < LIMIT_SEGMENTS && self.bytes < LIMIT_BYTES
    }

    fn has_failed(&self) -> bool {
        self.refused.is_some() || self.is_broken
    }

    fn enter(&mut self, mut record: SegmentRecord) {
        let number = self.records_before + self.records.len() as u64;
        let contents = take_written(&mut record);
        let pages_bytes = (record.pages.len() + contents.len()) * PAGE_BYTES as usize;
        let reads_bytes: usize = record.reads.iter().map(|read| size_of_val(read) + read.capacity()).sum();
        let bytes = pages_bytes + reads_bytes + size_of_val(&record.writes[..]);
        self.segments += 1;
        self.bytes += bytes;
        let written: Vec<(u32, PoseidonDigest)> = contents.iter().map(|(page, _)| (*page, [0; 8])).collect();
        let pages = contents.into_iter().enumerate();
        self.pages.extend(pages.map(|(place, (_, value))| Page { record: number, place, value }));
        self.records.push_back(Hashing { missing: written.len(), hashed: HashedRecord { record, written }, bytes });
    }

    /// Whether the sink can take a segment.
    fn can_give(&self) -> bool {
        self.sink.is_some() && self.refused.is_none() && !self.sealed.is_empty()
    }

    /// Whether the tree can be hashed for the first time, or updated.
    fn can_seal(&self) -> bool {
        let is_hashed = self.records.front().is_some_and(|record| record.missing == 0);
        self.tree.as_ref().is_some_and(|tree| tree.is_none() || is_hashed)
    }

    /// Whether pages can be hashed. Few pages wait for others while another thread has a task and records may enter;
    /// that thread looks again when it is done.
    fn can_hash(&self) -> bool {
        let pages = self.pages.len();
        pages >= FULL_PAGES || (pages > 0 && (self.busy == 0 || self.is_closed || !self.has_room()))
    }

    /// Returns the number of tasks that could begin now.
    fn tasks(&self) -> usize {
        let chunks = if self.can_hash() { self.pages.len().div_ceil(CHUNK_PAGES) } else { 0 };
        usize::from(self.can_give()) + usize::from(self.can_seal()) + chunks
    }

    /// Takes the most urgent task: the one that is nearest to the end, so that segments leave early.
    fn next_task(&mut self) -> Option<Task<'env>> {
        let task = self.take_task();
        self.busy += usize::from(task.is_some());
        task
    }

    fn take_task(&mut self) -> Option<Task<'env>> {
        if self.can_give()
            && let Some(sink) = self.sink.take()
            && let Some(sealed) = self.sealed.pop_front()
        {
            return Some(Task::Give(sink, sealed));
        }
        if self.can_seal()
            && let Some(tree) = self.tree.take()
        {
            let hashed = self.records.iter().take_while(|record| record.missing == 0).count();
            self.records_before += hashed as u64;
            return Some(Task::Seal(tree, self.records.drain(..hashed).collect()));
        }
        let count = self.pages.len().min(CHUNK_PAGES);
        self.can_hash().then(|| Task::Hash(self.pages.drain(..count).collect()))
    }

    fn take_digests(&mut self, pages: Vec<Page<PoseidonDigest>>) {
        for Page { record, place, value } in pages {
            // A record stays until its last page has come back.
            let record = record.checked_sub(self.records_before).and_then(|at| self.records.get_mut(at as usize));
            let Some(record) = record else {
                self.is_broken = true;
                return;
            };
            if let Some((_, digest)) = record.hashed.written.get_mut(place) {
                *digest = value;
                record.missing -= 1;
            }
        }
    }

    fn take_sealed(&mut self, tree: Tree, sealed: Vec<Sealed>) {
        let post = tree.root();
        let pre = sealed.first().map_or(post, |sealed| sealed.segment.claim().pre_state);
        self.roots = Some((self.roots.map_or(pre, |(pre, _)| pre), post));
        self.tree = Some(Some(tree));
        self.sealed.extend(sealed);
    }

    fn take_back(&mut self, sink: SegmentSink<'env>, sealed: Sealed, given: Result<(), Failed>) {
        self.sink = Some(sink);
        match given {
            Ok(()) => {
                self.segments -= 1;
                self.bytes -= sealed.bytes;
            }
            Err(failed) => {
                self.refused = Some((sealed.segment.index(), failed));
                self.sealed.push_front(sealed);
            }
        }
    }

    /// Whether all records have come as far as they can in this run.
    fn is_done(&self) -> bool {
        let is_idle = self.tree.is_some() && self.sink.is_some();
        let is_given = self.sealed.is_empty() || self.refused.is_some();
        self.is_closed && is_idle && is_given && self.records.is_empty()
    }
}

impl<'env> Task<'env> {
    fn run(self, program: &Program, kernel: Kernel) -> Done<'env> {
        match self {
            Task::Hash(pages) => {
                let contents: Vec<&PageContent> = pages.iter().map(|page| &*page.value).collect();
                let digests = kernel.hash_pages(&contents);
                let hashed = pages.iter().zip(digests);
                let page = |(&Page { record, place, .. }, value): (&Page<_>, _)| Page { record, place, value };
                Done::Hash(hashed.map(page).collect())
            }
            Task::Seal(tree, records) => {
                let mut tree = tree.unwrap_or_else(|| initial_tree(program).into_owned());
                let (hashed, bytes): (Vec<_>, Vec<_>) =
                    records.into_iter().map(|record| (record.hashed, record.bytes)).unzip();
                let segments = tree.seal_all(hashed).into_iter().zip(bytes);
                let sealed = segments.map(|(segment, bytes)| Sealed { segment: Box::new(segment), bytes }).collect();
                Done::Seal(tree, sealed)
            }
            Task::Give(mut sink, sealed) => {
                let given = callers::give(|| sink(&sealed.segment));
                Done::Give(sink, sealed, given)
            }
        }
    }
}

/// Marks the pipeline as broken if its thread panics, so that nobody waits for the thread.
struct MarkPanic<'a, 'env>(&'a Pipeline<'env>);

impl Drop for MarkPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().is_broken = true;
            self.0.work.notify_all();
            self.0.room.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
