//! What the JIT makes of a piece of code, as text: for golden files, and for whoever wants to look.

use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;

use super::abi::{baseline_isa, compile};
use crate::isa::Variant;
use crate::jit::JitOptions;
use crate::jit::analysis::discover::Code;
use crate::jit::analysis::region::Region;
use crate::jit::lowering::lower;
use crate::program::Program;
use crate::rules::Rules;
use crate::trace::Level;

/// One region, translated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Listing {
    /// The region's IR in Cranelift's text format.
    pub ir: String,
    /// Guest instructions in the region.
    pub instructions: usize,
    /// Addresses at which it can be entered.
    pub entries: Vec<u32>,
    /// Bytes of machine code, for what every host of this architecture can run.
    pub code_bytes: usize,
}

/// Translates the region that begins at `pc` in the program's image, as if it were met for the first time. `None` where
/// nothing can be translated: no executable code there, or a host without code generator.
pub fn list(program: &Program, pc: u32, level: Level, options: &JitOptions) -> Option<Listing> {
    let isa = baseline_isa()?;
    let region = Region::discover(pc, Variant::Standard, options.region_instructions, &Image(program))?;
    let mut context = Context::new();
    lower(&region, 1, level, &Rules::STANDARD, &isa, &mut context.func, &mut FunctionBuilderContext::new());
    let ir = context.func.display().to_string();
    let code_bytes = compile(&mut context, &isa)?.len();
    let entries = region.entries.iter().map(|&entry| region.blocks[entry].pc).collect();
    Some(Listing { ir, instructions: region.instructions(), entries, code_bytes })
}

/// A program as its file has it.
struct Image<'a>(&'a Program);

impl Code for Image<'_> {
    fn fetch(&self, pc: u32) -> Option<u32> {
        let segment = self.0.segment_at(pc).filter(|segment| segment.permissions.execute)?;
        let offset = (pc - segment.address) as usize;
        let bytes = segment.data.get(offset..offset.checked_add(4)?)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    }

    fn is_warm(&self, _: u32) -> bool {
        true
    }

    fn stops_at(&self, _: u32) -> bool {
        false
    }

    fn targets(&self, _: u32) -> &[u32] {
        &[]
    }
}
