//! Executors and sessions: the doors of the library.
//!
//! An [`Executor`] is a program with a choice of engine, machine and limits; a [`Session`] is one run of it. What a
//! session computes is a function of program, input and limits alone, never of the engine.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Options;
use crate::env::Env;
use crate::error::{Error, Location};
#[cfg(feature = "jit")]
use crate::jit::JitOptions;
use crate::jit::{Caches, SharedCaches};
use crate::limits::{CancelHandle, Limits};
use crate::machine_kind::MachineKind;
use crate::machines::{self, Setup, Started};
use crate::memory;
use crate::outcome::{MachineReport, Outcome};
use crate::program::Program;
use crate::run::{Run, State};
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::{NullSink, Replay, RowSchema, RunStart, Sink};

/// Which engine runs a program. All do exactly the same to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Engine {
    /// Native code for what is hot, the interpreter for the rest.
    #[cfg(feature = "jit")]
    #[default]
    Jit,
    /// The reference: one instruction after another.
    #[cfg_attr(not(feature = "jit"), default)]
    Interpreter,
    /// The JIT, which the interpreter follows, comparing every row and, wherever a run stops, the state. The first
    /// difference ends the session with [`Error::Difference`]. Slower than the interpreter, whatever the sink wants.
    #[cfg(feature = "jit")]
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
    #[cfg(feature = "jit")]
    jit: JitOptions,
    buffer_rows: usize,
}

impl Settings {
    /// What native code is kept in, if the engine has any.
    #[cfg(feature = "jit")]
    fn caches(&self, program: &Program) -> Result<Option<Caches>, Error> {
        self.jit.check()?;
        let rules = self.machine.rules();
        Ok((self.engine != Engine::Interpreter).then(|| Caches::new(&self.jit, rules, program)))
    }

    #[cfg(not(feature = "jit"))]
    fn caches(&self, _: &Program) -> Result<Option<Caches>, Error> {
        Ok(None)
    }

    /// What a hart's engines are made with.
    fn options(&self) -> Options {
        Options {
            buffer_rows: self.buffer_rows,
            #[cfg(feature = "jit")]
            alternate_engines: self.jit.alternate_engines,
            #[cfg(feature = "jit")]
            merge_interval_steps: self.jit.steps_between_looks(),
            ..Options::default()
        }
    }
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
    #[cfg(feature = "jit")]
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
        check_cycles(&self.0.limits, self.0.machine)?;
        let caches = self.0.caches(program)?;
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
            #[cfg(feature = "jit")]
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
        env.check_twice()?;
        let limits = &self.settings.limits;
        let setup = Setup {
            program: &self.program,
            caches: self.caches.as_deref().map(SharedCaches::get),
            #[cfg(feature = "jit")]
            is_crosscheck: self.settings.engine == Engine::Crosscheck,
            options: self.settings.options(),
            limit_memory_bytes: limits.memory_bytes,
        };
        let Started { run, limit_cycles } = machines::start(self.settings.machine, env.settings, &setup)?;
        let cycles = [limits.cycles, limit_cycles].into_iter().flatten().min();
        Ok(Session { program: self.program.clone(), run, limits: Limits { cycles, ..*limits }, cancel: env.cancel })
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

    /// Starts a session and runs it to its end, without rows.
    ///
    /// # Errors
    /// As [`Executor::start`] and [`Session::run`]. Who needs the session after an error starts it by itself.
    pub fn run(&self, env: Env<'_>) -> Result<Outcome, Error> {
        self.trace(env, &mut NullSink::off())
    }

    /// Starts a session and runs it to its end; rows go to `sink`.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn trace(&self, env: Env<'_>, sink: &mut dyn Sink) -> Result<Outcome, Error> {
        let mut session = self.start(env)?;
        session.run(sink)?;
        Ok(session.finish())
    }
}

/// One run of a program: its state between two steps.
///
/// After an error or a panic of the caller's code the state is that before the step that could not be done. After a limit, a
/// pause, a cancellation, a stream or sink that failed or a panic the session can go on; after an error of the program or
/// its host it has ended. The page `docs/failures.md` of the repository has a line for each kind of failure. Rows are asked
/// for run by run: with a sink that wants none, steps cost nothing extra.
pub struct Session<'env> {
    program: Program,
    run: Box<dyn Run + 'env>,
    limits: Limits,
    cancel: CancelHandle,
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
        check_cycles(&self.limits, self.machine())?;
        let start = RunStart {
            program: &self.program,
            machine: self.machine(),
            level: sink.level(),
            schema: RowSchema::Words32,
            step: self.steps(),
        };
        sink.begin(&start).map_err(|source| Error::Sink { location: self.location(), source })?;
        self.run.run(step, &self.limits, &self.cancel, sink)
    }

    /// Ends the session, and gives what it came to.
    pub fn finish(self) -> Outcome {
        let state = self.state();
        Outcome {
            status: state.exit().unwrap_or(Status::Reached),
            location: state.location(),
            registers: state.vm().registers(),
            time: state.spent(),
            stats: state.stats(),
            machine_report: MachineReport(self.run.report()),
        }
    }

    /// Makes a program of machine `r0vm` go on that has paused. Segments and cycles are then counted from 0 again, and so
    /// is the limit on cycles; the steps are not.
    ///
    /// # Errors
    /// [`Error::Ended`] when it has not paused. [`Error::Unfinished`] when the last run failed before everything was handed
    /// over: one more run does that.
    pub fn resume(&mut self) -> Result<(), Error> {
        let location = self.location();
        if self.run.owes() {
            return Err(Error::Unfinished { location });
        }
        match self.run.resume() {
            true => Ok(()),
            false => Err(Error::Ended { location }),
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
        self.state().replay(until)
    }

    /// Steps done so far: the number of the next step.
    pub fn steps(&self) -> u64 {
        self.state().vm().steps()
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> u32 {
        self.state().vm().pc()
    }

    /// Where the session is.
    pub fn location(&self) -> Location {
        self.state().location()
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

    /// The machine's own report, if it makes one.
    pub(crate) fn machine_report(&self) -> Option<Box<dyn Any>> {
        self.run.report()
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

/// Refuses a limit on cycles on a machine that counts none.
fn check_cycles(limits: &Limits, machine: MachineKind) -> Result<(), Error> {
    match limits.cycles.is_some() && !machine.counts_cycles() {
        true => {
            let found = format!("given on machine {machine}");
            Err(Error::Configuration { what: "the limit on cycles", found, expected: "machine r0vm" })
        }
        false => Ok(()),
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
