//! Random users of machine `r0vm` under random kernels. A user is a program like any other; a small kernel handles its
//! system calls and traps. The kernel computes in machine mode, and reads the user's registers and the values computed
//! for x0. It resumes the user at the next instruction, at the start of an earlier one, or in the middle of a word.

use super::*;

/// Addresses of the kernel, its table of constants, and its stack.
const KERNEL_CODE: u32 = 0xc000_0000;
const KERNEL_CONSTANTS: u32 = 0xc004_0000;
const KERNEL_STACK: u32 = 0xc010_0000;
const USER_STACK: u32 = 0x0020_0000;

/// Address of the machine's registers, which the user's follow; and the distance from a bank to the value computed for
/// its x0.
const MACHINE_BANK: u32 = 0xffff_0000;
const USER_BANK: u32 = MACHINE_BANK + 0x80;
const SHUNT: i32 = 0x100;
/// Addresses of the user's pc and of the vector of the kernel's handlers.
const MEPC: u32 = 0xffff_0200;
const ECALL_DISPATCH: u32 = 0xffff_1000;
const TRAP_DISPATCH: u32 = 0xffff_2000;
const CAUSES: usize = 10;
const FETCH_FAULT: usize = 1;

/// The user's requests to the kernel: to end, or to run the code between a0 and here some more times.
const EXIT: u32 = 93;
const AGAIN: u32 = 77;

// The kernel's registers: calls and traps that it still handles, remaining repetitions, and a bit for each repetition
// that starts in the middle of a word. The others are temporaries.
const BUDGET: u8 = 24;
const ROUNDS: u8 = 25;
const TURNS: u8 = 26;
const LOCATION: u8 = 28;
const VALUE: u8 = 29;
const OTHER: u8 = 30;

const LENGTH: Length = Length { steps: 6_000, constructs: 4 };
const STEPS: u64 = 20_000;

/// The environment of a user's program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kernel {
    pub code: Vec<u32>,
    pub constants: Vec<u32>,
    /// Initial values of the machine's and the user's registers.
    pub banks: Vec<u32>,
    /// The user's first pc, minus four.
    pub user_start: u32,
    pub ecall_handler: u32,
    pub trap_handlers: Vec<u32>,
    pub segment_po2: u32,
}

/// Generates the user program of a seed, with its kernel.
pub fn generate_user(seed: u64) -> RandomProgram {
    let mut rng = Rng::new(seed ^ 0x0e0e_0e0e);
    let user = Rng::new(rng.bits());
    let mut program = match rng.below(5) {
        0 => soup::generate(seed, user, LENGTH, true),
        _ => structured::generate(seed, user, LENGTH, true),
    };
    program.limit_steps = STEPS;
    program.limit_output_bytes = None;
    program.limit_memory_bytes = None;
    // Where the user continues after a jump to nowhere: anywhere in its code.
    let recovery = program.code_base + 4 * rng.below(program.code.len() as u64) as u32;
    let start = program.entry - 4 + if rng.one_in(6) { rng.between(1, 4) } else { 0 };
    program.kernel = Some(Kernel::new(rng, start, recovery));
    program
}

impl Kernel {
    fn new(mut rng: Rng, user_start: u32, recovery: u32) -> Kernel {
        let banks = (0..64).map(|number| match number {
            // Sometimes the user's x0 is not 0, and then everything is interpreted.
            0 => 0,
            32 => {
                if rng.one_in(32) {
                    rng.word()
                } else {
                    0
                }
            }
            2 => KERNEL_STACK,
            34 => USER_STACK,
            _ => rng.word(),
        });
        let banks = banks.collect();
        let segment_po2 = rng.pick(&[13, 13, 14, 20]);
        let mut draft = Draft::new(rng, true);
        draft.has_edges = false;
        draft.asm = Assembler::new(KERNEL_CODE);
        draft.constants_at = KERNEL_CONSTANTS;
        let end = draft.asm.label();
        draft.begin();
        let ecall_handler = draft.asm.here();
        draft.ecall_handler(end);
        let fetch_handler = draft.asm.here();
        draft.count(end);
        draft.asm.li(VALUE, recovery - 4);
        draft.return_to(VALUE);
        let trap_handler = draft.asm.here();
        draft.trap_handler(end);
        draft.asm.place(end);
        draft.asm.li(A0, 0);
        draft.asm.li(A7, 0);
        draft.asm.op(Op::Ecall, 0, 0, 0, 0);
        let mut trap_handlers = vec![trap_handler; CAUSES];
        trap_handlers[FETCH_FAULT] = fetch_handler;
        let (assembled, constants) = draft.assemble();
        Kernel { code: assembled.words, constants, banks, user_start, ecall_handler, trap_handlers, segment_po2 }
    }

    /// Returns the kernel's memory, including the machine's own words.
    pub(super) fn segments(&self) -> Vec<Segment> {
        vec![
            Segment::from_words(KERNEL_CODE, &self.code, Permissions::RX),
            Segment::from_words(KERNEL_CONSTANTS, &self.constants, Permissions::R),
            Segment::from_words(MACHINE_BANK, &self.banks, Permissions::RW),
            Segment::from_words(MEPC, &[self.user_start], Permissions::RW),
            Segment::from_words(ECALL_DISPATCH, &[self.ecall_handler], Permissions::RW),
            Segment::from_words(TRAP_DISPATCH, &self.trap_handlers, Permissions::RW),
        ]
    }

    /// Returns where the kernel begins, and with it the program.
    pub(super) fn entry(&self) -> u32 {
        KERNEL_CODE
    }
}

impl Draft {
    /// Emits a user's call: a plain one, or one that repeats the preceding code, with odd addresses in between.
    pub(super) fn kernel_call(&mut self) {
        let top = self.asm.label_here();
        let number = match self.rng.below(4) {
            0 => self.rng.between(0, 64),
            _ => {
                // At odd addresses only loads and stores succeed; everything else traps.
                for _ in 0..self.rng.between(1, 4) {
                    self.stack_word();
                }
                for _ in 0..self.rng.between(1, 5) {
                    match self.rng.below(6) {
                        0 => self.access_group(),
                        1 | 2 => self.chain(),
                        3 => self.stack_word(),
                        _ => self.compute(),
                    }
                }
                AGAIN
            }
        };
        self.asm.la(A0, top);
        self.asm.li(A7, number);
        self.asm.op(Op::Ecall, 0, 0, 0, 0);
    }

    /// Stores and loads a word of the stack.
    pub(super) fn stack_word(&mut self) {
        let (rd, source, offset) = (self.working(), self.source(), -4 * self.rng.between(1, 64) as i32);
        self.asm.store(Op::Sw, source, offset, SP);
        self.asm.i(Op::Lw, rd, SP, offset);
    }

    fn begin(&mut self) {
        self.set_pointers();
        let budget = self.rng.between(60, 400);
        self.asm.li(BUDGET, budget);
        let any = self.rng.bits() as u32;
        let turns = self.rng.pick(&[u32::MAX, u32::MAX, 0xaaaa_aaaa, 0xffff, any, 0]);
        self.asm.li(TURNS, turns);
        self.asm.i(Op::Addi, ROUNDS, 0, 0);
        self.kernel_work(4);
        self.asm.op(Op::Mret, 0, 0, 0, 0);
    }

    /// Emits work in machine mode, in at most `most` parts.
    fn kernel_work(&mut self, most: u32) {
        for _ in 0..self.rng.between(0, most + 1) {
            match self.rng.below(5) {
                0 => self.access_group(),
                1 => self.chain(),
                2 => {
                    let (rd, bank) = (self.working(), self.rng.pick(&[MACHINE_BANK, USER_BANK]));
                    self.asm.li(LOCATION, bank);
                    self.asm.i(Op::Lw, rd, LOCATION, SHUNT);
                }
                3 => self.register_accesses(),
                _ => self.compute(),
            }
        }
    }

    /// Emits accesses to registers in memory: the kernel's own, which change as it computes, and the user's.
    fn register_accesses(&mut self) {
        let bank = self.rng.pick(&[MACHINE_BANK, USER_BANK]);
        self.asm.li(LOCATION, bank);
        for _ in 0..self.rng.between(1, 5) {
            let (rd, source) = (self.working(), self.source());
            // Other registers lead the program.
            let number = self.rng.pick(&WORKING);
            let offset = 4 * i32::from(number) + self.rng.pick(&[0, 0, 0, 2]);
            match self.rng.below(5) {
                0 if offset % 4 == 0 => self.asm.store(Op::Sw, source, offset, LOCATION),
                1 => self.asm.store(Op::Sh, source, offset, LOCATION),
                2 => self.asm.i(Op::Lhu, rd, LOCATION, offset),
                3 if offset % 4 == 0 => self.asm.i(Op::Lw, rd, LOCATION, offset),
                _ => self.compute(),
            }
        }
    }

    /// Jumps to `end` when the kernel has handled enough.
    fn count(&mut self, end: Label) {
        let go_on = self.asm.label();
        self.asm.i(Op::Addi, BUDGET, BUDGET, -1);
        self.asm.branch(Op::Bne, BUDGET, 0, go_on);
        self.asm.jal(0, end);
        self.asm.place(go_on);
    }

    /// Resumes the user after the address in `register`.
    fn return_to(&mut self, register: u8) {
        self.asm.li(LOCATION, MEPC);
        self.asm.store(Op::Sw, register, 0, LOCATION);
        self.asm.op(Op::Mret, 0, 0, 0, 0);
    }

    /// Moves the address in VALUE to the middle of a word, if the pattern of this `number` says so.
    fn turn(&mut self, number: u8) {
        let off = self.rng.pick(&[2, 2, 2, 1, 3]);
        self.asm.r(Op::Srl, OTHER, TURNS, number);
        self.asm.i(Op::Andi, OTHER, OTHER, 1);
        self.asm.li(LOCATION, off);
        self.asm.r(Op::Mul, OTHER, OTHER, LOCATION);
        self.asm.r(Op::Add, VALUE, VALUE, OTHER);
    }

    fn ecall_handler(&mut self, end: Label) {
        let [plain, go_on, done] = [(); 3].map(|()| self.asm.label());
        self.count(end);
        self.kernel_work(3);
        self.asm.li(LOCATION, USER_BANK);
        self.asm.i(Op::Lw, VALUE, LOCATION, 4 * i32::from(A7));
        self.asm.li(OTHER, EXIT);
        let is_no_exit = self.asm.label();
        self.asm.branch(Op::Bne, VALUE, OTHER, is_no_exit);
        self.asm.jal(0, end);
        self.asm.place(is_no_exit);
        self.asm.li(OTHER, AGAIN);
        self.asm.branch(Op::Bne, VALUE, OTHER, plain);
        let under_way = self.asm.label();
        let rounds = self.rng.between(2, 40);
        self.asm.branch(Op::Bne, ROUNDS, 0, under_way);
        self.asm.li(ROUNDS, rounds);
        self.asm.place(under_way);
        self.asm.i(Op::Addi, ROUNDS, ROUNDS, -1);
        self.asm.branch(Op::Beq, ROUNDS, 0, done);
        self.asm.i(Op::Lw, VALUE, LOCATION, 4 * i32::from(A0));
        self.asm.i(Op::Addi, VALUE, VALUE, -4);
        self.turn(ROUNDS);
        self.return_to(VALUE);
        // After the call, at the start of the word.
        self.asm.place(done);
        self.asm.li(LOCATION, MEPC);
        self.asm.i(Op::Lw, VALUE, LOCATION, 0);
        self.asm.i(Op::Andi, VALUE, VALUE, -4);
        self.return_to(VALUE);
        self.asm.place(plain);
        if self.rng.one_in(2) {
            // Sometimes the user's x0, which then is another number for some of its calls.
            let (source, register) = match self.rng.below(4) {
                0 => (self.rng.pick(&[0, 0, BUDGET]), 0),
                _ => (self.source(), self.rng.pick(&WORKING)),
            };
            self.asm.store(Op::Sw, source, 4 * i32::from(register), LOCATION);
        }
        self.asm.branch(Op::Blt, BUDGET, 0, go_on);
        self.kernel_work(1);
        self.asm.place(go_on);
        self.asm.op(Op::Mret, 0, 0, 0, 0);
    }

    /// Resumes after the instruction that trapped; sometimes moves to the middle of a word or back to its start.
    fn trap_handler(&mut self, end: Label) {
        self.count(end);
        self.kernel_work(2);
        if self.rng.one_in(3) {
            self.asm.li(LOCATION, MEPC);
            self.asm.i(Op::Lw, VALUE, LOCATION, 0);
            self.asm.i(Op::Andi, VALUE, VALUE, -4);
            self.turn(BUDGET);
            self.return_to(VALUE);
        } else {
            self.asm.op(Op::Mret, 0, 0, 0, 0);
        }
    }
}
