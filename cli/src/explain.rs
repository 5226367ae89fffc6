//! Explains the library's errors in terms of the command line: what happened, why, and which option helps.
//!
//! It must not know what a run is doing.

use std::error::Error as _;
use std::io;

use tachy::risc0::MachineError;
use tachy::risc0::host::HostError;
use tachy::{Error, Limit};

/// The message of an error and of its sources, and what to do.
pub(crate) fn explained(error: &Error) -> String {
    let mut text = match error {
        Error::Sink { location, source } if source.is::<io::Error>() => {
            format!("cannot write the trace near {location}: {source}")
        }
        error => chain(error),
    };
    if let Some(hint) = hint(error) {
        text = format!("{text}; {hint}");
    }
    text
}

/// The messages of an error and its sources, each once.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut link = error.source();
    while let Some(source) = link {
        let said = source.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        link = source.source();
    }
    text
}

/// What to do about an error at the command line, if an option helps.
pub(crate) fn hint(error: &Error) -> Option<String> {
    match error.risc0() {
        Some(MachineError::Host(error)) => return of_host(error),
        Some(MachineError::SegmentTooSmall { .. }) => return Some("set a larger --po2".to_owned()),
        _ => {}
    }
    let hint = match error {
        Error::Limit(limit) => return Some(raise(limit.limit)),
        Error::Configuration { .. } => "see --region-instructions",
        Error::Memory(_) => "raise the memory limit (ulimit -v, or that of the container)",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The option that raises a limit.
pub(crate) fn raise(limit: Limit) -> String {
    let option = match limit {
        Limit::Steps(_) => "--limit-steps",
        Limit::Memory(_) => "--limit-memory",
        Limit::Output(_) => "--limit-output",
        Limit::Time(_) => "--limit-time",
        Limit::Cycles { .. } => "--limit-cycles",
    };
    format!("raise {option} to continue further")
}

fn of_host(error: &HostError) -> Option<String> {
    Some(match error {
        HostError::OutputLimit { .. } => "raise --limit-output to continue further".to_owned(),
        HostError::Descriptor { verb: "reads from", descriptor } => format!("open it with --read-fd {descriptor}=FILE"),
        HostError::Descriptor { descriptor, .. } => format!("open it with --write-fd {descriptor}=FILE"),
        HostError::UnknownSyscall { .. } => {
            "the command line supports RISC Zero's own system calls; a program that uses the library can add others"
                .to_owned()
        }
        HostError::NoAssumption { claim, control_root } => {
            let [claim, root] =
                [claim, control_root].map(|digest| tachy::risc0::Digest::from_bytes(*digest).to_string());
            match *control_root == [0; 32] {
                true => format!("accept it with --assumption {claim}"),
                false => format!("accept it with --assumption {claim}:{root}"),
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tachy::{Location, MachineFailure, MachineKind};

    const LOCATION: Location = Location { pc: 0x1_0000, step: 7 };

    #[test]
    fn each_error_is_printed_once_with_advice() {
        let machine = |error| -> Error {
            MachineFailure { machine: MachineKind::R0vm, location: LOCATION, error: Box::new(error) }.into()
        };
        let host = |error| machine(MachineError::Host(error));
        let at = "pc 0x00010000, step 7";
        let torn = || io::Error::other("torn");
        let errors = [
            (
                Error::Stream { stream: tachy::StreamName::Stdin, location: LOCATION, source: torn() },
                format!("the guest's stdin failed at {at}: torn"),
            ),
            (
                host(HostError::Stream { descriptor: 4, source: torn() }),
                format!("the host refused the guest's call at {at}: file descriptor 4 failed: torn"),
            ),
            (
                host(HostError::Descriptor { verb: "reads from", descriptor: 9 }),
                format!(
                    "the host refused the guest's call at {at}: the guest reads from file descriptor 9, which is not open for \
                     that; open it with --read-fd 9=FILE"
                ),
            ),
            (
                Error::Sink { location: LOCATION, source: Box::new(torn()) },
                format!("cannot write the trace near {at}: torn"),
            ),
            (
                Error::Segment {
                    index: 3,
                    location: LOCATION,
                    source: "cannot write s/segment-00000003.bin: torn".into(),
                },
                format!("segment 3 was refused while the run was at {at}: cannot write s/segment-00000003.bin: torn"),
            ),
            (
                machine(MachineError::SegmentTooSmall { po2: 13 }),
                format!(
                    "segments of 2^13 cycles are too small for the instruction that ends at {at}; set a larger --po2"
                ),
            ),
        ];
        for (error, expected) in errors {
            assert_eq!(explained(&error), expected);
        }

        // The option can be pasted.
        for (control_root, option) in [([0; 32], "01".repeat(32)), ([2; 32], "01".repeat(32) + ":" + &"02".repeat(32))]
        {
            let text = explained(&host(HostError::NoAssumption { claim: [1; 32], control_root }));
            assert!(text.ends_with(&format!("; accept it with --assumption {option}")), "{text}");
        }
    }
}
