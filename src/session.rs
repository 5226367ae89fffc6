//! Executors and sessions: the entry points of the library.
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
use crate::jit::{Caches, SharedCaches};
#[cfg(feature = "jit")]
use crate::jit::{DiskCache, JitOptions};
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

/// The engine that runs a program. All engines have exactly the same effect on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Engine {
    /// Native code for hot code, the interpreter for the rest.
    #[cfg(feature = "jit")]
    #[default]
    Jit,
    /// The reference: one instruction after another.
    #[cfg_attr(not(feature = "jit"), default)]
    Interpreter,
    /// The JIT, followed by the interpreter, which compares every row and, wherever a run stops, the state. The first
    /// difference ends the session with [`Error::Difference`]. It is slower than the interpreter, whatever the sink
    /// wants.
    #[cfg(feature = "jit")]
    Crosscheck,
}

/// Minimum number of rows of a buffer: the longest block must fit.
const ROW_BUFFER_MIN: usize = 256;

/// The settings of an executor.
#[derive(Debug, Clone)]
struct Settings {
    engine: Engine,
    machine: MachineKind,
    limits: Limits,
    #[cfg(feature = "jit")]
    jit: JitOptions,
    #[cfg(feature = "jit")]
    disk_cache: Option<DiskCache>,
    buffer_rows: usize,
}

impl Settings {
    /// Returns the caches for native code, if the engine has any.
    #[cfg(feature = "jit")]
    fn caches(&self, program: &Program) -> Result<Option<Caches>, Error> {
        self.jit.check()?;
        let rules = self.machine.rules();
        let new = || {
            let caches = Caches::new(&self.jit, rules, program);
            match &self.disk_cache {
                Some(folder) => caches.on_disk(folder, self.machine.to_string()),
                None => caches,
            }
        };
        Ok((self.engine != Engine::Interpreter).then(new))
    }

    #[cfg(not(feature = "jit"))]
    fn caches(&self, _: &Program) -> Result<Option<Caches>, Error> {
        Ok(None)
    }

    /// Returns the options of a hart's engines.
    #[cfg(feature = "jit")]
    fn options(&self) -> Options {
        Options {
            buffer_rows: self.buffer_rows,
            alternate_engines: self.jit.alternate_engines,
            merge_interval_steps: self.jit.steps_between_looks(),
        }
    }

    #[cfg(not(feature = "jit"))]
    fn options(&self) -> Options {
        Options { buffer_rows: self.buffer_rows, ..Options::default() }
    }
}

/// Builds an [`Executor`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder(Settings);

impl Builder {
    /// Sets the engine; the default is [`Engine::Jit`].
    pub fn engine(mut self, engine: Engine) -> Self {
        self.0.engine = engine;
        self
    }

    /// Sets the machine; the default is [`MachineKind::Bare`].
    pub fn machine(mut self, machine: MachineKind) -> Self {
        self.0.machine = machine;
        self
    }

    /// Sets the limits of each session; by default there are none.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Sets the options of the JIT: when it compiles, how much at once, and in how much memory.
    #[cfg(feature = "jit")]
    pub fn jit(mut self, options: JitOptions) -> Self {
        self.0.jit = options;
        self
    }

    /// Begins with the native code that earlier processes left in a folder, and leaves this one's there. By default no
    /// file is read or written.
    ///
    /// Code is read when a session of the executor first records as much as that code does. It is written when the
    /// executor, its clones and its sessions are all gone, if they compiled anything.
    #[cfg(feature = "jit")]
    pub fn disk_cache(mut self, folder: DiskCache) -> Self {
        self.0.disk_cache = Some(folder);
        self
    }

    /// Sets the number of rows in a session's buffer, which is the maximum that a sink gets at once. It is at least
    /// 256. The default is 8,192: these rows stay in the cache.
    pub fn buffer_rows(mut self, rows: usize) -> Self {
        self.0.buffer_rows = rows;
        self
    }

    /// Builds the executor.
    ///
    /// # Errors
    /// Returns [`Error::Configuration`] for a buffer that is too small or too large and for invalid JIT options.
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
/// All sessions of an executor and its clones share their native code. A session that overwrites its own code has
/// native code of its own from then on.
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
    /// Native code; `None` if the interpreter does everything.
    caches: Option<Arc<SharedCaches>>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("program", &self.program).field("settings", &self.settings).finish()
    }
}

impl Executor {
    /// Creates a builder with the defaults: JIT, machine `bare`, no limits.
    pub fn builder() -> Builder {
        Builder(Settings {
            engine: Engine::default(),
            machine: MachineKind::default(),
            limits: Limits::default(),
            #[cfg(feature = "jit")]
            jit: JitOptions::default(),
            #[cfg(feature = "jit")]
            disk_cache: None,
            buffer_rows: 8192,
        })
    }

    /// Returns the program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Starts a session; it stands before its first step.
    ///
    /// # Errors
    /// Returns [`Error::Configuration`] for an environment that belongs to another machine or contradicts itself.
    /// Otherwise fails if the machine cannot start the program, its memory exceeds the limit, or the system refuses
    /// memory.
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
        Ok(Session {
            program: self.program.clone(),
            run,
            limits: Limits { cycles, ..*limits },
            cancel: env.cancel,
            unsaid: None,
        })
    }

    /// Returns the complete state before step `step`: a session that stands there, or at the program's end if that
    /// comes first. Nothing is traced on the way.
    ///
    /// # Errors
    /// The same as for [`Executor::start`] and [`Session::run_to`].
    pub fn state_at<'env>(&self, env: Env<'env>, step: u64) -> Result<Session<'env>, Error> {
        let mut session = self.start(env)?;
        session.run_to(step, &mut NullSink::off())?;
        Ok(session)
    }

    /// Starts a session and runs it to its end, without rows.
    ///
    /// # Errors
    /// The same as for [`Executor::start`] and [`Session::run`]. To keep the session after an error, start and run it
    /// separately.
    pub fn run(&self, env: Env<'_>) -> Result<Outcome, Error> {
        self.trace(env, &mut NullSink::off())
    }

    /// Starts a session and runs it to its end; rows go to `sink`.
    ///
    /// # Errors
    /// The same as for [`Executor::run`].
    pub fn trace(&self, env: Env<'_>, sink: &mut dyn Sink) -> Result<Outcome, Error> {
        let mut session = self.start(env)?;
        session.run(sink)?;
        Ok(session.finish())
    }
}

/// One run of a program: its state between two steps.
///
/// After an error or a panic of the caller's code, the state is the one before the step that failed. The session can
/// continue after a limit, a pause, a cancellation, a panic, or a stream or sink that failed. It has ended after an
/// error of the program or its host. The page `docs/failures.md` of the repository has a line for each kind of failure.
/// Each run asks its sink whether it wants rows: with a sink that wants none, steps cost nothing extra.
pub struct Session<'env> {
    program: Program,
    run: Box<dyn Run + 'env>,
    limits: Limits,
    cancel: CancelHandle,
    /// How the program ended or paused, if the end of a sink has kept that from the caller.
    unsaid: Option<Status>,
}

impl Session<'_> {
    /// Runs to the program's end.
    ///
    /// # Errors
    /// Fails on traps, limits, cancellation, and failing streams and sinks. Rows and output up to that point are
    /// delivered. Returns [`Error::Ended`] if the program has already ended, or can never continue.
    ///
    /// # Panics
    /// Passes on a panic of a sink, stream, host or callback, after rows and output up to that point are delivered.
    pub fn run(&mut self, sink: &mut dyn Sink) -> Result<Status, Error> {
        self.run_to(u64::MAX, sink)
    }

    /// Runs to the program's end or until `step` steps are done, whichever comes first.
    ///
    /// # Errors
    /// The same as for [`Session::run`].
    ///
    /// # Panics
    /// The same as for [`Session::run`].
    pub fn run_to(&mut self, step: u64, sink: &mut dyn Sink) -> Result<Status, Error> {
        check_cycles(&self.limits, self.machine())?;
        let start = RunStart {
            program: &self.program,
            machine: self.machine(),
            level: sink.level(),
            schema: RowSchema::Words32,
            step: self.steps(),
        };
        let location = self.location();
        sink.begin(&start).map_err(|source| Error::Sink { location, source })?;
        let ran = match self.unsaid {
            Some(status) => Ok(status),
            None => self.run.run(step, &self.limits, &self.cancel, sink),
        };
        if matches!(ran, Err(Error::Sink { .. })) {
            return ran;
        }
        // Kept for the next run, should the sink fail or panic now.
        self.unsaid = ran.as_ref().ok().copied().filter(|status| *status != Status::Reached);
        let ended = sink.end(self.steps());
        let location = self.location();
        match (ran, ended) {
            (Ok(_), Err(source)) => Err(Error::Sink { location, source }),
            (ran, _) => {
                self.unsaid = None;
                ran
            }
        }
    }

    /// Ends the session and returns its result.
    pub fn finish(self) -> Outcome {
        let state = self.state();
        Outcome {
            status: state.exit().or((!self.run.is_over()).then_some(Status::Reached)),
            location: state.location(),
            registers: state.vm().registers(),
            time: state.spent(),
            stats: state.stats(),
            machine_report: MachineReport(self.run.report()),
        }
    }

    /// Resumes a paused program of machine `r0vm`. Segments, cycles and the limit on cycles then start at 0 again; the
    /// steps do not.
    ///
    /// # Errors
    /// Returns [`Error::Ended`] if the program is not paused. Returns [`Error::Unfinished`] if the last run failed
    /// before everything was handed over: one more run does that.
    pub fn resume(&mut self) -> Result<(), Error> {
        let location = self.location();
        if self.run.owes() || self.unsaid.is_some() {
            return Err(Error::Unfinished { location });
        }
        match self.run.resume() {
            true => Ok(()),
            false => Err(Error::Ended { location }),
        }
    }

    /// Returns the state, for internal callers that need more of it.
    pub(crate) fn state(&self) -> &dyn State {
        self.run.state()
    }

    /// Returns the machine that the session runs on.
    pub fn machine(&self) -> MachineKind {
        self.state().machine()
    }

    /// Returns a replay that starts at the current state and that rows and effects advance. It is a sink that follows
    /// this session or a recorded trace of it, up to step `until`, and checks every operand that it sees.
    pub fn replay(&self, until: u64) -> Replay {
        self.state().replay(until)
    }

    /// Returns the number of steps done, which is the number of the next step.
    pub fn steps(&self) -> u64 {
        self.state().vm().steps()
    }

    /// Returns the address of the next instruction.
    pub fn pc(&self) -> u32 {
        self.state().vm().pc()
    }

    /// Returns the current location.
    pub fn location(&self) -> Location {
        self.state().location()
    }

    /// Returns x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        self.state().vm().registers()
    }

    /// Returns the word at the word-aligned address at or below `address`, whatever the guest may do there.
    pub fn word(&self, address: u32) -> u32 {
        self.state().vm().word(address)
    }

    /// Returns `bytes` bytes from `address`; `None` if they would run past the end of the address space.
    pub fn bytes(&self, address: u32, bytes: u32) -> Option<&[u8]> {
        self.state().vm().bytes(address, bytes)
    }

    /// Returns the BLAKE3 hash over every nonzero page: its number (u32, little-endian) and its 1,024 bytes, in
    /// ascending order.
    pub fn memory_digest(&self) -> blake3::Hash {
        memory::digest(self.state().vm())
    }

    /// Returns the code the program ended with, once it has.
    pub fn exit_code(&self) -> Option<u32> {
        self.state().exit_code()
    }

    /// Returns the time spent running.
    pub fn time(&self) -> Duration {
        self.state().spent()
    }

    /// Returns the machine's own report, if it makes one.
    pub(crate) fn machine_report(&self) -> Option<Box<dyn Any>> {
        self.run.report()
    }

    /// Returns counters about how the session ran.
    pub fn stats(&self) -> Stats {
        self.state().stats()
    }

    /// Returns the limits, for changes that apply from the next run on.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Returns a handle that cancels this session from another thread and reports its progress there.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }
}

/// Rejects a limit on cycles on a machine that counts none.
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
    /// Shows the location and how the session ended, but not its memory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown.field("machine", &self.machine()).field("steps", &self.steps());
        shown.field("pc", &format_args!("{:#010x}", self.pc())).field("exit_code", &self.exit_code());
        shown.field("limits", &self.limits).finish_non_exhaustive()
    }
}
