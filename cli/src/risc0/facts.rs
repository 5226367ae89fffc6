//! The results of a session on machine `r0vm`, for JSON and for people. It must not know how the session ran.

use std::collections::BTreeMap;

use serde::Serialize;
use tachy::Program;
use tachy::risc0::host::{AssumptionUse, KeccakRequest};
use tachy::risc0::{Exit, Report};

use super::seed::Seed;
use crate::text::{count, grouped};

/// The part of the JSON object that only machine `r0vm` has. Cycles count ended segments, except for user cycles.
#[derive(Serialize, Default)]
pub(in super::super) struct R0vmFacts {
    /// None for a kernel without a user program.
    image_id: Option<String>,
    /// The seed of the guest's random bytes, even if it drew none.
    random_seed: String,
    /// The session, or its last part.
    #[serde(flatten)]
    part: PartFacts,
    /// The parts that ended with a pause, after which the session continued.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts_before: Vec<PausedFacts>,
}

#[derive(Serialize)]
struct PausedFacts {
    exit: Option<ExitFacts>,
    #[serde(flatten)]
    part: PartFacts,
}

/// The results of one part of a session.
#[derive(Serialize, Default)]
struct PartFacts {
    user_cycles: u64,
    paging_cycles: u64,
    reserved_cycles: u64,
    total_cycles: u64,
    segments: Vec<SegmentFacts>,
    /// Hexadecimal digits; none if the guest did not commit to its journal.
    journal: Option<String>,
    /// Steps of this part.
    part_steps: u64,
    /// The input digest.
    input: String,
    /// The digest of the claim that its segments prove; none without segments, or if the guest has not ended.
    claim: Option<String>,
    /// Assumptions that the guest used, the last one first.
    assumptions: Vec<AssumptionFacts>,
    /// Batches of Keccak permutations that must be proven.
    keccaks: Vec<KeccakFacts>,
}

#[derive(Serialize)]
struct AssumptionFacts {
    claim: String,
    control_root: String,
}

impl From<&AssumptionUse> for AssumptionFacts {
    fn from(used: &AssumptionUse) -> AssumptionFacts {
        AssumptionFacts { claim: hex(&used.claim), control_root: hex(&used.control_root) }
    }
}

#[derive(Serialize)]
struct KeccakFacts {
    claim: String,
    control_root: String,
    po2: u32,
    permutations: usize,
}

impl From<&KeccakRequest> for KeccakFacts {
    fn from(request: &KeccakRequest) -> KeccakFacts {
        let KeccakRequest { claim, control_root, po2, inputs } = request;
        KeccakFacts { claim: hex(claim), control_root: hex(control_root), po2: *po2, permutations: inputs.len() }
    }
}

#[derive(Serialize)]
struct SegmentFacts {
    index: usize,
    po2: u32,
    user_cycles: u32,
    paging_cycles: u32,
}

/// How a guest ended: its code, and on machine `r0vm` also whether it halted or paused.
#[derive(Serialize, Clone, Copy)]
#[serde(untagged)]
pub(in super::super) enum ExitFacts {
    Code(u32),
    Exit { kind: ExitKind, code: u16 },
}

/// Whether a guest halted or paused.
#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum ExitKind {
    Halted,
    Paused,
}

/// Calls by name, for JSON.
#[derive(Serialize)]
pub(in super::super) struct CallFacts {
    machine_ecalls: BTreeMap<&'static str, EcallFacts>,
    syscalls: BTreeMap<String, SyscallFacts>,
}

#[derive(Serialize)]
struct EcallFacts {
    calls: u64,
    cycles: u64,
}

#[derive(Serialize)]
struct SyscallFacts {
    calls: u64,
    bytes: u64,
}

impl R0vmFacts {
    /// The facts before the first step. Hashes the whole program.
    pub(in super::super) fn of(program: &Program, seed: Seed) -> R0vmFacts {
        let image_id = program.image_id().map(|id| id.to_string());
        R0vmFacts { image_id, random_seed: seed.to_string(), ..R0vmFacts::default() }
    }

    /// Records the state of a session.
    pub(in super::super) fn record(&mut self, report: &Report) {
        self.part = PartFacts::from(report);
    }

    /// Records a part after which the session continues.
    pub(in super::super) fn record_part(&mut self, report: &Report) {
        let exit = report.exit.and_then(ExitFacts::of);
        self.parts_before.push(PausedFacts { exit, part: PartFacts::from(report) });
    }
}

impl From<&Report> for PartFacts {
    fn from(report: &Report) -> PartFacts {
        let segments = report.each.iter().enumerate().map(|(index, segment)| SegmentFacts {
            index,
            po2: segment.po2,
            user_cycles: segment.user_cycles,
            paging_cycles: segment.paging_cycles,
        });
        PartFacts {
            user_cycles: report.user_cycles,
            paging_cycles: report.paging_cycles,
            reserved_cycles: report.reserved_cycles,
            total_cycles: report.total_cycles,
            segments: segments.collect(),
            journal: report.journal.as_ref().map(|journal| hex(&journal.bytes)),
            part_steps: report.steps,
            input: report.input.to_string(),
            claim: report.claim().map(|claim| claim.digest().to_string()),
            assumptions: report.assumptions.iter().map(AssumptionFacts::from).collect(),
            keccaks: report.keccaks.iter().map(KeccakFacts::from).collect(),
        }
    }
}

impl ExitFacts {
    /// None if the exit has no defined meaning.
    pub(in super::super) fn of(exit: Exit) -> Option<ExitFacts> {
        match exit {
            Exit::Halted(code) => Some(ExitFacts::Exit { kind: ExitKind::Halted, code }),
            Exit::Paused(code) => Some(ExitFacts::Exit { kind: ExitKind::Paused, code }),
            Exit::Unknown(_) => None,
        }
    }
}

impl From<&Report> for CallFacts {
    fn from(report: &Report) -> CallFacts {
        let ecalls = report.ecalls.iter().map(|(name, count)| {
            let facts = EcallFacts { calls: count.calls, cycles: count.cycles };
            (*name, facts)
        });
        let syscalls = report.syscalls.iter().map(|(name, calls, bytes)| {
            let facts = SyscallFacts { calls: *calls, bytes: *bytes };
            (name.clone(), facts)
        });
        CallFacts { machine_ecalls: ecalls.collect(), syscalls: syscalls.collect() }
    }
}

/// Whether the guest drew random bytes.
pub(in super::super) fn is_random(report: &Report) -> bool {
    report.syscalls.iter().any(|(name, calls, _)| name == "SYS_RANDOM" && *calls > 0)
}

/// Lines of statistics, each a name and a value.
pub(in super::super) fn stats(report: &Report, seed: Option<Seed>) -> Vec<(&'static str, String)> {
    let [total, user, paging, reserved] =
        [report.total_cycles, report.user_cycles, report.paging_cycles, report.reserved_cycles].map(grouped);
    let mut lines = vec![
        ("cycles", format!("{total}: {user} user, {paging} paging, {reserved} reserved")),
        ("segments", segments(report)),
    ];
    for (name, calls) in report.ecalls.iter().filter(|(_, count)| count.calls > 0) {
        let (number, cycles) = (grouped(calls.calls), count(calls.cycles, "cycle"));
        lines.push(("machine ecall", format!("{name}: {number} in {cycles}")));
    }
    for (name, calls, bytes) in &report.syscalls {
        lines.push(("system call", format!("{name}: {} with {}", grouped(*calls), count(*bytes, "byte"))));
    }
    lines.extend(seed.map(|seed| ("random seed", seed.to_string())));
    lines
}

/// The number of segments of each size.
fn segments(report: &Report) -> String {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for segment in &report.each {
        *sizes.entry(segment.po2).or_default() += 1;
    }
    let sizes: Vec<String> = sizes.iter().rev().map(|(po2, count)| format!("{} of 2^{po2}", grouped(*count))).collect();
    format!("{}: {}", grouped(report.segments), sizes.join(", ")).trim_end_matches(": ").to_owned()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hex(&[0, 9, 0x10, 0xaf, 0xff]), "000910afff");
        assert_eq!(hex(&[]), "");
    }
}
