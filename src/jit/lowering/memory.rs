//! Loads and stores as IR: the check of page state and alignment, and the access itself.
//!
//! Without rows an access moves just its bytes. With rows it moves the aligned word that the row shows, and narrow
//! accesses shift within it: a narrow store followed by a wide load of the same word would stall.

use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value, types};
use tachy_runtime::{Access, AssistRequest, PAGE_BYTES, layout, page_of};

use super::compute::operand;
use super::operations::{Extension, Width};
use super::{Lowering, RowParts, TRUSTED};
use crate::invariant::{BrokenInvariant, broken};
use crate::jit::analysis::access_groups::{GROUPS, Group, Reach, group_id};
use crate::jit::analysis::region::Placed;
use crate::jit::analysis::values::Sum;
use crate::trace::Level;

impl Lowering<'_> {
    /// Lowers the load with this index in its block.
    pub(super) fn load(
        &mut self,
        index: usize,
        placed: &Placed,
        (width, extension): (Width, Extension),
        row: &mut RowParts,
    ) -> Result<(), BrokenInvariant> {
        let address = self.sum(self.known[index].address)?;
        self.check(index, placed, Access::Load(width.bytes()))?;
        let value = match self.level {
            Level::Off => self.load_bytes(width, extension, address),
            Level::Rows => {
                let word = self.load_word(address);
                row.memory = Some([address, word, word]);
                self.extract(width, extension, word, address)
            }
        };
        row.rd = Some(value);
        Ok(())
    }

    /// Lowers the store with this index in its block.
    pub(super) fn store(
        &mut self,
        index: usize,
        placed: &Placed,
        width: Width,
        b: Option<Value>,
        row: &mut RowParts,
    ) -> Result<(), BrokenInvariant> {
        let value = operand(b, placed)?;
        let address = self.sum(self.known[index].address)?;
        self.check(index, placed, Access::Store(width.bytes()))?;
        match self.level {
            Level::Off => self.store_bytes(width, address, value),
            Level::Rows => {
                let before = self.load_word(address);
                let after = self.insert(width, before, address, value);
                let place = self.word_place(address);
                self.builder.ins().store(guest_word(), after, place, 0);
                row.memory = Some([address, before, after]);
            }
        }
        Ok(())
    }

    /// Allows the access of the instruction with this index if its page's state and its alignment permit. Otherwise
    /// makes a request, and leaves in front of the instruction if it is denied. The check covers all accesses of its
    /// group at once; the others then need no check.
    fn check(&mut self, index: usize, placed: &Placed, access: Access) -> Result<(), BrokenInvariant> {
        if self.granted > 0 {
            self.granted -= 1;
            return Ok(());
        }
        self.flush_unless_lazy();
        let [slow, go] = std::array::from_fn(|_| self.builder.create_block());
        let address = self.known[index].address;
        let group = self.groups.iter().position(|group| group.at == index && group.accesses.len() > 1);
        let (reaches, request, subject) = match group.filter(|_| self.requested_groups.len() < GROUPS) {
            Some(group) => {
                let Group { accesses, reaches, .. } = self.groups[group].clone();
                let id = group_id(self.number, self.requested_groups.len());
                self.granted = accesses.len() - 1;
                self.requested_groups.push(accesses);
                (reaches, AssistRequest::AccessGroup, self.i32(id))
            }
            None => (vec![Reach::of(address, access)], AssistRequest::Access(access), self.sum(address)?),
        };
        let allowed = self.allowed(&reaches)?;
        self.builder.ins().brif(allowed, go, &[], slow, &[]);
        self.ask(placed.pc, subject, request, slow);
        self.builder.ins().jump(go, &[]);
        self.open(go);
        Ok(())
    }

    /// Returns whether page states and alignment allow all accesses within these reaches.
    fn allowed(&mut self, reaches: &[Reach]) -> Result<Value, BrokenInvariant> {
        let (read, write) = (self.rules.read.0, self.rules.write.0);
        let [mut loads, mut stores] = [None, None];
        for reach in reaches {
            let state = self.reach_state(reach)?;
            for states in [reach.loads.then_some(&mut loads), reach.stores.then_some(&mut stores)].into_iter().flatten()
            {
                *states = Some(match *states {
                    Some(others) => self.builder.ins().band(others, state),
                    None => state,
                });
            }
        }
        Ok(match (loads, stores) {
            (Some(loads), Some(stores)) => {
                // Move the bit for stores to the position of the bit for loads.
                let up = read.trailing_zeros() as i64 - write.trailing_zeros() as i64;
                let stores = self.builder.ins().uextend(types::I32, stores);
                let stores = match up {
                    0.. => self.builder.ins().ishl_imm_u(stores, up),
                    _ => self.builder.ins().ushr_imm_u(stores, -up),
                };
                let stores = self.builder.ins().ireduce(types::I8, stores);
                let both = self.builder.ins().band(loads, stores);
                self.builder.ins().band_imm_u(both, read as i64)
            }
            (Some(loads), None) => self.builder.ins().band_imm_u(loads, read as i64),
            (None, Some(stores)) => self.builder.ins().band_imm_u(stores, write as i64),
            (None, None) => return Err(broken("an access group without accesses")),
        })
    }

    /// Returns the bits that the states of the pages within reach have in common.
    fn reach_state(&mut self, reach: &Reach) -> Result<Value, BrokenInvariant> {
        let first = self.sum(Sum { base: reach.base, offset: reach.first })?;
        let state = self.state(first, reach.unit_bytes);
        if reach.first == reach.last {
            return Ok(state);
        }
        let last = self.sum(Sum { base: reach.base, offset: reach.last })?;
        let other = self.state(last, reach.unit_bytes);
        Ok(self.builder.ins().band(state, other))
    }

    /// Returns the state of the page that contains `address`; 0, which allows nothing, if the address is misaligned.
    fn state(&mut self, address: Value, align_bytes: u32) -> Value {
        // The bits that must be zero for alignment are rotated to the top of the index. If one is set, the index leads
        // to the zeros behind the states, which deny everything.
        let align_bits = align_bytes.trailing_zeros() as i64;
        let rotated = match align_bits {
            0 => address,
            bits => self.builder.ins().rotr_imm_u(address, bits),
        };
        let page = self.builder.ins().ushr_imm_u(rotated, PAGE_BYTES.trailing_zeros() as i64 - align_bits);
        let page = self.builder.ins().uextend(types::I64, page);
        let place = self.builder.ins().iadd(self.base, page);
        self.builder.ins().load(types::I8, TRUSTED, place, layout::PAGE_STATES)
    }

    /// Allows the block at `pc` to begin if its page's state permits fetches, and makes a request otherwise.
    pub(super) fn check_fetch(&mut self, pc: u32) {
        let [slow, go] = std::array::from_fn(|_| self.builder.create_block());
        let place = layout::PAGE_STATES + page_of(pc) as i32;
        let state = self.builder.ins().load(types::I8, TRUSTED, self.base, place);
        let allowed = self.builder.ins().band_imm_s(state, self.rules.fetch.0 as i64);
        let address = self.i32(pc);
        self.builder.ins().brif(allowed, go, &[], slow, &[]);
        self.ask(pc, address, AssistRequest::Access(Access::Fetch), slow);
        self.builder.ins().jump(go, &[]);
        self.open(go);
    }

    /// Makes a request in `slow` for the instruction at `pc`, and leaves in front of it if the request is denied.
    ///
    /// The code for a granted request follows in a cold block of its own. If the request branched to the hot path
    /// directly, moving values into their registers would slow down the accesses that need no request.
    fn ask(&mut self, pc: u32, subject: Value, request: AssistRequest, slow: Block) {
        self.open_cold(slow);
        self.store_dirty();
        // The helper reads progress as of the end of the block, and learns from the request how far back this step is.
        // It leaves the context as a denied request requires.
        self.builder.ins().store(TRUSTED, self.after, self.base, layout::PROGRESS);
        let pc = self.i32(pc);
        self.builder.ins().store(TRUSTED, pc, self.base, layout::PC);
        self.builder.ins().store(TRUSTED, subject, self.base, layout::ASSIST_SUBJECT);
        let verdict =
            self.assist(request.pack(self.left as u8, (self.left + self.reserved) as u16), layout::ACCESS_STUB);
        let allowed = self.builder.create_block();
        self.builder.ins().brif(verdict, self.out, &[], allowed, &[]);
        self.open_cold(allowed);
    }

    /// Returns the host address of a guest address: base + u32.
    fn place(&mut self, address: Value) -> Value {
        let wide = self.builder.ins().uextend(types::I64, address);
        self.builder.ins().iadd(self.base, wide)
    }

    fn word_place(&mut self, address: Value) -> Value {
        let word = self.builder.ins().band_imm_s(address, -4);
        self.place(word)
    }

    fn load_word(&mut self, address: Value) -> Value {
        let place = self.word_place(address);
        self.builder.ins().load(types::I32, guest_word(), place, 0)
    }

    fn load_bytes(&mut self, width: Width, extension: Extension, address: Value) -> Value {
        let place = self.place(address);
        let ins = self.builder.ins();
        match (width, extension) {
            (Width::Byte, Extension::Signed) => ins.sload8(types::I32, TRUSTED, place, 0),
            (Width::Byte, Extension::Unsigned) => ins.uload8(types::I32, TRUSTED, place, 0),
            (Width::Half, Extension::Signed) => ins.sload16(types::I32, TRUSTED, place, 0),
            (Width::Half, Extension::Unsigned) => ins.uload16(types::I32, TRUSTED, place, 0),
            (Width::Word, Extension::Signed | Extension::Unsigned) => ins.load(types::I32, TRUSTED, place, 0),
        }
    }

    fn store_bytes(&mut self, width: Width, address: Value, value: Value) {
        let place = self.place(address);
        let ins = self.builder.ins();
        match width {
            Width::Byte => ins.istore8(TRUSTED, value, place, 0),
            Width::Half => ins.istore16(TRUSTED, value, place, 0),
            Width::Word => ins.store(TRUSTED, value, place, 0),
        };
    }

    /// Returns how many bits the addressed bytes lie above the word's lowest. Shifts use only its low five bits.
    fn shift(&mut self, address: Value) -> Value {
        self.builder.ins().ishl_imm_u(address, 3)
    }

    /// Extracts the loaded value from the word that holds it.
    fn extract(&mut self, width: Width, extension: Extension, word: Value, address: Value) -> Value {
        let narrow = match width {
            Width::Byte => types::I8,
            Width::Half => types::I16,
            Width::Word => return word,
        };
        let shift = self.shift(address);
        let shifted = self.builder.ins().ushr(word, shift);
        let low = self.builder.ins().ireduce(narrow, shifted);
        match extension {
            Extension::Signed => self.builder.ins().sextend(types::I32, low),
            Extension::Unsigned => self.builder.ins().uextend(types::I32, low),
        }
    }

    /// Returns the word with the stored bytes of `value` inserted.
    fn insert(&mut self, width: Width, word: Value, address: Value, value: Value) -> Value {
        let mask = match width {
            Width::Byte => 0xff,
            Width::Half => 0xffff,
            Width::Word => return value,
        };
        let shift = self.shift(address);
        let mask = self.i32(mask);
        let low = self.builder.ins().band(value, mask);
        let placed = self.builder.ins().ishl(low, shift);
        let hole = self.builder.ins().ishl(mask, shift);
        let rest = self.builder.ins().band_not(word, hole);
        self.builder.ins().bor(rest, placed)
    }
}

/// Returns the flags of a word of guest memory: mapped and aligned.
fn guest_word() -> MemFlagsData {
    TRUSTED
}
