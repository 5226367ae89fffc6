//! The trampoline between Rust and generated code: [`enter`] calls generated code, and assists call back briefly.
//!
//! An assist is a call from generated code. In the middle of a block it goes through a stub that preserves every
//! register, so that the code around it need not save any. It runs Rust code, which must not unwind through native frames. A panic is caught, native code
//! stops at the step that made the request, and the panic resumes once `enter` is back in Rust.
//!
//! Native code derives all its pointers from the hart's base, as the mapping returned it. No Rust reference to that
//! memory exists while native code runs: a helper creates its own state from the base, and lends it.

use std::any::Any;
#[cfg(feature = "jit")]
use std::panic::resume_unwind;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "jit")]
use std::ptr;
use std::ptr::NonNull;

use thiserror::Error;

use crate::access::{Access, AssistRequest, Verdict};
#[cfg(feature = "jit")]
use crate::code::CodeMemory;
use crate::context::VmContext;
use crate::hart::{BetweenSlices, HartState, ProgressUnit};
#[cfg(feature = "jit")]
use crate::vm::Vm;

/// The services of the engine for running native code.
///
/// Whatever an assist does to the state that it borrows, native code stays inside the hart. Native code continues only
/// if the slice has room for its next steps, and neither the hart nor its rows can be freed. An assist can do this
/// much:
///
/// ```
/// # use tachy_runtime::{Access, Assist, BetweenSlices, HartState, Proceed, Verdict};
/// struct Other<'a>(HartState<'a>);
///
/// impl Assist for Other<'_> {
///     fn access(&mut self, vm: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict {
///         vm.set_pc(self.0.pc());
///         Verdict::Stop
///     }
/// #   fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict { Verdict::Stop }
/// #   fn refill(&mut self, _: &mut BetweenSlices<'_>, _: u32) -> Verdict { Verdict::Stop }
/// #   fn system(&mut self, _: &mut BetweenSlices<'_>) -> Proceed { Proceed::Stop }
/// }
/// ```
///
/// It cannot replace the running hart with another:
///
/// ```compile_fail
/// # use tachy_runtime::{Access, Assist, BetweenSlices, HartState, Proceed, Verdict};
/// struct Other<'a>(HartState<'a>);
///
/// impl Assist for Other<'_> {
///     fn access(&mut self, vm: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict {
///         std::mem::swap(vm, &mut self.0);
///         Verdict::Stop
///     }
/// #   fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict { Verdict::Stop }
/// #   fn refill(&mut self, _: &mut BetweenSlices<'_>, _: u32) -> Verdict { Verdict::Stop }
/// #   fn system(&mut self, _: &mut BetweenSlices<'_>) -> Proceed { Proceed::Stop }
/// }
/// ```
///
/// It cannot move its rows elsewhere, even where it may hand them over:
///
/// ```compile_fail,E0599
/// # use tachy_runtime::{Access, Assist, BetweenSlices, HartState, Proceed, Verdict};
/// struct Frees;
///
/// impl Assist for Frees {
///     fn refill(&mut self, vm: &mut BetweenSlices<'_>, _: u32) -> Verdict {
///         vm.set_row_capacity(0);
///         Verdict::Continue
///     }
/// #   fn access(&mut self, _: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict { Verdict::Stop }
/// #   fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict { Verdict::Stop }
/// #   fn system(&mut self, _: &mut BetweenSlices<'_>) -> Proceed { Proceed::Stop }
/// }
/// ```
pub trait Assist {
    /// Handles an access that its page's state does not allow without help. `Continue` lets it happen. `Stop` leaves
    /// native code before the instruction, for the interpreter to execute it or to trap.
    ///
    /// The step number, the pc and the registers are exact. The slice has room for `steps` steps, including this one:
    /// the maximum that native code will do before it asks again.
    fn access(&mut self, vm: &mut HartState<'_>, address: u32, access: Access, steps: u32) -> Verdict;

    /// Handles the accesses of the access group with this number, of which at least one needs help. `Continue` lets all
    /// of them happen, each in its turn, without a further request. Everything else is as for [`Assist::access`].
    fn access_group(&mut self, vm: &mut HartState<'_>, group: u32, steps: u32) -> Verdict;

    /// Called if the slice has less room than the `steps` steps that native code would do before it asks again.
    ///
    /// `Continue` is the answer after opening a slice that holds them. `Stop` leaves native code before the block, and
    /// so does `Continue` if they still do not fit. The context's pc and progress are exact here.
    fn refill(&mut self, vm: &mut BetweenSlices<'_>, steps: u32) -> Verdict;

    /// Called where a block ends before a system instruction. The pc, progress and registers are exact. The slice may be
    /// over.
    ///
    /// [`Proceed::In`] continues at the hart's new pc, in one of the code memories given to [`enter`]. `Stop` leaves
    /// native code, and so does a pc without an entry there.
    fn system(&mut self, vm: &mut BetweenSlices<'_>) -> Proceed;
}

/// Where native code continues after a system instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proceed {
    /// In the code memory with this index.
    In(usize),
    /// Nowhere: native code is left.
    Stop,
}

/// The target of the context's host pointer, for the helpers.
pub(crate) struct Host<'a> {
    assist: &'a mut dyn Assist,
    /// The code memories between which native code may change.
    #[cfg(feature = "jit")]
    codes: &'a [&'a CodeMemory],
    panic: Option<Box<dyn Any + Send>>,
    /// The error in a request, if there was one.
    broken: Option<EnterError>,
}

/// How native code was left.
#[cfg(feature = "jit")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Control reached a pc without an entry.
    NoEntry,
    /// In the middle of a region: an assist returned `Stop`, or the interpreter has to do the next step.
    Stopped,
}

/// Native code does not match the hart or its host. The code's generator has a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnterError {
    /// Native code was not entered, and nothing has happened.
    #[error("native code that counts progress by {code:?} cannot run a hart that counts it by {hart:?}")]
    Unit {
        /// Amount that a step adds to progress in the code.
        code: ProgressUnit,
        /// Amount that a step adds to progress in the hart.
        hart: ProgressUnit,
    },
    /// Native code made an unknown request, or took back steps that it had not counted. The state is not exact.
    #[error("native code made the request {packed:#010x}, which makes no sense")]
    Request {
        /// The request as the code made it.
        packed: u32,
    },
    /// Native code was left for an unknown reason. The state is not exact.
    #[error("native code was left for reason {reason}, which is unknown")]
    Reason {
        /// The reason that it returned.
        reason: u32,
    },
}

/// Runs native code from the context's pc until it leaves, first in `codes[first]`. The context then holds the exact
/// state between two steps. Does nothing if the pc has no entry there, or if there is no such memory.
///
/// # Errors
/// Fails if any of the code is made for another unit of progress than the hart's: it would take a number for the address of a
/// row, or the other way round. Also fails if the code makes an unknown request or returns an unknown reason.
///
/// # Panics
/// Resumes a panic of an assist.
#[cfg(feature = "jit")]
pub fn enter(vm: &mut Vm, codes: &[&CodeMemory], first: usize, assist: &mut dyn Assist) -> Result<Left, EnterError> {
    if let Some(code) = codes.iter().find(|code| code.unit() != vm.progress_unit()) {
        return Err(EnterError::Unit { code: code.unit(), hart: vm.progress_unit() });
    }
    let Some(dispatcher) = codes.get(first).map(|code| code.stubs().dispatcher) else { return Ok(Left::NoEntry) };
    // The dispatcher looks a pc up by its upper bits.
    if !vm.pc().is_multiple_of(4) {
        return Ok(Left::NoEntry);
    }
    let mut host = Host { assist, codes, panic: None, broken: None };
    let base = vm.base().as_ptr();
    let context = VmContext::below(base);
    // SAFETY: the context is the Vm's, and nothing else can reach it.
    if !unsafe { select(&mut *context, codes, first) } {
        return Ok(Left::NoEntry);
    }
    // SAFETY: as above. The lifetime of `host` is erased only for the call below, and the pointer is cleared before
    // `host` is used again.
    unsafe { (*context).host = (&raw mut host).cast() };
    // SAFETY: the publisher of the stubs vouched that this address is a function of this type that obeys the region ABI
    // for harts of this unit. Each table and its code belong together, and all of `codes` live as long as this call. So
    // do context, row buffer and host, because the Vm is borrowed exclusively and assists get no more than a state.
    let reason = unsafe {
        let dispatcher: unsafe extern "C" fn(*mut u8) -> u32 = std::mem::transmute(dispatcher);
        let reason = dispatcher(base);
        (*context).host = ptr::null_mut();
        reason
    };
    if let Some(panic) = host.panic {
        resume_unwind(panic);
    }
    match (host.broken, reason) {
        (Some(broken), _) => Err(broken),
        (None, 0) => Ok(Left::NoEntry),
        (None, 1) => Ok(Left::Stopped),
        (None, reason) => Err(EnterError::Reason { reason }),
    }
}

/// Makes native code continue in `codes[index]`. Returns whether it can: there is such a memory, and it has or had
/// entries, so that the dispatcher finds no null pointer in its table.
#[cfg(feature = "jit")]
fn select(context: &mut VmContext, codes: &[&CodeMemory], index: usize) -> bool {
    let Some(code) = codes.get(index) else { return false };
    let Some(heads) = code.table().heads() else { return false };
    let stubs = code.stubs();
    context.dispatch = heads;
    context.code_base = code.base();
    context.access_stub = stubs.access;
    context.refill_stub = stubs.refill;
    true
}

/// Calls into the engine from a helper: a panic or an error becomes `Stop` and is kept.
///
/// # Safety
/// `base` must be the base of a Vm inside `enter` whose native code waits for this call.
unsafe fn assist(base: *mut u8, call: impl FnOnce(&mut dyn Assist, HartState<'_>) -> Result<Verdict, EnterError>) {
    let context = VmContext::below(base);
    // SAFETY: by the caller's contract, the host pointer is the one that `enter` set. `enter` touches neither the host
    // nor the hart before native code has returned, and native code is waiting for this call. Native code does not
    // touch the host, and nothing else has this hart, because `enter` borrows its Vm exclusively.
    let (host, hart) = unsafe { (&mut *(*context).host, HartState::new(NonNull::new_unchecked(base))) };
    let verdict = match catch_unwind(AssertUnwindSafe(|| call(host.assist, hart))) {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(broken)) => {
            host.broken = Some(broken);
            Verdict::Stop
        }
        Err(panic) => {
            host.panic = Some(panic);
            Verdict::Stop
        }
    };
    // SAFETY: the context exists, as above, and the state that was lent is gone.
    unsafe { (*context).verdict = (verdict == Verdict::Stop) as u32 };
}

/// The helper behind the access stub.
///
/// # Safety
/// Generated code must call it inside `enter`, with the base.
pub(crate) unsafe extern "C" fn access_helper(base: *mut u8) {
    let ask = |host: &mut dyn Assist, mut hart: HartState<'_>| {
        let (subject, packed) = hart.assist_request();
        let broken = EnterError::Request { packed };
        let (request, undone, steps) = AssistRequest::unpack(packed).ok_or(broken)?;
        // Generated code counts all steps of a block when the block begins.
        if !hart.take_back(undone as u32) {
            return Err(broken);
        }
        Ok(match request {
            AssistRequest::Access(access) => host.access(&mut hart, subject, access, steps as u32),
            AssistRequest::AccessGroup => host.access_group(&mut hart, subject, steps as u32),
        })
    };
    // SAFETY: by the contract of this function.
    unsafe { assist(base, ask) }
}

/// The helper behind the refill stub.
///
/// # Safety
/// Generated code must call it inside `enter`, with the base.
pub(crate) unsafe extern "C" fn refill_helper(base: *mut u8) {
    let ask = |host: &mut dyn Assist, hart: HartState<'_>| {
        let (_, steps) = hart.assist_request();
        let mut hart = BetweenSlices::new(hart);
        let verdict = host.refill(&mut hart, steps);
        // Native code does not check again.
        Ok(if hart.slice_left() < steps as u64 { Verdict::Stop } else { verdict })
    };
    // SAFETY: by the contract of this function.
    unsafe { assist(base, ask) }
}

/// The helper behind a system instruction at the end of a block.
///
/// # Safety
/// Generated code must call it inside `enter`, with the base, and must not rely on the code memory in the context
/// afterwards.
pub(crate) unsafe extern "C" fn system_helper(base: *mut u8) {
    let mut proceed = Proceed::Stop;
    let ask = |host: &mut dyn Assist, hart: HartState<'_>| {
        proceed = host.system(&mut BetweenSlices::new(hart));
        Ok(if proceed == Proceed::Stop { Verdict::Stop } else { Verdict::Continue })
    };
    // SAFETY: by the contract of this function.
    unsafe { assist(base, ask) };
    #[cfg(feature = "jit")]
    if let Proceed::In(index) = proceed {
        // SAFETY: the host pointer is the one that `enter` set, as in `assist`, and the assist is over: nothing else
        // has the host or the context.
        let (context, codes) = unsafe {
            let context = &mut *VmContext::below(base);
            let codes = (*context.host).codes;
            (context, codes)
        };
        // Generated code looks a pc up by its upper bits: it would take a misaligned pc for the word's.
        if !context.pc.is_multiple_of(4) || !select(context, codes, index) {
            context.verdict = 1;
        }
    }
}

#[cfg(test)]
#[cfg(feature = "jit")]
mod tests;
