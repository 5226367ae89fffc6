//! The guests of R0VM under the reference: what their README says, and what follows from their sources. What the binaries
//! are worth as tests of another machine rests on this.

use std::fmt::Write;
use std::path::Path;

use oracle_reference::{
    Case, Environment, Exit, FailureKind, Outcome, PROGRAMS, binary, cases, run, run_and_resume, sequence,
};
use sha2::{Digest, Sha256};

/// The outcomes of a case, a part for each pause.
fn parts(case: &Case) -> Vec<Outcome> {
    run_and_resume(&binary(case.guest), &case.environment, case.resumes)
}

/// The first case of a guest with this variant.
fn outcome(guest: &str, variant: &str) -> Outcome {
    let case = cases().into_iter().find(|case| case.guest == guest && case.variant == variant);
    parts(&case.expect("the case is in the list")).remove(0)
}

fn journal(outcome: &Outcome) -> &[u8] {
    outcome.journal.as_deref().unwrap_or_else(|| panic!("no journal: {:?}", outcome.failure))
}

/// Words, as a journal has them.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The row of the README for a part of a case.
fn row(case: &Case, part: usize, outcome: &Outcome) -> String {
    let mut name = format!("`{}`", case.guest);
    if !case.variant.is_empty() {
        let _ = write!(name, ", {}", case.variant);
    }
    if part > 0 {
        let _ = write!(name, ", part {}", part + 1);
    }
    let end = match (&outcome.failure, outcome.exit) {
        (Some(failure), _) => format!("{:?}", failure.kind),
        (None, Some(exit)) => format!("{exit:?}"),
        (None, None) => "nothing".into(),
    };
    let journal = match &outcome.journal {
        Some(journal) if journal.is_empty() => "empty".into(),
        Some(journal) if journal.len() <= 40 => format!("`{}`", hex::encode(journal)),
        Some(journal) => format!("{} bytes, SHA-256 `{}`", journal.len(), hex::encode(&Sha256::digest(journal)[..8])),
        None => "none".into(),
    };
    let (po2, segments) = (case.environment.po2, outcome.segments.len());
    let (user, paging) = (outcome.user_cycles, outcome.paging_cycles);
    format!("| {name} | {po2} | {end} | {segments} | {user} | {paging} | {journal} |")
}

#[test]
fn the_readme_has_every_outcome() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../guests/r0vm/README.md");
    let readme = std::fs::read_to_string(path).expect("the guests have a README");
    let mut missing = String::new();
    for case in cases() {
        for (part, outcome) in parts(&case).iter().enumerate() {
            let row = row(&case, part, outcome);
            if !readme.lines().any(|line| line == row) {
                let _ = writeln!(missing, "{row}");
            }
        }
    }
    assert!(missing.is_empty(), "guests/r0vm/README.md does not have these rows:\n{missing}");
}

/// The large inputs end well too, and take as long as the README says.
#[test]
fn the_readme_has_the_cycles_of_large_inputs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../guests/r0vm/README.md");
    let readme = std::fs::read_to_string(path).expect("the guests have a README");
    for program in &PROGRAMS {
        let outcome = run(&binary(program.guest), &Environment::with_words(program.large));
        assert_eq!(outcome.exit, Some(Exit::Halted(0)), "{}: {:?}", program.guest, outcome.failure);
        let (start, end) = (format!("| `{}` | ", program.guest), format!(" | {} |", outcome.user_cycles));
        let row = |line: &str| line.starts_with(&start) && line.ends_with(&end);
        assert!(readme.lines().any(row), "{}: {} user cycles", program.guest, outcome.user_cycles);
    }
}

#[test]
fn every_binary_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../guests/r0vm/bin");
    for entry in std::fs::read_dir(folder).expect("the guests are built") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("guests have plain names").to_owned();
        assert!(cases().iter().any(|case| case.guest == name), "{name} is not among the cases");
    }
}

#[test]
fn hello_greets() {
    let outcome = outcome("hello", "");
    assert_eq!(journal(&outcome), [&b"hello, world!"[..], &words(&[42])].concat());
    // The log goes to standard output, with the cycle in front.
    let output = String::from_utf8_lossy(&outcome.outputs[&1]);
    assert!(output.starts_with("greeting world\nR0VM[") && output.ends_with("] hello\n"), "{output}");
    assert_eq!(outcome.outputs[&2], b"41 so far\n");
    assert_eq!(outcome.exit, Some(Exit::Halted(0)));
}

#[test]
fn hash_is_sha256_and_costs_what_the_cycles_say() {
    let outcome = outcome("hash", "");
    let bytes: Vec<u8> = sequence(1).take(10_000).collect();
    let journal = journal(&outcome);
    assert_eq!(&journal[..32], &Sha256::digest(bytes)[..]);
    let cycles = |at: usize| u64::from_le_bytes(journal[at..at + 8].try_into().expect("eight bytes"));
    let (plain, accelerated) = (cycles(32), cycles(40));
    // A block costs 68 cycles by the accelerator, and thousands by instructions.
    assert!(accelerated > 157 * 68 && accelerated * 10 < plain, "{plain} against {accelerated}");
    assert!(plain + accelerated < outcome.user_cycles, "{plain} + {accelerated} of {}", outcome.user_cycles);
}

#[test]
fn accelerators_are_used() {
    let used = [
        ("bigint", "BigInt"),
        ("accelerators", "BigInt"),
        ("accelerators", "Poseidon2"),
        ("ecdsa_bigint", "BigInt"),
        ("p256", "BigInt"),
        ("rsa", "BigInt"),
        ("chain", "BigInt"),
        ("chain", "Sha2"),
        ("merkle", "Sha2"),
        ("ledger", "Sha2"),
    ];
    for (guest, kind) in used {
        assert!(outcome(guest, "").ecalls[kind].count > 0, "{guest} makes no ecall {kind}");
    }
    let calls = outcome("keccak", "").calls;
    assert!(calls["risc0_zkvm_platform::syscall::nr::SYS_KECCAK"] >= 4, "{calls:?}");
}

#[test]
fn good_signatures_are_accepted_and_the_damaged_one_of_four_is_not() {
    for guest in ["ecdsa_bigint", "rsa", "p256"] {
        assert!(journal(&outcome(guest, "")).starts_with(&words(&[3, 1])), "{guest}");
    }
    assert_eq!(journal(&outcome("ecdsa_soft", "")), words(&[1, 0]));
    let soft = run(&binary("ecdsa_soft"), &Environment::with_words(&[4]));
    assert_eq!(journal(&soft), words(&[3, 1]));
    let both = run(&binary("p256"), &Environment::with_words(&[1, 1]));
    assert_eq!(journal(&both), words(&[1, 0, 1, 0]));
    // Each certificate below the root is damaged once.
    let chain = run(&binary("chain"), &Environment::with_words(&[12]));
    let leaf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../guests/r0vm/programs/data/leaf.der");
    let leaf = std::fs::read(leaf).expect("the certificates are in the repository");
    let (counts, key) = journal(&chain).split_at(8);
    assert_eq!(counts, words(&[9, 3]));
    assert!(key.len() == 64 && leaf.windows(64).any(|window| window == key), "{}", hex::encode(key));
}

#[test]
fn merkle_has_the_root_of_its_leaves() {
    use risc0_zkp::core::hash::sha::{Impl, Sha256};
    let mut level: Vec<_> = (0..16).map(|leaf| *Impl::hash_bytes(format!("leaf {leaf} of 16").as_bytes())).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| *Impl::hash_pair(&pair[0], &pair[1])).collect();
    }
    let outcome = outcome("merkle", "");
    let (first, last) = journal(&outcome).split_at(32);
    assert_eq!(first, level[0].as_bytes());
    assert_ne!(first, last);
    assert_eq!(journal(&run(&binary("merkle"), &Environment::with_words(&[4, 0]))), [first, first].concat());
}

#[test]
fn the_long_message_of_the_sponge_is_hashed() {
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    // The 20 octets of the one slot come before those of the message.
    let states = std::iter::successors(Some(1u32), step).skip(1 + 20);
    let mut block: Vec<u8> = states.take(100).map(|state| (state >> 8) as u8).collect();
    // One block: the padding's first and last bit.
    block.push(1);
    block.resize(136, 0);
    block[135] |= 0x80;
    let mut lanes = [0; 25];
    for (lane, bytes) in lanes.iter_mut().zip(block.chunks_exact(8)) {
        *lane = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    keccak::f1600(&mut lanes);
    let digest = lanes[..4].iter().flat_map(|lane| lane.to_le_bytes()).collect::<Vec<_>>();
    assert_eq!(journal(&outcome("keccak_sponge", ""))[32..], digest);
}

#[test]
fn programs_report_the_sizes_of_their_work() {
    let ledger = outcome("ledger", "");
    let (roots, counts) = journal(&ledger).split_at(64);
    assert_eq!(counts, words(&[28, 4]), "every eighth transaction is refused");
    assert_ne!(roots[..32], roots[32..]);
    let serde = outcome("serde", "");
    let sizes = &journal(&serde)[32..];
    let size = |at: usize| u32::from_le_bytes(sizes[4 * at..4 * at + 4].try_into().expect("a word"));
    // Postcard's numbers have as many octets as they need; each field has a word at least in RISC Zero's format.
    assert!(size(1) < size(0) && size(0) < size(2) && size(2) % 4 == 0, "{sizes:?}");
    let contracts = outcome("contracts", "");
    let ran_out = &journal(&contracts)[40..];
    assert!(ran_out == words(&[1]) || ran_out == words(&[2]), "the fourth and the eighth call, unless one reverts");
}

#[test]
fn keccak_is_the_same_with_and_without_a_proof() {
    let (plain, proven) = (outcome("keccak", ""), outcome("keccak", "proven"));
    assert_eq!(journal(&plain), journal(&proven));
    assert!(proven.output_digest != plain.output_digest, "the assumption is part of the output");
}

#[test]
fn heap_pages_in_what_it_uses() {
    let outcome = outcome("heap", "16 MiB");
    assert!(outcome.paging_cycles > 16_384 * 2 * 335, "{} paging cycles", outcome.paging_cycles);
}

#[test]
fn json_is_summed_and_sorted() {
    let outcome = outcome("json", "");
    let value: serde_json::Value = serde_json::from_slice(journal(&outcome)).expect("the journal is JSON");
    assert_eq!(value["count"], 60);
    assert_eq!(value["sum"], (0..60).map(|number| f64::from(number * number) / 8.0).sum::<f64>());
    let names = value["names"].as_array().expect("an array of names");
    assert!(names.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{names:?}");
}

#[test]
fn panic_says_why() {
    let failure = outcome("panic", "").failure.expect("a division by zero");
    assert!(failure.text.contains("attempt to divide by zero"), "{}", failure.text);
    assert_eq!(journal(&outcome("panic", "not at all")), words(&[8, 125]));
}

#[test]
fn recursion_comes_back() {
    fn descend(depth: u32) -> u32 {
        match depth {
            0 => 1,
            _ => descend(depth - 1).wrapping_mul(31).wrapping_add(depth.wrapping_mul(depth % 8 * 4)),
        }
    }
    // ackermann(2, n) = 2 n + 3.
    assert_eq!(journal(&outcome("recursion", "")), words(&[15, descend(2_000)]));
}

#[test]
fn sparse_reads_back_what_it_wrote() {
    const WORDS: u32 = 64 << 18;
    let mut memory = std::collections::HashMap::new();
    let states =
        std::iter::successors(Some(1u32), |state| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let states: Vec<u32> = states.skip(1).take(1_000).collect();
    let mut sum = 0u32;
    for state in &states {
        let at = (state >> 6) % WORDS;
        let word = memory.entry(at).or_insert(0);
        if state >> 4 & 1 == 1 {
            sum = sum.wrapping_mul(31).wrapping_add(*word);
        }
        if state >> 5 & 1 == 1 {
            *word = *state;
        }
        sum = sum.wrapping_add(*word >> 24);
    }
    for state in &states {
        sum = sum.wrapping_mul(31).wrapping_add(memory[&((state >> 6) % WORDS)]);
    }
    assert_eq!(journal(&outcome("sparse", "")), words(&[sum]));
}

#[test]
fn pause_goes_on_where_it_was() {
    let case = cases().into_iter().find(|case| case.guest == "pause").expect("the case is in the list");
    let parts = parts(&case);
    let exits: Vec<_> = parts.iter().map(|part| part.exit).collect();
    let expected = [Exit::Paused(1), Exit::Paused(2), Exit::Paused(3), Exit::Halted(0)].map(Some);
    assert_eq!(exits, expected);
    let mut sum = 0u32;
    for (number, part) in (0..).zip(&parts) {
        sum = sum * 31 + 10 * (number + 1);
        assert_eq!(journal(part), words(&[number, sum]));
    }
    for pair in parts.windows(2) {
        assert_eq!(pair[0].post_state, pair[1].pre_state);
    }
}

#[test]
fn streams_are_copied_in_upper_case() {
    let case = cases().into_iter().find(|case| case.guest == "streams").expect("the case is in the list");
    let outcome = &parts(&case)[0];
    let mut expected = Vec::new();
    for (bytes, to) in [(&case.environment.stdin, 1), (&case.environment.inputs[&4], 5)] {
        assert_eq!(outcome.outputs[&to], bytes.to_ascii_uppercase());
        let sum = bytes.iter().fold(0u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        expected.extend([bytes.len() as u32, sum]);
    }
    assert_eq!(outcome.outputs[&2], b"streams: done\n");
    assert_eq!(journal(outcome), words(&expected));
}

#[test]
fn calls_are_answered() {
    let outcome = outcome("calls", "");
    let journal = journal(&outcome);
    let mut expected = words(&[3]);
    for argument in ["calls", "second, of odd length", ""] {
        expected.extend(words(&[argument.len() as u32]));
        expected.extend(argument.bytes());
    }
    expected.extend(words(&[5]));
    expected.extend(b"hellounset");
    assert!(journal.starts_with(&expected), "{}", hex::encode(journal));
    let contains = |text: &[u8]| journal.windows(text.len()).any(|window| window == text);
    assert!(contains(b"answered: over the channel"), "{}", String::from_utf8_lossy(journal));
    assert!(contains(b"through") && contains(b" the pipe"), "{}", String::from_utf8_lossy(journal));
    // Another seed changes memory, not the journal.
    let case = cases().into_iter().find(|case| case.guest == "calls").expect("the case is in the list");
    let other = run(&binary("calls"), &Environment { random_seed: 6, ..case.environment });
    assert_eq!(other.journal.as_deref(), Some(journal));
    assert_ne!(other.post_state, outcome.post_state);
}

/// The host knows one claim, and the guest itself assumes the other.
#[test]
fn claims_are_verified() {
    assert_eq!(journal(&outcome("verify", "")), words(&[1, 0, 2, 0, 1, 0]));
    let case = cases().into_iter().find(|case| case.guest == "verify").expect("the case is in the list");
    let unknown = run(&binary("verify"), &Environment { assumptions: Vec::new(), ..case.environment });
    assert!(unknown.failure.is_some(), "{:?}", unknown.exit);
}

#[test]
fn smc_runs_what_it_wrote() {
    let mut sum = 0u32;
    for round in 0..200u32 {
        let step = round & 0x3ff;
        sum = sum.wrapping_mul(31).wrapping_add(round.wrapping_add(8 * step));
        // The patched addend is 0x400 + round, below the sign bit of 12 bits.
        let patched = 0x400 | (round & 0x1ff);
        sum = sum.wrapping_mul(31).wrapping_add(round.wrapping_add(7 * step).wrapping_add(patched));
    }
    assert_eq!(journal(&outcome("smc", "")), words(&[sum, 1 + 2 + 0x155]));
}

#[test]
fn traps_have_the_cause_that_they_say() {
    use FailureKind::{Other, SessionLimit, Trap};
    let expected = [
        (0, None),
        (1, Some(Trap(4))),
        (2, Some(Trap(4))),
        (3, Some(Trap(6))),
        (4, Some(Trap(6))),
        (5, Some(Trap(2))),
        (6, Some(Trap(2))),
        (7, Some(Trap(3))),
        (8, Some(Trap(1))),
        (9, Some(Trap(1))),
        (10, Some(Trap(0))),
        (11, Some(Trap(5))),
        (12, Some(Trap(5))),
        (13, Some(Trap(7))),
        (14, Some(Trap(7))),
        (15, Some(Other)),
        // The kernel answers these two, and an answer into its own memory, with no instruction.
        (16, Some(Trap(2))),
        (17, Some(Trap(2))),
        (18, Some(Other)),
        (19, Some(Other)),
        (20, Some(Other)),
        (21, Some(Trap(2))),
        (22, Some(SessionLimit)),
        (23, Some(Other)),
        (24, Some(Trap(2))),
        (25, Some(Trap(2))),
    ];
    for (number, kind) in expected {
        let environment = Environment { session_limit: Some(100_000), ..Environment::with_words(&[number]) };
        let outcome = run(&binary("trap"), &environment);
        let failure = outcome.failure.as_ref();
        assert_eq!(failure.map(|failure| failure.kind), kind, "trap {number}: {failure:?}");
        match kind {
            None => assert_eq!(outcome.exit, Some(Exit::Halted(77))),
            Some(_) => assert_eq!((outcome.exit, &outcome.journal), (None, &None), "trap {number}"),
        }
    }
}

#[test]
fn kernels_of_our_own_end_as_they_say() {
    for (guest, code) in [("kernel_modes", 7), ("kernel_registers", 0), ("kernel_ecalls", 3)] {
        let (long, short) = (outcome(guest, ""), outcome(guest, "short segments"));
        assert_eq!(long.exit, Some(Exit::Halted(code)), "{guest}: {:?}", long.failure);
        // What a program computes does not depend on where its segments end.
        assert_eq!(long.output_digest, short.output_digest, "{guest}");
        assert!(short.segments.len() > long.segments.len(), "{guest}: {} segments", short.segments.len());
    }
}
