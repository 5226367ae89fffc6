//! Generates random whole programs from a seed. Structured programs loop, call, switch, patch their own code and make
//! system calls for a chosen number of steps. Soups are random instructions in which control goes anywhere. Operands,
//! constants, amounts and addresses are hostile wherever possible (`hostile`, `chains`, `groups`).
//!
//! Every program ends by itself, with a trap, or at a limit. A program is kept as words, so that a failing one can be
//! shrunk (`shrink`) and saved (`regression`).

mod chains;
mod groups;
mod hostile;
pub mod kernel;
mod shrink;
mod soup;
mod structured;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tachy::decode::{Instruction, encode};
use tachy::disasm::disassemble;
use tachy::isa::{Class, Format, Line, Op, TABLE, Variant};
use tachy::program::{Permissions, Segment};
use tachy::{Limits, MachineKind, Program};

use super::assembler::{Assembled, Assembler, Label};
use super::engines::Case;
use super::rng::Rng;
use kernel::Kernel;

/// `addi x0, x0, 0`.
pub const NOP: u32 = 0x13;

/// Base of the data area: some readable and writable pages, of which the last is partly initialised. The area is larger
/// than 4 KiB, so that an offset mistaken for unsigned is still inside.
const DATA: u32 = 0x0004_0000;
const DATA_WORDS: usize = 7 * 256 + 40;
/// The first address after its pages.
const DATA_END: u32 = DATA + 8 * 1024;
/// Base of the read-only area with constants and tables of addresses.
const CONSTANTS: u32 = 0x0006_0000;
const CONSTANTS_MAX: usize = 900;
/// Base of pages that differ in whether they are writable and whether they are mapped.
const MIXED: u32 = 0x0005_0000;
const MIXED_PAGES: [Option<bool>; 7] = [Some(true), Some(true), Some(false), Some(true), None, Some(true), Some(false)];
/// Bytes of data at either end of the address space, in programs that have some there.
const EDGE_BYTES: u32 = 2 * 1024;
/// The first data address at the upper end.
const LAST_PAGES: u32 = 0u32.wrapping_sub(EDGE_BYTES);

// Reserved registers; the others are for random code.
const RA: u8 = 1;
const SP: u8 = 2;
/// Points into the data area.
const DATA_POINTER: u8 = 3;
/// Points at the constants.
const CONSTANT_POINTER: u8 = 4;
const A0: u8 = 10;
const A1: u8 = 11;
const A2: u8 = 12;
const A7: u8 = 17;
/// Counts down a recursion.
const RECURSION: u8 = 24;
/// Count down the loops of a function, one register per nesting level.
const COUNTERS: [u8; 3] = [25, 26, 27];
/// Registers that random code may write.
const WORKING: [u8; 23] = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 28, 29, 30, 31];

/// A random program, in parts that can be changed separately.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RandomProgram {
    pub seed: u64,
    pub entry: u32,
    pub code_base: u32,
    pub code: Vec<u32>,
    pub code_writable: bool,
    pub data: Vec<u32>,
    pub constants: Vec<u32>,
    /// Whether there is also data at both ends of the address space.
    #[serde(default)]
    pub has_edges: bool,
    /// The kernel under which the program runs as a user, on machine `r0vm`.
    #[serde(default)]
    pub kernel: Option<Kernel>,
    pub stdin: Vec<u8>,
    pub limit_steps: u64,
    pub limit_memory_bytes: Option<u64>,
    pub limit_output_bytes: Option<u64>,
}

/// How long programs are.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// Approximate number of steps of the longest programs.
    pub steps: u64,
    /// Maximum number of constructs in the outermost loop.
    pub constructs: u32,
}

impl Length {
    /// For tests that always run: thousands to tens of thousands of steps.
    pub const TEST: Length = Length { steps: 40_000, constructs: 9 };
    /// Few instructions and many steps, which checks the most rows per second.
    #[allow(dead_code, reason = "for the soak, which is no test")]
    pub const SOAK: Length = Length { steps: 400_000, constructs: 4 };
}

/// Generates the program of a seed, in the length that tests use.
pub fn generate(seed: u64) -> RandomProgram {
    generate_of(seed, Length::TEST)
}

/// Generates the program of a seed and a length.
pub fn generate_of(seed: u64, length: Length) -> RandomProgram {
    let mut rng = Rng::new(seed);
    match rng.below(5) {
        0 => soup::generate(seed, rng, length, false),
        _ => structured::generate(seed, rng, length, false),
    }
}

impl RandomProgram {
    pub fn case(&self) -> Case {
        let code = if self.code_writable { Permissions::RWX } else { Permissions::RX };
        let mut segments = vec![
            Segment::from_words(self.code_base, &self.code, code),
            Segment::from_words(DATA, &self.data, Permissions::RW),
            Segment::from_words(CONSTANTS, &self.constants, Permissions::R),
        ];
        for (address, may_write) in (MIXED..).step_by(1024).zip(MIXED_PAGES) {
            if let Some(write) = may_write {
                let permissions = if write { Permissions::RW } else { Permissions::R };
                segments.push(Segment::from_words(address, &self.data[..256], permissions));
            }
        }
        if self.has_edges && self.kernel.is_none() {
            let words = &self.data[..EDGE_BYTES as usize / 4];
            segments.extend([0, LAST_PAGES].map(|address| Segment::from_words(address, words, Permissions::RW)));
        }
        segments.extend(self.kernel.iter().flat_map(Kernel::segments));
        let entry = self.kernel.as_ref().map_or(self.entry, Kernel::entry);
        let program = Program::from_segments(entry, segments).expect("generated programs are well formed");
        let limits = Limits::none()
            .steps(self.limit_steps)
            .memory_bytes(self.limit_memory_bytes)
            .output_bytes(self.limit_output_bytes)
            .time(None)
            .cycles(None);
        let machine = if self.kernel.is_some() { MachineKind::R0vm } else { MachineKind::Bare };
        let segment_po2 = self.kernel.as_ref().map(|kernel| kernel.segment_po2);
        Case { machine, stdin: self.stdin.clone(), limits, segment_po2, whole_memory: false, ..Case::new(program) }
    }

    /// Lists the code as text, without runs of nops.
    pub fn listing(&self) -> String {
        let kind = if self.code_writable { "writable" } else { "read-only" };
        let mut text = format!("entry {:#x}, {kind} code, limit {} steps\n", self.entry, self.limit_steps);
        list(&mut text, self.code_base, &self.code, self.entry);
        if let Some(kernel) = &self.kernel {
            let Kernel { user_start, ecall_handler, trap_handlers, segment_po2, .. } = kernel;
            let _ = writeln!(text, "kernel, user from {user_start:#x} + 4 on, segments of 2^{segment_po2} cycles,");
            let _ = writeln!(text, "calls to {ecall_handler:#x}, traps to {trap_handlers:x?}");
            list(&mut text, kernel.entry(), &kernel.code, kernel.entry());
        }
        text
    }
}

/// Lists code as text, without runs of nops but with `entry`.
fn list(text: &mut String, base: u32, code: &[u32], entry: u32) {
    let mut nops = 0;
    for (index, &word) in code.iter().enumerate() {
        let pc = base + 4 * index as u32;
        if word == NOP && pc != entry {
            nops += 1;
            continue;
        }
        if nops > 0 {
            let _ = writeln!(text, "  ({nops} nops)");
            nops = 0;
        }
        let _ = writeln!(text, "  {pc:#x}: {word:08x}  {}", disassemble(word, pc, Variant::R0vm));
    }
    if nops > 0 {
        let _ = writeln!(text, "  ({nops} nops)");
    }
}

/// A program under construction: code, constants, and the registers of random code.
struct Draft {
    rng: Rng,
    asm: Assembler,
    constants: Vec<Constant>,
    /// The working registers of this program. Fewer registers mean more dependencies.
    working: Vec<u8>,
    /// Registers with hostile values that the surrounding loop relies on.
    held: Vec<hostile::Held>,
    /// Offsets of hostile values in the table of constants.
    words: BTreeMap<u32, i32>,
    has_edges: bool,
    /// Whether the program is a kernel, or the user of one.
    with_kernel: bool,
    /// The address that the table of constants will have.
    constants_at: u32,
}

/// A word of the table of constants.
#[derive(Clone, Copy)]
enum Constant {
    Word(u32),
    Address(Label),
}

impl Draft {
    fn new(mut rng: Rng, with_kernel: bool) -> Draft {
        // Starts anywhere in a page, so that code crosses into the next page at any place.
        let base = 0x1_0000 + 4 * rng.between(0, 256);
        let mut working = WORKING.to_vec();
        for kept in 0..working.len() {
            let other = kept + rng.below((working.len() - kept) as u64) as usize;
            working.swap(kept, other);
        }
        working.truncate(rng.between(5, WORKING.len() as u32 + 1) as usize);
        let has_edges = rng.one_in(if with_kernel { 16 } else { 4 });
        Draft {
            rng,
            asm: Assembler::new(base),
            constants: Vec::new(),
            working,
            held: Vec::new(),
            words: BTreeMap::new(),
            has_edges,
            with_kernel,
            constants_at: CONSTANTS,
        }
    }

    /// Picks a register that random code may write.
    fn destination(&mut self) -> u8 {
        match self.rng.one_in(16) {
            true => 0,
            false => self.working(),
        }
    }

    /// Picks a working register, never x0.
    fn working(&mut self) -> u8 {
        let index = self.rng.below(self.working.len() as u64);
        self.working[index as usize]
    }

    /// Picks two different working registers.
    fn two_working(&mut self) -> (u8, u8) {
        let first = self.working();
        loop {
            let second = self.working();
            if second != first {
                return (first, second);
            }
        }
    }

    /// Picks a register to read: mostly a working one, sometimes any.
    fn source(&mut self) -> u8 {
        match self.rng.below(16) {
            0 | 1 => self.rng.between(0, 32) as u8,
            2..6 if !self.held.is_empty() => self.rng.pick(&self.held).0,
            _ => self.working(),
        }
    }

    /// Returns a random instruction of class Compute.
    fn random_compute(&mut self) -> Instruction {
        let line = loop {
            let line = &TABLE[self.rng.below(TABLE.len() as u64) as usize];
            if line.class == Class::Compute {
                break line;
            }
        };
        let imm = self.random_immediate(line);
        Instruction { op: line.op, rd: self.destination(), rs1: self.source(), rs2: self.source(), imm }
    }

    fn random_immediate(&mut self, line: &Line) -> u32 {
        match line.format {
            Format::U => self.rng.word() & 0xffff_f000,
            Format::Shift => self.rng.between(0, 32),
            _ => match self.rng.below(3) {
                0 => self.edge_immediate() as u32,
                _ => self.rng.between(0, 4096).wrapping_sub(2048),
            },
        }
    }

    /// Emits a random computation. Some have one or two hostile operands.
    fn compute(&mut self) {
        let mut instruction = self.random_compute();
        if self.rng.one_in(8) {
            instruction.rs2 = self.hostile_operand(&[instruction.rs1]);
        }
        if self.rng.one_in(8) {
            instruction.rs1 = self.hostile_operand(&[instruction.rs2]);
        }
        self.asm.word(encode(instruction));
    }

    /// Adds a constant and returns its byte offset from the constant pointer, or `None` if the table is full.
    fn constant(&mut self, constants: &[Constant]) -> Option<i32> {
        let index = self.constants.len();
        if index + constants.len() > CONSTANTS_MAX {
            return None;
        }
        self.constants.extend(constants);
        Some(4 * index as i32 - 2048)
    }

    /// Sets the pointers that code relies on.
    fn set_pointers(&mut self) {
        let middle = DATA + 4 * self.rng.between(0, DATA_WORDS as u32);
        self.asm.li(DATA_POINTER, middle);
        self.asm.li(CONSTANT_POINTER, self.constants_at + 2048);
    }

    /// Emits an aligned access into the data area, through its pointer or a working register.
    fn access(&mut self) {
        let line = self.access_line();
        let bytes = line.access_bytes();
        // Picks page edges as often as everything else.
        let at = match self.rng.below(2) {
            0 => self.rng.between(0, 4 * DATA_WORDS as u32),
            _ => (1024 * self.rng.between(0, 8) + self.rng.between(0, 16)).saturating_sub(8),
        };
        let target = DATA + at / bytes * bytes;
        let (register, other) = self.two_working();
        let imm = self.rng.between(0, 4096) as i32 - 2048;
        self.asm.li(register, target.wrapping_sub(imm as u32));
        let (destination, source) = (self.destination(), if self.rng.one_in(6) { register } else { other });
        self.asm.op(line.op, destination, register, source, imm);
    }

    /// Emits an access at an address computed from random values; a mask keeps it inside the data area.
    fn computed_access(&mut self) {
        let (register, source) = self.two_working();
        let (op, mask) = self.rng.pick(&[
            (Op::Lw, 0x3fc),
            (Op::Sw, 0x3fc),
            (Op::Lbu, 0x7ff),
            (Op::Sb, 0x7ff),
            (Op::Lh, 0x7fe),
            (Op::Sh, 0x7fe),
        ]);
        let value = self.source();
        self.asm.i(Op::Andi, register, value, mask);
        self.asm.li(source, DATA);
        self.asm.r(Op::Add, register, register, source);
        let rd = self.destination();
        let rs2 = self.source();
        self.asm.op(op, rd, register, rs2, 0);
    }

    /// Returns the code and the table of constants.
    fn assemble(self) -> (Assembled, Vec<u32>) {
        let assembled = self.asm.finish();
        let constants = self.constants.iter().map(|constant| match *constant {
            Constant::Word(word) => word,
            Constant::Address(label) => assembled.address(label),
        });
        // A segment is never empty.
        let constants = constants.chain([0]).collect();
        (assembled, constants)
    }

    /// Completes the program, which starts at `entry`.
    fn finish(mut self, seed: u64, entry: u32, code_writable: bool, limit_steps: u64) -> RandomProgram {
        let data = (0..DATA_WORDS).map(|_| self.rng.word()).collect();
        // Input that is read into code consists of instructions. Reads take whole words, so they stay whole.
        let stdin = (0..64).flat_map(|_| encode(self.random_compute()).to_le_bytes()).collect();
        let code_base = self.asm.base();
        let (has_edges, constants_count) = (self.has_edges, self.constants.len() + 1);
        let mut rng = Rng::new(self.rng.bits());
        let (assembled, constants) = self.assemble();
        // The program maps some pages at its start and touches pages of its stack and heap. The limit may be too low
        // for these.
        let stack_pages = 1;
        let edge_pages = if has_edges { 2 * EDGE_BYTES / 1024 } else { 0 };
        let pages = stack_pages
            + u64::from(edge_pages)
            + MIXED_PAGES.iter().flatten().count() as u64
            + pages_of(code_base, assembled.words.len())
            + pages_of(DATA, DATA_WORDS)
            + pages_of(CONSTANTS, constants_count);
        let limit_memory_bytes = rng.one_in(24).then(|| 1024 * (pages + rng.below(3)));
        let limit_output_bytes = rng.one_in(24).then(|| rng.below(400));
        RandomProgram {
            seed,
            entry,
            code_base,
            code: assembled.words,
            code_writable,
            data,
            constants,
            has_edges,
            kernel: None,
            stdin,
            limit_steps,
            limit_memory_bytes,
            limit_output_bytes,
        }
    }
}

/// Returns how many pages of 1 KiB `words` words at `base` take.
fn pages_of(base: u32, words: usize) -> u64 {
    let end = u64::from(base) + 4 * words as u64;
    end.div_ceil(1024) - u64::from(base) / 1024
}
