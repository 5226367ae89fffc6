//! Programs that call every kind of the caller's code, and everything observable of their runs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tachy::risc0::host::{Assumption, HostEnv};
use tachy::risc0::{Report, TraceEvent};
use tachy::trace::VecSink;
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, NullSink, Program, Session, Status};

use super::faults::{Asking, Echo, Fault, How, Kept, Pieces, Point, Recorder, Said, Taker, take_events, take_segments};
use crate::common::cases::{self, guest, writer};
use crate::common::engines::{Case, first_different_effect, first_different_row};
use crate::environment::{Environment, sequence};
use crate::reference_guests;

/// A program and its environment.
pub struct Subject {
    pub name: &'static str,
    pub program: Program,
    pub machine: MachineKind,
    pub args: Vec<Vec<u8>>,
    pub environment: Environment,
    /// Maximum number of bytes that a stream moves at once.
    pub most: usize,
    /// Whether to compare segments as well, which takes time.
    pub segments: bool,
    pub events: bool,
    /// Whether the host is one of the caller's own.
    pub own_host: bool,
    /// Whether the caller takes batches of Keccak permutations.
    pub coprocessor: bool,
}

/// Everything observable of a run, however often it was interrupted.
pub struct Seen {
    pub sink: VecSink,
    segments: Vec<blake3::Hash>,
    events: Vec<TraceEvent>,
    said: Vec<Vec<u8>>,
    end: Option<u32>,
    state: (u64, u32, [u32; 32], blake3::Hash),
    counts: [u64; 3],
    reports: Vec<Option<Report>>,
    /// The kinds of the failures; "panic" for a panic.
    pub failures: Vec<&'static str>,
}

/// The engines of every test.
pub const ENGINES: [&str; 4] = ["interpreter", "eager", "default", "crosscheck"];

impl Subject {
    fn bare(name: &'static str, case: Case, stdin: &[u8]) -> Subject {
        let environment = Environment { stdin: stdin.to_vec(), ..Environment::default() };
        Subject {
            name,
            program: case.program,
            machine: MachineKind::Bare,
            args: case.args,
            environment,
            most: 5,
            segments: false,
            events: false,
            own_host: false,
            coprocessor: false,
        }
    }

    /// Returns a guest of R0VM with its usual test input, or a shorter one.
    pub fn r0vm(name: &'static str, variant: &str, most: usize) -> Subject {
        let path = format!("{}/guests/r0vm/bin/{name}.bin", env!("CARGO_MANIFEST_DIR"));
        let binary = std::fs::read(path).expect("the guests are in the repository");
        let found = reference_guests::cases().into_iter().find(|case| (case.guest, case.variant) == (name, variant));
        Subject {
            name,
            program: Program::from_risc0(&binary).expect("a good binary"),
            machine: MachineKind::R0vm,
            args: Vec::new(),
            environment: found.expect("a case of that name").environment,
            most,
            segments: false,
            events: false,
            own_host: false,
            coprocessor: false,
        }
    }

    pub fn with_words(mut self, words: &[u32]) -> Subject {
        self.environment.stdin = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self
    }

    pub fn po2(mut self, po2: u32) -> Subject {
        self.environment.po2 = po2;
        self
    }

    pub fn segments(mut self) -> Subject {
        self.segments = true;
        self
    }

    pub fn events(mut self) -> Subject {
        self.events = true;
        self
    }

    pub fn own_host(mut self) -> Subject {
        self.own_host = true;
        self
    }

    pub fn coprocessor(mut self) -> Subject {
        self.coprocessor = true;
        self
    }

    pub fn executor(&self, engine: &str) -> Executor {
        let (engine, jit) = match engine {
            "interpreter" => (Engine::Interpreter, JitOptions::default()),
            "eager" => (Engine::Jit, JitOptions::eager()),
            "default" => (Engine::Jit, JitOptions::default()),
            _ => (Engine::Crosscheck, JitOptions::eager()),
        };
        let builder = Executor::builder().machine(self.machine).engine(engine).jit(jit).buffer_rows(300);
        builder.build(&self.program).expect("a test's own configuration")
    }

    fn host(&self, outputs: &[Said], fault: &Fault) -> HostEnv<'static> {
        let environment = &self.environment;
        let read = |bytes: &Vec<u8>| Pieces::new(bytes.clone(), self.most, Point::Read, fault);
        let random = sequence(environment.random_seed).take(4096).collect();
        let mut builder = HostEnv::builder();
        builder
            .stdin(read(&environment.stdin))
            .args(environment.args.clone())
            .env_vars(environment.variables.clone())
            .random(Pieces::new(random, self.most, Point::Random, fault))
            .input_digest(environment.input_digest)
            .segment_limit_po2(environment.po2)
            .session_limit(environment.session_limit)
            .kernel_output(Taker::new(&outputs[0], self.most, fault));
        for (&descriptor, bytes) in &environment.inputs {
            builder.read_fd(descriptor, read(bytes));
        }
        for (&descriptor, said) in environment.outputs.iter().zip(&outputs[1..]) {
            builder.write_fd(descriptor, Taker::new(said, self.most, fault));
        }
        for (name, answer) in &environment.channels {
            builder.slice_io(name.clone(), Echo { answer: answer.clone(), fault: fault.clone() });
        }
        if self.coprocessor {
            let (said, fault) = (outputs[7].clone(), fault.clone());
            builder.coprocessor_callback(move |request| {
                fault.meet(Point::Coprocessor)?;
                said.lock().expect("it is not held in a panic").extend(format!("{request:?}").bytes());
                Ok(())
            });
        }
        for &(claim, control_root) in &environment.assumptions {
            let control_root = (control_root != [0; 32]).then_some(control_root);
            builder.add_assumption(Assumption { claim, control_root });
        }
        builder.build().expect("a host")
    }

    /// Builds the environment with a fault in it. Outputs go to the given buffers.
    pub fn env(&self, outputs: &[Said], fault: &Fault) -> Env<'static> {
        if self.machine == MachineKind::Bare {
            let stdin = Pieces::new(self.environment.stdin.clone(), self.most, Point::Read, fault);
            let env = Env::new().args(self.args.iter().cloned()).stdin(stdin);
            let taker = |said| Taker::new(said, self.most, fault);
            return env.stdout(taker(&outputs[0])).stderr(taker(&outputs[1]));
        }
        let inner = self.host(outputs, fault);
        match self.own_host {
            false => Env::new().host(inner),
            true => {
                let digest = tachy::risc0::Digest::from_bytes(self.environment.input_digest);
                let env = Env::new().segment_po2(self.environment.po2).input_digest(digest);
                env.custom_host(Asking { inner, fault: fault.clone() })
            }
        }
    }

    /// Runs the program to its end, with or without rows. Continues after each failure, and resumes after each pause.
    pub fn see(&self, executor: &Executor, fault: &Fault, rows: bool) -> Seen {
        self.see_with(executor, fault, rows, |_, _| u64::MAX)
    }

    /// Like [`Subject::see`]. Calls `before` before each run with the number of runs so far; it returns the step at
    /// which the run stops.
    pub fn see_with(
        &self,
        executor: &Executor,
        fault: &Fault,
        rows: bool,
        mut before: impl FnMut(usize, &mut Session<'_>) -> u64,
    ) -> Seen {
        let outputs = Seen::outputs();
        let (segments, events) = (Kept::default(), Kept::default());
        let mut env = self.env(&outputs, fault);
        if self.segments {
            env = env.segments(take_segments(&segments, fault));
        }
        if self.events {
            env = env.trace_callback(take_events(&events, fault));
        }
        let mut session = executor.start(env).expect("it starts");
        let mut recorder = Recorder { kept: VecSink::default(), fault: fault.clone() };
        let (mut failures, mut reports) = (Vec::new(), Vec::new());
        for run in 0.. {
            assert!(run < 1000, "{}: {failures:?}", self.name);
            let until = before(run, &mut session);
            let result = catch_unwind(AssertUnwindSafe(|| match rows {
                true => session.run_to(until, &mut recorder),
                false => session.run_to(until, &mut NullSink::off()),
            }));
            // The session can be examined, and every completed step was delivered.
            let report = session.report();
            let refused = matches!(&result, Err(_) | Ok(Err(_)));
            let taken = recorder.kept.rows.len() as u64;
            assert!(
                !rows || taken == session.steps() || refused && taken < session.steps(),
                "{}: {result:?}",
                self.name
            );
            match result {
                Err(_) => failures.push("panic"),
                Ok(Ok(Status::Exited { .. })) => {
                    reports.push(report);
                    break;
                }
                Ok(Ok(Status::Paused { .. })) => {
                    reports.push(report);
                    session.resume().expect("it has paused, and nothing is left to do");
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => failures.push(error.kind()),
            }
        }
        let stats = session.stats();
        let state = (session.steps(), session.pc(), session.registers(), session.memory_digest());
        let end = session.exit_code();
        drop(session);
        let take = |said: &Said| std::mem::take(&mut *said.lock().expect("nobody panics"));
        Seen {
            sink: recorder.kept,
            segments: std::mem::take(&mut *segments.lock().expect("nobody panics")),
            events: std::mem::take(&mut *events.lock().expect("nobody panics")),
            said: outputs.iter().map(take).collect(),
            end,
            state,
            counts: [stats.ecalls, stats.ecalls_unknown, stats.pages],
            reports,
            failures,
        }
    }
}

impl Seen {
    /// Returns buffers for all outputs of a run.
    pub fn outputs() -> Vec<Said> {
        (0..8).map(|_| Said::default()).collect()
    }

    pub fn steps(&self) -> u64 {
        self.state.0
    }

    pub fn pages(&self) -> u64 {
        self.counts[2]
    }

    pub fn output_bytes(&self) -> usize {
        self.said.iter().map(Vec::len).sum()
    }

    /// Returns the first difference from a run without failures, apart from the failures themselves.
    pub fn difference(&self, whole: &Seen, subject: &Subject) -> Option<String> {
        let variant = subject.machine.variant();
        let differ = |what: &str, same: bool| (!same).then(|| format!("{what} differ"));
        first_different_row(&whole.sink.rows, &self.sink.rows, variant)
            .or_else(|| first_different_effect(&whole.sink.effects, &self.sink.effects))
            .or_else(|| (whole.said != self.said).then(|| format!("outputs: {:?} and {:?}", whole.said, self.said)))
            .or_else(|| differ("segments", whole.segments == self.segments))
            .or_else(|| {
                let at = whole.events.iter().zip(&self.events).position(|(a, b)| a != b);
                (whole.events != self.events)
                    .then(|| format!("events, {} and {}, differ at {at:?}", whole.events.len(), self.events.len()))
            })
            .or_else(|| (whole.end != self.end).then(|| format!("ends: {:?} and {:?}", whole.end, self.end)))
            .or_else(|| differ("steps, pcs, registers or memories", whole.state == self.state))
            .or_else(|| (whole.counts != self.counts).then(|| format!("{:?} and {:?}", whole.counts, self.counts)))
            .or_else(|| {
                let (expected, found) = (whole.reports.last(), self.reports.last());
                (expected != found).then(|| format!("reports: {expected:#?} and {found:#?}"))
            })
    }
}

/// Fails every call of a point, or `most` of them spread over all, and continues each run to the end of a run without
/// failures. Returns the number of failures.
pub fn goes_on(subject: &Subject, point: Point, how: How, most: usize, kinds: &[&str]) -> usize {
    let mut failed = 0;
    for engine in ENGINES {
        let executor = subject.executor(engine);
        for rows in [true, false] {
            if point == Point::Sink && !rows {
                continue;
            }
            let never = Fault::never();
            let whole = subject.see(&executor, &never, rows);
            assert!(whole.failures.is_empty(), "{}: {:?}", subject.name, whole.failures);
            let calls = never.calls(point);
            for call in spread(calls, most) {
                let what = format!("{}, {point:?} {call} of {calls}, {how:?}, {engine}, rows: {rows}", subject.name);
                let seen = subject.see(&executor, &Fault::at(point, call, how), rows);
                assert!(seen.failures.len() == 1 && kinds.contains(&seen.failures[0]), "{what}: {:?}", seen.failures);
                if let Some(difference) = seen.difference(&whole, subject) {
                    panic!("{what}: {difference}");
                }
                failed += 1;
            }
        }
    }
    failed
}

/// Returns all of `calls` calls, or `most` spread over them: the first few, the last, and some between.
pub fn spread(calls: usize, most: usize) -> Vec<usize> {
    let step = calls.div_ceil(most.max(1)).max(1);
    let chosen = (0..calls).filter(|call| call % step == 0 || *call < most / 4 || call + 1 == calls);
    chosen.collect()
}

/// Programs that read and write on machine `bare`.
pub fn bare() -> [Subject; 2] {
    let text = b"The quick brown fox\njumps over the lazy dog.\n";
    [Subject::bare("filter", guest("filter", &["2"]), text), Subject::bare("writer", writer(), b"")]
}

/// A program that touches page after page on machine `bare`.
pub fn toucher() -> Subject {
    Subject::bare("toucher", cases::toucher(40), b"")
}

/// A program that makes every call of R0VM's host.
pub fn calls() -> Subject {
    Subject::r0vm("calls", "", 7)
}

/// A program that uses the streams of R0VM's host with reads of odd lengths.
pub fn streams() -> Subject {
    let mut subject = Subject::r0vm("streams", "", 100);
    subject.environment.stdin.truncate(1_007);
    subject.environment.inputs = BTreeMap::from([(4, subject.environment.inputs[&4][..499].to_vec())]);
    subject
}

/// A program in which the kernel itself makes the calls.
pub fn kernel() -> Subject {
    Subject::r0vm("kernel_ecalls", "", 100)
}
