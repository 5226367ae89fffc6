//! Runs conformance suites on machine `bare` under both engines. The programs of tests/suites come from the official
//! generator and coverage that is described there, with signatures of Spike, the golden model. Other suites lie, built,
//! in folders outside of the repository.
//!
//! `TACHY_SUITES=DIR cargo test --test it suites -- --ignored` runs every `*.elf` below the folder. A program passes if
//! it exits with 0 and its signature matches. The signature is a file `*.signature` of the same name, if there is one:
//! it has the words of memory between the symbols `begin_signature` and `end_signature`, eight hexadecimal digits per
//! line. docs/runs records which suites were run, with the results. Nothing is skipped: a program that cannot pass is
//! listed in [`CANNOT_PASS`], and has to fail in exactly that way; an instruction without a program is listed in
//! [`WITHOUT_PROGRAM`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::cases::{every_setup, short};
use crate::common::engines::{Case, End, assert_same, run_with};
use tachy::isa::TABLE;
use tachy::trace::VecSink;
use tachy::{Program, Status};

/// Programs that cannot pass, by the ends of their names, with the end of their run and the reason.
const CANNOT_PASS: [(&str, &str, &str); 1] =
    [("ma_data", "misaligned load", "it asks for misaligned loads and stores to be done; this machine traps on them")];

/// Instructions of this machine without a program in tests/suites, in the table's order, and the reason.
const WITHOUT_PROGRAM: [(&str, &str); 3] = [
    ("fence.i", "neither of RV32I nor of M"),
    ("ecall", "how each of the programs exits"),
    ("ebreak", "it ends a program, before its signature"),
];

/// How many programs ended in each way, and how many words of signatures were compared.
#[derive(Default)]
struct Counts {
    exits: usize,
    signatures: usize,
    others: usize,
    words: usize,
}

#[test]
fn every_instruction_has_the_signature_of_the_golden_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites/programs");
    let programs = programs(&folder);
    let names: BTreeSet<String> = programs.iter().map(|path| name(path)).collect();
    let missing: Vec<&str> = TABLE
        .iter()
        .filter(|line| line.standard.is_some())
        .map(|line| line.mnemonic)
        .filter(|mnemonic| !names.contains(*mnemonic))
        .collect();
    assert_eq!(missing, WITHOUT_PROGRAM.map(|(mnemonic, _)| mnemonic), "instructions without a program");
    let counts = run(&programs);
    assert_eq!(counts.signatures, programs.len(), "programs with a signature");
    println!("{} programs, {} words of signatures", counts.signatures, counts.words);
}

#[test]
#[ignore = "needs suites that are no part of the repository, in the folder TACHY_SUITES names"]
fn foreign_suites_pass() {
    let folder = std::env::var("TACHY_SUITES").expect("TACHY_SUITES names the folder of the suites");
    let Counts { exits, signatures, others, words } = run(&programs(Path::new(&folder)));
    println!("{exits} exited with 0, {signatures} with their signature of {words} words, {others} cannot pass");
    assert!(exits + signatures > 0, "no program in {folder}");
}

/// Runs programs under every engine. A failure names the program and the difference.
fn run(programs: &[PathBuf]) -> Counts {
    let mut counts = Counts::default();
    for path in programs {
        let name = name(path);
        let elf = fs::read(path).expect("a file that was just found");
        let case = short(Case::new(Program::from_elf(&elf).unwrap_or_else(|error| panic!("{name}: {error}"))));
        let outcome = assert_same(&name, &case, &every_setup());
        let known = CANNOT_PASS.iter().find(|(end, ..)| name.ends_with(end));
        if let Some((_, expected, reason)) = known {
            let failed = matches!(&outcome.end, End::Failed { text, .. } if text.contains(expected));
            assert!(failed, "{name} should have ended with a {expected}: {:?}", outcome.end);
            println!("{name}: cannot pass: {reason}");
            counts.others += 1;
            continue;
        }
        assert_eq!(outcome.end, End::Done(Status::Exited { code: 0 }), "{name}");
        let signature = path.with_extension("signature");
        if signature.exists() {
            counts.words += compare_signature(&name, &case, &signature);
            counts.signatures += 1;
        } else {
            counts.exits += 1;
        }
    }
    counts
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    find_programs(folder, &mut found);
    found.sort();
    found
}

fn find_programs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            find_programs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "elf") {
            found.push(path);
        }
    }
}

/// Compares every word of the signature under every engine. Returns the number of words.
fn compare_signature(name: &str, case: &Case, file: &Path) -> usize {
    let text = fs::read_to_string(file).expect("a file that was just found");
    let expected: Vec<u32> =
        text.split_whitespace().map(|word| u32::from_str_radix(word, 16).expect("hexadecimal words")).collect();
    let symbol = |wanted: &str| {
        let symbol = case.program.symbols().iter().find(|symbol| symbol.name == wanted);
        symbol.unwrap_or_else(|| panic!("{name}: no symbol {wanted}")).address
    };
    let begin = symbol("begin_signature");
    assert!(!expected.is_empty() && begin + 4 * expected.len() as u32 <= symbol("end_signature"), "{name}");
    for setup in every_setup() {
        run_with(case, &setup, |session| {
            let result = session.run(&mut VecSink::default());
            for (index, &word) in (0..).zip(&expected) {
                let found = session.word(begin + 4 * index);
                assert!(found == word, "{name}: word {index} is {found:#010x}, not {word:#010x}: {setup:?}");
            }
            result
        });
    }
    expected.len()
}
