//! What a run came to, as plain data, and how two outcomes differ. It must not know where either came from.

use std::collections::BTreeMap;
use std::fmt;

/// A run, from its start or from a pause, to its end, its next pause, or the error that stopped it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Why there is no exit; the rest is what had happened until then.
    pub failure: Option<Failure>,
    /// How the program ended.
    pub exit: Option<Exit>,
    /// What was written to descriptor 3, if the output digest is not zero.
    pub journal: Option<Vec<u8>>,
    /// The digest of the claim, from a session of risc0-zkvm alone.
    pub claim: Option<[u8; 32]>,
    /// What was written to the other descriptors that the environment names.
    pub outputs: BTreeMap<u32, Vec<u8>>,
    /// Segments in their order.
    pub segments: Vec<SegmentOutcome>,
    /// Sum of the segments' user cycles.
    pub user_cycles: u64,
    /// Sum of the segments' paging cycles.
    pub paging_cycles: u64,
    /// What of the total is neither.
    pub reserved_cycles: u64,
    /// Sum of the segments' lengths, each a power of two.
    pub total_cycles: u64,
    /// Merkle root of the image before the run.
    pub pre_state: [u8; 32],
    /// Merkle root of the image after the run, also when it halted.
    pub post_state: [u8; 32],
    /// The eight words that the program left as its output.
    pub output_digest: Option<[u8; 32]>,
    /// Machine ecalls and their cycles, by kind; kinds that did not occur are left out.
    pub ecalls: BTreeMap<String, Calls>,
    /// Host reads by the name of the system call; the second read that fetches results is under `""`.
    pub calls: BTreeMap<String, u64>,
    /// The first trace events, as many as were asked for.
    pub events: Vec<Event>,
    /// Pages of the final image by page number, if they were asked for; pages of zeros are left out.
    pub pages: BTreeMap<u32, Vec<u8>>,
}

/// A segment as it goes to a prover.
#[derive(Clone, PartialEq)]
pub struct SegmentOutcome {
    /// Number in its session, from 0.
    pub index: u64,
    /// Base-2 logarithm of its length in cycles.
    pub po2: u32,
    /// User cycles, at whose end it is suspended.
    pub user_cycles: u32,
    /// Paging cycles.
    pub paging_cycles: u32,
    /// The sum that one more instruction may not start above; 0 for the last one.
    pub threshold: u32,
    /// Merkle roots before and after.
    pub states: [[u8; 32]; 2],
    /// Bytes of each host read.
    pub reads: Vec<Vec<u8>>,
    /// Result of each host write.
    pub writes: Vec<u32>,
    /// a0 and a1 at the terminating ecall.
    pub terminate: Option<(u32, u32)>,
    /// The whole, in the reference's encoding (postcard).
    pub encoded: Vec<u8>,
}

/// How a program ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// For good, with a code.
    Halted(u32),
    /// To be resumed, with a code.
    Paused(u32),
}

/// An error, in the words of who reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What two machines can agree on.
    pub kind: FailureKind,
    /// What one of them says.
    pub text: String,
}

/// Errors by what caused them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The session limit.
    SessionLimit,
    /// A trap without a handler, by its cause (0 to 9).
    Trap(u32),
    /// A trap in machine mode whose dispatch word names a handler.
    MachineTrap,
    /// The reference panicked. Any error will do in its place.
    Panic,
    /// Anything else.
    Other,
}

/// Calls of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many.
    pub count: u64,
    /// User cycles that they took.
    pub cycles: u64,
}

/// A trace event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An instruction begins, at this user cycle of the session.
    Instruction { cycle: u64, pc: u32, insn: u32 },
    /// A word is written; the bytes are the reference's, most significant first.
    Memory { addr: u32, bytes: [u8; 4] },
    /// A page or a node above it is read for the first time in the segment.
    PageIn { cycles: u64 },
    /// A page or a node above it is written for the first time in the segment.
    PageOut { cycles: u64 },
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction { cycle, pc, insn } => write!(formatter, "cycle {cycle}: {pc:08x} {insn:08x}"),
            Self::Memory { addr, bytes } => write!(formatter, "{addr:08x} = {:08x}", u32::from_be_bytes(*bytes)),
            Self::PageIn { cycles } => write!(formatter, "in {cycles}"),
            Self::PageOut { cycles } => write!(formatter, "out {cycles}"),
        }
    }
}

impl fmt::Debug for SegmentOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, po2, user_cycles, paging_cycles, threshold, .. } = self;
        write!(
            formatter,
            "segment {index}: po2 {po2}, user {user_cycles}, paging {paging_cycles}, threshold {threshold}, \
             {} bytes",
            self.encoded.len()
        )
    }
}

/// In which respect two outcomes differ, the most telling first; none if they are the same. `left` is the reference.
///
/// Errors are compared by kind, not by text, and what the reference can only panic at, the other must refuse in some
/// way. Final pages and events are compared where both sides have them.
pub fn first_difference(left: &Outcome, right: &Outcome) -> Option<String> {
    both_observed(&left.events, &right.events, |left| left.is_empty())
        .then(|| events_difference(&left.events, &right.events))
        .flatten()
        .or_else(|| segments_difference(&left.segments, &right.segments))
        .or_else(|| failures_difference(left.failure.as_ref(), right.failure.as_ref()))
        .or_else(|| differ("exit", &left.exit, &right.exit))
        .or_else(|| texts_differ("journal", &left.journal, &right.journal))
        .or_else(|| differ("output digest", &left.output_digest, &right.output_digest))
        .or_else(|| maps_difference("descriptor", &left.outputs, &right.outputs))
        .or_else(|| {
            both_observed(&left.pages, &right.pages, |pages| pages.is_empty())
                .then(|| pages_difference(&left.pages, &right.pages))
                .flatten()
        })
        .or_else(|| differ("user cycles", &left.user_cycles, &right.user_cycles))
        .or_else(|| differ("paging cycles", &left.paging_cycles, &right.paging_cycles))
        .or_else(|| differ("reserved cycles", &left.reserved_cycles, &right.reserved_cycles))
        .or_else(|| differ("total cycles", &left.total_cycles, &right.total_cycles))
        .or_else(|| differ("pre state", &left.pre_state, &right.pre_state))
        .or_else(|| differ("post state", &left.post_state, &right.post_state))
        .or_else(|| maps_difference("ecall", &left.ecalls, &right.ecalls))
        .or_else(|| maps_difference("system call", &left.calls, &right.calls))
}

fn both_observed<T>(left: &T, right: &T, is_empty: impl Fn(&T) -> bool) -> bool {
    !is_empty(left) && !is_empty(right)
}

fn differ<T: PartialEq + fmt::Debug>(what: &str, left: &T, right: &T) -> Option<String> {
    (left != right).then(|| format!("{what}: {left:?} against {right:?}"))
}

fn texts_differ(what: &str, left: &Option<Vec<u8>>, right: &Option<Vec<u8>>) -> Option<String> {
    match (left, right) {
        (Some(left), Some(right)) => bytes_difference(what, left, right),
        _ => differ(&format!("{what} present"), &left.is_some(), &right.is_some()),
    }
}

/// The first byte that differs, with some around it.
fn bytes_difference(what: &str, left: &[u8], right: &[u8]) -> Option<String> {
    let common = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    if left.len() == right.len() && common == left.len() {
        return None;
    }
    let around = |bytes: &[u8]| {
        let shown = &bytes[common.min(bytes.len())..(common + 16).min(bytes.len())];
        shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (left_bytes, right_bytes) = (left.len(), right.len());
    let (left, right) = (around(left), around(right));
    Some(format!("{what}: from byte {common} on {left} of {left_bytes} against {right} of {right_bytes}"))
}

fn maps_difference<K, V>(what: &str, left: &BTreeMap<K, V>, right: &BTreeMap<K, V>) -> Option<String>
where
    K: Ord + fmt::Debug,
    V: PartialEq + fmt::Debug,
{
    let keys = left.keys().chain(right.keys());
    keys.into_iter().find_map(|key| differ(&format!("{what} {key:?}"), &left.get(key), &right.get(key)))
}

fn events_difference(left: &[Event], right: &[Event]) -> Option<String> {
    let at = left.iter().zip(right).position(|(left, right)| left != right);
    let at = at.or_else(|| (left.len() != right.len()).then(|| left.len().min(right.len())))?;
    let around = |events: &[Event]| events[at.saturating_sub(4)..events.len().min(at + 4)].to_vec();
    Some(format!("event {at}: {:#?} against {:#?}", around(left), around(right)))
}

fn segments_difference(left: &[SegmentOutcome], right: &[SegmentOutcome]) -> Option<String> {
    let pairs = left.iter().zip(right);
    let difference = pairs.into_iter().find_map(|(left, right)| {
        let what = |field: &str| format!("segment {}, {field}", left.index);
        differ(&what("index"), &left.index, &right.index)
            .or_else(|| differ(&what("user cycles"), &left.user_cycles, &right.user_cycles))
            .or_else(|| differ(&what("paging cycles"), &left.paging_cycles, &right.paging_cycles))
            .or_else(|| differ(&what("po2"), &left.po2, &right.po2))
            .or_else(|| differ(&what("threshold"), &left.threshold, &right.threshold))
            .or_else(|| differ(&what("count of reads"), &left.reads.len(), &right.reads.len()))
            .or_else(|| differ(&what("reads"), &left.reads, &right.reads))
            .or_else(|| differ(&what("writes"), &left.writes, &right.writes))
            .or_else(|| differ(&what("terminate state"), &left.terminate, &right.terminate))
            .or_else(|| differ(&what("states"), &left.states, &right.states))
            .or_else(|| bytes_difference(&what("encoding"), &left.encoded, &right.encoded))
    });
    difference.or_else(|| differ("count of segments", &left.len(), &right.len()))
}

fn failures_difference(left: Option<&Failure>, right: Option<&Failure>) -> Option<String> {
    match (left, right) {
        (Some(left), Some(_)) if left.kind == FailureKind::Panic => None,
        (Some(left), Some(right)) if left.kind == right.kind => None,
        (None, None) => None,
        _ => Some(format!("failure: {left:?} against {right:?}")),
    }
}

fn pages_difference(left: &BTreeMap<u32, Vec<u8>>, right: &BTreeMap<u32, Vec<u8>>) -> Option<String> {
    const ZEROS: &[u8] = &[0; 1024];
    let page = |pages: &BTreeMap<u32, Vec<u8>>, number| pages.get(&number).map_or(ZEROS.to_vec(), Clone::clone);
    let numbers = left.keys().chain(right.keys()).copied();
    numbers.into_iter().find_map(|number| {
        bytes_difference(&format!("page {:08x}", number << 10), &page(left, number), &page(right, number))
    })
}
