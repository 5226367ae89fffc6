//! Holds that `tests/dropin/expected` has what each host prints with RISC Zero's executor in its own process.
//! `TACHY_UPDATE_GOLDEN=1` writes it.

use std::fs;
use std::process::{Command, Output};

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dropin/expected");

fn run(scenario: &str) -> Output {
    let mut host = Command::new(env!("CARGO_BIN_EXE_oracle-host"));
    for variable in ["RISC0_DEV_MODE", "RISC0_PROVER", "RISC0_EXECUTOR", "RISC0_INFO"] {
        host.env_remove(variable);
    }
    host.arg(scenario).output().expect("the host starts")
}

#[test]
fn expectations_are_those_of_risc_zeros_executor() {
    let list = String::from_utf8(run("list").stdout).expect("names are text");
    let mut wrong = Vec::new();
    for scenario in list.lines() {
        let Output { status, stdout, stderr } = run(scenario);
        assert!(status.success(), "{scenario}: {status}\n{}", String::from_utf8_lossy(&stderr));
        let path = format!("{EXPECTED}/{scenario}.txt");
        if std::env::var_os("TACHY_UPDATE_GOLDEN").is_some() {
            fs::write(&path, &stdout).expect("it can be written");
        }
        if fs::read(&path).ok() != Some(stdout) {
            wrong.push(scenario.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} differ from {EXPECTED}");
}
