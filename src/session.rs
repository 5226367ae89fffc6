//! Executors and sessions: the doors of the library.
//!
//! An [`Executor`] is a program with a choice of engine, machine and limits; a [`Session`] is one run of it. What a
//! session computes is a function of program, input and limits alone, never of the engine.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tachy_runtime::Vm;

use crate::crosscheck::{Crosscheck, Streams};
use crate::engine::{Hart, Options, Stats, Status};
use crate::env::{Env, TraceCallback};
use crate::error::{Error, Place};
use crate::jit::{Caches, JitOptions};
use crate::limits::{CancelHandle, Limits};
use crate::machine::{Bare, Budget, Machine, MachineKind, R0vm, World};
use crate::memory;
use crate::program::Program;
use crate::r0vm::{self, Report, Sealer, TraceEvents};
use crate::run::{self, Run, State};
use crate::trace::{NullSink, Replay, Sink};

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
        let rules = match self.0.machine {
            MachineKind::Bare => Bare::RULES,
            MachineKind::R0vm => R0vm::RULES,
        };
        let caches = (self.0.engine != Engine::Interpreter).then(|| Caches::new(&self.0.jit, rules, program));
        Ok(Executor { program: program.clone(), settings: Arc::new(self.0), caches: caches.map(Arc::new) })
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
    caches: Option<Arc<Caches>>,
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
    /// When the machine cannot start the program, its memory exceeds the limit, or the system refuses memory.
    pub fn start<'env>(&self, mut env: Env<'env>) -> Result<Session<'env>, Error> {
        if env.segments.sink.is_some() {
            let sealer = Sealer::start(&self.program).map_err(|source| Error::Thread { source })?;
            env.segments.sealer = Some(sealer);
        }
        let cancel = mem::take(&mut env.cancel);
        let is_r0vm = self.settings.machine == MachineKind::R0vm;
        let events = env.events.take().filter(|_| is_r0vm);
        let run: Box<dyn Run + 'env> = match self.settings.engine {
            Engine::Jit | Engine::Interpreter => self.boot(env, self.caches.clone())?,
            Engine::Crosscheck => {
                let (env, follower, streams) = Streams::split(env);
                let jit = self.boot(env, self.caches.clone())?;
                Box::new(Crosscheck::new(jit, self.boot(follower, None)?, streams))
            }
        };
        Ok(Session { run, limits: self.settings.limits, cancel, events })
    }

    fn boot<'env>(&self, env: Env<'env>, caches: Option<Arc<Caches>>) -> Result<Box<dyn Run + 'env>, Error> {
        match self.settings.machine {
            MachineKind::Bare => self.boot_on::<Bare>(env, caches),
            MachineKind::R0vm => self.boot_on::<R0vm>(env, caches),
        }
    }

    fn boot_on<'env, M: Machine>(
        &self,
        env: Env<'env>,
        caches: Option<Arc<Caches>>,
    ) -> Result<Box<dyn Run + 'env>, Error> {
        let mut vm = Vm::new()?;
        let mut budget = Budget::default();
        budget.set_limit_memory(self.settings.limits.memory_bytes);
        let machine = M::boot(&self.program, &env, &mut vm.state(), &mut budget)?;
        let JitOptions { take_turns, regrow_steps, .. } = self.settings.jit;
        let options = Options { caches, buffer_rows: self.settings.buffer_rows, take_turns, regrow_steps };
        Ok(Box::new(Hart::new(vm, machine, World::new(env, budget), options)))
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
    /// Makes events of the rows of every run, where someone takes them.
    events: Option<TraceEvents<TraceCallback<'env>>>,
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
        let place = self.place();
        let Session { run, limits, cancel, events } = self;
        if let Some(events) = events {
            events.send_held().map_err(|source| Error::Sink { place, source })?;
        }
        match events {
            None => run.run(step, limits, cancel, sink),
            Some(events) => run.run(step, limits, cancel, &mut (events, sink)),
        }
    }

    /// Makes a program of machine `r0vm` go on that has paused. Segments and cycles are then counted anew, and so is the
    /// limit on cycles; the steps are not.
    ///
    /// # Errors
    /// [`Error::Ended`] when it has not paused.
    pub fn resume(&mut self) -> Result<(), Error> {
        match self.run.resume() {
            true => {
                self.events = self.events.take().map(TraceEvents::anew);
                Ok(())
            }
            false => Err(Error::Ended { place: self.place() }),
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
        is_r0vm.then(|| r0vm::served_ecall(self.pc(), |address| self.word(address))).flatten()
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
        self.state().report()
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
