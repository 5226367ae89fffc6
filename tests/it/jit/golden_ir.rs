//! Golden files of the JIT's output for small cases, so that a reviewer sees how a change affects IR and code size.
//!
//! `TACHY_UPDATE_GOLDEN=1 cargo test --test it golden_ir` rewrites them; the reviewer reads the difference.

use std::fs;
use std::path::PathBuf;

use tachy::MachineKind;
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::jit::{self, JitOptions};
use tachy::program::{Permissions, Program, Segment};
use tachy::trace::Level;

const CODE: u32 = 0x1_0000;

fn instruction(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 })
}

/// Name and code of each case. The code begins at `CODE`; nothing follows it.
fn cases() -> Vec<(&'static str, Vec<u32>)> {
    use Op::*;
    let i = instruction;
    vec![
        ("compute", vec![i(Addi, 10, 0, 0, 5), i(Add, 11, 10, 12, 0), i(Sltu, 13, 11, 10, 0), i(Jal, 0, 0, 0, 64)]),
        ("divide", vec![i(Div, 10, 11, 12, 0), i(Remu, 13, 11, 12, 0), i(Jalr, 0, 1, 0, 0)]),
        ("load", vec![i(Lw, 10, 11, 0, 8), i(Lb, 12, 11, 0, -1), i(Jalr, 0, 1, 0, 0)]),
        ("store", vec![i(Sw, 0, 11, 10, 8), i(Sb, 0, 11, 10, 3), i(Jalr, 0, 1, 0, 0)]),
        ("loop", vec![i(Addi, 10, 10, 0, -1), i(Bne, 0, 10, 0, -4), i(Ecall, 0, 0, 0, 0)]),
        ("call", vec![i(Jal, 1, 0, 0, 12), i(Addi, 10, 10, 0, 1), i(Jal, 0, 0, 0, -8), i(Jalr, 0, 1, 0, 0)]),
        ("misaligned", vec![i(Beq, 0, 10, 11, 6), i(Jalr, 1, 10, 0, 1), i(Jal, 0, 0, 0, 2)]),
    ]
}

fn listing(code: &[u32], mode: jit::Mode, level: Level) -> String {
    let segment = Segment::from_words(CODE, code, Permissions::RX);
    let program = Program::from_segments(CODE, vec![segment]).expect("a program");
    let listing = jit::list(&program, CODE, mode, level, &JitOptions::default()).expect("a translation");
    let entries: Vec<String> = listing.entries.iter().map(|pc| format!("{pc:#010x}")).collect();
    // The IR is the same on all architectures, machine code is not. Sizes are those of x86-64.
    let size = match cfg!(target_arch = "x86_64") {
        true => format!("; {} bytes of x86-64 code\n", listing.code_bytes),
        false => String::new(),
    };
    format!("; {} instructions, entries {}\n{size}{}", listing.instructions, entries.join(" "), listing.ir)
}

/// A case in a mode.
struct Translation {
    /// Prefix of the names of its golden files, which end in the level.
    name: String,
    code: Vec<u32>,
    mode: jit::Mode,
}

/// Returns each case in each mode. The names for `bare` have no prefix.
fn translations() -> Vec<Translation> {
    let modes: Vec<jit::Mode> =
        [MachineKind::Bare, MachineKind::R0vm].into_iter().flat_map(MachineKind::modes).collect();
    let mut translations = Vec::new();
    for mode in modes {
        let prefix = match mode.name() {
            "bare" => String::new(),
            name => format!("r0vm_{name}."),
        };
        let of_mode = |(name, code)| Translation { name: format!("{prefix}{name}"), code, mode };
        translations.extend(cases().into_iter().map(of_mode));
    }
    translations
}

/// Returns the part of a listing that is the same on every architecture.
fn portable(listing: &str) -> String {
    listing.lines().filter(|line| !line.contains("bytes of")).map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn ir_and_size_are_as_reviewed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ir");
    let update = std::env::var_os("TACHY_UPDATE_GOLDEN").is_some();
    let mut differences = Vec::new();
    for Translation { name, code, mode } in translations() {
        for (level, suffix) in [(Level::Off, "off"), (Level::Rows, "rows")] {
            let path = folder.join(format!("{name}.{suffix}.clif"));
            let found = listing(&code, mode, level);
            if update {
                fs::create_dir_all(&folder).and_then(|()| fs::write(&path, &found)).expect("golden files are writable");
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            let same = match cfg!(target_arch = "x86_64") {
                true => expected == found,
                false => portable(&expected) == portable(&found),
            };
            if !same {
                let at = expected.lines().zip(found.lines()).position(|(a, b)| a != b).unwrap_or(0);
                differences.push(format!("{name}.{suffix}.clif, line {}: {:?}", at + 1, found.lines().nth(at)));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "translations changed; look at them with TACHY_UPDATE_GOLDEN=1 cargo test --test it golden_ir && git diff:\n{}",
        differences.join("\n")
    );
}

/// Generated code reaches host memory only from its base. Everything that it loads from, stores to or calls is computed
/// from the base, the row cursor or a value loaded from the context. No constant in it is an address of the host.
#[test]
fn no_constant_is_a_host_address() {
    for Translation { name, code, mode } in translations() {
        for level in [Level::Off, Level::Rows] {
            for line in listing(&code, mode, level).lines() {
                // With rows, a 64-bit constant holds an instruction's pc and word; all other constants are small.
                let Some((_, constant)) = line.split_once("= iconst.i64 ") else { continue };
                let digits = constant.split(' ').next().unwrap_or_default().replace('_', "");
                let value = match digits.strip_prefix("0x") {
                    Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).expect("a constant"),
                    None => digits.parse::<i64>().expect("a constant") as u64,
                };
                let is_row = code.contains(&((value >> 32) as u32)) && (value as u32) >> 16 == CODE >> 16;
                let is_small = (value as i64).unsigned_abs() < 1 << 32;
                assert!(is_row || is_small, "{name}: {line}");
            }
        }
    }
}
