//! The values of options: machines, inputs, targets, numbers. It must not know the options.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Command, ValueEnum};

/// The name of standard input or standard output where a file is expected.
const STANDARD_STREAM: &str = "-";

/// The machine that runs a program.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Machine {
    /// Machine r0vm for a RISC Zero program binary (R0BF), machine bare for an ELF
    Auto,
    /// For static programs that use a few Linux system calls
    Bare,
    /// For guests of RISC Zero: R0VM 3.0. An ELF gets RISC Zero's kernel, unless it starts at 0xc0000000 or above, as a
    /// kernel does
    R0vm,
}

/// Where an input comes from: `-` means standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputPath {
    Stdin,
    File(PathBuf),
}

impl From<OsString> for InputPath {
    fn from(text: OsString) -> InputPath {
        if text == STANDARD_STREAM { InputPath::Stdin } else { InputPath::File(text.into()) }
    }
}

impl InputPath {
    /// The path as the user wrote it.
    pub(crate) fn as_path(&self) -> &Path {
        match self {
            InputPath::Stdin => Path::new(STANDARD_STREAM),
            InputPath::File(path) => path,
        }
    }
}

/// Where an output goes.
pub(crate) enum Target<'a> {
    Nowhere,
    Stdout,
    File(&'a Path),
}

/// The target of an output option; `-` means standard output.
pub(crate) fn target(path: Option<&Path>) -> Target<'_> {
    match path {
        None => Target::Nowhere,
        Some(path) if path.as_os_str() == STANDARD_STREAM => Target::Stdout,
        Some(path) => Target::File(path),
    }
}

/// The options of a command and its subcommands that take a value only after `=`.
fn joined_options(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter(|arg| arg.is_require_equals_set()).filter_map(|arg| arg.get_long());
    own.map(|name| format!("--{name}")).chain(command.get_subcommands().flat_map(joined_options)).collect()
}

/// The first such option with a word after it that the user may have meant as its value.
pub(crate) fn detached(command: &Command, args: &[OsString]) -> Option<(String, OsString)> {
    let joined = joined_options(command);
    args.windows(2).find_map(|pair| match pair {
        [option, value] if !value.as_encoded_bytes().starts_with(b"-") => {
            joined.iter().find(|joined| option == joined.as_str()).map(|joined| (joined.clone(), value.clone()))
        }
        _ => None,
    })
}

/// How to write the option with its value.
pub(crate) fn attach(option: &str, value: &OsStr) -> String {
    let value = value.display();
    format!("{option} takes a value only after =; if {value} is its value, write {option}={value}")
}

/// Why a number was refused.
enum NumberError {
    NotANumber,
    TooLarge,
}

/// Reads a number: decimal or hexadecimal with 0x, with `_` between digits as in Rust.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    digits(text).map_err(|error| error.text("a number such as 1000, 1_000_000 or 0x10000"))
}

impl NumberError {
    fn text(self, expected: &str) -> String {
        match self {
            NumberError::NotANumber => format!("expected {expected}"),
            NumberError::TooLarge => format!("too large: the maximum is {}", u64::MAX),
        }
    }
}

fn digits(text: &str) -> Result<u64, NumberError> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let digits: String = digits.chars().filter(|&digit| digit != '_').collect();
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NumberError::NotANumber);
    }
    u64::from_str_radix(&digits, radix).map_err(|_| NumberError::TooLarge)
}

/// Reads how often code runs before it is translated.
pub(crate) fn threshold(text: &str) -> Result<u16, String> {
    u16::try_from(number(text)?)
        .ok()
        .filter(|&times| times <= 1 << 15)
        .ok_or("too large: the maximum is 32768".to_owned())
}

/// Reads a number of bytes, with an optional suffix K, M or G (powers of 1024), also written KiB, MiB or GiB.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let plain = text.strip_suffix("iB").unwrap_or(text);
    let suffixes = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
    let scaled = suffixes.into_iter().find_map(|(suffix, scale)| Some((plain.strip_suffix(suffix)?, scale)));
    let (count, scale) = scaled.unwrap_or((text, 1));
    let bytes = digits(count).and_then(|count| count.checked_mul(scale).ok_or(NumberError::TooLarge));
    bytes.map_err(|error| error.text("a number such as 1000, 1_000_000 or 64K"))
}

/// Reads a number of seconds, with an optional fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_were_not_joined_are_found() {
        use clap::CommandFactory;
        let tachy = crate::Cli::command();
        assert_eq!(
            joined_options(&tachy).into_iter().collect::<std::collections::BTreeSet<_>>(),
            ["--json", "--resume"].map(str::to_owned).into()
        );
        let found = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            detached(&tachy, &args).map(|(option, value)| format!("{option}={}", value.display()))
        };
        assert_eq!(found("tachy run --json out.json x.elf").as_deref(), Some("--json=out.json"));
        assert_eq!(found("tachy run --stats --resume 3 x.bin").as_deref(), Some("--resume=3"));
        for line in ["tachy run --json=out.json x.elf", "tachy run --json --stats x.elf", "tachy run x.elf --json"] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn a_dash_is_standard_input() {
        assert_eq!(InputPath::from(OsString::from("-")), InputPath::Stdin);
        assert_eq!(InputPath::from(OsString::from("./-")), InputPath::File("./-".into()));
        assert_eq!(InputPath::Stdin.as_path(), Path::new("-"));
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("1_000_000"), Ok(1_000_000));
        assert_eq!(number("0xFFFF_ffff"), Ok(0xffff_ffff));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["", "_", "0x", "-1", "+1", "1e3", "abc", "18446744073709551616", "1 "] {
            assert!(number(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!((threshold("0x8000"), threshold("32_769").is_err()), (Ok(1 << 15), true));
        assert_eq!(bytes("64"), Ok(64));
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("0x10MiB"), Ok(16 << 20));
        assert_eq!(bytes("1_0G"), Ok(10 << 30));
        for wrong in ["K", "64k", "64KB", "64iB", "1T", "17179869184G"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!((threshold("0"), threshold("32_768")), (Ok(0), Ok(1 << 15)));
        assert!(threshold("32769").is_err() && threshold("18446744073709551615").is_err());
        for wrong in ["", "-1", "nan", "inf", "1e300", "1s"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
