//! Runs of the reference. It must not know what they are compared with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, Result};
use risc0_binfmt::{ExitCode, MemoryImage, ProgramBinary};
use risc0_circuit_rv32im::execute::{CycleLimit, EcallMetric, Executor, Segment};
use risc0_circuit_rv32im::trace::{TraceCallback, TraceEvent};
use risc0_circuit_rv32im::{MAX_INSN_CYCLES, MAX_INSN_CYCLES_LOWER_PO2, TerminateState};
use risc0_zkp::core::digest::Digest;
use risc0_zkvm::sha::Digestible;
use risc0_zkvm::{ExecutorImpl, NullSegmentRef};

use crate::environment::Environment;
use crate::host::{Host, Stream, session_environment};
use crate::image::Image;
use crate::outcome::{Calls, Event, Exit, Failure, FailureKind, Outcome, SegmentOutcome};
use crate::quiet::quietly;

/// Runs a program binary (R0BF) to its end, its first pause, or an error.
pub fn run(binary: &[u8], environment: &Environment) -> Outcome {
    run_and_resume(binary, environment, 0).pop().unwrap_or_default()
}

/// The same, and goes on after a pause up to `resumes` times: an outcome for each part. The session limit counts in
/// each part anew.
pub fn run_and_resume(binary: &[u8], environment: &Environment, resumes: usize) -> Vec<Outcome> {
    parts(|| ProgramBinary::decode(binary)?.to_image(), environment, resumes)
}

/// Runs a program in machine mode.
pub fn run_image(image: &Image, environment: &Environment) -> Outcome {
    parts(|| Ok(image.to_memory()), environment, 0).pop().unwrap_or_default()
}

fn parts(load: impl FnOnce() -> Result<MemoryImage>, environment: &Environment, resumes: usize) -> Vec<Outcome> {
    let loaded = quietly(|| {
        let image = load()?;
        Ok((Host::new(environment, image.clone())?, image))
    });
    let (host, mut image) = match flatten(loaded) {
        Ok(loaded) => loaded,
        Err(failure) => return vec![Outcome { failure: Some(failure), ..Outcome::default() }],
    };
    let mut parts = Vec::new();
    for _ in 0..=resumes {
        let (outcome, next) = part(image, &host, environment);
        let is_paused = matches!(outcome.exit, Some(Exit::Paused(_)));
        parts.push(outcome);
        match next {
            Some(next) if is_paused => image = next,
            _ => break,
        }
    }
    parts
}

/// One run with an executor of its own, as a session of risc0-zkvm does it, and the image after it.
fn part(mut image: MemoryImage, host: &Host, environment: &Environment) -> (Outcome, Option<MemoryImage>) {
    let mut outcome = Outcome { pre_state: bytes(&image.image_id()), ..Outcome::default() };
    let events = Rc::new(RefCell::new(Vec::new()));
    let trace: Vec<Rc<RefCell<dyn TraceCallback>>> = match environment.events {
        0 => Vec::new(),
        count => vec![Rc::new(RefCell::new(recorder(events.clone(), count)))],
    };
    let input_digest = Digest::from(environment.input_digest);
    let mut executor = Executor::new(image, host, Some(input_digest), trace, None);
    let max_insn_cycles = if environment.po2 >= 15 { MAX_INSN_CYCLES } else { MAX_INSN_CYCLES_LOWER_PO2 };
    let limit = environment.session_limit.map_or(CycleLimit::None, CycleLimit::Hard);
    let segments = &mut outcome.segments;
    let result = flatten(quietly(|| {
        executor.run(environment.po2 as usize, max_insn_cycles, limit, |segment| {
            segments.push(segment_outcome(&segment)?);
            Ok(())
        })
    }));
    let ecalls: Vec<(String, EcallMetric)> = executor.take_ecall_metrics().into();
    outcome.ecalls = ecalls
        .into_iter()
        .filter(|(_, metric)| metric.count > 0)
        .map(|(kind, metric)| (kind, Calls { count: metric.count, cycles: metric.cycles }))
        .collect();
    outcome.calls = host.take_calls();
    outcome.outputs = host.outputs.iter().map(|(&fd, stream)| (fd, stream.take())).collect();
    outcome.events = events.take();
    let journal = host.journal.take();
    let result = match result {
        Ok(result) => result,
        Err(failure) => return (Outcome { failure: Some(failure), ..outcome }, None),
    };
    outcome.user_cycles = result.user_cycles;
    outcome.paging_cycles = result.paging_cycles;
    outcome.reserved_cycles = result.reserved_cycles;
    outcome.total_cycles = result.total_cycles;
    outcome.post_state = bytes(&result.claim.post_state);
    outcome.output_digest = result.claim.output.as_ref().map(bytes);
    // As a session has it: journal and exit code follow from the terminate state and the output.
    match result.claim.terminate_state.map(exit_of) {
        Some(Ok(exit)) => outcome.exit = Some(exit),
        Some(Err(text)) => outcome.failure = Some(Failure { kind: FailureKind::Other, text }),
        None => {}
    }
    outcome.journal = outcome.output_digest.filter(|digest| *digest != [0; 32]).map(|_| journal);
    if environment.pages {
        let pages = result.post_image.clone().into_pages();
        let pages = pages.into_iter().map(|(number, page)| (number, page.data().clone()));
        outcome.pages = pages.filter(|(_, data)| data.iter().any(|&byte| byte != 0)).collect();
    }
    (outcome, Some(result.post_image))
}

/// The same program through risc0-zkvm's own session, for what of it a test can see: exit, journal, outputs, cycles.
/// Random answers are random there. It says whether the rest of this crate puts the parts together rightly.
pub fn run_session(binary: &[u8], environment: &Environment) -> Outcome {
    let outputs: BTreeMap<_, _> = environment.outputs.iter().map(|&fd| (fd, Stream::default())).collect();
    let result = flatten(quietly(|| {
        let env = session_environment(environment, &outputs).build()?;
        ExecutorImpl::from_elf(env, binary)?.run_with_callback(|_| Ok(Box::new(NullSegmentRef)))
    }));
    let outputs = outputs.iter().map(|(&fd, stream)| (fd, stream.take())).collect();
    let session = match result {
        Ok(session) => session,
        Err(failure) => return Outcome { failure: Some(failure), outputs, ..Outcome::default() },
    };
    Outcome {
        exit: match session.exit_code {
            ExitCode::Halted(code) => Some(Exit::Halted(code)),
            ExitCode::Paused(code) => Some(Exit::Paused(code)),
            _ => None,
        },
        claim: session.claim().ok().map(|claim| bytes(&claim.digest())),
        journal: session.journal.map(|journal| journal.bytes),
        outputs,
        user_cycles: session.user_cycles,
        paging_cycles: session.paging_cycles,
        reserved_cycles: session.reserved_cycles,
        total_cycles: session.total_cycles,
        pre_state: bytes(&session.pre_state.merkle_root),
        ..Outcome::default()
    }
}

fn bytes(digest: &Digest) -> [u8; 32] {
    (*digest).into()
}

fn exit_of(state: TerminateState) -> Result<Exit, String> {
    match (state.a0.1, u32::from(state.a0.0)) {
        (0, code) => Ok(Exit::Halted(code)),
        (1, code) => Ok(Exit::Paused(code)),
        (kind, _) => Err(format!("illegal kind of halt: {kind}")),
    }
}

fn segment_outcome(segment: &Segment) -> Result<SegmentOutcome> {
    Ok(SegmentOutcome {
        index: segment.index,
        po2: segment.po2,
        user_cycles: segment.suspend_cycle,
        paging_cycles: segment.paging_cycles,
        threshold: segment.segment_threshold,
        states: [bytes(&segment.claim.pre_state), bytes(&segment.claim.post_state)],
        reads: segment.read_record.clone(),
        writes: segment.write_record.clone(),
        terminate: segment.claim.terminate_state.map(|state| (state.a0.into(), state.a1.into())),
        encoded: segment.encode().context("a segment of the reference does not encode")?,
    })
}

/// Keeps the first `count` events.
fn recorder(events: Rc<RefCell<Vec<Event>>>, count: usize) -> impl FnMut(TraceEvent) -> Result<()> {
    move |event| {
        let mut events = events.borrow_mut();
        if events.len() < count {
            events.push(match event {
                TraceEvent::InstructionStart { cycle, pc, insn } => Event::Instruction { cycle, pc, insn },
                TraceEvent::MemorySet { addr, region } => {
                    Event::Memory { addr, bytes: region[..].try_into().context("more than a word at once")? }
                }
                TraceEvent::PageIn { cycles } => Event::PageIn { cycles },
                TraceEvent::PageOut { cycles } => Event::PageOut { cycles },
                other => anyhow::bail!("an event that R0VM 3.0 never sends: {other:?}"),
            });
        }
        Ok(())
    }
}

/// Errors and panics as failures.
fn flatten<T>(result: Result<Result<T>, String>) -> Result<T, Failure> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let text = format!("{error:#}");
            Err(Failure { kind: kind_of(&text), text })
        }
        Err(text) => Err(Failure { kind: FailureKind::Panic, text }),
    }
}

/// What kind of error the reference means by its words.
fn kind_of(text: &str) -> FailureKind {
    const CAUSES: [&str; 10] = [
        "InstructionMisaligned",
        "InstructionFault",
        "IllegalInstruction",
        "Breakpoint",
        "LoadAddressMisaligned",
        "LoadAccessFault",
        "StoreAddressMisaligned",
        "StoreAccessFault",
        "InvalidEcallDispatch",
        "UserEnvCall",
    ];
    if text.contains("Session limit exceeded") {
        return FailureKind::SessionLimit;
    }
    if text.contains("Illegal trap in machine mode") {
        return FailureKind::MachineTrap;
    }
    let cause = text.split_once("Invalid trap address: ").and_then(|(_, rest)| rest.split_once("cause: "));
    let number = cause.and_then(|(_, cause)| CAUSES.iter().position(|name| cause.starts_with(name)));
    number.map_or(FailureKind::Other, |number| FailureKind::Trap(number as u32))
}
