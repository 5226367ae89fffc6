//! Tests programs whose image is the attack: all of memory without bytes in the file, or as many segments as a header
//! can count.

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, Limits, MachineKind, NullSink, Program, ProgramError};

use super::{exit, run, run_alike};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, Setup};
use crate::common::{R, X, elf};

const CODE: u32 = 0x1_0000;
const GIB: u64 = 1 << 30;

fn exiting(machine: MachineKind) -> Vec<u32> {
    let mut asm = Assembler::new(CODE);
    asm.li(5, 0x7fff_fffc);
    asm.i(Op::Lw, 6, 5, 0);
    asm.store(Op::Sw, 5, 0, 5);
    exit(&mut asm, machine);
    asm.finish().words
}

fn limit_memory(bytes: u64) -> Limits {
    Limits::none().memory_bytes(bytes)
}

/// Zeros in the whole address space: they count against the limit, and cost nothing until they are touched.
#[test]
fn a_bss_of_four_gibibytes() {
    for (machine, end) in [(MachineKind::Bare, 0xef7f_fc00), (MachineKind::R0vm, 0xffff_0000)] {
        let words = exiting(machine);
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let segment =
            |end: u32| Segment { memory_bytes: end - CODE, ..Segment::new(CODE, Vec::clone(&bytes), Permissions::RWX) };
        let program = Program::from_segments(CODE, vec![segment(end)]).expect("a large program");
        let found = run_alike(&program, machine, &Setup::eager(), Limits::default());
        assert_eq!(found.end, "Exited { code: 0 }");
        assert!(found.stats.pages >= u64::from((end - CODE) / 1024), "{:?}", found.stats);
        for setup in [Setup::interpreter(), Setup::eager()] {
            let executor = setup.executor(&Case::new(program.clone()).on(machine));
            let mut session = executor.start(Env::new()).expect("it starts");
            session.run(&mut NullSink::off()).expect("it ends");
            // A dropped session releases its memory, so this one lives until the check is done.
            let resident = resident_bytes(session.bytes(0, u32::MAX).expect("all but the last byte"));
            assert!(
                (1..GIB / 4).contains(&resident),
                "{machine}, {setup:?}: {resident} bytes for a program of 4 GiB that touches two pages"
            );
        }
        // With a limit it does not even start, whatever the engine.
        for setup in [Setup::interpreter(), Setup::eager()] {
            let error = run(&program, machine, &setup, limit_memory(GIB)).err().expect("4 GiB are more");
            assert_eq!(error.kind(), "memory-limit", "{error}");
        }
    }
    // It covers the address of the stack.
    let bytes = exiting(MachineKind::Bare).iter().flat_map(|word| word.to_le_bytes()).collect();
    let all = Segment { memory_bytes: u32::MAX - CODE, ..Segment::new(CODE, bytes, Permissions::RWX) };
    let program = Program::from_segments(CODE, vec![all]).expect("a large program");
    let error = Setup::eager().executor(&Case::new(program)).start(Env::new()).expect_err("no room for a stack");
    assert_eq!(error.kind(), "boot", "{error}");
}

/// Returns how much of the mapping that holds these bytes is resident.
fn resident_bytes(mapped: &[u8]) -> u64 {
    let location = mapped.as_ptr() as u64;
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux says so");
    let begins_it = |line: &&str| {
        let number = |text| u64::from_str_radix(text, 16).ok();
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let range = range.and_then(|(start, end)| Some(number(start)?..number(end)?));
        range.is_some_and(|range| range.contains(&location))
    };
    let mut lines = maps.lines().skip_while(|line| !begins_it(line));
    let line = lines.find_map(|line| line.strip_prefix("Rss:")).expect("a line for each mapping");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") * 1024
}

#[test]
fn as_many_segments_as_a_header_can_count() {
    let code: Vec<u8> = exiting(MachineKind::Bare).iter().flat_map(|word| word.to_le_bytes()).collect();
    let file = |count: u32| {
        let mut segments: Vec<(u32, &[u8], u32)> = vec![(CODE, &code, R | X)];
        segments.extend((1..count - 1).map(|index| (CODE + 1024 * index, &[7][..], R)));
        segments.push((0x7fff_fc00, &[0; 1024], 6));
        elf(CODE, &segments)
    };
    let program = Program::from_elf(&file(65_534)).expect("65,534 segments");
    let found = run_alike(&program, MachineKind::Bare, &Setup::eager(), Limits::default());
    assert_eq!(found.end, "Exited { code: 0 }");
    // Each segment has a page, and so do the arguments.
    assert_eq!(found.stats.pages, 65_535);
    let error = run(&program, MachineKind::Bare, &Setup::eager(), limit_memory(65_000 * 1024)).err().expect("too many");
    assert_eq!(error.kind(), "memory-limit");
    let refused = Program::from_elf(&file(65_535)).expect_err("a count that stands for another");
    assert!(matches!(refused, ProgramError::MalformedHeader { field: "e_phnum", .. }), "{refused}");
    let refused = Program::from_risc0_elf(&file(65_534)).expect_err("RISC Zero's loader takes 256");
    assert!(matches!(refused, ProgramError::InElf { .. }), "{refused}");
}

/// An entry that is not code is refused by the loader, or trapped by the first fetch.
#[test]
fn entries_in_holes() {
    let segment = || Segment::from_words(CODE, &[0x13; 4], Permissions::RX);
    for entry in [0, CODE - 4, CODE + 16, 0xffff_fffc] {
        let refused = Program::from_segments(entry, vec![segment()]).expect_err("no code there");
        assert!(matches!(refused, ProgramError::EntryOutsideSegments { .. }), "{refused}");
    }
    let refused = Program::from_segments(CODE + 2, vec![segment()]).expect_err("between instructions");
    assert!(matches!(refused, ProgramError::MisalignedEntry { .. }), "{refused}");
    // A user's program may start anywhere in its memory: the kernel jumps there, and the fetch fails.
    let user = elf(0x5000_0000, &[(0x20_0800, &[0x13, 0, 0, 0], R | X)]);
    let program = Program::from_risc0_elf(&user).expect("it is the kernel's to find out");
    let found = run_alike(&program, MachineKind::R0vm, &Setup::eager(), Limits::default());
    assert!(found.end.starts_with("trap: "), "{}", found.end);
}
