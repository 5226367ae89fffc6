//! Serves a request to execute a program, and the execution inside a request to prove it.
//!
//! The host hears of each segment as soon as it is made. The last one carries the output of the whole session, so it is
//! kept until the program has ended. This file must not know how messages travel.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use tachy::risc0::host::{AssumptionUse, keccak_root};
use tachy::risc0::{Digest, Exit, Image, Report, Segment, SegmentCycles, Tree};
use tachy::{Engine, Error, Executor, MachineKind, NullSink, Session};

use crate::assumptions::Known;
use crate::callbacks::{Callbacks, callback};
use crate::claims::{Assumed, Malformed, SessionClaim};
use crate::connection::Answer;
use crate::environment::{Guest, prepare};
use crate::files::replace;
use crate::profile::Profile;
use crate::protocol::api::{
    Asset, AssetKind, AssetRequest, AssetTarget, CallbackKind, ExecuteRequest, ExecutorEnv, OnSessionDone, SegmentInfo,
    ServerReply, SessionInfo,
};
use crate::protocol::base::ExitCode;
use crate::protocol::core;
use crate::segments::{self, Output};
use crate::{SegmentsFor, Settings, texts};

/// Rows that may wait before their events are sent: the fewest, because the host sees the guest's output meanwhile.
const EVENT_ROWS: usize = 256;

/// What becomes of a session's segments.
enum Segments {
    /// The host hears of each one, with the segment itself.
    Whole(AssetTarget),
    /// The host hears of each one, without its content. Nothing is hashed.
    Empty,
    /// The host hears of none.
    Unsaid,
}

/// The result of a session.
pub(crate) struct Ended {
    pub(crate) report: Report,
    pub(crate) claim: core::ReceiptClaim,
    pub(crate) exit_code: ExitCode,
}

/// Serves a request to execute.
///
/// # Errors
/// Returns the text for the host.
pub(crate) fn execute(
    callbacks: &Callbacks,
    request: ExecuteRequest,
    settings: &Settings,
) -> Result<ServerReply, String> {
    let env = request.env.ok_or_else(|| Malformed("ExecuteRequest.env").to_string())?;
    let out = request.segments_out;
    let target = move || {
        let AssetRequest { kind } = out.ok_or_else(|| Malformed("ExecuteRequest.segments_out").to_string())?;
        Ok(match kind.ok_or_else(|| Malformed("AssetRequest.kind").to_string())? {
            AssetTarget::Inline(()) if settings.segments == SegmentsFor::Nobody => Segments::Empty,
            target => Segments::Whole(target),
        })
    };
    let Ended { report, claim, exit_code } = run(callbacks, env, target, settings)?;
    let session = SessionInfo {
        segments: u32::try_from(report.segments).map_err(|error| error.to_string())?,
        journal: report.journal.map(|journal| journal.bytes).unwrap_or_default(),
        exit_code: Some(exit_code),
        receipt_claim: Some(inline(claim.encode_to_vec())),
    };
    Ok(callback(CallbackKind::SessionDone(OnSessionDone { session: Some(session) })))
}

/// Executes a program for a proof that needs no segments.
///
/// # Errors
/// As [`execute`].
pub(crate) fn execute_unsaid(callbacks: &Callbacks, env: ExecutorEnv, settings: &Settings) -> Result<Ended, String> {
    run(callbacks, env, || Ok(Segments::Unsaid), settings)
}

/// Puts bytes into a message.
pub(crate) fn inline(bytes: Vec<u8>) -> Asset {
    Asset { kind: Some(AssetKind::Inline(bytes)) }
}

/// Executes a program.
fn run(
    callbacks: &Callbacks,
    request: ExecutorEnv,
    target: impl FnOnce() -> Result<Segments, String>,
    settings: &Settings,
) -> Result<Ended, String> {
    let Guest { program, mut env, assumptions, pprof_out, wants_events } =
        prepare(callbacks, request, &*settings.variable)?;
    let target = target()?;
    let profile = pprof_out.map(|path| (path, Profile::default()));
    if let Some((_, profile)) = &profile {
        env = profile.of(env);
    }
    let handed = Arc::new(Handed { target, last: Mutex::new(None), answer: Mutex::new(None) });
    if let Segments::Whole(_) = &handed.target {
        let (handed, callbacks) = (Arc::clone(&handed), callbacks.clone());
        env = env.segments(move |segment| Ok(handed.take(&callbacks, segment)?));
    }
    let mut builder = Executor::builder().engine(Engine::Jit).machine(MachineKind::R0vm);
    if wants_events {
        builder = builder.buffer_rows(EVENT_ROWS);
    }
    if let Some(cache) = &settings.disk_cache {
        builder = builder.disk_cache(cache.clone());
    }
    let executor = builder.build(&program).map_err(|error| texts::first_line(&error))?;
    let cancel = callbacks.0.cancel_handle();
    let mut session = executor.start(env.cancel_handle(cancel)).map_err(|error| texts::first_line(&error))?;
    let ran = session.run(&mut NullSink::off());
    let report = session.report().ok_or("the machine has no report")?;
    handed.tell_empty(callbacks, &report)?;
    // The host may have refused a segment before the run failed, although its answer came later.
    if !matches!(ran, Err(Error::Cancelled { .. } | Error::Segment { .. })) {
        handed.settle(callbacks)?;
    }
    // The host may have refused an event before the run failed, although its answer came later.
    if !matches!(ran, Err(Error::Cancelled { .. })) {
        callbacks.0.end_events()?;
    }
    if let Err(error) = ran {
        // That a host has gone is told once, by whoever serves it.
        if !callbacks.0.is_gone() {
            settings.say_failure(&program, &session, &error);
        }
        return Err(texts::of_run(&error, &session));
    }
    handed.tell_last(callbacks, &report)?;
    if let Some((path, profile)) = &profile {
        profile.write(Path::new(path), &program, report.user_cycles).map_err(|error| error.to_string())?;
    }
    let exit = report.exit.ok_or("the program has not ended")?;
    let exit_code = match (ExitCode::new(exit), exit) {
        (Some(code), _) => code,
        (None, Exit::Unknown(a0)) => return Err(format!("Illegal halt type: {}", a0 & 0xffff)),
        (None, _) => return Err("the program has not ended".to_owned()),
    };
    settings.say_statistics(&report);
    let claim = SessionClaim {
        pre_root: report.roots.map_or_else(|| Tree::of(&Image::of(&program)).root(), |(pre, _)| pre),
        post_root: post_root(&session, &report, exit),
        exit_code: exit_code.clone(),
        journal: report.journal.as_ref().map(|journal| journal.bytes.as_slice()),
        unresolved: unresolved(&report, &assumptions),
    };
    Ok(Ended { claim: claim.message(), exit_code, report })
}

/// Returns the root of memory after a session. After a halt nothing can continue, so it is zero.
fn post_root(session: &Session<'_>, report: &Report, exit: Exit) -> Digest {
    match (exit, report.roots) {
        (Exit::Halted(_), _) => Digest::ZERO,
        (_, Some((_, post))) => post,
        (_, None) => session.memory_root().unwrap_or_default(),
    }
}

/// Returns the assumptions that stay in a claim: those without a receipt, last used first. The one for all Keccak
/// batches is the prover's own.
fn unresolved(report: &Report, known: &[Known]) -> Vec<Assumed> {
    let of_keccak = keccak_root(&report.keccaks).map(|root| Assumed {
        claim: Digest::from_bytes(root.claim),
        control_root: Digest::from_bytes(root.control_root.unwrap_or_default()),
    });
    // The guest's own assumptions, as it has made them: the first use of each.
    let own = |used: &AssumptionUse| Assumed {
        claim: Digest::from_bytes(used.claim),
        control_root: Digest::from_bytes(used.control_root),
    };
    let made: HashMap<usize, Assumed> = report.assumptions.iter().map(|used| (used.assumption, own(used))).collect();
    let left_open = report.assumptions.iter().filter_map(|used| match known.get(used.assumption) {
        Some(known) => known.left_open(),
        None => made.get(&used.assumption).copied(),
    });
    left_open.filter(|assumed| Some(*assumed) != of_keccak).collect()
}

/// What is handed to the host while the program runs.
struct Handed {
    target: Segments,
    /// The last segment, until its output is known.
    last: Mutex<Option<Segment>>,
    /// The host's answer to a segment, while the next one is made.
    answer: Mutex<Option<Answer>>,
}

impl Handed {
    /// Takes a segment from the run.
    fn take(&self, callbacks: &Callbacks, segment: &Segment) -> Result<(), String> {
        let Segments::Whole(target) = &self.target else { return Ok(()) };
        if segment.claim().terminate_state.is_none() {
            return self.tell(callbacks, target, segment, None);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(segment.clone());
        Ok(())
    }

    /// Tells the host of all finished segments, if it gets them without their content.
    fn tell_empty(&self, callbacks: &Callbacks, report: &Report) -> Result<(), String> {
        let Segments::Empty = &self.target else { return Ok(()) };
        for (index, segment) in (0..).zip(&report.each) {
            let SegmentCycles { po2, user_cycles: cycles, .. } = *segment;
            let segment = Some(inline(Vec::new()));
            callbacks.end_segment(&callbacks.begin_segment(SegmentInfo { index, po2, cycles, segment })?)?;
        }
        Ok(())
    }

    /// Hands the last segment over, with the session's output.
    fn tell_last(&self, callbacks: &Callbacks, report: &Report) -> Result<(), String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(segment), Segments::Whole(target)) = (last, &self.target) else { return Ok(()) };
        let Report { journal, assumptions, .. } = report;
        let output = journal.as_ref().map(|journal| Output { journal: &journal.bytes, assumptions });
        self.tell(callbacks, target, &segment, output.as_ref())?;
        self.settle(callbacks)
    }

    /// Waits until the host has taken the segment before.
    fn settle(&self, callbacks: &Callbacks) -> Result<(), String> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.map_or(Ok(()), |answer| callbacks.end_segment(&answer))
    }

    /// Hands a segment over once the host has taken the one before.
    fn tell(
        &self,
        callbacks: &Callbacks,
        target: &AssetTarget,
        segment: &Segment,
        output: Option<&Output<'_>>,
    ) -> Result<(), String> {
        let bytes = segments::encode(segment, output);
        self.settle(callbacks)?;
        let asset = put(target, bytes, &format!("segment-{}", segment.index()))?;
        let info = SegmentInfo {
            index: segment.index() as u32,
            po2: segment.po2(),
            cycles: segment.user_cycles(),
            segment: Some(asset),
        };
        let answer = callbacks.begin_segment(info)?;
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(())
    }
}

/// Puts bytes where a host wants them; `name` is that of a file.
///
/// # Errors
/// Returns the text for the host.
pub(crate) fn put(target: &AssetTarget, bytes: Vec<u8>, name: &str) -> Result<Asset, String> {
    match target {
        AssetTarget::Inline(()) => Ok(inline(bytes)),
        AssetTarget::Path(folder) => {
            let path = Path::new(folder).join(name);
            replace(&path, &bytes).map_err(|error| error.to_string())?;
            let path = path.to_str().ok_or("Path must be UTF-8")?.to_owned();
            Ok(Asset { kind: Some(AssetKind::Path(path)) })
        }
        AssetTarget::Redis(_) => Err("from_bytes not supported for redis".to_owned()),
    }
}
