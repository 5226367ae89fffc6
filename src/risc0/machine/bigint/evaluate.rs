//! Evaluates a big-integer program. It must not know who called it, nor how the bytecode is encoded.
//!
//! Each operation has a result, a number of any size with a sign, which later operations refer to by the operation's
//! index. Numbers in memory have no sign. Division truncates, a remainder has the dividend's sign. A store takes the
//! magnitude, of a later operation too, which is 0 then; all others may refer to earlier operations only.
//!
//! A program can ask for more than any prover could do with it: a loop-free 10 MiB of squarings, say. So a call has a
//! budget of work and one of memory. Both are beyond programs that are of use: exponentiating with 4,096 bits throughout,
//! each step a witness, takes half of the work.

use std::collections::BTreeMap;

use dashu_int::ops::{ExtendedGcd, RemEuclid, UnsignedAbs};
use dashu_int::{IBig, UBig};

use super::program::{Code, Operation, Program};
use super::{BigIntError, CHUNK_BYTES, LOWEST_ADDRESS, USER_END};

/// What a call may calculate, in products of two 64-bit words: a second or so.
const LIMIT_WORK: u64 = 1 << 30;
/// What all numbers of a call may take together, in bytes. The one that is one too many is made before it is refused: it
/// has 16 MiB at the most, by the work that this takes, or the length of its operands.
const LIMIT_MEMORY_BYTES: u64 = 64 << 20;
/// What one operation takes at least, and one word squared in an inversion, in units of work; measured, rounded up.
const WORK_OPERATION: u64 = 8;
const WORK_INVERSE: u64 = 64;
/// Words that are loaded and chunks that are stored cost what they may cost whoever writes them down: a call moves 16 MiB
/// each way at the most, where RSA of 4,096 bits moves some 20 KiB.
const WORK_MEMORY_WORD: u64 = 256;
const WORK_CHUNK: u64 = 1024;

/// Who makes the call: t0 of the ecall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// 0: arenas lie in the user's memory.
    User,
    /// 1: arenas lie anywhere from [`LOWEST_ADDRESS`] up.
    Machine,
}

impl Mode {
    /// What t0 means.
    pub(crate) fn new(t0: u32) -> Result<Mode, BigIntError> {
        match t0 {
            0 => Ok(Mode::User),
            1 => Ok(Mode::Machine),
            _ => Err(BigIntError::Mode(t0)),
        }
    }
}

/// A range of memory that was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Of the first word.
    pub(crate) address: u32,
    /// At least one.
    pub(crate) words: u32,
}

/// What a program came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evaluation {
    /// What was loaded, in order; each range in ascending order of its words. A range may come up many times.
    pub(crate) loads: Vec<Loaded>,
    /// Chunks to store: address of the first word (a multiple of 4, not of 16), and the words. All lie inside the
    /// address space; two of them may overlap, and the later address then wins.
    pub(crate) witness: BTreeMap<u32, [u32; 4]>,
}

/// Evaluates `program` with the machine's `registers`. `peek` gives the word at an address that is a multiple of 4.
///
/// # Errors
/// Whatever the program does that the reference refuses or panics about, and more work or memory than a call may take.
pub(crate) fn evaluate(
    program: &Program<'_>,
    mode: Mode,
    registers: &[u32; 32],
    peek: impl FnMut(u32) -> u32,
) -> Result<Evaluation, BigIntError> {
    let mut evaluator = Evaluator {
        program,
        mode,
        registers,
        peek,
        results: Vec::with_capacity(program.operations().len()),
        work: 0,
        memory_bytes: 0,
        evaluation: Evaluation::default(),
    };
    for (index, operation) in (0..).zip(program.operations()) {
        let result = evaluator.step(index, operation)?;
        evaluator.memory_bytes += 8 * words(&result);
        if evaluator.memory_bytes > LIMIT_MEMORY_BYTES {
            return Err(BigIntError::Memory { operation: index, limit_bytes: LIMIT_MEMORY_BYTES });
        }
        evaluator.results.push(result);
    }
    Ok(evaluator.evaluation)
}

struct Evaluator<'program, Peek> {
    program: &'program Program<'program>,
    mode: Mode,
    registers: &'program [u32; 32],
    peek: Peek,
    /// Of the operations done.
    results: Vec<IBig>,
    work: u64,
    memory_bytes: u64,
    evaluation: Evaluation,
}

impl<Peek: FnMut(u32) -> u32> Evaluator<'_, Peek> {
    fn step(&mut self, index: u32, operation: &Operation) -> Result<IBig, BigIntError> {
        self.charge(index, WORK_OPERATION)?;
        match operation.code {
            Code::Const => self.constant(index, operation),
            Code::Load => self.load(index, operation),
            Code::Store => self.store(index, operation).map(|()| IBig::ZERO),
            _ => self.calculate(index, operation),
        }
    }

    /// Takes `work` from the budget, before it is done.
    fn charge(&mut self, operation: u32, work: u64) -> Result<(), BigIntError> {
        self.work = self.work.saturating_add(work);
        match self.work > LIMIT_WORK {
            true => Err(BigIntError::Work { operation, limit: LIMIT_WORK }),
            false => Ok(()),
        }
    }

    fn calculate(&mut self, index: u32, operation: &Operation) -> Result<IBig, BigIntError> {
        let (a_words, b_words) = (words(self.operand(index, operation.a)?), words(self.operand(index, operation.b)?));
        let product = a_words.saturating_mul(b_words);
        self.charge(
            index,
            match operation.code {
                Code::Add | Code::Sub => a_words + b_words,
                Code::Inv => product.saturating_add(b_words.saturating_mul(b_words).saturating_mul(WORK_INVERSE)),
                _ => product,
            },
        )?;
        let (a, b) = (self.operand(index, operation.a)?, self.operand(index, operation.b)?);
        let divides = matches!(operation.code, Code::Rem | Code::Quo | Code::Inv);
        if divides && b_words == 0 {
            return Err(BigIntError::DivisionByZero { operation: index });
        }
        Ok(match operation.code {
            Code::Add => a + b,
            Code::Sub => a - b,
            Code::Mul => a * b,
            Code::Rem => a % b,
            Code::Quo => a / b,
            _ => inverse(a, b).ok_or(BigIntError::NoInverse { operation: index })?.into(),
        })
    }

    fn operand(&self, operation: u32, index: u32) -> Result<&IBig, BigIntError> {
        let count = self.results.len() as u64;
        self.results.get(index as usize).ok_or(BigIntError::Index {
            operation,
            what: "result",
            index: index.into(),
            count,
        })
    }

    fn constant(&mut self, index: u32, operation: &Operation) -> Result<IBig, BigIntError> {
        let bytes = self.program.constant(operation.a, operation.b).ok_or(BigIntError::Index {
            operation: index,
            what: "constant",
            index: operation.a as u64 + operation.b.saturating_sub(1) as u64,
            count: self.program.counts().1 as u64,
        })?;
        self.charge(index, bytes.len() as u64 / 4 * WORK_MEMORY_WORD)?;
        Ok(UBig::from_le_bytes(bytes).into())
    }

    fn load(&mut self, index: u32, operation: &Operation) -> Result<IBig, BigIntError> {
        let (address, bytes) = self.place(index, operation)?;
        let words = bytes / 4;
        self.charge(index, words as u64 * WORK_MEMORY_WORD)?;
        if words == 0 {
            return Ok(IBig::ZERO);
        }
        self.evaluation.loads.push(Loaded { address, words });
        let mut value = Vec::with_capacity(bytes as usize);
        for word in 0..words {
            value.extend((self.peek)(address + 4 * word).to_le_bytes());
        }
        Ok(UBig::from_le_bytes(&value).into())
    }

    fn store(&mut self, index: u32, operation: &Operation) -> Result<(), BigIntError> {
        let (address, bytes) = self.place(index, operation)?;
        let chunks = bytes / CHUNK_BYTES;
        self.charge(index, chunks as u64 * WORK_CHUNK)?;
        let count = self.program.operations().len() as u64;
        if operation.b as u64 >= count {
            return Err(BigIntError::Index { operation: index, what: "operation", index: operation.b.into(), count });
        }
        // What is not calculated yet is zero.
        let value = self.results.get(operation.b as usize).map_or(&[][..], |value| value.as_sign_words().1);
        let mut value = value.iter().flat_map(|word| word.to_le_bytes());
        let needed =
            value.clone().enumerate().filter(|(_, byte)| *byte != 0).last().map_or(0, |(last, _)| last as u64 + 1);
        if needed.next_multiple_of(4) > u64::from(bytes) {
            return Err(BigIntError::TooSmall { operation: index, needed, bytes });
        }
        for chunk in 0..chunks {
            let mut next_word = || u32::from_le_bytes(std::array::from_fn(|_| value.next().unwrap_or(0)));
            let words = std::array::from_fn(|_| next_word());
            self.evaluation.witness.insert(address + chunk * CHUNK_BYTES, words);
        }
        Ok(())
    }

    /// Where a load or store goes, and how many bytes it moves: whole chunks, all of them inside the address space.
    fn place(&self, index: u32, operation: &Operation) -> Result<(u32, u32), BigIntError> {
        let count = self.program.counts().0 as u64;
        let bytes = self.program.type_bytes(operation.result_type).ok_or(BigIntError::Index {
            operation: index,
            what: "type",
            index: operation.result_type.into(),
            count,
        })?;
        // Lengths are counted modulo 2^32, as the reference does.
        let bytes = bytes
            .checked_next_multiple_of(CHUNK_BYTES.into())
            .ok_or(BigIntError::Length { operation: index, bytes })? as u32;
        let register = operation.arena();
        let base = *self.registers.get(register as usize).ok_or(BigIntError::Index {
            operation: index,
            what: "register",
            index: register.into(),
            count: self.registers.len() as u64,
        })?;
        if !base.is_multiple_of(4) {
            return Err(BigIntError::Unaligned { operation: index, register: register as u8, address: base });
        }
        let address = base as u64 + operation.offset() as u64 * CHUNK_BYTES as u64;
        let begins =
            address >= u64::from(LOWEST_ADDRESS) && (self.mode == Mode::Machine || address < u64::from(USER_END));
        // Only where it begins is a matter of the arena, but the address space ends for everyone. Nothing fits anywhere.
        match begins && (bytes == 0 || address + bytes as u64 <= 1 << 32) {
            true => Ok((address as u32, bytes)),
            false => Err(BigIntError::Address { operation: index, address, bytes }),
        }
    }
}

/// Length of a number in 64-bit words; 0 has none.
fn words(value: &IBig) -> u64 {
    let (_, words) = value.as_sign_words();
    (size_of_val(words) as u64).div_ceil(8)
}

/// The inverse of the magnitude of `a` modulo that of `b`, which is not 0; none if they share a divisor, and none of
/// multiples of `b`, which leaves none modulo 1 either.
fn inverse(a: &IBig, b: &IBig) -> Option<UBig> {
    let modulus = b.unsigned_abs();
    let a = a.unsigned_abs() % &modulus;
    if a.is_zero() {
        return None;
    }
    let (divisor, coefficient, _) = a.gcd_ext(&modulus);
    divisor.is_one().then(|| coefficient.rem_euclid(IBig::from(modulus)))
}
