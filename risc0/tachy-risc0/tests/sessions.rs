//! Executions in the process give what RISC Zero's executor gives. Cycles and journals are those of the table in
//! guests/r0vm/README.md, which the reference made.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use risc0_zkvm::sha::Digestible;
use risc0_zkvm::{ExitCode, TraceEvent, compute_image_id};
use tachy_risc0::{ExecutorEnv, ExecutorImpl, NullSegmentRef, SegmentRef, SimpleSegmentRef};

fn binary(guest: &str) -> Vec<u8> {
    let path = format!("{}/../../guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_session_has_the_references_numbers_and_claim() -> Result<()> {
    let bytes = binary("hello");
    let output = Rc::new(RefCell::new(Vec::new()));
    /// A writer that must stay in its thread.
    struct Shared(Rc<RefCell<Vec<u8>>>);
    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut builder = ExecutorEnv::builder();
    builder.write(&"world")?.write(&41u32)?.stdout(Shared(Rc::clone(&output))).stderr(io::sink());
    let mut executor = ExecutorImpl::from_elf(builder.build()?, &bytes)?;
    let mut indices = Vec::new();
    let session = executor.run_with_callback(|segment| {
        indices.push((segment.index, segment.po2(), segment.output.is_some()));
        Ok(Box::new(SimpleSegmentRef::new(segment)))
    })?;
    assert_eq!((session.user_cycles, session.paging_cycles, session.exit_code), (6387, 22821, ExitCode::Halted(0)));
    assert_eq!(indices, [(0, 16, true)]);
    assert!(String::from_utf8_lossy(&output.borrow()).contains("world"));
    let claim = session.claim()?;
    assert_eq!(claim.pre.digest(), compute_image_id(&bytes)?);
    assert_eq!(
        claim.output.as_value()?.as_ref().map(|output| output.journal.digest()),
        session.journal.as_ref().map(|journal| journal.bytes.clone().digest())
    );
    let stats = session.stats()?;
    assert_eq!((stats.segments, stats.user_cycles, stats.total_cycles), (1, 6387, 1 << 16));
    // Without segments, the numbers of the program are the same, and there is no claim.
    let mut builder = ExecutorEnv::builder();
    let env = builder.write(&"world")?.write(&41u32)?.stdout(io::sink()).stderr(io::sink()).build()?;
    let plain = ExecutorImpl::from_elf(env, &bytes)?.execute()?;
    assert_eq!((plain.user_cycles, plain.journal.as_ref()), (session.user_cycles, session.journal.as_ref()));
    assert!(plain.segments.is_empty() && plain.claim().is_err());
    Ok(())
}

#[test]
fn parts_between_pauses_go_on() -> Result<()> {
    let mut input = 3u32.to_le_bytes().to_vec();
    [10u32, 330, 9996, 299_400].iter().for_each(|word| input.extend(word.to_le_bytes()));
    let env = ExecutorEnv::builder().stdin(&input[..]).build()?;
    let mut executor = ExecutorImpl::from_elf(env, &binary("pause"))?;
    let mut before = None;
    for (part, exit_code) in
        [(0, ExitCode::Paused(1)), (1, ExitCode::Paused(2)), (2, ExitCode::Paused(3)), (3, ExitCode::Halted(0))]
    {
        let session = executor.run()?;
        assert_eq!(session.exit_code, exit_code, "part {part}");
        let claim = session.claim()?;
        if let Some(before) = before {
            assert_eq!(claim.pre.digest(), before, "part {part} begins where the one before has ended");
        }
        before = Some(claim.post.digest());
    }
    Ok(())
}

#[test]
fn the_callers_own_errors_come_back() -> Result<()> {
    #[derive(Debug, thiserror::Error)]
    #[error("the reader is broken")]
    struct Broken;
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other(Broken))
        }
    }
    let env = ExecutorEnv::builder().stdin(Fails).build()?;
    let error = ExecutorImpl::from_elf(env, &binary("fib"))?.run().expect_err("its input fails");
    assert_eq!(error.to_string(), "the reader is broken");

    let env = ExecutorEnv::builder().write_slice(&[20u32]).build()?;
    let refuse = |_| -> Result<Box<dyn SegmentRef>> { Err(anyhow!(Broken)) };
    let mut executor = ExecutorImpl::from_elf(env, &binary("fib"))?;
    let error = executor.run_with_callback(refuse).expect_err("it refuses");
    assert!(error.downcast_ref::<Broken>().is_some(), "{error:#}");
    // Segments of that run are lost, so it does not go on.
    let error = executor.run().expect_err("it has failed");
    assert!(error.to_string().contains("create another one"), "{error:#}");

    let env = ExecutorEnv::builder().write_slice(&[28u32]).session_limit(Some(100_000)).build()?;
    let error = ExecutorImpl::from_elf(env, &binary("fib"))?.run().expect_err("a limit");
    assert!(error.to_string().starts_with("Session limit exceeded: "), "{error:#}");
    Ok(())
}

#[test]
#[should_panic = "the callback panics"]
fn a_panic_of_the_caller_comes_back() {
    let env = ExecutorEnv::builder().write_slice(&[20u32]).build().expect("it is valid");
    let mut executor = ExecutorImpl::from_elf(env, &binary("fib")).expect("a program");
    let _ = executor.run_with_callback(|_| panic!("the callback panics"));
}

#[test]
fn events_arrive_in_order() -> Result<()> {
    let (mut instructions, mut next) = (0u64, 0);
    let trace = |event: TraceEvent| {
        if let TraceEvent::InstructionStart { cycle, .. } = event {
            assert!(cycle >= next, "{cycle} after {next}");
            next = cycle + 1;
            instructions += 1;
        }
        Ok(())
    };
    let env = ExecutorEnv::builder().write_slice(&[15u32]).trace_callback(trace).build()?;
    let session = ExecutorImpl::from_elf(env, &binary("fib"))?.run_with_callback(|_| Ok(Box::new(NullSegmentRef)))?;
    let cycles = session.user_cycles;
    drop(session);
    assert!(instructions > 10_000 && instructions <= cycles, "{instructions} of {cycles}");
    Ok(())
}

/// A name that two kinds of host use alike.
#[test]
fn a_call_of_the_hosts_own_is_answered() -> Result<()> {
    let mut builder = ExecutorEnv::builder();
    builder.io_callback("echo", |bytes: Bytes| Ok(bytes));
    assert!(builder.build().is_ok());
    Ok(())
}
