//! Tests the settings of a run: each takes effect or is refused before the first step, whatever its source and order.

use std::io;

use tachy::risc0::Digest;
use tachy::risc0::host::{HostEnv, HostError};
use tachy::{Env, Error, Executor, JitOptions, Limit, Limits, MachineKind, NullSink, Program};

fn file(path: &str) -> Vec<u8> {
    let path = format!("{}/guests/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn executor(machine: MachineKind) -> Executor {
    let program = match machine {
        MachineKind::R0vm => Program::from_risc0(&file("r0vm/bin/fib.bin")),
        _ => Program::from_elf(&file("bin/fib.elf")),
    };
    Executor::builder().machine(machine).build(&program.expect("a good program")).expect("good settings")
}

fn host() -> HostEnv<'static> {
    HostEnv::builder().write_slice(&[15u32]).build().expect("a host")
}

#[track_caller]
fn is_refused(machine: MachineKind, env: Env<'_>, name: &str) {
    let Err(error) = executor(machine).start(env) else { panic!("{name} starts on {machine}") };
    assert!(matches!(&error, Error::Configuration { .. }), "{name}: {error}");
    assert!(error.to_string().contains(name), "{name}: {error}");
}

#[test]
fn settings_of_another_machine_are_refused() {
    use MachineKind::{Bare, R0vm};
    is_refused(R0vm, Env::new().args(["fib", "5"]), "Env::args");
    is_refused(R0vm, Env::new().stdin(io::empty()), "Env::stdin");
    is_refused(R0vm, Env::new().stdout(io::sink()), "Env::stdout");
    is_refused(R0vm, Env::new().stderr(io::sink()), "Env::stderr");
    is_refused(Bare, Env::new().host(host()), "the host");
    is_refused(Bare, Env::new().custom_host(host()), "the host");
    is_refused(Bare, Env::new().segment_po2(20), "Env::segment_po2");
    is_refused(Bare, Env::new().input_digest(Digest::ZERO), "Env::input_digest");
    is_refused(Bare, Env::new().segments(|_| Ok(())), "Env::segments");
    is_refused(Bare, Env::new().hashing_threads(2), "Env::hashing_threads");
    is_refused(Bare, Env::new().trace_callback(|_| Ok(())), "Env::trace_callback");
}

#[test]
fn threads_without_segments_to_hash_are_refused() {
    is_refused(MachineKind::R0vm, Env::new().hashing_threads(2), "Env::hashing_threads");
    let env = || Env::new().host(host());
    executor(MachineKind::R0vm).run(env().hashing_threads(2).segments(|_| Ok(()))).expect("it ends");
    executor(MachineKind::R0vm).run(env().segments(|_| Ok(())).hashing_threads(0)).expect("it ends");
}

#[test]
fn what_can_be_there_once_is_refused_twice() {
    is_refused(MachineKind::R0vm, Env::new().host(host()).host(host()), "the host");
    is_refused(MachineKind::R0vm, Env::new().host(host()).custom_host(host()), "the host");
    is_refused(MachineKind::R0vm, Env::new().segments(|_| Ok(())).segments(|_| Ok(())), "who takes segments");
}

/// If both the environment and its host set something, they must agree, in either order.
#[test]
fn the_order_of_settings_changes_nothing() {
    let with = |po2: Option<u32>, digest: Option<[u8; 32]>| {
        let mut builder = HostEnv::builder();
        builder.write_slice(&[22u32]);
        po2.map(|po2| builder.segment_limit_po2(po2));
        digest.map(|digest| builder.input_digest(digest));
        builder.build().expect("a host")
    };
    let seen = |env: Env<'_>| {
        let session = executor(MachineKind::R0vm).run(env).expect("it ends well");
        let report = session.report().expect("the machine is r0vm");
        let po2 = report.each.iter().map(|segment| segment.po2).max();
        (report.segments, po2, report.input.to_bytes())
    };
    let one = [1; 32];
    let digest = Digest::from_bytes(one);
    let expected = seen(Env::new().host(with(Some(15), Some(one))));
    assert!(expected.0 > 1 && expected.1 == Some(15) && expected.2 == one, "{expected:?}");
    assert_eq!(seen(Env::new().host(with(None, None)).segment_po2(15).input_digest(digest)), expected);
    assert_eq!(seen(Env::new().segment_po2(15).input_digest(digest).host(with(None, None))), expected);
    assert_eq!(seen(Env::new().segment_po2(15).host(with(Some(15), Some(one)))), expected);
    is_refused(MachineKind::R0vm, Env::new().segment_po2(16).host(with(Some(15), None)), "the segments' po2");
    is_refused(MachineKind::R0vm, Env::new().host(with(Some(15), None)).segment_po2(16), "the segments' po2");
    is_refused(MachineKind::R0vm, Env::new().host(with(None, Some(one))).input_digest(Digest::ZERO), "input digest");
}

/// Every allowed threshold is reached eventually.
#[test]
fn thresholds_that_are_never_reached_are_refused() {
    let program = Program::from_elf(&file("bin/fib.elf")).expect("a good program");
    let executor = |threshold| {
        let mut options = JitOptions::default();
        (options.threshold, options.background) = (threshold, false);
        Executor::builder().jit(options).build(&program)
    };
    for threshold in [(1 << 15) + 1, 65_534, 65_535] {
        let error = executor(threshold).expect_err("counts do not go as far");
        assert!(matches!(&error, Error::Configuration { what: "the threshold", .. }), "{error}");
        assert!(error.to_string().contains(&threshold.to_string()), "{error}");
    }
    let session = executor(1 << 15).expect("it is allowed").run(Env::new().args(["fib", "25"]));
    let stats = session.expect("it ends").stats();
    assert!(stats.regions > 0, "{stats:?}");
}

#[test]
fn a_limit_on_cycles_is_of_a_machine_that_counts_them() {
    let limits = Limits::none().cycles(1000);
    let elf = Program::from_elf(&file("bin/fib.elf")).expect("a good program");
    let error = Executor::builder().limits(limits).build(&elf).expect_err("bare counts no cycles");
    assert!(matches!(&error, Error::Configuration { what: "the limit on cycles", .. }), "{error}");
    let mut session = executor(MachineKind::Bare).start(Env::new().args(["fib", "5"])).expect("it starts");
    session.limits_mut().cycles = Some(1000);
    let error = session.run(&mut NullSink::off()).expect_err("bare counts no cycles");
    assert!(matches!(&error, Error::Configuration { what: "the limit on cycles", .. }), "{error}");
    session.limits_mut().cycles = None;
    session.run(&mut NullSink::off()).expect("it goes on");
}

/// After a limit stopped a session, it can be raised, and the session continues as if it had not stopped.
#[test]
fn a_limit_on_cycles_can_be_raised() {
    let whole = executor(MachineKind::R0vm).run(Env::new().host(host())).expect("it ends well");
    let limited = HostEnv::builder().write_slice(&[15u32]).session_limit(Some(1000)).build().expect("a host");
    let mut session = executor(MachineKind::R0vm).start(Env::new().host(limited)).expect("it starts");
    for limit in [1000, 2000, 3000] {
        session.limits_mut().cycles = Some(limit);
        let Err(Error::Limit(error)) = session.run(&mut NullSink::off()) else { panic!("it takes more than {limit}") };
        assert!(matches!(error.limit, Limit::Cycles { used, limit: of } if used >= limit && of == limit), "{error}");
    }
    session.limits_mut().cycles = None;
    session.run(&mut NullSink::off()).expect("it goes on");
    assert_eq!(session.finish().into_report(), whole.into_report());
}

/// Without a host a guest gets the library's, which has no input.
#[test]
fn a_guest_of_r0vm_always_has_a_host() {
    let program = Program::from_risc0(&file("r0vm/bin/calls.bin")).expect("a good program");
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("good settings");
    let error = executor.run(Env::new()).expect_err("the guest wants a call of its own");
    assert!(matches!(error.host(), Some(HostError::UnknownSyscall { .. })), "{error}");
}

#[test]
fn a_host_refuses_what_would_be_lost() {
    let refused = |builder: &mut tachy::risc0::host::HostEnvBuilder<'_>, name: &str| {
        let Err(error) = builder.build() else { panic!("{name} is built") };
        assert!(matches!(&error, HostError::Configuration { what, .. } if *what == name), "{name}: {error}");
    };
    let reads = "a descriptor to read";
    refused(HostEnv::builder().stdin(io::empty()).read_fd(0, io::empty()), reads);
    refused(HostEnv::builder().read_fd(7, io::empty()).read_fd(7, io::empty()), reads);
    refused(HostEnv::builder().write_slice(&[1u32]).stdin(io::empty()), reads);
    refused(HostEnv::builder().stdin(io::empty()).write_slice(&[1u32]), reads);
    let writes = "a descriptor to write";
    refused(HostEnv::builder().stdout(io::sink()).write_fd(1, io::sink()), writes);
    refused(HostEnv::builder().write_fd(3, io::sink()), writes);
    refused(HostEnv::builder().env_var("A", "1").env_var("A", "2"), "a variable");
    // A setting that replaces all others may follow them.
    assert!(HostEnv::builder().env_var("A", "1").env_vars([("A", "2")]).build().is_ok());
}
