//! Tests the hints that `tachy` adds to a trap: its likely cause, and its location in the user program. A trap without
//! a known cause has no hint.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::{R, W, X, elf};
use serde_json::{Value, json};
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;

const CODE: u32 = 0x1_0000;
/// Base address of the code of RISC Zero's guests.
const GUEST: u32 = 0x0020_0800;

/// Runs a program and returns its standard error and standard output.
fn run(options: &[&str], program: &[u8]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("program");
    fs::write(&path, program).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    let output = command.arg("run").args(options).arg(path).stdin(Stdio::null()).output().expect("tachy starts");
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stderr), text(output.stdout))
}

/// Builds a program of these words at an address.
fn at(address: u32, words: &[u32]) -> Vec<u8> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    elf(address, &[(address, &bytes, R | X)])
}

fn op(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    let imm = imm as u32;
    encode(Instruction { op, rd, rs1, rs2, imm })
}

const SP: u8 = 2;

/// Returns the hints: lines of their own after the trap and its location.
fn hints(stderr: &str) -> Vec<&str> {
    stderr.lines().skip(2).map(str::trim).collect()
}

#[test]
fn a_stack_that_is_used_up() {
    let endless = [op(Op::Addi, SP, SP, 0, -2000), op(Op::Sw, 0, SP, 1, 8), op(Op::Jal, 0, 0, 0, -8)];
    let (stderr, _) = run(&["--machine", "bare"], &at(CODE, &endless));
    let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
    assert!(hint.starts_with("the stack (8 MiB, down to 0xef800000) is full: sp is 0xef7ff"), "{stderr}");
    // On r0vm, no stack exists until the program sets one up.
    let (stderr, _) = run(&["--machine", "r0vm"], &at(GUEST, &endless));
    let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
    assert!(hint.starts_with("sp is 0xfffff830, outside of 0x00010000..0xc0000000: the stack"), "{stderr}");
    let started: Vec<u32> = [op(Op::Lui, SP, 0, 0, 0x0020_0000)].into_iter().chain(endless).collect();
    let (stderr, _) = run(&["--machine", "r0vm"], &at(GUEST, &started));
    let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
    assert!(hint.starts_with("sp is 0x0000") && hint.ends_with("is full, or the program never set it up"), "{stderr}");

    // Addresses that are wrong in any program.
    for address in [16, 2044] {
        for machine in ["bare", "r0vm"] {
            let start = if machine == "bare" { CODE } else { GUEST };
            let words = [op(Op::Lui, SP, 0, 0, 0x0020_0000), op(Op::Sw, 0, 0, 1, address)];
            let (stderr, _) = run(&["--machine", machine], &at(start, &words));
            assert!(hints(&stderr).is_empty(), "{stderr}");
        }
    }
}

#[test]
fn guests_of_risc_zero_on_bare() {
    let words = [op(Op::Lui, SP, 0, 0, 0x0020_0000), op(Op::Addi, SP, SP, 0, 0x400), op(Op::Sw, 0, SP, 1, -4)];
    let (stderr, _) = run(&[], &at(GUEST, &words));
    let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
    assert!(hint.contains("that of a guest of RISC Zero") && hint.contains("--machine r0vm"), "{stderr}");
    // At another address, the same access is just a bug in the program.
    let (stderr, _) = run(&[], &at(CODE, &words));
    assert!(hints(&stderr).is_empty(), "{stderr}");
}

#[test]
fn programs_built_for_another_machine() {
    // c.addi sp,-16 and c.swsp ra,12(sp).
    let mut compressed = at(GUEST, &[0xc606_1141]);
    compressed[36] = 1;
    let (stderr, _) = run(&["--machine", "r0vm"], &compressed);
    let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
    assert!(hint.contains("compressed instructions (RVC); build with -march=rv32im"), "{stderr}");
    // Without the flag, tachy cannot know that the code is compressed.
    compressed[36] = 0;
    assert!(hints(&run(&["--machine", "r0vm"], &compressed).0).is_empty());

    // OpenVM's guests end with a word of the custom-0 opcode.
    for (machine, start) in [("bare", CODE), ("r0vm", GUEST)] {
        let (stderr, _) = run(&["--machine", machine], &at(start, &[0x0000_000b]));
        let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
        assert!(hint.contains("a custom extension, which guests of OpenVM use"), "{stderr}");
    }
    // The name of one of OpenVM's functions, in a program that fails for another reason.
    let path = PathBuf::from(crate::common::ROOT).join("tests/debug/trap-dwarf5.elf");
    let mut named = fs::read(path).expect("it lies in the repository");
    for at in 0..named.len() - 8 {
        if named[at..].starts_with(b"descend\0") {
            named[at..at + 7].copy_from_slice(b"openvm\0");
        }
    }
    let (stderr, _) = run(&[], &named);
    let [hint] = hints(&stderr)[..] else { panic!("{stderr}") };
    assert!(hint.contains("a guest of OpenVM, which Tachy does not run"), "{stderr}");
}

/// If the kernel fails because of a user's request, the error shows the location in the user program.
#[test]
fn errors_in_the_kernel_are_placed_in_the_user_program() {
    // An unknown system call.
    let unknown = [op(Op::Addi, 5, 0, 0, 99), op(Op::Ecall, 0, 0, 0, 0)];
    let program = at(GUEST, &unknown);
    let (stderr, stdout) = run(&["--machine", "r0vm", "--json"], &program);
    assert!(stderr.contains("\n  in the user program at 0x00200804; the kernel is in "), "{stderr}");
    let facts: Value = serde_json::from_str(&stdout).expect("an object");
    assert_eq!(facts["error"]["user_pc"], json!(GUEST + 4));
    assert!(facts["error"]["pc"].as_u64().is_some_and(|pc| pc >= 0xc000_0000), "{facts}");
    // If the program itself traps, the location is in no kernel.
    let data = elf(GUEST, &[(GUEST, &op(Op::Lw, 1, 0, 0, 4).to_le_bytes(), R | X), (0x30_0000, &[0; 4], R | W)]);
    let (_, stdout) = run(&["--machine", "r0vm", "--json"], &data);
    let facts: Value = serde_json::from_str(&stdout).expect("an object");
    assert_eq!((facts["error"].get("user_pc"), &facts["error"]["pc"]), (None, &json!(GUEST)));
}
