//! The JIT: regions of basic blocks to native code by way of Cranelift.
//!
//! Region discovery ([`region`], [`liveness`]) is pure and knows no Cranelift; lowering knows no memory to publish
//! code in; [`Native`] brings both together and keeps the books of what is translated. Nothing here may know a
//! machine: what differs between them comes in as data.

mod options;

pub use options::JitOptions;

use crate::engine::Stats;
use crate::interpreter::{DecodedPages, Tier};
use crate::isa::Variant;
use crate::machine::Machine;
use crate::trace::Level;
use tachy_runtime::{CodeMemory, Vm};

pub(crate) struct Translations;
impl Translations {
    pub(crate) fn contains(&self, _: u32) -> bool {
        false
    }
}
pub(crate) struct Native;
impl Native {
    pub(crate) fn new(_: &JitOptions, _: Level, _: Variant) -> Option<Native> {
        None
    }
    pub(crate) fn prepare<M: Machine>(&mut self, _: &mut Vm, _: &mut DecodedPages) -> bool {
        false
    }
    pub(crate) fn parts(&mut self) -> (&CodeMemory, &Translations) {
        unreachable!()
    }
    pub(crate) fn report(&self, _: &mut Stats) {}
}
impl Tier for Native {
    fn arrive(&mut self, _: &mut DecodedPages, _: u32) -> bool {
        false
    }
    fn code_written(&mut self, _: u32) {}
}
