//! The guest's surroundings: arguments, streams, and who may cancel it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::callers::{self, Failed, Input, Output};
use crate::error::Error;
use crate::host::{Guest, Host, HostEnv, HostError};
use crate::limits::CancelHandle;
use crate::r0vm::{Digest, Sealer, Segment, TraceEvent, TraceEvents};
use crate::trace::SinkError;

/// Arguments and streams of one run, and what else comes to it from outside. By default: no argument but the program's name, an empty stdin, and output that
/// is dropped.
pub struct Env<'env> {
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) stdin: Input<'env>,
    pub(crate) stdout: Output<'env>,
    pub(crate) stderr: Output<'env>,
    pub(crate) cancel: CancelHandle,
    /// Of machine `r0vm` alone.
    pub(crate) host: Option<HostSide<'env>>,
    pub(crate) segments: SegmentSetup<'env>,
    pub(crate) events: Option<TraceEvents<TraceCallback<'env>>>,
}

/// Takes each trace event.
pub(crate) type TraceCallback<'env> = Box<dyn FnMut(TraceEvent) -> Result<(), SinkError> + Send + 'env>;

/// Takes each segment when it has ended.
pub(crate) type SegmentSink<'env> = Box<dyn FnMut(Segment) -> Result<(), SinkError> + Send + 'env>;

/// How a machine with segments cuts a run into them, and who wants them.
pub(crate) struct SegmentSetup<'env> {
    /// Base-2 logarithm of a segment's cycles.
    pub(crate) po2: u32,
    /// User cycles that the session may take.
    pub(crate) limit_cycles: Option<u64>,
    /// The words that each segment is given.
    pub(crate) input: Digest,
    /// Who takes segments; if nobody does, nothing is kept for them.
    pub(crate) sink: Option<SegmentSink<'env>>,
    /// Who makes them of the machine's records, once the session has begun.
    pub(crate) sealer: Option<Sealer>,
    /// Segments that are sealed and not handed over.
    pub(crate) waiting: VecDeque<Segment>,
    /// Whether the sink has failed in this run: it is not called again before the next one.
    pub(crate) failed: bool,
}

impl SegmentSetup<'_> {
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

    /// A run begins: the sink is called again, if it has failed before.
    pub(crate) fn begin(&mut self) {
        self.failed = false;
    }

    /// Hands over segments that are sealed, each of them once. After a failure they wait for the next run.
    pub(crate) fn deliver(&mut self, segments: impl IntoIterator<Item = Segment>) -> Result<(), Failed> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        self.waiting.extend(segments);
        while !self.failed
            && let Some(segment) = self.waiting.pop_front()
        {
            let given = callers::give(|| sink(segment));
            self.failed = given.is_err();
            given?;
        }
        Ok(())
    }

    /// Waits for all segments under way and hands them over.
    pub(crate) fn deliver_all(&mut self) -> Result<(), Failed> {
        let mut delivered = self.deliver([]);
        while let Some(segment) = self.sealer.as_mut().and_then(Sealer::receive) {
            delivered = delivered.and(self.deliver([segment]));
        }
        delivered?;
        match &self.sealer {
            Some(sealer) if sealer.is_broken() => {
                Err(Failed::Error("the thread that hashes segments has panicked".into()))
            }
            _ => Ok(()),
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

impl Default for Env<'_> {
    fn default() -> Self {
        Env {
            args: vec![b"guest".to_vec()],
            stdin: Input::new(io::empty()),
            stdout: Output::new(io::sink()),
            stderr: Output::new(io::sink()),
            cancel: CancelHandle::default(),
            host: None,
            segments: SegmentSetup {
                po2: 20,
                limit_cycles: None,
                input: Digest::default(),
                sink: None,
                sealer: None,
                waiting: VecDeque::new(),
                failed: false,
            },
            events: None,
        }
    }
}

impl<'env> Env<'env> {
    /// The default surroundings.
    pub fn new() -> Env<'env> {
        Env::default()
    }

    /// All arguments, the program's name (`argv[0]`) first.
    pub fn args<I: IntoIterator<Item = A>, A: Into<Vec<u8>>>(mut self, args: I) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// What the guest of machine `bare` reads from descriptor 0. Each of its reads is one read of the stream, as read(2)
    /// is: it gives what is there, and waits only where nothing is. The number of bytes is an effect of the step, so a
    /// replay needs no stream. But a run depends on the pieces in which its input arrives: to repeat one from a pipe or a
    /// socket, keep the bytes and give them as a slice both times. A slice fills each read as far as it goes.
    pub fn stdin(mut self, stream: impl Read + Send + 'env) -> Self {
        self.stdin = Input::new(stream);
        self
    }

    /// Takes what the guest writes to descriptor 1, flushed when the run stops.
    pub fn stdout(mut self, stream: impl Write + Send + 'env) -> Self {
        self.stdout = Output::new(stream);
        self
    }

    /// Takes what the guest writes to descriptor 2, flushed when the run stops.
    pub fn stderr(mut self, stream: impl Write + Send + 'env) -> Self {
        self.stderr = Output::new(stream);
        self
    }

    /// The handle that cancels the session and tells how far it is, where it is wanted before there is a session to ask
    /// for one. What was cancelled before its first step stops there. A handle may serve one session after the other.
    pub fn cancel_handle(mut self, handle: CancelHandle) -> Self {
        self.cancel = handle;
        self
    }

    /// What machine `r0vm` finds around it: the library's host, whose builder says what there is to read, how large
    /// segments are and how many cycles the session may take.
    pub fn host(mut self, host: HostEnv<'env>) -> Self {
        self.segments.po2 = host.segment_limit_po2();
        self.segments.limit_cycles = host.session_limit();
        self.segments.input = Digest::from_bytes(host.input_digest());
        self.host = Some(HostSide::Own(Box::new(host)));
        self
    }

    /// Another host for machine `r0vm`, which answers the kernel itself.
    pub fn custom_host(mut self, host: impl Host + 'env) -> Self {
        self.host = Some(HostSide::Other(Box::new(host)));
        self
    }

    /// Base-2 logarithm of the cycles of machine `r0vm`'s segments: 13 to 24, 20 unless said.
    pub fn segment_po2(mut self, po2: u32) -> Self {
        self.segments.po2 = po2;
        self
    }

    /// The digest that machine `r0vm` gives each segment as its input; zero unless said.
    pub fn input_digest(mut self, digest: Digest) -> Self {
        self.segments.input = digest;
        self
    }

    /// User cycles that a session of machine `r0vm` may take; reaching them is an error.
    pub fn limit_cycles(mut self, cycles: u64) -> Self {
        self.segments.limit_cycles = Some(cycles);
        self
    }

    /// Takes each segment of machine `r0vm` when it has ended and is hashed, in order and once. Without this nothing is
    /// hashed and execution is all that happens. An error ends the run; the next one goes on with the segment behind it.
    pub fn segments(mut self, sink: impl FnMut(Segment) -> Result<(), SinkError> + Send + 'env) -> Self {
        self.segments.sink = Some(Box::new(sink));
        self
    }

    /// Takes each trace event of machine `r0vm`, in the order in which RISC Zero's executor sends them, whatever the
    /// sinks of the session's runs want. An error ends the run as a sink's does; the next run goes on with the event behind
    /// it.
    ///
    /// Rows are made for it, so that a session with a callback runs as fast as one with a sink. Events come a buffer of
    /// rows later than what they tell of, and all of them before the run returns.
    pub fn trace_callback(mut self, callback: impl FnMut(TraceEvent) -> Result<(), SinkError> + Send + 'env) -> Self {
        self.events = Some(TraceEvents::new(Box::new(callback)));
        self
    }
}
