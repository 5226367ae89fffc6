//! Tests debug information in the forms that compilers, linkers and `objcopy` produce: each gives the same lines, or
//! the reason why there are none. Sections that expand to far more bytes than the file has are refused.

use std::fs;
use std::path::PathBuf;

use tachy::Program;
use tachy::program::{Frame, NoFrames, SourceLine, source_frames, source_line};

/// An address inside `look`, which is inlined into `descend`.
const ADDRESS: u32 = 0x1_0014;

const COMPRESSED: u32 = 0x800;
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;

fn debug_elf(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/debug/{name}.elf"));
    fs::read(path).expect("it lies in the repository")
}

/// A section: its name, the ten words of its header, its bytes.
#[derive(Clone)]
struct Section {
    name: String,
    header: [u32; 10],
    data: Vec<u8>,
}

const FLAGS: usize = 2;
const OFFSET: usize = 4;
const SIZE: usize = 5;

/// Returns the bytes before the sections, and the sections.
fn take_apart(elf: &[u8]) -> (Vec<u8>, Vec<Section>) {
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let half = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()) as usize;
    let (table, count, names) = (word(32) as usize, half(48), half(50));
    let header = |index: usize| std::array::from_fn(|field| word(table + 40 * index + 4 * field));
    let headers: Vec<[u32; 10]> = (0..count).map(header).collect();
    let data = |header: &[u32; 10]| match header[1] {
        0 | 8 => Vec::new(),
        _ => elf[header[OFFSET] as usize..][..header[SIZE] as usize].to_vec(),
    };
    let strings = data(&headers[names]);
    let name = |offset: u32| {
        let bytes = strings[offset as usize..].split(|&byte| byte == 0).next().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let section = |header: &[u32; 10]| Section { name: name(header[0]), header: *header, data: data(header) };
    let sections = headers.iter().map(section).collect();
    (elf[..table].to_vec(), sections)
}

/// Rebuilds the file with these sections, of which the last must be their names.
fn put_together(front: &[u8], mut sections: Vec<Section>) -> Vec<u8> {
    let mut names = Vec::new();
    for section in &mut sections {
        section.header[0] = names.len() as u32;
        names.extend(section.name.bytes().chain([0]));
    }
    let last = sections.len() - 1;
    sections[last].data = names;
    let mut elf = front.to_vec();
    for section in &mut sections {
        if section.header[1] != 0 && section.header[1] != 8 {
            section.header[OFFSET] = elf.len() as u32;
            section.header[SIZE] = section.data.len() as u32;
            elf.extend(&section.data);
        }
    }
    let table = elf.len() as u32;
    for section in &sections {
        elf.extend(section.header.iter().flat_map(|word| word.to_le_bytes()));
    }
    elf[32..36].copy_from_slice(&table.to_le_bytes());
    elf[48..50].copy_from_slice(&(sections.len() as u16).to_le_bytes());
    elf[50..52].copy_from_slice(&(last as u16).to_le_bytes());
    elf
}

/// Returns the file with each of its debug sections changed.
fn with_debug_sections(elf: &[u8], change: impl Fn(&mut Section)) -> Vec<u8> {
    let (front, mut sections) = take_apart(elf);
    sections.iter_mut().filter(|section| section.name.starts_with(".debug_")).for_each(change);
    put_together(&front, sections)
}

fn with_header(algorithm: u32, size: u32, data: Vec<u8>) -> Vec<u8> {
    let mut bytes: Vec<u8> = [algorithm, size, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(data);
    bytes
}

fn zlib(data: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(data, 6)
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

fn compress_zlib(section: &mut Section) {
    section.data = with_header(1, section.data.len() as u32, zlib(&section.data));
    section.header[FLAGS] |= COMPRESSED;
}

fn compress_zstd(section: &mut Section) {
    section.data = with_header(2, section.data.len() as u32, zstd(&section.data));
    section.header[FLAGS] |= COMPRESSED;
}

fn compress_gnu(section: &mut Section) {
    let size = (section.data.len() as u64).to_be_bytes();
    section.data = [b"ZLIB", &size[..], &zlib(&section.data)].concat();
    section.name = section.name.replace(".debug_", ".zdebug_");
}

fn frame(function: &str, file: &str, line: u64) -> Frame {
    Frame { function: Some(function.to_owned()), line: Some(SourceLine { file: file.to_owned(), line }) }
}

fn expected() -> Vec<Frame> {
    vec![frame("look", "source/trap.c", 5), frame("descend", "source/trap.c", 10)]
}

#[test]
fn every_version_names_functions_and_lines() {
    for version in ["dwarf2", "dwarf3", "dwarf4", "dwarf5", "dwarf64"] {
        let elf = debug_elf(&format!("trap-{version}"));
        assert_eq!(source_frames(&elf, ADDRESS), Ok(expected()), "{version}");
        // The code that sets up the stack has nothing inlined.
        assert_eq!(source_frames(&elf, 0x1_0000), Ok(vec![frame("descend", "source/trap.c", 8)]), "{version}");
    }
}

/// Built by rustc and compressed by its linker. A library function is inlined into the program's, whose line must show.
#[test]
fn names_of_rust_and_the_line_of_their_user() {
    for (scheme, ours, library) in [
        ("legacy", "names::deep::Thing<T>::load", "core::ptr::read_volatile"),
        ("v0", "<names::deep::Thing<u32>>::load", "core::ptr::read_volatile::<u32>"),
    ] {
        let elf = debug_elf(&format!("names-{scheme}"));
        let program = Program::from_elf(&elf).expect("a program");
        let symbols = program.symbols();
        let load = symbols.iter().find(|symbol| symbol.demangled() == ours).expect("the function has its name");
        assert!(load.name.starts_with("_R") || load.name.starts_with("_ZN"), "{}", load.name);
        let address = load.address + 4;
        let frames = source_frames(&elf, address).expect("it has debug information");
        let [inner, outer] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(inner.function.as_deref(), Some(library));
        let inner_line = inner.line.as_ref().expect("a line");
        assert!(inner_line.is_library() && inner_line.file.ends_with("library/core/src/ptr/mod.rs"), "{inner_line}");
        assert_eq!(*outer, frame(ours, "source/names.rs", 17));
        assert_eq!(source_line(&elf, address), outer.line);
    }
}

#[test]
fn compressed_sections_are_read() {
    for version in ["dwarf4", "dwarf5"] {
        let elf = debug_elf(&format!("trap-{version}"));
        for compress in [compress_zlib, compress_zstd, compress_gnu] {
            let changed = with_debug_sections(&elf, compress);
            assert_ne!(changed, elf);
            assert_eq!(source_frames(&changed, ADDRESS), Ok(expected()), "{version}");
        }
    }
}

/// Sections in any order, after empty ones, before the code's sections, with an address, or in a table that is too long
/// for the header's field.
#[test]
fn sections_may_lie_anywhere() {
    let elf = debug_elf("trap-dwarf5");
    let (front, sections) = take_apart(&elf);
    let names = sections.last().unwrap().clone();

    // Sections that others refer to by number keep their place: the symbols refer to their strings.
    let mut reversed = sections.clone();
    let is_debug = |section: &Section| section.name.starts_with(".debug_");
    let debug: Vec<usize> = (0..sections.len()).filter(|&index| is_debug(&sections[index])).collect();
    for (&to, &from) in debug.iter().zip(debug.iter().rev()) {
        reversed[to] = sections[from].clone();
    }
    let addressed = with_debug_sections(&elf, |section| section.header[3] = 0x4000_0000);
    let mut padded = sections.clone();
    let empty =
        Section { name: ".debug_lineage".to_owned(), header: [0, PROGBITS, 0, 0, 0, 0, 0, 0, 1, 0], data: vec![] };
    padded.splice(padded.len() - 1.., vec![empty; 300].into_iter().chain([names]));
    for changed in [put_together(&front, reversed), addressed, put_together(&front, padded.clone())] {
        assert_eq!(source_frames(&changed, ADDRESS), Ok(expected()));
        assert_eq!(Program::from_elf(&changed).unwrap().symbols(), Program::from_elf(&elf).unwrap().symbols());
    }

    // Section header 0 holds the number of headers and the index of the section with the names.
    padded[0].header[SIZE] = padded.len() as u32;
    padded[0].header[6] = padded.len() as u32 - 1;
    let mut extended = put_together(&front, padded);
    extended[48..50].fill(0);
    extended[50..52].fill(0xff);
    assert_eq!(source_frames(&extended, ADDRESS), Ok(expected()));
    assert_eq!(Program::from_elf(&extended).unwrap().symbols(), Program::from_elf(&elf).unwrap().symbols());
}

#[test]
fn lines_do_without_symbols_and_symbols_without_lines() {
    let elf = debug_elf("trap-dwarf5");
    let (front, sections) = take_apart(&elf);
    let without = |dropped: &dyn Fn(&Section) -> bool| {
        let mut sections = sections.clone();
        // Others refer to them by number, so they stay, with the null type.
        sections.iter_mut().filter(|section| dropped(section)).for_each(|section| section.header[1] = 0);
        put_together(&front, sections)
    };
    let stripped = without(&|section| section.header[1] == SYMTAB);
    assert_eq!(Program::from_elf(&stripped).unwrap().symbols(), []);
    assert_eq!(source_frames(&stripped, ADDRESS), Ok(expected()));

    // The line table alone gives the line, but not the function.
    let leaf = Frame { function: None, line: expected()[0].line.clone() };
    for name in [".debug_info", ".debug_abbrev"] {
        let lines_alone = without(&|section| section.name == name);
        assert_eq!(source_frames(&lines_alone, ADDRESS), Ok(vec![leaf.clone()]), "{name}");
    }
    let no_lines = without(&|section| section.name.starts_with(".debug_"));
    assert_eq!(source_frames(&no_lines, ADDRESS), Err(NoFrames::NoDebugInformation));
    assert_eq!(Program::from_elf(&no_lines).unwrap().symbols(), Program::from_elf(&elf).unwrap().symbols());
    // Without names of sections, or without sections, the debug sections cannot be identified.
    let mut nameless = elf.clone();
    nameless[50..52].fill(0);
    let mut headless = elf.clone();
    headless[32..36].fill(0);
    for elf in [nameless, headless] {
        assert_eq!(source_frames(&elf, ADDRESS), Err(NoFrames::NoDebugInformation));
        Program::from_elf(&elf).expect("it runs all the same");
    }
    assert_eq!(source_frames(&elf, 0x2_0000), Err(NoFrames::NotCovered { address: 0x2_0000 }));
}

#[test]
fn what_cannot_be_read_says_why() {
    let elf = debug_elf("trap-dwarf5");
    let (front, sections) = take_apart(&elf);

    // The state that `objcopy --add-gnu-debuglink` leaves.
    let mut linked = sections.clone();
    linked.iter_mut().filter(|section| section.name.starts_with(".debug_")).for_each(|section| section.header[1] = 0);
    let mut link = linked.last().unwrap().clone();
    link.name = ".gnu_debuglink".to_owned();
    link.header[1] = PROGBITS;
    link.data = b"trap.debug\0\0\x01\x02\x03\x04".to_vec();
    let at = linked.len() - 1;
    linked.insert(at, link);
    let error = source_frames(&put_together(&front, linked), ADDRESS).unwrap_err();
    assert_eq!(error, NoFrames::Elsewhere { file: "trap.debug".to_owned() });
    assert!(error.to_string().contains("is in trap.debug"), "{error}");

    // The linker adds the sections' addresses to everything that refers to them.
    let error = source_frames(&debug_elf("trap-displaced"), ADDRESS).unwrap_err();
    assert!(matches!(error, NoFrames::Displaced { section: ".debug_line", section_address: 0x1_0000.. }), "{error}");
    assert!(error.to_string().contains("`.debug_line 0 : { *(.debug_line) }`"), "{error}");

    let compressed = |compress: fn(&mut Section)| source_frames(&with_debug_sections(&elf, compress), ADDRESS);
    let unknown = compressed(|section| {
        section.data = with_header(77, section.data.len() as u32, zlib(&section.data));
        section.header[FLAGS] |= COMPRESSED;
    });
    assert_eq!(unknown, Err(NoFrames::UnknownCompression { section: ".debug_line", algorithm: 77 }));
    let damaged = |change: fn(&mut Section)| {
        assert_eq!(compressed(change), Err(NoFrames::Damaged { section: ".debug_line" }));
    };
    damaged(|section| {
        compress_zlib(section);
        section.data.truncate(section.data.len() / 2);
    });
    damaged(|section| {
        compress_zstd(section);
        section.data.truncate(section.data.len() / 2);
    });
    // More and fewer bytes than the header says.
    damaged(|section| {
        compress_zlib(section);
        section.data[4] -= 1;
    });
    damaged(|section| {
        compress_zstd(section);
        section.data[4] ^= 1;
    });
    damaged(|section| {
        compress_gnu(section);
        section.data[0] = b'z';
    });
    damaged(|section| {
        section.data = vec![1, 0, 0];
        section.header[FLAGS] |= COMPRESSED;
    });
}

/// Few bytes that expand to many, and some that only claim to.
#[test]
fn what_stands_for_too_much_is_refused() {
    let elf = debug_elf("trap-dwarf5");
    let zeros = vec![0; 16 << 20];
    let (few, many) = (&zeros[..100], zeros.len() as u32);
    let lines = |elf: &[u8]| source_frames(elf, ADDRESS);
    for (algorithm, compress) in [(1, zlib as fn(&[u8]) -> Vec<u8>), (2, zstd)] {
        let (large, small) = (compress(&zeros), compress(few));
        assert!(large.len() < 1 << 16, "{} bytes", large.len());
        let bomb = |size: u32, data: &[u8]| {
            with_debug_sections(&elf, |section| {
                section.data = with_header(algorithm, size, data.to_vec());
                section.header[FLAGS] |= COMPRESSED;
            })
        };
        for (size, data) in [(many, &large), (u32::MAX, &large), (many, &small)] {
            assert_eq!(lines(&bomb(size, data)), Err(NoFrames::TooLarge { section: ".debug_line" }));
        }
        // The header claims less than the actual size.
        assert_eq!(lines(&bomb(1 << 20, &large)), Err(NoFrames::Damaged { section: ".debug_line" }));
    }
    let gnu = with_debug_sections(&elf, |section| {
        section.data = [b"ZLIB", &u64::MAX.to_be_bytes()[..], &zlib(few)].concat();
        section.name = section.name.replace(".debug_", ".zdebug_");
    });
    assert_eq!(lines(&gnu), Err(NoFrames::TooLarge { section: ".debug_line" }));
}
