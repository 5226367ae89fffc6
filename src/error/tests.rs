//! Tests that every kind of error has a name, and every name a kind.

use super::*;
use crate::difference::{Difference, Output, Side};
use std::collections::BTreeSet;

const LOCATION: Location = Location { pc: 0, step: 0 };

fn difference() -> Difference {
    let output = Output { bytes: 0, digest: blake3::hash(b"") };
    let side = || Side {
        row: None,
        effects: Vec::new(),
        end: None,
        steps: 0,
        pc: 0,
        registers: [0; 32],
        stdout: output,
        stderr: output,
    };
    let (what, before, context) = (Vec::new(), [0; 32], Vec::new());
    Difference { location: LOCATION, what, before, context, word: None, jit: side(), interpreter: side() }
}

/// The kinds of the machines' own errors; the tests of the machines check them.
const MACHINE_KINDS: [&str; 4] = ["host", "bigint", "machine", "segment-too-small"];

/// Returns one error of every kind. The match fails to compile when a kind is added: then add it to the list too.
fn one_of_each() -> Vec<Error> {
    let limit = |limit| Error::Limit(LimitError { limit, location: LOCATION });
    let all = vec![
        Error::Program(ProgramError::Empty),
        Error::Trap(Trap { cause: Cause::Breakpoint, location: LOCATION, insn: 0, address: 0 }),
        limit(Limit::Steps(0)),
        limit(Limit::Memory(0)),
        limit(Limit::Output(0)),
        limit(Limit::Time(0)),
        limit(Limit::Cycles { used: 0, limit: 0 }),
        Error::Cancelled { location: LOCATION },
        Error::Sink { location: LOCATION, source: "full".into() },
        Error::Segment { index: 0, location: LOCATION, source: "full".into() },
        Error::Event { location: LOCATION, source: "full".into() },
        Error::Unfinished { location: LOCATION },
        Error::Forked { location: LOCATION },
        Error::Stream { stream: StreamName::Stdin, location: LOCATION, source: io::ErrorKind::Other.into() },
        Error::Arguments { bytes: 0, limit_bytes: 0 },
        Error::Boot { machine: MachineKind::Bare, reason: BootError::StartsTooLow { pc: 0, lowest: 0 } },
        Error::GuestPanic { message: String::new(), location: LOCATION },
        Error::Memory(MapError::allocation(0)),
        difference().into(),
        Error::Ended { location: LOCATION },
        Error::Broken { location: LOCATION },
        Error::Internal { what: String::new(), location: LOCATION },
        Error::Configuration { what: "", found: String::new(), expected: "" },
    ];
    for error in &all {
        match error {
            Error::Program(_) | Error::Trap(_) | Error::Memory(_) | Error::Ended { .. } | Error::Difference(_) => {}
            Error::Broken { .. } | Error::GuestPanic { .. } => {}
            Error::Segment { .. } | Error::Event { .. } | Error::Unfinished { .. } | Error::Forked { .. } => {}
            Error::Cancelled { .. } | Error::Sink { .. } | Error::Stream { .. } | Error::Arguments { .. } => {}
            Error::Boot { .. } | Error::Machine(_) | Error::Configuration { .. } | Error::Internal { .. } => {}
            Error::Limit(limit) => match limit.limit {
                Limit::Steps(_) | Limit::Memory(_) | Limit::Output(_) | Limit::Time(_) => {}
                Limit::Cycles { .. } => {}
            },
        }
    }
    all
}

#[test]
fn the_list_of_kinds_is_complete() {
    let mut kinds: BTreeSet<&str> = one_of_each().iter().map(Error::kind).collect();
    kinds.extend(MACHINE_KINDS);
    assert_eq!(kinds, Error::KINDS.iter().map(|(kind, _)| *kind).collect());
}
