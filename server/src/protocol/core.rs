//! Messages of the protocol's package `core`: claims and receipts.

use super::base::{CompatVersion, DigestMessage, ExitCode};

/// A value, or its digest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MaybePruned {
    /// One of the kinds.
    #[prost(oneof = "MaybePrunedKind", tags = "1, 2")]
    pub kind: Option<MaybePrunedKind>,
}

/// A value, or its digest.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum MaybePrunedKind {
    /// The encoded value.
    #[prost(bytes = "vec", tag = "1")]
    Value(Vec<u8>),
    /// Its digest.
    #[prost(message, tag = "2")]
    Pruned(DigestMessage),
}

/// What a receipt states.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReceiptClaim {
    /// The [`SystemState`] before.
    #[prost(message, optional, tag = "1")]
    pub pre: Option<MaybePruned>,
    /// The [`SystemState`] after.
    #[prost(message, optional, tag = "2")]
    pub post: Option<MaybePruned>,
    /// How the guest ended.
    #[prost(message, optional, tag = "3")]
    pub exit_code: Option<ExitCode>,
    /// The input; only its digest is known.
    #[prost(message, optional, tag = "4")]
    pub input: Option<MaybePruned>,
    /// The [`Output`]; absent if the guest committed to nothing.
    #[prost(message, optional, tag = "5")]
    pub output: Option<MaybePruned>,
}

/// A state of memory.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SystemState {
    /// Always 0 in RISC Zero 3.0.
    #[prost(uint32, tag = "1")]
    pub pc: u32,
    /// Root of the memory.
    #[prost(message, optional, tag = "2")]
    pub merkle_root: Option<DigestMessage>,
}

/// What a guest commits to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Output {
    /// The journal: [`Bytes`].
    #[prost(message, optional, tag = "1")]
    pub journal: Option<MaybePruned>,
    /// What it assumed: [`Assumptions`].
    #[prost(message, optional, tag = "2")]
    pub assumptions: Option<MaybePruned>,
}

/// Bytes as a message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Bytes {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub value: Vec<u8>,
}

/// What a guest assumed, last one first.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Assumptions {
    /// Each an [`Assumption`].
    #[prost(message, repeated, tag = "1")]
    pub inner: Vec<MaybePruned>,
}

/// A claim that a guest assumes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Assumption {
    /// Digest of the claim.
    #[prost(message, optional, tag = "1")]
    pub claim: Option<DigestMessage>,
    /// The control root of its proof; zero for any.
    #[prost(message, optional, tag = "2")]
    pub control_root: Option<DigestMessage>,
}

/// A receipt without its journal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InnerReceipt {
    /// One of the kinds.
    #[prost(oneof = "InnerReceiptKind", tags = "1, 2, 3, 4")]
    pub kind: Option<InnerReceiptKind>,
}

/// The kinds of receipts.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum InnerReceiptKind {
    /// A proof per segment.
    #[prost(message, tag = "1")]
    Composite(CompositeReceipt),
    /// One proof.
    #[prost(message, tag = "2")]
    Succinct(SuccinctReceipt),
    /// No proof.
    #[prost(message, tag = "3")]
    Fake(ClaimOnly),
    /// One proof in another system.
    #[prost(message, tag = "4")]
    Groth16(Groth16Receipt),
}

/// A proof per segment, as far as the server looks at it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CompositeReceipt {
    /// The proofs.
    #[prost(message, repeated, tag = "1")]
    pub segments: Vec<SegmentReceipt>,
}

/// The proof of a segment, without the proof.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentReceipt {
    /// What it states.
    #[prost(message, optional, tag = "5")]
    pub claim: Option<ReceiptClaim>,
}

/// One proof for a whole session, without the proof.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SuccinctReceipt {
    /// Identifies the program of the last proof.
    #[prost(message, optional, tag = "3")]
    pub control_id: Option<DigestMessage>,
    /// What it states.
    #[prost(message, optional, tag = "4")]
    pub claim: Option<MaybePruned>,
    /// The way from the control id to the root.
    #[prost(message, optional, tag = "5")]
    pub control_inclusion_proof: Option<MerkleProof>,
    /// Name of the hash function.
    #[prost(string, tag = "6")]
    pub hashfn: String,
}

/// The way from a leaf to a root.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MerkleProof {
    /// Number of the leaf.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// The siblings, from the leaf up.
    #[prost(message, repeated, tag = "2")]
    pub digests: Vec<DigestMessage>,
}

/// A proof in another system, without the proof.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Groth16Receipt {
    /// What it states.
    #[prost(message, optional, tag = "3")]
    pub claim: Option<MaybePruned>,
}

/// A receipt without proof.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClaimOnly {
    /// What it states.
    #[prost(message, optional, tag = "1")]
    pub claim: Option<MaybePruned>,
}

/// A receipt, and what it took.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProveInfo {
    /// The receipt.
    #[prost(message, optional, tag = "1")]
    pub receipt: Option<Receipt>,
    /// Numbers of the execution.
    #[prost(message, optional, tag = "2")]
    pub stats: Option<SessionStats>,
    /// A receipt for the work, if it is counted.
    #[prost(message, optional, tag = "3")]
    pub work_receipt: Option<InnerReceipt>,
}

/// A receipt with its journal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Receipt {
    /// Version of the format: 1.
    #[prost(message, optional, tag = "1")]
    pub version: Option<CompatVersion>,
    /// The proof.
    #[prost(message, optional, tag = "2")]
    pub inner: Option<InnerReceipt>,
    /// The journal.
    #[prost(bytes = "vec", tag = "3")]
    pub journal: Vec<u8>,
    /// What is needed to verify it.
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<ReceiptMetadata>,
}

/// What is needed to verify a receipt.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReceiptMetadata {
    /// Digest of the verifier's parameters.
    #[prost(message, optional, tag = "1")]
    pub verifier_parameters: Option<DigestMessage>,
}

/// Numbers of an execution.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionStats {
    /// Segments.
    #[prost(uint64, tag = "1")]
    pub segments: u64,
    /// Cycles of all proofs.
    #[prost(uint64, tag = "2")]
    pub total_cycles: u64,
    /// Cycles of instructions.
    #[prost(uint64, tag = "3")]
    pub user_cycles: u64,
    /// Cycles of paging.
    #[prost(uint64, tag = "4")]
    pub paging_cycles: u64,
    /// Cycles that proofs leave unused.
    #[prost(uint64, tag = "5")]
    pub reserved_cycles: u64,
}

/// A claim, and the work for its proof.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkClaim {
    /// The [`ReceiptClaim`].
    #[prost(message, optional, tag = "1")]
    pub claim: Option<MaybePruned>,
    /// The [`Work`].
    #[prost(message, optional, tag = "2")]
    pub work: Option<MaybePruned>,
}

/// Work in a job.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Work {
    /// First nonce, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub nonce_min: Vec<u8>,
    /// Nonce after the last one.
    #[prost(bytes = "vec", tag = "2")]
    pub nonce_max: Vec<u8>,
    /// Cycles.
    #[prost(uint64, tag = "3")]
    pub value: u64,
}
