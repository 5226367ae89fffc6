//! The door between Rust and generated code: [`enter`] goes in, assists come back for a moment.
//!
//! An assist is a call from generated code through a stub that preserves every register, so that the code around it
//! need not know. It runs Rust that must not unwind through native frames: a panic is caught, stops native code at
//! the step that asked, and goes on unwinding once `enter` is back in Rust.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::access::{Access, Asked, Verdict};
use crate::code::CodeMemory;
use crate::context::VmContext;
use crate::vm::Vm;

/// What native code asks of the engine while it runs.
pub trait Assist {
    /// An access that its page's state does not allow without help. `Continue` lets it happen; `Stop` leaves native
    /// code before the instruction, for the interpreter to do it or to trap.
    ///
    /// The step number, the pc and registers are exact; the slice has room for the `steps` steps that native code will
    /// do without asking again, at the most, this one included.
    fn access(&mut self, vm: &mut Vm, address: u32, access: Access, steps: u32) -> Verdict;

    /// Accesses one of which at least needs help: those among this many instructions from the pc on. `Continue` lets all
    /// of them happen, each when it is its turn, without asking again. For the rest as [`Assist::access`].
    fn window(&mut self, vm: &mut Vm, instructions: u32, steps: u32) -> Verdict;

    /// The `steps` that native code would do without asking again do not fit into what is left of the slice. `Continue`
    /// after opening one that holds them; `Stop` leaves native code before the block. The context's pc and progress are
    /// exact here.
    fn refill(&mut self, vm: &mut Vm, steps: u32) -> Verdict;
}

/// What the helpers find behind the context's host pointer.
pub(crate) struct Host<'a> {
    vm: *mut Vm,
    assist: &'a mut dyn Assist,
    panic: Option<Box<dyn Any + Send>>,
}

/// How native code was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// At a pc without entry.
    NoEntry,
    /// In the middle of a region: an assist said stop, or the next step is the interpreter's.
    Stopped,
}

/// Runs native code from the context's pc on, until it leaves. The context then holds the exact state between two
/// steps. Does nothing where the pc has no entry.
///
/// # Panics
/// Goes on with a panic of an assist.
pub fn enter(vm: &mut Vm, code: &CodeMemory, assist: &mut dyn Assist) -> Left {
    // The dispatcher tests no head.
    let Some(heads) = code.table().heads() else { return Left::NoEntry };
    let stubs = code.stubs();
    let vm: *mut Vm = vm;
    let mut host = Host { vm, assist, panic: None };
    // SAFETY: `vm` comes from an exclusive reference that is not used again before native code has returned.
    let (context, base) = unsafe { ((*vm).context_mut() as *mut VmContext, (*vm).base()) };
    // SAFETY: the context is live; the lifetime of `host` is erased for the time of the call below, and the pointer
    // is cleared before `host` ends.
    unsafe {
        (*context).host = (&raw mut host).cast();
        (*context).dispatch = heads;
        (*context).code_base = code.base();
        (*context).access_stub = stubs.access;
        (*context).refill_stub = stubs.refill;
    }
    // SAFETY: whoever published the stubs vouched that this address is a function of this type that keeps to the
    // region ABI; table and code belong together and live as long as this call, as do context and host.
    let reason = unsafe {
        let dispatcher: unsafe extern "C" fn(*mut u8) -> u32 = std::mem::transmute(stubs.dispatcher);
        let reason = dispatcher(base);
        (*context).host = std::ptr::null_mut();
        reason
    };
    if let Some(panic) = host.panic {
        resume_unwind(panic);
    }
    if reason == 0 { Left::NoEntry } else { Left::Stopped }
}

/// Calls into the engine from a helper: a panic becomes `Stop` and is kept.
///
/// # Safety
/// `base` is the base of a Vm inside `enter`.
unsafe fn assist(base: *mut u8, call: impl FnOnce(&mut dyn Assist, &mut Vm) -> Verdict) {
    let context = VmContext::below(base);
    // SAFETY: by the caller, the host pointer is the one that `enter` set, and `enter` touches neither the host nor
    // the Vm before native code, which is waiting for this call, has returned.
    let (host, vm) = unsafe {
        let host = &mut *(*context).host;
        let vm = &mut *host.vm;
        (host, vm)
    };
    let verdict = catch_unwind(AssertUnwindSafe(|| call(host.assist, vm))).unwrap_or_else(|panic| {
        host.panic = Some(panic);
        Verdict::Stop
    });
    vm.context_mut().verdict = (verdict == Verdict::Stop) as u32;
}

/// Helper behind the access stub.
///
/// # Safety
/// Called by generated code inside `enter`, with its base.
pub(crate) unsafe extern "C" fn access_helper(base: *mut u8) {
    let ask = |host: &mut dyn Assist, vm: &mut Vm| {
        let about = vm.context().asked_about;
        let (asked, undone, steps) = Asked::unpack(vm.context().asked);
        // Generated code counts a block when it begins.
        vm.take_back(undone as u32);
        match asked {
            Asked::Access(access) => host.access(vm, about, access, steps as u32),
            Asked::Window => host.window(vm, about, steps as u32),
        }
    };
    // SAFETY: by the contract of this function.
    unsafe { assist(base, ask) }
}

/// Helper behind the refill stub.
///
/// # Safety
/// Called by generated code inside `enter`, with its base.
pub(crate) unsafe extern "C" fn refill_helper(base: *mut u8) {
    let ask = |host: &mut dyn Assist, vm: &mut Vm| {
        let steps = vm.context().asked;
        host.refill(vm, steps)
    };
    // SAFETY: by the contract of this function.
    unsafe { assist(base, ask) }
}
