//! What the caller says of a guest's surroundings: arguments, streams, a host, and who takes what a run makes.
//!
//! Each machine has settings of its own, and adds the methods that set them. Nothing is dropped without a word: where a
//! setting is for another machine, or two contradict each other, the session does not start. The order does not matter.

use std::io::{Read, Write};

use crate::callers::{Input, Output};
use crate::error::Error;
use crate::limits::CancelHandle;
use crate::machines::Settings;

/// Arguments and streams of one run, and what else comes to it from outside. By default a guest has no argument but its
/// program's name, an empty stdin, and output that is dropped.
///
/// Machine `bare` has arguments and streams. Machine `r0vm` has a host, which has arguments and streams of its own; without
/// one it finds the library's host with nothing to read. [`Executor::start`](crate::Executor::start) refuses what belongs
/// to the other machine.
#[derive(Default)]
pub struct Env<'env> {
    pub(crate) settings: Settings<'env>,
    pub(crate) cancel: CancelHandle,
    /// The first setting that was given twice and can be there only once.
    pub(crate) twice: Option<&'static str>,
}

impl<'env> Env<'env> {
    /// The default surroundings.
    pub fn new() -> Env<'env> {
        Env::default()
    }

    /// All arguments, the program's name (`argv[0]`) first. For machine `bare`.
    pub fn args<I: IntoIterator<Item = A>, A: Into<Vec<u8>>>(mut self, args: I) -> Self {
        self.settings.bare.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// What the guest of machine `bare` reads from descriptor 0. Each of its reads is one read of the stream, as read(2)
    /// is: it gives what is there, and waits only where nothing is. The number of bytes is an effect of the step, so a
    /// replay needs no stream. But a run depends on the pieces in which its input arrives: to repeat one from a pipe or a
    /// socket, keep the bytes and give them as a slice both times. A slice fills each read as far as it goes.
    pub fn stdin(mut self, stream: impl Read + Send + 'env) -> Self {
        self.settings.bare.stdin = Some(Input::new(stream));
        self
    }

    /// Takes what the guest writes to descriptor 1, flushed when the run stops. For machine `bare`.
    pub fn stdout(mut self, stream: impl Write + Send + 'env) -> Self {
        self.settings.bare.stdout = Some(Output::new(stream));
        self
    }

    /// Takes what the guest writes to descriptor 2, flushed when the run stops. For machine `bare`.
    pub fn stderr(mut self, stream: impl Write + Send + 'env) -> Self {
        self.settings.bare.stderr = Some(Output::new(stream));
        self
    }

    /// The handle that cancels the session and tells how far it is, where it is wanted before there is a session to ask
    /// for one. What was cancelled before its first step stops there. A handle may serve one session after the other.
    pub fn cancel_handle(mut self, handle: CancelHandle) -> Self {
        self.cancel = handle;
        self
    }

    /// Settings that can be there only once, if one was given twice.
    pub(crate) fn check_twice(&self) -> Result<(), Error> {
        match self.twice {
            Some(what) => {
                let found = "given twice".to_owned();
                Err(Error::Configuration { what, found, expected: "given once" })
            }
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Env<'_> {
    /// Settings; streams, sinks and callbacks are the caller's and have nothing to show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let args = self.settings.bare.args.as_ref();
        let args = args.map(|args| args.iter().map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>());
        f.debug_struct("Env").field("args", &args).finish_non_exhaustive()
    }
}
