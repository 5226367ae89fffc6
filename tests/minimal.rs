//! Tests the library without its features: `cargo test -p tachy --no-default-features --lib --test minimal`.
//!
//! It uses only what every build has, so it also runs with all features.

use std::fs;

use tachy::trace::DigestSink;
use tachy::{Env, Executor, Limits, Program, Status};

fn fib() -> Program {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf");
    Program::from_elf(&fs::read(path).expect("it is built")).expect("it is a program")
}

#[test]
fn a_guest_runs_and_its_rows_are_the_same_in_every_build() {
    let executor = Executor::builder().limits(Limits::none().steps(1_000_000)).build(&fib()).expect("an executor");
    let (mut output, mut digest) = (Vec::new(), DigestSink::default());
    let env = Env::new().args(["fib", "20"]).stdout(&mut output);
    let outcome = executor.trace(env, &mut digest).expect("it ends");
    assert_eq!((outcome.status(), outcome.steps()), (Some(Status::Exited { code: 0 }), 296_183));
    assert_eq!(output, b"fib(20) = 6765 ok\n");
    assert_eq!(digest.digest().rows.to_string(), ROWS);
}

/// BLAKE3 of the rows, from the interpreter.
const ROWS: &str = "55e4c79d9b2e57d9e75aff6b546d88d57a708a8aa8b102d4823efb2a5b04d004";

#[test]
fn a_limit_stops_every_build_at_the_same_step() {
    let executor = Executor::builder().limits(Limits::none().steps(1_000)).build(&fib()).expect("an executor");
    let error = executor.run(Env::new().args(["fib", "20"])).expect_err("it takes longer");
    assert_eq!((error.kind(), error.location().map(|location| location.step)), ("step-limit", Some(1_000)));
}
