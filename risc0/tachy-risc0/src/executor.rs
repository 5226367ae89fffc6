//! Executes a guest on Tachy as risc0-zkvm's `ExecutorImpl` does: same calls, same results, same texts of errors. This
//! file must not know how threads talk, or how anything is proven.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use bytes::Bytes;
use risc0_binfmt::PovwJobId;
use risc0_zkp::core::hash::poseidon2::Poseidon2HashSuite;
use risc0_zkvm::sha::Digest;
use risc0_zkvm::{
    Assumption, AssumptionReceipt, Assumptions, ExitCode, InnerAssumptionReceipt, Journal, MaybePruned, Output,
    ProveKeccakRequest, SystemState,
};
use tachy::risc0::host::{self, HostEnv, KeccakRequest, keccak_root};
use tachy::risc0::{Exit, Report, TraceEvent};
use tachy::{Engine, Env, Executor, MachineKind, NullSink, Program};
use tachy_r0vm::texts;

use crate::env::ExecutorEnv;
use crate::segment::{FileSegmentRef, NullSegmentRef, Segment, SegmentFolder, SegmentRef};
use crate::served::{Caller, Request, Requests, Source, Target, link};
use crate::session::Session;

/// Trace events that the guest's thread sends at once, and rows that may wait before they become events.
const EVENTS_AT_ONCE: usize = 256;
/// Limit of the bytes that the host keeps for a guest. RISC Zero has none, so it is high.
const KEPT_BYTES: u64 = 1 << 30;
/// Maximum length of the name of a system call.
const NAME_BYTES: usize = 256;

/// Executes one guest in one environment. After a pause, it goes on with the next run.
pub struct ExecutorImpl<'a> {
    env: ExecutorEnv<'a>,
    executor: Executor,
    caller: Caller,
    requests: Requests,
    /// Events that were not sent yet.
    events: Arc<Mutex<Vec<TraceEvent>>>,
    /// Created by the first run, which decides whether it makes segments.
    session: Option<tachy::Session<'static>>,
    makes_segments: bool,
    /// Whether a run has failed: its session cannot go on, because segments of it are lost.
    has_failed: bool,
}

impl<'a> ExecutorImpl<'a> {
    /// Loads a program binary (R0BF).
    ///
    /// # Errors
    /// Fails if it is no program.
    pub fn from_elf(env: ExecutorEnv<'a>, elf: &[u8]) -> Result<ExecutorImpl<'a>> {
        let program = Program::from_risc0(elf).map_err(|error| anyhow!(texts::of_program(&error)))?;
        let mut builder = Executor::builder().machine(MachineKind::R0vm).engine(Engine::Jit);
        if !env.trace.is_empty() {
            builder = builder.buffer_rows(EVENTS_AT_ONCE);
        }
        let executor = builder.build(&program)?;
        let (caller, requests) = link();
        let (events, session) = Default::default();
        Ok(ExecutorImpl { env, executor, caller, requests, events, session, makes_segments: false, has_failed: false })
    }

    /// Runs to the end or the next pause. Segments are kept in the environment's folder, or else in one that ends with
    /// the last of them.
    ///
    /// # Errors
    /// Fails if the guest fails, if a limit is reached, if a stream or callback fails, and after an earlier failure.
    pub fn run(&mut self) -> Result<Session> {
        let folder = match &self.env.segment_path {
            Some(path) => SegmentFolder::Path(path.clone()),
            None => SegmentFolder::Temporary(Arc::new(tempfile::tempdir()?)),
        };
        self.run_with_callback(|segment| Ok(Box::new(FileSegmentRef::new(&segment, folder.clone())?)))
    }

    /// Does the same, and passes each segment to `callback` as soon as it is made. The last one carries the session's
    /// output. The callback runs on this thread.
    ///
    /// # Errors
    /// As [`Self::run`], and if the callback fails.
    pub fn run_with_callback<F>(&mut self, callback: F) -> Result<Session>
    where
        F: FnMut(Segment) -> Result<Box<dyn SegmentRef>>,
    {
        self.run_part(true, callback)
    }

    /// Does the same without segments, which is much faster where the guest writes much memory. The session has no claim.
    ///
    /// # Errors
    /// As [`Self::run`]. Fails also if an earlier run made segments.
    pub fn execute(&mut self) -> Result<Session> {
        self.run_part(false, |_| Ok(Box::new(NullSegmentRef)))
    }

    fn run_part(
        &mut self,
        makes_segments: bool,
        mut callback: impl FnMut(Segment) -> Result<Box<dyn SegmentRef>>,
    ) -> Result<Session> {
        if std::mem::replace(&mut self.has_failed, true) {
            bail!("an earlier run of this executor has failed: create another one");
        }
        let session = self.run_once(makes_segments, &mut callback)?;
        self.has_failed = false;
        Ok(session)
    }

    fn run_once(
        &mut self,
        makes_segments: bool,
        callback: &mut dyn FnMut(Segment) -> Result<Box<dyn SegmentRef>>,
    ) -> Result<Session> {
        match &mut self.session {
            None => {
                self.makes_segments = makes_segments;
                self.session = Some(self.start()?);
            }
            Some(_) if makes_segments != self.makes_segments => {
                bail!("the parts of a session are all run with segments, or all without")
            }
            Some(session) => {
                if session.report().is_some_and(|report| report.exit.is_some()) {
                    session.resume().map_err(|error| anyhow!(error.to_string()))?;
                }
            }
        }
        let session = self.session.as_mut().context("the session was just started")?;
        let (mut refs, mut last): (Vec<Box<dyn SegmentRef>>, Option<Segment>) = Default::default();
        let env = &mut self.env;
        let answer = |request| match request {
            Request::Segment(encoded) => {
                let segment = Segment::from_encoded(&encoded)?;
                // The output is known at the end of the run.
                match segment.inner.claim.terminate_state {
                    None => refs.push(callback(segment)?),
                    Some(_) => last = Some(segment),
                }
                Ok(Vec::new())
            }
            request => answer(env, request),
        };
        let (caller, events) = (&self.caller, &self.events);
        let guest = || {
            let ran = session.run(&mut NullSink::off());
            // Events happened before a failure, so they are sent before it is reported.
            let sent = send_events(caller, events);
            (ran, sent)
        };
        let ((ran, sent), refused) = self.requests.serve(caller, guest, answer);
        // The reason of the caller's own code is handed through unchanged.
        if let Some(error) = refused {
            return Err(error);
        }
        if let Err(error) = ran {
            return Err(Error::msg(texts::of_run(&error, session)));
        }
        sent?;
        let report = session.report().context("the machine has a report")?;
        if let Some(mut segment) = last {
            segment.output = report.journal.as_ref().map(|journal| output(&journal.bytes, &report));
            refs.push(callback(segment)?);
        }
        result(&self.env, report, refs)
    }

    fn start(&self) -> Result<tachy::Session<'static>> {
        let (env, caller) = (&self.env, &self.caller);
        let mut builder = HostEnv::builder();
        builder.limit_kept_bytes(KEPT_BYTES);
        builder.env_vars(env.env_vars.clone()).args(env.args.clone()).session_limit(env.session_limit);
        let readers = env.readers.keys().copied();
        for fd in readers {
            builder.read_fd(fd, Source(caller.clone(), fd));
        }
        if !env.readers.contains_key(&0) {
            builder.stdin(std::io::empty());
        }
        for fd in env.writers.keys().copied().filter(|fd| *fd != 3) {
            builder.write_fd(fd, Target(caller.clone(), fd));
        }
        if !env.writers.contains_key(&1) {
            builder.stdout(std::io::stdout());
        }
        if !env.writers.contains_key(&2) {
            builder.stderr(std::io::stderr());
        }
        // A guest can call no other name.
        for name in env.slices.keys().filter(|name| name.len() <= NAME_BYTES && !name.contains('\0')) {
            let (caller, asked) = (caller.clone(), name.clone());
            builder.io_callback(name.clone(), move |from_guest: &[u8]| {
                Ok(caller.ask(Request::Slice { name: asked.clone(), from_guest: from_guest.to_vec() })?)
            });
        }
        if let Some(po2) = env.segment_limit_po2 {
            builder.segment_limit_po2(po2);
        }
        if let Some(po2) = env.keccak_max_po2 {
            builder.keccak_max_po2(po2);
        }
        if let Some(digest) = env.input_digest {
            builder.input_digest(digest.into());
        }
        if let Some(job) = env.povw {
            let (log, job) = povw(job);
            builder.povw(log, job);
        }
        if env.coprocessor.is_some() {
            let caller = caller.clone();
            builder.coprocessor_callback(move |request| Ok(caller.ask(Request::Keccak(request)).map(drop)?));
        }
        for assumption in &env.assumptions {
            builder.add_assumption(for_guest(assumption)?);
        }
        let mut settings = Env::new().host(builder.build().map_err(|error| anyhow!(error.to_string()))?);
        if self.makes_segments {
            let caller = caller.clone();
            settings =
                settings.segments(move |segment| Ok(caller.ask(Request::Segment(segment.encode())).map(drop)?));
        }
        if !env.trace.is_empty() {
            let (caller, events) = (caller.clone(), Arc::clone(&self.events));
            settings = settings.trace_callback(move |event| {
                let mut waiting = events.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push(event.clone());
                let is_full = waiting.len() >= EVENTS_AT_ONCE;
                drop(waiting);
                if is_full {
                    send_events(&caller, &events)?;
                }
                Ok(())
            });
        }
        Ok(self.executor.start(settings)?)
    }
}

impl std::fmt::Debug for ExecutorImpl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("ExecutorImpl");
        shown.field("env", &self.env).field("has_failed", &self.has_failed).finish_non_exhaustive()
    }
}

fn send_events(caller: &Caller, events: &Mutex<Vec<TraceEvent>>) -> Result<(), crate::served::Refused> {
    let waiting = take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner));
    match waiting.is_empty() {
        true => Ok(()),
        false => caller.ask(Request::Events(waiting)).map(drop),
    }
}

/// Answers what concerns the environment.
fn answer(env: &mut ExecutorEnv<'_>, request: Request) -> Result<Vec<u8>> {
    match request {
        Request::Read { fd, bytes } => {
            let reader = env.readers.get_mut(&fd).with_context(|| format!("Bad read file descriptor {fd}"))?;
            let mut room = vec![0; bytes];
            let read = reader.read(&mut room)?;
            ensure!(read <= bytes, "a reader gave more bytes than it was asked for");
            room.truncate(read);
            Ok(room)
        }
        Request::Write { fd, bytes } => {
            let writer = env.writers.get_mut(&fd).with_context(|| format!("Bad write file descriptor {fd}"))?;
            writer.write_all(&bytes)?;
            Ok(Vec::new())
        }
        Request::Slice { name, from_guest } => {
            let handler = env.slices.get_mut(&name).with_context(|| format!("Unknown syscall: {name:?}"))?;
            Ok(handler.handle_io(&name, Bytes::from(from_guest))?.to_vec())
        }
        Request::Keccak(request) => {
            let callback = env.coprocessor.as_ref().context("nobody takes requests to prove Keccak")?;
            callback.borrow_mut().prove_keccak(keccak(&request))?;
            Ok(Vec::new())
        }
        Request::Events(events) => {
            for event in events {
                for callback in &mut env.trace {
                    callback.trace_callback(traced(&event))?;
                }
            }
            Ok(Vec::new())
        }
        Request::Segment(_) => bail!("a segment is not for the environment"),
    }
}

fn digest(digest: host::Digest) -> Digest {
    Digest::from(digest)
}

fn keccak(request: &KeccakRequest) -> ProveKeccakRequest {
    ProveKeccakRequest {
        claim_digest: digest(request.claim),
        po2: request.po2 as usize,
        control_root: digest(request.control_root),
        input: request.inputs.clone(),
    }
}

fn traced(event: &TraceEvent) -> risc0_zkvm::TraceEvent {
    match *event {
        TraceEvent::InstructionStart { cycle, pc, insn } => {
            risc0_zkvm::TraceEvent::InstructionStart { cycle, pc, insn }
        }
        TraceEvent::MemorySet { address, region } => {
            risc0_zkvm::TraceEvent::MemorySet { addr: address, region: region.to_vec() }
        }
        TraceEvent::PageIn { cycles } => risc0_zkvm::TraceEvent::PageIn { cycles },
        TraceEvent::PageOut { cycles } => risc0_zkvm::TraceEvent::PageOut { cycles },
    }
}

/// Splits the identifier of a job: its work log, big-endian, and its number.
fn povw(id: PovwJobId) -> ([u8; 20], u64) {
    (id.log.to_be_bytes(), id.job)
}

/// Returns what the guest may assume because of a receipt. Only succinct receipts lead to a root that guests name.
fn for_guest(receipt: &AssumptionReceipt) -> Result<host::Assumption> {
    let control_root = match receipt {
        AssumptionReceipt::Unresolved(assumption) => Some(assumption.control_root.into()),
        AssumptionReceipt::Proven(InnerAssumptionReceipt::Succinct(receipt)) if receipt.hashfn == "poseidon2" => {
            let suite = Poseidon2HashSuite::new_suite();
            Some(receipt.control_inclusion_proof.root(&receipt.control_id, &*suite.hashfn).into())
        }
        AssumptionReceipt::Proven(_) => None,
    };
    Ok(host::Assumption { claim: receipt.claim_digest()?.into(), control_root })
}

/// Returns the output of a session with this journal, for its last segment: it names all assumptions.
fn output(journal: &[u8], report: &Report) -> Output {
    let used = report.assumptions.iter().map(used).collect::<Vec<_>>();
    Output { journal: journal.to_vec().into(), assumptions: MaybePruned::Value(Assumptions::from(used)) }
}

fn used(used: &host::AssumptionUse) -> Assumption {
    Assumption { claim: digest(used.claim), control_root: digest(used.control_root) }
}

fn result(env: &ExecutorEnv<'_>, report: Report, segments: Vec<Box<dyn SegmentRef>>) -> Result<Session> {
    let exit_code = match report.exit.context("the program has ended")? {
        Exit::Halted(code) => ExitCode::Halted(code.into()),
        Exit::Paused(code) => ExitCode::Paused(code.into()),
        Exit::Unknown(a0) => bail!("Illegal halt type: {}", a0 & 0xffff),
    };
    let of_keccak = keccak_root(&report.keccaks);
    // The guest's own assumptions, as it has made them: the first use of each, which is the last in the list.
    let made: HashMap<usize, Assumption> =
        report.assumptions.iter().map(|found| (found.assumption, used(found))).collect();
    let assumptions: Vec<_> = report
        .assumptions
        .iter()
        .map(|found| {
            let own =
                || AssumptionReceipt::Unresolved(made.get(&found.assumption).cloned().unwrap_or_else(|| used(found)));
            (used(found), env.assumptions.get(found.assumption).cloned().unwrap_or_else(own))
        })
        .collect();
    let is_of_keccak = |assumption: &Assumption| {
        of_keccak.is_some_and(|root| {
            assumption.claim == digest(root.claim)
                && root.control_root.is_some_and(|root| assumption.control_root == digest(root))
        })
    };
    let open = assumptions.iter().filter_map(|(_, receipt)| match receipt {
        AssumptionReceipt::Unresolved(assumption) if !is_of_keccak(assumption) => Some(assumption.clone()),
        AssumptionReceipt::Unresolved(_) | AssumptionReceipt::Proven(_) => None,
    });
    let open = open.collect();
    let state = |root: tachy::risc0::Digest| SystemState { pc: 0, merkle_root: Digest::from(root.to_bytes()) };
    let after = |post| match exit_code {
        ExitCode::Halted(_) => SystemState { pc: 0, merkle_root: Digest::ZERO },
        _ => state(post),
    };
    Ok(Session {
        segments,
        input: Digest::from(report.input.to_bytes()),
        journal: report.journal.as_ref().map(|journal| Journal::new(journal.bytes.clone())),
        exit_code,
        pending_keccaks: report.keccaks.iter().map(keccak).collect(),
        user_cycles: report.user_cycles,
        paging_cycles: report.paging_cycles,
        reserved_cycles: report.reserved_cycles,
        total_cycles: report.total_cycles,
        pre_state: report.roots.map(|(pre, _)| state(pre)),
        post_state: report.roots.map(|(_, post)| after(post)),
        segment_count: report.segments,
        assumptions,
        open,
    })
}
