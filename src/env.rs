//! What the caller says of a guest's surroundings: arguments, streams, a host, and who takes what a run makes.
//!
//! Each machine has settings of its own. Nothing is dropped without a word: a setting that the machine has no use for, or
//! two that contradict each other, are refused when the session starts, in whatever order they were given.

use std::io::{Read, Write};

use crate::callers::{Input, Output};
use crate::error::{Error, Place};
use crate::limits::CancelHandle;
use crate::machine::MachineKind;
use crate::risc0::host::{Host, HostEnv};
use crate::risc0::{Digest, PovwJob, Segment, SegmentSink, TraceCallback, TraceEvent};
use crate::surroundings::{HostSide, SegmentRules, Surroundings};
use crate::trace::SinkError;

/// Arguments and streams of one run, and what else comes to it from outside. By default a guest has no argument but its
/// program's name, an empty stdin, and output that is dropped.
///
/// Machine `bare` has arguments and streams. Machine `r0vm` has a host, which has arguments and streams of its own; without
/// one it finds the library's host with nothing to read. [`Executor::start`](crate::Executor::start) refuses what belongs
/// to the other machine.
#[derive(Default)]
pub struct Env<'env> {
    args: Option<Vec<Vec<u8>>>,
    stdin: Option<Input<'env>>,
    stdout: Option<Output<'env>>,
    stderr: Option<Output<'env>>,
    cancel: CancelHandle,
    host: Option<HostSide<'env>>,
    segment_po2: Option<u32>,
    input_digest: Option<Digest>,
    segments: Option<SegmentSink<'env>>,
    events: Vec<TraceCallback<'env>>,
    /// The first setting that was given twice and can be there only once.
    twice: Option<&'static str>,
}

/// An [`Env`] by whom it concerns.
pub(crate) struct Settled<'env> {
    pub(crate) surroundings: Surroundings<'env>,
    pub(crate) cancel: CancelHandle,
    pub(crate) segments: Option<SegmentSink<'env>>,
    pub(crate) events: Vec<TraceCallback<'env>>,
    /// User cycles that the host allows.
    pub(crate) limit_cycles: Option<u64>,
}

impl<'env> Env<'env> {
    /// The default surroundings.
    pub fn new() -> Env<'env> {
        Env::default()
    }

    /// All arguments, the program's name (`argv[0]`) first. For machine `bare`.
    pub fn args<I: IntoIterator<Item = A>, A: Into<Vec<u8>>>(mut self, args: I) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// What the guest of machine `bare` reads from descriptor 0. Each of its reads is one read of the stream, as read(2)
    /// is: it gives what is there, and waits only where nothing is. The number of bytes is an effect of the step, so a
    /// replay needs no stream. But a run depends on the pieces in which its input arrives: to repeat one from a pipe or a
    /// socket, keep the bytes and give them as a slice both times. A slice fills each read as far as it goes.
    pub fn stdin(mut self, stream: impl Read + Send + 'env) -> Self {
        self.stdin = Some(Input::new(stream));
        self
    }

    /// Takes what the guest writes to descriptor 1, flushed when the run stops. For machine `bare`.
    pub fn stdout(mut self, stream: impl Write + Send + 'env) -> Self {
        self.stdout = Some(Output::new(stream));
        self
    }

    /// Takes what the guest writes to descriptor 2, flushed when the run stops. For machine `bare`.
    pub fn stderr(mut self, stream: impl Write + Send + 'env) -> Self {
        self.stderr = Some(Output::new(stream));
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
    pub fn host(self, host: HostEnv<'env>) -> Self {
        self.set_host(HostSide::Own(Box::new(host)))
    }

    /// Another host for machine `r0vm`, which answers the kernel itself.
    pub fn custom_host(self, host: impl Host + 'env) -> Self {
        self.set_host(HostSide::Other(Box::new(host)))
    }

    fn set_host(mut self, host: HostSide<'env>) -> Self {
        if self.host.replace(host).is_some() {
            self.twice.get_or_insert("the host");
        }
        self
    }

    /// Base-2 logarithm of the cycles of machine `r0vm`'s segments: 13 to 24, 20 unless this or the host says otherwise.
    pub fn segment_po2(mut self, po2: u32) -> Self {
        self.segment_po2 = Some(po2);
        self
    }

    /// The digest that machine `r0vm` gives each segment as its input: zero unless this or the host says otherwise.
    pub fn input_digest(mut self, digest: Digest) -> Self {
        self.input_digest = Some(digest);
        self
    }

    /// Takes each segment of machine `r0vm` when it has ended and is hashed, in order. Without this nothing is hashed and
    /// execution is all that happens.
    ///
    /// The callback runs on the thread that hashes, beside the run, so that encoding or sending a segment does not keep
    /// the guest waiting; few segments wait for it. All of them are handed over before the run returns. An error ends the
    /// run by the end of the next segment; the next run begins with the segment that was refused.
    pub fn segments(mut self, sink: impl FnMut(&Segment) -> Result<(), SinkError> + Send + 'env) -> Self {
        if self.segments.replace(Box::new(sink)).is_some() {
            self.twice.get_or_insert("who takes segments");
        }
        self
    }

    /// Takes each trace event of machine `r0vm`, in the order in which RISC Zero's executor sends them, whatever the
    /// sinks of the session's runs want. Each callback that is added gets each event. An error ends the run as a sink's
    /// does; the next run begins with the event that was refused.
    ///
    /// Rows are made for it, so that a session with a callback runs as fast as one with a sink. Events come a buffer of
    /// rows later than what they tell of, and all of them before the run returns.
    pub fn trace_callback(mut self, callback: impl FnMut(&TraceEvent) -> Result<(), SinkError> + Send + 'env) -> Self {
        self.events.push(Box::new(callback));
        self
    }

    /// What a session on this machine makes of it.
    pub(crate) fn settle(self, machine: MachineKind) -> Result<Settled<'env>, Error> {
        self.check(machine)?;
        let Env { args, stdin, stdout, stderr, cancel, mut host, segment_po2, input_digest, segments, events, .. } =
            self;
        if machine == MachineKind::R0vm && host.is_none() {
            host = Some(HostSide::Own(Box::new(HostEnv::builder().build().map_err(|source| {
                let place = Place { pc: 0, step: 0 };
                Error::Host { place, source: Box::new(source) }
            })?)));
        }
        let own = host.as_ref().and_then(HostSide::own);
        let default = SegmentRules::default();
        let po2 = one(segment_po2, own.and_then(HostEnv::given_segment_limit_po2), "the segments' po2")?;
        let input = own.and_then(HostEnv::given_input_digest).map(Digest::from_bytes);
        let rules = SegmentRules {
            po2: po2.unwrap_or(default.po2),
            input: one(input_digest, input, "the input digest")?.unwrap_or(default.input),
            povw: own.and_then(HostEnv::povw).map(|(log, job)| PovwJob { log, job }),
            records: segments.is_some(),
        };
        let limit_cycles = own.and_then(HostEnv::session_limit);
        let default = Surroundings::default();
        let surroundings = Surroundings {
            args: args.unwrap_or(default.args),
            stdin: stdin.unwrap_or(default.stdin),
            stdout: stdout.unwrap_or(default.stdout),
            stderr: stderr.unwrap_or(default.stderr),
            host,
            segments: rules,
        };
        Ok(Settled { surroundings, cancel, segments, events, limit_cycles })
    }

    /// Refuses settings of another machine, and those that can be there only once.
    fn check(&self, machine: MachineKind) -> Result<(), Error> {
        if let Some(what) = self.twice {
            let found = "given twice".to_owned();
            return Err(Error::Configuration { what, found, expected: "given once" });
        }
        let of_bare = [
            ("Env::args", self.args.is_some()),
            ("Env::stdin", self.stdin.is_some()),
            ("Env::stdout", self.stdout.is_some()),
            ("Env::stderr", self.stderr.is_some()),
        ];
        let of_r0vm = [
            ("the host", self.host.is_some()),
            ("Env::segment_po2", self.segment_po2.is_some()),
            ("Env::input_digest", self.input_digest.is_some()),
            ("Env::segments", self.segments.is_some()),
            ("Env::trace_callback", !self.events.is_empty()),
        ];
        let (others, expected): (&[_], _) = match machine {
            MachineKind::Bare => (&of_r0vm, "machine r0vm, or no such setting"),
            MachineKind::R0vm => (&of_bare, "machine bare, or the same setting of HostEnv::builder()"),
        };
        match others.iter().find(|(_, given)| *given) {
            Some((what, _)) => {
                Err(Error::Configuration { what, found: format!("given on machine {machine}"), expected })
            }
            None => Ok(()),
        }
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

impl std::fmt::Debug for Env<'_> {
    /// Settings; streams, sinks and callbacks are the caller's and have nothing to show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let args =
            self.args.as_ref().map(|args| args.iter().map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>());
        let mut shown = f.debug_struct("Env");
        shown.field("args", &args).field("segment_po2", &self.segment_po2).field("input_digest", &self.input_digest);
        shown.field("has_host", &self.host.is_some()).field("takes_segments", &self.segments.is_some());
        shown.field("trace_callbacks", &self.events.len()).finish_non_exhaustive()
    }
}
