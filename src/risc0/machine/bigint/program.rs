//! The bytecode of big-integer programs: header, types, constants, operations. This file must not know what operations
//! do.
//!
//! All fields are little-endian. The header has six words: magic, version, and the numbers of inputs, types, constants
//! and operations. Then follow inputs of 16 bytes, types of 32, constants of 8 and operations of 8. Inputs describe
//! arguments to the program's compiler. Only the first field of a type matters here: the number of bytes that a value
//! takes in memory. Bytes after the last operation are ignored.

use super::BigIntError;

const MAGIC: u32 = u32::from_le_bytes(*b"bibc");
const HEADER_BYTES: usize = 24;
const INPUT_BYTES: u64 = 16;
const TYPE_BYTES: usize = 32;
const WORD_BYTES: usize = 8;

/// Kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Const,
    Load,
    Store,
    Calculate(Calculation),
}

/// Operations on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calculation {
    Add,
    Sub,
    Mul,
    Rem,
    Quo,
    Inv,
}

impl Code {
    fn new(bits: u8) -> Option<Code> {
        Some(match bits {
            0x2 => Code::Const,
            0x3 => Code::Load,
            0x4 => Code::Store,
            0x8 => Code::Calculate(Calculation::Add),
            0x9 => Code::Calculate(Calculation::Sub),
            0xa => Code::Calculate(Calculation::Mul),
            0xb => Code::Calculate(Calculation::Rem),
            0xc => Code::Calculate(Calculation::Quo),
            0xe => Code::Calculate(Calculation::Inv),
            _ => return None,
        })
    }
}

/// One operation. The meaning of `a` and `b` depends on the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(super) code: Code,
    /// Index of its result's type, 12 bits.
    pub(super) result_type: u32,
    /// First operand, 24 bits.
    pub(super) a: u32,
    /// Second operand, 24 bits.
    pub(super) b: u32,
}

impl Operation {
    fn new(bits: u64) -> Result<Operation, u8> {
        let code = bits as u8 & 0xf;
        Ok(Operation {
            code: Code::new(code).ok_or(code)?,
            result_type: (bits >> 4) as u32 & 0xfff,
            a: (bits >> 16) as u32 & 0xff_ffff,
            b: (bits >> 40) as u32,
        })
    }

    /// Returns the register that holds the arena's address, for a load or store.
    pub(super) fn arena(&self) -> u32 {
        self.a >> 16
    }

    /// Returns the offset in the arena, in chunks.
    pub(super) fn offset(&self) -> u32 {
        self.a & 0xffff
    }
}

/// A program that was parsed as a whole: the code of every operation exists. Indices are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// For each type, the bytes that a number takes in memory.
    types: Vec<u64>,
    /// Words of constants, in their bytes.
    constants: Vec<[u8; WORD_BYTES]>,
    operations: Vec<Operation>,
}

impl Program {
    /// Parses a program. Its size is bounded by that of `bytes`.
    ///
    /// # Errors
    /// Refuses bytes that end too early, another magic number or version, and an unknown operation.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Program, BigIntError> {
        let short = |part, needed| BigIntError::Short { part, needed, bytes: bytes.len() as u64 };
        let (header, rest) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| short("header", HEADER_BYTES as u64))?;
        let [magic, version, inputs, types, constants, operations] =
            bytemuck::cast::<_, [[u8; 4]; HEADER_BYTES / 4]>(*header).map(u32::from_le_bytes);
        if magic != MAGIC {
            return Err(BigIntError::Magic(magic));
        }
        if version != 1 {
            return Err(BigIntError::Version(version));
        }
        let mut taken = HEADER_BYTES as u64;
        let mut rest = rest;
        let mut take = |part, count: u32, each: u64| {
            let needed = count as u64 * each;
            taken += needed;
            let (section, after) = usize::try_from(needed)
                .ok()
                .and_then(|at| rest.split_at_checked(at))
                .ok_or_else(|| short(part, taken))?;
            rest = after;
            Ok(section)
        };
        take("list of inputs", inputs, INPUT_BYTES)?;
        let (types, _) = take("list of types", types, TYPE_BYTES as u64)?.as_chunks::<TYPE_BYTES>();
        let (constants, _) = take("list of constants", constants, WORD_BYTES as u64)?.as_chunks();
        let (operations, _) = take("list of operations", operations, WORD_BYTES as u64)?.as_chunks::<WORD_BYTES>();
        let decode = |(operation, bits): (usize, &[u8; WORD_BYTES])| {
            Operation::new(u64::from_le_bytes(*bits))
                .map_err(|code| BigIntError::Code { operation: operation as u32, code })
        };
        let operations = operations.iter().enumerate().map(decode).collect::<Result<_, _>>()?;
        let first_field = |bytes: &[u8; TYPE_BYTES]| bytes.first_chunk().map_or(0, |field| u64::from_le_bytes(*field));
        Ok(Program { types: types.iter().map(first_field).collect(), constants: constants.to_vec(), operations })
    }

    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the numbers of types and constants.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.types.len(), self.constants.len())
    }

    /// Returns the size in memory of a number of this type, before it is rounded up to whole chunks.
    pub(super) fn type_bytes(&self, index: u32) -> Option<u64> {
        self.types.get(index as usize).copied()
    }

    /// Returns `words` constants of 64 bits each from `first`, the least significant first.
    pub(super) fn constant(&self, first: u32, words: u32) -> Option<&[u8]> {
        let first = first as usize;
        // Zero words from any index are zero.
        if words == 0 {
            return Some(&[]);
        }
        self.constants.get(first..first + words as usize).map(|words| words.as_flattened())
    }
}
