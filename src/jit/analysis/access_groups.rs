//! Access groups: consecutive accesses of a block whose addresses are all known at the first of them. One check of page
//! states allows the whole group; if it fails, one assist decides for all. Pure.
//!
//! ```text
//! for each access of the block, in order:
//!     it joins the group under way if a register held its base where that group began, and if its page is
//!         that of another access off the same base or there is still room for a further reach
//!     otherwise it begins a group of its own
//! ```
//!
//! The lowering checks page states by a group's reaches. A region is published with its groups: when native code
//! requests one, the engine looks up the accesses and does not derive them again.

use tachy_runtime::{Access, PAGE_BYTES};

use super::region::Placed;
use super::values::{Base, Registers, Sum, Values};
use crate::isa::Class;

/// Maximum number of bases and distances that one group checks.
const REACHES: usize = 8;

/// Maximum number of groups of one region that its code may request. A region has fewer than twice as many
/// instructions.
pub(crate) const GROUPS: usize = 1 << 12;

/// Returns the number by which code of the region with this number requests the group with this index in it, below
/// [`GROUPS`].
pub(crate) fn group_id(region: u32, index: usize) -> u32 {
    region << GROUPS.ilog2() | index as u32
}

/// Splits a number from [`group_id`] into the region's number and the group's index.
pub(crate) fn region_and_index(id: u32) -> (u32, usize) {
    (id >> GROUPS.ilog2(), id as usize % GROUPS)
}

/// An access whose address is a register's value at the start of its group, plus a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Steps behind the group's first step.
    pub(crate) ahead: u32,
    /// The register; x0 for constant addresses.
    pub(crate) register: u8,
    pub(crate) offset: u32,
    pub(crate) access: Access,
}

/// Accesses near each other with one base. If the first unit is aligned, they are aligned and lie within the pages of
/// the first and the last unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) base: Base,
    /// Bytes of a unit, which is the largest access: 1, 2 or 4.
    pub(crate) unit_bytes: u32,
    /// Distance from the base to the first unit and to the last.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) loads: bool,
    pub(crate) stores: bool,
}

/// Accesses that are checked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Index in the block of the instruction with its first access.
    pub(crate) at: usize,
    pub(crate) accesses: Vec<Reached>,
    pub(crate) reaches: Vec<Reach>,
}

/// Returns the groups of a block, in order; every access is in exactly one.
pub(crate) fn groups(instructions: &[Placed]) -> Vec<Group> {
    let mut values = Values::at_entry();
    let mut groups: Vec<Group> = Vec::new();
    // The values of the registers at the start of the current group.
    let mut at_start = values.registers();
    for (index, placed) in instructions.iter().enumerate() {
        let line = placed.instruction.op.line();
        let access = match line.class {
            Class::Load => Access::Load(line.access_bytes()),
            Class::Store => Access::Store(line.access_bytes()),
            Class::Compute | Class::Branch | Class::Jump | Class::JumpIndirect | Class::Fence | Class::System => {
                values.step(placed);
                continue;
            }
        };
        let before = values.registers();
        let address = values.step(placed).address;
        let joined = groups.last_mut().is_some_and(|group| group.join(index, address, access, &at_start));
        if !joined {
            at_start = before;
            let mut group = Group { at: index, accesses: Vec::new(), reaches: Vec::new() };
            group.join(index, address, access, &at_start);
            groups.push(group);
        }
    }
    groups
}

impl Group {
    /// Adds the access at `address` by the instruction with this index, if the group allows; returns whether it did.
    /// `at_start` holds the values of the registers at the start of the group.
    fn join(&mut self, index: usize, address: Sum, access: Access, at_start: &Registers) -> bool {
        let Some((register, offset)) = at_start.holder(address) else { return false };
        let new = Reach::of(address, access);
        let wider = self.reaches.iter_mut().find_map(|reach| reach.with(&new).map(|wider| *reach = wider));
        match wider {
            Some(()) => {}
            None if self.reaches.len() < REACHES => self.reaches.push(new),
            None => return false,
        }
        self.accesses.push(Reached { ahead: (index - self.at) as u32, register, offset, access });
        true
    }
}

impl Reach {
    /// Returns the reach of one access.
    pub(crate) fn of(address: Sum, access: Access) -> Reach {
        let Sum { base, offset } = address;
        let loads = matches!(access, Access::Load(_));
        Reach { base, unit_bytes: access.align_bytes(), first: offset, last: offset, loads, stores: !loads }
    }

    /// Combines both, if they lie near enough and their alignments match.
    fn with(&self, other: &Reach) -> Option<Reach> {
        let unit_bytes = self.unit_bytes.max(other.unit_bytes);
        let anchor = if self.unit_bytes == unit_bytes { self.first } else { other.first };
        // Distances from a unit of the larger size; they are small numbers unless they are too far away.
        let distance = |offset: u32| offset.wrapping_sub(anchor) as i32;
        let far = [self.first, self.last, other.first, other.last].map(|offset| distance(offset).unsigned_abs());
        if self.base != other.base || far.iter().any(|&bytes| bytes >= PAGE_BYTES) {
            return None;
        }
        let [first, last] = [
            distance(self.first).min(distance(other.first)),
            (distance(self.last) + self.unit_bytes as i32).max(distance(other.last) + other.unit_bytes as i32) - 1,
        ];
        let in_step =
            distance(other.first) % other.unit_bytes as i32 == 0 && distance(self.first) % self.unit_bytes as i32 == 0;
        // First and last unit are less than a page apart, so everything between them lies in the pages of these two.
        if !in_step || last - first > PAGE_BYTES as i32 - 4 {
            return None;
        }
        let unit = |byte: i32| anchor.wrapping_add_signed(byte.div_euclid(unit_bytes as i32) * unit_bytes as i32);
        Some(Reach {
            base: self.base,
            unit_bytes,
            first: unit(first),
            last: unit(last),
            loads: self.loads | other.loads,
            stores: self.stores | other.stores,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::analysis::testing::assemble;

    /// Formats the groups of the first block, one per line. First come the accesses, each with its distance from the
    /// register that holds its base at the start of the group. Then come the checks: the base, from the first unit to
    /// the last.
    fn lines(text: &str) -> Vec<String> {
        let access = |reached: &Reached| {
            let kind = match reached.access {
                Access::Load(bytes) => format!("load{bytes}"),
                Access::Store(bytes) => format!("store{bytes}"),
                Access::Fetch => "fetch".to_owned(),
            };
            format!("{kind} x{}{:+}", reached.register, reached.offset as i32)
        };
        let reach = |reach: &Reach| {
            let base = match reach.base {
                Base::Zero => "0".to_owned(),
                Base::Entry(register) => format!("x{register}"),
                Base::Result(index) => format!("result {index}"),
            };
            let kinds = [(reach.loads, "r"), (reach.stores, "w")].map(|(has, kind)| if has { kind } else { "" });
            format!("{base} {:+}..{:+} {}", reach.first as i32, reach.last as i32, kinds.concat())
        };
        let line = |group: &Group| {
            let accesses: Vec<String> = group.accesses.iter().map(access).collect();
            let reaches: Vec<String> = group.reaches.iter().map(reach).collect();
            format!("{}: {} | {}", group.at, accesses.join(", "), reaches.join(", "))
        };
        groups(&assemble(text).region().blocks[0].instructions).iter().map(line).collect()
    }

    #[test]
    fn accesses_whose_addresses_are_known_at_the_first_share_a_check() {
        let nine: String = (5..14).map(|register| format!("lw x4,0(x{register})\n ")).collect();
        let nine = format!("main: {nine} ecall");
        let many: Vec<String> = (5..13).map(|register| format!("load4 x{register}+0")).collect();
        let looks: Vec<String> = (5..13).map(|register| format!("x{register} +0..+0 r")).collect();
        let eight = format!("0: {} | {}", many.join(", "), looks.join(", "));
        let cases: [(&str, &str, &[&str]); 8] = [
            (
                "off one register",
                "main: lw x5,0(x2)\n sw x5,8(x2)\n ecall",
                &["0: load4 x2+0, store4 x2+8 | x2 +0..+8 rw"],
            ),
            (
                "off a register that moves on by a constant",
                "main: lw x5,0(x2)\n addi x2,x2,16\n lw x6,-4(x2)\n ecall",
                &["0: load4 x2+0, load4 x2+12 | x2 +0..+12 r"],
            ),
            (
                "off two registers: each is looked up",
                "main: lw x5,0(x2)\n lw x6,0(x3)\n ecall",
                &["0: load4 x2+0, load4 x3+0 | x2 +0..+0 r, x3 +0..+0 r"],
            ),
            (
                "off what the group itself loads: a group of its own",
                "main: lw x5,0(x2)\n lw x6,4(x5)\n ecall",
                &["0: load4 x2+0 | x2 +0..+0 r", "1: load4 x5+4 | result 0 +4..+4 r"],
            ),
            (
                "at a constant address",
                "main: lui x5,0x20\n lw x6,4(x5)\n ecall",
                &["1: load4 x0+131076 | 0 +131076..+131076 r"],
            ),
            (
                "further apart than a page: two looks",
                "main: lw x5,0(x2)\n lw x6,1024(x2)\n ecall",
                &["0: load4 x2+0, load4 x2+1024 | x2 +0..+0 r, x2 +1024..+1024 r"],
            ),
            (
                "bytes beside a word are in its unit",
                "main: lw x5,0(x2)\n sb x5,7(x2)\n ecall",
                &["0: load4 x2+0, store1 x2+7 | x2 +0..+4 rw"],
            ),
            ("nine bases: eight fit", &nine, &[&eight, "8: load4 x13+0 | x13 +0..+0 r"]),
        ];
        for (what, text, expected) in cases {
            assert_eq!(lines(text), expected, "{what}");
        }
    }
}
