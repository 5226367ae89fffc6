//! What machine `r0vm` finds around it: a host, how its run is cut into segments, and where records of segments go.
//!
//! A caller's settings become this when a session starts. It must not know how instructions run, or who takes segments.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::host_error;
use super::events::TraceCallback;
use super::format::{Digest, PovwJob, SegmentRecord};
use super::handover::Takers;
use super::host::{Guest, Host, HostEnv, HostError};
use super::machine::R0vm;
use super::sealer::{Records, SegmentSink};
use crate::callers;
use crate::error::{Error, Location, MachineFailure};
use crate::machine::{Machine, Settled, StepError, Surroundings};
use crate::overhear::Streams;

use super::MachineError;

/// What a caller sets of machine `r0vm`.
#[derive(Default)]
pub(crate) struct Settings<'env> {
    pub(crate) host: Option<HostSide<'env>>,
    pub(crate) segment_po2: Option<u32>,
    pub(crate) input_digest: Option<Digest>,
    pub(crate) segments: Option<SegmentSink<'env>>,
    pub(crate) events: Vec<TraceCallback<'env>>,
}

impl<'env> Settings<'env> {
    /// The first setting that was given.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("the host", self.host.is_some()),
            ("Env::segment_po2", self.segment_po2.is_some()),
            ("Env::input_digest", self.input_digest.is_some()),
            ("Env::segments", self.segments.is_some()),
            ("Env::trace_callback", !self.events.is_empty()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }

    /// Surroundings and takers. Without a host it is the library's, with nothing to read.
    pub(super) fn settle(self) -> Result<Settled<'env, R0vm>, Error> {
        let host = match self.host {
            Some(host) => host,
            None => HostSide::Own(Box::new(HostEnv::builder().build().map_err(|error| MachineFailure {
                machine: R0vm::KIND,
                location: Location { pc: 0, step: 0 },
                error: Box::new(MachineError::Host(error)),
            })?)),
        };
        let own = host.own();
        let po2 = one(self.segment_po2, own.and_then(HostEnv::given_segment_limit_po2), "the segments' po2")?;
        let input = own.and_then(HostEnv::given_input_digest).map(Digest::from_bytes);
        let segments = SegmentRules {
            po2: po2.unwrap_or(DEFAULT_PO2),
            input: one(self.input_digest, input, "the input digest")?.unwrap_or(Digest::ZERO),
            povw: own.and_then(HostEnv::povw).map(|(log, job)| PovwJob { log, job }),
            records: self.segments.is_some(),
        };
        let records = RecordsSlot::default();
        let takers = Takers { segments: self.segments, events: self.events, records: records.clone() };
        Ok(Settled { surroundings: HostSurroundings { host, segments, records }, takers })
    }
}

/// The setting that was given, by the environment or by its host.
fn one<T: PartialEq + std::fmt::Debug>(
    env: Option<T>,
    host: Option<T>,
    what: &'static str,
) -> Result<Option<T>, Error> {
    match (env, host) {
        (Some(env), Some(host)) if env != host => {
            let found = format!("{env:?} in the environment and {host:?} in its host");
            Err(Error::Configuration { what, found, expected: "the same in both, or given in one" })
        }
        (env, host) => Ok(env.or(host)),
    }
}

/// Base-2 logarithm of a segment's cycles, unless the caller says otherwise.
const DEFAULT_PO2: u32 = 20;

/// How a run is cut into segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentRules {
    /// Base-2 logarithm of a segment's cycles.
    pub(crate) po2: u32,
    /// The words that each segment is given.
    pub(crate) input: Digest,
    /// The job that the segments' proofs are counted in.
    pub(crate) povw: Option<PovwJob>,
    /// Whether someone takes segments. If nobody does, nothing is kept for them.
    pub(crate) records: bool,
}

impl SegmentRules {
    /// The segments' size, if it is one that can be proven.
    pub(crate) fn check_po2(&self) -> Result<u32, Error> {
        match (13..=24).contains(&self.po2) {
            true => Ok(self.po2),
            false => Err(Error::Configuration {
                what: "the segments' po2",
                found: self.po2.to_string(),
                expected: "13 to 24",
            }),
        }
    }
}

/// See the module.
pub(crate) struct HostSurroundings<'env> {
    pub(crate) host: HostSide<'env>,
    pub(crate) segments: SegmentRules,
    records: RecordsSlot,
}

impl HostSurroundings<'_> {
    /// Hands a segment over that has ended, if anyone wants it.
    pub(super) fn send(&mut self, record: SegmentRecord) -> Result<(), StepError> {
        match self.records.lock().as_ref().is_none_or(|records| records.send(record)) {
            true => Ok(()),
            false => Err(StepError::Stopped),
        }
    }
}

impl Surroundings for HostSurroundings<'_> {
    fn limit_cycles(&self) -> Option<u64> {
        self.host.own().and_then(HostEnv::session_limit)
    }

    fn set_limit_output(&mut self, bytes: Option<u64>) {
        if let Some(host) = self.host.own_mut() {
            host.set_run_limit_output(bytes);
        }
    }

    fn flush(&mut self) -> Result<(), StepError> {
        callers::call(|| self.host.flush())?.map_err(host_error)
    }

    /// The thread that hashes segments stays in the parent.
    fn enter_child(&mut self) -> Result<(), StepError> {
        match self.records.lock().as_ref().is_some_and(Records::is_elsewhere) {
            true => Err(StepError::Stopped),
            false => Ok(()),
        }
    }

    fn split(self) -> (Self, Self, Streams) {
        let answers = HostAnswers::default();
        let follower = HostSurroundings {
            host: HostSide::Other(Box::new(answers.clone())),
            segments: SegmentRules { records: false, ..self.segments },
            records: RecordsSlot::default(),
        };
        let leader = HostSurroundings { host: HostSide::Overheard(Box::new(self.host), answers), ..self };
        (leader, follower, Streams::default())
    }
}

/// Where the machine's records of segments go in the run under way; nowhere, if nobody takes segments.
#[derive(Clone, Default)]
pub(super) struct RecordsSlot(Arc<Mutex<Option<Records>>>);

impl RecordsSlot {
    /// Sends records there from now on.
    pub(super) fn set(&self, records: Option<Records>) {
        // Dropped when the lock is free again.
        let _before = std::mem::replace(&mut *self.lock(), records);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Records>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who answers R0VM's guests.
pub(crate) enum HostSide<'env> {
    /// The library's host.
    Own(Box<HostEnv<'env>>),
    /// Another.
    Other(Box<dyn Host + 'env>),
    /// One whose answers are overheard.
    Overheard(Box<HostSide<'env>>, HostAnswers),
}

impl<'env> HostSide<'env> {
    /// The library's host, if it is that.
    pub(crate) fn own(&self) -> Option<&HostEnv<'env>> {
        match self {
            HostSide::Own(host) => Some(host),
            HostSide::Other(_) => None,
            HostSide::Overheard(inner, _) => inner.own(),
        }
    }

    /// As [`HostSide::own`], to change.
    pub(crate) fn own_mut(&mut self) -> Option<&mut HostEnv<'env>> {
        match self {
            HostSide::Own(host) => Some(host),
            HostSide::Other(_) => None,
            HostSide::Overheard(inner, _) => inner.own_mut(),
        }
    }

    /// Flushes the streams of the library's host.
    pub(crate) fn flush(&mut self) -> Result<(), HostError> {
        match self {
            HostSide::Own(host) => host.flush(),
            HostSide::Other(_) => Ok(()),
            HostSide::Overheard(inner, _) => inner.flush(),
        }
    }
}

/// What a host answered, until whoever follows has heard it too.
#[derive(Clone, Default)]
pub(crate) struct HostAnswers(Arc<Mutex<VecDeque<HostAnswer>>>);

struct HostAnswer {
    descriptor: u32,
    /// What was read, or what was to be written.
    data: Vec<u8>,
    answer: u32,
}

impl HostAnswers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<HostAnswer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, descriptor: u32) -> Result<HostAnswer, HostError> {
        let reason = "the interpreter asks what the JIT has not asked".to_owned();
        let wrong = || HostError::Arguments { syscall: "crosscheck", reason };
        self.lock().pop_front().filter(|answer| answer.descriptor == descriptor).ok_or_else(wrong)
    }
}

impl Host for HostAnswers {
    fn read(&mut self, _: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        let heard = self.next(descriptor)?;
        for (to, from) in buffer.iter_mut().zip(&heard.data) {
            *to = *from;
        }
        Ok(heard.data.len())
    }

    fn write(&mut self, _: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError> {
        let heard = self.next(descriptor)?;
        match heard.data == data {
            true => Ok(heard.answer),
            false => {
                let reason = "the interpreter writes other bytes than the JIT".to_owned();
                Err(HostError::Arguments { syscall: "crosscheck", reason })
            }
        }
    }
}

impl Host for HostSide<'_> {
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        match self {
            HostSide::Own(host) => host.read(guest, descriptor, buffer),
            HostSide::Other(host) => host.read(guest, descriptor, buffer),
            HostSide::Overheard(inner, heard) => {
                let bytes = inner.read(guest, descriptor, buffer)?;
                let data = buffer.iter().take(bytes).copied().collect();
                heard.lock().push_back(HostAnswer { descriptor, data, answer: 0 });
                Ok(bytes)
            }
        }
    }

    fn write(&mut self, guest: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError> {
        match self {
            HostSide::Own(host) => host.write(guest, descriptor, data),
            HostSide::Other(host) => host.write(guest, descriptor, data),
            HostSide::Overheard(inner, heard) => {
                let answer = inner.write(guest, descriptor, data)?;
                heard.lock().push_back(HostAnswer { descriptor, data: data.to_vec(), answer });
                Ok(answer)
            }
        }
    }
}
