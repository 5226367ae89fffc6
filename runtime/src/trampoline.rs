//! The trampoline between Rust and generated code: [`enter`] goes in, assists come back for a moment.
//!
//! An assist is a call from generated code through a stub that preserves every register, so that the code around it need
//! not save any. It runs Rust code, which must not unwind through native frames: a panic is caught, native code stops at
//! the step that made the request, and the panic goes on once `enter` is back in Rust.
//!
//! Native code derives all its pointers from the hart's base, as the mapping gave it. No Rust reference to that memory
//! exists while native code runs: a helper makes a state of its own from the base, and lends it.

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

/// What the engine does for native code while that runs.
///
/// Whatever it does to what it is lent, native code stays inside the hart: it goes on only where the slice holds what it
/// is about to do, and neither the hart nor its rows can go. This is how far a helper gets:
///
/// ```
/// # use tachy_runtime::{Access, Assist, BetweenSlices, HartState, Verdict};
/// struct Other<'a>(HartState<'a>);
///
/// impl Assist for Other<'_> {
///     fn access(&mut self, vm: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict {
///         vm.set_pc(self.0.pc());
///         Verdict::Stop
///     }
/// #   fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict { Verdict::Stop }
/// #   fn refill(&mut self, _: &mut BetweenSlices<'_>, _: u32) -> Verdict { Verdict::Stop }
/// }
/// ```
///
/// It cannot put another hart in place of the one that runs:
///
/// ```compile_fail
/// # use tachy_runtime::{Access, Assist, BetweenSlices, HartState, Verdict};
/// struct Other<'a>(HartState<'a>);
///
/// impl Assist for Other<'_> {
///     fn access(&mut self, vm: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict {
///         std::mem::swap(vm, &mut self.0);
///         Verdict::Stop
///     }
/// #   fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict { Verdict::Stop }
/// #   fn refill(&mut self, _: &mut BetweenSlices<'_>, _: u32) -> Verdict { Verdict::Stop }
/// }
/// ```
///
/// nor its rows elsewhere, even where it may hand them over:
///
/// ```compile_fail,E0599
/// # use tachy_runtime::{Access, Assist, BetweenSlices, HartState, Verdict};
/// struct Frees;
///
/// impl Assist for Frees {
///     fn refill(&mut self, vm: &mut BetweenSlices<'_>, _: u32) -> Verdict {
///         vm.set_row_capacity(0);
///         Verdict::Continue
///     }
/// #   fn access(&mut self, _: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict { Verdict::Stop }
/// #   fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict { Verdict::Stop }
/// }
/// ```
pub trait Assist {
    /// An access that its page's state does not allow without help. `Continue` lets it happen; `Stop` leaves native
    /// code before the instruction, for the interpreter to do it or to trap.
    ///
    /// The step number, the pc and registers are exact; the slice has room for the `steps` steps that native code will
    /// do without asking again, at the most, this one included.
    fn access(&mut self, vm: &mut HartState<'_>, address: u32, access: Access, steps: u32) -> Verdict;

    /// Accesses of which at least one needs help: those of the access group with this number. `Continue` lets all of them
    /// happen, each in its turn, without a further request. For the rest as [`Assist::access`].
    fn access_group(&mut self, vm: &mut HartState<'_>, group: u32, steps: u32) -> Verdict;

    /// The `steps` that native code would do without asking again do not fit into what is left of the slice. `Continue`
    /// after opening one that holds them; `Stop` leaves native code before the block, and so does `Continue` where they
    /// still do not fit. The context's pc and progress are exact here.
    fn refill(&mut self, vm: &mut BetweenSlices<'_>, steps: u32) -> Verdict;
}

/// What the helpers find behind the context's host pointer.
pub(crate) struct Host<'a> {
    assist: &'a mut dyn Assist,
    panic: Option<Box<dyn Any + Send>>,
    /// What was wrong with a request.
    broken: Option<EnterError>,
}

/// How native code was left.
#[cfg(feature = "jit")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// At a pc without entry.
    NoEntry,
    /// In the middle of a region: an assist said stop, or the next step is the interpreter's.
    Stopped,
}

/// Native code does not fit the hart, or what runs it. It is a bug of whoever made the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnterError {
    /// Native code was not entered, and nothing has happened.
    #[error("native code that counts progress by {code:?} cannot run a hart that counts it by {hart:?}")]
    Unit {
        /// What a step adds to progress in the code.
        code: ProgressUnit,
        /// What it adds in the hart.
        hart: ProgressUnit,
    },
    /// Native code made a request that does not exist, or took back steps that it had not counted. The state is not exact.
    #[error("native code made the request {packed:#010x}, which makes no sense")]
    Request {
        /// The request as the code made it.
        packed: u32,
    },
    /// Native code was left for a reason that does not exist. The state is not exact.
    #[error("native code was left for reason {reason}, which is unknown")]
    Reason {
        /// What it returned.
        reason: u32,
    },
}

/// Runs native code from the context's pc on, until it leaves. The context then holds the exact state between two
/// steps. Does nothing where the pc has no entry.
///
/// # Errors
/// When the code is made for another unit of progress than the hart's: what it took for a row's address would be a
/// number, or the other way round. Also when the code makes a request, or returns a reason, that does not exist.
///
/// # Panics
/// Goes on with a panic of an assist.
#[cfg(feature = "jit")]
pub fn enter(vm: &mut Vm, code: &CodeMemory, assist: &mut dyn Assist) -> Result<Left, EnterError> {
    if code.unit() != vm.progress_unit() {
        return Err(EnterError::Unit { code: code.unit(), hart: vm.progress_unit() });
    }
    // The dispatcher tests no head.
    let Some(heads) = code.table().heads() else { return Ok(Left::NoEntry) };
    let stubs = code.stubs();
    let mut host = Host { assist, panic: None, broken: None };
    let base = vm.base().as_ptr();
    let context = VmContext::below(base);
    // SAFETY: the context is the Vm's, which nobody else reaches; the lifetime of `host` is erased for the time of the call
    // below, and the pointer is cleared before `host` is looked at again.
    unsafe {
        (*context).host = (&raw mut host).cast();
        (*context).dispatch = heads;
        (*context).code_base = code.base();
        (*context).access_stub = stubs.access;
        (*context).refill_stub = stubs.refill;
    }
    // SAFETY: whoever published the stubs vouched that this address is a function of this type that keeps to the
    // region ABI for harts of this unit; table and code belong together and live as long as this call, as do context, row
    // buffer and host, since the Vm is borrowed exclusively and assists get no more than a state.
    let reason = unsafe {
        let dispatcher: unsafe extern "C" fn(*mut u8) -> u32 = std::mem::transmute(stubs.dispatcher);
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

/// Calls into the engine from a helper: a panic or an error becomes `Stop` and is kept.
///
/// # Safety
/// `base` is the base of a Vm inside `enter`, whose native code waits for this call.
unsafe fn assist(base: *mut u8, call: impl FnOnce(&mut dyn Assist, HartState<'_>) -> Result<Verdict, EnterError>) {
    let context = VmContext::below(base);
    // SAFETY: by the caller, the host pointer is the one that `enter` set, and `enter` touches neither the host nor the
    // hart before native code, which is waiting for this call, has returned. Native code does not touch the host, and
    // nobody else has this hart, since `enter` borrows its Vm exclusively.
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
    // SAFETY: the context is there, as above, and the state that was lent is gone.
    unsafe { (*context).verdict = (verdict == Verdict::Stop) as u32 };
}

/// Helper behind the access stub.
///
/// # Safety
/// Called by generated code inside `enter`, with its base.
pub(crate) unsafe extern "C" fn access_helper(base: *mut u8) {
    let ask = |host: &mut dyn Assist, mut hart: HartState<'_>| {
        let (subject, packed) = hart.assist_request();
        let broken = EnterError::Request { packed };
        let (request, undone, steps) = AssistRequest::unpack(packed).ok_or(broken)?;
        // Generated code counts a block when it begins.
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

/// Helper behind the refill stub.
///
/// # Safety
/// Called by generated code inside `enter`, with its base.
pub(crate) unsafe extern "C" fn refill_helper(base: *mut u8) {
    let ask = |host: &mut dyn Assist, hart: HartState<'_>| {
        let (_, steps) = hart.assist_request();
        let mut hart = BetweenSlices::new(hart);
        let verdict = host.refill(&mut hart, steps);
        // Native code does not look again.
        Ok(if hart.slice_left() < steps as u64 { Verdict::Stop } else { verdict })
    };
    // SAFETY: by the contract of this function.
    unsafe { assist(base, ask) }
}

#[cfg(all(test, feature = "jit"))]
mod tests;
