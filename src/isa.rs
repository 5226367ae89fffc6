//! The one table of instructions: RV32I, M and the system instructions of the machines.
//!
//! The decoder, the disassembler, both engines, the tests' generators and the coverage list all use [`TABLE`]; an
//! instruction without a line here does not exist. The table describes how an instruction is *written*: its bits, its
//! operands, and where it is legal. It knows nothing about what the instruction does. That is written once in the
//! interpreter and once in the JIT.
//!
//! Source: The RISC-V Instruction Set Manual, Volume I, "RV32/64G Instruction Set Listings".

/// The layout of an instruction's operand fields; it determines which operands the row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `rd, rs1, rs2`.
    R,
    /// `rd, rs1, imm`: twelve signed bits.
    I,
    /// `rd, rs1, shamt`: five unsigned bits.
    Shift,
    /// `rs2, imm(rs1)`: a store, no `rd`.
    S,
    /// `rs1, rs2, target`: a branch, no `rd`.
    B,
    /// `rd, imm << 12`.
    U,
    /// `rd, target`.
    J,
    /// No operand that a row shows: `ecall`, `ebreak`, `mret`, `fence`, `fence.i`.
    None,
}

impl Format {
    /// Returns whether the instruction reads `rs1`.
    pub const fn has_rs1(self) -> bool {
        matches!(self, Format::R | Format::I | Format::Shift | Format::S | Format::B)
    }

    /// Returns whether the instruction reads `rs2`.
    pub const fn has_rs2(self) -> bool {
        matches!(self, Format::R | Format::S | Format::B)
    }

    /// Returns whether the instruction computes a value for `rd` (which may be x0).
    pub const fn has_rd(self) -> bool {
        matches!(self, Format::R | Format::I | Format::Shift | Format::U | Format::J)
    }
}

/// The kind of an instruction, in as much detail as the shape of a block requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Computes `rd` from its operands and nothing else.
    Compute,
    /// Reads memory.
    Load,
    /// Writes memory.
    Store,
    /// Goes to its target or to the next instruction.
    Branch,
    /// Always goes to a target known from its bits.
    Jump,
    /// Goes to a target computed from a register.
    JumpIndirect,
    /// Does nothing that a single hart can observe.
    Fence,
    /// Does what the machine defines.
    System,
}

/// The variants in which an instruction can be legal: the columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// RV32IM as the manual defines it, with `fence` and `fence.i`.
    Standard,
    /// RISC Zero's R0VM 3.0: it ignores more bits, has no fence, and has `mret`.
    R0vm,
}

impl Variant {
    /// Every variant, for tests that must cover them all.
    pub const ALL: [Variant; 2] = [Variant::Standard, Variant::R0vm];
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The operation.
    pub op: Op,
    /// Name in assembly.
    pub mnemonic: &'static str,
    /// Operand layout.
    pub format: Format,
    /// Its effect on the shape of a block.
    pub class: Class,
    /// Values of the fixed bits.
    pub match_bits: u32,
    /// Which bits are fixed.
    pub mask_bits: u32,
    /// The fixed bits that [`Variant::Standard`] ignores; `None` if the instruction is illegal there.
    pub standard: Option<u32>,
    /// The fixed bits that [`Variant::R0vm`] ignores; `None` if the instruction is illegal there.
    pub r0vm: Option<u32>,
}

impl Line {
    /// Returns the bits that `variant` ignores although the manual fixes them; `None` if the instruction is illegal
    /// there.
    pub const fn ignored_bits(&self, variant: Variant) -> Option<u32> {
        match variant {
            Variant::Standard => self.standard,
            Variant::R0vm => self.r0vm,
        }
    }

    /// Returns whether `word` is this instruction in `variant`.
    pub const fn matches(&self, word: u32, variant: Variant) -> bool {
        match self.ignored_bits(variant) {
            Some(ignored) => {
                let mask = self.mask_bits & !ignored;
                word & mask == self.match_bits & mask
            }
            None => false,
        }
    }

    /// Returns how many bytes a load or store moves; 0 for every other instruction.
    pub const fn access_bytes(&self) -> u32 {
        match self.class {
            // The low two bits of a load's or store's funct3 are the base-2 logarithm of the size.
            Class::Load | Class::Store => 1 << ((self.match_bits >> 12) & 3),
            _ => 0,
        }
    }
}

/// Fixed bits of each format: opcode, with funct3 and funct7 where the format has them.
const OPCODE: u32 = 0x0000_007f;
const FUNCT3: u32 = 0x0000_707f;
const FUNCT7: u32 = 0xfe00_707f;
const ALL_BITS: u32 = 0xffff_ffff;

/// Fields that a machine may leave unchecked.
const FIELD_RD: u32 = 0x0000_0f80;
const FIELD_FUNCT3: u32 = 0x0000_7000;
const FIELD_RS1: u32 = 0x000f_8000;
const FIELD_RS2: u32 = 0x01f0_0000;

const STRICT: Option<u32> = Some(0);
const ILLEGAL: Option<u32> = None;

macro_rules! table {
    ($( $op:ident $mnemonic:literal $format:ident $class:ident $match_bits:literal $mask_bits:expr, $standard:expr, $r0vm:expr; )*) => {
        /// Every operation, named as in the manual.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are the manual's mnemonics; TABLE says the rest")]
        pub enum Op { $( $op, )* }

        /// The table, in the order of [`Op`].
        pub static TABLE: &[Line] = &[ $( Line {
            op: Op::$op,
            mnemonic: $mnemonic,
            format: Format::$format,
            class: Class::$class,
            match_bits: $match_bits,
            mask_bits: $mask_bits,
            standard: $standard,
            r0vm: $r0vm,
        }, )* ];
    };
}

//   op     name      format class        match         fixed bits    standard   r0vm
table! {
    Lui     "lui"     U      Compute      0x0000_0037   OPCODE,       STRICT,    STRICT;
    Auipc   "auipc"   U      Compute      0x0000_0017   OPCODE,       STRICT,    STRICT;
    Jal     "jal"     J      Jump         0x0000_006f   OPCODE,       STRICT,    STRICT;
    Jalr    "jalr"    I      JumpIndirect 0x0000_0067   FUNCT3,       STRICT,    Some(FIELD_FUNCT3);
    Beq     "beq"     B      Branch       0x0000_0063   FUNCT3,       STRICT,    STRICT;
    Bne     "bne"     B      Branch       0x0000_1063   FUNCT3,       STRICT,    STRICT;
    Blt     "blt"     B      Branch       0x0000_4063   FUNCT3,       STRICT,    STRICT;
    Bge     "bge"     B      Branch       0x0000_5063   FUNCT3,       STRICT,    STRICT;
    Bltu    "bltu"    B      Branch       0x0000_6063   FUNCT3,       STRICT,    STRICT;
    Bgeu    "bgeu"    B      Branch       0x0000_7063   FUNCT3,       STRICT,    STRICT;
    Lb      "lb"      I      Load         0x0000_0003   FUNCT3,       STRICT,    STRICT;
    Lh      "lh"      I      Load         0x0000_1003   FUNCT3,       STRICT,    STRICT;
    Lw      "lw"      I      Load         0x0000_2003   FUNCT3,       STRICT,    STRICT;
    Lbu     "lbu"     I      Load         0x0000_4003   FUNCT3,       STRICT,    STRICT;
    Lhu     "lhu"     I      Load         0x0000_5003   FUNCT3,       STRICT,    STRICT;
    Sb      "sb"      S      Store        0x0000_0023   FUNCT3,       STRICT,    STRICT;
    Sh      "sh"      S      Store        0x0000_1023   FUNCT3,       STRICT,    STRICT;
    Sw      "sw"      S      Store        0x0000_2023   FUNCT3,       STRICT,    STRICT;
    Addi    "addi"    I      Compute      0x0000_0013   FUNCT3,       STRICT,    STRICT;
    Slti    "slti"    I      Compute      0x0000_2013   FUNCT3,       STRICT,    STRICT;
    Sltiu   "sltiu"   I      Compute      0x0000_3013   FUNCT3,       STRICT,    STRICT;
    Xori    "xori"    I      Compute      0x0000_4013   FUNCT3,       STRICT,    STRICT;
    Ori     "ori"     I      Compute      0x0000_6013   FUNCT3,       STRICT,    STRICT;
    Andi    "andi"    I      Compute      0x0000_7013   FUNCT3,       STRICT,    STRICT;
    Slli    "slli"    Shift  Compute      0x0000_1013   FUNCT7,       STRICT,    STRICT;
    Srli    "srli"    Shift  Compute      0x0000_5013   FUNCT7,       STRICT,    STRICT;
    Srai    "srai"    Shift  Compute      0x4000_5013   FUNCT7,       STRICT,    STRICT;
    Add     "add"     R      Compute      0x0000_0033   FUNCT7,       STRICT,    STRICT;
    Sub     "sub"     R      Compute      0x4000_0033   FUNCT7,       STRICT,    STRICT;
    Sll     "sll"     R      Compute      0x0000_1033   FUNCT7,       STRICT,    STRICT;
    Slt     "slt"     R      Compute      0x0000_2033   FUNCT7,       STRICT,    STRICT;
    Sltu    "sltu"    R      Compute      0x0000_3033   FUNCT7,       STRICT,    STRICT;
    Xor     "xor"     R      Compute      0x0000_4033   FUNCT7,       STRICT,    STRICT;
    Srl     "srl"     R      Compute      0x0000_5033   FUNCT7,       STRICT,    STRICT;
    Sra     "sra"     R      Compute      0x4000_5033   FUNCT7,       STRICT,    STRICT;
    Or      "or"      R      Compute      0x0000_6033   FUNCT7,       STRICT,    STRICT;
    And     "and"     R      Compute      0x0000_7033   FUNCT7,       STRICT,    STRICT;
    Mul     "mul"     R      Compute      0x0200_0033   FUNCT7,       STRICT,    STRICT;
    Mulh    "mulh"    R      Compute      0x0200_1033   FUNCT7,       STRICT,    STRICT;
    Mulhsu  "mulhsu"  R      Compute      0x0200_2033   FUNCT7,       STRICT,    STRICT;
    Mulhu   "mulhu"   R      Compute      0x0200_3033   FUNCT7,       STRICT,    STRICT;
    Div     "div"     R      Compute      0x0200_4033   FUNCT7,       STRICT,    STRICT;
    Divu    "divu"    R      Compute      0x0200_5033   FUNCT7,       STRICT,    STRICT;
    Rem     "rem"     R      Compute      0x0200_6033   FUNCT7,       STRICT,    STRICT;
    Remu    "remu"    R      Compute      0x0200_7033   FUNCT7,       STRICT,    STRICT;
    Fence   "fence"   None   Fence        0x0000_000f   FUNCT3,       STRICT,    ILLEGAL;
    FenceI  "fence.i" None   Fence        0x0000_100f   FUNCT3,       STRICT,    ILLEGAL;
    Ecall   "ecall"   None   System       0x0000_0073   ALL_BITS,     STRICT,    Some(FIELD_RD | FIELD_RS1);
    Ebreak  "ebreak"  None   System       0x0010_0073   ALL_BITS,     STRICT,    Some(FIELD_RD | FIELD_RS1);
    Mret    "mret"    None   System       0x3020_0073   ALL_BITS,     ILLEGAL,   Some(FIELD_RD | FIELD_RS1 | FIELD_RS2);
}

impl Op {
    /// Returns the operation's line of the table.
    #[expect(clippy::indexing_slicing, reason = "operations are numbered by the lines of the table")]
    pub fn line(self) -> &'static Line {
        &TABLE[self as usize]
    }
}
