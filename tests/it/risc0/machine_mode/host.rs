//! Tests what a host sees of the guest that calls it, and where its answers go.

use std::sync::{Arc, Mutex};

use tachy::decode::{Instruction, encode};

use super::*;

/// What a host sees: pc, a register, a word, bytes, cycles.
type Sight = (u32, u32, u32, Vec<u8>, u64);

/// Answers with these bytes, up to the available room, and keeps what it saw.
struct Seeing {
    answer: Vec<u8>,
    claims: usize,
    seen: Arc<Mutex<Vec<Sight>>>,
}

impl Host for Seeing {
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        let mut bytes = vec![0; 3];
        guest.bytes(DATA + 1, &mut bytes);
        let seen = (guest.pc(), guest.register(20), guest.word(descriptor), bytes, guest.user_cycles());
        self.seen.lock().expect("nobody panics").push(seen);
        let length = self.answer.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.answer[..length]);
        Ok(length + self.claims)
    }

    fn write(&mut self, _: &dyn Guest, _: u32, data: &[u8]) -> Result<u32, HostError> {
        Ok(data.iter().map(|byte| u32::from(*byte)).sum())
    }
}

fn seeing(answer: &[u8], claims: usize) -> Seeing {
    Seeing { answer: answer.to_vec(), claims, seen: Arc::default() }
}

fn run_with_host(case: &Case, setup: &Setup, host: Seeing) -> (Result<Status, Error>, VecSink, [u32; 32]) {
    let mut sink = VecSink::default();
    let mut session = setup.executor(case).start(Env::new().custom_host(host)).expect("it starts");
    let result = session.run(&mut sink);
    (result, sink, session.registers())
}

/// The user calls the host through the kernel. The host sees the user's registers and pc, current memory, and the
/// cycles so far.
#[test]
fn a_host_sees_the_user() {
    let kernel = |asm: &mut Assembler, handler: u32| {
        name_handler_and_user(asm, handler);
        asm.li(20, 111);
        asm.op(Op::Mret, 0, 0, 0, 0);
        asm.pad_to(CODE + 64);
        for (register, value) in [(A0, DATA), (A1, DATA + 64), (A2, 4), (A7, READ)] {
            asm.li(register, value);
        }
        ecall(asm);
        terminate(asm);
    };
    let mut user = Assembler::new(USER);
    user.li(20, 222);
    ecall(&mut user);
    let words = user.finish().words;
    let case = case(|asm| kernel(asm, CODE + 64), &[(USER, &words), (DATA, &[0x4433_2211])]);
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let host = seeing(&[9, 8, 7, 6], 0);
        let seen = host.seen.clone();
        let (result, sink, _) = run_with_host(&case, setup, host);
        assert_eq!(result.expect("it ends"), Status::Exited { code: 0 }, "{setup:?}");
        // Every step is a cycle, and so is the start of the ecall that makes the call.
        let asks = sink.rows.iter().filter(|row| row.insn == ECALL).nth(1).map(|row| row.pc);
        let cycles = sink.rows.iter().position(|row| Some(row.pc) == asks).expect("it asks") as u64 + 1;
        let expected = [(USER + 4, 222, 0x4433_2211, vec![0x22, 0x33, 0x44], cycles)];
        assert_eq!(*seen.lock().expect("nobody panics"), expected, "{setup:?}");
    }
}

/// Where an answer goes: bytes up to a word, groups of four words, and bytes again. Words of a group that are left over
/// store zeros to a dummy address. Also checks the cycles of all this.
#[test]
fn answers_in_memory() {
    let answer: Vec<u8> = (1..=100).collect();
    for (offset, bytes) in [(0, 0), (0, 4), (0, 8), (0, 16), (1, 2), (1, 30), (3, 45), (2, 100), (0, 99), (1, 1)] {
        let call = call(&[(A0, DATA), (A1, DATA + 0x100 + offset), (A2, bytes), (A7, READ)], &[(DATA, &[!0; 256])]);
        for setup in setups().iter().chain([&Setup::interpreter()]) {
            let what = format!("{bytes} bytes at offset {offset}, {setup:?}");
            let executor = setup.executor(&call);
            let mut sink = VecSink::default();
            let env = Env::new().custom_host(seeing(&answer, 0));
            let mut session = executor.start(env).expect("it starts");
            session.run(&mut sink).expect("it ends");
            let at = |byte: u32| session.bytes((DATA + 0x100 + offset).wrapping_add(byte), 1).expect("a byte")[0];
            let stored: Vec<u8> = (0..bytes).map(at).collect();
            assert_eq!(stored, answer[..bytes as usize], "{what}");
            assert_eq!((at(u32::MAX), at(bytes)), (0xff, 0xff), "{what}");

            let head = ((4 - offset) % 4).min(bytes);
            let words = (bytes - head) / 4;
            let tail = bytes - head - 4 * words;
            let groups = words.div_ceil(4);
            let step = sink.rows.iter().position(|row| row.insn == ECALL).expect("it asks") as u64;
            let zeros = |effect: &&Effect| effect.step == step && effect.addr & !0xf == SHUNT;
            let zeros: Vec<_> =
                sink.effects.iter().filter(zeros).filter(|effect| effect.space() == Space::Memory).collect();
            let expected: Vec<u32> = (words..4 * groups).map(|unit| SHUNT + 4 * (unit % 4)).collect();
            assert_eq!(zeros.iter().map(|effect| effect.addr).collect::<Vec<_>>(), expected, "{what}");
            assert!(zeros.iter().all(|effect| effect.kind() == EffectKind::Write && effect.after == 0), "{what}");
            let reads = session.report().expect("the machine is r0vm").ecalls[READ as usize];
            let cycles = u64::from(2 + head + groups + tail);
            assert_eq!(reads, ("read", CallCount { calls: 1, cycles }), "{what}");
        }
    }
}

/// Reads at the edges of what is allowed: where they go, and how much.
#[test]
fn reads_at_the_edges() {
    let allowed = [(LOWEST, 4), (LOWEST - 4, 0), (0, 0), (LOWEST, 1024), (DATA, 1024), (0xffff_fc00, 1023)];
    let refused = [(LOWEST - 1, 1), (0, 1), (LOWEST - 4, 8), (DATA, 1025), (DATA, u32::MAX), (0xffff_ffff, 4)];
    for (ok, cases) in [(true, &allowed), (false, &refused)] {
        for &(buffer, bytes) in cases {
            let case = call(&[(A0, DATA), (A1, buffer), (A2, bytes), (A7, READ)], &[]);
            for setup in setups().iter().chain([&Setup::interpreter()]) {
                let what = format!("{bytes} bytes to {buffer:#x}, {setup:?}");
                let (result, ..) = run_with_host(&case, setup, seeing(&[7; 1024], 0));
                match result {
                    Ok(_) => assert!(ok, "{what}: allowed"),
                    Err(error) => assert!(!ok && error.kind() == "machine", "{what}: {error}"),
                }
            }
        }
    }
}

/// A host may answer with less than requested, but not claim more than the available room.
#[test]
fn short_answers_and_claims() {
    let case = call(&[(A0, DATA), (A1, DATA), (A2, 12), (A7, READ)], &[(DATA, &[!0; 8])]);
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let (result, sink, _) = run_with_host(&case, setup, seeing(&[1, 2, 3, 4, 5], 0));
        assert!(result.is_ok(), "{setup:?}: {result:?}");
        let written = sink.effects.iter().find(|it| it.space() == Space::Register && it.kind() == EffectKind::Write);
        assert_eq!(written.map(|effect| (effect.addr, effect.after)), Some((A0.into(), 5)), "{setup:?}");
        let (result, ..) = run_with_host(&case, setup, seeing(&[7; 12], 1));
        let error = result.expect_err("twelve bytes are no thirteen");
        assert!(error.kind() == "machine" && error.to_string().contains("claims"), "{setup:?}: {error}");
    }
}

/// Writes of a program to its host: bytes anywhere, at most 1024; the answer is in a0.
#[test]
fn writes_at_the_edges() {
    for (buffer, bytes, answer) in
        [(DATA + 1, 3, Some(0x22 + 0x33 + 0x44)), (DATA, 0, Some(0)), (0, 1024, Some(0)), (DATA, 1025, None)]
    {
        let write = |asm: &mut Assembler| {
            for (register, value) in [(A0, 1), (A1, buffer), (A2, bytes), (A7, WRITE)] {
                asm.li(register, value);
            }
            ecall(asm);
            asm.i(Op::Addi, 20, A0, 0);
            terminate(asm);
        };
        let case = case(write, &[(DATA, &[0x4433_2211])]);
        for setup in setups().iter().chain([&Setup::interpreter()]) {
            let (result, _, registers) = run_with_host(&case, setup, seeing(&[], 0));
            match answer {
                Some(answer) => assert_eq!((result.is_ok(), registers[20]), (true, answer), "{setup:?}"),
                None => assert_eq!(result.expect_err("it is too much").kind(), "machine", "{setup:?}"),
            }
        }
    }
}

/// Data that is read over code that has run, translated or not, executes next.
#[test]
fn answers_over_code() {
    let add = |imm| encode(Instruction { op: Op::Addi, rd: 20, rs1: 20, rs2: 0, imm });
    let back = encode(Instruction { op: Op::Jalr, rd: 0, rs1: 1, rs2: 0, imm: 0 });
    let write = |asm: &mut Assembler| {
        asm.li(5, DATA);
        for _ in 0..3 {
            asm.i(Op::Jalr, 1, 5, 0);
        }
        for (register, value) in [(A0, DATA), (A1, DATA), (A2, 4), (A7, READ)] {
            asm.li(register, value);
        }
        ecall(asm);
        asm.i(Op::Jalr, 1, 5, 0);
        terminate(asm);
    };
    let case = case(write, &[(DATA, &[add(1), back])]);
    for setup in setups().iter().chain([&Setup::interpreter()]) {
        let (result, _, registers) = run_with_host(&case, setup, seeing(&add(16).to_le_bytes(), 0));
        assert!(result.is_ok(), "{setup:?}: {result:?}");
        assert_eq!(registers[20], 3 + 16, "{setup:?}");
    }
}

/// A segment ends before the first instruction at which its cycles exceed the threshold, not at which they equal it.
/// The same holds if the machine checks after each call, whatever the count is then.
#[test]
fn segments_end_past_their_threshold() {
    const THRESHOLD: u32 = (1 << 13) - 2000;
    const END_CYCLES: u32 = 4113;
    for shift in 0..4 {
        let write = |asm: &mut Assembler| {
            for (register, value) in [(A1, DATA), (A2, 0), (A7, WRITE), (5, 2000)] {
                asm.li(register, value);
            }
            for _ in 0..shift {
                asm.i(Op::Addi, 6, 6, 1);
            }
            // Four cycles per round, of which the call takes two.
            let top = asm.label_here();
            ecall(asm);
            asm.i(Op::Addi, 5, 5, -1);
            asm.branch(Op::Bne, 5, 0, top);
            terminate(asm);
        };
        let case = case(write, &[]);
        for setup in setups().iter().chain([&Setup::interpreter()]) {
            let env = Env::new().custom_host(seeing(&[], 0)).segment_po2(13);
            let session = setup.executor(&case).run(env).expect("it ends");
            let each = session.into_report().expect("the machine is r0vm").each;
            assert!(each.len() > 5, "{each:?}");
            for segment in &each[..each.len() - 1] {
                let total = segment.user_cycles + segment.paging_cycles + END_CYCLES;
                assert!((THRESHOLD + 1..=THRESHOLD + 2).contains(&total), "shift {shift}, {setup:?}: {segment:?}");
            }
        }
    }
}
