//! Programs of one machine ecall that names much memory, or little of it far apart. They are not random: a kind and a
//! size determine the program. It must not know what an ecall costs.

use std::collections::BTreeMap;

use crate::assembler::{A0, A1, A2, A3, A4, A7, Assembler, ECALL, T0, T1};
use crate::elf::elf;

const T2: u32 = 7;
const T3: u32 = 28;

const CODE: u32 = 0x0002_0000;
const DATA: u32 = 0x0100_0000;
/// The sizes that a big-integer ecall reads, and its program.
const BLOB: u32 = 0x0008_0000;
const PROGRAM: u32 = 0x0009_0000;
/// The user's program, which is never reached.
const USER: u32 = 0x000a_0000;

/// An ecall of machine mode with its size.
#[derive(Clone, Copy, Debug)]
pub enum LargeEcall {
    /// Poseidon2 of so many blocks; of elements, with a state, and compared instead of stored where asked.
    Poseidon2 { blocks: u32, elements: bool, state: bool, check: bool },
    /// SHA-256 of so many blocks, whose operands lie on pages far apart.
    Sha2 { blocks: u32 },
    /// A host read of so many bytes into the end of a page.
    Read { bytes: u32 },
    /// A big-integer program of these sizes in words; one that does nothing, or no program at all.
    BigInt { program: u32, verify: u32, constants: u32 },
}

/// The user ELF and the kernel ELF of a program that makes this ecall and then ends.
pub fn large_ecall(ecall: LargeEcall) -> (Vec<u8>, Vec<u8>) {
    let mut asm = Assembler::new(CODE);
    let mut words = BTreeMap::new();
    let (number, registers) = match ecall {
        LargeEcall::Poseidon2 { blocks, elements, state, check } => {
            let bits = u32::from(elements) << 31 | u32::from(check) << 30 | blocks;
            let state = if state { (DATA - 0x800) / 4 } else { 0 };
            (3, vec![(A0, state), (A1, DATA / 4), (A2, (DATA - 0x1000) / 4), (A3, bits)])
        }
        LargeEcall::Sha2 { blocks } => {
            (4, vec![(A0, DATA), (A1, 2 * DATA), (A2, 3 * DATA + 0x3e0), (A3, blocks), (A4, 4 * DATA + 0x3f0)])
        }
        LargeEcall::Read { bytes } => (1, vec![(A0, 0), (A1, DATA + 0x3fd), (A2, bytes)]),
        LargeEcall::BigInt { program, verify, constants } => {
            words.extend([(BLOB, program), (BLOB + 4, verify), (BLOB + 8, constants)]);
            words.extend([(PROGRAM, u32::from_le_bytes(*b"bibc")), (PROGRAM + 4, 1)]);
            (5, vec![(T0, 1), (A0, BLOB), (T1, PROGRAM), (T2, DATA + 4), (T3, 4 * DATA)])
        }
    };
    registers.into_iter().for_each(|(register, value)| asm.li(register, value));
    asm.li(A7, number);
    asm.emit(ECALL);
    for (register, value) in [(A0, 0), (A1, 0), (A7, 0)] {
        asm.li(register, value);
    }
    asm.emit(ECALL);
    words.extend(asm.placed());
    (elf(USER, &BTreeMap::from([(USER, ECALL)])), elf(CODE, &words))
}
