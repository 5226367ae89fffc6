//! Turns the environment that a host describes into one for the guest. This file must not know how the guest runs.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use tachy::risc0::host::{HostEnv, HostEnvBuilder};
use tachy::{Env, Program};

use crate::assumptions::Known;
use crate::callbacks::{Callbacks, Descriptor};
use crate::claims::Malformed;
use crate::protocol::api::{Asset, AssetKind, AssumptionKind, ExecutorEnv};
use crate::texts;

/// Bytes that the host is asked for at a time, as RISC Zero's server does.
const READ_BYTES: usize = 8192;
/// The journal's descriptor, which belongs to the server.
const JOURNAL: u32 = 3;
/// The longest name that a guest can call.
const NAME_BYTES: usize = 256;
/// Bytes that the library may keep for a guest: answers to system calls of the host's own can be large.
const KEPT_BYTES: u64 = 1 << 30;
/// Sizes of Keccak proofs.
const KECCAK_PO2: std::ops::RangeInclusive<u32> = 14..=18;

impl Asset {
    /// Returns its bytes.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, String> {
        match self.kind.ok_or(Malformed("Asset.kind")).map_err(|error| error.to_string())? {
            AssetKind::Inline(bytes) => Ok(bytes),
            AssetKind::Path(path) => std::fs::read(path).map_err(|error| error.to_string()),
            AssetKind::Redis(_) => Err("as_bytes not supported for redis".to_owned()),
        }
    }
}

/// A guest and everything around it.
pub(crate) struct Guest {
    pub(crate) program: Program,
    pub(crate) env: Env<'static>,
    /// The host's assumptions, in its order.
    pub(crate) assumptions: Vec<Known>,
    /// Whether the host takes trace events.
    pub(crate) wants_events: bool,
    /// Where a profile goes.
    pub(crate) pprof_out: Option<String>,
}

/// Prepares a guest.
///
/// # Errors
/// Returns RISC Zero's text for what is wrong.
pub(crate) fn prepare(
    callbacks: &Callbacks,
    request: ExecutorEnv,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Guest, String> {
    let mut builder = HostEnv::builder();
    let wants_events = request.trace_events.is_some();
    let pprof_out = Some(request.pprof_out.clone()).filter(|path| !path.is_empty());
    let binary = request.binary.clone();
    let assumptions = fill(&mut builder, callbacks, request, variable)?;
    let host = builder.build().map_err(|error| texts::first_line(&error))?;
    let mut env = Env::new().host(host);
    if wants_events {
        let callbacks = callbacks.clone();
        env = env.trace_callback(move |event| Ok(callbacks.event(event)?));
    }
    let binary = binary.ok_or_else(|| Malformed("ExecuteRequest.binary").to_string())?.into_bytes()?;
    let program = Program::from_risc0(&binary).map_err(|error| texts::of_program(&error))?;
    let pprof_out = pprof_out.or_else(|| variable("RISC0_PPROF_OUT"));
    Ok(Guest { program, env, assumptions, wants_events, pprof_out })
}

/// Sets everything that a request has, in the order of RISC Zero's server, so that the same fault is reported first.
fn fill(
    builder: &mut HostEnvBuilder<'static>,
    callbacks: &Callbacks,
    request: ExecutorEnv,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Known>, String> {
    builder.limit_kept_bytes(KEPT_BYTES);
    builder.env_vars(request.env_vars).args(request.args).session_limit(request.session_limit);
    for fd in request.read_fds.into_iter().collect::<BTreeSet<_>>() {
        builder.read_fd(fd, Buffered::New(callbacks.descriptor(fd)));
    }
    for fd in request.write_fds.into_iter().collect::<BTreeSet<_>>() {
        if fd != JOURNAL {
            builder.write_fd(fd, callbacks.descriptor(fd));
        }
    }
    for name in request.slice_ios {
        // A guest can call no other name.
        if name.len() <= NAME_BYTES && !name.contains('\0') {
            builder.slice_io(name, callbacks.clone());
        }
    }
    if let Some(po2) = request.segment_limit_po2 {
        builder.segment_limit_po2(po2);
    }
    if let Some(po2) = request.keccak_max_po2 {
        set_keccak_po2(builder, po2)?;
    }
    if request.coprocessor {
        let callbacks = callbacks.clone();
        builder.coprocessor_callback(move |request| callbacks.prove_keccak(request));
    }
    if !request.povw_job_id.is_empty() {
        let id = <[u8; 28]>::try_from(request.povw_job_id.as_slice());
        let id = id.map_err(|_| Malformed("ExecutorEnv.povw_job_id").to_string())?;
        let (job, log) = povw(id);
        builder.povw(log, job);
    }
    let mut known = Vec::new();
    for assumption in request.assumptions {
        let kind = assumption.kind.ok_or_else(|| Malformed("Assumption.kind").to_string())?;
        let assumption = match kind {
            AssumptionKind::Proven(asset) => Known::proven(&asset.into_bytes()?),
            AssumptionKind::Unresolved(asset) => Known::unresolved(&asset.into_bytes()?),
        };
        let assumption = assumption.map_err(|error| error.to_string())?;
        builder.add_assumption(assumption.for_guest());
        known.push(assumption);
    }
    // The process's own environment has the last word, as in RISC Zero's builder.
    if let Some(po2) = variable("RISC0_KECCAK_PO2") {
        set_keccak_po2(builder, po2.parse().map_err(|error: std::num::ParseIntError| error.to_string())?)?;
    }
    Ok(known)
}

fn set_keccak_po2(builder: &mut HostEnvBuilder<'_>, po2: u32) -> Result<(), String> {
    match KECCAK_PO2.contains(&po2) {
        true => {
            builder.keccak_max_po2(po2);
            Ok(())
        }
        false => Err(format!("invalid keccak po2 {po2}. Expected range: {KECCAK_PO2:?}")),
    }
}

/// A descriptor of the host, with a buffer from the first read on: a host may list millions that no guest reads.
enum Buffered {
    New(Descriptor),
    Used(BufReader<Descriptor>),
    /// While one becomes the other.
    Between,
}

impl Read for Buffered {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Buffered::New(_) = self
            && let Buffered::New(descriptor) = std::mem::replace(self, Buffered::Between)
        {
            *self = Buffered::Used(BufReader::with_capacity(READ_BYTES, descriptor));
        }
        match self {
            Buffered::Used(reader) => reader.read(bytes),
            Buffered::New(_) | Buffered::Between => Ok(0),
        }
    }
}

/// Splits the identifier of a job: its number, and its work log. Both are little-endian there; a work log is big-endian
/// in the library.
fn povw(id: [u8; 28]) -> (u64, [u8; 20]) {
    let (mut job, mut log) = ([0; 8], [0; 20]);
    for (to, from) in job.iter_mut().chain(log.iter_mut().rev()).zip(id) {
        *to = from;
    }
    (u64::from_le_bytes(job), log)
}
