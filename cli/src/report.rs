//! Reports about a run: one JSON object, and statistics for people.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tachy::program::Frame;
use tachy::trace::TraceDigest;
use tachy::{Engine, MachineKind, Session, Stats, risc0};

use crate::args::{GuestArgs, ReportArgs};
use crate::failure::Failure;
use crate::files::Files;
use crate::guest::Guest;
use crate::interrupt;
use crate::kind::Kind;
use crate::load::Loaded;
use crate::output::{Output, Writer};
use crate::risc0::facts::{self, CallFacts, ExitFacts, R0vmFacts};
use crate::risc0::seed::Seed;
use crate::streams::{GuestStdout, say};
use crate::text::{count, grouped};
use crate::values::Target;

/// The JSON object of a run. It is filled during the run, so that it is correct however the run ends.
#[derive(Serialize, Default)]
pub(crate) struct Facts {
    pub(crate) engine: EngineName,
    pub(crate) machine: Option<String>,
    pub(crate) program_digest: Option<String>,
    pub(crate) steps: u64,
    /// The guest's exit code, all 32 bits.
    pub(crate) exit: Option<ExitFacts>,
    pub(crate) error: Option<ErrorFacts>,
    /// Address of the next instruction.
    pub(crate) pc: Option<u32>,
    pub(crate) seconds: f64,
    /// Rows delivered.
    pub(crate) rows: u64,
    pub(crate) digests: Digests,
    /// Only on machine `r0vm`.
    #[serde(flatten)]
    r0vm: Option<R0vmFacts>,
    /// Only for a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agree: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<DifferenceFacts>,
    /// Only with `--stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsFacts>,
}

/// The engine or engines of a run.
#[derive(Serialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    #[default]
    Jit,
    Interpreter,
    Crosscheck,
    /// Both, compared by `tachy diff`.
    Both,
}

impl From<Engine> for EngineName {
    fn from(engine: Engine) -> EngineName {
        match engine {
            Engine::Jit => EngineName::Jit,
            Engine::Interpreter => EngineName::Interpreter,
            Engine::Crosscheck => EngineName::Crosscheck,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ErrorFacts {
    kind: Kind,
    pc: Option<u32>,
    step: Option<u64>,
    address: Option<u32>,
    /// The function and the source line, if the program's file has them.
    symbol: Option<String>,
    source: Option<String>,
    /// All functions that are inlined at the address, the innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frames: Vec<FrameFacts>,
    /// The ecall of the user program that the kernel was serving. `symbol` and `source` describe it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_pc: Option<u32>,
    message: String,
}

impl ErrorFacts {
    pub(crate) fn new(failure: &Failure) -> ErrorFacts {
        ErrorFacts {
            kind: failure.kind,
            pc: failure.location.map(|location| location.pc),
            step: failure.location.map(|location| location.step),
            address: failure.address,
            symbol: failure.code.symbol.clone(),
            source: failure.code.source.clone(),
            frames: failure.code.frames.iter().map(FrameFacts::new).collect(),
            user_pc: failure.code.user_pc,
            message: failure.message.clone(),
        }
    }
}

#[derive(Serialize)]
struct FrameFacts {
    function: Option<String>,
    source: Option<String>,
}

impl FrameFacts {
    fn new(frame: &Frame) -> FrameFacts {
        let source = frame.line.as_ref().map(|line| line.to_string());
        FrameFacts { function: frame.function.clone(), source }
    }
}

#[derive(Serialize, Default)]
pub(crate) struct Digests {
    rows: Option<String>,
    effects: Option<String>,
}

impl From<TraceDigest> for Digests {
    fn from(digest: TraceDigest) -> Digests {
        Digests { rows: Some(digest.rows.to_string()), effects: Some(digest.effects.to_string()) }
    }
}

#[derive(Serialize)]
pub(crate) struct DifferenceFacts {
    pub(crate) step: u64,
    pub(crate) what: Vec<String>,
}

/// [`Stats`] for JSON.
#[derive(Serialize)]
struct StatsFacts {
    interpreted_steps: u64,
    entries: u64,
    transfers: u64,
    deopts: u64,
    access_assists: u64,
    refill_assists: u64,
    regions: u64,
    regions_merged: u64,
    regions_loaded: u64,
    translated_instructions: u64,
    code_bytes: u64,
    code_pages: u64,
    regions_refused: u64,
    compile_seconds: f64,
    background_seconds: f64,
    code_flushes: u64,
    invalidations: u64,
    ecalls: u64,
    ecalls_unknown: u64,
    pages: u64,
    /// Only on machine `r0vm`.
    #[serde(flatten)]
    calls: Option<CallFacts>,
}

impl From<Stats> for StatsFacts {
    fn from(stats: Stats) -> StatsFacts {
        StatsFacts {
            interpreted_steps: stats.interpreted_steps,
            entries: stats.entries,
            transfers: stats.transfers,
            deopts: stats.deopts,
            access_assists: stats.access_assists,
            refill_assists: stats.refill_assists,
            regions: stats.regions,
            regions_merged: stats.regions_merged,
            regions_loaded: stats.regions_loaded,
            translated_instructions: stats.translated_instructions,
            code_bytes: stats.code_bytes,
            code_pages: stats.code_pages,
            regions_refused: stats.regions_refused,
            compile_seconds: stats.compile_time.as_secs_f64(),
            background_seconds: stats.background_time.as_secs_f64(),
            code_flushes: stats.code_flushes,
            invalidations: stats.invalidations,
            ecalls: stats.ecalls,
            ecalls_unknown: stats.ecalls_unknown,
            pages: stats.pages,
            calls: None,
        }
    }
}

/// The facts about a run, and where to write them.
pub(crate) struct Report {
    pub(crate) facts: Facts,
    json: Output,
    json_writer: Option<Writer>,
    guest_stdout: GuestStdout,
    /// Whether to print statistics.
    wants_stats: bool,
    stats: Option<(Duration, Stats)>,
    /// The result on machine `r0vm`.
    r0vm: Option<risc0::Report>,
    seed: Option<Seed>,
}

impl Report {
    /// Claims the JSON file, which [`Report::begin`] opens.
    pub(crate) fn claim(
        args: &ReportArgs,
        guest: &GuestArgs,
        files: &mut Files,
        engine: EngineName,
    ) -> Result<Report, Failure> {
        let on_stdout = [args.json.target(), guest.r0vm.journal()].map(|target| matches!(target, Target::Stdout));
        if on_stdout == [true, true] {
            return Err(Failure::usage("JSON and journal cannot share standard output; use a FILE for one of them"));
        }
        Ok(Report {
            facts: Facts { engine, ..Facts::default() },
            json: files.output("--json", args.json.target())?,
            json_writer: None,
            guest_stdout: if on_stdout.contains(&true) { GuestStdout::Stderr } else { GuestStdout::Stdout },
            wants_stats: args.stats,
            stats: None,
            r0vm: None,
            seed: None,
        })
    }

    /// Opens the JSON file before all other outputs, so that it fails before the run and can report later failures.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        self.json_writer = self.json.open_if_wanted()?;
        Ok(())
    }

    /// Whether the user wants the JSON object.
    pub(crate) fn wants_json(&self) -> bool {
        self.json.is_wanted()
    }

    /// Where the guest's standard output goes: to standard error if the JSON object or the journal takes ours.
    pub(crate) fn guest_stdout(&self) -> GuestStdout {
        self.guest_stdout
    }

    /// Records the program. Its digest takes time, so it is computed only for JSON.
    pub(crate) fn guest(&mut self, guest: &Guest<'_>) {
        self.facts.machine = Some(guest.loaded.machine.to_string());
        if self.wants_json() {
            let Loaded { program, machine, .. } = &guest.loaded;
            self.facts.program_digest = Some(blake3::Hash::from(program.digest()).to_string());
            self.facts.r0vm = (*machine == MachineKind::R0vm).then(|| R0vmFacts::of(program, guest.seed));
        }
        self.seed = Some(guest.seed);
    }

    /// Records the state of a session.
    pub(crate) fn session(&mut self, session: &Session<'_>) {
        self.facts.steps = session.steps();
        self.facts.exit = session.exit_code().map(ExitFacts::Code);
        self.r0vm(session.report());
        self.facts.pc = Some(session.pc());
        self.stats(session.time(), session.stats());
    }

    /// Records the result on machine `r0vm`, if the session ran there.
    pub(crate) fn r0vm(&mut self, report: Option<risc0::Report>) {
        if let Some(report) = &report {
            self.facts.exit = report.exit.and_then(ExitFacts::of);
            if let Some(facts) = &mut self.facts.r0vm {
                facts.record(report);
            }
        }
        self.r0vm = report;
    }

    /// Records a part that ended with a pause, after which the session continued.
    pub(crate) fn part(&mut self, report: &risc0::Report) {
        if let Some(facts) = &mut self.facts.r0vm {
            facts.record_part(report);
        }
    }

    /// Records time and statistics.
    pub(crate) fn stats(&mut self, time: Duration, stats: Stats) {
        self.facts.seconds = time.as_secs_f64();
        self.stats = Some((time, stats));
    }

    /// Prints and writes the report. Returns the result of the run, or a failure to write.
    pub(crate) fn close(mut self, result: Result<u8, Failure>) -> Result<u8, Failure> {
        interrupt::end();
        if let Err(failure) = &result {
            self.facts.error = Some(ErrorFacts::new(failure));
        }
        if let Some((time, stats)) = self.stats.filter(|_| self.wants_stats) {
            say(&stats_text(self.facts.steps, time, &stats, self.r0vm.as_ref(), self.seed));
            self.facts.stats = Some(StatsFacts { calls: self.r0vm.as_ref().map(CallFacts::from), ..stats.into() });
        }
        let written = self.json_writer.map_or(Ok(()), |mut writer| write_json(&self.facts, &mut writer));
        let written = written.and(self.json.commit());
        // The first failure is returned.
        result.and_then(|code| written.map(|()| code))
    }
}

/// Writes one object on one line.
pub(crate) fn write_json(object: &impl Serialize, writer: &mut Writer) -> Result<(), Failure> {
    let text = serde_json::to_string(object).map_err(io::Error::from);
    text.and_then(|text| writer.write_all((text + "\n").as_bytes())).map_err(|error| Failure::output("JSON", &error))
}

fn stats_text(steps: u64, time: Duration, stats: &Stats, r0vm: Option<&risc0::Report>, seed: Option<Seed>) -> String {
    let seconds = time.as_secs_f64();
    let rate = if seconds > 0.0 { steps as f64 / seconds / 1e6 } else { 0.0 };
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let lines = [
        ("steps", format!("{} in {seconds:.3} s: {rate:.1} M steps/s", grouped(steps))),
        ("interpreted", count(stats.interpreted_steps, "step")),
        ("regions", format!("{} of {}", grouped(stats.regions), count(stats.translated_instructions, "instruction"))),
        ("merged", grouped(stats.regions_merged)),
        ("from disk", count(stats.regions_loaded, "region")),
        ("compile time", format!("{:.1} ms", millis(stats.compile_time))),
        ("in background", format!("{:.1} ms", millis(stats.background_time))),
        ("refused", count(stats.regions_refused, "region")),
        ("code", format!("{} in {}", count(stats.code_bytes, "byte"), count(stats.code_pages, "page"))),
        ("code flushes", grouped(stats.code_flushes)),
        ("invalidations", grouped(stats.invalidations)),
        ("entries", grouped(stats.entries)),
        ("transfers", grouped(stats.transfers)),
        ("deopts", grouped(stats.deopts)),
        ("assists", grouped(stats.access_assists)),
        ("refills", grouped(stats.refill_assists)),
        ("ecalls", format!("{} ({} unknown)", grouped(stats.ecalls), grouped(stats.ecalls_unknown))),
        ("pages", format!("{} of 1 KiB", grouped(stats.pages))),
    ];
    lines
        .into_iter()
        .chain(r0vm.map(|report| facts::stats(report, seed)).unwrap_or_default())
        .map(|(name, value)| format!("{name:<14} {value}\n"))
        .collect()
}
