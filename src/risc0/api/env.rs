//! Settings of machine `r0vm` in a caller's [`Env`].

use crate::env::Env;
use crate::risc0::host::{Host, HostEnv};
use crate::risc0::surroundings::HostSide;
use crate::risc0::{Digest, Segment, TraceEvent};
use crate::trace::SinkError;

/// For machine `r0vm`.
impl<'env> Env<'env> {
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
        if self.settings.risc0.host.replace(host).is_some() {
            self.twice.get_or_insert("the host");
        }
        self
    }

    /// Base-2 logarithm of the cycles of machine `r0vm`'s segments: 13 to 24, 20 unless this or the host says otherwise.
    pub fn segment_po2(mut self, po2: u32) -> Self {
        self.settings.risc0.segment_po2 = Some(po2);
        self
    }

    /// The digest that machine `r0vm` gives each segment as its input: zero unless this or the host says otherwise.
    pub fn input_digest(mut self, digest: Digest) -> Self {
        self.settings.risc0.input_digest = Some(digest);
        self
    }

    /// Takes each segment of machine `r0vm` when it has ended and is hashed, in order. Without this nothing is hashed and
    /// execution is all that happens.
    ///
    /// The callback runs on the thread that hashes, beside the run, so that encoding or sending a segment does not keep
    /// the guest waiting; few segments wait for it. All of them are handed over before the run returns. An error ends the
    /// run by the end of the next segment; the next run begins with the segment that was refused.
    pub fn segments(mut self, sink: impl FnMut(&Segment) -> Result<(), SinkError> + Send + 'env) -> Self {
        if self.settings.risc0.segments.replace(Box::new(sink)).is_some() {
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
        self.settings.risc0.events.push(Box::new(callback));
        self
    }
}
