//! Tests programs of R0VM in place of the kernel: registers and values computed for x0 as memory, and system calls that
//! are refused, or stopped by a limit and repeated.

mod host;
mod stops;
mod users_x0;

use crate::common::assembler::Assembler;
use crate::common::engines::{Case, End, Outcome, Setup, assert_same, difference, run};
use crate::common::rng::Rng;
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::{Guest, Host, HostError};
use tachy::risc0::{CallCount, Digest, MachineError};
use tachy::trace::{Effect, EffectKind, Space, VecSink};
use tachy::{Env, Error, MachineKind, NullSink, Program, Row, Status};

const CODE: u32 = 0xc000_0000;
const DATA: u32 = 0x0040_0000;
const PAGE_BYTES: u32 = 1024;
/// Lowest address that instructions may access.
const LOWEST: u32 = 0x0001_0000;
/// Addresses of machine mode's registers and of its x0.
const BANK: u32 = 0xffff_0000;
const SHUNT: u32 = 0xffff_0100;
/// Addresses of the user's pc and of the vector of the kernel's handlers.
const MEPC: u32 = 0xffff_0200;
const GLOBAL_OUTPUT: u32 = 0xffff_0240;
const ECALL_DISPATCH: u32 = 0xffff_1000;
const TRAP_DISPATCH: u32 = 0xffff_2000;
/// Address of a user's code.
const USER: u32 = 0x0050_0000;

/// Registers by the names of the calling convention.
const T1: u8 = 6;
const A0: u8 = 10;
const A1: u8 = 11;
const A2: u8 = 12;
const A3: u8 = 13;
const A4: u8 = 14;
const A7: u8 = 17;

const ECALL: u32 = 0x73;
const MRET: u32 = 0x3020_0073;

const READ: u32 = 1;
const WRITE: u32 = 2;
const POSEIDON2: u32 = 3;
const SHA2: u32 = 4;
const BIGINT: u32 = 5;

fn setups() -> [Setup; 3] {
    [Setup::eager(), Setup::eager().region_instructions(1), Setup::eager().threshold(2).buffer_rows(256)]
}

/// Builds a program in machine mode, with data.
fn case(write: impl FnOnce(&mut Assembler), data: &[(u32, &[u32])]) -> Case {
    let mut asm = Assembler::new(CODE);
    write(&mut asm);
    let mut segments = vec![Segment::from_words(CODE, &asm.finish().words, Permissions::RX)];
    segments.extend(data.iter().map(|(address, words)| Segment::from_words(*address, words, Permissions::RW)));
    Case::new(Program::from_segments(CODE, segments).expect("a test's own program")).on(MachineKind::R0vm)
}

fn ecall(asm: &mut Assembler) {
    asm.op(Op::Ecall, 0, 0, 0, 0);
}

/// Builds a system call with these registers, then the end.
fn call(registers: &[(u8, u32)], data: &[(u32, &[u32])]) -> Case {
    let write = |asm: &mut Assembler| {
        for &(register, value) in registers {
            asm.li(register, value);
        }
        ecall(asm);
        terminate(asm);
    };
    case(write, data)
}

fn terminate(asm: &mut Assembler) {
    asm.li(A0, 0);
    asm.li(A7, 0);
    ecall(asm);
}

/// Like [`refusal`], for a program that leaves machine mode.
fn refusal_by_mode(what: &str, case: &Case) -> (&'static str, String) {
    match run_everywhere(what, case).end {
        End::Failed { kind, text, .. } => (kind, text),
        End::Done(status) => panic!("{what} ended well: {status:?}"),
    }
}

/// Returns the interpreter's outcome, which every other engine has to match.
fn run_everywhere(what: &str, case: &Case) -> Outcome {
    let outcome = run(case, &Setup::interpreter());
    for setup in setups() {
        assert_eq!(difference(&outcome, &run(case, &setup), case.variant()), None, "{what}, {setup:?}");
    }
    outcome
}

/// Returns how a case fails in every engine: the error's kind and text.
fn refusal(what: &str, case: &Case) -> (&'static str, String) {
    match assert_same(what, case, &setups()).end {
        End::Failed { kind, text, .. } => (kind, text),
        End::Done(status) => panic!("{what} ended well: {status:?}"),
    }
}

fn registers(outcome: &Outcome) -> [u32; 32] {
    assert_eq!(outcome.end, End::Done(Status::Exited { code: 0 }));
    let state = outcome.state.as_ref().expect("it started");
    let ecalls = outcome.rows.iter().filter(|row| row.insn == ECALL).count() as u64;
    assert_eq!(state.ecalls, (ecalls, 0));
    state.registers
}

/// The value computed for x0 is stored in a word of memory. Branches compute 0; stores and system calls compute
/// nothing.
#[test]
fn what_is_computed_for_x0() {
    let mut linked = 0;
    let write = |asm: &mut Assembler| {
        asm.li(5, SHUNT);
        asm.li(6, DATA);
        asm.i(Op::Addi, 0, 0, 7);
        asm.i(Op::Lw, 20, 5, 0);
        asm.store(Op::Sw, 20, 4, 6);
        asm.i(Op::Lw, 21, 5, 0);
        let next = asm.label();
        asm.branch(Op::Beq, 6, 0, next);
        asm.place(next);
        asm.i(Op::Lw, 22, 5, 0);
        asm.i(Op::Lw, 0, 6, 0);
        asm.i(Op::Lw, 23, 5, 0);
        let after = asm.label();
        asm.jal(0, after);
        linked = asm.here();
        asm.place(after);
        asm.i(Op::Lw, 24, 5, 0);
        terminate(asm);
    };
    let outcome = assert_same("x0", &case(write, &[(DATA, &[0x1234_5678])]), &setups());
    let registers = registers(&outcome);
    assert_eq!(registers[20..25], [7, 7, 0, 0x1234_5678, linked], "{registers:x?}");
    assert_eq!(registers[0], 0);
}

/// No program begins below the lowest address.
#[test]
fn where_programs_begin() {
    for (entry, end) in [(LOWEST, None), (LOWEST - 4, Some("boot"))] {
        let program = Program::from_segments(entry, vec![Segment::from_words(entry, &[ECALL, ECALL], Permissions::RX)]);
        let case = Case::new(program.expect("a test's own program")).on(MachineKind::R0vm);
        for setup in setups().iter().chain([&Setup::interpreter()]) {
            let started = setup.executor(&case).start(Env::new());
            let error = started.and_then(|mut session| session.run(&mut NullSink::off())).err();
            assert_eq!(error.map(|error| error.kind()), end, "{entry:#x}, {setup:?}");
        }
    }
}

/// The registers of the initial mode start with the image's values.
#[test]
fn registers_begin_as_memory_has_them() {
    let bank = |first: u32| (0..32).map(|number| if number == 0 { 0 } else { first + number }).collect::<Vec<_>>();
    let (machine, user) = (bank(100), bank(200));
    let data = [machine.clone(), user].concat();
    let case = case(ecall, &[(BANK, &data)]);
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let session = setup.executor(&case).start(Env::new()).expect("it starts");
        assert_eq!(session.registers()[..], machine, "{setup:?}");
    }
}

/// Emits a loop that stores into and loads from each of [`TOUCHED_PAGES`] pages from `first` on, twice; then `after`.
fn toucher(asm: &mut Assembler, first: u32, after: impl FnOnce(&mut Assembler)) {
    asm.i(Op::Addi, 8, 0, 2);
    let pass = asm.label_here();
    asm.li(5, first);
    asm.li(6, first + TOUCHED_PAGES * PAGE_BYTES);
    let top = asm.label_here();
    asm.store(Op::Sw, 5, 8, 5);
    asm.i(Op::Lw, 7, 5, 8);
    asm.store(Op::Sb, 5, 1023, 5);
    asm.i(Op::Addi, 5, 5, 1024);
    asm.branch(Op::Bne, 5, 6, top);
    asm.i(Op::Addi, 8, 8, -1);
    asm.branch(Op::Bne, 8, 0, pass);
    after(asm);
}

const TOUCHED_PAGES: u32 = 300;

/// Emits a kernel's stores before its first `mret`: the address of its handler, and the word before the user's first.
fn name_handler_and_user(asm: &mut Assembler, handler: u32) {
    asm.li(5, ECALL_DISPATCH);
    asm.li(6, handler);
    asm.store(Op::Sw, 6, 0, 5);
    asm.li(5, MEPC);
    asm.li(7, USER - 4);
    asm.store(Op::Sw, 7, 0, 5);
}

/// Builds a program whose user runs this code, up to an ecall, after which the kernel ends it.
fn user_case(user: impl FnOnce(&mut Assembler), data: &[(u32, &[u32])]) -> Case {
    let kernel = |asm: &mut Assembler, handler| {
        name_handler_and_user(asm, handler);
        asm.op(Op::Mret, 0, 0, 0, 0);
        // Padding makes the handler's address independent of the length of the constants.
        asm.pad_to(CODE + 64);
        terminate(asm);
    };
    let mut code = Assembler::new(USER);
    user(&mut code);
    let words = code.finish().words;
    case(|asm| kernel(asm, CODE + 64), &[&[(USER, &words[..])], data].concat())
}

/// Loops are native in both modes, and accesses to paid pages need no help: only first touches call assists.
#[test]
fn both_modes_are_native() {
    let machine = case(|asm| toucher(asm, LOWEST, terminate), &[]);
    let user = user_case(|asm| toucher(asm, LOWEST, ecall), &[]);
    // Maximum number of pages besides the loop's: code, and for the user the kernel's work before and after.
    for (what, case, others) in [("machine", machine, 1), ("user", user, 5)] {
        let session = Setup::eager().executor(&case).run(Env::new()).expect("it ends");
        let stats = session.stats();
        let pages = u64::from(TOUCHED_PAGES);
        assert!((pages..=pages + others).contains(&stats.access_assists), "{what}: {stats:?}");
        assert!(stats.interpreted_steps < 25 && stats.deopts < 10, "{what}: {stats:?}");
    }
}

/// Instructions may not access memory below the lowest address, even where a system call has touched it. The user may
/// not access pages that the kernel has touched.
#[test]
fn what_was_paid_for_may_be_denied() {
    let poseidon2 = |asm: &mut Assembler| {
        for (register, value) in [(A0, 0), (A1, 0), (A2, 0), (A3, 1), (A7, POSEIDON2)] {
            asm.li(register, value);
        }
        ecall(asm);
    };
    for (op, expected) in [(Op::Lw, "not readable"), (Op::Sw, "not writable")] {
        let low = case(
            |asm| {
                poseidon2(asm);
                asm.li(5, 16);
                asm.op(op, 7, 5, 7, 0);
            },
            &[],
        );
        let (kind, text) = refusal("below the lowest address", &low);
        assert!(kind == "trap" && text.contains(expected), "{op:?}: {text}");
        let high = user_case(
            |asm| {
                asm.li(5, CODE);
                asm.op(op, 7, 5, 7, 0);
            },
            &[],
        );
        let (kind, text) = refusal_by_mode("the kernel's memory", &high);
        assert!(kind == "trap" && text.contains(expected), "{op:?}: {text}");
    }
}

/// Pages count once, whether segments of the program, instructions or the machine use them.
#[test]
fn pages_are_counted_once() {
    let write = |asm: &mut Assembler| {
        asm.li(5, DATA);
        asm.i(Op::Lw, 6, 5, 0);
        asm.store(Op::Sw, 6, 1020, 5);
        terminate(asm);
    };
    // Two segments in one page, and one that crosses into the next page.
    let case = case(write, &[(DATA, &[1, 2]), (DATA + 0x200, &[3]), (DATA + 0x7fc, &[4, 5])]);
    let outcome = assert_same("pages", &case, &setups());
    assert_eq!(registers(&outcome)[6], 1);
    // The page of code, three of data, and the one of the registers.
    assert_eq!(outcome.state.expect("it started").pages, 5);
    let mut limited = case.clone();
    limited.limits.memory_bytes = Some(3 * 1024 + 1023);
    let error = Setup::interpreter().executor(&limited).start(Env::new()).expect_err("four pages do not fit");
    assert!(error.to_string().contains("memory limit of 4095 bytes"), "{error}");
    limited.limits.memory_bytes = Some(4 * 1024);
    Setup::interpreter().executor(&limited).start(Env::new()).expect("four pages fit");
}

/// The program's output is the value at its end.
#[test]
fn the_output_is_eight_words() {
    let words: [u32; 8] = std::array::from_fn(|word| 0x0101_0101 * (word as u32 + 1));
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let case = case(terminate, &[(GLOBAL_OUTPUT, &words)]);
        let session = setup.executor(&case).run(Env::new()).expect("it ends");
        let report = session.report().expect("the machine is r0vm");
        assert_eq!(report.output, Some(Digest(words)), "{setup:?}");
    }
}

/// SHA-256 must not access addresses below the lowest, but may access the lowest itself.
#[test]
fn sha256_at_the_lowest_address() {
    let places = |address: u32| [DATA, DATA + 0x400, DATA + 0x800, DATA + 0xc00].map(|other| [other, address]);
    for at in 0..4 {
        for (lowest, allowed) in [(LOWEST, true), (LOWEST - 4, false), (LOWEST - 1, false)] {
            let mut addresses = places(lowest).map(|[other, _]| other);
            addresses[at] = lowest;
            let [state_in, state_out, data, constants] = addresses;
            let registers = [(A0, state_in), (A1, state_out), (A2, data), (A3, 1), (A4, constants), (A7, SHA2)];
            let case = call(&registers, &[]);
            let what = format!("SHA-256 of {addresses:x?}");
            match allowed {
                true => drop(self::registers(&assert_same(&what, &case, &setups()))),
                false => {
                    let (kind, text) = refusal(&what, &case);
                    assert!(kind == "machine" && text.contains(&format!("{lowest:#010x}")), "{what}: {text}");
                }
            }
        }
    }
}

/// Poseidon2 addresses words by their index, of which there are 2^30.
#[test]
fn poseidon2_at_the_last_word() {
    for (word, allowed) in [((1 << 30) - 8, true), ((1 << 30) - 7, false), (1 << 30, false), (u32::MAX, false)] {
        let case = call(&[(A0, 0), (A1, word), (A2, DATA / 4), (A3, 1), (A7, POSEIDON2)], &[]);
        let what = format!("Poseidon2 of the words from {word:#x} on");
        match allowed {
            true => drop(registers(&assert_same(&what, &case, &setups()))),
            false => assert_eq!(refusal(&what, &case).0, "machine", "{what}"),
        }
    }
}

/// With bit 30 of a3, Poseidon2 compares the digest and stores nothing; any different word ends the program.
#[test]
fn poseidon2_compares_where_it_is_told_to() {
    const CHECK: u32 = 1 << 30;
    let permutation = |bits: u32, digest: [u32; 8]| {
        let registers = [(A0, 0), (A1, DATA / 4), (A2, (DATA + 0x100) / 4), (A3, 1 | bits), (A7, POSEIDON2)];
        call(&registers, &[(DATA, &[1, 2, 3, 4, 5, 6, 7, 8]), (DATA + 0x100, &digest)])
    };
    let mut cells: [u32; 24] =
        std::array::from_fn(|cell| if cell < 16 && cell % 2 == 0 { cell as u32 / 2 + 1 } else { 0 });
    tachy::risc0::poseidon2::permute(&mut cells);
    let digest: [u32; 8] = std::array::from_fn(|cell| cells[cell]);
    let stores = |case: &Case| {
        let outcome = assert_same("Poseidon2", case, &setups());
        registers(&outcome);
        let own = |effect: &&Effect| effect.kind() == EffectKind::Write && effect.addr & !0xff == DATA + 0x100;
        outcome.effects.iter().filter(own).map(|effect| effect.after).collect::<Vec<_>>()
    };
    assert_eq!(stores(&permutation(0, [0; 8])), digest);
    assert!(stores(&permutation(CHECK, digest)).is_empty());
    for at in 0..8 {
        let mut other = digest;
        other[at] ^= 1;
        let (kind, text) = refusal("another digest", &permutation(CHECK, other));
        assert!(kind == "machine" && text.contains("check that fails"), "{text}");
    }
}

/// Compresses one block of SHA-256 as in FIPS 180-4, 6.2.2, with any constants.
fn compress(state: [u32; 8], block: [u32; 16], constants: &[u32]) -> [u32; 8] {
    let mut schedule = block.to_vec();
    for t in 16..64 {
        let (x, y) = (schedule[t - 15], schedule[t - 2]);
        let small =
            [x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3, y.rotate_right(17) ^ y.rotate_right(19) ^ y >> 10];
        let words = [small[1], schedule[t - 7], small[0], schedule[t - 16]];
        schedule.push(words.into_iter().fold(0, u32::wrapping_add));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    for (word, constant) in schedule.into_iter().zip(constants) {
        // Bits of f where e is set and of g elsewhere; bits that are set in at least two of three.
        let choice = (0..32).map(|bit| (if e >> bit & 1 == 1 { f } else { g } >> bit & 1) << bit).sum::<u32>();
        let majority = (0..32).map(|bit| u32::from((a >> bit & 1) + (b >> bit & 1) + (c >> bit & 1) >= 2) << bit);
        let upper = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let one = [h, upper, choice, *constant, word].into_iter().fold(0, u32::wrapping_add);
        let two = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22)).wrapping_add(majority.sum());
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
    }
    let mut sums = state.iter().zip([a, b, c, d, e, f, g, h]).map(|(before, after)| before.wrapping_add(after));
    std::array::from_fn(|_| sums.next().expect("eight words"))
}

/// The program supplies the constants of SHA-256, and may use others.
#[test]
fn sha256_with_other_constants() {
    let mut rng = Rng::new(1);
    for changed in [0..0, 0..1, 63..64, 0..64] {
        let mut constants = standard_constants();
        constants[changed].fill_with(|| rng.bits() as u32);
        let (state, blocks): (Vec<u32>, Vec<u32>) =
            ((0..8).map(|_| rng.bits() as u32).collect(), (0..32).map(|_| rng.bits() as u32).collect());
        let places = [DATA, DATA + 0x400, DATA + 0x800, DATA + 0xc00];
        let registers = [(A0, places[0]), (A1, places[1]), (A2, places[2]), (A3, 2), (A4, places[3]), (A7, SHA2)];
        // States and blocks are bytes, most significant first.
        let swapped = |words: &[u32]| words.iter().map(|word| word.swap_bytes()).collect::<Vec<_>>();
        let (state_bytes, block_bytes) = (swapped(&state), swapped(&blocks));
        let case = call(&registers, &[(places[0], &state_bytes), (places[2], &block_bytes), (places[3], &constants)]);
        let mut expected: [u32; 8] = state.try_into().expect("eight words");
        for block in blocks.as_chunks().0 {
            expected = compress(expected, *block, &constants);
        }
        let mut session = Setup::eager().executor(&case).start(Env::new()).expect("it starts");
        session.run(&mut NullSink::off()).expect("it ends");
        let found: Vec<u32> = (0..8).map(|word| session.word(places[1] + 4 * word)).collect();
        assert_eq!(found, swapped(&expected));
    }
}

/// Computes the fractional parts of the cube roots of the first 64 primes with integers alone: the low half of the root
/// times 2^32.
fn standard_constants() -> Vec<u32> {
    let is_prime = |number: &u128| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
    let root = |prime: u128| {
        let (mut low, mut high) = (0u128, 1 << 36);
        while high - low > 1 {
            let middle = (low + high) / 2;
            match middle.pow(3) <= prime << 96 {
                true => low = middle,
                false => high = middle,
            }
        }
        low as u32
    };
    (2..).filter(is_prime).take(64).map(root).collect()
}

/// The longest program of a bigint call has 10 MiB. The program is checked before the cost of paging it in.
#[test]
fn bigint_programs_that_are_too_long() {
    let words = (10 << 20) / 4;
    for (words, expected) in
        [(words, "begins with 0x00000000"), (words + 1, "too long"), (1 << 30, "too long"), (u32::MAX, "too long")]
    {
        let registers = [(5, 0), (A0, DATA), (T1, 0x1000_0000), (7, DATA), (28, DATA), (A7, BIGINT)];
        let (_, text) = refusal("a long bigint program", &call(&registers, &[(DATA, &[words, 0, 0])]));
        assert!(text.contains(expected), "{words} words: {text}");
    }
}

/// A call that pages in more than a segment holds is carried out. Then the session's limit is checked, and the
/// segment's after it. The reported location is the instruction after the call.
#[test]
fn calls_that_no_segment_holds() {
    // 65,535 blocks of half-words, ten cycles each.
    const CYCLES: u64 = 3 + 10 * 65_535;
    let case = call(&[(A0, 0), (A1, 0x40_0000), (A2, DATA / 4), (A3, 0xffff), (A7, 3)], &[]);
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let end = |limit_cycles: u64| {
            let mut session = setup.executor(&case).start(Env::new().segment_po2(13)).expect("it starts");
            session.limits_mut().cycles = Some(limit_cycles);
            let error = session.run(&mut NullSink::off()).expect_err("it takes too much");
            let location = error.location().expect("it has a place");
            assert_eq!(session.word(location.pc - 4), ECALL, "{error}");
            (error, location.step - 1 + CYCLES)
        };
        let (error, used) = end(u64::MAX);
        assert!(matches!(error.risc0(), Some(MachineError::SegmentTooSmall { po2: 13 })), "{error}");
        assert_eq!(end(used + 1).0.kind(), "segment-too-small");
        for limit in [5_000, used] {
            let (error, _) = end(limit);
            assert!(error.to_string().starts_with(&format!("Session limit exceeded: {used} >= {limit} ")), "{error}");
        }
    }
}

/// A call may name all of memory. Pages that no segment has room for are neither paged in nor recorded.
#[test]
fn calls_that_name_all_of_memory() {
    let bibc = u32::from_le_bytes(*b"bibc");
    let data: [(u32, &[u32]); 2] = [(DATA, &[6, 0x3fff_fff0, 0x3fff_fff0]), (DATA + 0x100, &[bibc, 1, 0, 0, 0, 0])];
    let registers = [(5, 1), (A0, DATA), (T1, DATA + 0x100), (7, 8), (28, 4), (A7, BIGINT)];
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let outcome = run(&call(&registers, &data), setup);
        assert!(matches!(outcome.end, End::Failed { kind: "segment-too-small", .. }), "{:?}", outcome.end);
        // Pages of a segment of 2^20 cycles, 256 words each.
        assert!(outcome.effects.len() < (1 << 20) / 322 * 260, "{} effects", outcome.effects.len());
    }
}

/// A refused call leaves in the trace the instruction, because it has no row, and what was read.
#[test]
fn a_refused_call_is_written_down() {
    let case = call(&[(A7, 99)], &[]);
    let at = CODE + 4;
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let outcome = run(&case, setup);
        assert!(matches!(outcome.end, End::Failed { kind: "machine", .. }), "{:?}", outcome.end);
        let own: Vec<Effect> = outcome.effects.into_iter().filter(|effect| effect.step == 1).collect();
        let read = |space, address, word| Effect::new(1, EffectKind::Read, space, address, word, word);
        assert_eq!(own, [read(Space::Memory, at, ECALL), read(Space::Register, A7.into(), 99)], "{setup:?}");
    }
}

/// Builds a user's ecall at [`USER`], with this word as the address of the kernel's handler. The handler ends the
/// program.
fn user_ecall(handler: impl Fn(u32) -> u32) -> Case {
    let write = |asm: &mut Assembler| {
        asm.li(5, MEPC);
        asm.li(7, USER - 4);
        asm.store(Op::Sw, 7, 0, 5);
        asm.op(Op::Mret, 0, 0, 0, 0);
        terminate(asm);
    };
    let mut asm = Assembler::new(CODE);
    write(&mut asm);
    let address = CODE + 4 * (asm.finish().words.len() as u32 - 3);
    case(write, &[(USER, &[ECALL]), (ECALL_DISPATCH, &[handler(address)])])
}

/// If there is a handler, the trace contains what a user's ecall has read and written. Otherwise it contains only what
/// the ecall has paid for, and what the trap read.
#[test]
fn effects_of_a_users_ecall() {
    let page_in = |address| (EffectKind::PageIn, address);
    let read = |address| (EffectKind::Read, address);
    let own = |case: &Case| {
        let outcome = run_everywhere("a user's ecall", case);
        let mret = outcome.rows.iter().position(|row| row.insn == MRET).expect("it ran") as u64;
        let own = outcome.effects.into_iter().filter(|effect| effect.step == mret + 1);
        let memory = own.filter(|effect| effect.space() == Space::Memory);
        (
            memory.map(|effect| (effect.kind(), effect.addr)).collect::<Vec<_>>(),
            outcome.end,
            outcome.state.expect("it started").ecalls,
        )
    };
    let (effects, end, ecalls) = own(&user_ecall(|handler| handler));
    assert_eq!(end, End::Done(Status::Exited { code: 0 }));
    // The user's ecall, and the one that ends the program.
    assert_eq!(ecalls, (2, 0));
    let expected = [page_in(USER), page_in(ECALL_DISPATCH), read(ECALL_DISPATCH), (EffectKind::Write, MEPC)];
    assert_eq!(effects[..4], expected, "{effects:x?}");
    for wrong in [LOWEST, CODE + 1, CODE - 4, 0xff00_0000] {
        let (effects, end, _) = own(&user_ecall(|_| wrong));
        let text = format!("guest trap: ecall without a handler at pc {USER:#010x}");
        let named =
            |end: &End| matches!(end, End::Failed { kind: "trap", text: found, .. } if found.starts_with(&text));
        assert!(named(&end), "{wrong:#x}: {end:?}");
        let dispatch = TRAP_DISPATCH + 4 * 9;
        let expected = [page_in(USER), page_in(ECALL_DISPATCH), read(USER), page_in(TRAP_DISPATCH), read(dispatch)];
        assert_eq!(effects, expected, "{wrong:#x}: {effects:x?}");
    }
    for (address, ends) in [(LOWEST - 4, "machine"), (0, "machine")] {
        let (effects, end, _) = own(&user_ecall(|_| address));
        assert!(matches!(end, End::Failed { kind, .. } if kind == ends), "{address:#x}: {end:?}");
        let expected = [page_in(USER), read(USER), page_in(ECALL_DISPATCH)];
        assert_eq!(effects, expected, "{address:#x}: {effects:x?}");
    }
}

/// Splits effects into those of pages and all others.
fn split(effects: Vec<Effect>) -> (Vec<Effect>, Vec<Effect>) {
    effects.into_iter().partition(|effect| matches!(effect.kind(), EffectKind::PageIn | EffectKind::PageOut))
}

/// Supplies different bytes at each call.
struct Bytes(u8);

impl Host for Bytes {
    fn read(&mut self, _: &dyn Guest, _: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        self.0 += 1;
        buffer.fill(self.0);
        Ok(buffer.len())
    }

    fn write(&mut self, _: &dyn Guest, _: u32, _: &[u8]) -> Result<u32, HostError> {
        Ok(0)
    }
}

/// The result of a session: its rows, its effects, memory, registers, pages and calls.
type Done = (Vec<Row>, Vec<Effect>, blake3::Hash, [u32; 32], u64, Vec<(&'static str, CallCount)>);

/// Runs a case to its end, with one more page each time that the memory limit stops it. Returns the number of stops.
fn with_limits(case: &Case, setup: &Setup, pages: Option<u64>) -> (u64, Done) {
    let mut sink = VecSink::default();
    let mut session = setup.executor(case).start(Env::new().custom_host(Bytes(0))).expect("it starts");
    let mut stops = 0;
    loop {
        session.limits_mut().memory_bytes = pages.map(|pages| (pages + stops) * 1024);
        match session.run(&mut sink) {
            Ok(status) => {
                assert_eq!(status, Status::Exited { code: 0 });
                let calls = session.report().expect("the machine is r0vm").ecalls;
                let (memory, pages) = (session.memory_digest(), session.stats().pages);
                return (stops, (sink.rows, sink.effects, memory, session.registers(), pages, calls));
            }
            Err(Error::Limit(_)) => stops += 1,
            Err(error) => panic!("{setup:?}: {error}"),
        }
    }
}

/// A call that the memory limit stops midway keeps what it has paid for and nothing else, so that it can be repeated.
/// Stopped or not, rows, memory and counts are the same. So are the effects, except that those of pages come first. A
/// host is not called twice.
#[test]
fn a_call_that_a_limit_stops_is_done_again() {
    let far = |page: u32| 0x1000_0000 + page * 0x400;
    // Two blocks in place, of which the second is in another page; words of Poseidon2 across two pages; a read across
    // two.
    let sha2 = [(A0, far(0)), (A1, far(0)), (A2, far(2) - 64), (A3, 2), (A4, far(4)), (A7, SHA2)];
    let poseidon2 = [(A0, 0), (A1, far(0) / 4), (A2, far(3) / 4 - 4), (A3, 1), (A7, POSEIDON2)];
    let read = [(A0, DATA), (A1, far(3) - 510), (A2, 1021), (A7, READ)];
    let state: Vec<u32> = (1..9).collect();
    // Over the user's registers, and beyond their page.
    let banks = [(A0, DATA), (A1, BANK + 0x80), (A2, 1024), (A7, READ)];
    let calls = [("sha2", &sha2[..], 4), ("poseidon2", &poseidon2, 3), ("read", &read, 2), ("registers", &banks, 2)];
    for (name, registers, missing) in calls {
        // Twice, so that the host's next call matters, too.
        let write = |asm: &mut Assembler| {
            for _ in 0..2 {
                registers.iter().for_each(|&(register, value)| asm.li(register, value));
                ecall(asm);
            }
            terminate(asm);
        };
        let case = case(write, &[(far(0), &state)]);
        let (_, whole) = with_limits(&case, &Setup::interpreter(), None);
        for setup in setups().iter().chain([&Setup::interpreter()]) {
            let what = format!("{name}, {setup:?}");
            let (stops, done) = with_limits(&case, setup, Some(whole.4 - missing));
            assert_eq!(stops, missing, "{what}");
            assert!(done.0 == whole.0, "{what}: rows");
            assert_eq!((done.2, done.3, done.4, &done.5), (whole.2, whole.3, whole.4, &whole.5), "{what}");
            let (expected, found) = (split(whole.1.clone()), split(done.1));
            for (kind, expected, found) in [("page", &expected.0, &found.0), ("other", &expected.1, &found.1)] {
                let different = (0..expected.len().max(found.len())).find(|&at| expected.get(at) != found.get(at));
                let pair = different.map(|at| (expected.get(at), found.get(at)));
                assert_eq!(pair, None, "{what}: effects ({kind}), expected and found");
            }
        }
    }
}

/// `mret` can lead to any pc. The word at a misaligned pc differs from the aligned word below it, however hot.
#[test]
fn a_misaligned_pc_that_is_hot() {
    const USER_X6: u32 = BANK + 0x80 + 4 * 6;
    const ROUNDS: u32 = 500;
    let mut user = Assembler::new(USER);
    user.i(Op::Lw, 5, T1, 0);
    ecall(&mut user);
    let user = user.finish().words;
    let mut asm = Assembler::new(CODE);
    let [go, end] = std::array::from_fn(|_| asm.label());
    asm.li(5, USER_X6);
    asm.li(T1, DATA);
    asm.store(Op::Sw, T1, 0, 5);
    asm.li(5, MEPC);
    asm.li(T1, USER - 2);
    asm.li(8, ROUNDS);
    asm.place(go);
    asm.store(Op::Sw, T1, 0, 5);
    asm.word(MRET);
    let handler = asm.here();
    asm.i(Op::Addi, 8, 8, -1);
    asm.branch(Op::Bne, 8, 0, go);
    // Then equally often to the aligned word.
    asm.branch(Op::Bne, 9, 0, end);
    asm.li(9, 1);
    asm.li(8, ROUNDS);
    asm.li(T1, USER - 4);
    asm.jal(0, go);
    asm.place(end);
    terminate(&mut asm);
    let words = asm.finish().words;
    let segments = vec![
        Segment::from_words(CODE, &words, Permissions::RX),
        Segment::from_words(USER, &user, Permissions::RX),
        Segment::from_words(DATA, &[7], Permissions::RW),
        Segment::from_words(ECALL_DISPATCH, &[handler], Permissions::RW),
    ];
    let program = Program::from_segments(CODE, segments).expect("a test's own program");
    let case = Case::new(program).on(MachineKind::R0vm);
    let outcome = run_everywhere("a misaligned pc", &case);
    let at = |pc: u32| outcome.rows.iter().filter(|row| row.pc == pc).count();
    assert_eq!((at(USER + 2), at(USER)), (ROUNDS as usize, ROUNDS as usize));
}
