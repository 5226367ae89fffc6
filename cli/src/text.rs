//! Formats numbers, addresses and commands for people.

use std::ffi::OsStr;
use std::fmt::Write as _;

use tachy::disasm::disassemble;
use tachy::isa::Variant;
use tachy::{Program, program::Segment};

/// A number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its unit, in the plural unless the number is 1.
pub(crate) fn count(number: u64, unit: &str) -> String {
    format!("{} {unit}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// An address as a demangled symbol and an offset, such as `main+0x24`; `None` without a symbol.
pub(crate) fn symbol(program: &Program, address: u32) -> Option<String> {
    let (symbol, offset) = program.symbol_at(address)?;
    let name = symbol.demangled();
    Some(if offset == 0 { name.into_owned() } else { format!("{name}+{offset:#x}") })
}

/// One line of code: address, instruction and symbol.
pub(crate) fn code_line(program: &Program, variant: Variant, pc: u32, word: u32) -> String {
    let location = symbol(program, pc).unwrap_or_default();
    format!("{pc:#010x}  {:<32} {location}", disassemble(word, pc, variant)).trim_end().to_owned()
}

/// The word at an address when the program starts.
pub(crate) fn initial_word(program: &Program, address: u32) -> Option<u32> {
    let segment: &Segment = program.segment_at(address).filter(|segment| segment.permissions.execute)?;
    let offset = (address - segment.address) as usize;
    let bytes = segment.data.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A word, quoted for a shell.
pub(crate) fn quoted(word: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./=:,@%+".contains(byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(|byte| plain(&byte)) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        // bash, ksh and zsh have a form for bytes that are not text.
        None => {
            let mut text = "$'".to_owned();
            for byte in word.as_encoded_bytes() {
                let _ = match plain(byte) {
                    true => write!(text, "{}", *byte as char),
                    false => write!(text, "\\x{byte:02x}"),
                };
            }
            text + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn numbers_are_grouped() {
        let pairs = [(0, "0"), (999, "999"), (1000, "1,000"), (8_412_345, "8,412,345"), (123_456, "123,456")];
        for (number, text) in pairs {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((count(1, "row"), count(2000, "row")), ("1 row".to_owned(), "2,000 rows".to_owned()));
    }

    #[test]
    fn a_shell_reads_what_was_quoted() {
        let words: [&[u8]; 7] =
            [b"plain-1.elf", b"", b"two words", b"it's", b"$HOME `x` \\ \"", b"a\nb", b"\xff'\xfe 0"];
        for word in words {
            let command = format!("printf %s {}", quoted(OsStr::from_bytes(word)));
            let output = std::process::Command::new("bash").args(["-c", &command]).output().unwrap();
            assert_eq!(output.stdout, word, "{command}");
        }
    }
}
