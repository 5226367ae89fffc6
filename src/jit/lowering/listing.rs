//! The result of compiling a piece of code, as text: for golden files and for people.

use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;
use thiserror::Error;

use super::abi::{baseline_isa, compile};
use super::refused::Refused;
use super::{Marks, Settings, lower};
use crate::jit::analysis::discover::Code;
use crate::jit::analysis::region::Region;
use crate::jit::{JitOptions, Mode};
use crate::program::Program;
use crate::trace::Level;

/// One compiled region.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Listing {
    /// The region's IR in Cranelift's text format.
    pub ir: String,
    /// Guest instructions in the region.
    pub instructions: usize,
    /// Addresses at which it can be entered.
    pub entries: Vec<u32>,
    /// Bytes of machine code, for the baseline of this architecture.
    pub code_bytes: usize,
}

/// Why there is no native code to show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListError {
    /// Cranelift cannot generate code for this host.
    #[error("there is no code generator for this host; the interpreter runs everything here")]
    NoGenerator,
    /// The options are out of range.
    #[error("{0}")]
    Options(String),
    /// Nothing at the address can be compiled.
    #[error(
        "nothing at {pc:#010x} is translated: it is not an aligned address of code, or a system instruction, which the \
         interpreter does"
    )]
    NoCode {
        /// The address.
        pc: u32,
    },
    /// The region cannot be compiled. This is a bug in Tachy or the code generator.
    #[error("the region at {pc:#010x} is not compiled: {reason}")]
    Refused {
        /// First address of the region.
        pc: u32,
        /// The reason.
        reason: String,
    },
}

impl ListError {
    pub(super) fn refused(pc: u32, reason: &Refused) -> ListError {
        ListError::Refused { pc, reason: reason.to_string() }
    }
}

/// Compiles the region that begins at `pc` in the program's image, as if it were compiled for the first time.
///
/// # Errors
/// Fails if nothing can be compiled there, or this host has no code generator.
pub fn list(program: &Program, pc: u32, mode: Mode, level: Level, options: &JitOptions) -> Result<Listing, ListError> {
    let isa = baseline_isa().ok_or(ListError::NoGenerator)?;
    let region = region_at(program, pc, mode, options)?;
    let mut context = Context::new();
    let settings = Settings { level, rules: mode.rules, isa: &isa, marks: Marks::None };
    lower(&region, 1, settings, &mut context.func, &mut FunctionBuilderContext::new())
        .map_err(|broken| ListError::refused(pc, &broken.into()))?;
    let ir = context.func.display().to_string();
    let code_bytes = compile(&mut context, &isa).map_err(|refused| ListError::refused(pc, &refused))?.len();
    Ok(Listing { ir, instructions: region.instructions(), entries: region.entry_pcs().collect(), code_bytes })
}

/// Returns the region that begins at `pc` in the program's image.
pub(super) fn region_at(program: &Program, pc: u32, mode: Mode, options: &JitOptions) -> Result<Region, ListError> {
    options.check().map_err(|error| ListError::Options(error.to_string()))?;
    let image = Image { program, mode };
    Region::discover(pc, mode.rules.variant, options.region_instructions, &image).ok_or(ListError::NoCode { pc })
}

/// A program's image as in its file, in one mode.
struct Image<'a> {
    program: &'a Program,
    mode: Mode,
}

impl Code for Image<'_> {
    fn fetch(&self, pc: u32) -> Option<u32> {
        let segment = self.program.segment_at(pc)?;
        // If permissions change, the address decides what may run.
        let may_run = match self.mode.rules.asks_fetches() {
            true => self.mode.may_run(pc),
            false => segment.permissions.execute,
        };
        let offset = (pc - segment.address) as usize;
        let bytes = segment.data.get(offset..offset.checked_add(4)?).filter(|_| may_run)?;
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
