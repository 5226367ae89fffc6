//! The riscv-tests that RISC Zero's circuit is tested with, under Tachy and under the reference.
//!
//! They are all of rv32um, and all of rv32ui but [`NOT_AMONG_THEM`].

use std::collections::BTreeSet;

use oracle_reference::{Environment, Exit, Image, compare_parts, riscv_tests, run_image};
use oracle_tachy::{Setup, run_program};
use tachy::Program;
use tachy::isa::TABLE;

/// Those of rv32ui that the circuit does not bring, and why.
const NOT_AMONG_THEM: [(&str, &str); 4] = [
    ("fence_i", "R0VM has no fences"),
    ("ld_st", "not in the circuit's archive, which is of April 2023"),
    ("ma_data", "R0VM traps on misaligned accesses"),
    ("st_ld", "not in the circuit's archive, which is of April 2023"),
];

/// Instructions of R0VM that have no test there: none of rv32ui and rv32um is about them.
const WITHOUT_TEST: [&str; 3] = ["ecall", "ebreak", "mret"];

#[test]
fn every_instruction_has_a_test() {
    let found: BTreeSet<String> = riscv_tests().into_keys().collect();
    let instructions = TABLE.iter().filter(|line| line.r0vm.is_some()).map(|line| line.mnemonic);
    let mut expected: BTreeSet<String> =
        instructions.filter(|mnemonic| !WITHOUT_TEST.contains(mnemonic)).map(str::to_owned).collect();
    expected.insert("simple".to_owned());
    assert_eq!(found, expected);
    assert_eq!(found.len() + NOT_AMONG_THEM.len(), 42 + 8, "rv32ui and rv32um");
    assert!(NOT_AMONG_THEM.iter().all(|(name, _)| !found.contains(*name)));
}

#[test]
fn riscv_tests_are_the_same() {
    for (name, elf) in riscv_tests() {
        let image = Image::from_elf(&elf).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let program = Program::from_elf(&elf).unwrap_or_else(|error| panic!("{name}: {error}"));
        for po2 in [13, 14, 20] {
            let environment = Environment { po2, ..Environment::default() };
            let expected = [run_image(&image, &environment)];
            assert_eq!(expected[0].exit, Some(Exit::Halted(0)), "{name} at po2 {po2}");
            for setup in [Setup::interpreter(), Setup::eager()] {
                let found = run_program(&program, &environment, 0, &setup);
                assert_eq!(compare_parts(&expected, &found), None, "{name} at po2 {po2}, {setup:?}");
            }
        }
    }
}
