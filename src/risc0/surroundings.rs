//! The environment of machine `r0vm`: a host, the rules for cutting a run into segments, and the destination of segment
//! records.
//!
//! A caller's settings turn into this when a session starts. This file must not know how instructions run, or who takes
//! segments.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

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

/// The caller's settings of machine `r0vm`.
#[derive(Default)]
pub(crate) struct Settings<'env> {
    pub(crate) host: Option<HostSide<'env>>,
    pub(crate) segment_po2: Option<u32>,
    pub(crate) input_digest: Option<Digest>,
    pub(crate) segments: Option<SegmentSink<'env>>,
    pub(crate) hashing_threads: Option<usize>,
    pub(crate) events: Vec<TraceCallback<'env>>,
}

impl<'env> Settings<'env> {
    /// Returns the name of the first setting that was given.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("the host", self.host.is_some()),
            ("Env::segment_po2", self.segment_po2.is_some()),
            ("Env::input_digest", self.input_digest.is_some()),
            ("Env::segments", self.segments.is_some()),
            ("Env::hashing_threads", self.hashing_threads.is_some()),
            ("Env::trace_callback", !self.events.is_empty()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }

    /// Returns surroundings and takers. The default host is the library's, with empty input.
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
        if self.hashing_threads.is_some() && self.segments.is_none() {
            let (what, found) = ("Env::hashing_threads", "given without Env::segments".to_owned());
            return Err(Error::Configuration { what, found, expected: "Env::segments, or no such setting" });
        }
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        let takers = Takers {
            segments: self.segments,
            max_hashing_threads: self.hashing_threads.unwrap_or_else(cores),
            events: self.events,
            records: records.clone(),
        };
        Ok(Settled { surroundings: HostSurroundings { host, segments, records }, takers })
    }
}

/// Returns the setting given by the environment or by its host.
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

/// Default base-2 logarithm of a segment's cycles.
const DEFAULT_PO2: u32 = 20;

/// Rules for cutting a run into segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentRules {
    /// Base-2 logarithm of a segment's cycles.
    pub(crate) po2: u32,
    /// The input words of each segment.
    pub(crate) input: Digest,
    /// The job that counts the segments' proofs.
    pub(crate) povw: Option<PovwJob>,
    /// Whether a sink takes segments. If not, nothing is recorded for them.
    pub(crate) records: bool,
}

impl SegmentRules {
    /// Returns the segments' size if it can be executed.
    pub(crate) fn check_po2(&self) -> Result<u32, Error> {
        match (13..=31).contains(&self.po2) {
            true => Ok(self.po2),
            false => Err(Error::Configuration {
                what: "the segments' po2",
                found: self.po2.to_string(),
                expected: "13 to 31",
            }),
        }
    }
}

/// The environment of a run; see the module.
pub(crate) struct HostSurroundings<'env> {
    pub(crate) host: HostSide<'env>,
    pub(crate) segments: SegmentRules,
    records: RecordsSlot<'env>,
}

impl HostSurroundings<'_> {
    /// Hands over a finished segment if a sink takes segments.
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

    /// Stops the run in a child if the hashing threads are the parent's.
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

/// Destination of the machine's segment records in the current run; `None` if no sink takes segments.
#[derive(Clone, Default)]
pub(super) struct RecordsSlot<'env>(Arc<Mutex<Option<Records<'env>>>>);

impl<'env> RecordsSlot<'env> {
    /// Sends records to this destination from now on.
    pub(super) fn set(&self, records: Option<Records<'env>>) {
        // The old value is dropped after the lock is released.
        let _before = std::mem::replace(&mut *self.lock(), records);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Records<'env>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host that answers R0VM's guests.
pub(crate) enum HostSide<'env> {
    /// The library's host.
    Own(Box<HostEnv<'env>>),
    /// A custom host.
    Other(Box<dyn Host + 'env>),
    /// A host whose answers are recorded.
    Overheard(Box<HostSide<'env>>, HostAnswers),
}

impl<'env> HostSide<'env> {
    /// Returns the library's host, if this is one.
    pub(crate) fn own(&self) -> Option<&HostEnv<'env>> {
        match self {
            HostSide::Own(host) => Some(host),
            HostSide::Other(_) => None,
            HostSide::Overheard(inner, _) => inner.own(),
        }
    }

    /// Returns the same as [`HostSide::own`], mutably.
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

/// A host's answers, kept until the second engine has received them too.
#[derive(Clone, Default)]
pub(crate) struct HostAnswers(Arc<Mutex<VecDeque<HostAnswer>>>);

struct HostAnswer {
    descriptor: u32,
    /// The data that were read, or those to be written.
    data: Vec<u8>,
    answer: u32,
}

impl HostAnswers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<HostAnswer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, descriptor: u32) -> Result<HostAnswer, HostError> {
        let reason = "the interpreter asks what the JIT has not asked".to_owned();
        let wrong = || HostError::Arguments { syscall: "crosscheck", reason, risc0: None };
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
                Err(HostError::Arguments { syscall: "crosscheck", reason, risc0: None })
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
