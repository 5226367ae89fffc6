//! What a hart finds around it: streams, a host, and how its run is cut into segments. An [`Env`](crate::Env) becomes
//! this when a session starts. It must not know engines, sinks or who takes segments.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::callers::{Input, Output};
use crate::error::Error;
use crate::risc0::host::{Guest, Host, HostEnv, HostError};
use crate::risc0::{Digest, PovwJob};

/// See the module.
pub(crate) struct Surroundings<'env> {
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) stdin: Input<'env>,
    pub(crate) stdout: Output<'env>,
    pub(crate) stderr: Output<'env>,
    /// Of machine `r0vm` alone.
    pub(crate) host: Option<HostSide<'env>>,
    pub(crate) segments: SegmentRules,
}

/// How a machine with segments cuts a run into them.
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

impl Default for SegmentRules {
    fn default() -> SegmentRules {
        SegmentRules { po2: 20, input: Digest::ZERO, povw: None, records: false }
    }
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

impl Default for Surroundings<'_> {
    fn default() -> Self {
        Surroundings {
            args: vec![b"guest".to_vec()],
            stdin: Input::new(io::empty()),
            stdout: Output::new(io::sink()),
            stderr: Output::new(io::sink()),
            host: None,
            segments: SegmentRules::default(),
        }
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
