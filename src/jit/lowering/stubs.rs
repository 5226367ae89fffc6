//! The three functions at the start of every code memory: the dispatcher, and the two stubs through which regions make
//! requests.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, UserFuncName, Value, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use tachy_runtime::layout;

use super::abi::{REASON_NO_ENTRY, assist_signature, compile, region_signature};

/// Machine code of the stubs.
pub(crate) struct Stubs {
    pub(crate) dispatcher: Vec<u8>,
    pub(crate) access: Vec<u8>,
    pub(crate) refill: Vec<u8>,
}

impl Stubs {
    pub(crate) fn new(isa: &OwnedTargetIsa) -> Option<Stubs> {
        Some(Stubs {
            dispatcher: dispatcher(isa)?,
            access: stub(isa, layout::ACCESS_HELPER)?,
            refill: stub(isa, layout::REFILL_HELPER)?,
        })
    }
}

fn function(signature: Signature) -> Context {
    let mut context = Context::new();
    context.func = Function::with_name_signature(UserFuncName::default(), signature);
    context
}

/// Builds a function that preserves every register and calls the helper at `helper` in the context.
fn stub(isa: &OwnedTargetIsa, helper: i32) -> Option<Vec<u8>> {
    let mut context = function(assist_signature(CallConv::PreserveAll));
    let mut frontend = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut frontend);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let base = builder.block_params(block)[0];
    let callee = builder.ins().load(types::I64, MemFlagsData::trusted(), base, helper);
    let signature = builder.import_signature(assist_signature(isa.default_call_conv()));
    builder.ins().call_indirect(signature, callee, &[base]);
    builder.ins().return_(&[]);
    builder.finalize(isa.frontend_config());
    compile(&mut context, isa).ok()
}

/// Builds `fn(base) -> reason`, which calls the region at the context's pc, if it has an entry there.
fn dispatcher(isa: &OwnedTargetIsa) -> Option<Vec<u8>> {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params = vec![AbiParam::new(types::I64)];
    signature.returns = vec![AbiParam::new(types::I32)];
    let mut context = function(signature);
    let mut frontend = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut frontend);
    let [start, found, none] = std::array::from_fn(|_| builder.create_block());
    builder.append_block_params_for_function_params(start);
    builder.switch_to_block(start);
    let base = builder.block_params(start)[0];
    let pc = builder.ins().load(types::I32, MemFlagsData::trusted(), base, layout::PC);
    let word = look_up(&mut builder, base, pc);
    builder.ins().brif(word, found, &[], none, &[]);

    builder.switch_to_block(found);
    let progress = builder.ins().load(types::I64, MemFlagsData::trusted(), base, layout::PROGRESS);
    count_transfer(&mut builder, base);
    let callee = callee(&mut builder, base, word);
    let signature = builder.import_signature(region_signature());
    let call = builder.ins().call_indirect(signature, callee, &[base, word, progress]);
    let reason = builder.inst_results(call)[0];
    builder.ins().return_(&[reason]);

    builder.switch_to_block(none);
    let reason = builder.ins().iconst(types::I32, REASON_NO_ENTRY);
    builder.ins().return_(&[reason]);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    compile(&mut context, isa).ok()
}

/// Returns the word of the dispatch table for `pc`; 0 if there is no entry.
pub(crate) fn look_up(builder: &mut FunctionBuilder<'_>, base: Value, pc: Value) -> Value {
    let flags = MemFlagsData::trusted();
    let table = builder.ins().load(types::I64, flags, base, layout::DISPATCH);
    let wide = builder.ins().uextend(types::I64, pc);
    let high = builder.ins().ushr_imm_u(wide, 16);
    let high = builder.ins().ishl_imm_u(high, 3);
    let head = builder.ins().iadd(table, high);
    let chunk = builder.ins().load(types::I64, flags, head, 0);
    // Bits 15..2 of the pc, times the 8 bytes of a word.
    let low = builder.ins().band_imm_s(wide, 0xfffc);
    let low = builder.ins().ishl_imm_u(low, 1);
    let place = builder.ins().iadd(chunk, low);
    builder.ins().load(types::I64, flags, place, 0)
}

/// Does [`look_up`] for a pc that is known at compile time.
pub(crate) fn look_up_constant(builder: &mut FunctionBuilder<'_>, base: Value, pc: u32) -> Value {
    let flags = MemFlagsData::trusted();
    let table = builder.ins().load(types::I64, flags, base, layout::DISPATCH);
    let chunk = builder.ins().load(types::I64, flags, table, (pc >> 16) as i32 * 8);
    builder.ins().load(types::I64, flags, chunk, (pc & 0xfffc) as i32 * 2)
}

/// Returns the address of the region to which a nonzero dispatch word leads.
pub(crate) fn callee(builder: &mut FunctionBuilder<'_>, base: Value, word: Value) -> Value {
    let flags = MemFlagsData::trusted();
    let code_base = builder.ins().load(types::I64, flags, base, layout::CODE_BASE);
    let offset = builder.ins().ireduce(types::I32, word);
    let offset = builder.ins().uextend(types::I64, offset);
    builder.ins().iadd(code_base, offset)
}

/// Counts a transfer to a region.
pub(crate) fn count_transfer(builder: &mut FunctionBuilder<'_>, base: Value) {
    let flags = MemFlagsData::trusted();
    let transfers = builder.ins().load(types::I64, flags, base, layout::TRANSFERS);
    let transfers = builder.ins().iadd_imm_s(transfers, 1);
    builder.ins().store(flags, transfers, base, layout::TRANSFERS);
}
