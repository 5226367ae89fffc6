//! Groups of accesses off registers whose sums a translator may follow: near page edges, and at both ends of the
//! address space. In between, base registers are incremented, copied, stored, reloaded and overwritten.
//!
//! Pages differ in their permissions and in whether they were touched before, so that a translator that checks the
//! wrong page is noticed. The generator knows the value of each base, so accesses hit mapped memory whatever the
//! translator knows.

use super::*;

/// A register and its value.
#[derive(Clone, Copy)]
struct Base {
    register: u8,
    value: u32,
}

/// Memory within reach of each other: its start and its size. It may wrap around the end of the address space.
#[derive(Clone, Copy)]
struct Area {
    start: u32,
    bytes: u32,
}

const DATA_AREA: Area = Area { start: DATA, bytes: DATA_END - DATA };
const END_AREA: Area = Area { start: LAST_PAGES, bytes: 2 * EDGE_BYTES };
/// Readable and writable pages, with read-only or unmapped pages between them.
const MIXED_AREA: Area = Area { start: MIXED, bytes: 1024 * MIXED_PAGES.len() as u32 };
/// The last page before the area that users may not access.
const BORDER_AREA: Area = Area { start: 0xbfff_fc00, bytes: 1024 };
/// Address of pages that were never touched, in programs that have some: on the stack, and for users.
const FAR_STACK: u32 = 0xef90_0000;
const FAR_USER: u32 = 0x0110_0000;
const FAR_BYTES: u32 = 3 * 1024;

/// Maximum number of registers that hold addresses at the same time.
const BASES: usize = 3;

impl Area {
    /// Returns whether a load or a store is allowed at this address.
    fn has(self, address: u32, bytes: u32, store: bool) -> bool {
        let at = address.wrapping_sub(self.start);
        let inside = at <= self.bytes - bytes;
        match self.start {
            MIXED if inside => match MIXED_PAGES[at as usize / 1024] {
                Some(may_store) => may_store || !store,
                None => false,
            },
            _ => inside,
        }
    }
}

impl Draft {
    /// Emits accesses that are all allowed.
    pub(super) fn access_group(&mut self) {
        self.group(false);
    }

    /// Emits accesses of which one is not allowed.
    pub(super) fn forbidden_group(&mut self) {
        self.group(true);
    }

    fn group(&mut self, forbidden: bool) {
        let area = match self.rng.below(8) {
            0..3 if self.has_edges => END_AREA,
            3..6 if self.has_edges || self.with_kernel => self.far_area(),
            6 if !self.with_kernel => MIXED_AREA,
            _ if forbidden && self.with_kernel => BORDER_AREA,
            _ if forbidden => MIXED_AREA,
            _ => DATA_AREA,
        };
        if area.bytes == FAR_BYTES && self.rng.one_in(3) {
            return self.span(area);
        }
        if area.start != DATA && self.rng.one_in(2) {
            self.touch(area);
        }
        let mut bases = Vec::new();
        match area.start == LAST_PAGES && self.rng.one_in(2) {
            // Constant addresses, on both sides of 0.
            true => bases.push(Base { register: 0, value: 0 }),
            false => self.new_base(area, &mut bases),
        }
        let parts = self.rng.between(2, 9);
        let wrong = self.rng.between(0, parts);
        for part in 0..parts {
            match self.rng.below(16) {
                0 | 1 => self.new_base(area, &mut bases),
                2 => {
                    self.derived_base(&mut bases);
                    let derived = *bases.last().expect("it was just derived");
                    self.access_off(area, derived, &mut bases);
                }
                3 => self.moved_by_pages(area, &mut bases),
                4 | 8 => self.reloaded_base(area, &mut bases),
                5 => {
                    // A result for x0 changes nothing.
                    let (base, imm) = (self.rng.pick(&bases), self.edge_immediate());
                    self.asm.i(Op::Addi, 0, base.register, imm);
                }
                6 => self.beside(&bases),
                7 => self.stack_access(&bases),
                _ => self.group_access(area, &mut bases),
            }
            if bases.is_empty() {
                self.new_base(area, &mut bases);
            }
            if forbidden && part == wrong {
                self.forbidden_access(area, &bases);
            }
        }
    }

    /// Picks some pages that were hardly touched before.
    fn far_area(&mut self) -> Area {
        let start = if self.with_kernel { FAR_USER } else { FAR_STACK };
        Area { start: start + 1024 * self.rng.between(0, 64), bytes: FAR_BYTES }
    }

    /// Picks an address in the area, near the edge of a page as often as anywhere.
    fn spot(&mut self, area: Area) -> u32 {
        let at = match self.rng.below(3) {
            0 => self.rng.between(0, area.bytes),
            _ => (1024 * self.rng.between(0, area.bytes / 1024 + 1) + self.rng.between(0, 16)).wrapping_sub(8),
        };
        area.start.wrapping_add(at.min(area.bytes - 1))
    }

    /// Picks a register that holds no base.
    fn beside_bases(&mut self, bases: &[Base]) -> u8 {
        let taken: Vec<u8> = bases.iter().map(|base| base.register).collect();
        self.fresh(&taken)
    }

    /// Sets a register to an address within reach of the area. The register is a new base or replaces one.
    fn new_base(&mut self, area: Area, bases: &mut Vec<Base>) {
        if bases.len() == BASES || (!bases.is_empty() && self.rng.one_in(3)) {
            let gone = self.rng.below(bases.len() as u64) as usize;
            bases.swap_remove(gone);
        }
        let register = self.beside_bases(bases);
        let spot = self.spot(area);
        let value = spot.wrapping_sub(self.edge_immediate() as u32);
        let upper = spot.wrapping_add(0x800) & !0xfff;
        let value = match self.rng.below(8) {
            // The immediate supplies the rest.
            0 => {
                self.asm.op(Op::Lui, register, 0, 0, upper as i32);
                upper
            }
            1 => {
                let here = self.asm.here();
                let distance = spot.wrapping_sub(here).wrapping_add(0x800) & !0xfff;
                self.asm.op(Op::Auipc, register, 0, 0, distance as i32);
                here.wrapping_add(distance)
            }
            // x0 alone is the base.
            2 if area.has(0, 1, true) => {
                bases.push(Base { register: 0, value: 0 });
                return;
            }
            // From far away, by a sum that wraps around.
            3..6 => {
                let taken: Vec<u8> = bases.iter().map(|base| base.register).chain([register]).collect();
                self.put_sum(register, value, &taken);
                value
            }
            _ => {
                self.put(register, value);
                value
            }
        };
        bases.retain(|base| base.register != register);
        bases.push(Base { register, value });
    }

    /// Computes a base from another one or from itself, at a short distance.
    fn derived_base(&mut self, bases: &mut Vec<Base>) {
        let at = self.rng.below(bases.len() as u64) as usize;
        let base = bases[at];
        let same = base.register != 0 && (bases.len() == BASES || self.rng.one_in(2));
        let register = if same { base.register } else { self.beside_bases(bases) };
        let value = match self.rng.below(6) {
            0 => {
                self.asm.i(Op::Addi, register, base.register, 0);
                base.value
            }
            1 => {
                // A small distance, or an upper part, which one instruction makes a known constant.
                let imm = self.edge_immediate() as u32;
                let distance = self.rng.pick(&[imm, imm, 0x1000, 0xffff_f000]);
                let taken: Vec<u8> = bases.iter().map(|base| base.register).collect();
                let constant = match self.rng.one_in(2) {
                    true => self.known_operand(distance, &taken),
                    false => self.operand(distance, &taken),
                };
                let op = self.rng.pick(&[Op::Add, Op::Sub]);
                self.asm.r(op, register, base.register, constant);
                match op {
                    Op::Add => base.value.wrapping_add(distance),
                    _ => base.value.wrapping_sub(distance),
                }
            }
            2 => {
                let (op, imm) = self.rng.pick(&[
                    (Op::Xori, 4),
                    (Op::Ori, 0x400),
                    (Op::Andi, -1025),
                    (Op::Xori, 0x400),
                    (Op::Xori, 0x7fc),
                ]);
                self.asm.i(op, register, base.register, imm);
                match op {
                    Op::Xori => base.value ^ imm as u32,
                    Op::Ori => base.value | imm as u32,
                    _ => base.value & imm as u32,
                }
            }
            _ => {
                let imm = self.edge_immediate();
                self.asm.i(Op::Addi, register, base.register, imm);
                base.value.wrapping_add(imm as u32)
            }
        };
        bases.retain(|base| base.register != register);
        bases.push(Base { register, value });
        while bases.len() > BASES {
            bases.remove(0);
        }
    }

    /// Emits the same access at two places, pages apart. The second uses the sum of the base and an upper part.
    fn moved_by_pages(&mut self, area: Area, bases: &mut Vec<Base>) {
        // This needs two registers besides the bases.
        if bases.len() + 2 > self.working.len() {
            return;
        }
        let base = self.rng.pick(bases);
        let Some(imm) = self.reach(area, base.value, 4, false) else { return };
        let distance = self.rng.pick(&[0x1000, 0xffff_f000]);
        let moved = base.value.wrapping_add(distance);
        if !area.has(moved.wrapping_add(imm as u32), 4, false) {
            return;
        }
        let taken: Vec<u8> = bases.iter().map(|base| base.register).collect();
        let register = self.fresh(&taken);
        let upper = self.known_operand(distance, &[&taken[..], &[register]].concat());
        let first = self.rng.one_in(2);
        if first {
            self.asm.i(Op::Lw, register, base.register, imm);
        }
        self.asm.r(Op::Add, register, base.register, upper);
        if !first {
            self.asm.i(Op::Lw, upper, base.register, imm);
        }
        self.asm.i(Op::Lw, upper, register, imm);
        bases.push(Base { register, value: moved });
        if bases.len() > BASES {
            bases.remove(0);
        }
    }

    /// Touches one or two pages of the area, each separately.
    fn touch(&mut self, area: Area) {
        for _ in 0..self.rng.between(1, 3) {
            let register = self.working();
            let spot = self.spot(area) & !3;
            if area.has(spot, 4, true) {
                self.load_constant(register, spot);
                self.asm.store(Op::Sw, register, 0, register);
            }
        }
    }

    /// Stores a pointer, another base or a new one, and reloads it into the base that the store used.
    fn reloaded_base(&mut self, area: Area, bases: &mut Vec<Base>) {
        let by = self.rng.pick(bases);
        let Some(imm) = self.reach(area, by.value, 4, true) else { return };
        let stored = match self.rng.one_in(2) {
            true => self.rng.pick(bases),
            false => {
                let (register, value) = (self.beside_bases(bases), self.spot(area));
                self.put(register, value);
                Base { register, value }
            }
        };
        let register = if by.register == 0 { stored.register } else { by.register };
        self.asm.store(Op::Sw, stored.register, imm, by.register);
        if self.rng.one_in(4) {
            self.asm.i(Op::Lw, 0, by.register, imm);
        }
        self.asm.i(Op::Lw, register, by.register, imm);
        bases.retain(|base| base.register != register);
        let loaded = Base { register, value: stored.value };
        bases.push(loaded);
        self.access_off(area, loaded, bases);
    }

    /// Touches two pages of three, then accesses all three off one base.
    fn span(&mut self, area: Area) {
        for page in [0, 2] {
            let register = self.working();
            let location = area.start + 1024 * page + 4 * self.rng.between(0, 256);
            self.load_constant(register, location);
            self.asm.store(Op::Sw, register, 0, register);
        }
        let register = self.working();
        let value = area.start + 1024 + 4 * self.rng.between(0, 256);
        self.put(register, value);
        let base = Base { register, value };
        // Near the ends of the outer pages, so that less than two pages lie between the accesses.
        let near = self.rng.between(1, 8);
        let [first, last] = [1024 - 4 * near, 2048 + 4 * self.rng.between(0, 8)].map(|at| area.start + at);
        let middle = area.start + 1024 + 4 * self.rng.between(0, 256);
        let mut places = [first, middle, last];
        places.swap(0, self.rng.below(3) as usize);
        places.swap(1, self.rng.between(1, 3) as usize);
        for location in places {
            let op = self.rng.pick(&[Op::Lw, Op::Lbu, Op::Sw, Op::Sh]);
            let (rd, rs2) = (self.beside_bases(&[base]), self.source());
            self.asm.op(op, rd, register, rs2, location.wrapping_sub(value) as i32);
        }
    }

    /// Returns an aligned offset from `value` at which `bytes` bytes of the area lie. It may fail to find one if there
    /// are few.
    fn reach(&mut self, area: Area, value: u32, bytes: u32, store: bool) -> Option<i32> {
        for _ in 0..24 {
            let imm = match self.rng.below(4) {
                // Offsets off the base alone, and off its sums.
                0 => self.rng.pick(&[0, 0, 4]),
                1 => self.edge_immediate(),
                2 => self.rng.between(0, 64) as i32 - 32,
                _ => self.spot(area).wrapping_sub(value) as i32,
            };
            // Rounds down to the next aligned address.
            let imm = imm.wrapping_sub((value.wrapping_add(imm as u32) % bytes) as i32);
            if (-2048..2048).contains(&imm) && area.has(value.wrapping_add(imm as u32), bytes, store) {
                return Some(imm);
            }
        }
        None
    }

    fn group_access(&mut self, area: Area, bases: &mut Vec<Base>) {
        let base = self.rng.pick(bases);
        self.access_off(area, base, bases);
    }

    fn access_off(&mut self, area: Area, base: Base, bases: &mut Vec<Base>) {
        let line = self.access_line();
        let store = line.class == Class::Store;
        let Some(imm) = self.reach(area, base.value, line.access_bytes(), store) else { return };
        // Loads write x0, another register, or the base itself.
        let rd = match self.rng.below(8) {
            0 => 0,
            1 => base.register,
            _ => self.beside_bases(bases),
        };
        let rs2 = if self.rng.one_in(4) { base.register } else { self.source() };
        self.asm.op(line.op, rd, base.register, rs2, imm);
        if line.class == Class::Load && rd != 0 {
            bases.retain(|base| base.register != rd);
        }
    }

    /// Emits an access that traps: misaligned, or outside of all mapped memory.
    fn forbidden_access(&mut self, area: Area, bases: &[Base]) {
        let base = self.rng.pick(bases);
        let other = self.beside_bases(bases);
        let op = self.rng.pick(&[Op::Lw, Op::Lh, Op::Lhu, Op::Sw, Op::Sh]);
        let bytes = op.line().access_bytes();
        let store = op.line().class == Class::Store;
        let misaligned = self.reach(area, base.value, bytes, store).filter(|&imm| imm < 2047 && self.rng.one_in(3));
        if let Some(imm) = misaligned {
            return self.asm.op(op, other, base.register, other, imm + 1);
        }
        // Off the base, if a forbidden address is within reach.
        for _ in 0..24 {
            let imm = self.rng.between(0, 4096 / bytes) * bytes;
            let imm = imm as i32 - 2048 - (base.value % bytes) as i32;
            if imm >= -2048 && !area.has(base.value.wrapping_add(imm as u32), bytes, store) {
                return self.asm.op(op, other, base.register, other, imm);
            }
        }
        self.asm.op(op, other, 0, other, 0x20);
    }

    /// Emits an access off the stack pointer, of which only the alignment is known here.
    fn stack_access(&mut self, bases: &[Base]) {
        let line = self.access_line();
        let bytes = line.access_bytes() as i32;
        let imm = match self.rng.below(2) {
            0 => -bytes * self.rng.between(1, 16) as i32,
            _ => -bytes * self.rng.between(1, 2048 / bytes as u32 + 1) as i32,
        };
        let (rd, rs2) = (self.beside_bases(bases), self.source());
        self.asm.op(line.op, rd, SP, rs2, imm);
    }

    /// Computes something that does not change the bases.
    fn beside(&mut self, bases: &[Base]) {
        let rd = self.beside_bases(bases);
        let instruction = Instruction { rd, ..self.random_compute() };
        self.asm.word(encode(instruction));
    }

    /// Picks a load or a store.
    pub(super) fn access_line(&mut self) -> &'static Line {
        loop {
            let line = &TABLE[self.rng.below(TABLE.len() as u64) as usize];
            if matches!(line.class, Class::Load | Class::Store) {
                return line;
            }
        }
    }
}
