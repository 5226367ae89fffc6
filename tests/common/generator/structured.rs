//! Programs with a structure: functions that call each other, nested loops, switches, and code that patches code.
//!
//! Each construct returns its approximate maximum cost in steps. The generator uses these costs to make runs of the
//! intended length.

mod constants;
mod events;
mod rewrites;

use super::*;

struct Generator {
    draft: Draft,
    /// Functions that can be called, with their cost.
    functions: Vec<(Label, u64)>,
    /// The one function that calls itself, [`RECURSION`] times.
    recursive: Option<(Label, u64)>,
    /// Harmless instructions that may be overwritten.
    sites: Vec<Label>,
    /// Sites that the function under construction will emit later.
    sites_ahead: Vec<Label>,
    /// Words of data inside the code.
    islands: Vec<Label>,
    /// Places in the function under construction, at any loop depth, that any of its jumps may target.
    pads: Vec<Label>,
    code_writable: bool,
    /// Number of loops around the current place, in this function.
    nesting: usize,
    /// Number of branches around the current place that have to span it.
    branches: u32,
    length: Length,
}

pub fn generate(seed: u64, rng: Rng, length: Length, with_kernel: bool) -> RandomProgram {
    let mut draft = Draft::new(rng, with_kernel);
    let code_writable = draft.rng.one_in(2);
    let mut generator = Generator {
        draft,
        functions: Vec::new(),
        recursive: None,
        sites: Vec::new(),
        sites_ahead: Vec::new(),
        islands: Vec::new(),
        pads: Vec::new(),
        code_writable,
        nesting: 0,
        branches: 0,
        length,
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

    /// Emits the functions, then the code at the entry. Returns the entry and the step limit.
    fn program(&mut self) -> (u32, u64) {
        let functions = u64::from(self.length.constructs.min(4));
        for _ in 0..self.rng().below(functions) {
            self.function();
        }
        if self.rng().one_in(3) {
            self.recursive_function();
        }
        self.pads.clear();
        let entry = self.asm().here();
        self.prologue();
        let start = self.rng().between(0, 3);
        self.block(start);
        // This loop gives the run its intended length.
        let longest = self.length.steps;
        let target = match self.rng().below(8) {
            0 => self.rng().below(500),
            1 | 2 => 500 + self.rng().below(4500),
            _ => longest / 4 + self.rng().below(longest),
        };
        let body = self.length.constructs.min(self.rng().between(2, 10));
        self.loop_of(body, Some(target));
        let rest = self.rng().between(0, 3);
        self.block(rest);
        self.ending();
        (entry, self.length.steps)
    }

    /// Emits one block that is longer than a buffer of rows and than any region.
    fn long_straight_program(&mut self) -> (u32, u64) {
        let entry = self.asm().here();
        self.prologue();
        for _ in 0..self.rng().between(200, 700) {
            match self.rng().below(12) {
                0 => self.draft.access(),
                1 => self.draft.chain(),
                2 => self.draft.access_group(),
                _ => self.draft.compute(),
            }
        }
        self.ending();
        (entry, self.length.steps)
    }

    /// Sets pointers and some initial values.
    fn prologue(&mut self) {
        self.draft.set_pointers();
        for _ in 0..self.rng().between(2, 8) {
            let (register, value) = (self.draft.working(), self.rng().word());
            self.asm().li(register, value);
        }
    }

    /// Emits a function: saves counters and return address on the stack, runs a body, and returns.
    fn function(&mut self) {
        self.pads.clear();
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
        self.pads.clear();
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

    /// Emits `size` constructs in sequence.
    fn block(&mut self, size: u32) -> u64 {
        let ahead = self.sites_ahead.len();
        let mut cost = 0;
        for _ in 0..size {
            cost += self.construct();
        }
        // Emits the sites that were promised for later.
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
        match self.rng().below(63) {
            0..13 => {
                for _ in 0..self.rng().between(1, 6) {
                    match self.rng().one_in(4) {
                        true => self.draft.chain(),
                        false => self.draft.compute(),
                    }
                }
            }
            13 => return self.constant_branch(),
            14 | 15 => self.draft.access(),
            16 | 17 => self.draft.computed_access(),
            18 | 19 => self.draft.access_group(),
            20 | 21 => return self.conditional(),
            22 => return self.constant_branch(),
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
            37..41 if self.draft.with_kernel => {
                self.draft.kernel_call();
                // The user repeats this code, sometimes by way of the kernel.
                return 20 * u64::from((self.asm().here() - before) / 4);
            }
            37 => self.asm().op(Op::Fence, 0, 0, 0, 0),
            38 => self.rare_trap(),
            39 | 40 => {
                let pad = self.asm().label_here();
                self.pads.push(pad);
                self.draft.compute();
            }
            41 | 42 => self.leap(),
            43 => self.draft.stack_word(),
            44..53 => {
                for _ in 0..self.rng().between(1, 4) {
                    self.draft.chain();
                }
            }
            53..56 => {
                for _ in 0..self.rng().between(1, 3) {
                    self.draft.access_group();
                }
            }
            56..58 if self.nesting < COUNTERS.len() => return self.hostile_loop(),
            58..60 => self.constant_jump(),
            60 if self.code_writable => self.rewrite_ahead(),
            61 if self.code_writable => self.rewrite_next_page(),
            62 if self.code_writable => self.count_in_code(),
            _ => self.draft.compute(),
        }
        u64::from((self.asm().here() - before) / 4)
    }

    /// Emits a branch on arbitrary registers.
    fn conditional(&mut self) -> u64 {
        let op = self.rng().pick(&[Op::Beq, Op::Bne, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu]);
        let (a, b) = (self.draft.source(), self.draft.source());
        2 + self.ways(op, a, b)
    }

    /// Emits a branch over a block, sometimes with a second block for the other direction.
    fn ways(&mut self, op: Op, a: u8, b: u8) -> u64 {
        let (other, end) = (self.asm().label(), self.asm().label());
        self.branches += 1;
        self.asm().branch(op, a, b, other);
        let size = self.rng().between(1, 3);
        let mut cost = self.block(size);
        if self.rng().one_in(2) {
            self.asm().jal(0, end);
            self.asm().place(other);
            let size = self.rng().between(1, 3);
            cost += self.block(size);
        } else {
            self.asm().place(other);
        }
        self.asm().place(end);
        self.branches -= 1;
        cost
    }

    /// Emits a loop over a block: for a few rounds, or until `target` steps are done.
    fn loop_of(&mut self, size: u32, target: Option<u64>) -> u64 {
        let counter = COUNTERS[self.nesting];
        self.nesting += 1;
        // The number of rounds depends on the cost of the body, so the constant is written later.
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
        if target.is_some() {
            self.stir();
        }
        let cost = 9 + self.block(size);
        if !down_first {
            self.asm().i(Op::Addi, counter, counter, -1);
        }
        // If a branch cannot span the body, the loop ends in a jump.
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
            Some(target) => (target / cost).clamp(1, 1 << 20),
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
        match self.rng().below(4) {
            0 => self.asm().jal(RA, label),
            1 => {
                let (upper, register) = (self.rng().pick(&[Op::Lui, Op::Auipc]), self.rng().pick(&[register, RA]));
                self.asm().call_far(upper, RA, register, label);
            }
            2 => {
                self.asm().la(register, label);
                self.asm().i(Op::Jalr, RA, register, 0);
            }
            // An odd address: `jalr` ignores the lowest bit.
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

    /// Emits an indirect jump through a table. Some targets lie in the middle of another target's code.
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
            // Without the jump, this case falls through into the middle of the next one.
            if self.rng().one_in(2) {
                self.asm().jal(0, end);
            }
        }
        self.asm().place(end);
        cost
    }

    /// Emits a jump to a computed place in the middle of straight-line code.
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

    /// Sometimes emits a jump to anywhere in the function, even into the middle of another loop, whose counter is then
    /// arbitrary.
    fn leap(&mut self) {
        if self.pads.is_empty() {
            return self.jump_into_run();
        }
        let pad = self.draft.rng.pick(&self.pads);
        let (register, value) = self.draft.two_working();
        let (source, skip) = (self.draft.source(), self.asm().label());
        let mask = self.rng().pick(&[3, 7, 15, 63]);
        self.asm().i(Op::Andi, value, source, mask);
        self.asm().branch(Op::Bne, value, 0, skip);
        self.asm().la(register, pad);
        let link = if self.rng().one_in(4) { self.draft.working() } else { 0 };
        self.asm().i(Op::Jalr, link, register, 0);
        self.asm().place(skip);
    }

    /// Brings in fresh bits each round: multiplies a word of data, from which two working registers are updated.
    /// Otherwise a long loop of random arithmetic soon repeats the same values.
    fn stir(&mut self) {
        let (state, factor) = self.draft.two_working();
        let odd = self.rng().word() | 5;
        match self.draft.constant(&[Constant::Word(odd)]) {
            Some(offset) => self.asm().i(Op::Lw, factor, CONSTANT_POINTER, offset),
            None => self.asm().i(Op::Addi, factor, 0, 0x3ad),
        }
        self.asm().i(Op::Lw, state, DATA_POINTER, 0);
        self.asm().r(Op::Mul, state, state, factor);
        self.asm().i(Op::Addi, state, state, 0x4b1);
        self.asm().store(Op::Sw, state, 0, DATA_POINTER);
        self.asm().i(Op::Srli, factor, state, 13);
    }

    /// Emits an instruction in which every byte above the lowest two may be overwritten.
    fn site_instruction(&mut self) {
        let word = self.immediate_word();
        self.asm().word(word);
    }

    /// Emits the end of the program.
    fn ending(&mut self) {
        match self.rng().below(40) {
            0..16 => self.trap(),
            16 => {
                // An endless loop, which the step limit ends.
                let top = self.asm().label_here();
                self.draft.compute();
                self.asm().jal(0, top);
            }
            // Runs past the end of the code: into zeros, or into the next page, which may be unmapped.
            17 | 18 => self.draft.compute(),
            _ => {
                self.asm().i(Op::Addi, A7, 0, 93);
                self.asm().op(Op::Ecall, 0, 0, 0, 0);
            }
        }
    }
}
