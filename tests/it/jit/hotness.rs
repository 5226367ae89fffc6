//! What is taken for warm: how often control came where, and what ran, over pages and over sessions. Programs whose
//! counters can be told beforehand, translated on the spot.

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, exit};
use crate::common::engines::{Case, Setup};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, Executor, MachineKind, Program, Stats};

const PAGE_BYTES: u32 = 1024;
/// Counts rounds, down to 0.
const ROUNDS: u8 = 5;
/// Added to, and tested.
const SUM: u8 = 6;
const BIT: u8 = 7;
/// Where to go on.
const TARGET: u8 = 28;

/// One session to its end: its counters.
fn run(executor: &Executor) -> Stats {
    executor.run(Env::new()).expect("it ends").stats()
}

/// A threshold, with translation on the spot.
fn threshold(threshold: u16) -> Setup {
    Setup::eager().threshold(threshold)
}

fn program(entry: u32, segments: Vec<(u32, Vec<u32>)>) -> Case {
    let segments = segments.iter().map(|(address, words)| Segment::from_words(*address, words, Permissions::RX));
    Case::new(Program::from_segments(entry, segments.collect()).expect("a test's own program"))
}

/// What is hot is translated when control has come there as often as the threshold says, with the code that ran around it
/// and is warm: not what never ran, and not what a branch went to rarely.
#[test]
fn a_region_is_what_ran_and_is_warm() {
    const THRESHOLD: u16 = 320;
    let mut asm = Assembler::new(CODE);
    let (never, often, rarely, next, last) = (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
    asm.li(ROUNDS, 1000);
    let top = asm.label_here();
    asm.branch(Op::Beq, ROUNDS, 0, never);
    asm.i(Op::Andi, BIT, ROUNDS, 1);
    asm.branch(Op::Bne, BIT, 0, often);
    asm.place(next);
    asm.i(Op::Andi, BIT, ROUNDS, 127);
    asm.branch(Op::Beq, BIT, 0, rarely);
    asm.place(last);
    asm.i(Op::Addi, ROUNDS, ROUNDS, -1);
    asm.branch(Op::Bne, ROUNDS, 0, top);
    exit(&mut asm);
    for (label, back, count) in [(never, next, 9), (often, next, 3), (rarely, last, 5)] {
        asm.place(label);
        for _ in 0..count {
            asm.i(Op::Addi, SUM, SUM, 1);
        }
        asm.jal(0, back);
    }
    let case = program(CODE, vec![(CODE, asm.finish().words)]);
    let stats = run(&threshold(THRESHOLD).executor(&case));
    // Seven instructions of each round, and the block that every second round goes to, with its jump.
    assert_eq!((stats.regions, stats.translated_instructions), (1, 7 + 4), "{stats:?}");
    // As many rounds as the threshold says; in seven of all the block that is left out, after five of those the rest of
    // the round, too; and the end.
    let rounds = u64::from(THRESHOLD) * 7 + u64::from(THRESHOLD) / 2 * 4;
    assert_eq!(stats.interpreted_steps, 1 + rounds + 7 * 6 + 5 * 2 + 2, "{stats:?}");
}

/// Emits a jump to anywhere.
fn jump(asm: &mut Assembler, to: u32) {
    asm.op(Op::Lui, TARGET, 0, 0, (to.wrapping_add(0x800) & !0xfff) as i32);
    asm.i(Op::Jalr, 0, TARGET, (to << 20) as i32 >> 20);
}

/// Rounds of a short loop, and its instructions.
const SHORT_ROUNDS: i32 = 10;
const SHORT_INSTRUCTIONS: u64 = 4;
/// What sessions of [`SHORT_ROUNDS`] have reached before the fourth.
const THREE_SESSIONS: u16 = 3 * SHORT_ROUNDS as u16;

/// A loop at the next word, to come to by a jump, and `after` behind it; then code that never runs.
fn short_loop(asm: &mut Assembler, after: impl FnOnce(&mut Assembler)) {
    let never = asm.label();
    let top = asm.label_here();
    asm.i(Op::Addi, ROUNDS, ROUNDS, 1);
    asm.branch(Op::Blt, ROUNDS, 0, never);
    asm.i(Op::Slti, BIT, ROUNDS, SHORT_ROUNDS);
    asm.branch(Op::Bne, BIT, 0, top);
    asm.li(ROUNDS, 0);
    after(asm);
    asm.place(never);
    asm.i(Op::Addi, SUM, SUM, 1);
    asm.jal(0, top);
}

/// What sessions that end before anything is hot find out adds up, in whatever page and place of a page it was.
#[test]
fn sessions_add_up() {
    // Places in a page come in groups of 64 words, pages in groups of 1024.
    let tops = [CODE + 4 * 61, CODE + 4 * 122, CODE + PAGE_BYTES * 5 + 4 * 200, 0x0123_4400 + 4 * 3, 0x0200_0c00];
    let mut asm = Assembler::new(CODE);
    jump(&mut asm, tops[0]);
    let mut segments = vec![(CODE, asm.finish().words)];
    for (index, &top) in tops.iter().enumerate() {
        let mut asm = Assembler::new(top);
        short_loop(&mut asm, |asm| match tops.get(index + 1) {
            Some(&next) => {
                // No region goes beyond a system call: one that the machine does not know.
                asm.op(Op::Ecall, 0, 0, 0, 0);
                jump(asm, next);
            }
            None => exit(asm),
        });
        segments.push((top, asm.finish().words));
    }
    let executor = threshold(THREE_SESSIONS + 1).executor(&program(CODE, segments));
    for session in 0..6 {
        let stats = run(&executor);
        let what = format!("session {session}: {stats:?}");
        // The jump to the first loop; behind each loop the call and the jump, behind the last one the exit.
        let between = 2 + 4 * 3 + 1;
        // The instruction behind a loop, and the first one of the exit, belong to its region.
        let regions = tops.len() as u64 * (SHORT_INSTRUCTIONS + 1) + 1;
        let short = tops.len() as u64 * (SHORT_INSTRUCTIONS * SHORT_ROUNDS as u64 + 1) + 1;
        let expected = match session {
            0..3 => (short + between, 0, 0),
            3 => (between, tops.len() as u64, regions),
            _ => (between, 0, 0),
        };
        assert_eq!((stats.interpreted_steps, stats.regions, stats.translated_instructions), expected, "{what}");
    }
}

/// Code in two pages gets hot as well as in one.
#[test]
fn loops_over_two_pages() {
    let far = CODE + PAGE_BYTES;
    let mut asm = Assembler::new(CODE);
    asm.li(ROUNDS, 1000);
    let top = asm.here();
    asm.i(Op::Addi, SUM, SUM, 1);
    asm.op(Op::Jal, 0, 0, 0, (far - asm.here()) as i32);
    let mut other = Assembler::new(far);
    other.i(Op::Addi, ROUNDS, ROUNDS, -1);
    let distance = top.wrapping_sub(other.here()) as i32;
    other.op(Op::Bne, 0, ROUNDS, 0, distance);
    exit(&mut other);
    let segments = vec![(CODE, asm.finish().words), (far, other.finish().words)];
    // Also where there is so much code that sessions neither share any nor leave anything to each other.
    let much = [segments.clone(), vec![(CODE + (1 << 20), vec![0; 8192 * PAGE_BYTES as usize / 4])]].concat();
    for segments in [segments, much] {
        let stats = run(&threshold(50).executor(&program(CODE, segments)));
        // The page that is jumped to first is hot first, in the middle of a round.
        let interpreted = 1 + 49 * 4 + 2 + 2;
        assert_eq!((stats.translated_instructions, stats.interpreted_steps), (4, interpreted), "{stats:?}");
    }
}

/// Where a region ends because it is full, the next one begins at once.
#[test]
fn regions_that_are_full() {
    let mut asm = Assembler::new(CODE);
    asm.li(ROUNDS, 1000);
    let top = asm.label_here();
    for _ in 0..38 {
        asm.i(Op::Addi, SUM, SUM, 1);
    }
    asm.i(Op::Addi, ROUNDS, ROUNDS, -1);
    asm.branch(Op::Bne, ROUNDS, 0, top);
    exit(&mut asm);
    let case = program(CODE, vec![(CODE, asm.finish().words)]);
    let stats = run(&threshold(50).region_instructions(10).executor(&case));
    assert_eq!((stats.regions, stats.translated_instructions), (4, 40), "{stats:?}");
    assert_eq!(stats.interpreted_steps, 1 + 50 * 40 + 2, "{stats:?}");
}

/// What sessions leave to each other is bounded: the first 12,288 pages are kept, and what came later never gets warm. On
/// R0VM, where code may lie anywhere.
#[test]
fn what_is_kept_is_bounded() {
    const KEPT_PAGES: u32 = 12 * 1024;
    let start = CODE + 2 * PAGE_BYTES;
    // One page is that of the first jump.
    let pages = KEPT_PAGES;
    for (kept, tops) in [(true, &[0, 5000, pages - 2][..]), (false, &[pages - 1])] {
        let mut words = vec![0; pages as usize * PAGE_BYTES as usize / 4];
        for page in 0..pages {
            let at = start + page * PAGE_BYTES;
            let mut asm = Assembler::new(at);
            let on = |asm: &mut Assembler| match page + 1 < pages {
                true => jump(asm, at + PAGE_BYTES),
                // a0 and a7 are 0: the program halts.
                false => asm.op(Op::Ecall, 0, 0, 0, 0),
            };
            match tops.contains(&page) {
                true => short_loop(&mut asm, on),
                false => on(&mut asm),
            }
            let code = asm.finish().words;
            words[(page * PAGE_BYTES / 4) as usize..][..code.len()].copy_from_slice(&code);
        }
        let mut asm = Assembler::new(CODE);
        jump(&mut asm, start);
        let segments = vec![
            Segment::from_words(CODE, &asm.finish().words, Permissions::RX),
            Segment::from_words(start, &words, Permissions::RW),
        ];
        let case = Case::new(Program::from_segments(CODE, segments).expect("a test's own program"));
        let executor = threshold(THREE_SESSIONS + 1).executor(&case.on(MachineKind::R0vm));
        for session in 0..5 {
            let stats = run(&executor);
            let regions = if kept && session >= 3 { tops.len() as u64 } else { 0 };
            assert_eq!(stats.regions, regions, "loops in pages {tops:?}, session {session}: {stats:?}");
        }
    }
}
