//! Tests `tachy explain`: RISC-V, IR and host instructions of a region side by side.

use std::process::{Command, Output};

use crate::common::{ROOT, guest};

fn explain(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tachy")).arg("explain").args(args).output().expect("it starts");
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (status.code(), text(stdout), text(stderr))
}

/// Splits each line of an instruction into the columns of the guest, the IR and the host.
fn columns(text: &str) -> Vec<[&str; 3]> {
    let cut = |line: &str, at: usize| line.len().min(at);
    let lines = text.lines().filter(|line| !line.ends_with(':') || line.starts_with(' '));
    lines
        .map(|line| {
            [&line[..cut(line, 40)], &line[cut(line, 40)..cut(line, 100)], &line[cut(line, 100)..]].map(str::trim)
        })
        .collect()
}

#[test]
fn a_function_is_shown_by_its_name_or_its_address() {
    let fib = guest("fib").display().to_string();
    let (code, by_name, stderr) = explain(&["--at", "_start", &fib]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(explain(&["--at", "0x10000", &fib]).1, by_name);
    assert!(
        by_name.starts_with("mode      bare\nentries   0x00010000") && by_name.contains("\n_start:\n"),
        "{by_name}"
    );
    // Each instruction must show its disassembly, which is known without the JIT.
    let bytes = std::fs::read(guest("fib")).expect("a guest");
    let program = tachy::Program::from_elf(&bytes).expect("a program");
    let data = &program.segment_at(0x1_0000).expect("code").data;
    let words = data.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
    for (pc, word) in (0x1_0000..).step_by(4).zip(words.take(3)) {
        let line = format!("{pc:#010x}  {}", tachy::disasm::disassemble(word, pc, tachy::isa::Variant::Standard));
        assert!(by_name.contains(&line), "{line} is not in {by_name}");
    }
}

#[test]
fn ir_and_host_code_stand_beside_their_instruction() {
    let fib = guest("fib").display().to_string();
    let (_, text, _) = explain(&["--at", "main", &fib]);
    let columns = columns(&text);
    let at = columns.iter().position(|[guest, ..]| guest.contains("  sw ")).expect("main saves a register");
    let own: Vec<_> =
        columns[at..].iter().enumerate().take_while(|(line, [guest, ..])| *line == 0 || guest.is_empty()).collect();
    let has = |column: usize, word: &str| own.iter().any(|(_, columns)| columns[column].contains(word));
    assert!(has(1, "store"), "its IR stores: {own:#?}");
    assert!(own.iter().any(|(_, [_, _, host])| host.contains("mov") || host.contains("str")), "and the host: {own:#?}");
    // With rows there is more IR for the same instructions.
    let (_, rows, _) = explain(&["--at", "main", "--rows", &fib]);
    assert!(rows.lines().count() > text.lines().count());
}

#[test]
fn the_mode_is_that_of_the_address() {
    let hello = format!("{ROOT}/guests/r0vm/bin/hello.bin");
    let kernel = explain(&["--at", "0xc0000000", &hello]).1;
    assert!(kernel.starts_with("mode      machine\n"), "{kernel}");
    let binary = std::fs::read(&hello).expect("a guest");
    let entry = tachy::Program::load(&binary, None).expect("a program").0.user_entry().expect("a user program");
    let user = explain(&["--at", &format!("{entry:#x}"), &hello]).1;
    assert!(user.starts_with("mode      user\n"), "{user}");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let fib = guest("fib").display().to_string();
    for (at, expected) in [
        ("nowhere", "has no symbol nowhere"),
        ("0x10002", "nothing at 0x00010002 is translated"),
        ("0xfffffff0", "nothing at 0xfffffff0 is translated"),
        ("0x100000000", "is not a 32-bit address"),
    ] {
        let (code, stdout, stderr) = explain(&["--at", at, &fib]);
        assert!(code == Some(64) && stdout.is_empty() && stderr.contains(expected), "{at}: {code:?} {stderr}");
    }
    let (code, _, stderr) = explain(&["--at", "main", "--region-instructions", "0", &fib]);
    assert!(code == Some(64) && stderr.contains("the region cap"), "{code:?} {stderr}");
    let (_, one, _) = explain(&["--at", "main", "--region-instructions", "1", &fib]);
    assert!(one.contains("\nsize      1 instruction,"), "{one}");
}
