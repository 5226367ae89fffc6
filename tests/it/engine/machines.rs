//! Tests where the machines differ in decoding and memory: the same words on both.

use crate::common::assembler::Assembler;
use crate::common::engines::{Case, End, Setup, assert_same};
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, Program, Status};

/// An address for code in both machines' space.
const CODE: u32 = 0xc000_0000;

fn setups() -> [Setup; 3] {
    [Setup::eager(), Setup::eager().region_instructions(1), Setup::eager().threshold(2).buffer_rows(256)]
}

/// Builds a program of the same words for either machine.
fn case(machine: MachineKind, words: &[u32]) -> Case {
    let segments = vec![Segment::from_words(CODE, words, Permissions::RX)];
    Case::new(Program::from_segments(CODE, segments).expect("a test's own program")).on(machine)
}

/// Returns the kind and text of how a case ends in both engines, and its steps.
fn end(machine: MachineKind, words: &[u32]) -> (&'static str, String, usize) {
    let outcome = assert_same(&format!("{words:x?} on {machine}"), &case(machine, words), &setups());
    match outcome.end {
        End::Failed { kind, text, .. } => (kind, text, outcome.rows.len()),
        End::Done(status) => panic!("{words:x?} on {machine} ended well: {status:?}"),
    }
}

fn word(op: Op) -> u32 {
    encode(Instruction { op, rd: 0, rs1: 0, rs2: 0, imm: 0 })
}

#[test]
fn fences_are_illegal_in_r0vm() {
    for op in [Op::Fence, Op::FenceI] {
        let (_, text, steps) = end(MachineKind::R0vm, &[0x13, word(op)]);
        assert!(text.contains("illegal instruction"), "{text}");
        assert_eq!(steps, 1);
        let (_, text, steps) = end(MachineKind::Bare, &[0x13, word(op), word(Op::Ebreak)]);
        assert!(text.contains("breakpoint"), "{text}");
        assert_eq!(steps, 2);
    }
}

/// R0VM ignores the funct3 of jalr.
#[test]
fn jalr_with_any_funct3() {
    for funct3 in 1..8 {
        // auipc x5, 0; jalr x1, 12(x5); a hole; ebreak
        let auipc = encode(Instruction { op: Op::Auipc, rd: 5, rs1: 0, rs2: 0, imm: 0 });
        let jalr = encode(Instruction { op: Op::Jalr, rd: 1, rs1: 5, rs2: 0, imm: 12 }) | funct3 << 12;
        let words = [auipc, jalr, 0, word(Op::Ebreak)];
        let (_, text, steps) = end(MachineKind::R0vm, &words);
        assert!(text.contains("breakpoint"), "funct3 {funct3}: {text}");
        assert_eq!(steps, 2);
        let (_, text, steps) = end(MachineKind::Bare, &words);
        assert!(text.contains("illegal instruction"), "funct3 {funct3}: {text}");
        assert_eq!(steps, 1);
    }
}

/// System instructions with bits that R0VM ignores, and the one that only R0VM has.
#[test]
fn system_instructions_differ() {
    let loose = 0x000f_8f80;
    for word in [word(Op::Ecall), word(Op::Ecall) | loose] {
        // a7 is 0: the program terminates.
        let outcome = assert_same("terminate", &case(MachineKind::R0vm, &[0x13, word]), &setups());
        assert!(matches!(outcome.end, End::Done(Status::Exited { code: 0 })), "{word:#x}: {:?}", outcome.end);
        assert_eq!(outcome.rows.len(), 2);
    }
    for word in [word(Op::Mret), word(Op::Mret) | loose] {
        let (kind, text, steps) = end(MachineKind::R0vm, &[0x13, word]);
        assert_eq!((kind, steps), ("machine", 1), "{word:#x}: {text}");
    }
    let (_, text, _) = end(MachineKind::R0vm, &[word(Op::Ebreak) | loose]);
    assert!(text.contains("breakpoint"), "{text}");
    for word in [word(Op::Ecall) | loose, word(Op::Ebreak) | loose, word(Op::Mret)] {
        let (_, text, steps) = end(MachineKind::Bare, &[0x13, word]);
        assert!(text.contains("illegal instruction") && steps == 1, "{word:#x}: {text}");
    }
}

/// R0VM forbids every access below 0x10000, and allows everything above unless stated otherwise.
#[test]
fn memory_of_r0vm() {
    let load = |imm: i32| encode(Instruction { op: Op::Lw, rd: 6, rs1: 5, rs2: 0, imm: imm as u32 });
    let store = |imm: i32| encode(Instruction { op: Op::Sw, rd: 0, rs1: 5, rs2: 5, imm: imm as u32 });
    let lui = encode(Instruction { op: Op::Lui, rd: 5, rs1: 0, rs2: 0, imm: 0x1_0000 });
    let (_, text, steps) = end(MachineKind::R0vm, &[lui, store(0), load(0), load(4), load(-4)]);
    assert!(text.contains("not readable") && text.contains("0x0000fffc"), "{text}");
    assert_eq!(steps, 4);
    let (_, text, steps) = end(MachineKind::R0vm, &[lui, store(8), store(-4)]);
    assert!(text.contains("not writable") && text.contains("0x0000fffc"), "{text}");
    assert_eq!(steps, 2);
    let (_, text, _) = end(MachineKind::R0vm, &[lui, load(2)]);
    assert!(text.contains("misaligned load"), "{text}");
}

/// R0VM's registers are memory: the next instruction sees a store there in the register, and vice versa.
#[test]
fn registers_in_memory() {
    let at_x10 = 4 * 10;
    let mut asm = Assembler::new(CODE);
    asm.li(5, 0xffff_0000);
    asm.li(6, 20 << 16);
    asm.store(Op::Sw, 6, at_x10, 5);
    asm.r(Op::Add, 10, 10, 10);
    asm.i(Op::Lw, 7, 5, at_x10);
    asm.i(Op::Addi, 7, 7, 1);
    asm.store(Op::Sb, 7, at_x10 + 2, 5);
    asm.r(Op::Add, 10, 10, 7);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    let outcome = assert_same("registers in memory", &case(MachineKind::R0vm, &asm.finish().words), &setups());
    // The stored byte is the lowest of 40 << 16 | 1.
    assert_eq!(outcome.end, End::Done(Status::Paused { code: 1 + 40 }));
}

/// R0VM's registers are memory and can execute: an instruction there is the register's current value.
#[test]
fn code_in_registers() {
    let bank = 0xffff_0000;
    let add_to_x10 = |imm| encode(Instruction { op: Op::Addi, rd: 10, rs1: 10, rs2: 0, imm });
    let code = [
        // x20 to x23: add 1 the first time; copy x22 to x20, which then adds 16; add 16; return.
        add_to_x10(1),
        encode(Instruction { op: Op::Add, rd: 20, rs1: 22, rs2: 0, imm: 0 }),
        add_to_x10(16),
        encode(Instruction { op: Op::Jalr, rd: 0, rs1: 1, rs2: 0, imm: 0 }),
    ];
    let mut asm = Assembler::new(CODE);
    for (register, word) in (20..).zip(code) {
        asm.li(register, word);
    }
    asm.li(5, bank + 4 * 20);
    for _ in 0..3 {
        asm.i(Op::Jalr, 1, 5, 0);
    }
    asm.i(Op::Slli, 10, 10, 16);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    let words = asm.finish().words;
    let outcome = assert_same("code in registers", &case(MachineKind::R0vm, &words), &setups());
    assert_eq!(outcome.end, End::Done(Status::Exited { code: 17 + 32 + 32 }));
    let ran: Vec<_> = outcome.rows.iter().filter(|row| row.pc == bank + 4 * 20).map(|row| row.insn).collect();
    assert_eq!(ran, [code[0], code[2], code[2]]);
}

/// Guests of R0VM with their input words. Some have small segments, so that many splits occur in native code.
const GUESTS: [(&str, &[u32], u32); 10] = [
    ("recursion", &[2, 5, 500], 14),
    ("sparse", &[100, 2], 13),
    ("accelerators", &[1], 16),
    ("smc", &[20], 14),
    ("kernel_modes", &[], 13),
    ("kernel_registers", &[], 13),
    ("ecdsa_bigint", &[1], 16),
    ("merkle", &[3, 2], 14),
    ("serde", &[2, 1], 14),
    ("contracts", &[2], 16),
];

/// Runs both engines in lockstep and compares every row and effect, and the ids of memory's contents.
#[test]
fn guests_of_r0vm_run_alike_in_both_engines() {
    let mut warm = JitOptions::eager();
    warm.threshold = 3;
    for (guest, words, po2) in GUESTS {
        let path = format!("{}/guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
        let program = Program::from_risc0(&std::fs::read(path).expect("the guests are in the repository"));
        let program = program.expect("a good binary");
        for (engine, jit) in [
            (Engine::Interpreter, JitOptions::default()),
            (Engine::Crosscheck, JitOptions::eager()),
            (Engine::Crosscheck, warm.clone()),
            (Engine::Jit, JitOptions::default()),
        ] {
            let executor = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(jit).build(&program);
            let host = HostEnv::builder().random_seed([0; 32]).write_slice(words).build().expect("a host");
            let mut segments = 0;
            let count = |_: &tachy::risc0::Segment| {
                segments += 1;
                Ok(())
            };
            let env = Env::new().host(host).segment_po2(po2).segments(count);
            let session = executor.expect("an executor").run(env);
            let report = session.unwrap_or_else(|error| panic!("{guest}, {engine:?}: {error}")).into_report();
            let report = report.expect("the machine is r0vm");
            assert_eq!(report.image_ids().map(|(pre, _)| pre), program.image_id(), "{guest}, {engine:?}");
            assert_eq!(report.segments, segments, "{guest}, {engine:?}");
        }
    }
}

/// The same sources on either machine: one prints what the other commits.
#[test]
fn guests_of_both_machines_compute_the_same() {
    for (guest, word) in [("fib", 15), ("sieve", 20_000), ("sha256", 50), ("quicksort", 1_000), ("vm", 30), ("mix", 2)]
    {
        let file = |path: &str| std::fs::read(format!("{}/guests/{path}", env!("CARGO_MANIFEST_DIR")));
        let bare = Program::from_elf(&file(&format!("bin/{guest}.elf")).expect("the guests are in the repository"));
        let r0vm =
            Program::from_risc0(&file(&format!("r0vm/bin/{guest}.bin")).expect("the guests are in the repository"));
        let executor = Executor::builder().build(&bare.expect("a good ELF")).expect("an executor");
        let mut printed = Vec::new();
        let env = Env::new().args([guest.to_owned(), word.to_string()]).stdout(&mut printed);
        executor.run(env).expect("it ends well");
        let builder = Executor::builder().machine(MachineKind::R0vm);
        let executor = builder.build(&r0vm.expect("a good binary")).expect("an executor");
        let host = HostEnv::builder().random_seed([0; 32]).write_slice(&[word]).build().expect("a host");
        let session = executor.run(Env::new().host(host)).expect("it ends well");
        let journal = session.into_report().and_then(|report| report.journal).map(|journal| journal.bytes);
        assert_eq!(journal, Some(printed), "{guest}");
    }
}
