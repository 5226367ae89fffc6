//! Tests source lines from debug information: they match the compiler's own listing, and damaged files lead to a
//! missing line at worst. `tests/debug/build.sh` builds the programs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::guest;
use crate::common::rng::Rng;
use serde_json::{Value, json};
use tachy::program::{Frame, SourceLine, source_frames, source_line};
use tachy::risc0::{Binary, KERNEL_ELF};

/// Returns the program with this DWARF version. 64 stands for version 5 with 64-bit offsets.
fn debug_elf(version: u32) -> PathBuf {
    PathBuf::from(crate::common::ROOT).join(format!("tests/debug/trap-dwarf{version}.elf"))
}

/// Runs `tachy` and returns its exit code, standard output and standard error.
fn tachy(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tachy"))
        .args(args)
        .current_dir(crate::common::ROOT)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lines_are_the_listings() {
    // Taken from `objdump --dwarf=decodedline`: of several rows for an address, the last one counts.
    let listing = [
        (0x1_0000, 8),
        (0x1_000c, 8),
        (0x1_0010, 9),
        (0x1_0014, 5),
        (0x1_0018, 10),
        (0x1_0020, 13),
        (0x1_0030, 14),
        (0x1_0044, 12),
        (0x1_004c, 16),
        (0x1_0054, 17),
        (0x1_005c, 18),
    ];
    for version in [2, 3, 4, 5, 64] {
        let elf = fs::read(debug_elf(version)).unwrap();
        for (address, line) in listing {
            let expected = SourceLine { file: "source/trap.c".to_owned(), line };
            assert_eq!(source_line(&elf, address), Some(expected), "DWARF {version}, {address:#x}");
        }
        for address in [0, 0xfffc, 0x1_0060, u32::MAX] {
            assert_eq!(source_line(&elf, address), None, "DWARF {version}, {address:#x}");
        }
    }
    // Without debug information there are no lines.
    assert_eq!(source_line(&fs::read(guest("fib")).unwrap(), 0x1_0000), None);
    assert_eq!(source_line(b"", 0x1_0000), None);
}

#[test]
fn a_trap_is_told_with_its_line() {
    for version in [2, 3, 4, 5, 64] {
        let elf = debug_elf(version).display().to_string();
        let (code, _, stderr) = tachy(&["run", &elf]);
        assert_eq!(code, Some(73), "{stderr}");
        let inlined = "inlined: look (source/trap.c:5), in descend (source/trap.c:10)";
        let expected = format!("\n  in descend+0x14 (source/trap.c:5); {inlined}; at `lw a4,64(zero)`");
        assert!(stderr.contains(&expected), "{stderr}");
        let (_, stdout, _) = tachy(&["run", "--json", &elf]);
        let facts: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(facts["error"]["symbol"], json!("descend+0x14"));
        assert_eq!(facts["error"]["source"], json!("source/trap.c:5"));
        let frame =
            |function: &str, line: u32| json!({"function": function, "source": format!("source/trap.c:{line}")});
        assert_eq!(facts["error"]["frames"], json!([frame("look", 5), frame("descend", 10)]));
    }
    // The documentation shows this output.
    let path = "tests/debug/trap-dwarf5.elf";
    let page = fs::read_to_string(PathBuf::from(crate::common::ROOT).join("docs/command-line.md")).unwrap();
    // The command to paste names the program as it was called.
    let told = tachy(&["run", path]).2.replace(env!("CARGO_BIN_EXE_tachy"), "tachy");
    let shown = format!("$ tachy run {path}\n{told}```");
    assert!(page.contains(&shown), "docs/command-line.md does not show\n{shown}");
    let limit = tachy(&["run", "--limit-steps", "0", &guest("fib").display().to_string()]).2;
    assert!(limit.ends_with("\n  in _start\n"), "{limit}");
}

#[test]
fn a_program_binary_has_the_lines_of_its_elf() {
    // On r0vm it has no stack, and its first store traps.
    let user_elf = fs::read(debug_elf(5)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trap.bin");
    fs::write(&path, Binary { user_elf: &user_elf, kernel_elf: KERNEL_ELF }.encode()).unwrap();
    let (code, _, stderr) = tachy(&["run", &path.display().to_string()]);
    assert_eq!(code, Some(73), "{stderr}");
    assert!(stderr.contains("\n  in _start+0x4 (source/trap.c:16); "), "{stderr}");
}

/// Returns the offset of the unit in `.debug_line`: the place where a version that the compiler did not write leaves no
/// line.
fn line_table(elf: &[u8], version: u8) -> usize {
    let is_version = |at: &usize| elf[at + 1..at + 4] == [0, 0, 0] && elf[at + 4..at + 6] == [version, 0];
    let counts = |at: &usize| {
        let mut changed = elf.to_vec();
        changed[at + 4] = 99;
        source_line(&changed, 0x1_0014).is_none()
    };
    (0..elf.len() - 6).filter(is_version).find(counts).expect("it has a line table")
}

#[test]
fn damaged_debug_information_is_no_line_and_no_panic() {
    for version in [4, 5u8] {
        let elf = fs::read(debug_elf(version.into())).unwrap();
        let table = line_table(&elf, version);
        let end = table + 4 + elf[table] as usize;
        let lines = |changed: &[u8]| [0x1_0014, 0x1_005c, 0].map(|address| source_line(changed, address));
        let mut differences = 0;
        // Sets every byte of the table to edge values, and random bytes anywhere to random ones.
        for at in table..end {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = elf.clone();
                changed[at] = value;
                differences += usize::from(lines(&changed) != lines(&elf));
            }
        }
        assert!(differences > 50, "{differences}: the table was not found");
        for seed in 0..3000 {
            let mut rng = Rng::new(seed);
            let mut changed = elf.clone();
            for _ in 0..1 + rng.below(8) {
                let at = rng.below(changed.len() as u64) as usize;
                changed[at] = rng.bits() as u8;
            }
            changed.truncate(elf.len() - (rng.below(4) / 3 * rng.below(elf.len() as u64)) as usize);
            lines(&changed);
        }
    }
}

/// Builds an ELF with only these sections, and `empty` empty sections before them.
fn sections(sections: &[(&str, Vec<u8>)], empty: usize) -> Vec<u8> {
    const HEADER_BYTES: usize = 52 + 32;
    let word = |value: usize| (value as u32).to_le_bytes();
    let entry = |name: usize, kind: usize, offset: usize, bytes: usize| {
        [name, kind, 0, 0, offset, bytes, 0, 0, 1, 0].map(word).concat()
    };
    let (mut body, mut names) = (0x0010_0073u32.to_le_bytes().to_vec(), vec![0]);
    let mut headers = vec![0; 40];
    (0..empty).for_each(|_| headers.extend(entry(0, 1, 0, 0)));
    let mut add = |name: &str, kind: usize, bytes: Option<&[u8]>| {
        let at = names.len();
        names.extend(name.bytes().chain([0]));
        let bytes = bytes.map_or_else(|| names.clone(), <[u8]>::to_vec);
        headers.extend(entry(at, kind, HEADER_BYTES + body.len(), bytes.len()));
        body.extend(bytes);
    };
    sections.iter().for_each(|(name, bytes)| add(name, 1, Some(bytes)));
    add(".shstrtab", 3, None);
    let count = headers.len() / 40;
    let half = |value: usize| (value as u16).to_le_bytes();
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([half(2), half(243)].concat());
    elf.extend([1, 0x1_0000, 52, HEADER_BYTES + body.len(), 0].map(word).concat());
    elf.extend([52, 32, 1, 40, count, count - 1].map(half).concat());
    elf.extend([1, HEADER_BYTES, 0x1_0000, 0x1_0000, 4, 4, 5, 1].map(word).concat());
    [elf, body, headers].concat()
}

/// Builds a line program of version 5 for the code at 0x10000, with this table of files.
fn unit(files: &[u8]) -> Vec<u8> {
    let header = [&[1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0x0b, 0], files].concat();
    let mut unit = [5, 0, 4, 0].to_vec();
    unit.extend((header.len() as u32).to_le_bytes());
    unit.extend(header);
    // Sets the address, adds a row, advances by 4 KiB, ends.
    unit.extend([0, 5, 2, 0, 0, 1, 0, 1, 2, 0x80, 0x20, 0, 1, 1]);
    [&(unit.len() as u32).to_le_bytes()[..], &unit].concat()
}

/// Files that need the most work for each of their bytes cost no more time or memory than others.
#[test]
fn line_tables_that_cost_more_than_their_size() {
    // A name in `.debug_str`.
    let named = unit(&[1, 1, 0x0e, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    let name = |bytes: &[u8]| (".debug_str", bytes.to_vec());
    let good = sections(&[(".debug_line", named.clone()), name(b"hello.rs\0")], 0);
    assert_eq!(source_line(&good, 0x1_0000), Some(SourceLine { file: "hello.rs".to_owned(), line: 1 }));
    // Many units with a name that does not exist or does not end, and many sections to search for it.
    let many = (".debug_line", named.repeat(40_000));
    assert_eq!(source_line(&sections(std::slice::from_ref(&many), 60_000), 0x1_0000), None);
    let endless = sections(&[many, name(&[b'x'; 4 << 20])], 0);
    let found = source_line(&endless, 0x1_0000).expect("a name without an end is cut");
    assert_eq!((found.file.len(), found.line), (1024, 1));
    assert_eq!(source_line(&endless, 0x9_0000), None);
    // Decoding would need a hundred bytes for each byte of file. The same holds in 64-bit DWARF, and if files are
    // defined within the program. The units after it are still found.
    let fat = unit(&[&[1, 1, 0x0b, 0x80, 0x80, 0x80, 0x02][..], &vec![0; 4 << 20]].concat());
    let mut defines = named.clone();
    let end = defines.len() - 3;
    defines.splice(end..end, [0, 5, 3, b'f', 0, 0, 0, 0]);
    let bytes = defines.len() as u32 - 4;
    defines[..4].copy_from_slice(&bytes.to_le_bytes());
    for before in [fat.clone(), defines] {
        let elf = sections(&[(".debug_line", [before, named.clone()].concat()), name(b"next\0")], 0);
        assert_eq!(source_line(&elf, 0x1_0000).map(|line| line.file), Some("next".to_owned()));
    }
    // A unit in 64-bit DWARF.
    let short = unit(&[&[1, 1, 0x0e, 2][..], &[0; 16]].concat());
    let header_bytes = u64::from(short[8]);
    let length = short.len() as u64 - 4 + 4;
    let long =
        [&[0xff; 4][..], &length.to_le_bytes(), &short[4..8], &header_bytes.to_le_bytes(), &short[12..]].concat();
    // Its string offsets take 8 bytes. A second unit claims 2^63 bytes of header.
    let elf = sections(&[(".debug_line", long.clone()), name(b"long\0")], 0);
    assert_eq!(source_line(&elf, 0x1_0000).map(|line| line.file), Some("long".to_owned()));
    let mut endless = long.clone();
    endless[16..24].copy_from_slice(&(1u64 << 63).to_le_bytes());
    let elf = sections(&[(".debug_line", [endless, long].concat()), name(b"next\0")], 0);
    assert_eq!(source_line(&elf, 0x1_0000).map(|line| line.file), Some("next".to_owned()));
}

/// Builds a table of abbreviations: tag, whether there are children, names and forms of attributes.
fn abbreviations(table: &[(u8, bool, &[u8])]) -> Vec<u8> {
    let entry = |(code, (tag, children, attributes)): (u8, &(u8, bool, &[u8]))| {
        [&[code, *tag, u8::from(*children)], *attributes, &[0, 0]].concat()
    };
    [(1..).zip(table).map(entry).collect::<Vec<_>>().concat(), vec![0]].concat()
}

/// Entries that are nested, refer to themselves, or read the same data repeatedly finish soon. At worst the frames are
/// missing and only the line is left.
#[test]
fn entries_that_cost_more_than_their_size() {
    const LOCATION: [u8; 4] = [0x11, 0x01, 0x12, 0x06];
    let many = [0x3f, 0x19].repeat(60_000);
    let table = abbreviations(&[
        (0x11, true, &[0x10, 0x17]),                            // 1: a unit and its lines
        (0x2e, true, &[&LOCATION[..], &[0x03, 0x08]].concat()), // 2: a function with its name
        (0x1d, true, &[&LOCATION[..], &[0x31, 0x13]].concat()), // 3: an inlined one, described elsewhere
        (0x1d, false, &[0x55, 0x17]),                           // 4: an inlined one with a list of ranges
        (0x1d, false, &many),                                   // 5: one with many attributes that take no bytes
        (0x2e, false, &[0x03, 0x08]),                           // 6: the description of one
    ]);
    let location = [&0x1_0000u32.to_le_bytes()[..], &0x1000u32.to_le_bytes()].concat();
    let function = [&[2][..], &location, b"outer\0"].concat();
    let inlined = |origin: usize| [&[3][..], &location, &(origin as u32).to_le_bytes()].concat();
    let info = |entries: &[u8]| {
        let unit = [&[4, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..], entries].concat();
        [&(unit.len() as u32).to_le_bytes()[..], &unit].concat()
    };
    let lines = unit(&[1, 1, 0x08, 2, b'f', 0, b'f', 0]);
    let frames = |entries: &[u8], ranges: Vec<u8>| {
        let parts = [
            (".debug_line", lines.clone()),
            (".debug_abbrev", table.clone()),
            (".debug_info", info(entries)),
            (".debug_ranges", ranges),
        ];
        source_frames(&sections(&parts, 0), 0x1_0000).expect("there is a line at least")
    };
    let names = |frames: &[Frame]| frames.iter().map(|frame| frame.function.clone()).collect::<Vec<_>>();
    let (outer, inner) = (Some("outer".to_owned()), Some("inner".to_owned()));

    // The header and the unit's own entry take 16 bytes; the description comes first.
    let start = [b"\x06inner\0", &function[..]].concat();
    assert_eq!(
        names(&frames(&[&start[..], &inlined(16), &[0, 0, 0]].concat(), vec![])),
        [inner.clone(), outer.clone()]
    );
    // Frames nested 200,000 deep.
    let deep = frames(&[start.clone(), inlined(16).repeat(200_000)].concat(), vec![]);
    assert_eq!(deep.len(), 256);
    assert_eq!((names(&deep[..1]), names(&deep[255..])), (vec![inner], vec![outer.clone()]));
    // Frames described by themselves, or by nothing.
    let at = 16 + start.len();
    for origin in [at, 1, 1 << 30] {
        assert_eq!(names(&frames(&[start.clone(), inlined(origin)].concat(), vec![])), [None, outer.clone()]);
    }
    // Each of 100,000 entries refers to the same list of 100,000 ranges.
    let elsewhere = [1u32, 2].map(u32::to_le_bytes).concat().repeat(100_000);
    let lists = [start.clone(), [4, 0, 0, 0, 0].repeat(100_000)].concat();
    assert_eq!(names(&frames(&lists, elsewhere)), [None]);
    // Each of a million entries has 60,000 attributes.
    assert_eq!(names(&frames(&[start, vec![5; 1_000_000]].concat(), vec![])), [None]);
}
