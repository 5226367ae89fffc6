//! Tests accesses and jumps to anywhere: the surroundings of guest memory, and the edges of R0VM, where other rules
//! apply than on `bare`.

use std::fs;

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, MachineKind, NullSink, Program, Session, Status};

use super::{CODE, DATA, MACHINES, case, exit, setups};
use crate::common::assembler::Assembler;
use crate::common::cases::short;
use crate::common::engines::{Case, End, Setup, assert_same};
use crate::common::rng::Rng;

/// Addresses where something begins or ends.
const EDGES: [u32; 14] = [
    0,
    0x1_0000,
    0x8000_0000,
    0xbfff_0000,
    0xc000_0000,
    0xc010_0000,
    0xc010_0400,
    0xef80_0000,
    0xf000_0000,
    0xff00_0000,
    0xffff_0000,
    0xffff_0100,
    0xffff_0400,
    0xffff_2000,
];

/// On R0VM, the lowest address that instructions may access.
const LOWEST: u32 = 0x1_0000;
const CANARY: u8 = 0xa5;

const ACCESSES: [Op; 8] = [Op::Lb, Op::Lbu, Op::Lh, Op::Lhu, Op::Lw, Op::Sb, Op::Sh, Op::Sw];

fn access(asm: &mut Assembler, op: Op, base: u8, offset: i32) {
    match op {
        Op::Sb | Op::Sh | Op::Sw => asm.store(op, 9, offset, base),
        _ => asm.i(op, 8, base, offset),
    }
}

/// Returns the mappings of this process: first byte, end, permissions.
fn mappings() -> Vec<(usize, usize, String)> {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux says so");
    let parse = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?, rest.split(' ').next()?.to_owned()))
    };
    maps.lines().map(|line| parse(line).expect("start-end permissions")).collect()
}

/// Every access at every edge, one program each: rows, effects and ends are equal, and nothing panics.
#[test]
fn every_access_at_every_edge() {
    for machine in MACHINES {
        for edge in EDGES {
            for op in ACCESSES {
                for offset in [-4, -2, -1, 0, 1, 2] {
                    let mut asm = Assembler::new(CODE);
                    asm.li(5, edge);
                    access(&mut asm, op, 5, offset);
                    exit(&mut asm, machine);
                    let what = format!("{machine}: {op:?} at {edge:#x}{offset:+}");
                    assert_same(&what, &case(machine, asm), &[Setup::eager()]);
                }
            }
        }
    }
}

/// The 4 GiB that a guest can reach lie between guards, so an access cannot reach other host memory.
#[test]
fn guest_memory_lies_between_guards() {
    const GUEST_BYTES: usize = 1 << 32;
    const GUARD_BYTES: usize = 64 << 10;
    for machine in MACHINES {
        for setup in [Setup::interpreter(), Setup::eager()] {
            let mut asm = Assembler::new(CODE);
            for edge in EDGES {
                asm.li(5, edge.max(0x1_0000));
                asm.i(Op::Lw, 6, 5, 0);
            }
            let case = case(machine, asm);
            let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
            let _ = session.run(&mut NullSink::off());
            let memory = session.bytes(0, u32::MAX).expect("all but the last byte").as_ptr_range();
            let (first, last) = (memory.start as usize, memory.end as usize);
            let maps = mappings();
            let at = maps.iter().position(|(start, end, _)| (*start..*end).contains(&first)).expect("it is mapped");
            let (start, end, permissions) = &maps[at];
            assert!(end - start >= GUEST_BYTES && (*start..*end).contains(&last), "{maps:x?}");
            assert_eq!(
                (&permissions[..], *end),
                ("rw-p", first + GUEST_BYTES),
                "nothing writable behind the last byte"
            );
            // Below the first byte lies the engines' data about the guest, in up to three mappings, then the guard.
            let below = (0..at).rev().find(|&index| maps[index].2 == "---p").expect("a guard below");
            assert!(at - below <= 3, "{:x?}", &maps[below..=at]);
            for pair in maps[below..=at + 1].windows(2) {
                assert_eq!(pair[0].1, pair[1].0, "a gap, into which anything may be mapped");
            }
            for guard in [&maps[below], &maps[at + 1]] {
                assert!(guard.2 == "---p" && guard.1 - guard.0 >= GUARD_BYTES, "no guard: {guard:x?}");
            }
        }
    }
}

/// Stores run up and down out of their writable memory, two per round, so that one of the two is still allowed in the
/// last round. The canaries are the pages around, and the memory of sessions started before and after this one.
#[test]
fn stores_that_run_on_touch_no_canary() {
    for (machine, [up_from, down_from]) in MACHINES.into_iter().zip([[DATA, DATA], [0xffff_fc00, LOWEST]]) {
        for (op, bytes) in [(Op::Sb, 1), (Op::Sh, 2), (Op::Sw, 4)] {
            for (from, stride) in [(up_from + 512 + bytes as u32, bytes), (down_from + 512, -bytes)] {
                let mut asm = Assembler::new(CODE);
                asm.li(5, from);
                asm.li(9, 0x1111_1111);
                let top = asm.label_here();
                asm.store(op, 9, 0, 5);
                asm.store(op, 9, stride, 5);
                asm.i(Op::Addi, 5, 5, 2 * stride);
                asm.jal(0, top);
                let case = between_canaries(machine, asm);
                let what = format!("{machine}: {op:?} from {from:#x} by {stride}");
                let outcome = assert_same(&what, &case, &setups());
                assert!(matches!(outcome.end, End::Failed { kind: "trap", .. }), "{what}: {:?}", outcome.end);
                for setup in [Setup::interpreter()].into_iter().chain(setups()) {
                    canaries_live(&what, &case, &setup);
                }
            }
        }
    }
}

/// On `bare`, builds one writable page between two that may only be read.
fn between_canaries(machine: MachineKind, asm: Assembler) -> Case {
    let page = |address, byte, permissions| Segment::new(address, vec![byte; 1024], permissions);
    let segments = vec![
        Segment::from_words(asm.base(), &asm.finish().words, Permissions::RX),
        page(DATA - 1024, CANARY, Permissions::R),
        page(DATA, 0x5a, Permissions::RW),
        page(DATA + 1024, CANARY, Permissions::R),
    ];
    short(Case::new(Program::from_segments(CODE, segments).expect("a test's own program")).on(machine))
}

/// Runs a case between two sessions that only begin, and checks all memory that it may not write.
fn canaries_live(what: &str, case: &Case, setup: &Setup) {
    let executor = setup.executor(case);
    let start = || executor.start(Env::new()).expect("it starts");
    let facts = |session: &Session<'_>| (session.pc(), session.registers(), session.memory_digest());
    let (before, mut session, after) = (start(), start(), start());
    let at_first = facts(&before);
    session.run(&mut NullSink::off()).expect_err("it runs into what it may not write");
    for neighbour in [before, after] {
        assert!(facts(&neighbour) == at_first, "{what}, {setup:?}: something of another session changed");
    }
    let holds = |address, bytes, byte| {
        let canary = session.bytes(address, bytes).expect("inside the address space");
        assert!(canary.iter().all(|&found| found == byte), "{what}, {setup:?}: a canary at {address:#x} changed");
    };
    match case.machine {
        MachineKind::R0vm => holds(0, LOWEST, 0),
        _ => [DATA - 1024, DATA + 1024].into_iter().for_each(|address| holds(address, 1024, CANARY)),
    }
}

/// Jumps to anywhere, including odd addresses and every edge.
#[test]
fn wild_jumps() {
    let mut rng = Rng::new(11);
    let edges = EDGES.into_iter().flat_map(|edge| [edge.wrapping_sub(4), edge, edge + 1, edge + 2, edge + 3]);
    let targets: Vec<u32> = edges.chain((0..100).map(|_| rng.word())).collect();
    for machine in MACHINES {
        for &target in &targets {
            let mut asm = Assembler::new(CODE);
            asm.li(5, target);
            asm.op(Op::Jalr, 1, 5, 0, 0);
            let what = format!("{machine}: a jump to {target:#x}");
            let case = case(machine, asm).limit_steps(1000);
            let outcome = assert_same(&what, &case, &[Setup::eager()]);
            assert!(matches!(outcome.end, End::Failed { .. }), "{what}: {:?}", outcome.end);
        }
    }
}

/// A translated loop finally reaches a hole, data or a misaligned address.
#[test]
fn hot_loops_that_fall_off() {
    for machine in MACHINES {
        for target in [CODE + 0x800, CODE + 2, DATA, 0xfff0_0000, 0] {
            let mut asm = Assembler::new(CODE);
            asm.li(5, 100);
            let top = asm.label_here();
            asm.i(Op::Addi, 5, 5, -1);
            asm.branch(Op::Bne, 5, 0, top);
            asm.li(6, target);
            asm.op(Op::Jalr, 0, 6, 0, 0);
            let what = format!("{machine}: falls to {target:#x}");
            let outcome = assert_same(&what, &case(machine, asm).limit_steps(5000), &setups());
            assert!(matches!(outcome.end, End::Failed { .. }), "{what}: {:?}", outcome.end);
        }
    }
}

/// Endless recursion, with frames of many sizes: the stack ends at its guard, or in code that it overwrites.
#[test]
fn recursion_without_end() {
    const STACK_BOTTOM: u32 = 0xf000_0000 - (8 << 20);
    for frame in [64, 1024, 2032] {
        let mut asm = Assembler::new(0x1_0000);
        let again = asm.label_here();
        asm.i(Op::Addi, 2, 2, -frame);
        asm.store(Op::Sw, 1, 0, 2);
        asm.jal(1, again);
        let words = asm.finish().words;
        let case = crate::common::cases::short(crate::common::engines::Case::code(0x1_0000, &words, Vec::new()));
        let outcome = assert_same("recursion", &case, &setups());
        let End::Failed { kind: "trap", text, .. } = &outcome.end else { panic!("{:?}", outcome.end) };
        assert!(text.contains("store"), "{text}");
        let sp = outcome.state.expect("it ran").registers[2];
        assert!((STACK_BOTTOM - frame as u32..STACK_BOTTOM).contains(&sp), "{sp:#x}: in the guard below the stack");
    }
    // Without a guard, all of memory is stack, and it runs into its own code.
    let mut asm = Assembler::new(CODE);
    asm.li(2, CODE + 0x4_0000);
    let again = asm.label_here();
    asm.i(Op::Addi, 2, 2, -64);
    asm.store(Op::Sw, 1, 0, 2);
    asm.jal(1, again);
    let outcome = assert_same("recursion", &case(MachineKind::R0vm, asm).limit_steps(100_000), &setups());
    assert!(matches!(outcome.end, End::Failed { .. }), "{:?}", outcome.end);
}

/// Consecutive accesses at known addresses that lie as far apart as possible.
#[test]
fn accesses_far_apart_in_one_block() {
    let mut asm = Assembler::new(CODE);
    asm.li(7, DATA);
    let pairs = [0x7fff_fffcu32, 0x7fff_fff8, 0x8000_0000, 0x8000_0004, 0xffff_fffc, 0x7fff_f800];
    for apart in pairs {
        for (first, second) in [(DATA, DATA.wrapping_add(apart)), (DATA.wrapping_add(apart), DATA)] {
            // An access comes first, so that both constants are known where the access group begins.
            asm.i(Op::Lw, 8, 7, 0);
            let high = |address: u32| address.wrapping_add(0x800) & 0xffff_f000;
            let low = |address: u32| address.wrapping_sub(high(address)) as i32;
            asm.op(Op::Lui, 5, 0, 0, high(first) as i32);
            asm.op(Op::Lui, 6, 0, 0, high(second) as i32);
            asm.i(Op::Lw, 8, 5, low(first));
            asm.i(Op::Lw, 9, 6, low(second));
            asm.i(Op::Lbu, 9, 6, low(second));
        }
    }
    exit(&mut asm, MachineKind::R0vm);
    let case = case(MachineKind::R0vm, asm);
    let outcome = assert_same("far apart", &case, &setups());
    assert_eq!(outcome.end, End::Done(Status::Exited { code: 0 }));
}
