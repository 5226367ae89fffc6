//! Tests programs from ELF files, good and hostile, through the public API alone.

use std::panic::catch_unwind;

use tachy::program::{Permissions, Program, ProgramError, Segment, Symbol, SymbolKind};

// Offsets in the ELF header.
const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_ENTRY: usize = 24;
const E_PHOFF: usize = 28;
const E_SHOFF: usize = 32;
const E_FLAGS: usize = 36;
const E_EHSIZE: usize = 40;
const E_PHENTSIZE: usize = 42;
const E_PHNUM: usize = 44;
const E_SHENTSIZE: usize = 46;
const E_SHNUM: usize = 48;

const HEADER_BYTES: usize = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
const SECTION_HEADER_BYTES: usize = 40;

// Offsets in a program header.
const P_TYPE: usize = 0;
const P_OFFSET: usize = 4;
const P_VADDR: usize = 8;
const P_FILESZ: usize = 16;
const P_MEMSZ: usize = 20;
const P_FLAGS: usize = 24;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_STACK: u32 = 0x6474_e551;

// Offsets in a section header.
const SH_TYPE: usize = 4;
const SH_OFFSET: usize = 16;
const SH_SIZE: usize = 20;
const SH_LINK: usize = 24;

// Symbol types, section indices.
const NOTYPE: u8 = 0;
const OBJECT: u8 = 1;
const FUNC: u8 = 2;
const FILE: u8 = 4;
const TLS: u8 = 6;
const UNDEF: u16 = 0;
const TEXT: u16 = 1;
const ABS: u16 = 0xfff1;

/// Returns the offset of a field of the program header `index` in a built file.
fn program_header(index: usize, field: usize) -> usize {
    HEADER_BYTES + index * PROGRAM_HEADER_BYTES + field
}

/// Returns the offset of a field of the section header `index` in a built file that has one: 1 is the symbols, 2 their
/// strings.
fn section_header(elf: &[u8], index: usize, field: usize) -> usize {
    let offset: [u8; 4] = elf[E_SHOFF..E_SHOFF + 4].try_into().unwrap();
    u32::from_le_bytes(offset) as usize + index * SECTION_HEADER_BYTES + field
}

fn put8(elf: &mut [u8], offset: usize, value: u8) {
    elf[offset] = value;
}

fn put16(elf: &mut [u8], offset: usize, value: u16) {
    elf[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(elf: &mut [u8], offset: usize, value: u32) {
    elf[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// A program header and its data.
#[derive(Clone)]
struct Load {
    kind: u32,
    address: u32,
    data: Vec<u8>,
    memory_bytes: u32,
    flags: u32,
}

/// A symbol table entry: name, value, size, type, section index.
type Entry<'a> = (&'a [u8], u32, u32, u8, u16);

/// Builds an ELF: header, program headers, data; with symbols also symbols, strings and section headers.
fn build(entry: u32, loads: &[Load], symbols: Option<&[Entry]>) -> Vec<u8> {
    let mut elf = vec![0; HEADER_BYTES + loads.len() * PROGRAM_HEADER_BYTES];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1]);
    put16(&mut elf, E_TYPE, 2);
    put16(&mut elf, E_MACHINE, 243);
    put32(&mut elf, 20, 1);
    put32(&mut elf, E_ENTRY, entry);
    put32(&mut elf, E_PHOFF, HEADER_BYTES as u32);
    put16(&mut elf, E_EHSIZE, HEADER_BYTES as u16);
    put16(&mut elf, E_PHENTSIZE, PROGRAM_HEADER_BYTES as u16);
    put16(&mut elf, E_PHNUM, loads.len() as u16);
    for (index, load) in loads.iter().enumerate() {
        let offset = elf.len() as u32;
        put32(&mut elf, program_header(index, P_TYPE), load.kind);
        put32(&mut elf, program_header(index, P_OFFSET), offset);
        put32(&mut elf, program_header(index, P_VADDR), load.address);
        put32(&mut elf, program_header(index, P_FILESZ), load.data.len() as u32);
        put32(&mut elf, program_header(index, P_MEMSZ), load.memory_bytes);
        put32(&mut elf, program_header(index, P_FLAGS), load.flags);
        elf.extend(&load.data);
    }
    let Some(symbols) = symbols else { return elf };

    let symbols_offset = elf.len();
    let mut strings = vec![0];
    for &(name, value, size, kind, section) in symbols {
        elf.extend((strings.len() as u32).to_le_bytes());
        elf.extend(value.to_le_bytes());
        elf.extend(size.to_le_bytes());
        elf.extend([kind, 0]);
        elf.extend(section.to_le_bytes());
        strings.extend(name);
        strings.push(0);
    }
    let strings_offset = elf.len();
    elf.extend(&strings);
    let sections_offset = elf.len();
    elf.resize(sections_offset + 3 * SECTION_HEADER_BYTES, 0);
    put32(&mut elf, E_SHOFF, sections_offset as u32);
    put16(&mut elf, E_SHENTSIZE, SECTION_HEADER_BYTES as u16);
    put16(&mut elf, E_SHNUM, 3);
    let tables = [(2, symbols_offset, symbols.len() * 16, 2), (3, strings_offset, strings.len(), 0)];
    for (index, (kind, offset, size, link)) in (1..).zip(tables) {
        let fields = [(SH_TYPE, kind), (SH_OFFSET, offset as u32), (SH_SIZE, size as u32), (SH_LINK, link)];
        for (field, value) in fields {
            let offset = section_header(&elf, index, field);
            put32(&mut elf, offset, value);
        }
    }
    elf
}

const CODE: u32 = 0x0001_0000;
const CODE_BYTES: u32 = 0x40;
const DATA: u32 = 0x0002_0000;
const CODE_HEADER: usize = 0;
const DATA_HEADER: usize = 1;

/// Returns two segments, code and then data with a bss, and one header that is not loaded.
fn loads() -> Vec<Load> {
    let code = vec![0x13; CODE_BYTES as usize];
    vec![
        Load { kind: PT_LOAD, address: CODE, memory_bytes: CODE_BYTES, data: code, flags: 5 },
        Load { kind: PT_LOAD, address: DATA, memory_bytes: 64, data: (1..=8).collect(), flags: 6 },
        Load { kind: PT_GNU_STACK, address: 0, memory_bytes: 0, data: vec![], flags: 6 },
    ]
}

const SYMBOLS: &[Entry] = &[
    (b"", 0, 0, NOTYPE, UNDEF),
    (b"main", CODE + 0x10, 0x10, FUNC, TEXT),
    (b"guest.c", 0, 0, FILE, ABS),
    (b"_start", CODE, 0, NOTYPE, TEXT),
    (b"$xrv32i2p1_m2p0", CODE, 0, NOTYPE, TEXT),
    (b".L0 ", CODE + 4, 0, NOTYPE, TEXT),
    (b"loop", CODE + 0x14, 0, NOTYPE, TEXT),
    (b"asm", CODE + 0x28, 0, FUNC, TEXT),
    (b"asm_alias", CODE + 0x28, 0, NOTYPE, TEXT),
    (b"table", DATA, 8, OBJECT, TEXT),
    (b"bad\xff\x1bname", DATA + 8, 4, OBJECT, TEXT),
    (b"printf", 0, 0, NOTYPE, UNDEF),
    (b"STACK_SIZE", 0x4000, 0, NOTYPE, ABS),
    (b"thread_local", 4, 4, TLS, TEXT),
];

fn valid() -> Vec<u8> {
    build(CODE, &loads(), Some(SYMBOLS))
}

fn with_loads(change: impl FnOnce(&mut Vec<Load>)) -> Vec<u8> {
    let mut loads = loads();
    change(&mut loads);
    build(CODE, &loads, Some(SYMBOLS))
}

/// Asserts the invariants of every accepted program.
fn check_invariants(program: &Program) {
    let segments = program.segments();
    assert!(segments.is_sorted_by(|lower, upper| lower.end() <= u64::from(upper.address)), "{segments:?}");
    for segment in segments {
        assert!(segment.memory_bytes > 0 && segment.end() <= 1 << 32, "{segment:?}");
        assert!(segment.data.len() as u64 <= u64::from(segment.memory_bytes), "{segment:?}");
    }
    assert_eq!(program.end(), segments.last().expect("a segment").end());
    let entry = program.entry();
    assert!(entry.is_multiple_of(4) && program.segment_at(entry).expect("an entry segment").permissions.execute);

    let symbols = program.symbols();
    assert!(symbols.is_sorted_by_key(|symbol| symbol.address));
    assert!(symbols.iter().all(|symbol| !symbol.name.is_empty() && !symbol.name.contains(char::is_control)));
    for address in symbols.iter().map(|symbol| symbol.address).chain([0, entry, u32::MAX]) {
        if let Some((symbol, offset)) = program.symbol_at(address) {
            assert_eq!(symbol.address + offset, address);
        }
    }
}

#[test]
fn a_valid_elf_loads_as_written() {
    let program = Program::from_elf(&valid()).unwrap();
    check_invariants(&program);
    assert_eq!(program.entry(), CODE);
    assert_eq!(program.end(), u64::from(DATA) + 64);
    let [code, data] = program.segments() else { panic!("{program:?}") };
    assert_eq!(*code, Segment::new(CODE, vec![0x13; CODE_BYTES as usize], Permissions::RX));
    let expected = Segment { memory_bytes: 64, ..Segment::new(DATA, (1..=8).collect(), Permissions::RW) };
    assert_eq!(*data, expected, "the bss is a size, not bytes");
    assert_eq!(format!("{data:?}"), "0x00020000..0x00020040 rw- (8 data bytes)");
    assert_eq!(program.segment_at(CODE - 1), None);
    assert_eq!(program.segment_at(DATA + 63), Some(data));
    assert_eq!(program.segment_at(DATA + 64), None);
}

#[test]
fn a_file_that_is_not_such_a_program_is_refused_with_a_reason() {
    let len = valid().len() as u32;
    let near_end = u32::MAX - 15;
    // The change to a valid file; the variant; what the message must say.
    type Refusal<'a> = (&'a dyn Fn(&mut Vec<u8>), &'a str, &'a str);
    #[rustfmt::skip]
    let refusals: &[Refusal] = &[
        (&|elf| elf.clear(), "Empty", "the file is empty"),
        (&|elf| put8(elf, 0, b'#'), "NotElf", "begins with 23 45 4c 46"),
        (&|elf| *elf = b"#!".to_vec(), "NotElf", "begins with 23 21,"),
        (&|elf| elf.truncate(1), "Truncated", "the ELF header reaches to byte 52, the file has 1;"),
        (&|elf| elf.truncate(16), "Truncated", "the ELF header"),
        (&|elf| elf.truncate(51), "Truncated", "the ELF header"),
        (&|elf| elf.truncate(52), "Truncated", "the table of 3 program headers reaches to byte 148, the file has 52"),
        (&|elf| elf.truncate(147), "Truncated", "the table of 3 program headers"),
        (&|elf| elf.truncate(148), "Truncated", "the data of segment 0x00010000 (program header 0) reaches to byte 212"),
        (&|elf| put32(elf, E_PHOFF, u32::MAX), "Truncated", "program headers reaches to byte 4294967391"),
        (&|elf| put16(elf, E_PHNUM, 0xfffe), "Truncated", "the table of 65534 program headers"),
        (&|elf| put32(elf, program_header(DATA_HEADER, P_OFFSET), len), "Truncated", "(program header 1)"),
        (&|elf| put32(elf, program_header(CODE_HEADER, P_OFFSET), u32::MAX), "Truncated", "byte 4294967359"),
        (&|elf| put32(elf, program_header(CODE_HEADER, P_FILESZ), u32::MAX), "Truncated", "(program header 0)"),
        (&|elf| put8(elf, 4, 2), "Unsupported", "class: found ELF64 (2), expected ELF32"),
        (&|elf| put8(elf, 4, 9), "Unsupported", "class: found UNKNOWN_CLASS (9)"),
        (&|elf| put8(elf, 5, 2), "Unsupported", "byte order: found big-endian (2), expected little-endian"),
        (&|elf| put8(elf, 5, 0), "Unsupported", "byte order: found unknown (0)"),
        (&|elf| put8(elf, 6, 2), "Unsupported", "version: found 2, expected 1"),
        (&|elf| put16(elf, E_MACHINE, 62), "Unsupported", "machine: found X86_64 (62), expected RISCV (243)"),
        (&|elf| put16(elf, E_TYPE, 1), "Unsupported", "type: found REL (1), expected EXEC (2)"),
        (&|elf| put16(elf, E_TYPE, 3), "Unsupported", "type: found DYN (3), expected EXEC (2); link a static"),
        (&|elf| put16(elf, E_TYPE, 4), "Unsupported", "type: found CORE (4)"),
        (&|elf| put32(elf, E_FLAGS, 0x01), "UnsupportedFlags", "e_flags 0x1: compiled with compressed instructions (RVC); build with -march=rv32im -mabi=ilp32"),
        (&|elf| put32(elf, E_FLAGS, 0x02), "UnsupportedFlags", "single-precision"),
        (&|elf| put32(elf, E_FLAGS, 0x05), "UnsupportedFlags", "(RVC) and the double-precision float ABI;"),
        (&|elf| put32(elf, E_FLAGS, 0x06), "UnsupportedFlags", "compiled with the quad-precision float ABI;"),
        (&|elf| put32(elf, E_FLAGS, 0x08), "UnsupportedFlags", "RVE"),
        (&|elf| put32(elf, E_FLAGS, 0x8000_0000), "UnsupportedFlags", "unknown features (0x80000000)"),
        (&|elf| put16(elf, E_PHENTSIZE, 56), "MalformedHeader", "e_phentsize is 56, expected 32"),
        (&|elf| put16(elf, E_PHNUM, 0xffff), "MalformedHeader", "e_phnum is 65535, expected fewer"),
        (&|elf| put32(elf, program_header(2, P_TYPE), 2), "Dynamic", "program header 2 is PT_DYNAMIC"),
        (&|elf| put32(elf, program_header(2, P_TYPE), 3), "Dynamic", "program header 2 is PT_INTERP"),
        (&|elf| put16(elf, E_PHNUM, 0), "NoSegments", "PT_LOAD"),
        (&|elf| *elf = with_loads(|loads| loads.iter_mut().for_each(|load| load.kind = PT_NOTE)), "NoSegments", "PT_LOAD"),
        (&|elf| *elf = build(CODE, &[Load { memory_bytes: 0, data: vec![], ..loads()[0].clone() }], None), "NoSegments", "PT_LOAD"),
        (&|elf| put32(elf, program_header(CODE_HEADER, P_MEMSZ), 63), "DataExceedsMemory", "segment at 0x00010000 has 64 bytes of data for 63 bytes"),
        (&|elf| put32(elf, program_header(DATA_HEADER, P_MEMSZ), 0), "DataExceedsMemory", "8 bytes of data for 0 bytes"),
        (&|elf| put32(elf, program_header(DATA_HEADER, P_VADDR), near_end), "SegmentOutOfRange", "segment at 0xfffffff0 has 64 bytes"),
        (&|elf| put32(elf, program_header(DATA_HEADER, P_MEMSZ), u32::MAX), "SegmentOutOfRange", "beyond 2^32"),
        (&|elf| put32(elf, program_header(DATA_HEADER, P_VADDR), CODE), "EntryNotExecutable", "(rw-)"),
        (&|elf| put32(elf, E_ENTRY, CODE + 2), "MisalignedEntry", "0x00010002 is not a multiple of 4"),
        (&|elf| put32(elf, E_ENTRY, CODE + 0x40), "EntryOutsideSegments", "0x00010040 lies in no segment"),
        (&|elf| put32(elf, E_ENTRY, 0), "EntryOutsideSegments", "0x00000000 lies in no segment"),
        (&|elf| put32(elf, E_ENTRY, DATA), "EntryNotExecutable", "0x00020000 lies in a segment that is not executable (rw-)"),
    ];
    for (change, variant, message) in refusals {
        let mut elf = valid();
        change(&mut elf);
        let Err(error) = Program::from_elf(&elf) else { panic!("accepted, expected {variant}: {message}") };
        let debug = format!("{error:?}");
        let found = debug.split([' ', '{']).next();
        assert_eq!(found, Some(*variant), "{error}");
        assert!(error.to_string().contains(message), "'{error}' does not say '{message}'");
    }
}

/// Segments have the semantics of Linux's mappings: later ones replace earlier ones, in the order of the file, and
/// writable ones are readable.
#[test]
fn what_linux_runs_is_accepted() {
    let load = |address, memory_bytes, data: &[u8], flags| Load {
        kind: PT_LOAD,
        address,
        memory_bytes,
        data: data.to_vec(),
        flags,
    };
    type Part<'a> = (u32, u32, &'a [u8], &'a str);
    let check = |loads: &[Load], expected: &[Part]| {
        let program = Program::from_elf(&build(CODE, loads, None)).unwrap();
        check_invariants(&program);
        let part = |segment: &Segment| {
            (segment.address, segment.memory_bytes, segment.data.clone(), segment.permissions.to_string())
        };
        let found: Vec<_> = program.segments().iter().map(part).collect();
        let owned = |&(address, memory_bytes, data, permissions): &Part| {
            (address, memory_bytes, data.to_vec(), permissions.to_owned())
        };
        assert_eq!(found, expected.iter().map(owned).collect::<Vec<_>>());
    };
    // From lld with -Ttext: the segment of the headers lies under the text.
    let (headers, text) = (load(CODE, 0x20, &[1; 0x20], 4), load(CODE, 0x18, &[2; 0x18], 5));
    check(&[headers.clone(), text.clone()], &[(CODE, 0x18, &[2; 0x18], "r-x"), (CODE + 0x18, 8, &[1; 8], "r--")]);
    // The zeros of a bss replace bytes as well. Cutting out the middle of a segment keeps both ends.
    let bss = load(CODE + 8, 8, &[7, 7], 6);
    let cut: [Part; 4] = [
        (CODE, 8, &[2; 8], "r-x"),
        (CODE + 8, 8, &[7, 7], "rw-"),
        (CODE + 16, 8, &[2; 8], "r-x"),
        (CODE + 0x18, 8, &[1; 8], "r--"),
    ];
    check(&[headers, text.clone(), bss.clone()], &cut);
    // Zeros of an earlier segment stay zeros in its parts.
    let wide = load(CODE, 0x40, &[3; 12], 6);
    check(&[wide, text, bss], &[cut[0], cut[1], cut[2], (CODE + 0x18, 0x28, &[], "rw-")]);
    // A later segment hides earlier ones, at the same place or inside it.
    let hidden = [load(CODE + 4, 4, &[9; 4], 6), load(CODE, 4, &[9; 4], 6), load(CODE, 16, &[5; 16], 7)];
    check(&hidden, &[(CODE, 16, &[5; 16], "rwx")]);

    // Write-only becomes read and write. Execute-only stays as it is, and so does no permission at all.
    let code = load(CODE, 4, &[2; 4], 1);
    let odd = [load(DATA, 4, &[1; 4], 2), load(DATA + 4, 4, &[1; 4], 3), load(DATA + 8, 4, &[1; 4], 0)];
    let parts: [Part; 4] = [
        (CODE, 4, &[2; 4], "--x"),
        (DATA, 4, &[1; 4], "rw-"),
        (DATA + 4, 4, &[1; 4], "rwx"),
        (DATA + 8, 4, &[1; 4], "---"),
    ];
    check(&[&[code][..], &odd].concat(), &parts);

    // A single hart has total store ordering anyway. The size of the header is never read.
    for (offset, value) in [(E_FLAGS, 0x10u16), (E_EHSIZE, 0), (E_EHSIZE, 64)] {
        let mut elf = valid();
        put16(&mut elf, offset, value);
        assert_eq!(Program::from_elf(&elf).unwrap().segments(), Program::from_elf(&valid()).unwrap().segments());
    }
}

/// Thousands of nested segments cost only as much as they have bytes.
#[test]
fn segments_upon_segments() {
    let whole = Load { kind: PT_LOAD, address: CODE, memory_bytes: 1 << 24, data: vec![1; 1 << 20], flags: 7 };
    let inside =
        |index: u32| Load { address: CODE + 512 * (0xfff0 - index), memory_bytes: 8, data: vec![], ..whole.clone() };
    let loads: Vec<Load> = [whole.clone()].into_iter().chain((0..0xfff0).map(inside)).collect();
    let program = Program::from_elf(&build(CODE, &loads, None)).unwrap();
    check_invariants(&program);
    // The nested ones cut the first one into one more part than their number.
    let inside = (1 << 24) / 512 - 1;
    assert_eq!(program.segments().len(), 0xfff0 + inside + 1);
    let data: usize = program.segments().iter().map(|segment| segment.data.len()).sum();
    assert_eq!(data, (1 << 20) - 8 * ((1 << 20) / 512 - 1));
}

#[test]
fn what_execution_does_not_need_may_be_anything() {
    let plain = Program::from_elf(&valid()).unwrap();
    // A bss has no data, so its offset means nothing. A segment without memory is ignored.
    let bss_header = 2;
    let mut elf = with_loads(|loads| {
        loads[bss_header] = Load { kind: PT_LOAD, address: 0x3_0000, memory_bytes: 4, data: vec![], flags: 6 };
        loads.push(Load { kind: PT_LOAD, address: CODE + 4, memory_bytes: 0, data: vec![], flags: 7 });
    });
    put32(&mut elf, program_header(bss_header, P_OFFSET), u32::MAX);
    let program = Program::from_elf(&elf).unwrap();
    assert_eq!(program.segments().len(), 3);
    assert_eq!(program.end(), 0x3_0004);

    // Headers in any order, and bytes after the end.
    let mut elf = with_loads(|loads| loads.reverse());
    elf.extend([0xff; 7]);
    assert_eq!(Program::from_elf(&elf).unwrap().segments(), plain.segments());

    // With broken section headers, symbols or strings, the program loses its symbols but loads.
    let section = |index, field| section_header(&valid(), index, field);
    for (offset, value) in [
        (E_SHOFF, 0),
        (E_SHOFF, u32::MAX),
        (E_SHOFF, 7),
        (E_SHENTSIZE, 0),
        (E_SHNUM, 0),
        (E_SHNUM, 0xffff),
        (section(1, SH_TYPE), 1),
        (section(1, SH_OFFSET), u32::MAX),
        (section(1, SH_SIZE), u32::MAX),
        (section(1, SH_SIZE), 0),
        (section(1, SH_LINK), 0),
        (section(1, SH_LINK), u32::MAX),
        (section(2, SH_TYPE), 8),
        (section(2, SH_OFFSET), u32::MAX),
        (section(2, SH_SIZE), u32::MAX),
        (section(2, SH_SIZE), 0),
        (section(2, SH_SIZE), 1),
    ] {
        let mut elf = valid();
        put32(&mut elf, offset, value);
        let program = Program::from_elf(&elf).unwrap();
        assert_eq!(program.segments(), plain.segments());
        assert_eq!(program.symbols(), [], "offset {offset}, value {value:#x}");
        assert_eq!(program.symbol_at(CODE), None);
    }
}

#[test]
fn symbols_name_code_and_data() {
    let program = Program::from_elf(&valid()).unwrap();
    let symbol = |name: &str, address, size_bytes, kind| Symbol { name: name.to_owned(), address, size_bytes, kind };
    let expected = [
        symbol("_start", CODE, 0, SymbolKind::Other),
        symbol("main", CODE + 0x10, 0x10, SymbolKind::Function),
        symbol("loop", CODE + 0x14, 0, SymbolKind::Other),
        symbol("asm", CODE + 0x28, 0, SymbolKind::Function),
        symbol("asm_alias", CODE + 0x28, 0, SymbolKind::Other),
        symbol("table", DATA, 8, SymbolKind::Object),
        symbol("bad\u{fffd}\u{fffd}name", DATA + 8, 4, SymbolKind::Object),
    ];
    assert_eq!(program.symbols(), expected);

    for (address, expected) in [
        (CODE - 1, None),
        (CODE, Some(("_start", 0))),
        (CODE + 0x0c, Some(("_start", 0x0c))),
        (CODE + 0x10, Some(("main", 0))),
        (CODE + 0x1c, Some(("main", 0x0c))), // not the label inside it
        (CODE + 0x20, None),                 // main has ended, asm has not begun
        (CODE + 0x28, Some(("asm", 0))),     // not the label beside it
        (CODE + 0x3f, Some(("asm", 0x17))),  // no size: up to the end of the segment
        (CODE + 0x40, None),
        (DATA, None), // data is not a function
        (u32::MAX, None),
    ] {
        let found = program.symbol_at(address).map(|(symbol, offset)| (symbol.name.as_str(), offset));
        assert_eq!(found, expected, "{address:#x}");
    }
}

#[test]
fn overlapping_functions_give_an_address_to_the_nearest() {
    let entries: &[Entry] = &[
        (b"outer", CODE, 0x20, FUNC, TEXT),
        (b"inner", CODE + 8, 4, FUNC, TEXT),
        (b"alias_b", CODE + 8, 4, FUNC, TEXT),
        (b"alias_a", CODE + 8, 4, FUNC, TEXT),
        (b"short", CODE + 8, 2, FUNC, TEXT),
        (b"endless", CODE + 0x3c, u32::MAX, FUNC, TEXT),
    ];
    let program = Program::from_elf(&build(CODE, &loads(), Some(entries))).unwrap();
    let name_at = |offset| program.symbol_at(CODE + offset).map(|(symbol, _)| symbol.name.as_str());
    assert_eq!(name_at(4), Some("outer"));
    assert_eq!(name_at(8), Some("alias_a"));
    assert_eq!(name_at(0x0b), Some("alias_a"));
    assert_eq!(name_at(0x0c), None);
    assert_eq!(name_at(0x3f), Some("endless"));
    assert_eq!(name_at(0x40), None);
}

#[test]
fn the_digest_is_of_what_runs_and_of_nothing_else() {
    let digest = |elf: &[u8]| Program::from_elf(elf).unwrap().digest();
    let plain = digest(&valid());

    // The documented framing, written out.
    let mut framed = b"tachy-program-v1".to_vec();
    let word = |framed: &mut Vec<u8>, value: u32| framed.extend(value.to_le_bytes());
    word(&mut framed, CODE); // entry
    word(&mut framed, 2); // segments
    for (address, memory_bytes, permissions, data) in
        [(CODE, CODE_BYTES, 0b101, vec![0x13; CODE_BYTES as usize]), (DATA, 64, 0b110, (1..=8).collect())]
    {
        word(&mut framed, address);
        word(&mut framed, memory_bytes);
        word(&mut framed, data.len() as u32);
        framed.push(permissions);
        framed.extend(data);
    }
    assert_eq!(plain, *blake3::hash(&framed).as_bytes(), "the framing is documented and must not drift");

    let stripped = build(CODE, &loads(), None);
    assert_eq!(digest(&stripped), plain, "symbols and section headers do not count");
    assert_eq!(digest(&with_loads(|loads| loads.reverse())), plain, "nor does the order of program headers");
    let segments = Program::from_elf(&stripped).unwrap().segments().to_vec();
    assert_eq!(Program::from_segments(CODE, segments).unwrap().digest(), plain, "nor where the image is from");

    let changed = [
        build(CODE + 4, &loads(), None),
        with_loads(|loads| loads[1].address += 4),
        with_loads(|loads| loads[1].memory_bytes += 4),
        with_loads(|loads| loads[1].data[0] += 1),
        with_loads(|loads| loads[1].data.push(0)),
        with_loads(|loads| loads[1].flags = 4),
        with_loads(|loads| loads.truncate(1)),
    ];
    for elf in &changed {
        assert_ne!(digest(elf), plain, "{:?}", Program::from_elf(elf));
    }
}

#[test]
fn segments_given_directly_are_held_to_the_same_rules() {
    let code = || Segment::from_words(0x1000, &[0x0000_0013, 0x0000_0073], Permissions::RWX);
    let bss = Segment { memory_bytes: 0x1000, ..Segment::new(0x8000, vec![], Permissions::RW) };
    let empty = Segment::new(0x1004, vec![], Permissions::R);
    let program = Program::from_segments(0x1004, vec![bss.clone(), empty, code()]).unwrap();
    check_invariants(&program);
    assert_eq!(program.segments(), [code(), bss]);
    assert_eq!(program.segments()[0].data, [0x13, 0, 0, 0, 0x73, 0, 0, 0]);
    assert_eq!(program.symbols(), []);
    assert_eq!(program.segments()[0].permissions.to_string(), "rwx");

    // The last byte of memory is usable.
    let last = Program::from_segments(0x1000, vec![code(), Segment::new(u32::MAX, vec![1], Permissions::R)]).unwrap();
    check_invariants(&last);
    assert_eq!(last.end(), 1 << 32);

    let refused = |entry, segments| Program::from_segments(entry, segments).unwrap_err();
    assert_eq!(refused(0, vec![]), ProgramError::NoSegments);
    assert_eq!(refused(0x1008, vec![code()]), ProgramError::EntryOutsideSegments { entry: 0x1008 });
    assert!(matches!(refused(0x1000, vec![code(), code()]), ProgramError::OverlappingSegments { .. }));
    let small = Segment { memory_bytes: 7, ..code() };
    assert!(matches!(refused(0x1000, vec![small]), ProgramError::DataExceedsMemory { data_bytes: 8, .. }));
    let high = Segment::new(u32::MAX, vec![1, 2], Permissions::R);
    assert!(matches!(refused(0x1000, vec![code(), high]), ProgramError::SegmentOutOfRange { .. }));
}

#[test]
fn a_program_holds_no_more_than_its_file() {
    // A bss of nearly 4 GiB is only a number.
    let rest = u32::MAX - DATA + 1;
    let program = Program::from_elf(&with_loads(|loads| loads[1].memory_bytes = rest)).unwrap();
    check_invariants(&program);
    assert_eq!(program.end(), 1 << 32);
    assert_eq!(program.segments()[1].data.len(), 8);

    // The maximum number of headers, each with its own bss, in descending order.
    let bss = |index: u32| Load { kind: PT_LOAD, address: index * 16, memory_bytes: 8, data: vec![], flags: 7 };
    let mut elf = build(0, &(0..0xfffe).rev().map(bss).collect::<Vec<_>>(), None);
    let program = Program::from_elf(&elf).unwrap();
    check_invariants(&program);
    assert_eq!(program.segments().len(), 0xfffe);

    // The same, each with the whole file as its data: 130 GB if they are copied before the sizes are added up.
    let file_bytes = elf.len() as u32;
    for index in 0..0xfffe {
        put32(&mut elf, program_header(index, P_OFFSET), 0);
        put32(&mut elf, program_header(index, P_FILESZ), file_bytes);
    }
    let error = Program::from_elf(&elf).unwrap_err();
    assert!(matches!(error, ProgramError::SharedData { .. }), "{error}");

    // The maximum number of symbols, each with the same long name: 2 GB if each is kept.
    let long_name = [b'n'; 0x8000];
    let mut entries = vec![(&b"f"[..], CODE, 4, FUNC, TEXT); 0xffff];
    entries.push((&long_name, CODE, 4, FUNC, TEXT));
    let mut elf = build(CODE, &loads(), Some(&entries));
    let sections = section_header(&elf, 0, 0);
    let first_symbol = sections - (2 * 0xffff + 1 + long_name.len() + 1) - entries.len() * 16;
    for index in 0..entries.len() {
        put32(&mut elf, first_symbol + index * 16, 1 + 2 * 0xffff);
        put32(&mut elf, first_symbol + index * 16 + 4, CODE + index as u32);
    }
    let program = Program::from_elf(&elf).unwrap();
    check_invariants(&program);
    let names_bytes: usize = program.symbols().iter().map(|symbol| symbol.name.len()).sum();
    assert!((1..=elf.len()).contains(&names_bytes), "{names_bytes}");
}

/// SplitMix64. A failure is reported with the seed of its round, which is enough to repeat it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Damages a file in up to four places, preferably in its tables, and sometimes truncates it.
fn damage(elf: &mut Vec<u8>, random: &mut Random) {
    let table_bytes = 256;
    for _ in 0..=random.below(4) {
        let offset = match random.below(4) {
            0 => random.below(elf.len()),
            1 => elf.len().saturating_sub(1 + random.below(table_bytes)),
            _ => random.below(table_bytes.min(elf.len())),
        };
        // Besides noise: the values at which sums overflow and limits lie.
        let value = match random.below(8) {
            0 => 0,
            1 => u32::MAX,
            2 => 0x8000_0000,
            3 => elf.len() as u32,
            4 => 1 << random.below(32),
            5 => random.below(16) as u32,
            _ => random.next() as u32,
        };
        let width = [1, 2, 4][random.below(3)];
        for (target, byte) in elf.iter_mut().skip(offset).take(width).zip(value.to_le_bytes()) {
            *target = byte;
        }
    }
    if random.below(8) == 0 {
        elf.truncate(random.below(elf.len() + 1));
    }
}

/// Returns the files to damage: the built one, and every guest.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("built".to_owned(), valid())];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "elf") {
            files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn every_guest_loads() {
    for (name, elf) in corpus() {
        let program = Program::from_elf(&elf).unwrap_or_else(|error| panic!("{name}: {error}"));
        check_invariants(&program);
    }
}

#[test]
fn a_damaged_file_never_panics_and_what_is_accepted_is_sound() {
    for (name, elf) in corpus() {
        let rounds = if elf.len() < 4096 { 20_000 } else { 2_000 };
        let mut accepted = 0;
        for seed in 0..rounds {
            let mut elf = elf.clone();
            damage(&mut elf, &mut Random(seed));
            let outcome = catch_unwind(|| Program::from_elf(&elf).inspect(check_invariants).is_ok());
            accepted += u64::from(outcome.unwrap_or_else(|_| panic!("{name} damaged with seed {seed} panics")));
        }
        // Some must be accepted and some refused, or the damage tests nothing.
        assert!((rounds / 100..rounds).contains(&accepted), "{name}: {accepted} of {rounds} accepted");
    }
}

#[test]
fn every_prefix_of_a_file_is_read_without_a_panic() {
    let elf = valid();
    for len in 0..elf.len() {
        if let Ok(program) = Program::from_elf(&elf[..len]) {
            check_invariants(&program);
            assert_eq!(program.symbols(), [], "the section headers are last, so a cut file has no symbols");
        }
    }
}
