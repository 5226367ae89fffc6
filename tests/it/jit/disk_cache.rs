//! Tests code on disk: whatever is in the folder, a run gives what it gives without, and good code is used at once.

use std::fs::{self, Permissions as Mode};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tachy::isa::Op;
use tachy::jit::{DiskCache, DiskCacheProblem};
use tachy::program::{Permissions, Segment};
use tachy::trace::VecSink;
use tachy::{Engine, Executor, JitOptions, MachineKind, NullSink, Program, Stats};
use tempfile::TempDir;

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, exit, guest, short};
use crate::common::engines::{Case, Outcome, Setup, difference, final_difference, run, run_on};
use crate::common::rng::Rng;

/// Code gets hot soon, is translated by the session itself, and is not paid for: what a run translates does not depend
/// on time.
fn options() -> JitOptions {
    let mut options = JitOptions::default();
    (options.threshold, options.background, options.paid_by_steps) = (20, false, false);
    options
}

fn executor(case: &Case, cache: &DiskCache, options: JitOptions) -> Executor {
    let builder = Executor::builder().machine(case.machine).limits(case.limits).jit(options);
    builder.disk_cache(cache.clone()).build(&case.program).expect("a good configuration")
}

/// Runs a case once, as a process does: the executor is gone then. Returns its statistics.
fn process(case: &Case, cache: &DiskCache, options: JitOptions) -> (Outcome, Stats) {
    let executor = executor(case, cache, options);
    let mut stats = Stats::default();
    let outcome = run_on(&executor, case, |session| {
        let result = session.run(&mut NullSink::off());
        stats = session.stats();
        result
    });
    (outcome, stats)
}

/// Runs a case with these files and compares it with a run without any.
fn assert_same(what: &str, case: &Case, cache: &DiskCache, reference: &Outcome) -> Stats {
    let (outcome, stats) = process(case, cache, options());
    if let Some(difference) = final_difference(reference, &outcome) {
        panic!("{what}: {difference}");
    }
    stats
}

fn folder() -> (TempDir, DiskCache) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Mode::from_mode(0o700)).expect("it is ours");
    let cache = DiskCache::new(folder.path());
    (folder, cache)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    files
}

fn only_file(folder: &Path) -> PathBuf {
    let files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn mix() -> Case {
    guest("rust_mix", &[]).limit_steps(300_000)
}

#[test]
fn the_next_process_goes_on_with_the_code_of_the_last() {
    let quicksort = guest("quicksort", &["500"]);
    let r0vm = fs::read(format!("{}/guests/r0vm/bin/fib.bin", crate::common::ROOT)).expect("a guest");
    let r0vm = Case::new(Program::from_risc0(&r0vm).expect("a good program")).on(MachineKind::R0vm);
    for (name, case) in [("quicksort", quicksort), ("mix", mix()), ("fib on R0VM", short(r0vm).limit_steps(200_000))] {
        let (folder, cache) = folder();
        let reference = run(&case, &Setup::interpreter());
        let first = assert_same(name, &case, &cache, &reference);
        assert!(first.regions > 2 && first.regions_loaded == 0, "{name}: {first:?}");
        let written = fs::metadata(only_file(folder.path())).expect("it was written");
        assert_eq!(written.mode() & 0o7777, 0o600);
        let second = assert_same(name, &case, &cache, &reference);
        assert!(second.regions_loaded > 2, "{name}: {second:?}");
        assert!(second.interpreted_steps < first.interpreted_steps, "{name}: {first:?} {second:?}");
        // What adds nothing writes nothing.
        let mut last = second;
        for _ in 0..10 {
            let before = fs::metadata(only_file(folder.path())).expect("it is there");
            last = assert_same(name, &case, &cache, &reference);
            let after = fs::metadata(only_file(folder.path())).expect("it is there");
            assert_eq!(before.ino() == after.ino(), last.regions == 0, "{name}: {last:?}");
            if last.regions == 0 {
                break;
            }
        }
        assert_eq!(last.regions, 0, "{name}: there is an end to it");
        assert!(cache.problems().is_empty());
    }
}

/// By default, the interpreter looks for native code at every sixteenth entry of a block, and below that at none.
#[test]
fn code_from_disk_is_entered_when_control_first_gets_there() {
    let case = sum_up(1, None);
    let (_folder, cache) = folder();
    let mut options = options();
    options.threshold = JitOptions::default().threshold;
    let stats = [0, 1].map(|_| process(&case, &cache, options.clone()).1);
    assert!(stats[0].interpreted_steps > 2 * 3 * 200, "{stats:?}");
    // What leads to the loops, the first round of each, and the end.
    assert!(stats[1].interpreted_steps < 20, "{stats:?}");
    assert_eq!((stats[1].regions, stats[1].regions_loaded), (0, stats[0].regions));
}

#[test]
fn rows_have_code_of_their_own() {
    let case = mix();
    let (folder, cache) = folder();
    let reference = run(&case, &Setup::interpreter());
    let mut last_loaded = 0;
    for round in 0..6 {
        if round == 5 {
            // Code of no rows is there, too, and is not looked at.
            assert_same("without rows", &case, &cache, &reference);
        }
        let executor = executor(&case, &cache, options());
        let mut sink = VecSink::default();
        let mut stats = Stats::default();
        let outcome = run_on(&executor, &case, |session| {
            let result = session.run(&mut sink);
            stats = session.stats();
            result
        });
        let outcome = Outcome { rows: sink.rows, effects: sink.effects, ..outcome };
        assert_eq!(difference(&reference, &outcome, case.variant()), None);
        assert_eq!(stats.regions_loaded > 0, round > 0, "{stats:?}");
        if round == 5 {
            assert_eq!(stats.regions_loaded, last_loaded);
        }
        last_loaded = stats.regions_loaded + stats.regions;
    }
    assert_eq!(files(folder.path()).len(), 2);
    // The interpreter checks every row of code from disk, too.
    let builder = Executor::builder().engine(Engine::Crosscheck).limits(case.limits).jit(options());
    let crosscheck = builder.disk_cache(cache).build(&case.program).expect("a good configuration");
    let outcome = run_on(&crosscheck, &case, |session| session.run(&mut NullSink::off()));
    assert_eq!(outcome.end, reference.end);
}

/// A session that writes rows from some step on moves to other code, which may be on disk, too.
#[test]
fn a_session_changes_its_level_on_the_way() {
    let case = mix();
    let (_folder, cache) = folder();
    let reference = run(&case, &Setup::interpreter());
    for _ in 0..3 {
        let executor = executor(&case, &cache, options());
        let outcome = run_on(&executor, &case, |session| {
            session.run_to(100_000, &mut NullSink::off())?;
            session.run_to(200_000, &mut NullSink::rows())?;
            session.run(&mut NullSink::off())
        });
        assert_eq!(final_difference(&reference, &outcome), None);
    }
}

#[test]
fn damaged_files_are_not_used() {
    let case = mix();
    let (folder, cache) = folder();
    let reference = run(&case, &Setup::interpreter());
    assert_same("the first", &case, &cache, &reference);
    let path = only_file(folder.path());
    let good = fs::read(&path).expect("it was written");
    let mut rng = Rng::new(1);
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    // Each byte of the header, and some of the content.
    let places: Vec<usize> = (0..20).map(|_| rng.below(good.len() as u64) as usize).collect();
    for at in (0..80).chain(places) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << rng.below(8);
        damaged.push((format!("byte {at}"), bytes));
    }
    for length in [0, 1, 79, 80, good.len() / 2, good.len() - 1] {
        damaged.push((format!("{length} bytes"), good[..length].to_vec()));
    }
    damaged.push(("one more byte".to_owned(), [&good[..], &[0]].concat()));
    for (what, bytes) in damaged {
        fs::write(&path, &bytes).expect("it is ours");
        let stats = assert_same(&what, &case, &cache, &reference);
        assert_eq!(stats.regions_loaded, 0, "{what}");
        assert!(matches!(&cache.problems()[..], [DiskCacheProblem::Damaged { .. }]), "{what}");
        // It is replaced by a good one.
        assert!(assert_same(&what, &case, &cache, &reference).regions_loaded > 0, "{what}");
    }
}

#[test]
fn files_and_folders_that_others_may_write_are_not_used() {
    let case = mix();
    let (folder, cache) = folder();
    let reference = run(&case, &Setup::interpreter());
    assert_same("the first", &case, &cache, &reference);
    let path = only_file(folder.path());
    let is_refused = |what: &str| {
        let stats = assert_same(what, &case, &cache, &reference);
        assert_eq!(stats.regions_loaded, 0, "{what}");
        let problems = cache.problems();
        let is_foreign = |problem: &DiskCacheProblem| matches!(problem, DiskCacheProblem::Foreign { .. });
        assert!(!problems.is_empty() && problems.iter().all(is_foreign), "{what}: {problems:?}");
    };
    for mode in [0o666, 0o620, 0o602] {
        fs::set_permissions(&path, Mode::from_mode(mode)).expect("it is ours");
        is_refused(&format!("a file of mode {mode:o}"));
    }
    for mode in [0o777, 0o720, 0o702] {
        fs::set_permissions(folder.path(), Mode::from_mode(mode)).expect("it is ours");
        let before = fs::read(&path).expect("it is there");
        is_refused(&format!("a folder of mode {mode:o}"));
        assert!(cache.files().is_err() && cache.clear().is_err());
        assert!(fs::read(&path).expect("it is there") == before, "nothing is written there");
    }
    fs::set_permissions(folder.path(), Mode::from_mode(0o755)).expect("it is ours");
    assert!(assert_same("good again", &case, &cache, &reference).regions_loaded > 0);
    // A link may lead anywhere, even to a good file.
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).expect("it is ours");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
    is_refused("a link");
    assert!(fs::symlink_metadata(&path).expect("it is there").is_file(), "it was replaced");
    // A pipe of this name stops nobody.
    fs::remove_file(&path).expect("it is ours");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo is part of every Unix");
    assert!(made.success());
    is_refused("a pipe");
    // Only root can give files away.
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        is_refused("a file of another user");
        std::os::unix::fs::chown(folder.path(), Some(12_345), None).expect("root may");
        is_refused("a folder of another user");
    } else {
        eprintln!("notice: only root can test files of other users");
    }
}

/// A loop that adds `addend`, calls a function of its own at [`FUNCTION`], and ends with the sum.
fn sum_up(addend: i32, write_at: Option<u32>) -> Case {
    let mut asm = Assembler::new(CODE);
    asm.li(6, 5000);
    let top = asm.label_here();
    asm.i(Op::Addi, 10, 10, 1);
    asm.i(Op::Addi, 6, 6, -1);
    asm.branch(Op::Bne, 6, 0, top);
    if let Some(address) = write_at {
        // addi x10, x10, 3
        asm.li(7, 0x0035_0513);
        asm.li(8, address);
        asm.store(Op::Sw, 7, 0, 8);
    }
    let distance = FUNCTION.wrapping_sub(asm.here()) as i32;
    asm.op(Op::Jal, 0, 0, 0, distance);
    let mut function = Assembler::new(FUNCTION);
    function.li(6, 5000);
    let top = function.label_here();
    function.i(Op::Addi, 10, 10, addend);
    function.i(Op::Addi, 6, 6, -1);
    function.branch(Op::Bne, 6, 0, top);
    exit(&mut function);
    let code = Segment::from_words(FUNCTION, &function.finish().words, Permissions::RWX);
    short(Case::code(CODE, &asm.finish().words, vec![code]))
}

/// In another page than the first loop.
const FUNCTION: u32 = CODE + 0x1000;

#[test]
fn code_of_another_program_is_not_used() {
    let (folder, cache) = folder();
    for (index, addend) in [1, 2, 1].into_iter().enumerate() {
        let case = sum_up(addend, None);
        let stats = assert_same("one word differs", &case, &cache, &run(&case, &Setup::interpreter()));
        assert_eq!(stats.regions_loaded > 0, index == 2, "{stats:?}");
    }
    assert_eq!(files(folder.path()).len(), 2);
}

/// Options that change regions have files of their own; the others share one.
#[test]
fn code_of_other_options_is_not_used() {
    let case = sum_up(1, None);
    let (folder, cache) = folder();
    process(&case, &cache, options());
    let changed = |change: &dyn Fn(&mut JitOptions)| {
        let mut options = options();
        change(&mut options);
        process(&case, &cache, options).1.regions_loaded
    };
    assert!(changed(&|options| options.code_bytes = 1 << 20) > 0);
    assert!(changed(&|options| options.background = true) > 0);
    assert_eq!(changed(&|options| options.region_instructions = 100), 0);
    assert_eq!(changed(&|options| options.threshold = 21), 0);
    assert_eq!(changed(&|options| options.merge_interval_steps = 0), 0);
    assert_eq!(files(folder.path()).len(), 4);
}

/// The words of a region on disk are overwritten before control gets there.
#[test]
fn a_guest_writes_over_code_before_its_region_is_reached() {
    // The first program never writes, so its function is on disk as it was. The function's third word is written over.
    let case = sum_up(1, Some(FUNCTION + 8));
    let reference = run(&case, &Setup::interpreter());
    let expected = 5000 + 3 * 5000;
    assert_eq!(reference.state.as_ref().expect("it ran").exit_code, Some(expected));
    let (_folder, cache) = folder();
    for round in 0..4 {
        let stats = assert_same(&format!("round {round}"), &case, &cache, &reference);
        // The first loop is shared until the guest writes.
        assert_eq!(stats.regions_loaded > 0, round > 0, "{stats:?}");
        assert_eq!(stats.invalidations, 1, "{stats:?}");
    }
    for options in [JitOptions::eager(), JitOptions::default()] {
        for _ in 0..3 {
            let (outcome, _) = process(&case, &cache, options.clone());
            assert_eq!(final_difference(&reference, &outcome), None, "{options:?}");
        }
    }
}

#[test]
fn guests_that_write_over_their_code_give_the_same() {
    let case = guest("smc", &[]);
    let reference = run(&case, &Setup::interpreter());
    let (_folder, cache) = folder();
    for _ in 0..3 {
        for options in [options(), JitOptions::eager()] {
            let (outcome, _) = process(&case, &cache, options);
            assert_eq!(final_difference(&reference, &outcome), None);
        }
    }
}

#[test]
fn many_use_one_folder_at_once() {
    let (case, other) = (mix(), guest("quicksort", &["500"]));
    let (folder, cache) = folder();
    let references = [&case, &other].map(|case| run(case, &Setup::interpreter()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cases, references, cache) = ([&case, &other], &references, &cache);
            scope.spawn(move || {
                for round in 0..6 {
                    let index = (thread + round) % 2;
                    assert_same(&format!("thread {thread}"), cases[index], cache, &references[index]);
                }
            });
        }
    });
    let problems = cache.problems();
    assert!(problems.is_empty(), "{problems:?}");
    let left: Vec<PathBuf> = files(folder.path());
    assert!(left.len() == 2 && left.iter().all(|path| path.extension().is_some_and(|end| end == "code")), "{left:?}");
}

#[test]
fn the_limit_holds_and_what_was_used_last_stays() {
    let (folder, cache) = folder();
    let cases: Vec<Case> = (1..=6).map(|addend| sum_up(addend, None)).collect();
    process(&cases[0], &cache, options());
    let bytes = cache.files().expect("they can be listed")[0].bytes;
    // Room for three, with some to spare.
    let cache = cache.limit_bytes(bytes * 7 / 2);
    let is_kept = |case: &Case, cache: &DiskCache| {
        // Runs nothing hot, so nothing is written.
        let case = Case { limits: case.limits.steps(Some(1)), ..case.clone() };
        process(&case, cache, options()).1.regions_loaded > 0
    };
    for case in &cases {
        process(case, &cache, options());
        // The first one is used again and again.
        assert!(is_kept(&cases[0], &cache));
        let total: u64 = cache.files().expect("they can be listed").iter().map(|file| file.bytes).sum();
        assert!(total <= bytes * 7 / 2, "{total}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kept: Vec<bool> = cases.iter().map(|case| is_kept(case, &cache)).collect();
    assert_eq!(kept, [true, false, false, false, true, true]);
    // A file that is too large is not written at all, and others stay for it.
    let small = cache.clone().limit_bytes(bytes / 2);
    process(&sum_up(9, None), &small, options());
    assert_eq!(files(folder.path()).len(), 3);
    // Other files of the folder are nobody's business.
    fs::write(folder.path().join("notes.txt"), "mine").expect("a file");
    assert_eq!(cache.clear().expect("they are ours").len(), 3);
    assert_eq!(files(folder.path()), [folder.path().join("notes.txt")]);
    assert!(cache.problems().is_empty());
}

#[test]
fn a_folder_that_cannot_be_had_is_a_problem_and_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let cache = DiskCache::new(file.join("below"));
    let case = sum_up(1, None);
    let stats = assert_same("no folder", &case, &cache, &run(&case, &Setup::interpreter()));
    assert_eq!(stats.regions_loaded, 0);
    let problems = cache.problems();
    assert!(matches!(&problems[..], [DiskCacheProblem::System { .. }, ..]), "{problems:?}");
    assert!(cache.problems().is_empty(), "each is told once");
    // A folder that does not exist is no problem: it is created, for this user alone.
    let below = folder.path().join("a/b");
    let cache = DiskCache::new(&below);
    assert!(cache.files().expect("none").is_empty() && cache.clear().expect("none").is_empty());
    assert_same("a new folder", &case, &cache, &run(&case, &Setup::interpreter()));
    assert_eq!(fs::metadata(&below).expect("it was created").mode() & 0o7777, 0o700);
    assert!(files(&below).len() == 1 && cache.problems().is_empty());
}
