//! Settings of machine `r0vm` in a caller's [`Env`]. This file must not know what the machine does with them.

use crate::env::Env;
use crate::risc0::host::{Host, HostEnv};
use crate::risc0::surroundings::HostSide;
use crate::risc0::{Digest, Segment, TraceEvent};
use crate::trace::SinkError;

/// For machine `r0vm`.
impl<'env> Env<'env> {
    /// Sets the library's host for machine `r0vm`. Its builder sets the input, the size of segments and the cycle limit
    /// of the session.
    pub fn host(self, host: HostEnv<'env>) -> Self {
        self.set_host(HostSide::Own(Box::new(host)))
    }

    /// Sets a custom host for machine `r0vm`, which answers the kernel itself.
    pub fn custom_host(self, host: impl Host + 'env) -> Self {
        self.set_host(HostSide::Other(Box::new(host)))
    }

    fn set_host(mut self, host: HostSide<'env>) -> Self {
        if self.settings.risc0.host.replace(host).is_some() {
            self.twice.get_or_insert("the host");
        }
        self
    }

    /// Sets the base-2 logarithm of the cycles of machine `r0vm`'s segments: 13 to 31. The default is 20 unless the
    /// host sets it. RISC Zero's prover takes up to 24.
    pub fn segment_po2(mut self, po2: u32) -> Self {
        self.settings.risc0.segment_po2 = Some(po2);
        self
    }

    /// Sets the digest that machine `r0vm` gives each segment as its input. The default is zero unless the host sets
    /// it.
    pub fn input_digest(mut self, digest: Digest) -> Self {
        self.settings.risc0.input_digest = Some(digest);
        self
    }

    /// Passes each segment of machine `r0vm` to `sink` once it has ended and is hashed, in order. Without this, nothing
    /// is hashed and the run only executes.
    ///
    /// The callback runs on a hashing thread, beside the run, so encoding or sending a segment does not block the guest.
    /// At most 32 segments wait for it, with 32 MiB of pages and the host's answers, and those of one segment; then the guest waits. All of
    /// them are handed over before the run returns. An error ends the run by the end of the next segment. The next run
    /// begins with the refused segment.
    pub fn segments(mut self, sink: impl FnMut(&Segment) -> Result<(), SinkError> + Send + 'env) -> Self {
        if self.settings.risc0.segments.replace(Box::new(sink)).is_some() {
            self.twice.get_or_insert("who takes segments");
        }
        self
    }

    /// Sets how many threads may hash the segments of machine `r0vm` beside a run; by default as many as the process may
    /// use processors. A run starts as many of them as it has work for, and all of them end with it. With 0, the thread
    /// that runs the guest also hashes and calls the callback of [`Env::segments`], which this setting requires. The
    /// segments are the same, but up to 32 of them may end before the first is handed over, or an error of the callback is
    /// noticed.
    pub fn hashing_threads(mut self, threads: usize) -> Self {
        self.settings.risc0.hashing_threads = Some(threads);
        self
    }

    /// Passes each trace event of machine `r0vm` to `callback`, in the order of RISC Zero's executor and independent of
    /// the sinks of the session's runs. Every callback that is added gets each event. An error ends the run as a sink's
    /// error does, and the next run begins with the refused event.
    ///
    /// Events are derived from rows, so a session with a callback runs as fast as one with a sink. Events lag execution
    /// by up to one buffer of rows; all of them arrive before the run returns.
    pub fn trace_callback(mut self, callback: impl FnMut(&TraceEvent) -> Result<(), SinkError> + Send + 'env) -> Self {
        self.settings.risc0.events.push(Box::new(callback));
        self
    }
}
