//! The repository's guests of R0VM with the inputs that they are tested with. It must not know what they answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::environment::{Environment, sequence};

/// One guest with one input.
pub struct Case {
    /// Name of the guest's binary in `guests/r0vm/bin`.
    pub guest: &'static str,
    /// What tells this input from the guest's others; empty for the first.
    pub variant: &'static str,
    /// Its environment.
    pub environment: Environment,
    /// How often it is resumed after a pause.
    pub resumes: usize,
}

/// A guest's program binary.
///
/// # Panics
///
/// If it was not built.
pub fn binary(guest: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../../guests/r0vm/bin/{guest}.bin"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All guests, small first.
pub fn cases() -> Vec<Case> {
    let case = |guest, variant, environment| Case { guest, variant, environment, resumes: 0 };
    let words = |guest, variant, words: &[u32]| case(guest, variant, Environment::with_words(words));
    let po2 = |mut case: Case, po2| {
        case.environment.po2 = po2;
        case
    };
    let mut cases = vec![
        case("hello", "", Environment { stdin: hello(), ..Environment::default() }),
        words("hash", "", &[10_000]),
        po2(words("hash", "short segments", &[1_000]), 16),
        words("bigint", "", &[2, 1]),
        po2(words("bigint", "short segments", &[2, 0]), 16),
        words("keccak", "", &[500, 0]),
        words("keccak", "proven", &[500, 1]),
        words("heap", "", &[1_024, 500]),
        po2(words("heap", "16 MiB", &[16_384, 2_000]), 21),
        case("json", "", Environment { stdin: json(), ..Environment::default() }),
        words("panic", "", &[0]),
        words("panic", "not at all", &[8]),
        words("recursion", "", &[2, 6, 2_000]),
        po2(words("recursion", "short segments", &[2, 6, 500]), 14),
        words("sparse", "", &[1_000, 1]),
        po2(words("sparse", "short segments", &[25, 2]), 13),
        Case { resumes: 4, ..words("pause", "", &[3, 10, 20, 30, 40]) },
        case("streams", "", streams()),
        po2(case("streams", "short segments", streams()), 14),
        case("calls", "", calls()),
        case("verify", "", verify()),
        words("accelerators", "", &[4]),
        po2(words("accelerators", "short segments", &[1]), 16),
        words("fib", "", &[15]),
        words("sieve", "", &[20_000]),
        words("sha256", "", &[50]),
        words("quicksort", "", &[1_000]),
        words("vm", "", &[30]),
        words("mix", "", &[2]),
        po2(words("mix", "short segments", &[1]), 14),
        words("smc", "", &[200]),
        po2(words("smc", "short segments", &[5]), 13),
        case("kernel_modes", "", Environment::default()),
        po2(case("kernel_modes", "short segments", Environment::default()), 13),
        case("kernel_registers", "", Environment::default()),
        po2(case("kernel_registers", "short segments", Environment::default()), 13),
        case("kernel_ecalls", "", ecalls()),
        po2(case("kernel_ecalls", "short segments", ecalls()), 14),
    ];
    cases.extend(PROGRAMS.iter().map(|program| words(program.guest, "", program.tiny)));
    cases.extend([
        po2(words("ecdsa_bigint", "short segments", &[2]), 16),
        po2(words("rsa", "short segments", &[2]), 16),
        po2(words("merkle", "short segments", &[4, 4]), 14),
        po2(words("serde", "short segments", &[4, 2]), 14),
        po2(words("ledger", "short segments", &[10, 32]), 14),
    ]);
    cases.extend(TRAPS.iter().map(|&(number, variant)| {
        let mut case = words("trap", variant, &[number]);
        case.environment.session_limit = Some(100_000);
        case
    }));
    cases
}

/// A program that is like those of RISC Zero's users, with a tiny input for tests and a large one for measurements.
pub struct Program {
    /// Name of its binary.
    pub guest: &'static str,
    /// What it spends its time on.
    pub what: &'static str,
    pub tiny: &'static [u32],
    /// An input that takes 5 to 20 million cycles.
    pub large: &'static [u32],
}

const fn program(guest: &'static str, what: &'static str, tiny: &'static [u32], large: &'static [u32]) -> Program {
    Program { guest, what, tiny, large }
}

/// The programs of `guests/r0vm/programs`.
pub const PROGRAMS: [Program; 10] = [
    program("ecdsa_bigint", "ECDSA over secp256k1 by big-integer ecalls", &[4], &[60]),
    program("ecdsa_soft", "ECDSA over secp256k1 in software", &[1], &[3]),
    program("p256", "ECDSA over P-256, both ways", &[4, 0], &[30, 1]),
    program("rsa", "RSA with 4096 bits by big-integer ecalls", &[4], &[200]),
    program("chain", "X.509 certificates with ECDSA", &[1], &[12]),
    program("merkle", "a Merkle tree by SHA-2 ecalls", &[4, 4], &[11, 300]),
    program("keccak_sponge", "Keccak-256 in software", &[1, 100], &[150, 20_000]),
    program("serde", "borsh, postcard, RISC Zero's format", &[4, 2], &[60, 8]),
    program("ledger", "a key-value state transition", &[10, 32], &[400, 2_000]),
    program("contracts", "an interpreter of contracts", &[8], &[300]),
];

/// What each number makes the guest `trap` do.
const TRAPS: [(u32, &str); 26] = [
    (0, "none"),
    (1, "misaligned lw"),
    (2, "misaligned lh"),
    (3, "misaligned sw"),
    (4, "misaligned sh"),
    (5, "no instruction"),
    (6, "fence"),
    (7, "ebreak"),
    (8, "jump to the zero page"),
    (9, "jump to the kernel"),
    (10, "misaligned jump"),
    (11, "load from 0"),
    (12, "load from the kernel"),
    (13, "store to 0"),
    (14, "store to the registers"),
    (15, "mret"),
    (16, "system call 5"),
    (17, "system call 99"),
    (18, "fork"),
    (19, "unknown call"),
    (20, "closed descriptor"),
    (21, "bad system instruction"),
    (22, "endless"),
    (23, "panic"),
    (24, "jump into data"),
    (25, "answer into the kernel"),
];

/// A string as risc0-zkvm's serialisation has it: its length, its bytes padded to words; then a number.
fn hello() -> Vec<u8> {
    let mut input = vec![5, 0, 0, 0];
    input.extend(b"world\0\0\0");
    input.extend(41u32.to_le_bytes());
    input
}

fn json() -> Vec<u8> {
    let names = ["Ada", "Grace", "Barbara", "Frances", "Ada"];
    let entry = |number: usize| {
        let (name, amount) = (names[number % names.len()], (number * number) as f64 / 8.0);
        format!(
            "  {{ \"name\": \"{name} {}\", \"tags\": [null, true, \"\\u00e9\\n\"], \"amount\": {amount} }}",
            number % 7
        )
    };
    format!("[\n{}\n]\n", (0..60).map(entry).collect::<Vec<_>>().join(",\n")).into_bytes()
}

fn streams() -> Environment {
    let text = |seed, count| sequence(seed).map(|byte| byte % 95 + 32).take(count).collect::<Vec<u8>>();
    Environment {
        stdin: text(11, 10_007),
        inputs: BTreeMap::from([(4, text(12, 4_999))]),
        outputs: [1, 2, 5].into(),
        ..Environment::default()
    }
}

fn calls() -> Environment {
    let claim: [u8; 32] = std::array::from_fn(|at| at as u8 + 1);
    Environment {
        args: vec!["calls".into(), "second, of odd length".into(), String::new()],
        variables: BTreeMap::from([("GREETING".into(), "hello".into())]),
        channels: BTreeMap::from([("echo".into(), b"answered: ".to_vec())]),
        assumptions: vec![(claim, [0; 32])],
        input_digest: claim,
        random_seed: 5,
        ..Environment::default()
    }
}

/// Verifies a claim under any root, assumes another one, and verifies that one under its root.
fn verify() -> Environment {
    let digest = |byte: u32| [byte * 0x0101_0101; 8];
    let words = [vec![3], vec![1], [digest(1), digest(0)].concat(), vec![2], [digest(3), digest(4)].concat()];
    let words = [words.concat(), vec![1], [digest(3), digest(4)].concat()].concat();
    Environment { assumptions: vec![([1; 32], [2; 32])], ..Environment::with_words(&words) }
}

fn ecalls() -> Environment {
    Environment { stdin: sequence(13).take(4_000).collect(), ..Environment::default() }
}
