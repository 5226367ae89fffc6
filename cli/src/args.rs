//! What several subcommands accept. It must not open anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tachy::{Builder, Engine, Executor, JitOptions, Limits, MachineKind};

use crate::repeat::option;
use crate::risc0::args::R0vmArgs;
use crate::values::{Machine, Target, bytes, number, seconds, target, threshold};

/// A program, its surroundings and its limits.
#[derive(Args)]
pub(crate) struct GuestArgs {
    /// Static RV32IM executable (ELF), or RISC Zero program binary (R0BF); - is standard input
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: PathBuf,

    /// Arguments of the guest; before them, but not on machine r0vm, it finds its name, which is PROGRAM
    #[arg(last = true, value_name = "ARG")]
    pub(crate) args: Vec<OsString>,

    /// What the guest reads as its standard input; on machine r0vm, what it takes with env::read; - is our own
    ///
    /// Without it a guest on machine bare reads our standard input. On machine r0vm it finds an empty one, as with RISC
    /// Zero's own tools.
    ///
    /// On machine bare a read gives what is there and waits only where nothing is, as read(2) does: a program that needs
    /// more asks again. From a pipe or a terminal the same bytes may thus come in other pieces, and make another run; a
    /// file repeats exactly. On machine r0vm a read waits until it is filled or the input ends.
    ///
    /// A guest that waits for input can be stopped by --limit-time, Ctrl-C, SIGTERM and SIGHUP.
    #[arg(long, value_name = "FILE", visible_alias = "input")]
    pub(crate) stdin: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,

    #[command(flatten)]
    pub(crate) r0vm: R0vmArgs,
}

/// What a program runs on and under.
#[derive(Args)]
pub(crate) struct ConditionArgs {
    #[command(flatten)]
    machine: MachineArg,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    jit: JitArgs,
}

/// Which machine a program is for.
#[derive(Args)]
pub(crate) struct MachineArg {
    /// The guest's environment
    #[arg(long, value_enum, value_name = "MACHINE", default_value_t = Machine::Auto)]
    pub(crate) machine: Machine,
}

/// Limits; steps, memory and output stop both engines at the same step.
#[derive(Args)]
struct LimitArgs {
    /// Stop after N steps
    #[arg(long, value_name = "N", value_parser = number)]
    limit_steps: Option<u64>,

    /// Stop when the guest needs more memory, in pages of 1 KiB; suffixes K, M and G
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit_memory: Option<u64>,

    /// Stop before the guest has written more to its standard output and error together, on r0vm to all its outputs and the
    /// kernel's; suffixes K, M and G
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit_output: Option<u64>,

    /// Stop soon after this time, at no particular step, also where the guest waits for input or for whoever reads its
    /// output; fractions allowed
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    limit_time: Option<Duration>,
}

/// How native code is made, for tests and measurements.
#[derive(Args)]
struct JitArgs {
    /// Translate code at its Nth execution, up to 32,768; 0: at first sight
    #[arg(long, value_name = "N", value_parser = threshold, hide_short_help = true)]
    jit_threshold: Option<u16>,

    /// Guest instructions translated at once, at the most
    #[arg(long, value_name = "N", value_parser = number, hide_short_help = true)]
    region_instructions: Option<u64>,

    /// Translate on the thread that runs the guest, which waits for it
    #[arg(long, hide_short_help = true)]
    no_background: bool,

    /// Name native code for Linux's perf, in /tmp/perf-PID.map
    #[arg(long, hide_short_help = true)]
    perf_map: bool,
}

/// All arguments of a guest, its name first.
pub(crate) fn argv(program: &Path, args: &[OsString]) -> Vec<Vec<u8>> {
    let all = std::iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
    all.map(|arg| arg.as_encoded_bytes().to_vec()).collect()
}

impl ConditionArgs {
    /// An executor's beginnings.
    pub(crate) fn builder(&self, engine: Engine, machine: MachineKind) -> Builder {
        Executor::builder().engine(engine).machine(machine).limits(self.limits()).jit(self.jit())
    }

    /// The limits and options of the JIT as a command line says them, for a process of our own.
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

    /// The machine as an option, if one was asked for.
    pub(crate) fn machine_option(&self) -> Option<OsString> {
        let value = self.machine.machine.to_possible_value()?;
        let name = Some(value.get_name()).filter(|_| !matches!(self.machine.machine, Machine::Auto));
        name.map(|name| option("--machine", name))
    }

    /// The machine that was asked for.
    pub(crate) fn machine(&self) -> Machine {
        self.machine.machine
    }

    pub(crate) fn limits(&self) -> Limits {
        let LimitArgs { limit_steps, limit_memory, limit_output, limit_time } = self.limits;
        Limits {
            steps: limit_steps,
            memory_bytes: limit_memory,
            output_bytes: limit_output,
            time: limit_time,
            cycles: None,
        }
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

/// Which engine.
#[derive(Args)]
pub(crate) struct EngineArgs {
    /// Translate to native code what is hot (the default)
    #[arg(long, conflicts_with = "interpreter")]
    jit: bool,

    /// Interpret every step: the reference
    #[arg(long)]
    interpreter: bool,

    /// Do both and compare every row: the first difference ends the run
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

/// What is told about a run besides its output.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// Tell on standard error how the run went
    #[arg(long)]
    pub(crate) stats: bool,

    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// Where the result goes in a form for programs.
#[derive(Args)]
pub(crate) struct JsonArg {
    /// Write the result as a JSON object to FILE, or to standard output; the guest's output goes to standard error then.
    /// FILE is given behind =
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    json: Option<PathBuf>,
}

impl JsonArg {
    pub(crate) fn target(&self) -> Target<'_> {
        target(self.json.as_deref())
    }
}
