//! What the values of options mean: machines, targets, numbers. It must not know the options.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

/// Which machine a program is for.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Machine {
    /// What the program is made for: r0vm for a RISC Zero program binary (R0BF), bare for an ELF
    Auto,
    /// Any static program, with a handful of Linux system calls
    Bare,
    /// RISC Zero's machine, R0VM 3.0; a user program's ELF gets RISC Zero's kernel, an ELF that starts at 0xc0000000 or
    /// above is a kernel itself
    R0vm,
}

/// Where something of ours goes.
pub(crate) enum Target<'a> {
    Nowhere,
    Stdout,
    File(&'a Path),
}

/// The file, where `-` is standard output.
pub(crate) fn target(path: Option<&Path>) -> Target<'_> {
    match path {
        None => Target::Nowhere,
        Some(path) if path.as_os_str() == "-" => Target::Stdout,
        Some(path) => Target::File(path),
    }
}

/// Options whose value is joined to them by `=`, since they may go without.
const JOINED: [&str; 2] = ["--json", "--resume"];

/// Such an option followed by a word that may have been meant as its value.
pub(crate) fn detached(args: &[OsString]) -> Option<(&str, &OsStr)> {
    args.windows(2).find_map(|pair| match pair {
        [option, value] if !value.as_encoded_bytes().starts_with(b"-") => {
            JOINED.into_iter().find(|joined| option == joined).map(|joined| (joined, value.as_os_str()))
        }
        _ => None,
    })
}

/// How its value is given.
pub(crate) fn attach(option: &str, value: &OsStr) -> String {
    let value = value.display();
    format!("{option} takes a value only behind =: if {value} is meant for it, write {option}={value}")
}

/// A number: decimal or with 0x, and `_` wherever it helps to read.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let digits: String = digits.chars().filter(|&digit| digit != '_').collect();
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err("expected a number such as 1000, 1_000_000 or 0x10000".to_owned());
    }
    u64::from_str_radix(&digits, radix).map_err(|_| format!("too large: the most is {}", u64::MAX))
}

/// How often code runs before it is translated.
pub(crate) fn threshold(text: &str) -> Result<u16, String> {
    u16::try_from(number(text)?).ok().filter(|&times| times <= 1 << 15).ok_or("too large: the most is 32768".to_owned())
}

/// A number of bytes: a number, and perhaps K, M or G (1024 bytes and so on), also written KiB.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let plain = text.strip_suffix("iB").unwrap_or(text);
    let suffixes = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
    let scaled = suffixes.into_iter().find_map(|(suffix, scale)| Some((plain.strip_suffix(suffix)?, scale)));
    let (digits, scale) = scaled.unwrap_or((text, 1));
    let count = number(digits).map_err(|error| error.replace("0x10000", "64K"))?;
    count.checked_mul(scale).ok_or_else(|| format!("too large: the most is {}", u64::MAX))
}

/// Seconds, with fractions.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_were_not_joined_are_found() {
        let found = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            detached(&args).map(|(option, value)| format!("{option}={}", value.display()))
        };
        assert_eq!(found("tachy run --json out.json x.elf").as_deref(), Some("--json=out.json"));
        assert_eq!(found("tachy run --stats --resume 3 x.bin").as_deref(), Some("--resume=3"));
        for line in ["tachy run --json=out.json x.elf", "tachy run --json --stats x.elf", "tachy run x.elf --json"] {
            assert_eq!(found(line), None, "{line}");
        }
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
