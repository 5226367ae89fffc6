//! Evaluates a big-integer program. This file must not know the caller or the encoding of the bytecode.
//!
//! Each operation has a result: a signed number of any size, to which later operations refer by the operation's index.
//! Numbers in memory are unsigned. Division truncates, and a remainder has the dividend's sign. A store writes the
//! magnitude of a result. It may name a later operation, whose result is then 0; all other operations may refer only to
//! earlier ones.
//!
//! A program can demand more than any prover could handle, such as 10 MiB of squarings without a loop. A call therefore
//! has a budget of work and one of memory. Both exceed the needs of useful programs: 4,096-bit exponentiation in full,
//! with each step a witness, takes half of the work.

use super::number::Numbers;
use super::program::{Calculation, Code, Operation, Program};
use super::{BigIntError, CHUNK_BYTES, LOWEST_ADDRESS, USER_END};

/// Budget of work for a call, in products of two 64-bit words: about a second.
const LIMIT_WORK: u64 = 1 << 30;
/// Budget of memory for all numbers of a call, in bytes. The number that exceeds it is computed before it is refused.
/// Its size is at most 16 MiB, because its work or the length of its operands bounds it.
const LIMIT_MEMORY_BYTES: u64 = 64 << 20;
/// Minimum work of one operation, and work of one word squared in an inversion; measured and rounded up.
const WORK_OPERATION: u64 = 8;
const WORK_INVERSE: u64 = 64;
/// Work of a loaded word and of a stored chunk. It covers the cost of writing them to a trace. A call moves at most 16
/// MiB each way; 4,096-bit RSA moves some 20 KiB.
const WORK_MEMORY_WORD: u64 = 256;
const WORK_CHUNK: u64 = 1024;

/// Room that a session keeps between calls. RSA of 4,096 bits needs some 100 KiB.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// The caller's mode: t0 of the ecall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// 0: arenas lie in the user's memory.
    User,
    /// 1: arenas lie anywhere from [`LOWEST_ADDRESS`] up.
    Machine,
}

impl Mode {
    /// Decodes t0.
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
    /// Address of the first word.
    pub(crate) address: u32,
    /// Number of words, at least one.
    pub(crate) words: u32,
}

/// The result of a program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evaluation {
    /// Loaded ranges in order, each with ascending words. A range may appear many times.
    pub(crate) loads: Vec<Loaded>,
    /// Chunks to store, by ascending address: address of the first word (a multiple of 4, not of 16), and the words. All
    /// lie inside the address space, and no two begin at the same address. If two of them overlap, the one with the higher
    /// address wins.
    pub(crate) witness: Vec<(u32, [u32; 4])>,
    /// The work that it took, in products of two 64-bit words.
    pub(crate) work: u64,
}

/// Room for an evaluation, which the next one uses again.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Results of the operations done so far.
    results: Numbers,
    evaluation: Evaluation,
}

impl Scratch {
    /// Returns what may stay for the next evaluation: a guest that once needed much does not keep it.
    pub(crate) fn bounded(self) -> Scratch {
        let Evaluation { loads, witness, .. } = &self.evaluation;
        let kept_bytes = self.results.capacity_bytes()
            + size_of::<Loaded>() * loads.capacity()
            + size_of::<(u32, [u32; 4])>() * witness.capacity();
        if kept_bytes <= MAX_KEPT_BYTES { self } else { Scratch::default() }
    }
}

/// Evaluates `program` with the machine's `registers`. `peek` returns the word at an address that is a multiple of 4. The
/// result lies in `scratch`, whose former content does not matter.
///
/// # Errors
/// Refuses every program that makes the reference fail or panic, and a call that exceeds its budget of work or memory.
pub(crate) fn evaluate<'scratch>(
    program: &Program,
    mode: Mode,
    registers: &[u32; 32],
    peek: impl FnMut(u32) -> u32,
    scratch: &'scratch mut Scratch,
) -> Result<&'scratch Evaluation, BigIntError> {
    scratch.results.clear();
    scratch.evaluation.loads.clear();
    scratch.evaluation.witness.clear();
    let mut evaluator = Evaluator { program, mode, registers, peek, scratch, work: 0, memory_bytes: 0 };
    for (index, operation) in (0..).zip(program.operations()) {
        evaluator.step(index, operation)?;
        evaluator.memory_bytes += 8 * evaluator.scratch.results.last_words();
        if evaluator.memory_bytes > LIMIT_MEMORY_BYTES {
            return Err(BigIntError::Memory { operation: index, limit_bytes: LIMIT_MEMORY_BYTES });
        }
    }
    scratch.evaluation.work = evaluator.work;
    let witness = &mut scratch.evaluation.witness;
    // The sort is stable, and of several chunks at one address the last is stored.
    witness.sort_by_key(|(address, _)| *address);
    witness.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            *earlier = *later;
        }
        same
    });
    Ok(&scratch.evaluation)
}

struct Evaluator<'program, Peek> {
    program: &'program Program,
    mode: Mode,
    registers: &'program [u32; 32],
    peek: Peek,
    scratch: &'program mut Scratch,
    work: u64,
    memory_bytes: u64,
}

impl<Peek: FnMut(u32) -> u32> Evaluator<'_, Peek> {
    /// Does an operation, and adds its result.
    fn step(&mut self, index: u32, operation: &Operation) -> Result<(), BigIntError> {
        self.charge(index, WORK_OPERATION)?;
        match operation.code {
            Code::Const => self.constant(index, operation),
            Code::Load => self.load(index, operation),
            Code::Store => self.store(index, operation),
            Code::Calculate(calculation) => self.calculate(index, calculation, operation),
        }
    }

    /// Takes `work` from the budget before it is done.
    fn charge(&mut self, operation: u32, work: u64) -> Result<(), BigIntError> {
        self.work = self.work.saturating_add(work);
        match self.work > LIMIT_WORK {
            true => Err(BigIntError::Work { operation, limit: LIMIT_WORK }),
            false => Ok(()),
        }
    }

    fn calculate(&mut self, index: u32, calculation: Calculation, operation: &Operation) -> Result<(), BigIntError> {
        let [a, b] = [operation.a, operation.b].map(|operand| self.operand(index, operand));
        let ((a, a_words), (b, b_words)) = (a?, b?);
        let product = a_words.saturating_mul(b_words);
        self.charge(
            index,
            match calculation {
                Calculation::Add | Calculation::Sub => a_words + b_words,
                Calculation::Inv => {
                    product.saturating_add(b_words.saturating_mul(b_words).saturating_mul(WORK_INVERSE))
                }
                Calculation::Mul | Calculation::Rem | Calculation::Quo => product,
            },
        )?;
        let results = &mut self.scratch.results;
        let is_done = match calculation {
            Calculation::Add => {
                results.add(a, b);
                true
            }
            Calculation::Sub => {
                results.sub(a, b);
                true
            }
            Calculation::Mul => {
                results.mul(a, b);
                true
            }
            Calculation::Rem => results.rem(a, b),
            Calculation::Quo => results.quo(a, b),
            Calculation::Inv => results.inverse(a, b),
        };
        match is_done {
            true => Ok(()),
            false if b_words == 0 => Err(BigIntError::DivisionByZero { operation: index }),
            false => Err(BigIntError::NoInverse { operation: index }),
        }
    }

    /// Returns an operand as the index of an earlier result, and its length in words.
    fn operand(&self, operation: u32, index: u32) -> Result<(usize, u64), BigIntError> {
        let results = &self.scratch.results;
        match results.words(index as usize) {
            Some(words) => Ok((index as usize, words.len() as u64)),
            None => {
                let count = results.len() as u64;
                Err(BigIntError::Index { operation, what: "result", index: index.into(), count })
            }
        }
    }

    fn constant(&mut self, index: u32, operation: &Operation) -> Result<(), BigIntError> {
        let bytes = self.program.constant(operation.a, operation.b).ok_or(BigIntError::Index {
            operation: index,
            what: "constant",
            index: operation.a as u64 + operation.b.saturating_sub(1) as u64,
            count: self.program.counts().1 as u64,
        })?;
        self.charge(index, bytes.len() as u64 / 4 * WORK_MEMORY_WORD)?;
        self.scratch.results.push(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)));
        Ok(())
    }

    fn load(&mut self, index: u32, operation: &Operation) -> Result<(), BigIntError> {
        let (address, bytes) = self.place(index, operation)?;
        let words = bytes / 4;
        self.charge(index, words as u64 * WORK_MEMORY_WORD)?;
        if words > 0 {
            self.scratch.evaluation.loads.push(Loaded { address, words });
        }
        // Numbers are whole chunks, so their words come in pairs.
        self.scratch.results.push((0..words / 2).map(|pair| {
            let [low, high] = [0, 4].map(|offset| (self.peek)(address + 8 * pair + offset) as u64);
            high << 32 | low
        }));
        Ok(())
    }

    fn store(&mut self, index: u32, operation: &Operation) -> Result<(), BigIntError> {
        let (address, bytes) = self.place(index, operation)?;
        let chunks = bytes / CHUNK_BYTES;
        self.charge(index, chunks as u64 * WORK_CHUNK)?;
        let count = self.program.operations().len() as u64;
        if operation.b as u64 >= count {
            return Err(BigIntError::Index { operation: index, what: "operation", index: operation.b.into(), count });
        }
        // The result of an operation that has not run yet is zero.
        let value = self.scratch.results.words(operation.b as usize).unwrap_or_default();
        let needed = value.iter().rposition(|word| *word != 0).map_or(0, |top| {
            let top_bits = value.get(top).map_or(0, |word| u64::BITS - word.leading_zeros());
            8 * top as u64 + u64::from(top_bits.div_ceil(8))
        });
        if needed.next_multiple_of(4) > u64::from(bytes) {
            return Err(BigIntError::TooSmall { operation: index, needed, bytes });
        }
        let word = |index: u32| value.get(index as usize).copied().unwrap_or(0);
        for chunk in 0..chunks {
            let [low, high] = [word(2 * chunk), word(2 * chunk + 1)];
            let words = [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
            self.scratch.evaluation.witness.push((address + chunk * CHUNK_BYTES, words));
        }
        // A store is an operation, too, and its result is zero.
        self.scratch.results.push([]);
        Ok(())
    }

    /// Returns the address of a load or store and the number of bytes that it moves: whole chunks inside the address
    /// space.
    fn place(&self, index: u32, operation: &Operation) -> Result<(u32, u32), BigIntError> {
        let count = self.program.counts().0 as u64;
        let bytes = self.program.type_bytes(operation.result_type).ok_or(BigIntError::Index {
            operation: index,
            what: "type",
            index: operation.result_type.into(),
            count,
        })?;
        // Lengths are modulo 2^32, as in the reference.
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
        // The mode restricts only the start of an arena, but nothing may pass the end of the address space. An empty
        // range has no end to check.
        match begins && (bytes == 0 || address + bytes as u64 <= 1 << 32) {
            true => Ok((address as u32, bytes)),
            false => Err(BigIntError::Address { operation: index, address, bytes }),
        }
    }
}
