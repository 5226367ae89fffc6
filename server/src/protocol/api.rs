//! Messages of the protocol's package `api`: requests of the host, callbacks of the server, and answers to both.

use super::base::{DigestMessage, ExitCode, SemanticVersion};

/// The host says its version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloRequest {
    /// The version of risc0-zkvm in the host.
    #[prost(message, optional, tag = "1")]
    pub version: Option<SemanticVersion>,
}

/// The server says its version, or why it does not serve the host.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloReply {
    /// One of the kinds.
    #[prost(oneof = "HelloKind", tags = "1, 2")]
    pub kind: Option<HelloKind>,
}

/// Answers to a [`HelloRequest`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum HelloKind {
    /// The server serves this host.
    #[prost(message, tag = "1")]
    Ok(HelloResult),
    /// It does not.
    #[prost(message, tag = "2")]
    Error(GenericError),
}

/// The version of the server.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloResult {
    /// The version of r0vm that the server stands in for.
    #[prost(message, optional, tag = "1")]
    pub version: Option<SemanticVersion>,
}

/// An error, as a text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GenericError {
    /// The text.
    #[prost(string, tag = "1")]
    pub reason: String,
}

/// What the host wants. Requests that the server only passes on are bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerRequest {
    /// One of the kinds.
    #[prost(oneof = "RequestKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12")]
    pub kind: Option<RequestKind>,
}

/// The requests of a host.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum RequestKind {
    /// Execute a program.
    #[prost(message, tag = "1")]
    Execute(ExecuteRequest),
    /// Execute and prove a program.
    #[prost(message, tag = "2")]
    Prove(ProveRequest),
    /// Prove a segment.
    #[prost(bytes, tag = "3")]
    ProveSegment(Vec<u8>),
    /// Turn a proof of a segment into a succinct one.
    #[prost(bytes, tag = "4")]
    Lift(Vec<u8>),
    /// Join two proofs.
    #[prost(bytes, tag = "5")]
    Join(Vec<u8>),
    /// Prove a proof with another hash.
    #[prost(bytes, tag = "6")]
    IdentityP254(Vec<u8>),
    /// Remove an assumption from a proof.
    #[prost(bytes, tag = "7")]
    Resolve(Vec<u8>),
    /// Compress a receipt.
    #[prost(bytes, tag = "8")]
    Compress(Vec<u8>),
    /// Verify a receipt.
    #[prost(bytes, tag = "9")]
    Verify(Vec<u8>),
    /// Prove Keccak permutations.
    #[prost(bytes, tag = "11")]
    ProveKeccak(Vec<u8>),
    /// Unite two proofs.
    #[prost(bytes, tag = "12")]
    Union(Vec<u8>),
}

/// Execute a program.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecuteRequest {
    /// The program and its environment.
    #[prost(message, optional, tag = "1")]
    pub env: Option<ExecutorEnv>,
    /// Where its segments go.
    #[prost(message, optional, tag = "2")]
    pub segments_out: Option<AssetRequest>,
}

/// Execute and prove a program.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProveRequest {
    /// The program and its environment.
    #[prost(message, optional, tag = "1")]
    pub env: Option<ExecutorEnv>,
    /// Options of the prover.
    #[prost(message, optional, tag = "2")]
    pub opts: Option<ProverOpts>,
    /// Where the receipt goes.
    #[prost(message, optional, tag = "3")]
    pub receipt_out: Option<AssetRequest>,
}

/// Options of a prover, as far as the server looks at them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProverOpts {
    /// Whether the receipt is to be a fake one.
    #[prost(bool, tag = "6")]
    pub is_dev_mode: bool,
}

/// A program and its environment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutorEnv {
    /// The program binary.
    #[prost(message, optional, tag = "1")]
    pub binary: Option<Asset>,
    /// Variables.
    #[prost(map = "string, string", tag = "2")]
    pub env_vars: std::collections::HashMap<String, String>,
    /// Names of the host's own system calls.
    #[prost(string, repeated, tag = "3")]
    pub slice_ios: Vec<String>,
    /// Descriptors that the guest may read.
    #[prost(uint32, repeated, tag = "4")]
    pub read_fds: Vec<u32>,
    /// Descriptors that the guest may write.
    #[prost(uint32, repeated, tag = "5")]
    pub write_fds: Vec<u32>,
    /// Base-2 logarithm of a segment's cycles; 20 if it is absent.
    #[prost(uint32, optional, tag = "6")]
    pub segment_limit_po2: Option<u32>,
    /// Maximum number of user cycles.
    #[prost(uint64, optional, tag = "7")]
    pub session_limit: Option<u64>,
    /// Arguments.
    #[prost(string, repeated, tag = "8")]
    pub args: Vec<String>,
    /// Present if the host wants trace events.
    #[prost(message, optional, tag = "9")]
    pub trace_events: Option<()>,
    /// File for a profile, or empty.
    #[prost(string, tag = "10")]
    pub pprof_out: String,
    /// What the guest may assume.
    #[prost(message, repeated, tag = "11")]
    pub assumptions: Vec<AssumptionReceipt>,
    /// Whether the host takes requests for Keccak proofs.
    #[prost(bool, tag = "13")]
    pub coprocessor: bool,
    /// Base-2 logarithm of the cycles of a Keccak proof.
    #[prost(uint32, optional, tag = "14")]
    pub keccak_max_po2: Option<u32>,
    /// Job and work log for the proof of verifiable work, 28 bytes, or empty.
    #[prost(bytes = "vec", tag = "15")]
    pub povw_job_id: Vec<u8>,
}

/// What a guest may assume.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AssumptionReceipt {
    /// One of the kinds.
    #[prost(oneof = "AssumptionKind", tags = "1, 2")]
    pub kind: Option<AssumptionKind>,
}

/// The kinds of assumptions.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum AssumptionKind {
    /// With a receipt: a [`core::InnerReceipt`](super::core::InnerReceipt).
    #[prost(message, tag = "1")]
    Proven(Asset),
    /// Without one: a [`core::Assumption`](super::core::Assumption).
    #[prost(message, tag = "2")]
    Unresolved(Asset),
}

/// Bytes, or where they are.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Asset {
    /// One of the kinds.
    #[prost(oneof = "AssetKind", tags = "1, 2, 3")]
    pub kind: Option<AssetKind>,
}

/// Where bytes are.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum AssetKind {
    /// Here.
    #[prost(bytes = "vec", tag = "1")]
    Inline(Vec<u8>),
    /// In a file.
    #[prost(string, tag = "2")]
    Path(String),
    /// In Redis.
    #[prost(string, tag = "3")]
    Redis(String),
}

/// Where bytes shall go.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AssetRequest {
    /// One of the kinds.
    #[prost(oneof = "AssetTarget", tags = "1, 2, 3")]
    pub kind: Option<AssetTarget>,
}

/// Where bytes shall go.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum AssetTarget {
    /// Into the message.
    #[prost(message, tag = "1")]
    Inline(()),
    /// Into a file in this folder.
    #[prost(string, tag = "2")]
    Path(String),
    /// Into Redis.
    #[prost(bytes = "vec", tag = "3")]
    Redis(Vec<u8>),
}

/// A message of the server while it serves a request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerReply {
    /// One of the kinds.
    #[prost(oneof = "ServerReplyKind", tags = "1, 2")]
    pub kind: Option<ServerReplyKind>,
}

/// Messages of the server.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ServerReplyKind {
    /// A callback, or the result.
    #[prost(message, tag = "1")]
    Ok(ClientCallback),
    /// Why there is no result.
    #[prost(message, tag = "2")]
    Error(GenericError),
}

/// What the server tells the host or asks of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientCallback {
    /// One of the kinds.
    #[prost(oneof = "CallbackKind", tags = "1, 2, 3, 4")]
    pub kind: Option<CallbackKind>,
}

/// Callbacks. The last two are results, which the host does not answer.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum CallbackKind {
    /// Answered by an [`OnIoReply`].
    #[prost(message, tag = "1")]
    Io(OnIoRequest),
    /// Answered by a [`GenericReply`].
    #[prost(message, tag = "2")]
    SegmentDone(OnSegmentDone),
    /// The result of an execution.
    #[prost(message, tag = "3")]
    SessionDone(OnSessionDone),
    /// The result of a proof.
    #[prost(message, tag = "4")]
    ProveDone(OnProveDone),
}

/// Input or output of the guest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnIoRequest {
    /// One of the kinds.
    #[prost(oneof = "IoKind", tags = "1, 2, 3, 4")]
    pub kind: Option<IoKind>,
}

/// The kinds of input and output.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum IoKind {
    /// A stream.
    #[prost(message, tag = "1")]
    Posix(PosixIo),
    /// A system call of the host's own.
    #[prost(message, tag = "2")]
    Slice(SliceIo),
    /// An event.
    #[prost(message, tag = "3")]
    Trace(TraceEvent),
    /// A request for a proof.
    #[prost(message, tag = "4")]
    Coprocessor(CoprocessorRequest),
}

/// The answer to an [`OnIoRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnIoReply {
    /// One of the kinds.
    #[prost(oneof = "IoReplyKind", tags = "1, 2")]
    pub kind: Option<IoReplyKind>,
}

/// Answers to input and output.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum IoReplyKind {
    /// Bytes for the guest.
    #[prost(bytes = "vec", tag = "1")]
    Ok(Vec<u8>),
    /// The host failed.
    #[prost(message, tag = "2")]
    Error(GenericError),
}

/// Input or output of a descriptor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PosixIo {
    /// The descriptor.
    #[prost(uint32, tag = "1")]
    pub fd: u32,
    /// What the guest does.
    #[prost(message, optional, tag = "2")]
    pub cmd: Option<PosixCmd>,
}

/// Reads or writes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PosixCmd {
    /// One of the kinds.
    #[prost(oneof = "PosixKind", tags = "1, 2")]
    pub kind: Option<PosixKind>,
}

/// Reads or writes.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum PosixKind {
    /// Maximum number of bytes to read.
    #[prost(uint32, tag = "1")]
    Read(u32),
    /// Bytes to write.
    #[prost(bytes = "vec", tag = "2")]
    Write(Vec<u8>),
}

/// A system call of the host's own.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SliceIo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Bytes from the guest.
    #[prost(bytes = "vec", tag = "2")]
    pub from_guest: Vec<u8>,
}

/// An event of the execution.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TraceEvent {
    /// One of the kinds.
    #[prost(oneof = "EventKind", tags = "1, 3, 4, 5")]
    pub kind: Option<EventKind>,
}

/// The kinds of events.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum EventKind {
    /// An instruction starts.
    #[prost(message, tag = "1")]
    InstructionStart(InstructionStart),
    /// A word is written.
    #[prost(message, tag = "3")]
    MemorySet(MemorySet),
    /// A page is brought in.
    #[prost(message, tag = "4")]
    PageIn(PageCycles),
    /// A page is written out.
    #[prost(message, tag = "5")]
    PageOut(PageCycles),
}

/// An instruction starts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InstructionStart {
    /// User cycles before it.
    #[prost(uint64, tag = "1")]
    pub cycle: u64,
    /// Its address.
    #[prost(uint32, tag = "2")]
    pub pc: u32,
    /// Its encoding.
    #[prost(uint32, tag = "3")]
    pub insn: u32,
}

/// A word is written.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MemorySet {
    /// Its address.
    #[prost(uint32, tag = "1")]
    pub addr: u32,
    /// Its bytes, most significant first.
    #[prost(bytes = "vec", tag = "3")]
    pub region: Vec<u8>,
}

/// Cycles of paging.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PageCycles {
    /// Their number.
    #[prost(uint64, tag = "1")]
    pub cycles: u64,
}

/// A request for a proof beside the execution.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CoprocessorRequest {
    /// One of the kinds.
    #[prost(oneof = "CoprocessorKind", tags = "2")]
    pub kind: Option<CoprocessorKind>,
}

/// The kinds of such proofs.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum CoprocessorKind {
    /// Keccak permutations.
    #[prost(message, tag = "2")]
    ProveKeccak(ProveKeccakRequest),
}

/// Keccak permutations to prove.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProveKeccakRequest {
    /// Digest of the claim.
    #[prost(message, optional, tag = "1")]
    pub claim_digest: Option<DigestMessage>,
    /// Base-2 logarithm of the proof's cycles.
    #[prost(uint32, tag = "2")]
    pub po2: u32,
    /// The control root of the proof.
    #[prost(message, optional, tag = "3")]
    pub control_root: Option<DigestMessage>,
    /// States before each permutation, 200 bytes each.
    #[prost(bytes = "vec", tag = "4")]
    pub input: Vec<u8>,
}

/// A segment is done.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnSegmentDone {
    /// The segment.
    #[prost(message, optional, tag = "1")]
    pub segment: Option<SegmentInfo>,
}

/// A segment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentInfo {
    /// Its number, from 0.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// Base-2 logarithm of its proof's cycles.
    #[prost(uint32, tag = "2")]
    pub po2: u32,
    /// Its user cycles.
    #[prost(uint32, tag = "3")]
    pub cycles: u32,
    /// The segment itself.
    #[prost(message, optional, tag = "4")]
    pub segment: Option<Asset>,
}

/// Success, or an error.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GenericReply {
    /// One of the kinds.
    #[prost(oneof = "GenericKind", tags = "1, 2")]
    pub kind: Option<GenericKind>,
}

/// Success, or an error.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum GenericKind {
    /// Success.
    #[prost(message, tag = "1")]
    Ok(()),
    /// An error.
    #[prost(message, tag = "2")]
    Error(GenericError),
}

/// The execution is done.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnSessionDone {
    /// Its result.
    #[prost(message, optional, tag = "1")]
    pub session: Option<SessionInfo>,
}

/// The result of an execution.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionInfo {
    /// Number of segments.
    #[prost(uint32, tag = "1")]
    pub segments: u32,
    /// The journal.
    #[prost(bytes = "vec", tag = "2")]
    pub journal: Vec<u8>,
    /// How the guest ended.
    #[prost(message, optional, tag = "3")]
    pub exit_code: Option<ExitCode>,
    /// What a proof would state: a [`core::ReceiptClaim`](super::core::ReceiptClaim).
    #[prost(message, optional, tag = "4")]
    pub receipt_claim: Option<Asset>,
}

/// The proof is done.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnProveDone {
    /// The proof: a [`core::ProveInfo`](super::core::ProveInfo).
    #[prost(message, optional, tag = "1")]
    pub prove_info: Option<Asset>,
}
