//! The riscv-tests that RISC Zero's circuit is tested with, under Tachy and under the reference.

use oracle_reference::{Environment, Image, compare_parts, riscv_tests, run_image};
use oracle_tachy::{Setup, run_program};
use tachy::Program;

#[test]
fn riscv_tests_are_the_same() {
    for (name, elf) in riscv_tests() {
        let image = Image::from_elf(&elf).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let program = Program::from_elf(&elf).unwrap_or_else(|error| panic!("{name}: {error}"));
        for po2 in [13, 14, 20] {
            let environment = Environment { po2, ..Environment::default() };
            let expected = [run_image(&image, &environment)];
            for setup in [Setup::interpreter(), Setup::eager()] {
                let found = run_program(&program, &environment, 0, &setup);
                assert_eq!(compare_parts(&expected, &found), None, "{name} at po2 {po2}, {setup:?}");
            }
        }
    }
}
