//! Programs with a shape: functions that call each other, loops within loops, switches, and code that patches code.
//!
//! Each construct tells what it costs at the most, roughly, in steps; that is how runs get the length they should.

use super::*;

/// Steps that a structured program takes before it ends by its own will, roughly at the most.
const LIMIT_STEPS: u64 = 20_000;

struct Generator {
    draft: Draft,
    /// Functions that may be called, with their cost.
    functions: Vec<(Label, u64)>,
    /// The one function that calls itself, [`RECURSION`] times.
    recursive: Option<(Label, u64)>,
    /// Places of harmless instructions that may be written over.
    sites: Vec<Label>,
    /// Sites that will come later in the function under construction.
    sites_ahead: Vec<Label>,
    /// Words inside the code that are no code.
    islands: Vec<Label>,
    code_writable: bool,
    /// Loops around this place, in this function.
    nesting: usize,
}

pub fn generate(seed: u64, rng: Rng) -> RandomProgram {
    let mut draft = Draft::new(rng);
    let code_writable = draft.rng.one_in(2);
    let mut generator = Generator {
        draft,
        functions: Vec::new(),
        recursive: None,
        sites: Vec::new(),
        sites_ahead: Vec::new(),
        islands: Vec::new(),
        code_writable,
        nesting: 0,
    };
    let (entry, limit_steps) = match generator.draft.rng.one_in(100) {
        true => generator.long_straight_program(),
        false => generator.program(),
    };
    generator.draft.finish(seed, entry, code_writable, limit_steps)
}

impl Generator {
    fn asm(&mut self) -> &mut Assembler {
        &mut self.draft.asm
    }

    fn rng(&mut self) -> &mut Rng {
        &mut self.draft.rng
    }

    /// Functions first, then the code at the entry, which it returns with the step limit.
    fn program(&mut self) -> (u32, u64) {
        for _ in 0..self.rng().below(4) {
            self.function();
        }
        if self.rng().one_in(3) {
            self.recursive_function();
        }
        let entry = self.asm().here();
        self.prologue();
        let start = self.rng().between(0, 3);
        self.block(start);
        // The loop that makes the run as long as it should be.
        let target = match self.rng().below(4) {
            0 => self.rng().below(500),
            _ => 500 + self.rng().below(4500),
        };
        let body = self.rng().between(3, 10);
        self.loop_of(body, Some(target));
        let rest = self.rng().between(0, 3);
        self.block(rest);
        self.ending();
        (entry, LIMIT_STEPS)
    }

    /// One block that is longer than a buffer of rows and than any region.
    fn long_straight_program(&mut self) -> (u32, u64) {
        let entry = self.asm().here();
        self.prologue();
        for _ in 0..self.rng().between(200, 700) {
            match self.rng().one_in(5) {
                true => self.draft.access(),
                false => self.draft.compute(),
            }
        }
        self.ending();
        (entry, LIMIT_STEPS)
    }

    /// Pointers and some first values.
    fn prologue(&mut self) {
        self.draft.set_pointers();
        for _ in 0..self.rng().between(2, 8) {
            let (register, value) = (self.draft.working(), self.rng().word());
            self.asm().li(register, value);
        }
    }

    /// A function: counters and return address on the stack, a body, and back.
    fn function(&mut self) {
        let label = self.asm().label_here();
        self.push_frame();
        let size = self.rng().between(1, 4);
        let cost = 12 + self.block(size);
        self.pop_frame();
        self.functions.push((label, cost));
    }

    fn push_frame(&mut self) {
        self.asm().i(Op::Addi, SP, SP, -16);
        for (register, offset) in [RA, COUNTERS[0], COUNTERS[1], COUNTERS[2]].into_iter().zip([12, 8, 4, 0]) {
            self.asm().store(Op::Sw, register, offset, SP);
        }
    }

    fn pop_frame(&mut self) {
        for (register, offset) in [RA, COUNTERS[0], COUNTERS[1], COUNTERS[2]].into_iter().zip([12, 8, 4, 0]) {
            self.asm().i(Op::Lw, register, SP, offset);
        }
        self.asm().i(Op::Addi, SP, SP, 16);
        self.asm().i(Op::Jalr, 0, RA, 0);
    }

    fn recursive_function(&mut self) {
        let label = self.asm().label_here();
        self.push_frame();
        let cost = self.block(1);
        self.asm().i(Op::Addi, RECURSION, RECURSION, -1);
        let back = self.asm().label();
        self.asm().branch(Op::Bge, 0, RECURSION, back);
        self.asm().jal(RA, label);
        self.asm().place(back);
        let more = self.block(1);
        self.pop_frame();
        self.recursive = Some((label, cost + more + 14));
    }

    /// `size` constructs one after the other.
    fn block(&mut self, size: u32) -> u64 {
        let ahead = self.sites_ahead.len();
        let mut cost = 0;
        for _ in 0..size {
            cost += self.construct();
        }
        // Sites that were promised for later come now.
        while self.sites_ahead.len() > ahead {
            let label = self.sites_ahead.pop().expect("as just counted");
            self.asm().place(label);
            self.site_instruction();
            self.sites.push(label);
            cost += 1;
        }
        cost
    }

    fn construct(&mut self) -> u64 {
        let before = self.asm().here();
        match self.rng().below(40) {
            0..14 => {
                for _ in 0..self.rng().between(1, 8) {
                    self.draft.compute();
                }
            }
            14..17 => self.draft.access(),
            17..20 => self.draft.computed_access(),
            20..23 => return self.conditional(),
            23..25 if self.nesting < COUNTERS.len() - 1 => {
                let size = self.rng().between(1, 4);
                return self.loop_of(size, None);
            }
            25..28 => return self.call(),
            28 => return self.recursion(),
            29 | 30 => return self.switch(),
            31 => self.jump_into_run(),
            32..35 if self.code_writable => self.patch(),
            35 if self.code_writable => self.island(),
            36 => self.ecall(),
            37 => self.asm().op(Op::Fence, 0, 0, 0, 0),
            38 => self.rare_trap(),
            _ => self.stack_traffic(),
        }
        u64::from((self.asm().here() - before) / 4)
    }

    /// A branch forward over a block, sometimes with another block for the other way.
    fn conditional(&mut self) -> u64 {
        let op = self.rng().pick(&[Op::Beq, Op::Bne, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu]);
        let (a, b) = (self.draft.source(), self.draft.source());
        let (other, end) = (self.asm().label(), self.asm().label());
        self.asm().branch(op, a, b, other);
        let size = self.rng().between(1, 3);
        let mut cost = 2 + self.block(size);
        if self.rng().one_in(2) {
            self.asm().jal(0, end);
            self.asm().place(other);
            let size = self.rng().between(1, 3);
            cost += self.block(size);
        } else {
            self.asm().place(other);
        }
        self.asm().place(end);
        cost
    }

    /// A loop over a block: a few times, or until `target` steps are done.
    fn loop_of(&mut self, size: u32, target: Option<u64>) -> u64 {
        let counter = COUNTERS[self.nesting];
        self.nesting += 1;
        // How often is known when the body is; the constant is written then.
        let count = self.draft.constant(&[Constant::Word(1)]);
        match count {
            Some(offset) => self.asm().i(Op::Lw, counter, CONSTANT_POINTER, offset),
            None => self.asm().i(Op::Addi, counter, 0, 2),
        }
        let top = self.asm().label_here();
        let down_first = self.rng().one_in(2);
        if down_first {
            self.asm().i(Op::Addi, counter, counter, -1);
        }
        let cost = 3 + self.block(size);
        if !down_first {
            self.asm().i(Op::Addi, counter, counter, -1);
        }
        // A body too long for a branch to span ends in a jump.
        if self.asm().distance(top) < 4000 {
            self.asm().branch(Op::Blt, 0, counter, top);
        } else {
            let end = self.asm().label();
            self.asm().branch(Op::Bge, 0, counter, end);
            self.asm().jal(0, top);
            self.asm().place(end);
        }
        self.nesting -= 1;
        let times = match target {
            Some(target) => (target / cost).clamp(1, 2000),
            None => 1 + self.rng().below(6),
        };
        if let Some(offset) = count {
            self.draft.constants[(offset + 2048) as usize / 4] = Constant::Word(times as u32);
        }
        cost * times
    }

    fn call(&mut self) -> u64 {
        if self.functions.is_empty() {
            self.draft.compute();
            return 1;
        }
        let (label, cost) = self.draft.rng.pick(&self.functions);
        let register = self.draft.working();
        match self.rng().below(3) {
            0 => self.asm().jal(RA, label),
            1 => {
                self.asm().la(register, label);
                self.asm().i(Op::Jalr, RA, register, 0);
            }
            // An odd address: the lowest bit does not count.
            _ => match self.draft.constant(&[Constant::Address(label)]) {
                Some(offset) => {
                    self.asm().i(Op::Lw, register, CONSTANT_POINTER, offset);
                    self.asm().i(Op::Jalr, RA, register, 1);
                }
                None => self.asm().jal(RA, label),
            },
        }
        cost + 3
    }

    fn recursion(&mut self) -> u64 {
        let Some((label, cost)) = self.recursive else { return self.call() };
        let depth = self.rng().between(1, 12);
        self.asm().li(RECURSION, depth);
        self.asm().jal(RA, label);
        2 + cost * u64::from(depth)
    }

    /// An indirect jump through a table; some of its targets lie in the middle of what others start.
    fn switch(&mut self) -> u64 {
        let ways = 4;
        let targets: Vec<Label> = (0..ways).map(|_| self.asm().label()).collect();
        let constants: Vec<Constant> = targets.iter().map(|&label| Constant::Address(label)).collect();
        let Some(offset) = self.draft.constant(&constants) else {
            self.draft.compute();
            return 1;
        };
        let register = self.draft.working();
        let value = self.draft.source();
        self.asm().i(Op::Andi, register, value, ways - 1);
        self.asm().i(Op::Slli, register, register, 2);
        self.asm().r(Op::Add, register, register, CONSTANT_POINTER);
        self.asm().i(Op::Lw, register, register, offset);
        let link = if self.rng().one_in(4) { self.draft.working() } else { 0 };
        self.asm().i(Op::Jalr, link, register, 0);
        let end = self.asm().label();
        let mut cost = 6;
        for target in targets {
            self.asm().place(target);
            for _ in 0..self.rng().between(1, 4) {
                self.draft.compute();
            }
            cost += 3;
            // Without the jump, this way runs on into the middle of the next.
            if self.rng().one_in(2) {
                self.asm().jal(0, end);
            }
        }
        self.asm().place(end);
        cost
    }

    /// A jump to a computed place in the middle of a straight run.
    fn jump_into_run(&mut self) {
        let (register, index) = self.draft.two_working();
        let start = self.asm().label();
        let value = self.draft.source();
        self.asm().i(Op::Andi, index, value, 7);
        self.asm().i(Op::Slli, index, index, 2);
        self.asm().la(register, start);
        self.asm().r(Op::Add, register, register, index);
        self.asm().i(Op::Jalr, 0, register, 0);
        self.asm().place(start);
        for _ in 0..9 {
            self.draft.compute();
        }
    }

    /// An instruction of which any byte above the lowest two may be written over.
    fn site_instruction(&mut self) {
        let op = self.rng().pick(&[Op::Addi, Op::Xori, Op::Ori, Op::Andi, Op::Slti, Op::Sltiu]);
        let (rd, rs1, imm) = (self.draft.working(), self.draft.source(), self.rng().below(4096) as i32 - 2048);
        self.asm().i(op, rd, rs1, imm);
    }

    /// Writes an instruction over another one: earlier, later, the very next, or one in another function.
    fn patch(&mut self) {
        let (pointer, value) = self.draft.two_working();
        let next = self.rng().one_in(4);
        let site = match self.rng().below(3) {
            _ if next => self.asm().label(),
            0 | 1 if !self.sites.is_empty() => self.draft.rng.pick(&self.sites),
            _ => {
                let label = self.asm().label();
                self.sites_ahead.push(label);
                label
            }
        };
        self.asm().la(pointer, site);
        match self.rng().below(8) {
            // A part of the immediate, or of rs1.
            0 => {
                let (imm, source) = (self.rng().between(2, 4), self.draft.source());
                self.asm().store(Op::Sb, source, imm as i32, pointer);
            }
            // From standard input.
            1 => {
                self.asm().i(Op::Addi, A7, 0, 63);
                self.asm().la(A1, site);
                self.asm().i(Op::Addi, A0, 0, 0);
                self.asm().i(Op::Addi, A2, 0, 4);
                self.asm().op(Op::Ecall, 0, 0, 0, 0);
            }
            // A different one each time the loop around comes by.
            2..5 if self.nesting > 0 => {
                let words: Vec<Constant> = (0..4).map(|_| Constant::Word(self.patch_word())).collect();
                let Some(offset) = self.draft.constant(&words) else { return self.place_if(next, site) };
                let counter = COUNTERS[self.nesting - 1];
                self.asm().i(Op::Andi, value, counter, 3);
                self.asm().i(Op::Slli, value, value, 2);
                self.asm().r(Op::Add, value, value, CONSTANT_POINTER);
                self.asm().i(Op::Lw, value, value, offset);
                self.asm().store(Op::Sw, value, 0, pointer);
            }
            _ => {
                let word = self.patch_word();
                self.asm().li(value, word);
                self.asm().store(Op::Sw, value, 0, pointer);
            }
        }
        if self.rng().one_in(4) {
            self.asm().op(Op::FenceI, 0, 0, 0, 0);
        }
        self.place_if(next, site);
    }

    fn place_if(&mut self, here: bool, site: Label) {
        if here {
            self.asm().place(site);
            self.site_instruction();
            self.sites.push(site);
        }
    }

    /// What is written over a site: mostly arithmetic, else a jump over the next, a branch, or no instruction at all.
    fn patch_word(&mut self) -> u32 {
        match self.rng().below(40) {
            0 => 0,
            1 | 2 => encode(Instruction { op: Op::Jal, rd: 0, rs1: 0, rs2: 0, imm: 4 }),
            3 | 4 => {
                let (rs1, rs2) = (self.draft.source(), self.draft.source());
                encode(Instruction { op: Op::Bltu, rd: 0, rs1, rs2, imm: 4 })
            }
            5 => {
                let rd = self.draft.working();
                encode(Instruction { op: Op::Lw, rd, rs1: SP, rs2: 0, imm: 0 })
            }
            _ => encode(self.draft.random_compute()),
        }
    }

    /// Words in the middle of code that are data: read and written, never run.
    fn island(&mut self) {
        if self.islands.is_empty() || self.rng().one_in(3) {
            let over = self.asm().label();
            self.asm().jal(0, over);
            let island = self.asm().label_here();
            for _ in 0..4 {
                let word = self.rng().word();
                self.asm().word(word);
            }
            self.asm().place(over);
            self.islands.push(island);
        }
        let island = self.draft.rng.pick(&self.islands);
        let (pointer, value) = self.draft.two_working();
        self.asm().la(pointer, island);
        for _ in 0..self.rng().between(1, 4) {
            let at = self.rng().between(0, 16) as i32;
            match self.rng().below(4) {
                0 => self.asm().i(Op::Lw, value, pointer, at & !3),
                1 => self.asm().store(Op::Sb, value, at, pointer),
                2 => self.asm().store(Op::Sh, value, at & !1, pointer),
                _ => self.asm().store(Op::Sw, value, at & !3, pointer),
            }
        }
    }

    fn ecall(&mut self) {
        let number = self.rng().pick(&[63, 64, 64, 214, 214, 5, 0xffff_ffff]);
        let [a0, a1, a2] = match number {
            63 | 64 => {
                let descriptor = self.rng().pick(&[0, 1, 1, 2, 3]);
                let buffer = match self.rng().below(6) {
                    // Nothing there, read-only, and around the end of what is there.
                    0 => 0x20,
                    1 => CONSTANTS,
                    2 => DATA + 4096 - 4 * self.rng().between(0, 3),
                    _ => DATA + self.rng().between(0, 3000),
                };
                [descriptor, buffer, 4 * self.rng().between(0, 12)]
            }
            // The heap begins on the page after the constants.
            214 => [self.rng().pick(&[0, 0x6_0400, 0x6_1234, 0x6_2000, 0x7_0000, 0xf000_0000]), 0, 0],
            _ => [self.rng().word(), self.rng().word(), 0],
        };
        for (register, value) in [(A0, a0), (A1, a1), (A2, a2), (A7, number)] {
            self.asm().li(register, value);
        }
        self.asm().op(Op::Ecall, 0, 0, 0, 0);
        // The heap is used, if it is there: brk returned where it ends.
        if number == 214 && self.rng().one_in(2) {
            let (skip, limit) = (self.asm().label(), 0x6_1000);
            self.asm().li(A1, limit);
            self.asm().branch(Op::Bltu, A0, A1, skip);
            let (source, offset) = (self.draft.source(), self.rng().between(1, 500) as i32);
            self.asm().store(Op::Sw, source, -4 * offset, A1);
            self.asm().i(Op::Lhu, A2, A1, -4 * offset + 2);
            self.asm().place(skip);
        }
    }

    /// Something that hardly ever happens: a trap behind a condition.
    fn rare_trap(&mut self) {
        let (a, b) = (self.draft.source(), self.draft.source());
        let skip = self.asm().label();
        self.asm().branch(Op::Bne, a, b, skip);
        if a == b || self.rng().one_in(3) {
            self.draft.compute();
        } else {
            self.trap();
        }
        self.asm().place(skip);
    }

    /// Stores and loads below the stack pointer.
    fn stack_traffic(&mut self) {
        let (register, source) = (self.draft.working(), self.draft.source());
        let offset = -4 * self.rng().between(1, 64) as i32;
        self.asm().store(Op::Sw, source, offset, SP);
        self.asm().i(Op::Lw, register, SP, offset);
    }

    /// How the program ends.
    fn ending(&mut self) {
        match self.rng().below(40) {
            0..16 => self.trap(),
            16 => {
                // An endless loop, which the step limit ends.
                let top = self.asm().label_here();
                self.draft.compute();
                self.asm().jal(0, top);
            }
            // Runs off the end of the code: into zeros, or into the next page, which may be missing.
            17 | 18 => self.draft.compute(),
            _ => {
                self.asm().i(Op::Addi, A7, 0, 93);
                self.asm().op(Op::Ecall, 0, 0, 0, 0);
            }
        }
    }

    /// An instruction that cannot be done.
    fn trap(&mut self) {
        let (register, other) = self.draft.two_working();
        match self.rng().below(12) {
            0 => self.asm().op(Op::Ebreak, 0, 0, 0, 0),
            1 => {
                let word = self.rng().pick(&[0, 0xffff_ffff, 0x0000_0001, 0x3020_0073, 0xc000_2573, 0x0000_2007]);
                self.asm().word(word);
            }
            2 => {
                self.asm().li(register, DATA + 1);
                let (op, imm) = self.rng().pick(&[(Op::Lw, 0), (Op::Lh, 0), (Op::Lhu, -2), (Op::Lw, 1)]);
                self.asm().i(op, other, register, imm);
            }
            3 => {
                self.asm().li(register, DATA + 1);
                let (op, imm) = self.rng().pick(&[(Op::Sw, 0), (Op::Sh, 0), (Op::Sw, 1), (Op::Sh, 2)]);
                self.asm().store(op, other, imm, register);
            }
            4 => {
                let address = self.rng().pick(&[0, 0x7_fffc, 0xefff_fffc, 0xf000_0000, 0xffff_fffc, DATA + 4096]);
                self.asm().li(register, address);
                let op = self.rng().pick(&[Op::Lw, Op::Lhu, Op::Lb]);
                self.asm().i(op, other, register, 0);
            }
            5 => {
                let address = self.rng().pick(&[0, 0x7_fffc, CONSTANTS, CONSTANTS + 4, DATA - 4, 0xef7f_fffc]);
                self.asm().li(register, address);
                let op = self.rng().pick(&[Op::Sw, Op::Sh, Op::Sb]);
                self.asm().store(op, other, 0, register);
            }
            // To holes, to data, to misaligned addresses.
            6 | 7 => {
                let address = self.rng().pick(&[0, DATA, 0xdead_0000, 0xffff_fffc, 0xf000_0000]);
                self.asm().li(register, address);
                self.asm().i(Op::Jalr, RA, register, 0);
            }
            8 => {
                let here = self.asm().here();
                self.asm().li(register, here);
                self.asm().i(Op::Jalr, register, register, 2);
            }
            9 => self.asm().op(Op::Jal, RA, 0, 0, 6),
            10 => self.asm().op(Op::Beq, 0, 0, 0, -2),
            _ => {
                let (value, op) = (self.draft.source(), self.rng().pick(&[Op::Lw, Op::Lb]));
                self.asm().i(op, register, value, 0);
            }
        }
    }
}
