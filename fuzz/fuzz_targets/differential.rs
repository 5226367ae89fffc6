//! Fuzzes code and configuration under `Engine::Crosscheck`, which compares every row, effect and state of both
//! engines. Any code must end in a status or a typed error, never in a difference.
//!
//! An input is ten bytes of configuration, then words. A word whose low two bits are not both set becomes an
//! instruction of the table: these bits and the next six choose it, and the word's other bits give its operands. Other
//! words stay as they are. The words are repeated to fill 8 KiB, so that most jumps land in code.
//!
//! On R0VM the code is either the kernel's or that of a user under the kernel of `kernel.rs`. If the configuration says
//! so, that kernel resumes the user in the middle of words.
#![no_main]

mod kernel;

use libfuzzer_sys::fuzz_target;
use tachy::isa::TABLE;
use tachy::program::{Permissions, Segment};
use tachy::{Engine, Env, Error, Executor, JitOptions, Limits, MachineKind, NullSink, Program};

const CODE_WORDS: usize = 2048;
const DATA_BYTES: u32 = 4096;

fn word(bits: u32) -> u32 {
    if bits & 3 == 3 {
        return bits;
    }
    let line = &TABLE[bits as usize % 256 % TABLE.len()];
    line.match_bits | bits.rotate_right(8) & !line.mask_bits
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[kind, threshold, region, steps, steps_high, memory, rows, pause, cut, input], rest)) =
        bytes.split_first_chunk()
    else {
        return;
    };
    let words: Vec<u32> = rest.as_chunks().0.iter().map(|bytes| word(u32::from_le_bytes(*bytes))).collect();
    if words.is_empty() {
        return;
    }
    let machine = if kind & 1 == 0 { MachineKind::Bare } else { MachineKind::R0vm };
    // These bits have no meaning on the other machine.
    let is_user = machine == MachineKind::R0vm && cut & 4 != 0;
    let code = match machine {
        MachineKind::R0vm if !is_user => [0x2_0000, 0xc000_0000][usize::from(kind >> 1 & 1)],
        MachineKind::R0vm => 0x2_0000,
        _ => 0x1_0000,
    };
    // Registers point to code and to both ends of the data, so that accesses hit something.
    let li = |register: u32, value: u32| {
        let low = (value << 20) as i32 >> 20;
        [
            0x37 | register << 7 | value.wrapping_sub(low as u32),
            0x13 | register << 7 | register << 15 | (low as u32) << 20,
        ]
    };
    let data = code + 0x4000;
    let prologue = [li(5, code + 64), li(6, data), li(7, data + DATA_BYTES - 4), li(8, 0xffff_0000)].concat();
    let image: Vec<u32> = prologue.into_iter().chain(words.iter().copied().cycle()).take(CODE_WORDS).collect();
    let permissions = if kind & 4 == 0 { Permissions::RWX } else { Permissions::RX };
    let mut segments = vec![
        Segment::from_words(code, &image, permissions),
        Segment::new(data, rest.iter().copied().take(DATA_BYTES as usize).collect(), Permissions::RW),
    ];
    let entry = match is_user {
        true => {
            segments.extend(kernel::segments(code, u32::from(cut) >> 3));
            kernel::ENTRY
        }
        false => code,
    };
    let program = Program::from_segments(entry, segments).expect("a fixed layout");

    let mut jit = JitOptions::eager();
    jit.threshold = u16::from(threshold % 32);
    jit.region_instructions = 1 + usize::from(region);
    jit.background = kind & 8 != 0;
    jit.alternate_engines = kind & 16 != 0;
    let mut limits = Limits::default();
    limits.steps = Some(u64::from(u16::from_le_bytes([steps, steps_high])));
    limits.memory_bytes = Some(u64::from(memory) << 14);
    limits.output_bytes = Some(1 << 14);
    let executor = Executor::builder()
        .machine(machine)
        .engine(Engine::Crosscheck)
        .jit(jit)
        .limits(limits)
        .buffer_rows(256 + usize::from(rows))
        .build(&program)
        .expect("good settings");
    let env =
        Env::new().args(["guest"]).stdin(&rest[..rest.len().min(input.into())]).segment_po2(13 + u32::from(cut % 3));
    let mut session = match executor.start(env) {
        Ok(session) => session,
        Err(error) => return assert!(!matches!(error, Error::Difference(_)), "{error}"),
    };
    let mut sink = if kind & 32 == 0 { NullSink::off() } else { NullSink::rows() };
    for stop in [u64::from(pause) * 16, u64::MAX] {
        if let Err(error) = session.run_to(stop, &mut sink) {
            assert!(!matches!(error, Error::Difference(_)), "{error}");
            return;
        }
    }
});
