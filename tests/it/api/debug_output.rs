//! Tests the `{:?}` output of public values: a few lines, however much they hold.

use std::fmt::Debug;
use std::fs;

use crate::common::cases::guest;
use crate::common::engines::Setup;
use tachy::risc0::host::{HostEnv, Journal};
use tachy::risc0::{Binary, Image, Tree};
use tachy::trace::{CsvSink, FileSink, VecSink};
use tachy::{Engine, Env, Executor, MachineKind, Program};

const LONGEST_BYTES: usize = 2_000;

fn assert_short(what: &str, value: &dyn Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.is_empty() && text.len() < LONGEST_BYTES, "{what}: {} bytes", text.len());
    }
}

#[test]
fn values_show_little() {
    let bytes = fs::read(format!("{}/guests/r0vm/bin/recursion.bin", env!("CARGO_MANIFEST_DIR"))).expect("it is built");
    let program = Program::from_risc0(&bytes).expect("a good program");
    let image = Image::of(&program);
    assert_short("binary", &Binary::parse(&bytes).expect("a good binary"));
    assert_short("tree", &Tree::of(&image));
    assert_short("image", &image);
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("a good setting");
    let mut segments = Vec::new();
    let mut builder = HostEnv::builder();
    builder.stdin(&[0u8; 100_000][..]);
    assert_short("builder", &builder);
    let host = builder.build().expect("a good host");
    assert_short("host", &host);
    let env = Env::new().host(host).segments(|segment| {
        segments.push(segment.clone());
        Ok(())
    });
    assert_short("env", &env);
    let mut session = executor.start(env).expect("it starts");
    let mut sink = VecSink::default();
    session.run(&mut sink).expect("it ends");
    assert!(sink.rows.len() > 1_000);
    assert_short("sink", &sink);
    assert_short("session", &session);
    assert_short("report", &session.report().expect("it is r0vm"));
    assert_short("replay", &session.replay(u64::MAX));
    drop(session);
    assert_short("segment", &segments[0]);
    assert_short("partial image", segments[0].partial_image());
    assert_short("journal", &Journal { bytes: vec![1; 100_000] });
    assert_short("file", &FileSink::new(Vec::new()));
    assert_short("text", &CsvSink::new(Some(Vec::new()), None::<Vec<u8>>));
}

#[test]
fn a_session_that_does_not_start_can_be_unwrapped() {
    let case = guest("fib", &["10"]);
    let executor = Setup::interpreter().executor(&case);
    let arguments = vec![vec![b'x'; 1 << 20]; 300];
    assert_eq!(executor.start(Env::new().args(arguments)).unwrap_err().kind(), "arguments");
    let builder = Executor::builder().engine(Engine::Interpreter);
    assert_eq!(builder.buffer_rows(1).build(&case.program).unwrap_err().kind(), "configuration");
    assert_short("ended", &executor.run(Env::new().args(case.args.clone())).expect("it ends"));
}
