//! Tests hotness: how often control reaches a place and what runs, across pages and sessions. The programs have
//! predictable counters, and translation is synchronous.

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, exit};
use crate::common::engines::{Case, Setup};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, Executor, MachineKind, Program, Stats};

const PAGE_BYTES: u32 = 1024;
/// Counts rounds, down to 0.
const ROUNDS: u8 = 5;
/// Incremented and tested.
const SUM: u8 = 6;
const BIT: u8 = 7;
/// Address of the next jump.
const TARGET: u8 = 28;

/// Runs one session to its end and returns its counters.
fn run(executor: &Executor) -> Stats {
    executor.run(Env::new()).expect("it ends").stats()
}

/// Returns a setup with a threshold and synchronous translation.
fn threshold(threshold: u16) -> Setup {
    Setup::eager().threshold(threshold)
}

fn program(entry: u32, segments: Vec<(u32, Vec<u32>)>) -> Case {
    let segments = segments.iter().map(|(address, words)| Segment::from_words(*address, words, Permissions::RX));
    Case::new(Program::from_segments(entry, segments.collect()).expect("a test's own program"))
}

/// Hot code is translated when control has reached it as often as the threshold says. The region includes the warm code
/// around it, but neither code that never ran nor a rarely taken path.
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
    // Seven instructions of each round, and the block of every second round with its jump.
    assert_eq!((stats.regions, stats.translated_instructions), (1, 7 + 4), "{stats:?}");
    // The threshold's number of rounds. Also, in seven of all rounds the block that is not translated, after five of
    // those the rest of the round, too, and the end.
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
/// Number of rounds of three sessions of [`SHORT_ROUNDS`], before the fourth.
const THREE_SESSIONS: u16 = 3 * SHORT_ROUNDS as u16;

/// Emits a loop at the next word, which a jump reaches, and `after` behind it; then code that never runs.
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

/// Counts of sessions that end before anything is hot add up, in any page and at any place within it.
#[test]
fn sessions_add_up() {
    // Counts within a page are in groups of 64 words, pages are in groups of 1024.
    let tops = [CODE + 4 * 61, CODE + 4 * 122, CODE + PAGE_BYTES * 5 + 4 * 200, 0x0123_4400 + 4 * 3, 0x0200_0c00];
    let mut asm = Assembler::new(CODE);
    jump(&mut asm, tops[0]);
    let mut segments = vec![(CODE, asm.finish().words)];
    for (index, &top) in tops.iter().enumerate() {
        let mut asm = Assembler::new(top);
        short_loop(&mut asm, |asm| match tops.get(index + 1) {
            Some(&next) => {
                // A system call, here an unknown one.
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
        // After each loop the call and the jump, after the last one the exit.
        let between = 4 * 3 + 1;
        // A region includes the instruction after a loop and the jump behind the call, or the first one of the exit. The
        // first two loops share a page and become one region; the other pages have not run yet in this session.
        let regions = tops.len() as u64 * (SHORT_INSTRUCTIONS + 1) + 4 * 2 + 1;
        let short = tops.len() as u64 * (SHORT_INSTRUCTIONS * SHORT_ROUNDS as u64 + 1) + 1;
        let expected = match session {
            0..3 => (2 + short + between, 0, 0),
            // Only the jump to the first loop is interpreted.
            3 => (2, tops.len() as u64 - 1, regions),
            _ => (2, 0, 0),
        };
        assert_eq!((stats.interpreted_steps, stats.regions, stats.translated_instructions), expected, "{what}");
    }
}

/// A loop that spans two pages gets hot like any other.
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
    // The same with so much code that sessions neither share any nor pass on their counts.
    let much = [segments.clone(), vec![(CODE + (1 << 20), vec![0; 8192 * PAGE_BYTES as usize / 4])]].concat();
    for segments in [segments, much] {
        let stats = run(&threshold(50).executor(&program(CODE, segments)));
        // The page that is jumped to first gets hot first, in the middle of a round.
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

/// The counts that sessions pass on are bounded: the first 12,288 pages are kept, and later ones never get warm. This
/// runs on R0VM, where code may lie anywhere.
#[test]
fn what_is_kept_is_bounded() {
    const KEPT_PAGES: u32 = 12 * 1024;
    let start = CODE + 2 * PAGE_BYTES;
    // One page holds the first jump.
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
