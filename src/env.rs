//! The caller's description of a guest's environment: arguments, streams, a host, and receivers of what a run produces.
//!
//! Each machine adds its own settings and the methods that set them. No setting is ignored silently: a session does not
//! start if a setting belongs to another machine or contradicts another setting. The order of the calls does not
//! matter.

use std::io::{Read, Write};

use crate::callers::{Input, Output};
use crate::error::Error;
use crate::limits::CancelHandle;
use crate::machines::Settings;

/// Arguments, streams and other external inputs of one run. By default a guest has no argument but its program's name,
/// an empty stdin, and output that is discarded.
///
/// Machine `bare` has arguments and streams. Machine `r0vm` has a host with arguments and streams of its own; without
/// one it uses the library's host with empty input. [`Executor::start`](crate::Executor::start) rejects settings that
/// belong to the other machine.
#[derive(Default)]
pub struct Env<'env> {
    pub(crate) settings: Settings<'env>,
    pub(crate) cancel: CancelHandle,
    /// The first setting that was given twice although only one is allowed.
    pub(crate) twice: Option<&'static str>,
}

impl<'env> Env<'env> {
    /// Creates the default environment.
    pub fn new() -> Env<'env> {
        Env::default()
    }

    /// Sets all arguments, with the program's name (`argv[0]`) first. For machine `bare`.
    pub fn args<I: IntoIterator<Item = A>, A: Into<Vec<u8>>>(mut self, args: I) -> Self {
        self.settings.bare.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the stream that the guest of machine `bare` reads from descriptor 0.
    ///
    /// Each guest read is one read of the stream, as with read(2): it returns the bytes that are available and blocks
    /// only if there are none. The number of bytes is an effect of the step, so a replay needs no stream. But a run
    /// depends on the pieces in which its input arrives. To repeat a run with input from a pipe or a socket, keep the
    /// bytes and pass them as a slice both times: a slice fills each read as long as it has bytes.
    pub fn stdin(mut self, stream: impl Read + Send + 'env) -> Self {
        self.settings.bare.stdin = Some(Input::new(stream));
        self
    }

    /// Sets the stream that receives what the guest writes to descriptor 1. It is flushed when the run stops. For
    /// machine `bare`.
    pub fn stdout(mut self, stream: impl Write + Send + 'env) -> Self {
        self.settings.bare.stdout = Some(Output::new(stream));
        self
    }

    /// Sets the stream that receives what the guest writes to descriptor 2. It is flushed when the run stops. For
    /// machine `bare`.
    pub fn stderr(mut self, stream: impl Write + Send + 'env) -> Self {
        self.settings.bare.stderr = Some(Output::new(stream));
        self
    }

    /// Sets the handle that cancels the session and reports its progress, for callers that need it before the session
    /// exists. A session cancelled before its first step stops there. One handle may serve several sessions, one after
    /// the other.
    pub fn cancel_handle(mut self, handle: CancelHandle) -> Self {
        self.cancel = handle;
        self
    }

    /// Rejects the settings if one was given twice although only one is allowed.
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
    /// Shows settings only; streams, sinks and callbacks belong to the caller and have nothing to show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let args = self.settings.bare.args.as_ref();
        let args = args.map(|args| args.iter().map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>());
        f.debug_struct("Env").field("args", &args).finish_non_exhaustive()
    }
}
