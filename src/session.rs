//! Executors and sessions: the doors of the library.
//!
//! An [`Executor`] is a program with a choice of engine, machine and limits; a [`Session`] is one run of it. What a
//! session computes is a function of program, input and limits alone, never of the engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tachy_runtime::Vm;

use crate::callers::{self, Failed};
use crate::crosscheck::{Crosscheck, Streams};
use crate::engine::{Hart, Options};
use crate::env::{Env, Settled};
use crate::error::{Error, Place};
use crate::jit::{Caches, JitOptions, SharedCaches};
use crate::limits::{CancelHandle, Limits};
use crate::machine::{Bare, Budget, Machine, MachineKind, R0vm, World};
use crate::memory;
use crate::program::Program;
use crate::risc0::{self, Report, Sealer, TraceCallback, TraceEvents, Unsealed};
use crate::run::{self, Run, State};
use crate::stats::Stats;
use crate::status::Status;
use crate::surroundings::Surroundings;
use crate::trace::{Effect, Level, NullSink, Replay, Row, Sink, SinkError};

/// Which engine runs a program. All do exactly the same to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Engine {
    /// Native code for what is hot, the interpreter for the rest.
    #[default]
    Jit,
    /// The reference: one instruction after another.
    Interpreter,
    /// The JIT, which the interpreter follows, comparing every row and, wherever a run stops, the state. The first
    /// difference ends the session with [`Error::Difference`]. Slower than the interpreter, whatever the sink wants.
    Crosscheck,
}

/// Fewest rows a buffer may hold: the longest block must fit.
const ROW_BUFFER_MIN: usize = 256;

/// What an executor is made of.
#[derive(Debug, Clone)]
struct Settings {
    engine: Engine,
    machine: MachineKind,
    limits: Limits,
    jit: JitOptions,
    buffer_rows: usize,
}

/// Makes an [`Executor`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder(Settings);

impl Builder {
    /// The engine; [`Engine::Jit`] unless said.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.0.engine = engine;
        self
    }

    /// The machine; [`MachineKind::Bare`] unless said.
    pub fn machine(mut self, machine: MachineKind) -> Self {
        self.0.machine = machine;
        self
    }

    /// Limits of each session; none unless said.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// How native code is made: when, how much at once, in how much memory.
    pub fn jit(mut self, options: JitOptions) -> Self {
        self.0.jit = options;
        self
    }

    /// Rows that a session's buffer holds: how many a sink gets at once, at the most. At least 256; 8,192 unless said,
    /// which stay in the cache.
    pub fn buffer_rows(mut self, rows: usize) -> Self {
        self.0.buffer_rows = rows;
        self
    }

    /// The executor.
    ///
    /// # Errors
    /// [`Error::Configuration`] for a buffer that is too small or too large and for JIT options that make no sense.
    pub fn build(self, program: &Program) -> Result<Executor, Error> {
        let rows = self.0.buffer_rows;
        if !(ROW_BUFFER_MIN..=1 << 26).contains(&rows) {
            let expected = "256 to 67,108,864 rows";
            return Err(Error::Configuration { what: "the row buffer", found: format!("{rows} rows"), expected });
        }
        self.0.jit.check()?;
        if self.0.limits.cycles.is_some() && self.0.machine != MachineKind::R0vm {
            let found = format!("given on machine {}", self.0.machine);
            return Err(Error::Configuration { what: "the limit on cycles", found, expected: "machine r0vm" });
        }
        let rules = match self.0.machine {
            MachineKind::Bare => Bare::RULES,
            MachineKind::R0vm => R0vm::RULES,
        };
        let caches = (self.0.engine != Engine::Interpreter).then(|| Caches::new(&self.0.jit, rules, program));
        Ok(Executor {
            program: program.clone(),
            settings: Arc::new(self.0),
            caches: caches.map(SharedCaches::new).map(Arc::new),
        })
    }
}

/// A program ready to run, any number of times, on any number of threads at once. Cloning is cheap.
///
/// Native code is made once for all sessions of an executor and its clones; a session that writes over its own code has
/// some of its own from then on.
///
/// ```
/// use tachy::{Engine, Env, Executor, NullSink, Program, Status};
///
/// let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf"))?;
/// let program = Program::from_elf(&elf)?;
/// let executor = Executor::builder().engine(Engine::Jit).build(&program)?;
/// let mut output = Vec::new();
/// let mut session = executor.start(Env::new().args(["fib", "20"]).stdout(&mut output))?;
/// assert_eq!(session.run(&mut NullSink::off())?, Status::Exited { code: 0 });
/// println!("{} steps", session.steps());
/// drop(session);
/// assert_eq!(output, b"fib(20) = 6765 ok\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Executor {
    program: Program,
    settings: Arc<Settings>,
    /// Native code, unless the interpreter does everything.
    caches: Option<Arc<SharedCaches>>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("program", &self.program).field("settings", &self.settings).finish()
    }
}

impl Executor {
    /// Starts with the defaults: JIT, machine `bare`, no limits.
    pub fn builder() -> Builder {
        Builder(Settings {
            engine: Engine::default(),
            machine: MachineKind::default(),
            limits: Limits::default(),
            jit: JitOptions::default(),
            buffer_rows: 8192,
        })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// A session at its first step.
    ///
    /// # Errors
    /// [`Error::Configuration`] for an environment that is not the machine's or contradicts itself. Else when the machine
    /// cannot start the program, its memory exceeds the limit, or the system refuses memory.
    pub fn start<'env>(&self, env: Env<'env>) -> Result<Session<'env>, Error> {
        let Settled { surroundings, cancel, segments, events, limit_cycles } = env.settle(self.settings.machine)?;
        let run: Box<dyn Run + 'env> = match self.settings.engine {
            Engine::Jit | Engine::Interpreter => {
                self.boot(surroundings, self.caches.as_deref().map(SharedCaches::get))?
            }
            Engine::Crosscheck => {
                let (leader, follower, streams) = Streams::split(surroundings);
                let jit = self.boot(leader, self.caches.as_deref().map(SharedCaches::get))?;
                Box::new(Crosscheck::new(jit, self.boot(follower, None)?, streams))
            }
        };
        let mut limits = self.settings.limits;
        limits.cycles = [limits.cycles, limit_cycles].into_iter().flatten().min();
        let sealer = segments.map(|sink| Sealer::new(&self.program, sink));
        let events = TraceEvents::to_all(events);
        Ok(Session {
            run,
            limits,
            cancel,
            sealer,
            events,
            sink_is_done: false,
            lost_segments: false,
            unsaid: None,
            earlier: Vec::new(),
        })
    }

    fn boot<'env>(
        &self,
        around: Surroundings<'env>,
        caches: Option<Arc<Caches>>,
    ) -> Result<Box<dyn Run + 'env>, Error> {
        match self.settings.machine {
            MachineKind::Bare => self.boot_on::<Bare>(around, caches),
            MachineKind::R0vm => self.boot_on::<R0vm>(around, caches),
        }
    }

    fn boot_on<'env, M: Machine>(
        &self,
        around: Surroundings<'env>,
        caches: Option<Arc<Caches>>,
    ) -> Result<Box<dyn Run + 'env>, Error> {
        let mut vm = Vm::new()?;
        let mut budget = Budget::default();
        budget.set_limit_memory(self.settings.limits.memory_bytes);
        let machine = M::boot(&self.program, &around, &mut vm.state(), &mut budget)?;
        let (take_turns, merge_interval_steps) =
            (self.settings.jit.alternate_engines, self.settings.jit.steps_between_looks());
        let options = Options { caches, buffer_rows: self.settings.buffer_rows, take_turns, merge_interval_steps };
        Ok(Box::new(Hart::new(vm, machine, World::new(around, budget), options)))
    }

    /// The complete state before step `step`: a session that stands there, or at the program's end if that comes first.
    /// Nothing is traced on the way.
    ///
    /// # Errors
    /// As [`Executor::start`] and [`Session::run_to`].
    pub fn state_at<'env>(&self, env: Env<'env>, step: u64) -> Result<Session<'env>, Error> {
        let mut session = self.start(env)?;
        session.run_to(step, &mut NullSink::off())?;
        Ok(session)
    }

    /// Starts a session, runs it to its end and returns it: for those who need nothing of it if it fails.
    ///
    /// # Errors
    /// As [`Executor::start`] and [`Session::run`].
    pub fn run<'env>(&self, env: Env<'env>, sink: &mut dyn Sink) -> Result<Session<'env>, Error> {
        let mut session = self.start(env)?;
        session.run(sink)?;
        Ok(session)
    }
}

/// One run of a program: its state between two steps.
///
/// After an error or a panic of the caller's code the state is that before the step that could not be done. After a limit, a
/// pause, a cancellation, a stream or sink that failed or a panic the session can go on; after an error of the program or
/// its host it has ended. The page `docs/failures.md` of the repository has a line for each kind of failure. Rows are asked
/// for run by run: with a sink that wants none, steps cost nothing extra.
pub struct Session<'env> {
    run: Box<dyn Run + 'env>,
    limits: Limits,
    cancel: CancelHandle,
    /// Hashes segments and hands them over, where someone takes them.
    sealer: Option<Sealer<'env>>,
    /// Makes events of the rows of every run, where someone takes them.
    events: Option<TraceEvents<TraceCallback<'env>>>,
    /// Whether the caller's sink has the rows of which an event was refused.
    sink_is_done: bool,
    /// Whether this is a child of the process whose thread has the segments of the run in which it forked.
    lost_segments: bool,
    /// How the program ended, if a segment that was refused has kept that from the caller.
    unsaid: Option<Result<Status, Error>>,
    /// What the parts came to that ended with a pause, after which the program went on.
    earlier: Vec<Report>,
}

impl Session<'_> {
    /// Runs to the program's end.
    ///
    /// # Errors
    /// Traps, limits, cancelling, failing streams and sinks. Rows and output up to there are delivered.
    /// [`Error::Ended`] when the program has ended before, or can never go on.
    ///
    /// # Panics
    /// Passes a panic of a sink, stream, host or callback on, when rows and output up to there are delivered.
    pub fn run(&mut self, sink: &mut dyn Sink) -> Result<Status, Error> {
        self.run_to(u64::MAX, sink)
    }

    /// Runs to the program's end or until `step` steps are done, whichever comes first.
    ///
    /// # Errors
    /// As [`Session::run`].
    ///
    /// # Panics
    /// As [`Session::run`].
    pub fn run_to(&mut self, step: u64, sink: &mut dyn Sink) -> Result<Status, Error> {
        if self.limits.cycles.is_some() && self.machine() != MachineKind::R0vm {
            let found = format!("given on machine {}", self.machine());
            return Err(Error::Configuration { what: "the limit on cycles", found, expected: "machine r0vm" });
        }
        if self.lost_segments {
            return Err(Error::Forked { place: self.place() });
        }
        let Session { run, limits, cancel, sealer, events, sink_is_done, .. } = self;
        let Some(sealer) = sealer else {
            return run_with_events(run.as_mut(), step, limits, cancel, events, sink_is_done, sink);
        };
        let (ran, unsealed) = sealer.beside(|records| {
            run.set_records(Some(records));
            // A panic, too, must leave nobody who could still send records: the thread waits for them.
            let ran = callers::call(|| run_with_events(run.as_mut(), step, limits, cancel, events, sink_is_done, sink));
            run.set_records(None);
            ran.unwrap_or_else(|panic| panic.resume())
        });
        if matches!(unsealed, Some(Unsealed::Elsewhere)) {
            // The thread of the parent may have been changing it: it is never touched again, not even by a panic.
            std::mem::forget(self.sealer.take());
            self.lost_segments = true;
        }
        let ran = ran.map(|ran| ran.unwrap_or_else(|panic| panic.resume()));
        let Some(unsealed) = unsealed else { return self.said(ran) };
        let place = self.place();
        let (index, failed) = match unsealed {
            Unsealed::Thread(source) => return Err(Error::Thread { source }),
            Unsealed::Broken => {
                let what = "the thread that hashes segments has panicked".to_owned();
                return Err(Error::Internal { what, place });
            }
            Unsealed::Elsewhere => return Err(Error::Forked { place }),
            Unsealed::Refused(index, failed) => (index, failed),
        };
        // What else went wrong came first, and is said; the segment comes again with the next run.
        match (ran, failed) {
            (Some(ran), Failed::Panic(panic)) => {
                self.leave_unsaid(ran);
                panic.resume()
            }
            (Some(Err(error)), Failed::Error(_)) if !matches!(error, Error::Segment { .. } | Error::Ended { .. }) => {
                Err(error)
            }
            (Some(ran), Failed::Error(source)) => {
                self.leave_unsaid(ran);
                Err(Error::Segment { index, place, source })
            }
            (None, Failed::Panic(panic)) => panic.resume(),
            (None, Failed::Error(source)) => Err(Error::Segment { index, place, source }),
        }
    }

    /// Keeps how the program ended for the next run to say.
    fn leave_unsaid(&mut self, ran: Result<Status, Error>) {
        let is_the_end = match &ran {
            Ok(status) => *status != Status::Reached,
            // A program that has ended well has another end than this.
            Err(_) if self.exit_code().is_some() => false,
            Err(Error::Sink { .. } | Error::Event { .. } | Error::Segment { .. } | Error::Ended { .. }) => false,
            Err(_) => self.run.is_over(),
        };
        if is_the_end {
            self.unsaid.get_or_insert(ran);
        }
    }

    /// How a run ended, or an earlier one if nobody has said that yet.
    fn said(&mut self, ran: Option<Result<Status, Error>>) -> Result<Status, Error> {
        match ran {
            Some(Err(Error::Ended { place })) => self.unsaid.take().unwrap_or(Err(Error::Ended { place })),
            Some(ran) => ran,
            None => Err(Error::Internal { what: "nothing was run".to_owned(), place: self.place() }),
        }
    }

    /// Makes a program of machine `r0vm` go on that has paused. Segments and cycles are then counted from 0 again, and so
    /// is the limit on cycles; the steps are not.
    ///
    /// # Errors
    /// [`Error::Ended`] when it has not paused. [`Error::Unfinished`] when the last run failed before everything was handed
    /// over: one more run does that.
    pub fn resume(&mut self) -> Result<(), Error> {
        let place = self.place();
        if self.run.owes() || self.unsaid.is_some() || self.sealer.as_ref().is_some_and(Sealer::owes) {
            return Err(Error::Unfinished { place });
        }
        let report = self.report();
        match self.run.resume() {
            true => {
                self.earlier.extend(report.map(|report| Report { earlier: Vec::new(), ..report }));
                if let Some(events) = &mut self.events {
                    events.begin_part();
                }
                if let Some(sealer) = &mut self.sealer {
                    sealer.begin_part();
                }
                Ok(())
            }
            false => Err(Error::Ended { place }),
        }
    }

    /// Where it stands, for those below who look closer.
    pub(crate) fn state(&self) -> &dyn State {
        self.run.state()
    }

    /// The machine that it runs on.
    pub fn machine(&self) -> MachineKind {
        self.state().machine()
    }

    /// The state now, as something that rows and effects move on: a sink that follows this session, or a recorded
    /// trace of it, up to step `until`, and checks every operand it is shown.
    pub fn replay(&self, until: u64) -> Replay {
        run::replay(self.state(), until)
    }

    /// Steps done so far: the number of the next step.
    pub fn steps(&self) -> u64 {
        self.state().vm().steps()
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> u32 {
        self.state().vm().pc()
    }

    /// Of machine `r0vm`, the address of the user program's ecall that the kernel is serving: where an error in the
    /// kernel came from. `None` where the pc is the user program's own, or no user program has called.
    pub fn served_ecall(&self) -> Option<u32> {
        let is_r0vm = self.machine() == MachineKind::R0vm;
        is_r0vm.then(|| risc0::served_ecall(self.pc(), |address| self.word(address))).flatten()
    }

    /// Where the session is.
    pub fn place(&self) -> Place {
        self.state().place()
    }

    /// x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        self.state().vm().registers()
    }

    /// The word at the word-aligned address at or below `address`, whatever the guest may do there.
    pub fn word(&self, address: u32) -> u32 {
        self.state().vm().word(address)
    }

    /// `bytes` bytes from `address`; `None` where they would run past the end of the address space.
    pub fn bytes(&self, address: u32, bytes: u32) -> Option<&[u8]> {
        self.state().vm().bytes(address, bytes)
    }

    /// BLAKE3 over every nonzero page: its number (u32, little-endian) and its 1,024 bytes, in ascending order.
    pub fn memory_digest(&self) -> blake3::Hash {
        memory::digest(self.state().vm())
    }

    /// The code the program ended with, once it has.
    pub fn exit_code(&self) -> Option<u32> {
        self.state().exit_code()
    }

    /// Time spent running.
    pub fn time(&self) -> Duration {
        self.state().spent()
    }

    /// What the session came to on machine `r0vm`: cycles, segments, journal; none on another machine.
    pub fn report(&self) -> Option<Report> {
        let mut report = self.state().report()?;
        report.earlier.clone_from(&self.earlier);
        report.roots = self.sealer.as_ref().and_then(Sealer::roots);
        Some(report)
    }

    /// How the session ran.
    pub fn stats(&self) -> Stats {
        self.state().stats()
    }

    /// The limits from the next run on.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// A handle that cancels this session from another thread, and tells there how far it is.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }
}

/// Has the rows of a run made into events, too, if someone takes them.
fn run_with_events(
    run: &mut (dyn Run + '_),
    step: u64,
    limits: &Limits,
    cancel: &CancelHandle,
    events: &mut Option<TraceEvents<TraceCallback<'_>>>,
    sink_is_done: &mut bool,
    sink: &mut dyn Sink,
) -> Result<Status, Error> {
    let Some(events) = events else { return run.run(step, limits, cancel, sink) };
    let mut both = WithEvents { wants_rows: sink.level() != Level::Off, sink, sink_is_done, events };
    let ran = run.run(step, limits, cancel, &mut both);
    match ran {
        // The sink has them; what was refused is an event.
        Err(Error::Sink { place, source }) if *both.sink_is_done => Err(Error::Event { place, source }),
        ran => ran,
    }
}

/// A sink, and behind it the callbacks that take events. Each gets everything once, whoever fails when.
struct WithEvents<'a, 'env> {
    sink: &'a mut dyn Sink,
    wants_rows: bool,
    sink_is_done: &'a mut bool,
    events: &'a mut TraceEvents<TraceCallback<'env>>,
}

impl Sink for WithEvents<'_, '_> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if self.wants_rows && !*self.sink_is_done {
            self.sink.rows(first_step, rows, effects)?;
        }
        *self.sink_is_done = true;
        self.events.rows(first_step, rows, effects)?;
        *self.sink_is_done = false;
        Ok(())
    }
}

impl fmt::Debug for Session<'_> {
    /// Where it is and how it ended, not what its memory holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown.field("machine", &self.machine()).field("steps", &self.steps());
        shown.field("pc", &format_args!("{:#010x}", self.pc())).field("exit_code", &self.exit_code());
        shown.field("limits", &self.limits).finish_non_exhaustive()
    }
}
