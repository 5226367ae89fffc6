//! Arguments that several subcommands share. It must not open anything.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tachy::jit::DiskCache;
use tachy::{Builder, Engine, Executor, JitOptions, Limits, MachineKind};

use crate::cache;
use crate::repeat::option;
use crate::risc0::args::R0vmArgs;
use crate::values::{InputPath, Machine, Target, bytes, number, seconds, target, threshold};

/// A program, its input and its limits.
#[derive(Args)]
pub(crate) struct GuestArgs {
    /// Static RV32IM executable (ELF) or RISC Zero program binary (R0BF); - means standard input
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: InputPath,

    /// Arguments of the guest. On machine bare, its argument 0 is PROGRAM
    #[arg(last = true, value_name = "ARG")]
    pub(crate) args: Vec<OsString>,

    /// Read the guest's standard input from FILE; - means the standard input of tachy
    ///
    /// On machine r0vm, the guest reads it with env::read. Without the option, a guest on machine bare reads the standard
    /// input of tachy, and a guest on machine r0vm reads nothing, as with RISC Zero's own tools.
    ///
    /// On machine bare a read returns the bytes that have arrived and waits only if there are none, as read(2) does. So
    /// the same bytes from a pipe or a terminal may arrive in different pieces, which makes a different run. A file
    /// repeats exactly. On machine r0vm a read waits until its buffer is full or the input ends.
    ///
    /// --limit-time, Ctrl-C, SIGTERM and SIGHUP stop a guest that waits for input.
    #[arg(long, value_name = "FILE", visible_alias = "input")]
    pub(crate) stdin: Option<InputPath>,

    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,

    #[command(flatten)]
    pub(crate) r0vm: R0vmArgs,
}

/// The machine, the limits and the options of the JIT.
#[derive(Args)]
pub(crate) struct ConditionArgs {
    #[command(flatten)]
    machine: MachineArg,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    jit: JitArgs,
}

/// The machine that runs the program.
#[derive(Args)]
pub(crate) struct MachineArg {
    /// Machine that runs the guest
    #[arg(long, value_enum, value_name = "MACHINE", default_value_t = Machine::Auto)]
    pub(crate) machine: Machine,
}

/// Limits. Those on steps, memory and output stop both engines at the same step.
#[derive(Args)]
struct LimitArgs {
    /// Stop after N steps
    #[arg(long, value_name = "N", value_parser = number)]
    limit_steps: Option<u64>,

    /// Stop before the guest uses more memory than this, in pages of 1 KiB; suffixes K, M and G
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit_memory: Option<u64>,

    /// Stop before the guest writes more output than this; suffixes K, M and G
    ///
    /// On machine bare, standard output and standard error count together. On machine r0vm, all outputs of the guest and
    /// those of the kernel count.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit_output: Option<u64>,

    /// Stop soon after this time, even if the guest waits for input or output; fractions are allowed
    ///
    /// The run may stop at any step.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    limit_time: Option<Duration>,
}

/// Options of the JIT, for tests and measurements.
#[derive(Args)]
struct JitArgs {
    /// Translate code when it runs for the Nth time, up to 32,768; 0 translates all code before it runs
    #[arg(long, value_name = "N", value_parser = threshold, hide_short_help = true)]
    jit_threshold: Option<u16>,

    /// Maximum number of guest instructions that are translated together
    #[arg(long, value_name = "N", value_parser = number, hide_short_help = true)]
    region_instructions: Option<u64>,

    /// Translate on the thread that runs the guest, which waits meanwhile
    #[arg(long, hide_short_help = true)]
    no_background: bool,

    /// Write the names of native code to /tmp/perf-PID.map for Linux perf
    #[arg(long, hide_short_help = true)]
    perf_map: bool,
}

/// Whether a run uses the code that earlier runs compiled.
#[derive(Args)]
pub(crate) struct NoCacheArg {
    /// Neither use native code of earlier runs nor keep that of this one
    ///
    /// `tachy cache` shows and clears what is kept.
    #[arg(long)]
    no_cache: bool,
}

impl NoCacheArg {
    pub(crate) fn cache(&self) -> Option<DiskCache> {
        (!self.no_cache).then(cache::folder).flatten().map(DiskCache::new)
    }
}

/// Whether a command uses the code that earlier runs compiled, where it usually does not.
#[derive(Args)]
pub(crate) struct CacheArg {
    /// Use native code of earlier runs, and keep that of this one
    #[arg(long, hide_short_help = true)]
    cache: bool,
}

impl CacheArg {
    pub(crate) fn cache(&self) -> Option<DiskCache> {
        self.cache.then(cache::folder).flatten().map(DiskCache::new)
    }
}

/// All arguments of a guest, starting with its name.
pub(crate) fn argv(program: &InputPath, args: &[OsString]) -> Vec<Vec<u8>> {
    let all = std::iter::once(program.as_path().as_os_str()).chain(args.iter().map(OsString::as_os_str));
    all.map(|arg| arg.as_encoded_bytes().to_vec()).collect()
}

impl ConditionArgs {
    /// A builder for executors with these options.
    pub(crate) fn builder(&self, engine: Engine, machine: MachineKind) -> Builder {
        Executor::builder().engine(engine).machine(machine).limits(self.limits()).jit(self.jit())
    }

    /// The limits and the options of the JIT as words of a command line.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        let LimitArgs { limit_steps, limit_memory, limit_output, limit_time } = self.limits;
        let JitArgs { jit_threshold, region_instructions, no_background, perf_map } = self.jit;
        let values = [
            ("--limit-steps", limit_steps.map(|steps| steps.to_string())),
            ("--limit-memory", limit_memory.map(|bytes| bytes.to_string())),
            ("--limit-output", limit_output.map(|bytes| bytes.to_string())),
            ("--limit-time", limit_time.map(|time| time.as_secs_f64().to_string())),
            ("--jit-threshold", jit_threshold.map(|threshold| threshold.to_string())),
            ("--region-instructions", region_instructions.map(|instructions| instructions.to_string())),
        ];
        let flags = [("--no-background", no_background), ("--perf-map", perf_map)];
        let values = values.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let flags = flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned());
        values.chain(flags).map(OsString::from).collect()
    }

    /// The machine as a word of a command line, if the user chose one.
    pub(crate) fn machine_option(&self) -> Option<OsString> {
        let value = self.machine.machine.to_possible_value()?;
        let name = Some(value.get_name()).filter(|_| !matches!(self.machine.machine, Machine::Auto));
        name.map(|name| option("--machine", name))
    }

    /// The machine that the user chose.
    pub(crate) fn machine(&self) -> Machine {
        self.machine.machine
    }

    pub(crate) fn limits(&self) -> Limits {
        let LimitArgs { limit_steps, limit_memory, limit_output, limit_time } = self.limits;
        Limits::none()
            .steps(limit_steps)
            .memory_bytes(limit_memory)
            .output_bytes(limit_output)
            .time(limit_time)
            .cycles(None)
    }

    pub(crate) fn jit(&self) -> JitOptions {
        let mut options = JitOptions::default();
        if let Some(threshold) = self.jit.jit_threshold {
            options.threshold = threshold;
        }
        if let Some(instructions) = self.jit.region_instructions {
            options.region_instructions = instructions.try_into().unwrap_or(usize::MAX);
        }
        options.background = !self.jit.no_background;
        options.perf_map = self.jit.perf_map;
        options
    }
}

/// The engine that runs the guest.
#[derive(Args)]
pub(crate) struct EngineArgs {
    /// Translate hot code to native code (the default)
    #[arg(long, conflicts_with = "interpreter")]
    jit: bool,

    /// Interpret every step; the interpreter is the reference
    #[arg(long)]
    interpreter: bool,

    /// Run both engines and compare every row; the first difference ends the run
    #[arg(long, conflicts_with_all = ["jit", "interpreter"])]
    crosscheck: bool,
}

impl EngineArgs {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            EngineArgs { interpreter: true, .. } => Engine::Interpreter,
            EngineArgs { crosscheck: true, .. } => Engine::Crosscheck,
            _ => Engine::Jit,
        }
    }
}

/// What to report about a run besides its output.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// Print statistics of the run on standard error
    #[arg(long)]
    pub(crate) stats: bool,

    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// Where to write the result as JSON.
#[derive(Args)]
pub(crate) struct JsonArg {
    /// Write the result as a JSON object to FILE (--json=FILE), or to standard output
    ///
    /// With standard output, the guest's output goes to standard error.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    json: Option<PathBuf>,
}

impl JsonArg {
    pub(crate) fn target(&self) -> Target<'_> {
        target(self.json.as_deref())
    }
}
