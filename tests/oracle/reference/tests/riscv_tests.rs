//! The riscv-tests that RISC Zero's circuit is tested with, under the reference.

use oracle_reference::{Environment, Exit, Image, riscv_tests, run_image};

#[test]
fn riscv_tests_pass_in_segments_of_any_length() {
    let elves = riscv_tests();
    assert_eq!(elves.len(), 46, "{:?}", elves.keys());
    let mut splits = 0;
    for (name, elf) in &elves {
        let image = Image::from_elf(elf).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for po2 in [13, 14, 20] {
            let outcome = run_image(&image, &Environment { po2, ..Environment::default() });
            assert_eq!(outcome.failure, None, "{name} at po2 {po2}");
            assert_eq!(outcome.exit, Some(Exit::Halted(0)), "{name} at po2 {po2}");
            splits += outcome.segments.len() - 1;
        }
    }
    assert!(splits > 46, "{splits} splits");
}
