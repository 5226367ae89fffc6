//! Runs one case under several engines and compares everything that an engine could get wrong: rows, effects, the end
//! of the run, registers, memory and output.

use std::fmt::Write as _;

use tachy::disasm::disassemble;
use tachy::isa::Variant;
use tachy::program::{Permissions, Segment};
use tachy::trace::{Effect, VecSink};
use tachy::{
    Engine, Env, Error, Executor, JitOptions, Limits, Location, MachineKind, NullSink, Program, Row, Session, Sink,
    Status,
};

use super::oracle;

/// A case: everything that determines the trace.
#[derive(Clone)]
pub struct Case {
    pub program: Program,
    pub machine: MachineKind,
    pub args: Vec<Vec<u8>>,
    pub stdin: Vec<u8>,
    pub limits: Limits,
    /// Base-2 logarithm of the cycles in a segment of machine `r0vm`.
    pub segment_po2: Option<u32>,
    /// Whether to compare all of memory, which takes longer than a short run. Otherwise only the segments and the usual
    /// extent of heap and stack are compared.
    pub whole_memory: bool,
}

/// A setup: everything that must not affect the trace.
#[derive(Debug, Clone)]
pub struct Setup {
    /// JIT options; `None` selects the interpreter.
    pub jit: Option<JitOptions>,
    pub buffer_rows: usize,
}

/// The end of a run, in comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Done(Status),
    Failed { kind: &'static str, location: Option<Location>, text: String },
}

/// A session's state between two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub steps: u64,
    pub pc: u32,
    pub registers: [u32; 32],
    pub memory: blake3::Hash,
    pub exit_code: Option<u32>,
    /// Pages counted against the memory limit.
    pub pages: u64,
    pub ecalls: (u64, u64),
}

/// Everything observable of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub end: End,
    pub rows: Vec<Row>,
    pub effects: Vec<Effect>,
    /// `None` if the session did not start.
    pub state: Option<State>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Case {
    pub fn new(program: Program) -> Case {
        Case {
            program,
            machine: MachineKind::Bare,
            args: vec![b"guest".to_vec()],
            stdin: Vec::new(),
            limits: Limits::default(),
            segment_po2: None,
            whole_memory: true,
        }
    }

    /// Builds a case of readable and executable code at an address, plus other segments.
    pub fn code(base: u32, words: &[u32], mut segments: Vec<Segment>) -> Case {
        segments.push(Segment::from_words(base, words, Permissions::RX));
        Case::new(Program::from_segments(base, segments).expect("a test's own program"))
    }

    /// Moves the case to another machine.
    pub fn on(mut self, machine: MachineKind) -> Case {
        self.machine = machine;
        self
    }

    pub fn limit_steps(mut self, steps: u64) -> Case {
        self.limits.steps = Some(steps);
        self
    }

    pub fn env<'a>(&'a self, stdout: &'a mut Vec<u8>, stderr: &'a mut Vec<u8>) -> Env<'a> {
        let env = Env::new();
        match (self.machine, self.segment_po2) {
            (MachineKind::R0vm, Some(po2)) => env.segment_po2(po2),
            (MachineKind::R0vm, None) => env,
            _ => env.args(self.args.iter().cloned()).stdin(&self.stdin[..]).stdout(stdout).stderr(stderr),
        }
    }

    pub fn variant(&self) -> Variant {
        self.machine.variant()
    }
}

impl Setup {
    pub fn interpreter() -> Setup {
        Setup { jit: None, buffer_rows: 1024 }
    }

    pub fn jit(options: JitOptions) -> Setup {
        Setup { jit: Some(options), buffer_rows: 1024 }
    }

    /// Translates everything at first sight.
    pub fn eager() -> Setup {
        Setup::jit(JitOptions::eager())
    }

    pub fn threshold(mut self, threshold: u16) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.threshold = threshold;
        }
        self
    }

    pub fn region_instructions(mut self, instructions: usize) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.region_instructions = instructions;
        }
        self
    }

    pub fn merge_interval_steps(mut self, steps: u32) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.merge_interval_steps = steps;
        }
        self
    }

    pub fn code_bytes(mut self, bytes: usize) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.code_bytes = bytes;
        }
        self
    }

    /// Limits translation to what the executed steps pay for, or lifts that limit.
    pub fn paid_by_steps(mut self, paid_by_steps: bool) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.paid_by_steps = paid_by_steps;
        }
        self
    }

    /// Translates on a background thread, or synchronously.
    pub fn background(mut self, background: bool) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.background = background;
        }
        self
    }

    /// Changes the engine at every block.
    pub fn alternate_engines(mut self) -> Setup {
        if let Some(jit) = &mut self.jit {
            jit.alternate_engines = true;
        }
        self
    }

    pub fn buffer_rows(mut self, rows: usize) -> Setup {
        self.buffer_rows = rows;
        self
    }

    pub fn executor(&self, case: &Case) -> Executor {
        let builder = Executor::builder().machine(case.machine).limits(case.limits).buffer_rows(self.buffer_rows);
        let builder = match &self.jit {
            None => builder.engine(Engine::Interpreter),
            Some(options) => builder.engine(Engine::Jit).jit(options.clone()),
        };
        builder.build(&case.program).expect("a test's own configuration")
    }
}

impl End {
    pub fn of(result: Result<Status, Error>) -> End {
        match result {
            Ok(status) => End::Done(status),
            Err(error) => End::Failed { kind: error.kind(), location: error.location(), text: super::said(&error) },
        }
    }
}

impl State {
    pub fn of(session: &Session<'_>, case: &Case) -> State {
        let stats = session.stats();
        let memory = match case.whole_memory {
            true => session.memory_digest(),
            false => memory_near(session, case),
        };
        State {
            steps: session.steps(),
            pc: session.pc(),
            registers: session.registers(),
            memory,
            exit_code: session.exit_code(),
            pages: stats.pages,
            ecalls: (stats.ecalls, stats.ecalls_unknown),
        }
    }
}

/// Hashes the segments' pages, the memory after the last of them, and the end of the stack.
fn memory_near(session: &Session<'_>, case: &Case) -> blake3::Hash {
    const AROUND_BYTES: u32 = 64 << 10;
    const STACK_TOP: u32 = 0xf000_0000;
    let mut hasher = blake3::Hasher::new();
    let pages = case.program.segments().iter().map(|segment| (segment.address & !1023, segment.memory_bytes + 2047));
    let end = case.program.end() as u32;
    for (address, bytes) in pages.chain([(end, AROUND_BYTES), (STACK_TOP - AROUND_BYTES, AROUND_BYTES)]) {
        // At most up to the end of the address space.
        let bytes = if address == 0 { bytes } else { bytes.min(address.wrapping_neg()) };
        hasher.update(session.bytes(address, bytes).expect("inside the address space"));
    }
    hasher.finalize()
}

/// Runs a case with rows.
pub fn run(case: &Case, setup: &Setup) -> Outcome {
    let mut sink = VecSink::default();
    let outcome = run_with(case, setup, |session| session.run(&mut sink));
    Outcome { rows: sink.rows, effects: sink.effects, ..outcome }
}

/// Runs a case without rows.
pub fn run_untraced(case: &Case, setup: &Setup) -> Outcome {
    run_with(case, setup, |session| session.run(&mut NullSink::off()))
}

/// Runs a case with `drive`, which decides about rows.
pub fn run_with(case: &Case, setup: &Setup, drive: impl FnOnce(&mut Session<'_>) -> Result<Status, Error>) -> Outcome {
    run_on(&setup.executor(case), case, drive)
}

/// Like [`run_with`], on an executor of this case that may have run it before.
pub fn run_on(
    executor: &Executor,
    case: &Case,
    drive: impl FnOnce(&mut Session<'_>) -> Result<Status, Error>,
) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (end, state) = match executor.start(case.env(&mut stdout, &mut stderr)) {
        Err(error) => (End::of(Err(error)), None),
        Ok(mut session) => {
            let end = End::of(drive(&mut session));
            (end, Some(State::of(&session, case)))
        }
    };
    Outcome { end, rows: Vec::new(), effects: Vec::new(), state, stdout, stderr }
}

/// Returns the first difference between two runs with rows, if any.
pub fn difference(reference: &Outcome, other: &Outcome, variant: Variant) -> Option<String> {
    first_different_row(&reference.rows, &other.rows, variant)
        .or_else(|| first_different_effect(&reference.effects, &other.effects))
        .or_else(|| final_difference(reference, other))
}

/// Returns the difference between the ends of two runs, without rows and effects.
pub fn final_difference(reference: &Outcome, other: &Outcome) -> Option<String> {
    if reference.end != other.end {
        return Some(format!("the ends differ\n  expected {:?}\n  found    {:?}", reference.end, other.end));
    }
    if reference.stdout != other.stdout || reference.stderr != other.stderr {
        return Some("the outputs differ".to_string());
    }
    if reference.state == other.state {
        return None;
    }
    let (Some(a), Some(b)) = (&reference.state, &other.state) else {
        return Some("only one of the sessions started".to_string());
    };
    let mut text = "the final states differ (expected, found)\n".to_string();
    for (number, (a, b)) in a.registers.iter().zip(b.registers).enumerate().filter(|(_, (a, b))| *a != b) {
        let _ = writeln!(text, "  x{number} {a:#010x} {b:#010x}");
    }
    if a.memory != b.memory {
        text += "  memory\n";
    }
    let _ = writeln!(text, "  pc {:#010x} {:#010x}, steps {} {}", a.pc, b.pc, a.steps, b.steps);
    let _ = writeln!(text, "  exit code {:?} {:?}, pages {} {}", a.exit_code, b.exit_code, a.pages, b.pages);
    let _ = write!(text, "  ecalls {:?} {:?}", a.ecalls, b.ecalls);
    Some(text)
}

/// Returns the first row that differs, in both versions, with a few rows before it.
pub fn first_different_row(reference: &[Row], other: &[Row], variant: Variant) -> Option<String> {
    let step = reference.iter().zip(other).position(|(a, b)| a != b);
    let step = step.or((reference.len() != other.len()).then_some(reference.len().min(other.len())))?;
    let show = |rows: &[Row]| match rows.get(step) {
        Some(row) => show_row(row, variant),
        None => format!("no row: {} in all", rows.len()),
    };
    let mut text = format!("the rows of step {step} differ\n");
    for row in &reference[step.saturating_sub(6)..step.min(reference.len())] {
        let _ = writeln!(text, "  before   {}", show_row(row, variant));
    }
    let _ = write!(text, "  expected {}\n  found    {}", show(reference), show(other));
    Some(text)
}

pub fn first_different_effect(reference: &[Effect], other: &[Effect]) -> Option<String> {
    let index = reference.iter().zip(other).position(|(a, b)| a != b);
    let index = index.or((reference.len() != other.len()).then_some(reference.len().min(other.len())))?;
    let (a, b) = (reference.get(index), other.get(index));
    Some(format!("effect {index} differs\n  expected {a:?}\n  found    {b:?}"))
}

/// Formats a row on one line, with its instruction as text.
pub fn show_row(row: &Row, variant: Variant) -> String {
    let Row { pc, insn, rs1, rs2, rd, addr, mem_before, mem_after } = *row;
    let text = disassemble(insn, pc, variant);
    format!(
        "{pc:#010x} {insn:08x} {text:<28} rs1 {rs1:08x} rs2 {rs2:08x} rd {rd:08x} addr {addr:08x} \
         memory {mem_before:08x} {mem_after:08x}"
    )
}

/// Runs a case under the interpreter, judged by the oracle, and under each setup, with rows and without. Panics at the
/// first difference, and otherwise returns the interpreter's outcome.
pub fn assert_same(what: &str, case: &Case, setups: &[Setup]) -> Outcome {
    let reference = oracle::judged(case).unwrap_or_else(|text| panic!("{what}: {text}"));
    for setup in setups {
        if let Some(text) = difference(&reference, &run(case, setup), case.variant()) {
            panic!("{what}, {setup:?}, with rows: {text}\n{}", repeat_command(None));
        }
        if let Some(text) = final_difference(&reference, &run_untraced(case, setup)) {
            panic!("{what}, {setup:?}, without rows: {text}\n{}", repeat_command(None));
        }
    }
    reference
}

/// Returns the command that repeats the running test, for messages.
pub fn repeat_command(seed: Option<u64>) -> String {
    let seed = seed.map_or(String::new(), |seed| format!("TACHY_SEED={seed} "));
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    format!("again with: {seed}cargo test --test {} -- --nocapture {test}", env!("CARGO_CRATE_NAME"))
}

/// Returns a sink that accepts anything, for runs in which only the level matters.
pub fn sink_for(traced: bool) -> Box<dyn Sink> {
    match traced {
        true => Box::new(VecSink::default()),
        false => Box::new(NullSink::off()),
    }
}
