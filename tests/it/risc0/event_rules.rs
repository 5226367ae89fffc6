//! Tests which trace events R0VM sends, and in which order: small programs against a second implementation of the
//! rules.
//!
//! The rules: an instruction's event is followed by one for each word that it writes; registers count as words at their
//! place in memory. Events of pages wait until an instruction has ended. Those of an ecall of machine mode are sent
//! after its first cycle and, if it calls the host, after each further one. An instruction that traps has begun, unless
//! it is illegal. A segment begins with eight words and ends with two, for which no instruction begins.
//!
//! tests/oracle compares with RISC Zero's own events.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::assembler::Assembler;
use tachy::decode::decode;
use tachy::isa::{Class, Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::{Guest, Host, HostError};
use tachy::risc0::{TraceEvent, TraceEvents};
use tachy::trace::{SinkError, VecSink};
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, Program, Row, Session};

const CODE: u32 = 0xc000_0000;
const USER: u32 = 0x0050_0000;
const DATA: u32 = 0x0040_0000;
const PAGE_BYTES: u32 = 1024;
/// The registers of either mode, and the distance from them to the word of x0.
const MACHINE_BANK: u32 = 0xffff_0000;
const USER_BANK: u32 = 0xffff_0080;
const SHUNT_OFFSET: u32 = 0x100;
const MEPC: u32 = 0xffff_0200;
const SUSPEND_PC: u32 = 0xffff_0210;
const SUSPEND_MODE: u32 = 0xffff_0214;
const GLOBAL_INPUT: u32 = 0xffff_0260;
const ECALL_DISPATCH: u32 = 0xffff_1000;
const TRAP_DISPATCH: u32 = 0xffff_2000;

const A0: u8 = 10;
const A1: u8 = 11;
const A2: u8 = 12;
const A3: u8 = 13;
const A4: u8 = 14;
const A7: u8 = 17;

const ECALL: u32 = 0x73;
const EBREAK: u32 = 0x0010_0073;

// ---------------------------------------------------------------------------------------------------------------------
// The rules

/// The expected events, in order.
struct Expected {
    events: Vec<TraceEvent>,
    /// Pending events of pages.
    waiting: Vec<TraceEvent>,
    /// Pages and the nodes above them that were loaded and written, by level and place.
    loaded: BTreeSet<(u32, u32)>,
    dirty: BTreeSet<(u32, u32)>,
    bank: u32,
    cycle: u64,
}

impl Expected {
    /// Begins a segment: words for the program are stored, and the page of the registers is loaded and written.
    fn new() -> Expected {
        let mut expected = Expected {
            events: Vec::new(),
            waiting: Vec::new(),
            loaded: BTreeSet::new(),
            dirty: BTreeSet::new(),
            bank: MACHINE_BANK,
            cycle: 0,
        };
        (0..8).for_each(|word| expected.set(GLOBAL_INPUT + 4 * word, 0));
        expected.touch(MACHINE_BANK, true);
        expected
    }

    /// Loads the page at an address, and writes it if `writes`. Events of new nodes wait.
    fn touch(&mut self, address: u32, writes: bool) {
        let page = address / PAGE_BYTES;
        let nodes = |set: &mut BTreeSet<(u32, u32)>| {
            let new = (0..23).filter(|level| set.insert((*level, page >> level)));
            new.map(|level| if level == 0 { 322 } else { 13 }).collect::<Vec<_>>()
        };
        self.waiting.extend(nodes(&mut self.loaded).into_iter().map(|cycles| TraceEvent::PageIn { cycles }));
        if writes {
            self.waiting.extend(nodes(&mut self.dirty).into_iter().map(|cycles| TraceEvent::PageOut { cycles }));
        }
    }

    fn start(&mut self, pc: u32, insn: u32) {
        self.events.push(TraceEvent::InstructionStart { cycle: self.cycle, pc, insn });
    }

    fn set(&mut self, address: u32, word: u32) {
        self.events.push(TraceEvent::MemorySet { address, region: word.to_be_bytes() });
    }

    fn set_register(&mut self, number: u8, word: u32) {
        let offset = if number == 0 { SHUNT_OFFSET } else { 4 * u32::from(number) };
        self.set(self.bank + offset, word);
    }

    fn store(&mut self, address: u32, word: u32) {
        self.touch(address, true);
        self.set(address, word);
    }

    fn flush(&mut self) {
        self.events.append(&mut self.waiting);
    }

    /// Adds a completed step, without what an ecall of machine mode does after its first cycle.
    fn step(&mut self, row: &Row) {
        let op = decode(row.insn, Variant::R0vm).expect("it ran").op;
        let class = op.line().class;
        self.touch(row.pc, false);
        if matches!(class, Class::Load | Class::Store) {
            self.touch(row.addr, class == Class::Store);
        }
        self.start(row.pc, row.insn);
        match class {
            Class::Store => self.set(row.addr & !3, row.mem_after),
            Class::Branch => self.set_register(0, 0),
            _ if op == Op::Mret => self.bank = USER_BANK,
            _ if op == Op::Ecall && self.bank == USER_BANK => {
                self.touch(ECALL_DISPATCH, false);
                self.set(MEPC, row.pc);
                self.bank = MACHINE_BANK;
            }
            _ if op == Op::Ecall => {}
            _ => self.set_register((row.insn >> 7 & 31) as u8, row.rd),
        }
        self.flush();
        self.cycle += 1;
    }

    /// Adds a trap that the kernel's handler has to resolve. `insn` is the instruction if it had begun.
    fn trap(&mut self, pc: u32, insn: Option<u32>, cause: u32) {
        if let Some(insn) = insn {
            self.start(pc, insn);
        }
        self.touch(TRAP_DISPATCH + 4 * cause, false);
        self.set(MEPC, pc);
        self.bank = MACHINE_BANK;
    }

    /// The program has ended at `pc`.
    fn suspend(&mut self, pc: u32) {
        self.set(SUSPEND_PC, pc);
        self.set(SUSPEND_MODE, 1);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Programs

/// Answers with the bytes 1, 2, 3 and so on.
struct Counting;

impl Host for Counting {
    fn read(&mut self, _: &dyn Guest, _: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        (1..).zip(&mut *buffer).for_each(|(count, byte)| *byte = count);
        Ok(buffer.len())
    }

    fn write(&mut self, _: &dyn Guest, _: u32, data: &[u8]) -> Result<u32, HostError> {
        Ok(data.len() as u32)
    }
}

/// Builds code in place of the kernel, and words elsewhere.
fn program(write: impl FnOnce(&mut Assembler), data: &[(u32, &[u32])]) -> Program {
    let mut asm = Assembler::new(CODE);
    write(&mut asm);
    let mut segments = vec![Segment::from_words(CODE, &asm.finish().words, Permissions::RX)];
    segments.extend(data.iter().map(|(address, words)| Segment::from_words(*address, words, Permissions::RW)));
    Program::from_segments(CODE, segments).expect("a test's own program")
}

fn ecall(asm: &mut Assembler) {
    asm.op(Op::Ecall, 0, 0, 0, 0);
}

fn terminate(asm: &mut Assembler) {
    asm.li(A0, 0);
    asm.li(A7, 0);
    ecall(asm);
}

fn executor(program: &Program, engine: Engine) -> Executor {
    let builder = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(JitOptions::eager());
    builder.build(program).expect("good settings")
}

fn env() -> Env<'static> {
    Env::new().custom_host(Counting).segment_po2(20)
}

/// Compares the events of a program in each engine with the events that the rules derive from its rows.
fn check(what: &str, program: &Program, rules: impl Fn(&mut Expected, &[Row], &Session<'_>)) {
    for engine in [Engine::Interpreter, Engine::Jit] {
        let executor = executor(program, engine);
        let mut rows = VecSink::default();
        let mut session = executor.start(env()).expect("it starts");
        let ended = session.run(&mut rows).is_ok();
        let mut expected = Expected::new();
        rules(&mut expected, &rows.rows, &session);

        let mut found = Vec::new();
        let mut sink = TraceEvents::new(|event: &TraceEvent| {
            found.push(*event);
            Ok::<(), SinkError>(())
        });
        assert_eq!(executor.start(env()).expect("it starts").run(&mut sink).is_ok(), ended, "{what}, {engine:?}");
        let longest = found.len().max(expected.events.len());
        if let Some(at) = (0..longest).find(|&at| found.get(at) != expected.events.get(at)) {
            let before = &found[at.saturating_sub(3)..at];
            let (wanted, found) = (expected.events.get(at), found.get(at));
            panic!("{what}, {engine:?}: event {at}: expected {wanted:x?}\nfound {found:x?}\nafter {before:x?}");
        }
    }
}

/// Checks a program that makes an ecall of machine mode with these registers, runs an instruction, and ends.
fn check_call(
    what: &str,
    registers: &[(u8, u32)],
    data: &[(u32, &[u32])],
    rules: impl Fn(&mut Expected, &Session<'_>),
) {
    let write = |asm: &mut Assembler| {
        registers.iter().for_each(|&(register, value)| asm.li(register, value));
        ecall(asm);
        asm.i(Op::Addi, 20, A0, 1);
        terminate(asm);
    };
    check(what, &program(write, data), |expected, rows, session| {
        let call = rows.iter().position(|row| row.insn == ECALL).expect("it ran");
        for (step, row) in rows.iter().enumerate() {
            expected.step(row);
            if step == call {
                rules(expected, session);
            }
        }
        expected.suspend(session.pc());
    });
}

/// Checks a program whose user executes `insn` at its first word, or jumps to `target`, and traps. The kernel's
/// handler, if there is one, ends it.
fn check_trap(what: &str, user: &[u32], pc: u32, cause: u32, started: bool, touched: Option<u32>) {
    const HANDLER: u32 = CODE + 64;
    let kernel = |asm: &mut Assembler| {
        asm.li(5, MEPC);
        asm.li(6, USER - 4);
        asm.store(Op::Sw, 6, 0, 5);
        asm.op(Op::Mret, 0, 0, 0, 0);
        asm.pad_to(HANDLER);
        terminate(asm);
    };
    let table = [HANDLER; 10];
    for handled in [true, false] {
        // The user's ecalls have no handler, because it may not lie at that address.
        let mut data = vec![(USER, user), (ECALL_DISPATCH, &[USER][..])];
        data.extend(handled.then_some((TRAP_DISPATCH, &table[..])));
        check(&format!("{what}, handler: {handled}"), &program(kernel, &data), |expected, rows, session| {
            let insn = started.then(|| user[(pc - USER) as usize / 4]);
            let before = rows.iter().position(|row| row.pc == HANDLER).unwrap_or(rows.len());
            rows[..before].iter().for_each(|row| expected.step(row));
            if pc >= USER {
                expected.touch(pc, false);
            }
            touched.into_iter().for_each(|address| expected.touch(address, false));
            match (handled, insn) {
                (true, insn) => {
                    expected.trap(pc, insn, cause);
                    rows[before..].iter().for_each(|row| expected.step(row));
                    expected.suspend(session.pc());
                }
                (false, Some(insn)) => expected.start(pc, insn),
                (false, None) => {}
            }
        });
    }
}

/// Returns the word of a single instruction.
fn word(write: impl FnOnce(&mut Assembler)) -> u32 {
    let mut asm = Assembler::new(0);
    write(&mut asm);
    asm.finish().words[0]
}

#[test]
fn instructions_that_write_registers_memory_and_nothing() {
    let body = |asm: &mut Assembler, end: fn(&mut Assembler)| {
        asm.li(5, DATA);
        asm.li(6, 0x8765_4321);
        for (op, offset) in [(Op::Sw, 0), (Op::Sb, 5), (Op::Sh, 1026), (Op::Sb, 2047)] {
            asm.store(op, 6, offset, 5);
        }
        for (op, rd) in [(Op::Lw, 7), (Op::Lb, 0), (Op::Lhu, 31)] {
            asm.i(op, rd, 5, 1024);
        }
        asm.r(Op::Mulhu, 8, 6, 6);
        asm.r(Op::Add, 0, 5, 6);
        asm.op(Op::Lui, 0, 0, 0, 0x1234_5000);
        asm.op(Op::Auipc, 9, 0, 0, 0x1000);
        for (op, rs1) in [(Op::Beq, 5), (Op::Bne, 6)] {
            let next = asm.label();
            asm.branch(op, rs1, 5, next);
            asm.i(Op::Addi, 10, 10, 1);
            asm.place(next);
        }
        for rd in [0, 1] {
            let next = asm.label();
            asm.jal(rd, next);
            asm.word(0);
            asm.place(next);
        }
        asm.op(Op::Auipc, 12, 0, 0, 0);
        asm.i(Op::Jalr, 0, 12, 8);
        end(asm);
    };
    let rules = |expected: &mut Expected, rows: &[Row], session: &Session<'_>| {
        rows.iter().for_each(|row| expected.step(row));
        expected.suspend(session.pc());
    };
    check("machine mode", &program(|asm| body(asm, terminate), &[]), rules);

    // The same for a user, whose ecall ends the program.
    let kernel = |asm: &mut Assembler| {
        asm.li(5, MEPC);
        asm.li(6, USER - 4);
        asm.store(Op::Sw, 6, 0, 5);
        asm.op(Op::Mret, 0, 0, 0, 0);
        asm.pad_to(CODE + 64);
        terminate(asm);
    };
    let mut user = Assembler::new(USER);
    body(&mut user, ecall);
    let data: [(u32, &[u32]); 2] = [(USER, &user.finish().words), (ECALL_DISPATCH, &[CODE + 64])];
    check("user mode", &program(kernel, &data), rules);
}

/// Each cycle of a read sends page events. The cycles are: bytes up to a word's beginning, groups of four words, and
/// bytes again. Words of a group that are left over store zeros to a dummy address.
#[test]
fn reads_by_their_cycles() {
    for (offset, bytes, before) in (0..4).flat_map(|offset| {
        [0, 1, 3, 4, 7, 8, 15, 16, 17, 20, 37, 70]
            .into_iter()
            .flat_map(move |bytes| [4, 8, 12, 20].map(|before| (offset, bytes, before)))
    }) {
        let buffer = DATA + PAGE_BYTES - before + offset;
        let registers = [(A0, DATA), (A1, buffer), (A2, bytes), (A7, 1)];
        check_call(&format!("{bytes} bytes to {buffer:#x}"), &registers, &[], |expected, _| {
            expected.set_register(A0, bytes);
            expected.flush();
            let mut memory = BTreeMap::new();
            let mut put = |expected: &mut Expected, at: u32| {
                let word: &mut [u8; 4] = memory.entry((buffer + at) & !3).or_default();
                word[((buffer + at) % 4) as usize] = at as u8 + 1;
                let word = u32::from_le_bytes(*word);
                expected.store((buffer + at) & !3, word);
            };
            let mut at = 0;
            while at < bytes {
                if !(buffer + at).is_multiple_of(4) || bytes - at < 4 {
                    put(expected, at);
                    at += 1;
                } else {
                    for unit in 0..4 {
                        if bytes - at < 4 {
                            expected.store(MACHINE_BANK + SHUNT_OFFSET + 4 * unit, 0);
                            continue;
                        }
                        let word: [u8; 4] = std::array::from_fn(|byte| (at + byte as u32) as u8 + 1);
                        expected.store(buffer + at, u32::from_le_bytes(word));
                        at += 4;
                    }
                }
                expected.flush();
                expected.cycle += 1;
            }
            expected.cycle += 1;
        });
    }
}

/// A write to the memory of a register is an event of memory only, not also one of the register.
#[test]
fn reads_over_registers() {
    for bank in [MACHINE_BANK, USER_BANK] {
        let registers = [(A0, DATA), (A1, bank + 4 * 18), (A2, 24), (A7, 1)];
        check_call("a read over registers", &registers, &[], |expected, _| {
            expected.set_register(A0, 24);
            for at in (0..24).step_by(4) {
                let word = std::array::from_fn(|byte| at as u8 + byte as u8 + 1);
                expected.set(bank + 4 * 18 + at, u32::from_le_bytes(word));
            }
            [8, 12].into_iter().for_each(|unit| expected.set(MACHINE_BANK + SHUNT_OFFSET + unit, 0));
            expected.cycle += 3;
        });
    }
}

#[test]
fn writes_give_a_register() {
    check_call("a write", &[(A0, 1), (A1, DATA), (A2, 9), (A7, 2)], &[], |expected, _| {
        expected.set_register(A0, 9);
        expected.cycle += 1;
    });
}

/// Events of the accelerator's pages wait until the next instruction has ended.
#[test]
fn poseidon2_by_its_cycles() {
    const STATE: u32 = DATA;
    const INPUT: u32 = DATA + 0x1400;
    const OUTPUT: u32 = DATA + 0x4000;
    for (state, elements, count) in (0..2).flat_map(|state| (0..6).map(move |at| (state * STATE / 4, at % 2, at / 2))) {
        let bits = 0x2a_0000 | elements << 31 | count;
        let registers = [(A0, state), (A1, INPUT / 4), (A2, OUTPUT / 4), (A3, bits), (A7, 3)];
        let what = format!("Poseidon2, state {state:#x}, {bits:#x}");
        check_call(&what, &registers, &[(STATE, &[1, 2, 3, 4, 5, 6, 7, 8])], |expected, session| {
            let mut words: Vec<u32> = (0..8).map(|word| OUTPUT + 4 * word).collect();
            if state != 0 {
                expected.touch(STATE, false);
                words.extend((0..8).map(|word| STATE + 4 * word));
                expected.cycle += 2;
            }
            if count != 0 {
                expected.touch(INPUT, false);
            }
            words.into_iter().for_each(|address| expected.store(address, session.word(address)));
            expected.cycle += 2 + u64::from(count * (10 + elements));
        });
    }
}

#[test]
fn sha256_by_its_cycles() {
    const IN: u32 = DATA;
    const OUT: u32 = DATA + 0x1400;
    const BLOCKS: u32 = DATA + 0x4000;
    const CONSTANTS: u32 = DATA + 0x8000;
    for count in [0, 1] {
        let registers = [(A0, IN), (A1, OUT), (A2, BLOCKS), (A3, 0x5_0000 | count), (A4, CONSTANTS), (A7, 4)];
        check_call(
            &format!("SHA-256, {count}"),
            &registers,
            &[(IN, &[1, 2, 3, 4, 5, 6, 7, 8])],
            |expected, session| {
                let order = [3, 7, 2, 6, 1, 5, 0, 4];
                expected.touch(IN, false);
                order.into_iter().for_each(|word| expected.store(OUT + 4 * word, word + 1));
                for _ in 0..count {
                    expected.touch(CONSTANTS, false);
                    expected.touch(BLOCKS, false);
                    let words = order.map(|word| OUT + 4 * word);
                    words.into_iter().for_each(|address| expected.store(address, session.word(address)));
                }
                expected.cycle += 5 + 68 * u64::from(count);
            },
        );
    }
}

/// A program of two operations stores a constant. The verifying program has 7 words, one cycle each.
#[test]
fn bigint_by_its_cycles() {
    const BLOB: u32 = DATA;
    const PROGRAM: u32 = DATA + 0x1400;
    const VERIFY: u32 = DATA + 0x4000;
    const CONSTANTS: u32 = DATA + 0x8000;
    const ARENA: u32 = DATA + 0x10000;
    let (load_constant, store) = (0x2u64 | 1 << 40, 0x4u64 | (21 << 16) << 16);
    let mut words = vec![u32::from_le_bytes(*b"bibc"), 1, 0, 1, 1, 2];
    // A type of 16 bytes, a constant, the operations.
    words.extend([16, 0, 0, 0, 0, 0, 0, 0, 0x1234, 0x5678]);
    words.extend([load_constant, store].map(|bits| [bits as u32, (bits >> 32) as u32]).as_flattened());
    let blob = [words.len() as u32, 7, 3];
    let registers = [(5, 1), (A0, BLOB), (6, PROGRAM), (7, VERIFY + 4), (28, CONSTANTS), (21, ARENA), (A7, 5)];
    check_call("big integers", &registers, &[(BLOB, &blob), (PROGRAM, &words)], |expected, _| {
        [BLOB, PROGRAM, VERIFY, CONSTANTS].into_iter().for_each(|address| expected.touch(address, false));
        [0x1234, 0x5678, 0, 0]
            .into_iter()
            .zip((ARENA..).step_by(4))
            .for_each(|(word, address)| expected.store(address, word));
        expected.cycle += 8;
    });
}

#[test]
fn traps_of_a_user() {
    let nop = 0x13;
    // Some words that resemble a system instruction but are illegal do begin.
    let odd = |rs2: u32, rest: u32| 0x73 | rs2 << 20 | rest;
    for (insn, started) in [
        (0, false),
        (0x0000_000f, false),
        (u32::MAX, false),
        (odd(2, 0), true),
        (odd(31, 0x1f << 7), true),
        (odd(2, 0x1f << 15), true),
        (odd(0, 1 << 12), false),
        (odd(2, 1 << 12), false),
        (odd(2, 1 << 25), false),
        (odd(2, 1 << 31), false),
    ] {
        check_trap(&format!("the word {insn:#010x}"), &[nop, insn], USER + 4, 2, started, None);
    }
    check_trap("ebreak", &[nop, EBREAK], USER + 4, 3, true, None);
    let misaligned = [word(|asm| asm.op(Op::Lui, 5, 0, 0, DATA as i32)), word(|asm| asm.i(Op::Lw, 6, 5, 2))];
    check_trap("a misaligned load", &misaligned, USER + 4, 4, true, Some(DATA));
    let high = [word(|asm| asm.op(Op::Lui, 5, 0, 0, CODE as i32)), word(|asm| asm.store(Op::Sw, 6, 0, 5))];
    check_trap("a store that is denied", &high, USER + 4, 7, true, None);
    check_trap("a jump to a misaligned address", &[nop, word(|asm| asm.i(Op::Jalr, 0, 0, 2))], USER + 4, 0, true, None);
    check_trap("a jump to where no code may lie", &[word(|asm| asm.i(Op::Jalr, 1, 0, 64))], 64, 1, false, None);
}

/// A user's ecall whose handler lies at a forbidden address has begun, and traps.
#[test]
fn ecalls_without_a_handler() {
    check_trap("a user's ecall", &[0x13, ECALL], USER + 4, 9, true, Some(ECALL_DISPATCH));
}

/// A program that ends with a refused call has done everything up to there, and sent the pending events.
#[test]
fn calls_that_are_refused() {
    let check_end = |what: &str, program: &Program, rules: &dyn Fn(&mut Expected)| {
        check(what, program, |expected, rows, session| {
            rows.iter().for_each(|row| expected.step(row));
            expected.touch(session.pc(), false);
            expected.start(session.pc(), ECALL);
            expected.flush();
            rules(expected);
        });
    };
    let write = |registers: &[(u8, u32)]| {
        let registers = registers.to_vec();
        program(
            move |asm| {
                registers.iter().for_each(|&(register, value)| asm.li(register, value));
                ecall(asm);
            },
            &[],
        )
    };
    check_end("a call that nobody knows", &write(&[(A7, 99)]), &|_| {});
    let mut bank = [0; 32];
    bank[A7 as usize] = 99;
    check_end("the same at once", &program(ecall, &[(MACHINE_BANK, &bank)]), &|_| {});
    // Three words fit; the fourth has no page.
    let words = [(A0, 0), (A1, DATA / 4), (A2, (1 << 30) - 3), (A3, 0), (A7, 3)];
    check_end("Poseidon2 past the end", &write(&words), &|expected| {
        (0..3).for_each(|word| expected.set(0xffff_fff4 + 4 * word, 0));
    });
    let refused = [(A0, DATA), (A1, 64), (A2, 8), (A7, 1)];
    check_end("a read to where nothing may lie", &write(&refused), &|_| {});
}
