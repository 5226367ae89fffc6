//! The conventions of generated functions among themselves and with the runtime: signatures, and how functions are
//! compiled.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use super::refused::Refused;
use crate::invariant::broken;

/// The result of a region, which says why native code is left: control reached a pc without an entry, or the next step
/// needs the interpreter.
pub(crate) const REASON_NO_ENTRY: i64 = 0;
/// See [`REASON_NO_ENTRY`].
pub(crate) const REASON_STOP: i64 = 1;

/// Returns the signature `fn(base, word of the dispatch table, progress) -> reason`. Regions continue in each other by
/// tail calls. No registers need saving, but the only convention with tail calls saves those that System V saves.
pub(crate) fn region_signature() -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params = vec![AbiParam::new(types::I64); 3];
    signature.returns = vec![AbiParam::new(types::I32)];
    signature
}

/// Returns the signature `fn(base)` of the stubs through which regions make requests. The request itself is in the
/// context.
pub(crate) fn assist_signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params = vec![AbiParam::new(types::I64)];
    signature
}

/// Returns the instruction set of this host with all its extensions, or `None` if it has no code generator.
pub(crate) fn host_isa() -> Option<OwnedTargetIsa> {
    finish(cranelift_native::builder().ok()?)
}

/// Returns the baseline instruction set of this architecture, so that its code can be compared between machines.
pub(crate) fn baseline_isa() -> Option<OwnedTargetIsa> {
    let name = if cfg!(target_arch = "x86_64") { "x86_64-unknown-linux-gnu" } else { "aarch64-unknown-linux-gnu" };
    finish(isa::lookup_by_name(name).ok()?)
}

fn finish(mut builder: isa::Builder) -> Option<OwnedTargetIsa> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) || !cfg!(unix) {
        return None;
    }
    let mut flags = settings::builder();
    for (name, value) in [
        // Cranelift's optimiser finds little in this IR. Without it the code is as fast and takes two thirds of the
        // time to compile.
        ("opt_level", "none"),
        ("enable_probestack", "false"),
        // Cranelift's tail calls on x86-64 require frame pointers.
        ("preserve_frame_pointers", "true"),
        ("unwind_info", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ] {
        flags.set(name, value).ok()?;
    }
    // Plain SSE instructions are shorter than their AVX forms, and rows need nothing wider. Only x86-64 knows this
    // setting.
    let _ = builder.set("has_avx", "false");
    builder.finish(settings::Flags::new(flags)).ok()
}

/// Maximum bytes of stack that a function takes below the return address and the frame pointer that it pushes first.
///
/// Code does not probe the stack, so these all together must fit into the page that guards it. A frame then touches the
/// guard and never the memory behind it. The largest frame of all guests and 5,000 random programs is 1,008 bytes.
pub(crate) const REGION_FRAME_BYTES_MAX: u32 = 4096 - 16;

/// Compiles the function in `context` to bytes.
///
/// # Errors
/// Fails if Cranelift rejects it, if it needs relocations, which movable code must not have, or if its frame is larger
/// than [`REGION_FRAME_BYTES_MAX`].
pub(crate) fn compile(context: &mut Context, isa: &OwnedTargetIsa) -> Result<Vec<u8>, Refused> {
    let compiled = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|error| Refused::Generator(error.inner.to_string()))?;
    let Some(frame) = compiled.buffer.frame_layout() else {
        return Err(broken("compiled code without a frame layout").into());
    };
    let (bytes, max_bytes) = (frame.frame_to_fp_offset, REGION_FRAME_BYTES_MAX);
    if bytes > max_bytes {
        return Err(Refused::Frame { bytes, max_bytes });
    }
    match compiled.buffer.relocs().len() {
        0 => Ok(compiled.code_buffer().to_vec()),
        count => Err(Refused::Relocations(count)),
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::ir::{Function, InstBuilder, StackSlotData, StackSlotKind, UserFuncName};
    use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

    use super::*;

    /// Compiles a function that takes this many bytes of stack.
    fn compiled(stack_bytes: u32) -> Result<Vec<u8>, Refused> {
        let isa = host_isa().expect("a host that tests run on");
        let mut context = Context::new();
        context.func = Function::with_name_signature(UserFuncName::default(), Signature::new(CallConv::Tail));
        let mut frontend = FunctionBuilderContext::new();
        let mut builder = FunctionBuilder::new(&mut context.func, &mut frontend);
        let block = builder.create_block();
        builder.switch_to_block(block);
        builder.seal_block(block);
        let slot = builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, stack_bytes, 4));
        let value = builder.ins().iconst(types::I64, 1);
        builder.ins().stack_store(types::I64, value, slot, 0);
        builder.ins().return_(&[]);
        builder.finalize(isa.frontend_config());
        compile(&mut context, &isa)
    }

    #[test]
    fn frames_are_bounded() {
        assert!(compiled(64).is_ok());
        assert!(compiled(REGION_FRAME_BYTES_MAX).is_ok());
        for bytes in [REGION_FRAME_BYTES_MAX + 16, 1 << 20] {
            assert_eq!(compiled(bytes), Err(Refused::Frame { bytes, max_bytes: REGION_FRAME_BYTES_MAX }));
        }
    }
}
