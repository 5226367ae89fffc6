//! The options of machine `r0vm`. It must not open anything.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use tachy::MachineKind;
use tachy::risc0::host::Assumption;
use tachy::risc0::{Digest, ParseDigestError};

use super::seed::Seed;
use crate::failure::Failure;
use crate::repeat::option;
use crate::values::{InputPath, Target, number, target};

/// The options of machine `r0vm`.
#[derive(Args, Default)]
#[command(next_help_heading = "Options of machine r0vm")]
pub(crate) struct R0vmArgs {
    /// Set a variable in the guest's environment, which is empty by default; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) env: Vec<(String, String)>,

    /// Let the guest read FILE from descriptor N; - means the standard input of tachy; repeatable
    ///
    /// For the guest's standard input use --input.
    #[arg(long, value_name = "N=FILE", value_parser = descriptor)]
    pub(crate) read_fd: Vec<(u32, InputPath)>,

    /// Write the guest's output on descriptor N to FILE; - means where its standard output goes; repeatable
    ///
    /// N may be 1 or 2. Descriptor 3 is the journal; use --journal for it.
    #[arg(long, value_name = "N=FILE", value_parser = target_descriptor)]
    pub(crate) write_fd: Vec<(u32, PathBuf)>,

    /// Accept this claim when the guest verifies it: a digest of 64 hexadecimal digits; repeatable
    ///
    /// ROOT is the control root under which the receipt of the claim is verified, if it has one.
    #[arg(long, value_name = "CLAIM[:ROOT]", value_parser = assumption)]
    pub(super) assumption: Vec<Assumption>,

    /// Set the input digest that the guest sees: 64 hexadecimal digits; zero by default
    #[arg(long, value_name = "DIGEST")]
    pub(super) input_digest: Option<Digest>,

    /// Set the seed of the guest's random bytes: 64 hexadecimal digits
    ///
    /// By default run and trace draw a seed from the system, and diff and bench use zeros. --stats and --json show the
    /// seed, and a run with the same seed repeats exactly. Anyone who knows the seed can compute the bytes.
    #[arg(long, value_name = "HEX")]
    pub(super) random_seed: Option<Seed>,

    /// Split the run into segments of at most 2^N cycles, N from 13 to 24 [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(13..=24))]
    pub(super) po2: Option<u32>,

    /// Stop when the guest has used N user cycles
    #[arg(long, value_name = "N", value_parser = number)]
    pub(super) limit_cycles: Option<u64>,

    /// Write the journal to FILE; - means standard output
    ///
    /// With standard output, the guest's output goes to standard error. The journal stays empty if the guest ends without
    /// committing to it.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Write the segments for RISC Zero's prover to DIR, as segment-00000000.bin and so on
    ///
    /// DIR holds the segments of one run. The command fails if DIR has segments of an earlier run, or if another run writes
    /// there. A run that ends early leaves all complete segments. Every page that a segment touches is copied, and other
    /// threads hash the pages that it writes. This costs little for a program that uses few pages. A program that wrote to
    /// 16 MiB in random order took ten times as long with one of them.
    #[arg(long, value_name = "DIR")]
    pub(crate) segments: Option<PathBuf>,

    /// Let at most N threads hash the segments beside the run [default: one for each processor]
    ///
    /// With 0, the run hashes them itself. The segments are the same.
    #[arg(long, value_name = "N", requires = "segments")]
    pub(super) hashing_threads: Option<usize>,

    /// Only execute: do not hash memory and do not produce segments
    ///
    /// This is also the default without --segments. Segments and cycles are counted in any case.
    #[arg(long, conflicts_with = "segments")]
    pub(super) execute_only: bool,
}

impl R0vmArgs {
    /// The options for measurements: no segments, and the defaults otherwise.
    pub(crate) fn execution() -> R0vmArgs {
        R0vmArgs { execute_only: true, ..R0vmArgs::default() }
    }

    /// Fails if an option was given for another machine.
    pub(crate) fn check(&self, machine: MachineKind) -> Result<(), Failure> {
        let R0vmArgs { env, read_fd, write_fd, assumption, input_digest, random_seed, .. } = self;
        let R0vmArgs { po2, limit_cycles, journal, segments, hashing_threads, execute_only, .. } = self;
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
            ("--hashing-threads", hashing_threads.is_some()),
            ("--execute-only", *execute_only),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) if machine != MachineKind::R0vm => Err(Failure::of_r0vm(option, machine)),
            _ => Ok(()),
        }
    }

    /// Whether `--read-fd` sets this descriptor.
    pub(crate) fn reads(&self, descriptor: u32) -> bool {
        self.read_fd.iter().any(|(given, _)| *given == descriptor)
    }

    /// Whether `--write-fd` sets this descriptor.
    pub(super) fn writes(&self, descriptor: u32) -> bool {
        self.write_fd.iter().any(|(given, _)| *given == descriptor)
    }

    /// Fails if two options set the same descriptor or variable, since the guest would see only one of them.
    pub(crate) fn contradiction(&self, stdin: Option<&InputPath>) -> Result<(), Failure> {
        let names = self.env.iter().map(|(name, _)| name);
        let input = stdin.map(|_| STDIN_DESCRIPTOR);
        let read = input.into_iter().chain(self.read_fd.iter().map(|(descriptor, _)| *descriptor));
        let written = self.write_fd.iter().map(|(descriptor, _)| *descriptor);
        let twice = match (first_repeated(read), first_repeated(written), first_repeated(names)) {
            (Some(STDIN_DESCRIPTOR), _, _) if stdin.is_some() => "--input and --read-fd 0".to_owned(),
            (Some(descriptor), _, _) => format!("--read-fd {descriptor}"),
            (_, Some(descriptor), _) => format!("--write-fd {descriptor}"),
            (_, _, Some(name)) => format!("--env {name}"),
            (None, None, None) => return Ok(()),
        };
        Err(Failure::usage(&format!("{twice} can be set only once")))
    }

    /// The seed of the guest's random bytes, if the user set one.
    pub(crate) fn random_seed(&self) -> Option<Seed> {
        self.random_seed
    }

    /// The words that determine what a run computes, except for the seed. Outputs of the guest are dropped.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        words.extend(self.env.iter().map(|(name, value)| option("--env", format!("{name}={value}"))));
        words.extend(self.read_fd.iter().map(|(descriptor, path)| {
            let mut value = OsString::from(format!("{descriptor}="));
            value.push(path.as_path());
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

    /// Where to write the journal.
    pub(crate) fn journal(&self) -> Target<'_> {
        target(self.journal.as_deref())
    }
}

/// Reads NAME=VALUE.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Reads N=FILE for an input.
fn descriptor(text: &str) -> Result<(u32, InputPath), String> {
    numbered(text).map(|(number, file)| (number, OsString::from(file).into()))
}

/// Splits N=FILE.
fn numbered(text: &str) -> Result<(u32, &str), String> {
    let expected = || "expected N=FILE, where N is a descriptor".to_owned();
    let (number_text, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or_else(expected)?;
    let number = number(number_text).ok().and_then(|number| u32::try_from(number).ok()).ok_or_else(expected)?;
    Ok((number, file))
}

/// Reads N=FILE for an output.
fn target_descriptor(text: &str) -> Result<(u32, PathBuf), String> {
    match numbered(text)? {
        (JOURNAL_DESCRIPTOR, _) => Err("descriptor 3 is the journal; use --journal".to_owned()),
        (number, file) => Ok((number, file.into())),
    }
}

/// The first value that occurs a second time.
fn first_repeated<T: PartialEq>(values: impl Iterator<Item = T>) -> Option<T> {
    let values: Vec<T> = values.collect();
    let repeated = (1..values.len()).find(|&at| values.iter().take(at).any(|before| Some(before) == values.get(at)));
    values.into_iter().nth(repeated?)
}

/// The descriptor at which guests read `--input`.
const STDIN_DESCRIPTOR: u32 = 0;
/// The descriptor of the journal.
const JOURNAL_DESCRIPTOR: u32 = 3;

/// Reads the digest of a claim, with an optional control root.
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
        assert_eq!(descriptor("4=a=b"), Ok((4, InputPath::File("a=b".into()))));
        assert_eq!(target_descriptor("1=x"), Ok((1, "x".into())));
        assert_eq!(descriptor("0x10=-"), Ok((16, InputPath::Stdin)));
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
