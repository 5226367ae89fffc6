//! One hart under way: which engine runs next, within which budget, and when rows are handed over.
//!
//! The only place that chooses between interpreter and native code, and the only one that counts against limits. Both
//! engines act on the same [`Vm`], so a switch at any step copies nothing. It must not know machines apart, nor how
//! code is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tachy_runtime::{
    Access, Assist, BetweenSlices, HartState, Interpret, Left, PageState, Slot, Stepping, Verdict, Vm, enter, page_of,
};

use crate::callers::{self, Failed, Panic};
use crate::error::{Cause, Error, Limit, LimitError, Place, Trap};
use crate::interpreter::{self, Alone, DecodedPages, Leave, Tier};
use crate::jit::{Caches, Hops, Natives, Reached, Resting, region_and_index};
use crate::limits::{CancelHandle, Limits};
use crate::machine::{Machine, Refusal, World};
use crate::r0vm::Report;
use crate::trace::{Level, Sink, SinkError};

#[cfg(test)]
mod tests;

/// Native code and the interpreter come up for air after this many steps at the most: time and cancelling are seen.
const SLICE_STEPS: u64 = 1 << 20;

/// How a run that was no error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The program ended with this code.
    Exited {
        /// The value it gave; a shell sees the low eight bits.
        code: u32,
    },
    /// The step asked for was reached; the session can go on.
    Paused,
}

/// Counters of a session that tell how it ran, never what it computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Steps that the interpreter did.
    pub interpreted_steps: u64,
    /// Times native code was entered.
    pub entries: u64,
    /// Transfers from one region to another within native code, the first of each entry included.
    pub transfers: u64,
    /// Times native code left in the middle of a region, for the interpreter to go on.
    pub deopts: u64,
    /// Times native code asked about an access.
    pub access_assists: u64,
    /// Times native code asked for more steps or an empty row buffer.
    pub refill_assists: u64,
    /// Regions translated for the session.
    pub regions: u64,
    /// Those among them that took the place of another, since control went from region to region too often.
    pub regions_anew: u64,
    /// Guest instructions translated.
    pub translated_instructions: u64,
    /// Bytes of machine code made.
    pub code_bytes: u64,
    /// Pages of the system that they take: each is sealed once, whatever it holds then.
    pub code_pages: u64,
    /// Regions that the code generator refused; the interpreter runs them.
    pub refused_regions: u64,
    /// Time that the session spent on translation: all of it, or without waiting for the background thread's.
    pub compile_time: Duration,
    /// Time that the background thread spent translating for the session.
    pub background_time: Duration,
    /// Times code memory was full and started anew.
    pub code_flushes: u64,
    /// Times translated code was written over.
    pub invalidations: u64,
    /// System calls carried out.
    pub ecalls: u64,
    /// Those among them that the machine does not know.
    pub ecalls_unknown: u64,
    /// Distinct guest pages mapped at load or touched.
    pub pages: u64,
}

/// What a hart's engines are made with.
#[derive(Clone)]
pub(crate) struct Options {
    /// Compiled code, or none: the interpreter alone.
    pub(crate) caches: Option<Arc<Caches>>,
    pub(crate) buffer_rows: usize,
    /// Whether native code leaves after each block.
    pub(crate) take_turns: bool,
    /// Steps after which transfers between regions are looked at; 0: never.
    pub(crate) regrow_steps: u32,
}

/// A hart, its machine, its surroundings and its engines.
pub(crate) struct Hart<'env, M> {
    pub(crate) vm: Vm,
    machine: M,
    world: World<'env>,
    pages: DecodedPages,
    native: Option<Natives>,
    hops: Hops,
    options: Options,
    /// The code the program ended with, once it has.
    exit: Option<u32>,
    /// Whether the program cannot go on: its next step can never be done.
    over: bool,
    /// Why, if a panic has kept that from the caller.
    unsaid: Option<Refusal>,
    /// Whether a run is under way. A panic of this library's own leaves it so.
    under_way: bool,
    /// Time spent running so far.
    spent: Duration,
    stats: Stats,
}

/// What one call to run may do: how far, how long, and where rows go.
struct Control<'a> {
    /// Stop before this step.
    stop_step: u64,
    /// Steps of a slice, at the most.
    slice_steps: u64,
    /// Whether native code must leave after each block, for the interpreter to go on.
    take_turns: bool,
    deadline: Option<Instant>,
    cancel: &'a CancelHandle,
    sink: &'a mut dyn Sink,
}

impl Control<'_> {
    /// Whether the run is cancelled, or its time is over, after so many steps.
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

/// Why a run must stop although the guest could go on.
enum Halt {
    Cancelled,
    Time,
    Sink(SinkError),
    /// The sink panicked.
    Panic(Panic),
}

/// How the loop over slices ends.
enum Ended {
    Exit(u32),
    /// At the stop step.
    Stop,
    Halt(Halt),
    Refused(Refusal),
    /// Parts that do not fit together.
    Internal(String),
}

impl Ended {
    fn is_failure(&self) -> bool {
        matches!(self, Ended::Halt(_) | Ended::Refused(_) | Ended::Internal(_))
    }

    fn is_panic(&self) -> bool {
        matches!(self, Ended::Halt(Halt::Panic(_)) | Ended::Refused(Refusal::Panic(_)))
    }
}

impl<'env, M: Machine> Hart<'env, M> {
    pub(crate) fn new(mut vm: Vm, machine: M, world: World<'env>, options: Options) -> Self {
        let past = options.caches.as_ref().and_then(|caches| caches.past());
        let threshold = options.caches.as_ref().map_or(0, |caches| caches.threshold());
        let pages = DecodedPages::new(M::VARIANT, M::RULES, past, threshold);
        let native = options.caches.clone().map(|caches| Natives::new(caches, Level::Off, &mut vm.state(), &pages));
        Hart {
            vm,
            machine,
            world,
            pages,
            native,
            hops: Hops::new(options.regrow_steps),
            options,
            exit: None,
            over: false,
            unsaid: None,
            under_way: false,
            spent: Duration::ZERO,
            stats: Stats::default(),
        }
    }

    /// Writes down what `level` asks for from the next step on. Where it fails, and wherever it panics, the next call does
    /// what is left to do, since each part knows its own level.
    fn set_level(&mut self, level: Level) -> Result<(), Error> {
        if self.vm.tracing() != (level == Level::Rows) {
            self.vm.set_row_capacity(match level {
                Level::Off => 0,
                Level::Rows => self.options.buffer_rows,
            })?;
        }
        if let Some(native) = &mut self.native {
            native.set_level(level);
        }
        Ok(())
    }

    /// Runs until the program ends, step `until` is reached, or something goes wrong. Every row of every step done is
    /// with the sink when this returns.
    ///
    /// # Panics
    /// Passes a panic of the caller's code on, once the session is as any other failure leaves it.
    pub(crate) fn run(
        &mut self,
        until: u64,
        limits: &Limits,
        cancel: &CancelHandle,
        sink: &mut dyn Sink,
    ) -> Result<Status, Error> {
        if self.under_way {
            return Err(Error::Broken { place: self.place() });
        }
        self.world.env.segments.begin();
        if self.exit.is_some() || self.over {
            return self.run_again_at_the_end(limits);
        }
        self.set_level(sink.level())?;
        self.world.budget.set_limit_memory(limits.memory_bytes);
        self.world.set_limit_output(limits.output_bytes);
        let started = Instant::now();
        let mut control = Control {
            stop_step: until.min(limits.steps.unwrap_or(u64::MAX)),
            slice_steps: match self.options.regrow_steps {
                0 => SLICE_STEPS,
                steps => SLICE_STEPS.min(steps.into()),
            },
            take_turns: self.options.take_turns,
            deadline: limits.time.and_then(|time| started.checked_add(time.saturating_sub(self.spent))),
            cancel,
            sink,
        };
        self.under_way = true;
        let ended = self.run_slices(&mut control);
        self.over = matches!(&ended, Ended::Refused(refusal) if !refusal.is_limit());
        // Whatever happened, what was done is delivered. A step that can never be done has left what it began.
        let done = if self.exit.is_some() || self.over { u64::MAX } else { self.vm.steps() };
        let delivered = deliver(&mut self.vm.between_slices(), &mut self.world, done, control.sink);
        let flushed = self.world.flush().map_err(Ended::Refused);
        self.spent += started.elapsed();
        self.under_way = false;
        let ended = self.first_failure(ended, [delivered, flushed]);
        self.ended(ended, until, limits)
    }

    /// How a run until step `until` ended for the caller.
    fn ended(&self, ended: Ended, until: u64, limits: &Limits) -> Result<Status, Error> {
        match ended {
            Ended::Exit(code) => Ok(Status::Exited { code }),
            Ended::Stop if self.vm.steps() >= until => Ok(Status::Paused),
            Ended::Stop => Err(self.limit_error(Limit::Steps(limits.steps.unwrap_or(u64::MAX)))),
            Ended::Halt(halt) => Err(self.halted(halt, limits)),
            Ended::Refused(refusal) => Err(self.refused(refusal, limits)),
            Ended::Internal(what) => Err(Error::Internal { what, place: self.place() }),
        }
    }

    /// How the run ended for the caller. The first failure counts, but a panic counts before any other: then the next run
    /// says why the program cannot go on.
    fn first_failure(&mut self, ended: Ended, later: [Result<(), Ended>; 2]) -> Ended {
        let mut panicked = None;
        let mut shown = ended;
        for later in later.into_iter().filter_map(Result::err) {
            match later.is_panic() {
                true => panicked = panicked.or(Some(later)),
                false if !shown.is_failure() => shown = later,
                false => {}
            }
        }
        let Some(panicked) = panicked.filter(|_| !shown.is_panic()) else { return shown };
        if let Ended::Refused(refusal) = shown
            && self.over
        {
            self.unsaid = Some(refusal);
        }
        panicked
    }

    /// Runs a session that cannot go on: hands over the segments that a failure has held back, and says why or that it
    /// has ended.
    fn run_again_at_the_end(&mut self, limits: &Limits) -> Result<Status, Error> {
        if let Err(failed) = self.world.env.segments.deliver_all() {
            return Err(self.refused(failed.into(), limits));
        }
        Err(match self.unsaid.take() {
            Some(refusal) => self.refused(refusal, limits),
            None => Error::Ended { place: self.place() },
        })
    }

    fn run_slices(&mut self, control: &mut Control<'_>) -> Ended {
        // A slice left open by an earlier run may reach beyond this run's stop step.
        let mut reopen = true;
        loop {
            if (reopen || self.vm.slice_over() || self.world.effects_full())
                && let Some(ended) = self.reopen(control)
            {
                return ended;
            }
            reopen = false;
            let is_native = self.prepare_native();
            if self.native.as_mut().is_some_and(Natives::took_a_while)
                && let Err(ended) = control.look(self.vm.steps())
            {
                return ended;
            }
            if is_native {
                let step = self.vm.steps();
                if control.take_turns {
                    // Native code has to ask before its first block, and is given that one alone.
                    self.vm.between_slices().open_slice(0);
                }
                if let Err(ended) = self.run_native(control) {
                    return ended;
                }
                // Where native code did nothing, the interpreter must: it stands before a step that needs it.
                if self.vm.steps() != step && !control.take_turns {
                    continue;
                }
                if control.take_turns
                    && let Some(ended) = self.reopen(control)
                {
                    return ended;
                }
            }
            match self.interpret() {
                Leave::Exit(code) => {
                    // Whatever else fails, nothing comes after the program's last step.
                    self.exit = Some(code);
                    let ended = self.machine.end(&mut self.vm.state(), &mut self.world);
                    return ended.map_or_else(Ended::Refused, |()| Ended::Exit(code));
                }
                Leave::Refused(refusal) => {
                    if let Err(refusal) = self.machine.refused(refusal, &mut self.vm.state(), &mut self.world) {
                        return Ended::Refused(refusal);
                    }
                }
                Leave::SliceEnd | Leave::Arrived => {}
            }
        }
    }

    /// Whether native code can be entered where the hart stands.
    fn prepare_native(&mut self) -> bool {
        let Some(native) = &mut self.native else { return false };
        native.set_mode(self.machine.mode());
        !native.rests(self.vm.steps())
            && self.machine.allows_native(&self.vm)
            && native.prepare(&mut self.vm.state(), &mut self.pages)
    }

    /// Opens the next slice; how the run ends, if there is none.
    fn reopen(&mut self, control: &mut Control<'_>) -> Option<Ended> {
        match next_slice(&mut self.vm.between_slices(), &mut self.machine, &mut self.world, control) {
            Err(ended) => Some(ended),
            Ok(_) if self.vm.slice_over() => Some(Ended::Stop),
            Ok(_) => None,
        }
    }

    /// Interprets at least one step, until the slice ends or native code can take over.
    fn interpret(&mut self) -> Leave {
        let Hart { vm, machine, world, pages, native, .. } = self;
        let step = vm.steps();
        let rests = native.as_mut().is_some_and(|native| native.rests(step));
        let leave = match native {
            None => vm.interpret(Interpreter { machine, world, pages, tier: &mut Alone }),
            Some(native) if rests => vm.interpret(Interpreter { machine, world, pages, tier: &mut Resting(native) }),
            Some(tier) => vm.interpret(Interpreter { machine, world, pages, tier }),
        };
        self.stats.interpreted_steps += vm.steps() - step;
        leave
    }

    /// Runs native code from the context's pc until it leaves.
    fn run_native(&mut self, control: &mut Control<'_>) -> Result<(), Ended> {
        let Hart { vm, machine, world, pages, native: natives, hops, stats, .. } = self;
        let Some(native) = &*natives else { return Ok(()) };
        let Some(code) = native.code() else { return Ok(()) };
        let (granted, regrow, ended) = Default::default();
        let (entered, before) = (vm.pc(), vm.steps());
        let mut desk = Desk { machine, world, pages, native, hops, control, stats, granted, regrow, ended };
        let left = enter(vm, code, &mut desk).map_err(|error| Ended::Internal(error.to_string()))?;
        let (regrow, ended) = (desk.regrow, desk.ended);
        if let Some(native) = natives {
            let vm = &mut vm.state();
            native.ran(entered, vm.steps() - before);
            if let Some(from) = vm.take_jump_pc() {
                native.jumped(from, vm.pc());
            }
            if let Some(pc) = regrow {
                hops.pay(native.regrow(pc, vm, pages));
            }
        }
        stats.entries += 1;
        stats.deopts += (left == Left::Stopped) as u64;
        stats.transfers += vm.state().take_transfers();
        ended.map_or(Ok(()), Err)
    }

    fn limit_error(&self, limit: Limit) -> Error {
        LimitError { limit, place: self.place() }.into()
    }

    fn halted(&self, halt: Halt, limits: &Limits) -> Error {
        match halt {
            Halt::Cancelled => Error::Cancelled { place: self.place() },
            Halt::Time => {
                let millis = limits.time.unwrap_or_default().as_millis();
                self.limit_error(Limit::Time(u64::try_from(millis).unwrap_or(u64::MAX)))
            }
            Halt::Sink(source) => Error::Sink { place: self.place(), source },
            Halt::Panic(panic) => panic.resume(),
        }
    }

    fn refused(&self, refusal: Refusal, limits: &Limits) -> Error {
        let place = self.place();
        match refusal {
            Refusal::Trap(cause, address) => {
                let insn = if cause == Cause::FetchFault { 0 } else { self.vm.word(place.pc) };
                Trap { cause, place, insn, address }.into()
            }
            Refusal::MemoryLimit => self.limit_error(Limit::Memory(limits.memory_bytes.unwrap_or(u64::MAX))),
            Refusal::OutputLimit => self.limit_error(Limit::Output(limits.output_bytes.unwrap_or(u64::MAX))),
            Refusal::Stream(stream, source) => Error::Stream { stream, place, source },
            Refusal::Host(source) => Error::Host { place, source },
            Refusal::GuestPanic(message, pc) => Error::GuestPanic { message, place: Place { pc, ..place } },
            Refusal::BigInt(error) => Error::BigInt { reason: error.to_string(), place },
            Refusal::Illegal(what, word) => Error::Machine { machine: M::KIND, what, word, place },
            Refusal::CycleLimit { used, limit } => self.limit_error(Limit::Cycles { used, limit }),
            Refusal::SegmentTooSmall(po2) => Error::SegmentTooSmall { po2, place },
            Refusal::Segments(source) => Error::Sink { place, source },
            Refusal::Panic(panic) => panic.resume(),
        }
    }

    /// Makes a program go on that only paused; whether it does.
    pub(crate) fn resume(&mut self) -> bool {
        let resumed = self.exit.is_some() && self.machine.resume(&mut self.vm.state(), &mut self.world);
        if resumed {
            self.exit = None;
        }
        resumed
    }

    /// What a session on R0VM came to so far; none on other machines.
    pub(crate) fn report(&self) -> Option<Report> {
        self.machine.report(&self.vm, &self.world)
    }

    /// Where the hart is.
    pub(crate) fn place(&self) -> Place {
        Place { pc: self.vm.pc(), step: self.vm.steps() }
    }

    /// The code the program ended with, once it has.
    pub(crate) fn exit_code(&self) -> Option<u32> {
        self.exit
    }

    /// Time spent running.
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }

    /// Counters so far.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.ecalls = self.world.ecalls;
        stats.ecalls_unknown = self.world.ecalls_unknown;
        stats.pages = self.world.budget.pages;
        if let Some(native) = &self.native {
            native.report(&mut stats);
        }
        stats
    }
}

/// Hands rows and effects over, sees time and cancelling, lets the machine do what is due, and opens the next slice; an
/// empty one at the stop step. Whether the machine did anything.
fn next_slice<M: Machine>(
    vm: &mut BetweenSlices<'_>,
    machine: &mut M,
    world: &mut World<'_>,
    control: &mut Control<'_>,
) -> Result<bool, Ended> {
    deliver(vm, world, vm.steps(), control.sink)?;
    control.look(vm.steps())?;
    let left = control.stop_step.saturating_sub(vm.steps());
    if left == 0 {
        vm.open_slice(0);
        return Ok(false);
    }
    let between = machine.between(vm, world).map_err(Ended::Refused)?;
    vm.open_slice(left.min(between.steps).min(control.slice_steps));
    Ok(between.acted)
}

/// Hands over the rows in the buffer and the effects of all steps before `step`, and forgets both, whatever the sink
/// says: it is shown everything once. What was done for a step that is not done yet waits for it.
fn deliver(vm: &mut BetweenSlices<'_>, world: &mut World<'_>, step: u64, sink: &mut dyn Sink) -> Result<(), Ended> {
    let effects = world.effects.partition_point(|effect| effect.step < step);
    if vm.row_count() == 0 && effects == 0 {
        return Ok(());
    }
    let first_step = vm.steps() - vm.row_count() as u64;
    let own = world.effects.get(..effects).unwrap_or_default();
    let given = callers::give(|| sink.rows(first_step, vm.rows(), own));
    vm.clear_rows();
    world.effects.drain(..effects);
    given.map_err(|failed| match failed {
        Failed::Error(source) => Ended::Halt(Halt::Sink(source)),
        Failed::Panic(panic) => Ended::Halt(Halt::Panic(panic)),
    })
}

/// The interpreter with all that it acts on beside the hart.
struct Interpreter<'a, 'env, M, T> {
    machine: &'a mut M,
    world: &'a mut World<'env>,
    pages: &'a mut DecodedPages,
    tier: &'a mut T,
}

impl<M: Machine, T: Tier> Interpret for Interpreter<'_, '_, M, T> {
    type Output = Leave;

    fn run<const ROWS: bool>(self, hart: &mut Stepping<'_, ROWS>) -> Leave {
        interpreter::run(hart, self.machine, self.world, self.pages, self.tier)
    }
}

/// The engine's side of native code's questions.
struct Desk<'a, 'env, 'control, M> {
    machine: &'a mut M,
    world: &'a mut World<'env>,
    pages: &'a mut DecodedPages,
    native: &'a Natives,
    hops: &'a mut Hops,
    control: &'a mut Control<'control>,
    stats: &'a mut Stats,
    /// Whether a slice was opened for native code since it was entered.
    granted: bool,
    /// The region that native code left for to be grown anew, by its entry.
    regrow: Option<u32>,
    /// Why the run must end, if native code was told so.
    ended: Option<Ended>,
}

impl<M: Machine> Desk<'_, '_, '_, M> {
    /// Whether regions are gone between too often, and one of the last two can be grown anew.
    fn wants_regrowth(&mut self, vm: &HartState<'_>) -> bool {
        // Those that entered native code are none from region to region.
        let transfers = (self.stats.transfers + vm.transfers()).saturating_sub(self.stats.entries + 1);
        // Where there is no room or no credit for it, that is no reason to look more rarely.
        if self.hops.are_frequent(vm.steps(), transfers) && self.native.can_translate(vm.steps()) {
            self.regrow = vm.transfer_pcs().into_iter().find(|&pc| self.native.may_regrow(pc));
            if self.regrow.is_none() {
                self.hops.tire();
            }
        }
        self.regrow.is_some()
    }

    /// Whether native code may do these accesses: all of them or none.
    fn grant(&mut self, vm: &mut HartState<'_>, accesses: &[Reached], steps: u32) -> Verdict {
        self.stats.access_assists += 1;
        let address_of = |vm: &HartState<'_>, reached: &Reached| match reached.register {
            0 => reached.offset,
            register => vm.register(Slot::x(register)).wrapping_add(reached.offset),
        };
        let mut price = steps as u64;
        for (index, reached) in accesses.iter().enumerate() {
            let (address, access) = (address_of(vm, reached), reached.access);
            let is_store = matches!(access, Access::Store(_));
            if is_store && vm.page_state(address).contains(PageState::CODE) && self.native.contains(address) {
                return Verdict::Stop;
            }
            let Some(own) = self.machine.price(vm, address, access) else { return Verdict::Stop };
            // What one access pays the next one on the same page need not.
            let is_paid = |before: &Reached| {
                page_of(address_of(vm, before)) == page_of(address)
                    && (!is_store || matches!(before.access, Access::Store(_)))
            };
            if own != 0 && !accesses.iter().take(index).any(is_paid) {
                price = price.saturating_add(own);
            }
        }
        // Where the rest of the block no longer fits once all is paid, the interpreter does these steps and stops where
        // the slice then ends.
        if price > vm.slice_left() {
            return Verdict::Stop;
        }
        for reached in accesses {
            let (address, access) = (address_of(vm, reached), reached.access);
            let step = vm.steps() + reached.ahead as u64;
            // The interpreter will meet a refusal again and say what it is. What was granted before it costs nothing then.
            if self.machine.access(vm, self.world, step, address, access).is_err() {
                return Verdict::Stop;
            }
            if matches!(access, Access::Store(_)) && vm.page_state(address).contains(PageState::CODE) {
                self.pages.forget(address);
            }
        }
        Verdict::Continue
    }
}

impl<M: Machine> Assist for Desk<'_, '_, '_, M> {
    fn access(&mut self, vm: &mut HartState<'_>, address: u32, access: Access, steps: u32) -> Verdict {
        self.grant(vm, &[Reached { ahead: 0, register: 0, offset: address, access }], steps)
    }

    fn window(&mut self, vm: &mut HartState<'_>, group: u32, steps: u32) -> Verdict {
        let (region, index) = region_and_index(group);
        let groups = self.native.groups(region);
        match groups.as_ref().and_then(|groups| groups.get(index)) {
            Some(accesses) => self.grant(vm, accesses, steps),
            // Every group is published before its code is.
            None => {
                self.ended = Some(Ended::Internal(format!("code asks about access group {index} of region {region}")));
                Verdict::Stop
            }
        }
    }

    fn refill(&mut self, vm: &mut BetweenSlices<'_>, steps: u32) -> Verdict {
        self.stats.refill_assists += 1;
        if self.control.take_turns && std::mem::replace(&mut self.granted, true) {
            return Verdict::Stop;
        }
        let opened = next_slice(vm, self.machine, self.world, self.control);
        if self.control.take_turns && opened.is_ok() {
            vm.open_slice(vm.slice_left().min(steps as u64));
        }
        match opened {
            // Native code must not be in the middle of a region when page states change under it.
            Ok(false) if vm.slice_left() >= steps as u64 && !self.wants_regrowth(vm) => Verdict::Continue,
            Ok(_) => Verdict::Stop,
            Err(ended) => {
                self.ended = Some(ended);
                Verdict::Stop
            }
        }
    }
}
