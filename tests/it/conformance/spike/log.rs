//! Parses Spike's commit log, which has a line per step.

use std::fs::File;
use std::io::{BufRead, BufReader};

/// What a step of the guest did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    pub pc: u32,
    pub insn: u32,
    /// The register written, never x0, and its value.
    pub rd: Option<(u8, u32)>,
    /// The address of an access.
    pub address: Option<u32>,
    /// What was stored there.
    pub stored: Option<u32>,
}

/// Returns the steps in user mode, without the shim's.
pub fn commits(log: File) -> impl Iterator<Item = Commit> {
    let mut reader = BufReader::with_capacity(1 << 16, log);
    let mut line = String::new();
    std::iter::from_fn(move || {
        loop {
            line.clear();
            // An incomplete last line counts as the end of the log.
            if reader.read_line(&mut line).ok()? == 0 || !line.ends_with('\n') {
                return None;
            }
            if let Some(commit) = parse(&line) {
                return Some(commit);
            }
        }
    })
}

/// Parses `core   0: 0 0x00010000 (0x00c52683) x13 0x00000007 mem 0x0004000c`; the number after the colon is the
/// privilege.
fn parse(line: &str) -> Option<Commit> {
    let rest = line.strip_prefix("core   0: 0 ")?;
    let mut words = rest.split_ascii_whitespace();
    let pc = hex(words.next()?)?;
    let insn = hex(words.next()?.trim_matches(['(', ')']))?;
    let mut commit = Commit { pc, insn, rd: None, address: None, stored: None };
    while let Some(word) = words.next() {
        match word.strip_prefix('x') {
            Some(number) => commit.rd = Some((number.parse().ok()?, hex(words.next()?)?)),
            None if word == "mem" => {
                commit.address = Some(hex(words.next()?)?);
                commit.stored = words.next().and_then(hex);
            }
            None => return None,
        }
    }
    Some(commit)
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[test]
fn lines_are_read() {
    let commit = parse("core   0: 0 0x00010000 (0x00c52683) x13 0x00000007 mem 0x0004000c\n");
    let (rd, address) = (Some((13, 7)), Some(0x4_000c));
    assert_eq!(commit, Some(Commit { pc: 0x1_0000, insn: 0x00c5_2683, rd, address, stored: None }));
    let commit = parse("core   0: 0 0x00010004 (0x00a10023) mem 0xeffffff0 0x2a\n");
    let (address, stored) = (Some(0xefff_fff0), Some(0x2a));
    assert_eq!(commit, Some(Commit { pc: 0x1_0004, insn: 0x00a1_0023, rd: None, address, stored }));
    assert_eq!(parse("core   0: 3 0xf1000000 (0x00002117) x2  0xf1002000\n"), None);
}
