//! Tests system calls with every number at every edge, and those that do a lot for little: endless streams, memory that
//! is allocated and freed, calculations that take a second.

use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::{CancelHandle, Env, Error, Limits, MachineKind, NullSink, Program};

use super::{CODE, DATA, MACHINES, case, crosscheck, exit};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, Setup, assert_same};
use crate::common::rng::Rng;

/// Pointers, lengths and counts that a check could get wrong.
const VALUES: [u32; 24] = [
    0,
    1,
    3,
    4,
    16,
    1023,
    1024,
    1025,
    0xffff,
    0x1_0000,
    0x4000_0000,
    0x7fff_ffff,
    0x8000_0001,
    0xbfff_ffff,
    0xc000_0000,
    DATA,
    DATA + 1,
    DATA + 1020,
    0xef80_0000,
    0xffff_0000,
    0xffff_00fc,
    0xffff_0200,
    0xffff_fffc,
    0xffff_ffff,
];

/// Builds six calls in a row, with arguments from [`VALUES`] or random ones.
fn calls(machine: MachineKind, rng: &mut Rng) -> Program {
    let mut asm = Assembler::new(CODE);
    for _ in 0..6 {
        // t0 to t2, a0 to a4, t3: all argument registers of any call.
        for register in [5, 6, 7, 10, 11, 12, 13, 14, 28] {
            let value = if rng.one_in(8) { rng.word() } else { VALUES[rng.below(VALUES.len() as u64) as usize] };
            asm.li(register, value);
        }
        let number = match machine {
            MachineKind::Bare => [63, 64, 64, 214, 93, 1][rng.below(6) as usize],
            _ => 1 + rng.between(0, 6),
        };
        asm.li(17, number);
        // Valid descriptors, and a valid mode.
        asm.i(Op::Andi, 5, 5, 1);
        if machine == MachineKind::Bare {
            asm.i(Op::Andi, 10, 10, 3);
        }
        asm.op(Op::Ecall, 0, 0, 0, 0);
    }
    exit(&mut asm, machine);
    case(machine, asm).program
}

#[test]
fn calls_with_numbers_at_every_edge() {
    let mut ends = std::collections::BTreeMap::new();
    for machine in MACHINES {
        for seed in 0..400 {
            let program = calls(machine, &mut Rng::new(seed));
            let host = HostEnv::builder().random_seed([0; 32]).write_slice(&VALUES).build().expect("a host");
            let env = match machine {
                MachineKind::R0vm => Env::new().host(host),
                _ => Env::new().stdin(io::repeat(7)),
            };
            let limits = Limits::none().output_bytes(1 << 22).memory_bytes(64 << 20);
            let end = crosscheck(&format!("{machine}, seed {seed}"), &program, machine, limits, env);
            *ends.entry((machine.to_string(), end)).or_insert(0) += 1;
        }
    }
    // They do not all end in the first call: some succeed, some are refused for different reasons.
    assert!(ends.len() >= 5, "{ends:?}");
}

/// Cancels the session in its first call, then counts.
struct Canceller {
    handle: Arc<OnceLock<CancelHandle>>,
    calls: Arc<std::sync::atomic::AtomicU32>,
}

impl Canceller {
    fn call(&self) {
        self.handle.get().expect("the session has begun").cancel();
        self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Read for Canceller {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call();
        Ok(buffer.len())
    }
}

impl Write for Canceller {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.call();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes one call of `bare` for ever.
fn for_ever(number: u32, arguments: [u32; 3]) -> Case {
    let mut asm = Assembler::new(0x1_0000);
    let top = asm.label_here();
    for (register, value) in (10..).zip(arguments) {
        asm.li(register, value);
    }
    asm.li(17, number);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.jal(0, top);
    let zeros = Segment { memory_bytes: 1 << 20, ..Segment::new(0x10_0000, vec![0], Permissions::RW) };
    crate::common::cases::short(Case::code(0x1_0000, &asm.finish().words, vec![zeros]))
}

/// A guest that floods its stdout and one that reads for ever: cancelling takes effect right after the call in which it
/// happened.
#[test]
fn streams_without_end_are_cancelled_at_once() {
    for (number, descriptor) in [(64, 1), (63, 0)] {
        let case = for_ever(number, [descriptor, 0x10_0000, u32::MAX >> 12]);
        for setup in crate::common::cases::every_setup() {
            let (handle, calls) = (Arc::new(OnceLock::new()), Arc::default());
            let stream = || Canceller { handle: Arc::clone(&handle), calls: Arc::clone(&calls) };
            let env = Env::new().stdin(stream()).stdout(stream());
            let mut session = setup.executor(&case).start(env).expect("it starts");
            assert!(handle.set(session.cancel_handle()).is_ok());
            let result = session.run(&mut NullSink::off());
            assert!(matches!(result, Err(Error::Cancelled { .. })), "{setup:?}: {result:?}");
            assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1, "{setup:?}: it went on");
        }
    }
}

/// Moves the break over 3.7 GiB and back for ever. Each call takes the host milliseconds, so a million of them take
/// hours. This test only ends if the time limit is checked in between.
#[test]
fn memory_that_comes_and_goes_meets_the_time_limit() {
    let mut asm = Assembler::new(0x1_0000);
    asm.li(17, 214);
    asm.li(10, 0);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.i(Op::Addi, 8, 10, 0);
    let top = asm.label_here();
    asm.li(10, 0xef7f_0000);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.store(Op::Sw, 17, -4, 10);
    asm.i(Op::Addi, 10, 8, 0);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.jal(0, top);
    let mut case = Case::code(0x1_0000, &asm.finish().words, Vec::new());
    case.limits.time = Some(Duration::from_millis(50));
    for setup in crate::common::cases::every_setup() {
        let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it has no end");
        assert_eq!(error.kind(), "time-limit", "{setup:?}: {error}");
    }
}

/// Fills 3 MiB of heap, frees them at once and allocates them again. A call frees only as much as it can clear without
/// piling up effects, and returns how much. Memory that is allocated again is zero.
#[test]
fn memory_goes_in_bearable_portions() {
    const BYTES: u32 = 3 << 20;
    let mut asm = Assembler::new(0x1_0000);
    asm.li(17, 214);
    asm.li(10, 0);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.i(Op::Addi, 8, 10, 0);
    asm.li(9, BYTES);
    asm.r(Op::Add, 10, 10, 9);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.i(Op::Addi, 9, 10, 0);
    let top = asm.label_here();
    asm.i(Op::Addi, 10, 10, -1024);
    asm.store(Op::Sw, 17, 8, 10);
    asm.branch(Op::Bne, 10, 8, top);
    let again = asm.label_here();
    asm.i(Op::Addi, 10, 8, 0);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.branch(Op::Bne, 10, 8, again);
    asm.i(Op::Addi, 10, 9, 0);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.i(Op::Lw, 10, 10, -1016);
    exit(&mut asm, MachineKind::Bare);
    let case = crate::common::cases::short(Case::code(0x1_0000, &asm.finish().words, Vec::new()));
    let outcome = assert_same("a heap that shrinks", &case, &super::setups());
    assert_eq!(outcome.state.expect("it ran").exit_code, Some(0), "what comes back is zero");
    let mut of_step = std::collections::BTreeMap::<u64, u32>::new();
    for effect in &outcome.effects {
        *of_step.entry(effect.step).or_default() += 1;
    }
    let large: Vec<u32> = of_step.into_values().filter(|&effects| effects > 1000).collect();
    assert_eq!(large.len(), 3, "{large:?}");
    assert!(large.iter().all(|&effects| effects <= (1 << 20) / 4 + 16), "{large:?}");
}

/// A big-integer program without loops that squares a long number repeatedly: nearly the maximum work of a call, for
/// three cycles.
fn squarings(count: u64) -> Vec<u8> {
    let operation = |code: u64, a: u64, b: u64| code | a << 16 | b << 40;
    let constants = vec![0x0123_4567_89ab_cdefu64; 2048];
    let mut operations = vec![operation(0x2, 0, constants.len() as u64)];
    operations.extend((0..count).map(|_| operation(0xa, 0, 0)));
    let header = [u32::from_le_bytes(*b"bibc"), 1, 0, 0, constants.len() as u32, operations.len() as u32];
    let words = constants.into_iter().chain(operations).flat_map(u64::to_le_bytes);
    header.into_iter().flat_map(u32::to_le_bytes).chain(words).collect()
}

/// Calls such a program for ever.
fn calculates_for_ever(count: u64) -> Program {
    let bytes = squarings(count);
    let blob = DATA + 0x10_0000;
    let mut asm = Assembler::new(CODE);
    for (register, value) in [(5, 1), (10, blob), (6, DATA), (7, blob), (28, blob), (17, 5)] {
        asm.li(register, value);
    }
    let top = asm.label_here();
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.jal(0, top);
    let words = bytes.len() as u32 / 4;
    let segments = vec![
        Segment::from_words(CODE, &asm.finish().words, Permissions::RWX),
        Segment::new(DATA, bytes, Permissions::RW),
        // The sizes of the program, of the verifying program, and of the constants.
        Segment::from_words(blob, &[words, 0, 0], Permissions::RW),
    ];
    Program::from_segments(CODE, segments).expect("a test's own program")
}

#[test]
fn calculations_meet_the_time_limit() {
    for setup in [Setup::interpreter(), Setup::eager()] {
        let mut case = Case::new(calculates_for_ever(20)).on(MachineKind::R0vm);
        case.limits.time = Some(Duration::from_millis(50));
        let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it has no end");
        assert_eq!(error.kind(), "time-limit", "{error}");
        // A call with too much calculation is refused before it starts.
        let program = calculates_for_ever(600);
        let mut session =
            setup.executor(&Case::new(program).on(MachineKind::R0vm)).start(Env::new()).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it is too much");
        assert_eq!(error.kind(), "bigint", "{error}");
    }
}

/// A program of R0VM that calls a host without having one, and one whose host returns less than requested.
#[test]
fn hosts_that_nobody_gave() {
    for (number, expected) in [(1, "host"), (2, "trap")] {
        let mut asm = Assembler::new(CODE);
        asm.li(17, number);
        asm.op(Op::Ecall, 0, 0, 0, 0);
        let end = crosscheck(
            "no host given",
            &case(MachineKind::R0vm, asm).program,
            MachineKind::R0vm,
            Limits::default(),
            Env::new(),
        );
        assert_eq!(end, expected);
    }
}
