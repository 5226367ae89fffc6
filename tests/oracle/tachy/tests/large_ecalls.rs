//! Ecalls that cost more than a segment, or a session, has: the same error as the reference's, at the same place.

use oracle_random::{LargeEcall, large_ecall};
use oracle_reference::{Environment, compare_parts, run_and_resume as reference, wrap};
use oracle_tachy::{Setup, run_and_resume};

const PO2S: [u32; 5] = [13, 14, 15, 17, 20];

/// Ecalls of each kind, from the smallest to those that no segment holds.
fn ecalls() -> Vec<LargeEcall> {
    let mut ecalls = Vec::new();
    for blocks in [0, 1, 60, 300, 3_000, 0xffff] {
        for (elements, state, check) in
            [(false, false, false), (true, true, false), (true, false, true), (false, true, true)]
        {
            ecalls.push(LargeEcall::Poseidon2 { blocks, elements, state, check });
        }
    }
    ecalls.extend([0, 1, 10, 11].map(|blocks| LargeEcall::Sha2 { blocks }));
    ecalls.extend([0, 8, 1024, 1025].map(|bytes| LargeEcall::Read { bytes }));
    // A header of six words is a program, three are none, and neither is what is longer than 10 MiB.
    for program in [3, 6, 20_000, 2_621_440, 2_621_441] {
        ecalls.push(LargeEcall::BigInt { program, verify: 1, constants: 1 });
    }
    for words in [1_000, 20_000, 400_000] {
        ecalls.push(LargeEcall::BigInt { program: 6, verify: words, constants: 1 });
        ecalls.push(LargeEcall::BigInt { program: 6, verify: 1, constants: words });
        ecalls.push(LargeEcall::BigInt { program: 6, verify: words, constants: words });
    }
    // A range that ends behind the address space is refused, whatever was paged in before.
    ecalls.push(LargeEcall::BigInt { program: 6, verify: 20_000, constants: 0x3fff_ffff });
    // 2^30 words are none, and cycles all the same.
    ecalls.push(LargeEcall::BigInt { program: 6, verify: 0x4000_0000, constants: 1 });
    ecalls
}

/// A number that stands in a text behind these words.
fn number_behind<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(words)?;
    rest.split(|character: char| !character.is_ascii_hexdigit() && character != 'x').next()
}

#[test]
fn ecalls_larger_than_a_segment_end_as_the_reference_has_it() {
    let (mut limits, mut too_small, mut differences) = (0, 0, Vec::new());
    for ecall in ecalls() {
        let (user, kernel) = large_ecall(ecall);
        let binary = wrap(&user, &kernel);
        for po2 in PO2S {
            for session_limit in [None, Some(1), Some(12), Some(5_000), Some(200_000)] {
                let environment = Environment { po2, session_limit, ..Environment::default() };
                let expected = reference(&binary, &environment, 0);
                let failure = expected.last().and_then(|outcome| outcome.failure.as_ref());
                // The reference panics where a segment is too small, and tells its pc.
                let pc = failure.and_then(|failure| number_behind(&failure.text, "too small for instruction at pc: "));
                let used = failure.and_then(|failure| number_behind(&failure.text, "Session limit exceeded: "));
                (limits, too_small) = (limits + u32::from(used.is_some()), too_small + u32::from(pc.is_some()));
                for setup in [Setup::interpreter(), Setup::eager()] {
                    let what = format!("{ecall:?}, po2 {po2}, limit {session_limit:?}, {setup:?}");
                    let found = run_and_resume(&binary, &environment, 0, &setup);
                    differences
                        .extend(compare_parts(&expected, &found).map(|difference| format!("{what}: {difference}")));
                    let found = found.last().and_then(|outcome| outcome.failure.as_ref());
                    let text = found.map_or("", |failure| &failure.text);
                    let says = |part: &str| text.contains(part);
                    let same = used.is_none_or(says)
                        && pc.is_none_or(|pc| says(pc) && says("too small for the instruction that ends at"));
                    if !same {
                        differences.push(format!("{what}: {failure:?} against {text:?}"));
                    }
                }
            }
        }
    }
    let shown = &differences[..differences.len().min(20)];
    assert!(differences.is_empty(), "{} differences, the first of them {shown:#?}", differences.len());
    assert!(limits > 50 && too_small > 50, "{limits} times a session's limit, {too_small} times a segment's");
}
