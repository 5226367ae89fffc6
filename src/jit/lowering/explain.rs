//! A region instruction by instruction: RISC-V, the IR made of it, and the host's instructions made of that.
//!
//! ```text
//! lower with marks:  [pc] iadd, store, ..  [pc] load, ..      a mark is a sequence point with the guest's pc
//! split the IR, and Cranelift's listing of machine code, at the marks
//! lower without marks, and compare the bytes: marks take none, but may keep Cranelift from joining instructions
//! ```

use std::collections::BTreeMap;

use cranelift_codegen::Context;
use cranelift_codegen::ir::{DebugTag, Function, Opcode};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::FunctionBuilderContext;

use super::abi::{compile, host_isa};
use super::listing::{ListError, region_at};
use super::{Marks, Settings, lower};
use crate::disasm::disassemble;
use crate::jit::analysis::region::Region;
use crate::jit::{JitOptions, Mode};
use crate::program::Program;
use crate::trace::Level;

/// The translation of one guest instruction, or of the parts of a region outside its instructions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Made {
    /// Lines of Cranelift's IR.
    pub ir: Vec<String>,
    /// Host instructions, in Cranelift's notation, with the labels in front of them.
    pub host: Vec<String>,
}

/// A guest instruction and its translation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// Its address.
    pub pc: u32,
    /// Its word.
    pub word: u32,
    /// Its disassembly.
    pub assembly: String,
    /// Its translation.
    pub made: Made,
}

/// A region, explained.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// Guest instructions by address.
    pub instructions: Vec<Explained>,
    /// The parts outside any instruction: entries, transitions to other regions, exits.
    pub shared: Made,
    /// Addresses at which the region can be entered.
    pub entries: Vec<u32>,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Whether the host instructions shown are exactly those that run. If not, they were split by instruction, and
    /// Cranelift merges some that are shown separately.
    pub is_exact: bool,
}

/// Explains the region that begins at `pc` in the program's image, as if it were compiled for the first time, for this
/// host.
///
/// ```
/// use tachy::jit::explain;
/// use tachy::trace::Level;
/// use tachy::{JitOptions, MachineKind, Program};
///
/// let program = Program::from_elf(&std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf"))?)?;
/// let [mode] = MachineKind::Bare.modes()[..] else { panic!("bare has one mode") };
/// let explanation = explain(&program, program.entry(), mode, Level::Off, &JitOptions::default())?;
/// let first = &explanation.instructions[0];
/// println!("{:#x} {}: {:?} {:?}", first.pc, first.assembly, first.made.ir, first.made.host);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Fails if nothing can be compiled there, or this host has no code generator.
pub fn explain(
    program: &Program,
    pc: u32,
    mode: Mode,
    level: Level,
    options: &JitOptions,
) -> Result<Explanation, ListError> {
    let isa = host_isa().ok_or(ListError::NoGenerator)?;
    let region = region_at(program, pc, mode, options)?;
    let settings = |marks| Settings { level, rules: mode.rules, isa: &isa, marks };
    let (_, plain_bytes) = compiled(&region, settings(Marks::None), &isa)?;
    let (context, bytes) = compiled(&region, settings(Marks::Pcs), &isa)?;
    let mut made = Split::default();
    made.split_ir(&context.func);
    made.split_host(context.compiled_code().and_then(|code| code.vcode.as_deref()).unwrap_or_default());
    let placed = region.blocks.iter().flat_map(|block| &block.instructions);
    let mut instructions: Vec<Explained> = placed
        .map(|placed| Explained {
            pc: placed.pc,
            word: placed.word,
            assembly: disassemble(placed.word, placed.pc, mode.rules.variant),
            made: made.by_pc.remove(&placed.pc).unwrap_or_default(),
        })
        .collect();
    instructions.sort_by_key(|explained| explained.pc);
    // A block without instructions has a mark as well: the address where the interpreter continues.
    for rest in made.by_pc.into_values() {
        made.shared.ir.extend(rest.ir);
        made.shared.host.extend(rest.host);
    }
    Ok(Explanation {
        instructions,
        shared: made.shared,
        entries: region.entry_pcs().collect(),
        code_bytes: plain_bytes.len(),
        is_exact: plain_bytes == bytes,
    })
}

/// Returns the region's function and its bytes.
fn compiled(region: &Region, settings: Settings<'_>, isa: &OwnedTargetIsa) -> Result<(Context, Vec<u8>), ListError> {
    let mut context = Context::new();
    context.set_disasm(true);
    lower(region, 1, settings, &mut context.func, &mut FunctionBuilderContext::new())
        .map_err(|broken| ListError::refused(region.entry, &broken.into()))?;
    let bytes = compile(&mut context, isa).map_err(|refused| ListError::refused(region.entry, &refused))?;
    Ok((context, bytes))
}

/// The translation, split at the marks.
#[derive(Default)]
struct Split {
    by_pc: BTreeMap<u32, Made>,
    shared: Made,
}

impl Split {
    /// Returns the part for the instruction at `pc`, or the shared part.
    fn made(&mut self, pc: Option<u32>) -> &mut Made {
        match pc {
            Some(pc) => self.by_pc.entry(pc).or_default(),
            None => &mut self.shared,
        }
    }

    fn split_ir(&mut self, function: &Function) {
        for block in function.layout.blocks() {
            let (mut pc, mut label) = (None, Some(label(function, block)));
            for inst in function.layout.block_insts(block) {
                if function.dfg.insts[inst].opcode() == Opcode::SequencePoint {
                    pc = match function.debug_tags.get(inst) {
                        [DebugTag::User(pc)] => Some(*pc),
                        _ => None,
                    };
                    continue;
                }
                // Cranelift repeats constant operands behind the instruction.
                let text = function.dfg.display_inst(inst).to_string();
                let line = format!("    {}", text.split("  ;").next().unwrap_or(&text));
                self.made(pc).ir.extend(label.take().into_iter().chain([line]));
            }
        }
    }

    /// Splits Cranelift's listing of machine code. A mark is a line of its own there, and a note on its tag is the next
    /// line.
    fn split_host(&mut self, listing: &str) {
        let (mut pc, mut label) = (None, None);
        for line in listing.lines() {
            let text = line.trim();
            if text.ends_with(':') {
                (pc, label) = (None, Some(text.to_owned()));
            } else if let Some(tag) = text.split_once("[User(").and_then(|(_, rest)| rest.split_once(')')) {
                pc = tag.0.parse().ok();
            } else if text != "sequence_point" && !text.is_empty() {
                let line = format!("    {text}");
                self.made(pc).host.extend(label.take().into_iter().chain([line]));
            }
        }
    }
}

/// Returns a block's label: its name and parameters.
fn label(function: &Function, block: cranelift_codegen::ir::Block) -> String {
    let params = function.dfg.block_params(block).iter();
    let params: Vec<String> = params.map(|&param| format!("{param}: {}", function.dfg.value_type(param))).collect();
    match params.is_empty() {
        true => format!("{block}:"),
        false => format!("{block}({}):", params.join(", ")),
    }
}
