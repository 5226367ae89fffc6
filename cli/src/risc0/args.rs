//! The options that machine `r0vm` has and others have not. It must not open anything.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use tachy::MachineKind;
use tachy::risc0::host::Assumption;
use tachy::risc0::{Digest, ParseDigestError};

use super::seed::Seed;
use crate::failure::Failure;
use crate::repeat::option;
use crate::values::{Target, number, target};

/// Options that only machine `r0vm` has.
#[derive(Args, Default)]
#[command(next_help_heading = "Options of machine r0vm")]
pub(crate) struct R0vmArgs {
    /// Set a variable of the guest's environment, which is empty otherwise; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) env: Vec<(String, String)>,

    /// Let the guest read FILE from descriptor N (its standard input is --input), our standard input if it is -; may be
    /// given more than once
    #[arg(long, value_name = "N=FILE", value_parser = descriptor)]
    pub(crate) read_fd: Vec<(u32, PathBuf)>,

    /// Write what the guest writes to descriptor N to FILE, 1 and 2 included, or to where its standard output goes (-); 3
    /// is the journal, which has its own option
    #[arg(long, value_name = "N=FILE", value_parser = target_descriptor)]
    pub(crate) write_fd: Vec<(u32, PathBuf)>,

    /// Let the guest take a claim for granted that has this digest: 64 hexadecimal digits, and those of the control
    /// root that its receipt is verified under, if it has one; may be given more than once
    #[arg(long, value_name = "CLAIM[:ROOT]", value_parser = assumption)]
    pub(super) assumption: Vec<Assumption>,

    /// The digest that the guest finds as its input, 64 hexadecimal digits; zero otherwise
    #[arg(long, value_name = "DIGEST")]
    pub(super) input_digest: Option<Digest>,

    /// Let the guest's random bytes follow from this seed, 64 hexadecimal digits
    ///
    /// Otherwise run and trace draw a seed from the system; --stats and --json show it, and with it a run repeats exactly.
    /// Whoever knows the seed knows the bytes. diff and bench use zeros.
    #[arg(long, value_name = "HEX")]
    pub(super) random_seed: Option<Seed>,

    /// Cut the run into segments of at most 2^N cycles, 13 to 24 [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(13..=24))]
    pub(super) po2: Option<u32>,

    /// Stop when the guest has taken N user cycles
    #[arg(long, value_name = "N", value_parser = number)]
    pub(super) limit_cycles: Option<u64>,

    /// Write the journal to FILE, or to standard output (-), which sends the guest's output to standard error; it stays
    /// empty where the guest ends without committing to it
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Write segments to DIR as a prover reads them, named segment-00000000.bin and so on
    ///
    /// DIR holds the segments of one run: if there are some of an earlier run, or another run writes there, nothing is run.
    /// A run that ends early leaves the segments that were whole. Making them copies every page that a segment touches and
    /// hashes those it writes, on a second thread. It is little for a program that stays in a few pages; one that writes to
    /// 16 MiB all over took ten times as long.
    #[arg(long, value_name = "DIR")]
    pub(crate) segments: Option<PathBuf>,

    /// Only execute: hash no memory, make no segments
    ///
    /// So it is without --segments anyway; segments and cycles are counted all the same.
    #[arg(long, conflicts_with = "segments")]
    pub(super) execute_only: bool,
}

impl R0vmArgs {
    /// For measurements: no segments, and all else by default.
    pub(crate) fn execution() -> R0vmArgs {
        R0vmArgs { execute_only: true, ..R0vmArgs::default() }
    }

    /// On other machines these options mean nothing.
    pub(crate) fn check(&self, machine: MachineKind) -> Result<(), Failure> {
        let R0vmArgs { env, read_fd, write_fd, assumption, input_digest, random_seed, .. } = self;
        let R0vmArgs { po2, limit_cycles, journal, segments, execute_only, .. } = self;
        let given = [
            ("--env", !env.is_empty()),
            ("--read-fd", !read_fd.is_empty()),
            ("--write-fd", !write_fd.is_empty()),
            ("--assumption", !assumption.is_empty()),
            ("--input-digest", input_digest.is_some()),
            ("--random-seed", random_seed.is_some()),
            ("--po2", po2.is_some()),
            ("--limit-cycles", limit_cycles.is_some()),
            ("--journal", journal.is_some()),
            ("--segments", segments.is_some()),
            ("--execute-only", *execute_only),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) if machine != MachineKind::R0vm => Err(Failure::of_r0vm(option, machine)),
            _ => Ok(()),
        }
    }

    /// Whether a file is given for the guest to read at this descriptor.
    pub(crate) fn reads(&self, descriptor: u32) -> bool {
        self.read_fd.iter().any(|(given, _)| *given == descriptor)
    }

    /// Whether a file is given for what the guest writes to this descriptor.
    pub(super) fn writes(&self, descriptor: u32) -> bool {
        self.write_fd.iter().any(|(given, _)| *given == descriptor)
    }

    /// What is said twice counts once, and the guest would see only one of both.
    pub(crate) fn contradiction(&self, has_input: bool) -> Result<(), Failure> {
        let names = self.env.iter().map(|(name, _)| name);
        let input = has_input.then_some(STDIN_DESCRIPTOR);
        let read = input.into_iter().chain(self.read_fd.iter().map(|(descriptor, _)| *descriptor));
        let written = self.write_fd.iter().map(|(descriptor, _)| *descriptor);
        let twice = match (first_repeated(read), first_repeated(written), first_repeated(names)) {
            (Some(STDIN_DESCRIPTOR), _, _) if has_input => "--input and --read-fd 0".to_owned(),
            (Some(descriptor), _, _) => format!("--read-fd {descriptor}"),
            (_, Some(descriptor), _) => format!("--write-fd {descriptor}"),
            (_, _, Some(name)) => format!("--env {name}"),
            (None, None, None) => return Ok(()),
        };
        Err(Failure::usage(&format!("{twice} may be given once")))
    }

    /// The seed of the guest's random bytes, if one was given.
    pub(crate) fn random_seed(&self) -> Option<Seed> {
        self.random_seed
    }

    /// What decides what a run computes, but for the seed. What the guest writes goes nowhere.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        words.extend(self.env.iter().map(|(name, value)| option("--env", format!("{name}={value}"))));
        words.extend(self.read_fd.iter().map(|(descriptor, path)| {
            let mut value = OsString::from(format!("{descriptor}="));
            value.push(path);
            option("--read-fd", value)
        }));
        words.extend(
            self.write_fd.iter().map(|(descriptor, _)| option("--write-fd", format!("{descriptor}=/dev/null"))),
        );
        words.extend(self.assumption.iter().map(|Assumption { claim, control_root }| {
            let digests = [Some(*claim), *control_root].into_iter().flatten();
            let digests: Vec<String> = digests.map(|digest| Digest::from_bytes(digest).to_string()).collect();
            option("--assumption", digests.join(":"))
        }));
        let one = [
            ("--input-digest", self.input_digest.map(|digest| digest.to_string())),
            ("--po2", self.po2.map(|po2| po2.to_string())),
            ("--limit-cycles", self.limit_cycles.map(|cycles| cycles.to_string())),
        ];
        words.extend(one.into_iter().filter_map(|(name, value)| Some(option(name, value?))));
        words
    }

    /// Where the journal goes.
    pub(crate) fn journal(&self) -> Target<'_> {
        target(self.journal.as_deref())
    }
}

/// A variable with its value.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A descriptor with its file.
fn descriptor(text: &str) -> Result<(u32, PathBuf), String> {
    let expected = || "expected N=FILE, where N is a descriptor".to_owned();
    let (number_text, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or_else(expected)?;
    let number = number(number_text).ok().and_then(|number| u32::try_from(number).ok()).ok_or_else(expected)?;
    Ok((number, file.into()))
}

/// One that may be written to.
fn target_descriptor(text: &str) -> Result<(u32, PathBuf), String> {
    match descriptor(text)? {
        (JOURNAL_DESCRIPTOR, _) => Err("descriptor 3 is the journal; see --journal".to_owned()),
        other => Ok(other),
    }
}

/// The first value that comes a second time.
fn first_repeated<T: PartialEq>(values: impl Iterator<Item = T>) -> Option<T> {
    let values: Vec<T> = values.collect();
    let repeated = (1..values.len()).find(|&at| values.iter().take(at).any(|before| Some(before) == values.get(at)));
    values.into_iter().nth(repeated?)
}

/// Where guests read --input.
const STDIN_DESCRIPTOR: u32 = 0;
/// Where guests write their journal.
const JOURNAL_DESCRIPTOR: u32 = 3;

/// A claim's digest, and perhaps a control root.
fn assumption(text: &str) -> Result<Assumption, String> {
    let digest = |text: &str| text.parse().map(Digest::to_bytes).map_err(|error: ParseDigestError| error.to_string());
    let (claim, root) = text.split_once(':').map_or((text, None), |(claim, root)| (claim, Some(root)));
    Ok(Assumption { claim: digest(claim)?, control_root: root.map(digest).transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(variable("A=b"), pair("A", "b"));
        assert_eq!(variable("A="), pair("A", ""));
        assert_eq!(variable("A=b=c d"), pair("A", "b=c d"));
        for wrong in ["", "A", "=b"] {
            assert!(variable(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn descriptors_have_a_number_and_a_file() {
        assert_eq!(descriptor("4=a=b"), Ok((4, "a=b".into())));
        assert_eq!(target_descriptor("1=x"), Ok((1, "x".into())));
        for wrong in ["", "4", "4=", "=x", "x=y", "4294967296=x"] {
            assert!(descriptor(wrong).is_err(), "{wrong:?}");
        }
        assert!(target_descriptor("3=x").is_err());
    }

    #[test]
    fn assumptions_have_a_claim_and_perhaps_a_root() {
        let (claim, root) = ("01".repeat(32), "ab".repeat(32));
        let expected = |control_root| Assumption { claim: [1; 32], control_root };
        assert_eq!(assumption(&claim), Ok(expected(None)));
        assert_eq!(assumption(&format!("{claim}:{root}")), Ok(expected(Some([0xab; 32]))));
        for wrong in ["", "01", &format!("{claim}:"), &format!(":{root}"), &format!("{claim}:{root}:")] {
            assert!(assumption(wrong).is_err(), "{wrong:?}");
        }
    }
}
