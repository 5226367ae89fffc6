//! Fuzzes the settings. Any settings are either refused with a typed error, or an executor with them runs a small
//! program exactly as the interpreter does.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::trace::DigestSink;
use tachy::{Engine, Env, Error, Executor, JitOptions, Limits, MachineKind, Program};

/// Counts down from 300, stores each number and exits with what it loads.
const CODE: [u32; 9] = [
    0x12c0_0293, // li t0, 300
    0x0002_0337, // lui t1, 0x20
    0x0053_2023, // sw t0, 0(t1)
    0xfff2_8293, // addi t0, t0, -1
    0xfe02_9ce3, // bnez t0, -8
    0x0003_2503, // lw a0, 0(t1)
    0x05d0_0893, // li a7, 93
    0x0000_0073, // ecall
    0x0010_0073, // ebreak
];

/// Returns how a run ended and its rows, or `None` if the settings were refused.
fn run(
    program: &Program,
    machine: MachineKind,
    engine: Engine,
    jit: JitOptions,
    limits: Limits,
    rows: usize,
    po2: u32,
) -> Option<(String, String, u64)> {
    let executor = Executor::builder().machine(machine).engine(engine).jit(jit).limits(limits).buffer_rows(rows);
    let executor = match executor.build(program) {
        Ok(executor) => executor,
        Err(Error::Configuration { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let mut sink = DigestSink::default();
    let mut session = match executor.start(Env::new().segment_po2(po2)) {
        Ok(session) => session,
        Err(error) => return Some((error.to_string(), String::new(), 0)),
    };
    let end = match session.run(&mut sink) {
        Ok(status) => format!("{status:?}"),
        Err(error) => error.to_string(),
    };
    Some((end, format!("{:?}", sink.digest()), session.steps()))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((bytes, _)) = bytes.split_first_chunk::<44>() else { return };
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * at + byte]));
    let flags = word(0);
    let flag = |bit: u32| flags >> bit & 1 != 0;
    let mut jit = JitOptions::default();
    jit.threshold = word(1) as u16;
    jit.region_instructions = word(2) as usize >> (word(3) & 31);
    // Large sizes that are allowed would only take time.
    jit.code_bytes = (word(4) as usize) << (word(3) >> 5 & 3);
    jit.background = flag(0);
    jit.alternate_engines = flag(1);
    let mut limits = Limits::default();
    limits.steps = flag(2).then(|| u64::from(word(5) >> (word(3) >> 8 & 31)));
    limits.memory_bytes = flag(3).then(|| u64::from(word(6)));
    limits.output_bytes = flag(4).then(|| u64::from(word(7)));
    limits.time = flag(5).then(|| Duration::from_secs(3600 + u64::from(word(7))));
    let rows = match word(8) as usize >> (word(3) >> 13 & 31) {
        rows @ 0..=0x1_0000 => rows,
        rows => rows << 16,
    };
    let machine = if flag(6) { MachineKind::Bare } else { MachineKind::R0vm };
    let segments = vec![
        Segment::from_words(0x1_0000, &CODE, if flag(7) { Permissions::RX } else { Permissions::RWX }),
        Segment::new(0x2_0000, vec![0; 16], Permissions::RW),
    ];
    let program = Program::from_segments(0x1_0000, segments).expect("a fixed program");
    // Half of the inputs use a valid segment size.
    let po2 = if flag(8) { word(9) } else { 13 + word(9) % 12 };
    let engine = if flag(9) { Engine::Jit } else { Engine::Crosscheck };
    let found = run(&program, machine, engine, jit, limits, rows, po2);
    let expected = run(&program, machine, Engine::Interpreter, JitOptions::default(), limits, 256, po2);
    assert!(found.is_none() || found == expected, "{found:?}, expected {expected:?}");

    let host = HostEnv::builder()
        .segment_limit_po2(word(9))
        .keccak_max_po2(word(10))
        .session_limit(flag(10).then(|| word(9).into()))
        .limit_journal_bytes(word(10).into())
        .limit_kept_bytes(word(9).into())
        .build();
    if let Ok(host) = host {
        let executor = Executor::builder().machine(MachineKind::R0vm).limits(limits).build(&program).expect("defaults");
        let _ = executor.trace(Env::new().host(host), &mut DigestSink::default());
    }
});
