//! Compares random programs with qemu-riscv32: their output, and every register when they end, must be equal.
//!
//! qemu differs from machine `bare`: its stack and heap lie elsewhere, and its pages are larger, so it traps less. So
//! the programs get a stack of their own, and only some qualify: those that end by themselves, make no calls but reads
//! and writes, and leave their code unchanged. The last rule exists because qemu may not see a store into the block
//! that it runs. If qemu is not installed, the test says so and passes.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::assembler::Assembler;
use crate::common::engines::{Case, Outcome, Setup, run};
use crate::common::generator::{RandomProgram, generate};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::trace::{EffectKind, Space};
use tachy::{Program, Status};

const PROGRAMS: usize = 60;
/// Addresses of the code around a program, and of its stack.
const AROUND: u32 = 0x8_0000;
const STACK: u32 = 0x9_0000;
const STACK_BYTES: u32 = 0x1_0000;
const QEMU_PAGE: u32 = 4096;

const ECALL: u32 = 0x73;
const SP: u8 = 2;
const A0: u8 = 10;
const A1: u8 = 11;
const A2: u8 = 12;
const A7: u8 = 17;

#[test]
fn random_programs_do_what_qemu_does() {
    if Command::new("qemu-riscv32").arg("--version").output().is_err() {
        println!("no qemu-riscv32: nothing is compared");
        return;
    }
    let mut compared = 0;
    for program in (0..).map(generate) {
        let seed = program.seed;
        let Some((case, dump)) = with_dump(program) else { continue };
        let outcome = run(&case, &Setup::eager());
        if !is_comparable(&outcome) {
            continue;
        }
        // The dump wrote the registers at the end of the output.
        let theirs = under_qemu(&case);
        assert_eq!(theirs, outcome.stdout, "seed {seed}: output, and registers in the last 128 bytes");
        assert!(outcome.rows.iter().any(|row| row.pc == dump), "seed {seed}: it ended without the dump");
        compared += 1;
        if compared == PROGRAMS {
            break;
        }
    }
}

/// Gives the program a stack of its own, and replaces its last instruction, an exit, with a jump to code that dumps all
/// registers. Returns the case and the address of that code.
fn with_dump(mut program: RandomProgram) -> Option<(Case, u32)> {
    let last = program.code.len() - 1;
    if program.code[last] != ECALL || program.code_writable || program.has_edges {
        return None;
    }
    let mut asm = Assembler::new(AROUND);
    asm.li(SP, STACK + STACK_BYTES);
    let from = asm.here();
    asm.op(Op::Jal, 0, 0, 0, program.entry.wrapping_sub(from) as i32);
    let dump = asm.here();
    for register in 0..32 {
        asm.store(Op::Sw, register, 4 * i32::from(register) - 128, SP);
    }
    for (register, source, value) in [(A0, 0, 1), (A1, SP, -128), (A2, 0, 128), (A7, 0, 64)] {
        asm.i(Op::Addi, register, source, value);
    }
    asm.word(ECALL);
    asm.i(Op::Addi, A0, 0, 0);
    asm.i(Op::Addi, A7, 0, 93);
    asm.word(ECALL);
    let mut jump = Assembler::new(program.code_base + 4 * last as u32);
    let from = jump.here();
    jump.op(Op::Jal, 0, 0, 0, dump.wrapping_sub(from) as i32);
    program.code[last] = jump.finish().words[0];
    program.limit_memory_bytes = None;
    let case = program.case();
    let more = [
        Segment::from_words(AROUND, &asm.finish().words, Permissions::RX),
        Segment::new(STACK, vec![0; STACK_BYTES as usize], Permissions::RW),
    ];
    let segments = case.program.segments().iter().cloned().chain(more).collect();
    let program = Program::from_segments(AROUND, segments).expect("generated programs are well formed");
    Some((Case { program, ..case }, dump))
}

/// Returns whether it exited by way of the dump, and made no calls but successful reads and writes.
fn is_comparable(outcome: &Outcome) -> bool {
    let exited = outcome.end == crate::common::engines::End::Done(Status::Exited { code: 0 });
    let of = |kind, register: u8| {
        let effects = outcome.effects.iter();
        effects.filter(move |effect| {
            effect.kind() == kind && effect.space() == Space::Register && effect.addr == u32::from(register)
        })
    };
    let known = of(EffectKind::Read, A7).all(|effect| [63, 64, 93].contains(&effect.after));
    exited && known && of(EffectKind::Write, A0).all(|effect| effect.after < 1 << 31)
}

/// Returns what the case writes to stdout under qemu.
fn under_qemu(case: &Case) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder for the run");
    let path = folder.path().join("program.elf");
    std::fs::write(&path, paged_elf(&case.program)).expect("a file of the run");
    let mut permissions = std::fs::metadata(&path).expect("it was just written").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&path, permissions).expect("a file of the run");
    let mut qemu = Command::new("qemu-riscv32")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is installed");
    let mut stdin = qemu.stdin.take().expect("it is piped");
    // A program that does not read its input may have closed it.
    let _ = stdin.write_all(&case.stdin);
    drop(stdin);
    qemu.wait_with_output().expect("it was started").stdout
}

/// Builds an ELF whose segments begin at page boundaries of qemu, in the file as in memory: its loader maps them.
fn paged_elf(program: &Program) -> Vec<u8> {
    let mut segments: Vec<(u32, Vec<u8>, u32)> = Vec::new();
    for segment in program.segments() {
        let start = segment.address / QEMU_PAGE * QEMU_PAGE;
        let Permissions { read, write, execute } = segment.permissions;
        let flags = [(read, crate::common::R), (write, crate::common::W), (execute, crate::common::X)];
        let flags = flags.iter().filter(|(allowed, _)| *allowed).map(|(_, flag)| flag).sum::<u32>();
        // Several segments may share one of qemu's pages, which then allows what any of them does.
        match segments.last_mut() {
            Some((first, data, all)) if start < (*first + data.len() as u32).next_multiple_of(QEMU_PAGE) => {
                data.resize((segment.address - *first) as usize, 0);
                data.extend(&segment.data);
                *all |= flags;
            }
            _ => {
                let mut data = vec![0; (segment.address - start) as usize];
                data.extend(&segment.data);
                segments.push((start, data, flags));
            }
        }
    }
    let borrowed: Vec<(u32, &[u8], u32)> =
        segments.iter().map(|(address, data, flags)| (*address, data.as_slice(), *flags)).collect();
    let mut elf = crate::common::elf(program.entry(), &borrowed);
    // Moves each segment's bytes to a page boundary of the file.
    const PROGRAM_HEADERS: usize = 52;
    for (number, (_, data, _)) in borrowed.iter().enumerate() {
        elf.resize(elf.len().next_multiple_of(QEMU_PAGE as usize), 0);
        let offset = elf.len() as u32;
        elf.extend(*data);
        let header = PROGRAM_HEADERS + 32 * number;
        elf[header + 4..header + 8].copy_from_slice(&offset.to_le_bytes());
        elf[header + 28..header + 32].copy_from_slice(&QEMU_PAGE.to_le_bytes());
    }
    elf
}
