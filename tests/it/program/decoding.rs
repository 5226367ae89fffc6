//! Tests the instruction table, the decoder and the disassembler against each other, against a second implementation of
//! the manual's immediate layouts, and against GNU objdump.
//!
//! Everything covers the whole table, so a new line is tested as soon as it is in there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tachy::decode::{Instruction, decode, encode};
use tachy::disasm::disassemble;
use tachy::isa::{Class, Format, Line, Op, TABLE, Variant};

// ---------------------------------------------------------------------------------------------------------------------
// The table

#[test]
fn table_is_in_the_order_of_op() {
    for (index, line) in TABLE.iter().enumerate() {
        assert_eq!(line.op as usize, index, "{}", line.mnemonic);
        assert_eq!(line.op.line().mnemonic, line.mnemonic);
    }
}

#[test]
fn table_lines_are_well_formed() {
    let mut names = BTreeSet::new();
    for line in TABLE {
        let name = line.mnemonic;
        assert!(names.insert(name), "{name} stands twice");
        assert_eq!(line.match_bits & !line.mask_bits, 0, "{name}: a fixed bit outside of the mask");
        assert_eq!(line.match_bits & 3, 3, "{name}: a compressed encoding");
        assert_eq!(line.mask_bits & 0x7f, 0x7f, "{name}: an opcode bit is free");
        assert!(Variant::ALL.iter().any(|&variant| line.ignored_bits(variant).is_some()), "{name}: legal nowhere");
        for variant in Variant::ALL {
            let ignored = line.ignored_bits(variant).unwrap_or(0);
            assert_eq!(ignored & !line.mask_bits, 0, "{name}: ignores a bit that is not fixed");
            assert_eq!(line.matches(line.match_bits, variant), line.ignored_bits(variant).is_some(), "{name}");
        }
        assert_eq!(line.mask_bits & operand_bits(line.format), 0, "{name}: an operand bit is fixed");
        let formats: &[Format] = match line.class {
            Class::Compute => &[Format::R, Format::I, Format::Shift, Format::U],
            Class::Load | Class::JumpIndirect => &[Format::I],
            Class::Store => &[Format::S],
            Class::Branch => &[Format::B],
            Class::Jump => &[Format::J],
            Class::Fence | Class::System => &[Format::None],
        };
        assert!(formats.contains(&line.format), "{name}: {:?} in {:?}", line.class, line.format);
        let bytes = match name {
            "lb" | "lbu" | "sb" => 1,
            "lh" | "lhu" | "sh" => 2,
            "lw" | "sw" => 4,
            _ => 0,
        };
        assert_eq!(line.access_bytes(), bytes, "{name}");
    }
}

/// Two lines share a word exactly if their values agree in the bits that both fix.
#[test]
fn no_word_is_two_instructions() {
    for variant in Variant::ALL {
        let fixed = |line: &Line| line.ignored_bits(variant).map(|ignored| line.mask_bits & !ignored);
        for (index, one) in TABLE.iter().enumerate() {
            for other in &TABLE[..index] {
                let (Some(a), Some(b)) = (fixed(one), fixed(other)) else { continue };
                let told_apart = (one.match_bits ^ other.match_bits) & a & b;
                assert_ne!(told_apart, 0, "{} and {} in {variant:?}", one.mnemonic, other.mnemonic);
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The decoder

/// Decodes `word` in every variant, and compares the result with a search of the whole table and with the positions of
/// the operand fields.
fn check_word(word: u32) {
    for variant in Variant::ALL {
        let line = TABLE.iter().find(|line| line.matches(word, variant));
        let decoded = decode(word, variant);
        assert_eq!(decoded.map(|it| it.op), line.map(|it| it.op), "{word:#010x} in {variant:?}");
        let (Some(it), Some(line)) = (decoded, line) else { continue };

        let format = line.format;
        let field = |has: bool, low: u32| if has { (word >> low & 31) as u8 } else { 0 };
        assert_eq!(it.rd, field(format.has_rd(), 7), "{word:#010x}: rd");
        assert_eq!(it.rs1, field(format.has_rs1(), 15), "{word:#010x}: rs1");
        assert_eq!(it.rs2, field(format.has_rs2(), 20), "{word:#010x}: rs2");
        assert_eq!(it.imm, gather(format, word), "{word:#010x}: imm");

        let canonical =
            word & (operand_bits(format) | line.mask_bits) & !line.ignored_bits(variant).unwrap_or(0) | line.match_bits;
        assert_eq!(encode(it), canonical, "{word:#010x}: encoding of {it:?}");
        assert_eq!(decode(encode(it), variant), Some(it), "{word:#010x}: {it:?} again");
    }
}

#[test]
fn every_combination_of_the_fixed_fields_decodes_by_the_table() {
    // Corners of the remaining fields, as (rs2, rs1, rd): the values that some line or machine distinguishes.
    const REST: [(u32, u32, u32); 7] =
        [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0), (0, 0, 1), (31, 31, 31), (5, 0, 17)];
    for opcode in 0..0x80 {
        for funct3 in 0..8 {
            for funct7 in 0..0x80 {
                for (rs2, rs1, rd) in REST {
                    check_word(funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode);
                }
            }
        }
    }
}

#[test]
fn random_words_decode_by_the_table() {
    let mut random = Random(1);
    for _ in 0..1 << 21 {
        let word = random.word();
        check_word(word);
        check_word(word | 3);
    }
}

#[test]
fn words_of_each_line_decode_to_it_and_back() {
    let mut random = Random(2);
    for line in TABLE {
        for variant in Variant::ALL {
            let Some(ignored) = line.ignored_bits(variant) else { continue };
            for _ in 0..1000 {
                let word = random.word() & (ignored | !line.mask_bits) | line.match_bits & !ignored;
                assert_eq!(decode(word, variant).map(|it| it.op), Some(line.op), "{word:#010x} in {variant:?}");
                check_word(word);
                if variant == Variant::Standard && line.format != Format::None {
                    assert_eq!(decode(word, variant).map(encode), Some(word), "standard words are canonical");
                }
            }
        }
    }
}

#[test]
fn immediates_survive_at_both_ends_and_between() {
    let mut random = Random(3);
    for line in TABLE {
        let variant = home(line);
        for imm in immediates(line.format, &mut random) {
            let it = Instruction {
                op: line.op,
                rd: if line.format.has_rd() { random.register() } else { 0 },
                rs1: if line.format.has_rs1() { random.register() } else { 0 },
                rs2: if line.format.has_rs2() { random.register() } else { 0 },
                imm,
            };
            let word = encode(it);
            assert_eq!(decode(word, variant), Some(it), "{word:#010x}");
            assert_eq!(word & immediate_bits(line.format), scatter(line.format, imm), "{word:#010x}: {it:?}");
        }
    }
}

/// An operand that does not fit its field is cut and never spills into another.
#[test]
fn encode_cuts_what_does_not_fit() {
    let mut random = Random(4);
    for line in TABLE {
        for _ in 0..1000 {
            let bytes = random.word().to_le_bytes();
            let it = Instruction { op: line.op, rd: bytes[0], rs1: bytes[1], rs2: bytes[2], imm: random.word() };
            let word = encode(it);
            assert!(line.matches(word, home(line)), "{word:#010x}: {it:?}");
            assert_eq!(word & immediate_bits(line.format), scatter(line.format, it.imm), "{word:#010x}: {it:?}");
        }
    }
}

/// Words at the borders of the two machines, and whether each is legal there. The r0vm column is from
/// risc0-circuit-rv32im 4.0.5.
#[test]
fn the_variants_border_where_their_sources_say() {
    const BORDERS: &[(u32, bool, bool, &str)] = &[
        // word, standard, r0vm
        (0x0000_0000, false, false, "all zero"),
        (0xffff_ffff, false, false, "all one"),
        (0x0000_4501, false, false, "c.li"),
        (0x0000_8082, false, false, "c.jr ra"),
        (0x0000_0010, false, false, "addi's opcode without its low bits"),
        (0xc000_1073, false, false, "csrrw: unimp"),
        (0xc000_2573, false, false, "csrrs: rdcycle a0"),
        (0x3411_5073, false, false, "csrrwi"),
        (0x0002_3503, false, false, "ld"),
        (0x0002_6503, false, false, "lwu"),
        (0x00a2_3023, false, false, "sd"),
        (0x0015_051b, false, false, "addiw"),
        (0x00b5_053b, false, false, "addw"),
        (0x1005_252f, false, false, "lr.w"),
        (0x00b5_252f, false, false, "amoadd.w"),
        (0x0005_2507, false, false, "flw"),
        (0x00a5_2027, false, false, "fsw"),
        (0x0000_3507, false, false, "fld"),
        (0x02b5_7553, false, false, "fadd.d"),
        (0x68c5_8543, false, false, "fmadd.s"),
        (0x0000_2063, false, false, "branch with funct3 2"),
        (0x0000_3063, false, false, "branch with funct3 3"),
        (0x0215_9513, false, false, "slli with shift amount 33"),
        (0x0215_d513, false, false, "srli with shift amount 33"),
        (0x8015_d513, false, false, "srli with a wrong funct7"),
        (0x4015_9513, false, false, "slli with srai's funct7"),
        (0x40b5_1533, false, false, "sll with sub's funct7"),
        (0x40b5_7533, false, false, "andn"),
        (0x04b5_0533, false, false, "add with a wrong funct7"),
        (0x80b5_0533, false, false, "add with the top bit"),
        (0x03f5_0533, true, true, "mul"),
        (0x0005_00e7, true, true, "jalr"),
        (0x0005_10e7, false, true, "jalr with funct3 1"),
        (0x0005_70e7, false, true, "jalr with funct3 7"),
        (0x0ff0_000f, true, false, "fence"),
        (0x0000_000f, true, false, "fence with empty sets"),
        (0xfff5_058f, true, false, "fence with reserved fields"),
        (0x8330_000f, true, false, "fence.tso"),
        (0x0000_100f, true, false, "fence.i"),
        (0x0000_200f, false, false, "fence's opcode with funct3 2"),
        (0x0000_0073, true, true, "ecall"),
        (0x0000_0f73, false, true, "ecall with rd"),
        (0x000f_8073, false, true, "ecall with rs1"),
        (0x0000_1073, false, false, "ecall with funct3"),
        (0x0200_0073, false, false, "ecall with funct7"),
        (0x0010_0073, true, true, "ebreak"),
        (0x001f_8f73, false, true, "ebreak with rd and rs1"),
        (0x0020_0073, false, false, "ecall with rs2 2: uret"),
        (0x01f0_0073, false, false, "ecall with rs2 31"),
        (0x3020_0073, false, true, "mret"),
        (0x3000_0073, false, true, "mret with rs2 0"),
        (0x31f0_0073, false, true, "mret with rs2 31"),
        (0x302f_8f73, false, true, "mret with rd and rs1"),
        (0x3020_1073, false, false, "mret with funct3"),
        (0x1020_0073, false, false, "sret"),
        (0x1050_0073, false, false, "wfi"),
    ];
    for &(word, standard, r0vm, what) in BORDERS {
        for (variant, legal) in [(Variant::Standard, standard), (Variant::R0vm, r0vm)] {
            assert_eq!(decode(word, variant).is_some(), legal, "{word:#010x} in {variant:?}: {what}");
            check_word(word);
            let text = disassemble(word, 0, variant);
            let raw = text == format!(".word {word:#010x}") || text == "unimp";
            assert_eq!(raw, !legal, "{word:#010x} in {variant:?} reads {text:?}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The disassembler

/// Differences from objdump, as the first comment of the module lists them.
#[test]
fn disassembly_where_it_is_not_objdumps() {
    let text = |word| disassemble(word, 0x1000, Variant::R0vm);
    assert_eq!(text(0x0000_0000), ".word 0x00000000");
    assert_eq!(text(0x0ff0_000f), ".word 0x0ff0000f", "a fence is no instruction in r0vm");
    assert_eq!(text(0x0000_0f73), "ecall", "unchecked fields do not show");
    assert_eq!(text(0x0045_72e7), "jalr t0,4(a0)");

    let text = |word| disassemble(word, 0x1000, Variant::Standard);
    assert_eq!(text(0x3020_0073), ".word 0x30200073", "mret is no instruction in standard");
    assert_eq!(text(0x0ff0_058f), "fence", "reserved fields do not show");
    assert_eq!(text(0x9330_000f), "fence rw,rw");
    assert_eq!(text(0xfff0_100f), "fence.i");
}

#[test]
fn disassembly_is_total() {
    let mut random = Random(5);
    for _ in 0..100_000 {
        for variant in Variant::ALL {
            let word = random.word();
            let text = disassemble(word, random.word(), variant);
            assert_eq!(text.starts_with(".word"), decode(word, variant).is_none() && text != "unimp", "{text}");
        }
    }
}

/// The golden file is objdump's own listing of [`program`], so this test also works without objdump.
#[test]
fn disassembly_equals_the_golden_listing() {
    if std::env::var_os("TACHY_UPDATE_GOLDEN").is_some() {
        write_golden_listing();
    }
    let golden = std::fs::read_to_string(golden_path()).expect("the golden listing is part of the repository");
    let listing: Vec<Listed> = golden
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let mut next = || parts.next().expect("pc, word and text");
            Listed { pc: hex(next()), word: hex(next()), text: next().to_string() }
        })
        .collect();
    assert_same(&listing);
    assert_covers(&listing);
}

#[test]
fn disassembly_equals_objdumps_of_a_generated_program() {
    let Some(listing) = list_generated(400, "every_line.bin") else { return };
    assert_same(&listing);
    assert_covers(&listing);
}

#[test]
fn disassembly_equals_objdumps_of_every_guest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/bin");
    let mut guests: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("guests/bin is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension() == Some(OsStr::new("elf")))
        .collect();
    guests.sort();
    assert!(!guests.is_empty(), "no guest in {}", folder.display());
    for guest in guests {
        let Some(mut listing) = objdump(&["-d".as_ref(), guest.as_ref()]) else { return };
        // Drops constants in the code, and instructions that the ELF's attributes do not declare: fence.i counts as an
        // extension.
        listing.retain(|it| !it.text.starts_with('.'));
        assert!(listing.len() > 50, "{}: objdump lists {} instructions", guest.display(), listing.len());
        assert_same(&listing);
    }
}

/// Rewrites the golden listing from objdump.
fn write_golden_listing() {
    let listing = list_generated(10, "golden.bin").expect("objdump writes the golden listing");
    let mut golden = String::from(
        "# pc, word and text as riscv64-unknown-elf-objdump lists them, normalised as tests/it/program/decoding.rs does.\n\
         # Written by: TACHY_UPDATE_GOLDEN=1 cargo test --test it decoding\n",
    );
    for Listed { pc, word, text } in &listing {
        writeln!(golden, "{pc:08x} {word:08x} {text}").expect("a String takes every text");
    }
    std::fs::write(golden_path(), golden).expect("tests/golden is writable");
}

/// An instruction in a listing.
struct Listed {
    pc: u32,
    word: u32,
    text: String,
}

fn golden_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/disassembly.txt")
}

fn hex(text: &str) -> u32 {
    u32::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{text:?} is no hexadecimal number"))
}

fn assert_same(listing: &[Listed]) {
    for Listed { pc, word, text } in listing {
        let variant = match decode(*word, Variant::Standard) {
            Some(_) => Variant::Standard,
            None => Variant::R0vm,
        };
        assert_eq!(&disassemble(*word, *pc, variant), text, "{word:#010x} at {pc:#x}");
    }
}

/// Asserts that a listing contains every line of the table and every pseudo-instruction.
fn assert_covers(listing: &[Listed]) {
    const PSEUDO: &str = "nop li mv zext.b not seqz neg snez sltz sgtz beqz bnez blez bgez bltz bgtz j jr ret \
                          fence.tso unimp";
    let shown: BTreeSet<&str> = listing.iter().filter_map(|it| it.text.split(' ').next()).collect();
    let mut missing: Vec<&str> = TABLE.iter().map(|line| line.mnemonic).chain(PSEUDO.split_whitespace()).collect();
    missing.retain(|name| !shown.contains(name));
    assert!(missing.is_empty(), "not in the listing: {missing:?}");
}

/// Builds a program with each line of the table `per_line` times with random operands, plus words that chance would
/// miss.
fn program(per_line: usize) -> Vec<u32> {
    let mut random = Random(6);
    let mut words = vec![
        0xc000_1073, // unimp
        0x0000_0013, // nop
        0x0005_8513, // mv a0,a1
        0x0ff5_f513, // zext.b a0,a1
        0x0000_8067, // ret
        0x0ff0_000f, // fence
        0x8330_000f, // fence.tso
    ];
    for line in TABLE {
        for _ in 0..per_line {
            let imm = random.immediate(line.format);
            let [rd, rs1, rs2] = [(); 3].map(|()| random.register());
            let word = encode(Instruction { op: line.op, rd, rs1, rs2, imm });
            let sets = if line.op == Op::Fence { random.word() & 0x0ff0_0000 } else { 0 };
            words.push(word | sets);
        }
    }
    words.dedup();
    words
}

/// Returns objdump's listing of [`program`], or `None` if objdump is not installed.
fn list_generated(per_line: usize, file: &str) -> Option<Vec<Listed>> {
    let words = program(per_line);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&path, bytes).expect("cargo's own temporary folder is writable");
    // The address is so low that the longest backward jumps wrap around the address space.
    let options = ["-b", "binary", "-m", "riscv:rv32", "-D", "-z", "--adjust-vma=0x10000"];
    let arguments: Vec<&OsStr> = options.iter().map(OsStr::new).chain([path.as_ref()]).collect();
    let listing = objdump(&arguments)?;
    assert!(listing.iter().map(|it| it.word).eq(words), "objdump lists other words than it was given");
    Some(listing)
}

/// Runs objdump. Returns `None`, with a notice, if it is not installed.
fn objdump(arguments: &[&OsStr]) -> Option<Vec<Listed>> {
    const OBJDUMP: &str = "riscv64-unknown-elf-objdump";
    let output = match Command::new(OBJDUMP).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {OBJDUMP} is not installed (Debian: binutils-riscv64-unknown-elf)");
            return None;
        }
        Err(error) => panic!("{OBJDUMP} does not run: {error}"),
    };
    assert!(output.status.success(), "{OBJDUMP}: {}", String::from_utf8_lossy(&output.stderr));
    // An instruction's line is `   pc:<tab>word<padding><tab>text`; headings and labels have no tab.
    let lines = String::from_utf8(output.stdout).expect("objdump writes ASCII");
    Some(
        lines
            .lines()
            .filter_map(|line| line.split_once(":\t"))
            .map(|(pc, rest)| {
                let (word, text) = rest.split_once('\t').expect("a word and its text");
                Listed { pc: hex(pc.trim()), word: hex(word.trim()), text: normalise(text) }
            })
            .collect(),
    )
}

/// Removes what only objdump prints: comments, symbols and with them bare addresses, tabs, and the names without `i`
/// that binutils 2.40 gives to operations on an immediate.
fn normalise(text: &str) -> String {
    let text = text.split('#').next().unwrap_or(text);
    let (text, symbol) = text.split_once('<').unwrap_or((text, ""));
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or("");
    let Some(operands) = words.next() else { return name.to_string() };
    assert_eq!(words.next(), None, "{text:?}: more than a name and operands");

    let (before, last) = operands.rsplit_once(',').map_or(("", operands), |(before, last)| (before, last));
    let comma = if before.is_empty() { "" } else { "," };
    let shortened = matches!(name, "add" | "and" | "or" | "xor" | "sll" | "srl" | "sra");
    let i = if shortened && last.starts_with(|c: char| c == '-' || c.is_ascii_digit()) { "i" } else { "" };
    let prefix = if symbol.is_empty() { "" } else { "0x" };
    format!("{name}{i} {before}{comma}{prefix}{last}")
}

// ---------------------------------------------------------------------------------------------------------------------
// A second implementation of the immediates, bit by bit as the manual draws them

/// Returns the runs of a format's immediate, from bit 31 down: (lowest bit in the word, bits, lowest bit in the
/// immediate).
fn runs(format: Format) -> &'static [(u32, u32, u32)] {
    match format {
        Format::R | Format::None => &[],
        Format::I => &[(20, 12, 0)],
        Format::Shift => &[(20, 5, 0)],
        Format::S => &[(25, 7, 5), (7, 5, 0)],
        Format::B => &[(31, 1, 12), (25, 6, 5), (8, 4, 1), (7, 1, 11)],
        Format::U => &[(12, 20, 12)],
        Format::J => &[(31, 1, 20), (21, 10, 1), (20, 1, 11), (12, 8, 12)],
    }
}

/// Returns the bits that `imm` occupies in a word.
fn scatter(format: Format, imm: u32) -> u32 {
    runs(format).iter().map(|&(word, bits, low)| (imm >> low & ((1 << bits) - 1)) << word).sum()
}

/// Returns the immediate of a word, sign-extended from its highest bit if the format is signed.
fn gather(format: Format, word: u32) -> u32 {
    let imm: u32 = runs(format).iter().map(|&(from, bits, low)| (word >> from & ((1 << bits) - 1)) << low).sum();
    match sign_bit(format) {
        Some(sign) if imm >> sign & 1 == 1 => imm | u32::MAX << sign,
        _ => imm,
    }
}

fn sign_bit(format: Format) -> Option<u32> {
    match format {
        Format::I | Format::S => Some(11),
        Format::B => Some(12),
        Format::J => Some(20),
        Format::R | Format::Shift | Format::U | Format::None => None,
    }
}

/// Returns the bits of a word that hold the immediate.
fn immediate_bits(format: Format) -> u32 {
    scatter(format, u32::MAX)
}

/// Returns the bits of a word that hold any operand.
fn operand_bits(format: Format) -> u32 {
    let field = |has: bool, low: u32| if has { 31 << low } else { 0 };
    immediate_bits(format) | field(format.has_rd(), 7) | field(format.has_rs1(), 15) | field(format.has_rs2(), 20)
}

/// Returns immediates that fit `format`: zero, both ends, each single bit, and random ones.
fn immediates(format: Format, random: &mut Random) -> Vec<u32> {
    let all = immediate_bits(format);
    let mut words = vec![0, all, all & 0x7fff_ffff, all & 0x8000_0000];
    words.extend((0..32).map(|bit| all & 1 << bit));
    words.extend((0..1000).map(|_| all & random.word()));
    words.into_iter().map(|word| gather(format, word)).collect()
}

/// Returns the variant in which a line's canonical words are legal, preferably the standard one.
fn home(line: &Line) -> Variant {
    if line.ignored_bits(Variant::Standard).is_some() { Variant::Standard } else { Variant::R0vm }
}

// ---------------------------------------------------------------------------------------------------------------------
// Random operands

/// SplitMix64 by Steele, Lea and Flood: the same words for a seed, everywhere.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }

    /// Returns a register number. Half of the time it is zero or ra, which occur in pseudo-instructions.
    fn register(&mut self) -> u8 {
        let word = self.word();
        (if word & 0x100 == 0 { word & 1 } else { word & 31 }) as u8
    }

    /// Returns an immediate for `format`. Half of the time it belongs to a pseudo-instruction or is an extreme value.
    fn immediate(&mut self, format: Format) -> u32 {
        const CORNERS: [u32; 8] = [0, 1, 255, u32::MAX, 0, 1, 0x7ff, 0xffff_f800];
        let word = self.word();
        let imm = if word & 0x100 == 0 { CORNERS[(word & 7) as usize] } else { self.word() };
        gather(format, scatter(format, imm))
    }
}
