//! Tests of regions on their way to code memory: overwritten meanwhile, abandoned by their session, in a worker that
//! panics, and in large numbers.

use std::thread;

use super::*;
use crate::decode::{Instruction, encode};
use crate::isa::{Op, Variant};
use crate::jit::JitOptions;
use crate::jit::analysis::discover::Code as Words;
use crate::jit::analysis::region::{End, Region, Target};
use crate::jit::code::background::{Background, QUEUE};
use crate::jit::code::registry::Reserved;
use crate::program::{Permissions, Program, Segment};
use crate::rules::Rules;
use crate::trace::Level;

const CODE: u32 = 0x1_0000;
/// Bytes from one function to the next.
const FUNCTION: u32 = 64;
const FUNCTIONS: u32 = 64;

/// Functions that call the next one, add to a register and return.
struct Functions(Vec<u32>);

impl Functions {
    fn new() -> Functions {
        let insn = |op, rd, rs1, imm: u32| encode(Instruction { op, rd, rs1, rs2: 0, imm });
        let function = [insn(Op::Jal, 1, 0, FUNCTION), insn(Op::Addi, 5, 5, 1), insn(Op::Jalr, 0, 1, 0)];
        Functions(
            (0..FUNCTIONS * FUNCTION / 4).map(|at| function.get(at as usize % 16).copied().unwrap_or(0)).collect(),
        )
    }

    fn cache(&self) -> Arc<CodeCache> {
        let segment = Segment::from_words(CODE, &self.0, Permissions::RX);
        let program = Program::from_segments(CODE, vec![segment]).unwrap();
        CodeCache::new(&JitOptions::default(), Level::Off, &Rules::STANDARD, &program, false).expect("a code generator")
    }
}

impl Words for Functions {
    fn fetch(&self, pc: u32) -> Option<u32> {
        self.0.get((pc - CODE) as usize / 4).copied()
    }

    fn is_warm(&self, pc: u32) -> bool {
        // The return point of a call, and not the callee.
        !pc.is_multiple_of(FUNCTION)
    }

    fn stops_at(&self, _: u32) -> bool {
        false
    }

    fn targets(&self, _: u32) -> &[u32] {
        &[]
    }
}

/// Returns the entries of the function with this number: its start, and the return point of its call.
fn entries(number: u32) -> [u32; 2] {
    let pc = CODE + number * FUNCTION;
    [pc, pc + 4]
}

fn job(cache: &Arc<CodeCache>, number: u32, purpose: Purpose, counters: &Arc<Counters>) -> Option<Job> {
    let [pc, behind] = entries(number);
    let discover = |_: &_| Region::discover(pc, Variant::Standard, 256, &Functions::new());
    match cache.reserve(pc, purpose, &cache.generation(), discover) {
        Reserved::Yes(reservation) => {
            assert_eq!(reservation.region.entry_pcs().collect::<Vec<_>>(), [pc, behind]);
            Some(Job::new(cache, reservation, counters.clone()))
        }
        Reserved::No => None,
        Reserved::Busy => panic!("nobody else is there"),
    }
}

fn published(cache: &CodeCache, number: u32) -> [bool; 2] {
    entries(number).map(|pc| cache.generation().code.entry(pc).is_some())
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn regions_that_are_ready_together_share_pages() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let (mut compiler, mut batch) = (Compiler::new(), Batch::new());
    for number in 0..6 {
        batch.translate(job(&cache, number, Purpose::New, &counters).unwrap(), &mut compiler);
    }
    batch.publish();
    assert!((0..6).all(|number| published(&cache, number) == [true; 2]));
    assert!(count(&counters.regions) == 6 && count(&counters.code_pages) <= 2, "{counters:?}");
    for number in 6..12 {
        let mut batch = Batch::new();
        batch.translate(job(&cache, number, Purpose::New, &counters).unwrap(), &mut compiler);
        batch.publish();
    }
    assert!((7..=8).contains(&count(&counters.code_pages)), "each alone takes a page: {counters:?}");
}

#[test]
fn a_batch_is_due_when_it_fills_a_page() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let (mut compiler, mut batch) = (Compiler::new(), Batch::new());
    batch.started = Instant::now() + Duration::from_secs(1000);
    let mut number = 0;
    while !batch.is_due() {
        batch.translate(job(&cache, number, Purpose::New, &counters).unwrap(), &mut compiler);
        number += 1;
    }
    assert!(batch.bytes >= PAGE_BYTES && batch.bytes < 2 * PAGE_BYTES && number > 4, "{number}");
    batch.publish();
    assert!(count(&counters.code_pages) <= 2, "{counters:?}");
    let mut old = Batch::new();
    old.started -= BATCH_TIME;
    assert!(old.is_due());
}

#[test]
fn what_is_written_over_meanwhile_is_not_published() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let mut compiler = Compiler::new();
    // The write happens before the region is compiled and after that, in the page of one function and not in that of
    // the other.
    for (number, translated_before) in [(0, false), (1, true)] {
        let far = number + 32;
        let mut batch = Batch::new();
        let jobs = [number, far].map(|number| job(&cache, number, Purpose::New, &counters).unwrap());
        let write_over = || cache.write_over(entries(number)[1], &cache.generation(), &entries(number));
        if !translated_before {
            write_over();
        }
        jobs.into_iter().for_each(|job| batch.translate(job, &mut compiler));
        if translated_before {
            write_over();
        }
        batch.publish();
        assert_eq!((published(&cache, number), published(&cache, far)), ([false; 2], [true; 2]));
        // Both of its entries can be requested again at once.
        assert!(!entries(number).iter().any(|&pc| cache.registry().has_entry(pc)));
        let mut batch = Batch::new();
        batch.translate(job(&cache, number, Purpose::New, &counters).unwrap(), &mut compiler);
        batch.publish();
        assert_eq!(published(&cache, number), [true; 2]);
    }
}

#[test]
fn jobs_keep_no_cache_alive_and_end_their_reservations() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let dropped = job(&cache, 0, Purpose::New, &counters).unwrap();
    assert!(job(&cache, 0, Purpose::New, &counters).is_none(), "it is under way");
    drop(dropped);
    let jobs: Vec<Job> = (0..3).map(|number| job(&cache, number, Purpose::New, &counters).unwrap()).collect();
    let gone = Arc::downgrade(&cache);
    drop(cache);
    assert!(gone.upgrade().is_none());
    let (mut compiler, mut batch) = (Compiler::new(), Batch::new());
    jobs.into_iter().for_each(|job| batch.translate(job, &mut compiler));
    batch.publish();
    assert_eq!(count(&counters.regions), 0);
}

#[test]
fn a_region_is_merged_four_times_and_attempts_that_did_nothing_do_not_count() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let mut compiler = Compiler::new();
    let mut translate = |job: Job| {
        let mut batch = Batch::new();
        batch.translate(job, &mut compiler);
        batch.publish();
    };
    translate(job(&cache, 0, Purpose::New, &counters).unwrap());
    // Another region has an entry inside, so there is something to merge.
    let [pc, behind] = entries(0);
    let mut merged = 0;
    for round in 0..40 {
        let generation = cache.generation();
        generation.code.clear_entry(behind);
        let alone = |_: &_| Region::discover(behind, Variant::Standard, 256, &Functions::new());
        match cache.reserve(behind, Purpose::New, &generation, alone) {
            Reserved::Yes(reservation) => translate(Job::new(&cache, reservation, counters.clone())),
            _ => panic!("it is free"),
        }
        let Some(job) = job(&cache, 0, Purpose::Merge, &counters) else { continue };
        // Every second region is never compiled.
        if round % 2 == 0 {
            drop(job);
        } else {
            translate(job);
            merged += 1;
        }
    }
    assert_eq!((merged, count(&counters.regions_merged), cache.registry().may_merge(pc)), (4, 4, false));
}

/// Its last block has no successor, which discovery never produces.
#[test]
fn a_region_that_breaks_an_invariant_is_refused_and_counted() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let mut bad = job(&cache, 0, Purpose::New, &counters).unwrap();
    let region = Arc::get_mut(&mut bad.reservation.region).expect("nobody else holds it");
    region.blocks.last_mut().unwrap().end = End::Goto(Target::Misaligned);
    let (mut compiler, mut batch) = (Compiler::new(), Batch::new());
    batch.translate(bad, &mut compiler);
    batch.publish();
    let mut stats = crate::Stats::default();
    counters.report(&mut stats);
    assert_eq!((stats.regions, stats.regions_refused, published(&cache, 0)), (0, 1, [false; 2]));
    // It is not requested again, and the compiler continues.
    assert!(entries(0).iter().all(|&pc| cache.registry().has_entry(pc)));
    let mut batch = Batch::new();
    batch.translate(job(&cache, 1, Purpose::New, &counters).unwrap(), &mut compiler);
    batch.publish();
    assert_eq!(published(&cache, 1), [true; 2]);
}

#[test]
fn a_worker_that_panics_goes_on_with_the_next_region() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let background = Background::default();
    let mut bad = job(&cache, 0, Purpose::New, &counters).unwrap();
    bad.panics = true;
    assert!(background.send(bad, background.take_slot().unwrap()).is_ok());
    while cache.registry().has_entry(entries(0)[0]) {
        thread::yield_now();
    }
    let good = job(&cache, 0, Purpose::New, &counters).unwrap();
    assert!(background.send(good, background.take_slot().unwrap()).is_ok());
    while published(&cache, 0) != [true; 2] {
        thread::yield_now();
    }
}

/// Holding a slot guarantees that the job is done. There are never more slots than jobs that may wait, however many
/// sessions want one.
#[test]
fn slots_are_as_many_as_jobs_that_may_wait() {
    let (cache, counters) = (Functions::new().cache(), Arc::new(Counters::default()));
    let background = Background::default();
    let take = || (0..QUEUE).map_while(|_| background.take_slot()).collect::<Vec<_>>();
    let mut slots: Vec<_> = thread::scope(|scope| {
        let sessions: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        sessions.into_iter().flat_map(|session| session.join().unwrap()).collect()
    });
    assert_eq!((slots.len(), background.has_room()), (QUEUE, false));
    // A slot that was not needed is free again.
    slots.pop();
    slots.push(background.take_slot().expect("it is free"));
    assert!(background.take_slot().is_none());
    for (number, slot) in (0..).zip(slots) {
        assert!(background.send(job(&cache, number, Purpose::New, &counters).unwrap(), slot).is_ok());
    }
    while count(&counters.regions) < QUEUE as u64 {
        thread::yield_now();
    }
    assert_eq!(take().len(), QUEUE);
}
