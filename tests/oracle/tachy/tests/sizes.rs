//! Guests under Tachy and under the reference in segments of several sizes: splits fall elsewhere in each.

use oracle_reference::{Case, binary, cases, compare_parts, run_and_resume as reference};
use oracle_tachy::{Setup, run_and_resume};

/// Guests with fewer user cycles than this run in the smallest segments.
const SMALL_CYCLES: u64 = 200_000;

/// Compares guests in segments of the sizes that `sizes` picks by their user cycles.
fn compare(sizes: impl Fn(u64) -> &'static [u32]) {
    for Case { guest, variant, mut environment, resumes } in cases() {
        let binary = binary(guest);
        environment.po2 = 20;
        let cycles = reference(&binary, &environment, resumes).iter().map(|part| part.user_cycles).sum();
        for &po2 in sizes(cycles) {
            environment.po2 = po2;
            let expected = reference(&binary, &environment, resumes);
            for setup in [Setup::interpreter(), Setup::eager()] {
                let found = run_and_resume(&binary, &environment, resumes, &setup);
                assert_eq!(compare_parts(&expected, &found), None, "{guest} {variant} at po2 {po2}, {setup:?}");
            }
        }
    }
}

#[test]
fn small_guests_are_the_same_in_small_segments() {
    compare(|cycles| if cycles < SMALL_CYCLES { &[14] } else { &[] });
}

#[test]
#[ignore = "takes many minutes"]
fn guests_are_the_same_in_segments_of_every_size() {
    compare(|cycles| if cycles < SMALL_CYCLES { &[13, 14, 16, 20] } else { &[16, 20] });
}
