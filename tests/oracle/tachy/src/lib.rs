//! Tachy's machine `r0vm` behind the same plain data as the reference, so that both can be compared. It must not know
//! what the reference answers.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oracle_reference::{Calls, Environment, Event, Exit, Failure, FailureKind, Outcome, SegmentOutcome, sequence};
use tachy::risc0::host::{Assumption, AssumptionUse, Guest, Host, HostEnv, HostError};
use tachy::risc0::{Digest, Exit as TachyExit, Report, Segment, TraceEvent, TraceEvents};
use tachy::{Cause, Engine, Env, Error, Executor, JitOptions, Limit, Limits, MachineKind, NullSink, Program, Session};

/// How Tachy runs a program.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which engine.
    pub engine: Engine,
    /// When code is translated.
    pub jit: JitOptions,
}

impl Setup {
    /// The reference engine.
    pub fn interpreter() -> Setup {
        Setup { engine: Engine::Interpreter, jit: JitOptions::default() }
    }

    /// Everything translated at first sight.
    pub fn eager() -> Setup {
        Setup { engine: Engine::Jit, jit: JitOptions::eager() }
    }

    /// What is hot, in small regions that grow into each other.
    pub fn pieces() -> Setup {
        let mut jit = JitOptions::eager();
        (jit.threshold, jit.region_instructions, jit.merge_interval_steps) = (4, 24, 300);
        Setup { engine: Engine::Jit, jit }
    }

    /// Native code as it comes, in the background.
    pub fn jit() -> Setup {
        Setup { engine: Engine::Jit, jit: JitOptions::default() }
    }
}

/// What a random program runs in, under either.
pub fn environment(program: &oracle_random::Program) -> Environment {
    Environment {
        stdin: program.stdin.clone(),
        po2: program.po2,
        session_limit: Some(program.session_limit),
        input_digest: program.input_digest,
        ..Environment::default()
    }
}

/// Bytes that several hands write and read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Random bytes without end.
struct Random(Box<dyn Iterator<Item = u8> + Send>);

impl Read for Random {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.iter_mut().zip(&mut self.0).for_each(|(byte, random)| *byte = random);
        Ok(buffer.len())
    }
}

/// Tachy's host, which tells how often it was asked for what.
#[derive(Clone)]
struct Counting {
    host: Arc<Mutex<HostEnv<'static>>>,
    calls: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// Names are counted up to here, as by the reference.
const MAX_NAME_BYTES: u32 = 128;

impl Host for Counting {
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        let mut name = Vec::new();
        for address in descriptor..descriptor.saturating_add(MAX_NAME_BYTES) {
            match guest.word(address).to_le_bytes()[address as usize % 4] {
                0 => break,
                _ if descriptor == 0 => break,
                byte => name.push(byte),
            }
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        *lock(&self.calls).entry(name).or_default() += 1;
        lock(&self.host).read(guest, descriptor, buffer)
    }

    fn write(&mut self, guest: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError> {
        lock(&self.host).write(guest, descriptor, data)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program binary, and goes on after a pause up to `resumes` times: an outcome for each part.
pub fn run_and_resume(binary: &[u8], environment: &Environment, resumes: usize, setup: &Setup) -> Vec<Outcome> {
    let program = match Program::from_risc0(binary) {
        Ok(program) => program,
        Err(error) => return vec![failed(failure(&Error::Program(error)))],
    };
    run_program(&program, environment, resumes, setup)
}

/// The same of a program that is loaded.
pub fn run_program(program: &Program, environment: &Environment, resumes: usize, setup: &Setup) -> Vec<Outcome> {
    let outputs: BTreeMap<u32, Shared> = environment.outputs.iter().map(|&fd| (fd, Shared::default())).collect();
    let segments = Arc::new(Mutex::new(Vec::new()));
    let started = (|| {
        let limits = Limits::none().cycles(environment.session_limit);
        let executor = Executor::builder()
            .machine(MachineKind::R0vm)
            .limits(limits)
            .engine(setup.engine)
            .jit(setup.jit.clone())
            .build(program)
            .map_err(|error| failure(&error))?;
        let inner = host(environment, &outputs).map_err(|text| Failure { kind: FailureKind::Other, text })?;
        let host = Counting { host: Arc::new(Mutex::new(inner)), calls: Arc::default() };
        let kept = segments.clone();
        let env = Env::new()
            .custom_host(host.clone())
            .segment_po2(environment.po2)
            .input_digest(Digest::from_bytes(environment.input_digest));
        let env = env.segments(move |segment| {
            lock(&kept).push(segment_outcome(segment));
            Ok(())
        });
        let session = executor.start(env).map_err(|error| failure(&error))?;
        Ok((session, host))
    })();
    let (mut session, host) = match started {
        Ok(started) => started,
        Err(failure) => return vec![failed(failure)],
    };
    let mut parts = Vec::new();
    loop {
        let mut outcome = part(&mut session, &host, environment);
        outcome.segments = std::mem::take(&mut lock(&segments));
        outcome.outputs = outputs.iter().map(|(&fd, shared)| (fd, shared.take())).collect();
        parts.push(outcome);
        if parts.len() > resumes || session.resume().is_err() {
            return parts;
        }
    }
}

/// The digest of the claim of a session with the library's own host, when none of its assumptions is resolved.
pub fn claim(binary: &[u8], environment: &Environment, setup: &Setup) -> Option<[u8; 32]> {
    let program = Program::from_risc0(binary).ok()?;
    let builder = Executor::builder().machine(MachineKind::R0vm).engine(setup.engine).jit(setup.jit.clone());
    let outputs = environment.outputs.iter().map(|&fd| (fd, Shared::default())).collect();
    let env = Env::new()
        .host(host(environment, &outputs).ok()?)
        .segment_po2(environment.po2)
        .input_digest(Digest::from_bytes(environment.input_digest))
        .segments(|_| Ok(()));
    let session = builder.build(&program).ok()?.run(env).ok()?;
    let report = session.report()?;
    // A guest that has Keccak batches proven assumes their claim by itself, and a session's proof resolves that.
    let known = if report.keccaks.is_empty() { usize::MAX } else { environment.assumptions.len() };
    // A claim names the caller's assumptions as the caller has them: with their roots, whatever root the guest named.
    let named = |used: AssumptionUse| match environment.assumptions.get(used.assumption) {
        Some(&(claim, control_root)) => AssumptionUse { claim, control_root, ..used },
        None => used,
    };
    let unresolved = report.assumptions.iter().copied().filter(|used| used.assumption < known);
    let unresolved: Vec<_> = unresolved.map(named).collect();
    let claim = report.claim_with(&unresolved)?;
    Some(claim.digest().to_bytes())
}

fn failed(failure: Failure) -> Outcome {
    Outcome { failure: Some(failure), ..Outcome::default() }
}

fn host(environment: &Environment, outputs: &BTreeMap<u32, Shared>) -> Result<HostEnv<'static>, String> {
    let mut builder = HostEnv::builder();
    builder
        .stdin(Cursor::new(environment.stdin.clone()))
        .args(environment.args.clone())
        .env_vars(environment.variables.clone())
        .random(Random(Box::new(sequence(environment.random_seed))));
    for (&fd, bytes) in &environment.inputs {
        builder.read_fd(fd, Cursor::new(bytes.clone()));
    }
    for (&fd, shared) in outputs {
        builder.write_fd(fd, shared.clone());
    }
    for (name, answer) in &environment.channels {
        let answer = answer.clone();
        builder.io_callback(name.clone(), move |request: &[u8]| Ok([&answer[..], request].concat()));
    }
    for &(claim, control_root) in &environment.assumptions {
        let control_root = (control_root != [0; 32]).then_some(control_root);
        builder.add_assumption(Assumption { claim, control_root });
    }
    builder.build().map_err(|error| error.to_string())
}

/// Runs to the next end.
fn part(session: &mut Session<'_>, host: &Counting, environment: &Environment) -> Outcome {
    let mut outcome = Outcome::default();
    let (result, events) = match environment.events {
        0 => (session.run(&mut NullSink::off()), Vec::new()),
        count => {
            let mut events = Vec::new();
            let mut sink = TraceEvents::new(|event: &TraceEvent| {
                if events.len() < count {
                    events.push(event_of(*event));
                }
                Ok(())
            });
            let result = session.run(&mut sink);
            drop(sink);
            (result, events)
        }
    };
    outcome.events = events;
    let report = session.report().expect("the machine is r0vm");
    outcome.ecalls = ecalls(&report);
    outcome.calls = std::mem::take(&mut lock(&host.calls));
    let journal = lock(&host.host).finish(true).journal.map(|journal| journal.bytes);
    if let Some((pre, post)) = report.roots {
        (outcome.pre_state, outcome.post_state) = (pre.to_bytes(), post.to_bytes());
    }
    // What ended in a way that has no meaning has ended all the same.
    if let Err(error) = result
        && report.exit.is_none()
    {
        outcome.post_state = [0; 32];
        outcome.failure = Some(failure(&error));
        return outcome;
    }
    outcome.user_cycles = report.user_cycles;
    outcome.paging_cycles = report.paging_cycles;
    outcome.reserved_cycles = report.reserved_cycles;
    outcome.total_cycles = report.total_cycles;
    outcome.output_digest = report.output.map(|digest| digest.to_bytes());
    match report.exit {
        Some(TachyExit::Halted(code)) => outcome.exit = Some(Exit::Halted(code.into())),
        Some(TachyExit::Paused(code)) => outcome.exit = Some(Exit::Paused(code.into())),
        _ => {
            let text = format!("{:?}", report.exit);
            outcome.failure = Some(Failure { kind: FailureKind::Other, text });
        }
    }
    outcome.journal = journal.filter(|_| outcome.output_digest.is_some_and(|digest| digest != [0; 32]));
    if environment.pages {
        outcome.pages = pages(session);
    }
    outcome
}

/// Pages that are not all zeros. What this costs, a test can bear.
fn pages(session: &Session<'_>) -> BTreeMap<u32, Vec<u8>> {
    let page = |number: u32| {
        let bytes = session.bytes(number * 1024, 1024)?;
        bytes.iter().any(|&byte| byte != 0).then(|| (number, bytes.to_vec()))
    };
    (0..1 << 22).filter_map(page).collect()
}

fn event_of(event: TraceEvent) -> Event {
    match event {
        TraceEvent::InstructionStart { cycle, pc, insn } => Event::Instruction { cycle, pc, insn },
        TraceEvent::MemorySet { address, region } => Event::Memory { addr: address, bytes: region },
        TraceEvent::PageIn { cycles } => Event::PageIn { cycles },
        TraceEvent::PageOut { cycles } => Event::PageOut { cycles },
    }
}

fn ecalls(report: &Report) -> BTreeMap<String, Calls> {
    let names = BTreeMap::from([
        ("terminate", "Terminate"),
        ("read", "Read"),
        ("write", "Write"),
        ("poseidon2", "Poseidon2"),
        ("sha2", "Sha2"),
        ("bigint", "BigInt"),
    ]);
    let called = report.ecalls.iter().filter(|(_, count)| count.calls > 0);
    called.map(|(name, count)| (names[name].to_owned(), Calls { count: count.calls, cycles: count.cycles })).collect()
}

fn segment_outcome(segment: &Segment) -> SegmentOutcome {
    let claim = segment.claim();
    SegmentOutcome {
        index: segment.index(),
        po2: segment.po2(),
        user_cycles: segment.user_cycles(),
        paging_cycles: segment.paging_cycles(),
        threshold: segment.threshold(),
        states: [claim.pre_state.to_bytes(), claim.post_state.to_bytes()],
        reads: segment.reads().to_vec(),
        writes: segment.writes().to_vec(),
        terminate: claim.terminate_state,
        encoded: segment.encode(),
    }
}

fn failure(error: &Error) -> Failure {
    let kind = match error {
        Error::Limit(limit) if matches!(limit.limit, Limit::Cycles { .. }) => FailureKind::SessionLimit,
        Error::Trap(trap) if trap.cause == Cause::IllegalInstruction => FailureKind::Trap(2),
        Error::Trap(trap) => FailureKind::Trap(trap.cause as u32),
        _ => FailureKind::Other,
    };
    Failure { kind, text: error.to_string() }
}
