//! Compares the guests of R0VM with the results of RISC Zero's executor, from `guests/r0vm/README.md`: their ends,
//! segments, cycles and journals. Also checks that a run is consistent: its trace, its memory, its segments' roots.
//!
//! tests/oracle, which uses these inputs, compares with the executor itself and also runs the longest ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::environment::{Environment, sequence};
use crate::reference_guests::{self, Case};
use tachy::risc0::host::{Assumption, HostEnv};
use tachy::risc0::poseidon2::Kernel;
use tachy::risc0::{Digest, Exit, Image, Report, Segment, Tree, tagged_struct};
use tachy::trace::{Effect, EffectKind, Level, Replay, SinkError};
use tachy::{Engine, Env, Error, Executor, JitOptions, Limit, MachineKind, NullSink, Program, Row, Session, Sink};

/// Cases with more user cycles run only in the oracle.
const LONGEST_CYCLES: u64 = 1_500_000;
/// Cycles of paging with which each segment begins.
const PAGING_START_CYCLES: u64 = 10;
const PAGE_BYTES: u32 = 1024;

fn file(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/r0vm").join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the table of outcomes: case, then po2, end, segments, user cycles, paging cycles, journal.
fn table() -> BTreeMap<String, Vec<String>> {
    let text = String::from_utf8(file("README.md")).expect("it is text");
    let (_, outcomes) = text.split_once("## Outcomes").expect("the table of outcomes");
    let rows = outcomes.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        (cells.next().expect("a case"), cells.collect())
    })
    .collect()
}

/// Returns the name of a case's part in the table.
fn name(case: &Case, part: usize) -> String {
    let variant = if case.variant.is_empty() { String::new() } else { format!(", {}", case.variant) };
    let part = if part == 0 { String::new() } else { format!(", part {}", part + 1) };
    format!("`{}`{variant}{part}", case.guest)
}

/// Returns the expected row of a part in the table, without its name.
fn outcome(po2: u32, result: Result<(), Error>, report: &Report) -> Vec<String> {
    let end = match result {
        Ok(()) => format!("{:?}", report.exit.expect("it ended")),
        Err(Error::Trap(trap)) => format!("Trap({})", trap.cause as u32),
        Err(Error::Limit(limit)) if matches!(limit.limit, Limit::Cycles { .. }) => "SessionLimit".to_owned(),
        Err(_) => "Other".to_owned(),
    };
    if report.exit.is_none() {
        return [&po2.to_string(), &end, "0", "0", "0", "none"].map(str::to_owned).to_vec();
    }
    // The table says "empty" for a guest that committed to nothing.
    let bytes = report.journal.as_ref().map_or(&[][..], |journal| &journal.bytes);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let journal = match bytes.len() {
        0 => "empty".to_owned(),
        1..=40 => format!("`{}`", hex(bytes)),
        length => format!("{length} bytes, SHA-256 `{}`", hex(&Digest::sha256(bytes).to_bytes()[..8])),
    };
    let numbers = [report.segments, report.user_cycles, report.paging_cycles].map(|number| number.to_string());
    [vec![po2.to_string(), end], numbers.to_vec(), vec![journal]].concat()
}

/// Answers for the random call.
struct Random(Box<dyn Iterator<Item = u8> + Send>);

impl Read for Random {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.iter_mut().zip(&mut self.0).for_each(|(byte, random)| *byte = random);
        Ok(buffer.len())
    }
}

fn env(environment: &Environment) -> Env<'static> {
    let mut builder = HostEnv::builder();
    builder
        .stdin(Cursor::new(environment.stdin.clone()))
        .args(environment.args.clone())
        .env_vars(environment.variables.clone())
        .random(Random(Box::new(sequence(environment.random_seed))))
        .input_digest(environment.input_digest)
        .segment_limit_po2(environment.po2)
        .session_limit(environment.session_limit);
    for (&descriptor, bytes) in &environment.inputs {
        builder.read_fd(descriptor, Cursor::new(bytes.clone()));
    }
    for &descriptor in &environment.outputs {
        builder.write_fd(descriptor, std::io::sink());
    }
    for (name, answer) in &environment.channels {
        let answer = answer.clone();
        builder.io_callback(name.clone(), move |request: &[u8]| Ok([&answer[..], request].concat()));
    }
    for &(claim, control_root) in &environment.assumptions {
        let control_root = (control_root != [0; 32]).then_some(control_root);
        builder.add_assumption(Assumption { claim, control_root });
    }
    Env::new().host(builder.build().expect("a host"))
}

fn executor(program: &Program, engine: Engine) -> Executor {
    let builder = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(JitOptions::eager());
    builder.build(program).expect("a test's own configuration")
}

/// Returns the cases that are not too long, with their programs.
fn cases(table: &BTreeMap<String, Vec<String>>) -> Vec<(Case, Program)> {
    let short = |case: &Case| table[&name(case, 0)][3].parse::<u64>().expect("cycles") <= LONGEST_CYCLES;
    let load = |case: Case| {
        let program = Program::from_risc0(&file(&format!("bin/{}.bin", case.guest))).expect("a guest");
        (case, program)
    };
    reference_guests::cases().into_iter().filter(short).map(load).collect()
}

/// Runs a case part by part. `run` runs a part to its end, and examines its result.
fn compare(
    table: &BTreeMap<String, Vec<String>>,
    case: &Case,
    mut session: Session<'_>,
    mut run: impl FnMut(&str, &mut Session<'_>) -> Result<(), Error>,
) {
    for part in 0.. {
        let what = name(case, part);
        let result = run(&what, &mut session);
        let report = session.report().expect("the machine is r0vm");
        assert_eq!(outcome(case.environment.po2, result, &report), table[&what], "{what}");
        if session.resume().is_err() {
            assert!(part == case.resumes || !matches!(report.exit, Some(Exit::Paused(_))), "{what}");
            return;
        }
    }
}

#[test]
fn guests_end_as_they_do_in_the_reference() {
    let table = table();
    for (case, program) in cases(&table) {
        let session = executor(&program, Engine::Jit).start(env(&case.environment)).expect("it starts");
        compare(&table, &case, session, |_, session| session.run(&mut NullSink::off()).map(drop));
    }
}

/// Follows a trace, and sums the paging cycles of its effects.
struct Follower {
    replay: Replay,
    paging_cycles: u64,
}

impl Sink for Follower {
    fn level(&self) -> Level {
        Level::Rows
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        let charges = effects.iter().filter(|it| matches!(it.kind(), EffectKind::PageIn | EffectKind::PageOut));
        self.paging_cycles += charges.map(|effect| u64::from(effect.after)).sum::<u64>();
        self.replay.rows(first_step, rows, effects)
    }
}

/// Returns the root of the current memory of these pages, with zeros in all others.
fn root(session: &Session<'_>, pages: &BTreeSet<u32>) -> Digest {
    let pages = pages.iter().map(|&page| {
        let bytes = session.bytes(page * PAGE_BYTES, PAGE_BYTES).expect("a page");
        (page, bytes.try_into().expect("a page"))
    });
    let mut tree = Tree::new(Kernel::best());
    tree.update(pages);
    tree.root()
}

/// Returns the image id of a memory with this root.
fn image_id(root: Digest) -> Digest {
    tagged_struct("risc0.SystemState", &[root], &[0])
}

/// For each part of each session, the trace agrees with the session. The segments lead from one root to the next, up to
/// the root of memory itself.
#[test]
fn traces_segments_and_memory_agree() {
    let table = table();
    for (case, program) in cases(&table) {
        let image = Image::of(&program);
        let mut touched: BTreeSet<u32> = image.pages().map(|(page, _)| page).collect();
        let mut post = Tree::of(&image).root();
        let segments = Arc::new(Mutex::new(Vec::<Segment>::new()));
        let kept = segments.clone();
        let env = env(&case.environment).segments(move |segment| {
            kept.lock().expect("nobody panics").push(segment.clone());
            Ok(())
        });
        let session = executor(&program, Engine::Interpreter).start(env).expect("it starts");
        let mut replay = session.replay(u64::MAX);
        compare(&table, &case, session, |what, session| {
            let first_step = session.steps();
            let mut follower = Follower { replay: std::mem::replace(&mut replay, session.replay(0)), paging_cycles: 0 };
            let result = session.run(&mut follower);
            if let Err(error @ Error::Sink { .. }) = &result {
                panic!("{what}: {error}");
            }
            assert_eq!(follower.replay.registers(), session.registers(), "{what}");
            for (address, word) in follower.replay.words() {
                assert_eq!(word, session.word(address), "{what}: the word at {address:#x}");
            }
            replay = follower.replay;
            let report = session.report().expect("the machine is r0vm");
            let segments = std::mem::take(&mut *segments.lock().expect("nobody panics"));
            let pre = post;
            assert_eq!(segments.len() as u64, report.segments, "{what}");
            for (index, (segment, cycles)) in segments.iter().zip(&report.each).enumerate() {
                let what = format!("{what}, segment {index}");
                let found = (segment.index(), segment.po2(), segment.user_cycles(), segment.paging_cycles());
                assert_eq!(found, (index as u64, cycles.po2, cycles.user_cycles, cycles.paging_cycles), "{what}");
                assert_eq!(segment.claim().pre_state, post, "{what}");
                post = segment.claim().post_state;
                touched.extend(segment.partial_image().pages().map(|(page, _)| page));
            }
            result?;
            assert_eq!(report.roots, Some((pre, post)), "{what}");
            // A halted program has no state to continue from.
            let after = if matches!(report.exit, Some(Exit::Halted(_))) { Digest::ZERO } else { post };
            assert_eq!(report.image_ids(), Some((image_id(pre), image_id(after))), "{what}");
            assert_eq!(root(session, &touched), post, "{what}");
            let paging = follower.paging_cycles + PAGING_START_CYCLES * report.segments;
            assert_eq!(paging, report.paging_cycles, "{what}");
            let beyond: u64 = report.ecalls.iter().map(|(_, count)| count.cycles - count.calls).sum();
            assert_eq!(session.steps() - first_step + beyond, report.user_cycles, "{what}");
            let total: u64 = segments.iter().map(|segment| 1 << segment.po2()).sum();
            assert_eq!(total, report.total_cycles, "{what}");
            assert_eq!(report.user_cycles + report.paging_cycles + report.reserved_cycles, total, "{what}");
            Ok(())
        });
    }
}
