//! Tests what no session shows from outside: bounds, panics of a thread, and where the first tree comes from.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::program::{Permissions, Segment as ProgramSegment};
use crate::risc0::TouchedPage;

fn program() -> Program {
    Program::from_segments(0x1_0000, vec![ProgramSegment::new(0x1_0000, vec![0x13; 5000], Permissions::RX)])
        .expect("a test's own program")
}

/// A record that writes `pages` pages from a page that depends on the index, so that segments write over each other.
fn record(index: u64, pages: u32) -> SegmentRecord {
    let content = |byte: u32| Box::new([byte as u8; PAGE_BYTES as usize]);
    let touched = |place: u32| {
        let page = 0x40 + 0x1000 * (index as u32 % 3) + place * 5;
        // Every fifth page is only read.
        let after = (place % 5 != 4).then(|| content(index as u32 + 7 * place + 1));
        TouchedPage { page, before: content(place), after }
    };
    SegmentRecord { index, pages: (0..pages).map(touched).collect(), ..SegmentRecord::default() }
}

/// Lets records enter on this thread while others work, and returns what `enter` said of each.
fn enter_all(pipeline: &Pipeline<'_>, threads: usize, records: impl Iterator<Item = SegmentRecord>) -> Vec<bool> {
    pipeline.open();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| pipeline.work(ProcessNumber::current(), false));
        }
        let said = records.map(|record| pipeline.enter(record, threads > 0)).collect();
        pipeline.close();
        if threads == 0 {
            pipeline.work_alone();
        }
        said
    })
}

#[test]
fn segments_are_those_of_a_tree_that_seals_one_after_the_other() {
    // Few pages and many, none at all, and more than one thread takes.
    let pages = |index: u64| [2, 0, 1, 40, 5, 3 * CHUNK_PAGES as u32, 1][index as usize % 7];
    let records = || (0..100).map(|index| record(index, pages(index)));
    let mut tree = Tree::of(&crate::risc0::Image::of(&program()));
    let pre = tree.root();
    let expected: Vec<Vec<u8>> = records().map(|record| tree.seal(record).encode()).collect();
    for threads in [0, 1, 2, 5] {
        let mut taken = Vec::new();
        let sink = |segment: &Segment| {
            taken.push(segment.encode());
            Ok(())
        };
        let pipeline = Pipeline::new(&program(), Box::new(sink));
        assert!(enter_all(&pipeline, threads, records()).iter().all(|goes_on| *goes_on));
        assert!(matches!(pipeline.ended(), Ended::Taken) && !pipeline.owes());
        assert_eq!(pipeline.roots(), Some((pre, tree.root())), "{threads} threads");
        drop(pipeline);
        assert_eq!(taken.len(), expected.len(), "{threads} threads");
        assert!(taken == expected, "{threads} threads");
    }
}

/// A sink that takes nothing for a while: exactly as many records enter as the limits allow.
#[test]
fn a_slow_sink_makes_records_wait() {
    // The last entry may exceed the bytes by its own.
    let large = 1000;
    let bytes = (large + large / 5 * 4) * PAGE_BYTES as usize;
    // A page is kept twice if it was written, and an answer has its own size beside its bytes.
    let answer = 4 << 20;
    let answered = answer + size_of::<Vec<u8>>() + 2 * PAGE_BYTES as usize;
    let cases =
        [(1, 0, LIMIT_SEGMENTS), (large, 0, LIMIT_BYTES.div_ceil(bytes)), (1, answer, LIMIT_BYTES.div_ceil(answered))];
    for (pages, answer, room) in cases {
        for threads in [1, 2, 5] {
            let (entered, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let sink = |_: &Segment| {
                let before = taken.load(Ordering::SeqCst);
                // Waits until the records fill all room, or there are no more.
                while entered.load(Ordering::SeqCst) < (before + room).min(2 * room) {
                    thread::yield_now();
                }
                for _ in 0..100 {
                    thread::yield_now();
                }
                assert!(entered.load(Ordering::SeqCst) <= before + room, "{before} taken, {threads} threads");
                taken.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            let pipeline = Pipeline::new(&program(), Box::new(sink));
            let answers = || (answer > 0).then(|| vec![0; answer]).into_iter().collect();
            let records =
                (0..2 * room as u64).map(|index| SegmentRecord { reads: answers(), ..record(index, pages as u32) });
            // A record is asked for when the one before it has entered.
            let counted = records.inspect(|record| entered.store(record.index as usize, Ordering::SeqCst));
            let end = std::iter::once_with(|| entered.store(2 * room, Ordering::SeqCst)).flat_map(|()| None);
            enter_all(&pipeline, threads, counted.chain(end));
            assert!(matches!(pipeline.ended(), Ended::Taken), "{pages} pages, {answer} bytes, {threads} threads");
            drop(pipeline);
            assert_eq!(taken.into_inner(), 2 * room);
        }
    }
}

/// A sink refuses a segment while a record waits for room: the record enters all the same, and the run stops.
#[test]
fn a_refusal_makes_room() {
    for threads in [0, 1, 2, 5] {
        let mut taken = Vec::new();
        let mut refusals = 1;
        let sink = |segment: &Segment| {
            if segment.index() == 3 && refusals > 0 {
                refusals -= 1;
                return Err("full".into());
            }
            taken.push(segment.index());
            Ok(())
        };
        let pipeline = Pipeline::new(&program(), Box::new(sink));
        let mut entered = 0;
        // A run stops after the first record that may not go on.
        pipeline.open();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| pipeline.work(ProcessNumber::current(), false));
            }
            while pipeline.enter(record(entered, 2), threads > 0) {
                entered += 1;
            }
            pipeline.close();
        });
        pipeline.work_alone();
        assert!(matches!(pipeline.ended(), Ended::Refused(3, Failed::Error(_))) && pipeline.owes());
        assert!(entered <= 3 + LIMIT_SEGMENTS as u64, "{entered}");
        enter_all(&pipeline, threads, std::iter::empty());
        assert!(matches!(pipeline.ended(), Ended::Taken) && !pipeline.owes());
        drop(pipeline);
        assert_eq!(taken, Vec::from_iter(0..=entered), "{threads} threads");
    }
}

/// A thread panics in code of ours. Nobody waits for it: neither a record without room, nor the other threads.
#[test]
fn a_panic_of_a_thread_ends_everything() {
    for threads in [0, 1, 2, 5] {
        let pipeline = Pipeline::new(&program(), Box::new(|_| Ok(())));
        pipeline.open();
        thread::scope(|scope| {
            scope.spawn(|| {
                let panic = callers::call(|| {
                    let _mark = MarkPanic(&pipeline);
                    panic!("on purpose");
                });
                assert!(panic.is_err());
            });
            for _ in 0..threads {
                scope.spawn(|| pipeline.work(ProcessNumber::current(), false));
            }
            let mut index = 0;
            while pipeline.enter(record(index, 1), true) {
                index += 1;
            }
        });
        assert!(pipeline.is_broken() && matches!(pipeline.ended(), Ended::Broken), "{threads} threads");
    }
}

/// A session begins with the tree that is kept with its program. This one is not the program's, so a session that
/// hashed the program's memory again would give itself away.
#[test]
fn the_memory_of_a_program_is_hashed_once() {
    let other = Tree::new(Kernel::best());
    let known = program();
    known.derived(|| other.clone());
    for program in [known.clone(), known] {
        let pipeline = Pipeline::new(&program, Box::new(|_| Ok(())));
        enter_all(&pipeline, 1, std::iter::empty());
        assert_eq!(pipeline.roots(), Some((other.root(), other.root())));
    }
    // The first session leaves the tree for all others.
    let fresh = program();
    let pipeline = Pipeline::new(&fresh.clone(), Box::new(|_| Ok(())));
    enter_all(&pipeline, 1, std::iter::once(record(0, 3)));
    let kept = fresh.derived(|| other.clone()).expect("a tree");
    assert_eq!(kept.root(), Tree::of(&crate::risc0::Image::of(&fresh)).root());
    assert_ne!(kept.root(), other.root());
}
