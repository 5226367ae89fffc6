//! One running hart: which engine runs next, within which budget, and when rows are handed over.
//!
//! This is the only place that chooses between interpreter and native code, and the only one that counts against
//! limits. Both engines act on the same [`Vm`], so a switch at any step copies nothing. It must not know machines
//! apart, nor how native code is compiled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tachy_runtime::{BetweenSlices, Interpret, ProcessLocal, Stepping, Vm};

use crate::callers::{self, Failed, Panic};
use crate::error::{Cause, Error, Limit, LimitError, Location, MachineFailure, Trap};
use crate::interpreter::{self, DecodedPages, Leave, NoTier, Tier};
use crate::jit::{Caches, RegionTransitions, Resting, SessionCode};
use crate::limits::{CancelHandle, Limits};
use crate::machine::{Context, End, ExecutionContext, Machine, StepError, Surroundings};
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::{Level, Sink, SinkError};

#[cfg(feature = "jit")]
mod assist_host;
mod run;
mod shared;
#[cfg(test)]
#[cfg(feature = "jit")]
mod tests;

use shared::Shared;

/// Maximum number of steps between checks of the deadline and the cancel flag.
const SLICE_STEPS: u64 = 1 << 20;

/// Options of a hart's engines.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) buffer_rows: usize,
    /// Whether native code leaves after each block.
    pub(crate) alternate_engines: bool,
    /// Steps between two checks of how often control moves between regions; 0 for never.
    pub(crate) merge_interval_steps: u32,
}

/// A hart with its machine, its environment and its engines.
pub(crate) struct Hart<'env, M: Machine> {
    pub(crate) vm: Vm,
    machine: M,
    context: Context<'env, M>,
    /// Belongs to this process; a child of a fork starts with a new one.
    shared: ProcessLocal<Shared>,
    transitions: RegionTransitions,
    buffer_rows: usize,
    alternate_engines: bool,
    merge_interval_steps: u32,
    /// How the program ended or paused, if it has.
    exit: Option<Status>,
    /// Whether the program cannot continue because its next step can never be done.
    over: bool,
    /// How the program ended, if another failure hid that from the caller.
    unsaid: Option<Ended>,
    /// Whether streams still have to be flushed because a flush failed.
    unflushed: bool,
    /// Whether a run is in progress. A panic of this library leaves it set.
    under_way: bool,
    /// Time spent running so far.
    spent: Duration,
    stats: Stats,
}

/// The bounds of one call to run: how far, how long, and where rows go.
struct Control<'a> {
    /// The run stops before this step.
    stop_step: u64,
    /// Maximum number of steps of a slice.
    slice_steps: u64,
    /// Whether native code must leave after each block, so that the interpreter continues.
    alternate_engines: bool,
    deadline: Option<Instant>,
    cancel: &'a CancelHandle,
    sink: &'a mut dyn Sink,
    /// Whether the sink has failed in this run. It is then not called again before the next run.
    sink_failed: bool,
}

impl Control<'_> {
    /// Publishes the progress, and fails if the run is cancelled or its time is over.
    fn look(&self, step: u64) -> Result<(), Ended> {
        if self.cancel.take(step) {
            return Err(Ended::Halt(Halt::Cancelled));
        }
        match self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            true => Err(Ended::Halt(Halt::Time)),
            false => Ok(()),
        }
    }
}

/// Why a run must stop although the guest could continue.
enum Halt {
    Cancelled,
    Time,
    Sink(SinkError),
    /// The sink panicked.
    Panic(Panic),
}

/// How the loop over slices ends.
enum Ended {
    Exit(Status),
    /// The run reached its stop step.
    Stop,
    Halt(Halt),
    Refused(StepError),
    /// Parts of the library are inconsistent.
    Internal(String),
}

impl Ended {
    fn is_failure(&self) -> bool {
        matches!(self, Ended::Halt(_) | Ended::Refused(_) | Ended::Internal(_))
    }

    fn is_panic(&self) -> bool {
        matches!(self, Ended::Halt(Halt::Panic(_)) | Ended::Refused(StepError::Panic(_)))
    }
}

impl<'env, M: Machine> Hart<'env, M> {
    pub(crate) fn new(
        mut vm: Vm,
        machine: M,
        context: Context<'env, M>,
        caches: Option<Arc<Caches>>,
        options: Options,
    ) -> Self {
        let Options { buffer_rows, alternate_engines, merge_interval_steps } = options;
        let shared = ProcessLocal::new(Shared::new::<M>(caches, &mut vm.state()));
        Hart {
            vm,
            machine,
            context,
            shared,
            transitions: RegionTransitions::new(merge_interval_steps),
            buffer_rows,
            alternate_engines,
            merge_interval_steps,
            exit: None,
            over: false,
            unsaid: None,
            unflushed: false,
            under_way: false,
            spent: Duration::ZERO,
            stats: Stats::default(),
        }
    }

    /// Records what `level` requires from the next step on. If this fails or panics, the next call completes it,
    /// because each part knows its own level.
    fn set_level(&mut self, level: Level) -> Result<(), Error> {
        if self.vm.tracing() != (level == Level::Rows) {
            self.vm.set_row_capacity(match level {
                Level::Off => 0,
                Level::Rows => self.buffer_rows,
            })?;
        }
        if let Some(native) = &mut self.shared.native {
            native.set_level(level);
        }
        Ok(())
    }

    /// Runs until the program ends, step `until` is reached, or something fails. When this returns, the sink has every
    /// row of every step done.
    ///
    /// # Panics
    /// Passes on a panic of the caller's code, once the session is in the same state as after any other failure.
    pub(crate) fn run(
        &mut self,
        until: u64,
        limits: &Limits,
        cancel: &CancelHandle,
        sink: &mut dyn Sink,
    ) -> Result<Status, Error> {
        if self.under_way {
            return Err(Error::Broken { location: self.location() });
        }
        let level = sink.level();
        if level == Level::Off {
            self.drop_refused();
        }
        self.renew_in_child();
        if self.exit.is_some() || self.over {
            return self.run_again_at_the_end(limits, sink);
        }
        self.set_level(level)?;
        self.context.budget.set_limit_memory(limits.memory_bytes);
        self.context.budget.limit_cycles = limits.cycles;
        self.context.set_limit_output(limits.output_bytes);
        let started = Instant::now();
        let mut control = Control {
            stop_step: until.min(limits.steps.unwrap_or(u64::MAX)),
            slice_steps: match self.merge_interval_steps {
                0 => SLICE_STEPS,
                steps => SLICE_STEPS.min(steps.into()),
            },
            alternate_engines: self.alternate_engines,
            deadline: limits.time.and_then(|time| started.checked_add(time.saturating_sub(self.spent))),
            cancel,
            sink,
            sink_failed: false,
        };
        self.under_way = true;
        let ended = self.run_slices(&mut control);
        self.over |= matches!(&ended, Ended::Refused(error) if !error.is_limit());
        // Whatever happened, completed work is delivered. A step that can never be done has left the effects that it
        // began.
        let delivered = self.deliver_all(&mut control);
        let flushed = self.flush();
        self.spent += started.elapsed();
        self.under_way = false;
        let ended = self.first_failure(ended, [delivered, flushed]);
        self.ended(ended, until, limits)
    }

    /// Returns to the caller how a run until step `until` ended.
    fn ended(&self, ended: Ended, until: u64, limits: &Limits) -> Result<Status, Error> {
        match ended {
            Ended::Exit(status) => Ok(status),
            Ended::Stop if self.vm.steps() >= until => Ok(Status::Reached),
            Ended::Stop => Err(self.limit_error(Limit::Steps(limits.steps.unwrap_or(u64::MAX)))),
            Ended::Halt(halt) => Err(self.halted(halt, limits)),
            Ended::Refused(error) => Err(self.refused(error, limits)),
            Ended::Internal(what) => Err(Error::Internal { what, location: self.location() }),
        }
    }

    /// Hands over everything that is done and not yet handed over.
    fn deliver_all(&mut self, control: &mut Control<'_>) -> Result<(), Ended> {
        // A step that can never be done has left the effects that it began.
        let done = if self.exit.is_some() || self.over { u64::MAX } else { self.vm.steps() };
        deliver(&mut self.vm.between_slices(), &mut self.context, done, control)
    }

    /// Forgets the rows that a sink has refused, because this run records nothing.
    fn drop_refused(&mut self) {
        let steps = self.vm.steps();
        self.vm.between_slices().clear_rows();
        self.context.effects.retain(|effect| effect.step >= steps);
    }

    /// Flushes the streams, or notes that this is still to be done.
    fn flush(&mut self) -> Result<(), Ended> {
        let flushed = self.context.surroundings.flush().map_err(Ended::Refused);
        self.unflushed = flushed.is_err();
        flushed
    }

    /// Returns the failure or end to report to the caller. The first failure counts, but a panic takes precedence over
    /// all others. If that hides how the program ended, the next run reports it.
    fn first_failure(&mut self, ended: Ended, later: [Result<(), Ended>; 2]) -> Ended {
        let mut shown = ended;
        for later in later.into_iter().filter_map(Result::err) {
            if shown.is_failure() && (shown.is_panic() || !later.is_panic()) {
                continue;
            }
            let hidden = std::mem::replace(&mut shown, later);
            if matches!(hidden, Ended::Exit(_)) || (self.over && matches!(hidden, Ended::Refused(_))) {
                self.unsaid.get_or_insert(hidden);
            }
        }
        shown
    }

    /// Runs a session that cannot continue: completes what a failure has left undone, and reports how the program ended
    /// if that has not been reported yet.
    fn run_again_at_the_end(&mut self, limits: &Limits, sink: &mut dyn Sink) -> Result<Status, Error> {
        let cancel = CancelHandle::default();
        let mut control = Control {
            stop_step: 0,
            slice_steps: 0,
            alternate_engines: false,
            deadline: None,
            cancel: &cancel,
            sink,
            sink_failed: false,
        };
        let delivered = self.deliver_all(&mut control);
        let flushed = if self.unflushed { self.flush() } else { Ok(()) };
        for failed in [delivered, flushed] {
            if let Err(failed) = failed {
                return self.ended(failed, 0, limits);
            }
        }
        match self.unsaid.take() {
            Some(ended) => self.ended(ended, 0, limits),
            None => Err(Error::Ended { location: self.location() }),
        }
    }

    /// Returns whether the program has ended, or its next step can never be done.
    pub(crate) fn is_over(&self) -> bool {
        self.exit.is_some() || self.over
    }

    /// Returns whether a failure has left work for the next run.
    pub(crate) fn owes(&self) -> bool {
        let is_over = self.is_over();
        let effects = self.context.effects.iter().any(|effect| is_over || effect.step < self.vm.steps());
        self.vm.row_count() > 0 || effects || self.unflushed || self.unsaid.is_some()
    }

    fn run_slices(&mut self, control: &mut Control<'_>) -> Ended {
        // A slice left open by an earlier run may reach beyond this run's stop step.
        let mut reopen = true;
        loop {
            if let Some(ended) = self.enter_child() {
                return ended;
            }
            if (reopen || self.vm.slice_over() || self.context.effects_full())
                && let Some(ended) = self.reopen(control)
            {
                return ended;
            }
            reopen = false;
            let is_native = self.prepare_native();
            if self.shared.native.as_mut().is_some_and(SessionCode::took_a_while)
                && let Err(ended) = control.look(self.vm.steps())
            {
                return ended;
            }
            let mut leave = None;
            if is_native {
                let step = self.vm.steps();
                if control.alternate_engines {
                    // Native code has to ask before its first block, and is granted that block alone.
                    self.vm.between_slices().open_slice(0);
                }
                leave = match self.run_native(control) {
                    Ok(leave) => leave,
                    Err(ended) => return ended,
                };
                // If native code did nothing, the interpreter must: the hart stands before a step that needs it.
                if leave.is_none() && self.vm.steps() != step && !control.alternate_engines {
                    continue;
                }
                if leave.is_none()
                    && control.alternate_engines
                    && let Some(ended) = self.reopen(control)
                {
                    return ended;
                }
            }
            match leave.unwrap_or_else(|| self.interpret()) {
                Leave::Exit(end) => return self.end(end),
                Leave::Refused(error) => {
                    if let Err(error) = self.machine.refused(error, &mut self.vm.state(), &mut self.context) {
                        return Ended::Refused(error);
                    }
                }
                Leave::Jumped => self.arrived(),
                Leave::SliceEnd | Leave::Arrived => {}
            }
        }
    }

    /// Ends the program after its last step: nothing comes after it, whatever else fails.
    fn end(&mut self, end: End) -> Ended {
        let (status, ended) = match end {
            End::Exited(code) => (Some(Status::Exited { code }), Ended::Exit(Status::Exited { code })),
            End::Paused(code) => (Some(Status::Paused { code }), Ended::Exit(Status::Paused { code })),
            End::Failed(error) => (None, Ended::Refused(StepError::Machine(error))),
        };
        self.exit = status;
        self.over = status.is_none();
        match self.machine.end(&mut self.vm.state(), &mut self.context) {
            Ok(()) => ended,
            Err(error) => {
                self.unsaid = Some(ended);
                Ended::Refused(error)
            }
        }
    }

    /// Returns whether native code can be entered where the hart stands.
    fn prepare_native(&mut self) -> bool {
        let Shared { pages, native, .. } = &mut *self.shared;
        let Some(native) = native else { return false };
        native.set_mode(self.machine.mode());
        native.set_machine_work(self.context.machine_work_steps);
        !native.rests(self.vm.steps())
            && self.machine.allows_native(&self.vm)
            && native.prepare(&mut self.vm.state(), pages)
    }

    /// Opens the next slice; returns how the run ends if there is no next slice.
    fn reopen(&mut self, control: &mut Control<'_>) -> Option<Ended> {
        match next_slice(&mut self.vm.between_slices(), &mut self.machine, &mut self.context, control) {
            Err(ended) => Some(ended),
            Ok(_) if self.vm.slice_over() => Some(Ended::Stop),
            // The sink may have forked.
            Ok(_) => self.enter_child(),
        }
    }

    /// Interprets at least one step, until the slice ends or native code can take over.
    fn interpret(&mut self) -> Leave {
        let Hart { vm, machine, context, shared, .. } = self;
        let Shared { pages, native, .. } = &mut **shared;
        let step = vm.steps();
        let rests = native.as_mut().is_some_and(|native| native.rests(step));
        let leave = match native {
            None => vm.interpret(Interpreter { machine, context, pages, tier: &mut NoTier }),
            Some(native) if rests => vm.interpret(Interpreter { machine, context, pages, tier: &mut Resting(native) }),
            Some(tier) => vm.interpret(Interpreter { machine, context, pages, tier }),
        };
        self.stats.interpreted_steps += vm.steps() - step;
        leave
    }

    /// Records that the machine has led control to the context's pc.
    fn arrived(&mut self) {
        let step = self.vm.steps();
        let Shared { pages, native, .. } = &mut *self.shared;
        if let Some(native) = native {
            native.set_mode(self.machine.mode());
            if !native.rests(step) {
                native.arrived(pages, self.vm.pc());
            }
        }
    }

    /// There is no native code to run.
    #[cfg(not(feature = "jit"))]
    fn run_native(&mut self, _: &mut Control<'_>) -> Result<Option<Leave>, Ended> {
        Ok(None)
    }

    fn limit_error(&self, limit: Limit) -> Error {
        LimitError { limit, location: self.location() }.into()
    }

    fn halted(&self, halt: Halt, limits: &Limits) -> Error {
        match halt {
            Halt::Cancelled => Error::Cancelled { location: self.location() },
            Halt::Time => {
                let millis = limits.time.unwrap_or_default().as_millis();
                self.limit_error(Limit::Time(u64::try_from(millis).unwrap_or(u64::MAX)))
            }
            Halt::Sink(source) => Error::Sink { location: self.location(), source },
            Halt::Panic(panic) => panic.resume(),
        }
    }

    fn refused(&self, error: StepError, limits: &Limits) -> Error {
        let location = self.location();
        match error {
            StepError::Trap(cause, address) => {
                let insn = if cause == Cause::FetchFault { 0 } else { self.vm.word(location.pc) };
                Trap { cause, location, insn, address }.into()
            }
            StepError::MemoryLimit => self.limit_error(Limit::Memory(limits.memory_bytes.unwrap_or(u64::MAX))),
            StepError::OutputLimit => self.limit_error(Limit::Output(limits.output_bytes.unwrap_or(u64::MAX))),
            StepError::Stream(stream, source) => Error::Stream { stream, location, source },
            StepError::GuestPanic(message, pc) => Error::GuestPanic { message, location: Location { pc, ..location } },
            StepError::Machine(error) => MachineFailure { machine: M::KIND, location, error }.into(),
            StepError::Internal(broken) => broken.at(location),
            StepError::CycleLimit { used, limit } => self.limit_error(Limit::Cycles { used, limit }),
            StepError::Stopped => Error::Segment { index: 0, location, source: "no more are taken".into() },
            StepError::Panic(panic) => panic.resume(),
        }
    }

    /// Resumes a paused program; returns whether it was paused.
    pub(crate) fn resume(&mut self) -> bool {
        let resumed = matches!(self.exit, Some(Status::Paused { .. }))
            && self.machine.resume(&mut self.vm.state(), &mut self.context);
        if resumed {
            self.exit = None;
        }
        resumed
    }

    /// Returns the current location.
    pub(crate) fn location(&self) -> Location {
        Location { pc: self.vm.pc(), step: self.vm.steps() }
    }

    /// Returns the code the program ended with, once it has.
    pub(crate) fn exit_code(&self) -> Option<u32> {
        match self.exit {
            Some(Status::Exited { code } | Status::Paused { code }) => Some(code),
            Some(Status::Reached) | None => None,
        }
    }

    /// Returns the time spent running.
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }

    /// Returns the counters so far.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.ecalls = self.context.ecalls;
        stats.ecalls_unknown = self.context.ecalls_unknown;
        stats.pages = self.context.budget.pages;
        if let Some(native) = &self.shared.native {
            native.report(&mut stats);
        }
        stats
    }
}

/// Hands over rows and effects, checks time and cancellation, lets the machine do its pending work, and opens the next
/// slice. At the stop step the slice is empty. Returns whether the machine did anything.
fn next_slice<M: Machine>(
    vm: &mut BetweenSlices<'_>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    control: &mut Control<'_>,
) -> Result<bool, Ended> {
    deliver(vm, context, vm.steps(), control)?;
    control.look(vm.steps())?;
    let left = control.stop_step.saturating_sub(vm.steps());
    if left == 0 {
        vm.open_slice(0);
        return Ok(false);
    }
    let between = machine.between(vm, context).map_err(Ended::Refused)?;
    vm.open_slice(left.min(between.steps).min(control.slice_steps));
    Ok(between.acted)
}

/// Hands over the rows in the buffer and the effects of all steps before `step`.
///
/// If the sink refuses them, the run ends and they stay: the next run delivers them first. Effects of a step that is
/// not done yet wait for it.
fn deliver<S>(
    vm: &mut BetweenSlices<'_>,
    context: &mut ExecutionContext<S>,
    step: u64,
    control: &mut Control<'_>,
) -> Result<(), Ended> {
    let effects = context.effects.partition_point(|effect| effect.step < step);
    if control.sink_failed || (vm.row_count() == 0 && effects == 0) {
        return Ok(());
    }
    let first_step = vm.steps() - vm.row_count() as u64;
    let own = context.effects.get(..effects).unwrap_or_default();
    let given = callers::give(|| control.sink.rows(first_step, vm.rows(), own));
    control.sink_failed = given.is_err();
    given.map_err(|failed| match failed {
        Failed::Error(source) => Ended::Halt(Halt::Sink(source)),
        Failed::Panic(panic) => Ended::Halt(Halt::Panic(panic)),
    })?;
    vm.clear_rows();
    context.effects.drain(..effects);
    Ok(())
}

/// The interpreter with everything it acts on apart from the hart.
struct Interpreter<'a, 'env, M: Machine, T> {
    machine: &'a mut M,
    context: &'a mut Context<'env, M>,
    pages: &'a mut DecodedPages,
    tier: &'a mut T,
}

impl<M: Machine, T: Tier> Interpret for Interpreter<'_, '_, M, T> {
    type Output = Leave;

    fn run<const ROWS: bool>(self, hart: &mut Stepping<'_, ROWS>) -> Leave {
        interpreter::run(hart, self.machine, self.context, self.pages, self.tier)
    }
}
