//! Segments in the encoding of risc0-zkvm 3.0: bincode of its struct `Segment`, which is a segment of the circuit with
//! its number before it and its output behind it. Numbers have fixed sizes, little-endian; lengths have eight bytes.
//!
//! This file must not know how a segment is made, or where it goes.

use tachy::risc0::host::AssumptionUse;
use tachy::risc0::{Digest, Segment};

/// The output of a session, which its last segment carries.
pub(crate) struct Output<'a> {
    pub(crate) journal: &'a [u8],
    /// All assumptions that the guest used, last one first.
    pub(crate) assumptions: &'a [AssumptionUse],
}

/// Encodes a segment.
pub(crate) fn encode(segment: &Segment, output: Option<&Output<'_>>) -> Vec<u8> {
    let image = segment.partial_image();
    let bytes = image.pages().len() * 1036 + image.digests().len() * 36;
    let mut writer = Writer(Vec::with_capacity(bytes + 4096));
    writer.u32(segment.index() as u32);
    writer.circuit(segment);
    writer.optional(output, |writer, output| {
        // Variant 0 of a value that may be pruned is the value.
        writer.u32(0);
        writer.bytes(output.journal);
        writer.u32(0);
        writer.length(output.assumptions.len());
        for used in output.assumptions {
            writer.u32(0);
            // A digest's words are little-endian, as its bytes are.
            writer.0.extend(used.claim);
            writer.0.extend(used.control_root);
        }
    });
    writer.0
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.0.extend((length as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn digest(&mut self, digest: Digest) {
        self.0.extend(digest.to_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.0.push(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Writes the fields in the order of `execute::Segment` of risc0-circuit-rv32im 4.0.5.
    fn circuit(&mut self, segment: &Segment) {
        let image = segment.partial_image();
        self.length(image.pages().len());
        for (page, content) in image.pages() {
            self.u32(page);
            self.bytes(content);
        }
        self.length(image.digests().len());
        for &(node, digest) in image.digests() {
            self.u32(node);
            self.digest(digest);
        }
        // No digest is out of date.
        self.length(0);
        let claim = segment.claim();
        self.digest(claim.pre_state);
        self.digest(claim.post_state);
        self.digest(claim.input);
        self.optional(claim.output, Writer::digest);
        self.optional(claim.terminate_state, |writer, (a0, a1)| {
            // Half-words, the high one first.
            for half in [a0 >> 16, a0, a1 >> 16, a1] {
                writer.0.extend((half as u16).to_le_bytes());
            }
        });
        self.optional(claim.shutdown_cycle, Writer::u32);
        self.length(segment.reads().len());
        for read in segment.reads() {
            self.bytes(read);
        }
        self.length(segment.writes().len());
        for &write in segment.writes() {
            self.u32(write);
        }
        for number in [segment.user_cycles(), segment.paging_cycles(), segment.threshold(), segment.po2()] {
            self.u32(number);
        }
        self.0.extend(segment.index().to_le_bytes());
        self.optional(segment.povw_nonce(), |writer, nonce| {
            writer.bytes(&nonce.log);
            writer.0.extend(nonce.job.to_le_bytes());
            writer.u32(nonce.segment);
        });
    }
}
