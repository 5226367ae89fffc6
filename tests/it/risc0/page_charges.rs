//! Tests R0VM's charges for pages: programs that touch pages all over memory, against a second implementation of the
//! rules.
//!
//! The rules derive a segment's charges from the instructions alone. The first touch of a page in a segment takes 322
//! cycles, and its first write 322 more. Each of the two takes another 13 for every node of the tree above the page
//! that no other page of the segment has brought in. The segment ends before the first instruction that finds too
//! little left. Here a segment is two sets of nodes, by level and place, and the touched pages are derived from the
//! rows.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::common::assembler::Assembler;
use crate::common::rng::Rng;
use tachy::decode::decode;
use tachy::isa::{Class, Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::risc0::SegmentCycles;
use tachy::trace::{Effect, EffectKind, Space, VecSink};
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, NullSink, Program, Row, Sink};

const PAGE_BYTES: u32 = 1024;
/// Number of levels of the tree, including the pages'.
const LEVELS: u32 = 23;
/// Lowest page that instructions may touch, the page of the registers, and the number of pages.
const LOWEST: u32 = 0x1_0000 / PAGE_BYTES;
const SYSTEM: u32 = 0xffff_0000 / PAGE_BYTES;
const PAGES: u32 = 1 << 22;

// ---------------------------------------------------------------------------------------------------------------------
// The rules

/// Pages and the nodes above them: level, and place in the level.
#[derive(Default)]
struct Nodes(BTreeSet<(u32, u32)>);

impl Nodes {
    /// Adds a page and all nodes above it. Returns the cycles of the new ones.
    fn add(&mut self, page: u32) -> u32 {
        let new = (0..LEVELS).filter(|level| self.0.insert((*level, page >> level)));
        new.map(|level| if level == 0 { 322 } else { 13 }).sum()
    }

    fn pages(&self) -> Vec<u32> {
        self.0.range(..(1, 0)).map(|(_, page)| *page).collect()
    }
}

/// A segment's numbers, and the pages that it touched.
type Expected = (SegmentCycles, Vec<u32>);

/// The charges of a program, step by step.
#[derive(Default)]
struct Charges {
    /// Completed segments.
    segments: Vec<Expected>,
    /// Each first touch and first write with its cycles.
    effects: Vec<Effect>,
    step: u64,
    /// User cycles of the current segment.
    user: u32,
    paging: u32,
    loaded: Nodes,
    dirty: Nodes,
}

impl Charges {
    /// Begins a segment, in which the machine itself loads from the page of the registers and stores there.
    fn begin_segment(&mut self) {
        (self.user, self.paging) = (0, 10);
        self.touch(SYSTEM, true);
    }

    fn touch(&mut self, page: u32, writes: bool) {
        let load = (EffectKind::PageIn, self.loaded.add(page));
        let write = (EffectKind::PageOut, if writes { self.dirty.add(page) } else { 0 });
        for (kind, cycles) in [load, write].into_iter().filter(|(_, cycles)| *cycles != 0) {
            self.paging += cycles;
            self.effects.push(Effect::new(self.step, kind, Space::Memory, page * PAGE_BYTES, cycles, cycles));
        }
    }

    /// Returns all cycles, including those of the segment's end.
    fn total(&self) -> u32 {
        self.user + self.paging + 4113
    }

    fn end_segment(&mut self, po2: u32) {
        let cycles = SegmentCycles { po2, user_cycles: self.user, paging_cycles: self.paging };
        self.segments.push((cycles, std::mem::take(&mut self.loaded).pages()));
        self.dirty = Nodes::default();
    }
}

/// Returns the segments and charges of a program that took these steps and ended with the last.
fn expected(rows: &[Row], po2: u32) -> (Vec<Expected>, Vec<Effect>) {
    let margin = if po2 < 15 { 2_000 } else { 25_000 };
    let mut charges = Charges::default();
    charges.begin_segment();
    for row in rows {
        if charges.total() > (1 << po2) - margin {
            charges.end_segment(po2);
            charges.begin_segment();
        }
        charges.user += 1;
        charges.touch(row.pc / PAGE_BYTES, false);
        match decode(row.insn, Variant::R0vm).expect("it ran").op.line().class {
            Class::Load => charges.touch(row.addr / PAGE_BYTES, false),
            Class::Store => charges.touch(row.addr / PAGE_BYTES, true),
            _ => {}
        }
        charges.step += 1;
    }
    // Terminating takes two cycles.
    charges.user += 1;
    charges.end_segment(charges.total().next_power_of_two().ilog2());
    (charges.segments, charges.effects)
}

// ---------------------------------------------------------------------------------------------------------------------
// Programs

/// Registers: the address of an access, the target of a jump, the remaining passes, and the value loaded and stored.
const ADDRESS: u8 = 5;
const TARGET: u8 = 6;
const PASSES: u8 = 8;
const VALUE: u8 = 9;

/// Picks a page anywhere, at an end of memory, beside `near`, or one that shares some of the tree with `near`.
fn page(rng: &mut Rng, near: u32) -> u32 {
    let page = match rng.below(6) {
        0 => rng.pick(&[LOWEST, LOWEST + 1, SYSTEM - 1, SYSTEM + 1, PAGES - 1, PAGES / 2 - 1, PAGES / 2]),
        1 => near ^ 1,
        2 | 3 => near ^ 1 << rng.below(22),
        _ => rng.between(LOWEST, PAGES),
    };
    if page < LOWEST || page == SYSTEM { LOWEST + 2 } else { page }
}

/// Builds code in several pages that cycles among them, with loads and stores of every width in between.
fn program(rng: &mut Rng) -> Program {
    let mut code = vec![page(rng, LOWEST)];
    while code.len() < 5 {
        let page = page(rng, code[0]);
        if !code.contains(&page) {
            code.push(page);
        }
    }
    let mut data = code[0];
    let mut segments = Vec::new();
    for (index, &own) in code.iter().enumerate() {
        let mut asm = Assembler::new(own * PAGE_BYTES);
        if index == 0 {
            // The counter of passes starts at 0.
            asm.i(Op::Addi, PASSES, PASSES, 1);
        }
        for _ in 0..rng.between(5, 40) {
            let candidate = if rng.one_in(3) { data } else { page(rng, data) };
            let (op, bytes) =
                rng.pick(&[(Op::Lb, 1), (Op::Lhu, 2), (Op::Lw, 4), (Op::Sb, 1), (Op::Sh, 2), (Op::Sw, 4), (Op::Sw, 4)]);
            if matches!(op, Op::Sb | Op::Sh | Op::Sw) && code.contains(&candidate) {
                continue;
            }
            data = candidate;
            asm.li(ADDRESS, data * PAGE_BYTES + rng.below((PAGE_BYTES / bytes) as u64) as u32 * bytes);
            asm.op(op, VALUE, ADDRESS, VALUE, 0);
        }
        match code.get(index + 1) {
            Some(next) => asm.li(TARGET, next * PAGE_BYTES),
            None => {
                let again = asm.label();
                asm.i(Op::Slti, VALUE, PASSES, 12);
                asm.branch(Op::Bne, VALUE, 0, again);
                // a0 and a7 are 0: the program halts.
                asm.op(Op::Ecall, 0, 0, 0, 0);
                asm.place(again);
                asm.li(TARGET, code[0] * PAGE_BYTES);
            }
        }
        asm.i(Op::Jalr, 0, TARGET, 0);
        let words = asm.finish().words;
        assert!(words.len() <= PAGE_BYTES as usize / 4);
        segments.push(Segment::from_words(own * PAGE_BYTES, &words, Permissions::RWX));
    }
    Program::from_segments(code[0] * PAGE_BYTES, segments).expect("a test's own program")
}

/// Asserts that two lists are equal, and shows where they differ first.
fn assert_alike<T: PartialEq + Debug>(what: &str, expected: &[T], found: &[T]) {
    let longest = expected.len().max(found.len());
    if let Some(at) = (0..longest).find(|&at| expected.get(at) != found.get(at)) {
        panic!("{what} {at}: expected {:x?}, found {:x?}", expected.get(at), found.get(at));
    }
}

#[test]
fn segments_take_what_their_pages_and_instructions_do() {
    let mut warm = JitOptions::eager();
    warm.threshold = 3;
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let program = program(&mut rng);
        let po2 = rng.pick(&[13, 13, 14, 16, 18]);
        let mut rows = Vec::new();
        for (engine, jit, off) in [
            (Engine::Interpreter, JitOptions::default(), false),
            (Engine::Jit, JitOptions::eager(), true),
            (Engine::Jit, warm.clone(), false),
        ] {
            let what = format!("seed {seed}, po2 {po2}, {engine:?}:");
            let builder = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(jit);
            let executor = builder.build(&program).expect("an executor");
            let mut pages = Vec::new();
            let env = Env::new().segment_po2(po2).segments(|segment| {
                pages.push(segment.partial_image().pages().map(|(page, _)| page).collect::<Vec<_>>());
                Ok(())
            });
            let (mut sink, mut no_sink) = (VecSink::default(), NullSink::off());
            let sink_used: &mut dyn Sink = if off { &mut no_sink } else { &mut sink };
            let session = executor.trace(env, sink_used).expect("it ends");
            let report = session.into_report().expect("the machine is r0vm");
            if rows.is_empty() {
                rows = sink.rows;
            }
            let (segments, effects) = expected(&rows, po2);
            assert!(po2 != 13 || segments.len() > 20, "{what} too few segments to show anything");
            assert_alike(
                &format!("{what} segment"),
                &segments,
                &report.each.iter().copied().zip(pages).collect::<Vec<_>>(),
            );
            if !off {
                sink.effects.retain(|effect| matches!(effect.kind(), EffectKind::PageIn | EffectKind::PageOut));
                assert_alike(&format!("{what} charge"), &effects, &sink.effects);
            }
            let paging: u64 = segments.iter().map(|(segment, _)| segment.paging_cycles as u64).sum();
            assert_eq!((report.segments, report.paging_cycles), (segments.len() as u64, paging), "{what}");
        }
    }
}
