//! Tests the memory that holds generated code: it is never writable and executable at once, contains no addresses of
//! the host, and is replaced when it is full.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::turn;
use crate::common::assembler::Assembler;
use crate::common::cases::{exit, guest};
use crate::common::engines::{Case, End, Setup};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::trace::{DigestSink, Effect, SinkError, TraceDigest};
use tachy::{Env, Executor, MachineKind, NullSink, Program, Row, Sink, Stats};

/// Counts the executable mappings of this process that belong to no file: these hold generated code.
///
/// # Panics
/// If any mapping is both writable and executable.
fn code_mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux says so");
    let mut found = 0;
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let permissions = fields[1];
        assert!(!(permissions.contains('w') && permissions.contains('x')), "writable and executable: {line}");
        found += (permissions.contains('x') && fields.len() == 5) as usize;
    }
    found
}

/// Hashes rows, and examines memory every few buffers, while native code waits for the call to return.
#[derive(Default)]
struct Watch {
    digest: DigestSink,
    calls: u64,
    most: usize,
}

impl Sink for Watch {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if self.calls.is_multiple_of(8) {
            self.most = self.most.max(code_mappings());
        }
        self.calls += 1;
        self.digest.rows(first_step, rows, effects)
    }
}

/// Returns how the run ended with its digest, the maximum number of code mappings, and its statistics.
fn run(executor: &Executor, case: &Case) -> ((End, TraceDigest), usize, Stats) {
    let (mut stdout, mut stderr, mut watch) = (Vec::new(), Vec::new(), Watch::default());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let end = End::of(session.run(&mut watch));
    ((end, watch.digest.digest()), watch.most, session.stats())
}

#[test]
fn no_page_is_writable_and_executable_while_sessions_run() {
    let _turn = turn();
    let case = guest("mix", &["10"]);
    let (expected, ..) = run(&Setup::interpreter().executor(&case), &case);
    let executor = Setup::eager().executor(&case);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Observes while other threads translate.
        let onlooker = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                code_mappings();
                looks += 1;
            }
            looks
        });
        let sessions: Vec<_> = (0..2).map(|_| scope.spawn(|| run(&executor, &case))).collect();
        let results: Vec<_> = sessions.into_iter().map(|session| session.join()).collect();
        done.store(true, Ordering::Relaxed);
        for result in results {
            let (found, code, _) = result.expect("no session panics");
            assert_eq!(found, expected);
            assert!(code > 0, "the code that ran was not seen");
        }
        assert!(onlooker.join().expect("nothing was both") > 0);
    });
}

/// The threshold doubles each time that code memory is full, until everything that is hot enough fits.
#[test]
fn small_code_memory_does_not_thrash() {
    let _turn = turn();
    let case = guest("rust_mix", &["2"]);
    let (expected, ..) = run(&Setup::interpreter().executor(&case), &case);
    let (found, _, stats) = run(&Setup::eager().code_bytes(1 << 20).executor(&case), &case);
    assert_eq!(found, expected);
    assert!((2..=16).contains(&stats.code_flushes), "{stats:?}");
}

/// Runs the first part of a program that needs several times the budget.
#[test]
fn full_code_memory_starts_anew() {
    let _turn = turn();
    let case = guest("rust_mix", &[]).limit_steps(400_000);
    let (expected, ..) = run(&Setup::interpreter().executor(&case), &case);
    let (found, _, roomy) = run(&Setup::eager().executor(&case), &case);
    assert_eq!(found, expected);
    assert_eq!(roomy.code_flushes, 0);
    assert!(roomy.code_bytes > 2 << 20, "{roomy:?}");
    let executor = Setup::eager().code_bytes(1 << 20).executor(&case);
    for _ in 0..2 {
        let (found, _, stats) = run(&executor, &case);
        assert_eq!(found, expected);
        assert!(stats.code_flushes > 0, "{stats:?}");
        // Each code memory was full before it was dropped.
        assert!(stats.code_bytes >= stats.code_flushes << 19, "{stats:?}");
    }
}

/// Returns the host's mappings, and those of them with generated code.
fn mapped() -> (Vec<Range<u64>>, Vec<Range<u64>>) {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux says so");
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = fields[0].split_once('-').expect("start-end");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        (number(start)..number(end), fields[1].contains('x') && fields.len() == 5)
    };
    let all: Vec<_> = maps.lines().map(parse).collect();
    let code = all.iter().filter(|(_, is_code)| *is_code).map(|(range, _)| range.clone()).collect();
    (all.into_iter().map(|(range, _)| range).collect(), code)
}

/// Returns the constants of x86-64's `movabs` that point into one of these ranges, and the number of all such
/// constants. In code without relocations only these have room for an address: other immediates are 32 bits,
/// sign-extended.
fn addresses(code: &[u8], ranges: &[Range<u64>]) -> (Vec<u64>, usize) {
    let movabs = code.windows(10).filter(|bytes| bytes[0] & 0xfe == 0x48 && bytes[1] & 0xf8 == 0xb8);
    let constants: Vec<u64> = movabs.map(|bytes| u64::from_le_bytes(bytes[2..].try_into().expect("eight"))).collect();
    let points = |constant: &&u64| ranges.iter().any(|range| range.contains(constant));
    (constants.iter().filter(points).copied().collect(), constants.len())
}

/// Returns whether a constant is the beginning of a row: a pc of the program, and above it the word at that pc. It may
/// look like an address if much of the host's memory is mapped, as with sanitizers.
fn is_step(program: &Program, constant: u64) -> bool {
    let pc = constant as u32;
    let word = program.segment_at(pc).and_then(|segment| segment.data.get((pc - segment.address) as usize..)?.get(..4));
    word == Some(&((constant >> 32) as u32).to_le_bytes())
}

/// Extends what the IR of small cases shows (`tests/it/jit/golden_ir.rs`) to whole programs on both machines: their
/// code contains no address of the process's memory.
#[test]
fn no_address_of_the_host_is_in_generated_code() {
    if !cfg!(target_arch = "x86_64") {
        println!("only x86-64 has whole addresses in instructions: nothing to see");
        return;
    }
    let _turn = turn();
    let planted = 7u32;
    let address = &raw const planted as u64;
    let code = [&[0x90, 0x49, 0xbb][..], &address.to_le_bytes()].concat();
    assert_eq!(addresses(&code, &mapped().0), (vec![address], 1), "it would be found");

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/recursion.bin");
    let binary = fs::read(path).expect("the guests are in the repository");
    let r0vm = Case::new(Program::from_risc0(&binary).expect("a good binary")).on(MachineKind::R0vm);
    for case in [guest("mix", &["1"]), r0vm] {
        let host = HostEnv::builder().random_seed([0; 32]).write_slice(&[2u32, 3, 50]).build().expect("a host");
        let env = match case.machine {
            MachineKind::R0vm => Env::new().host(host),
            _ => Env::new().args(case.args.iter().cloned()),
        };
        let executor = Setup::eager().executor(&case);
        let mut session = executor.start(env).expect("it starts");
        session.run_to(2000, &mut NullSink::off()).expect("it is longer");
        session.run(&mut NullSink::rows()).expect("it ends");
        let (all, code) = mapped();
        let memory = fs::File::open("/proc/self/mem").expect("Linux shows it");
        let mut constants = 0;
        for range in code {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            memory.read_exact_at(&mut bytes, range.start).expect("it is mapped while its session lives");
            let (mut found, count) = addresses(&bytes, &all);
            found.retain(|constant| !is_step(&case.program, *constant));
            assert!(found.is_empty(), "{}: addresses of the host in its code: {found:x?}", case.machine);
            constants += count;
        }
        assert!(constants > 100, "{}: rows alone have more constants than {constants}", case.machine);
    }
}

/// The tables that lead to code are bounded like the code itself. One instruction in each of many distant places fills
/// them.
#[test]
fn code_in_places_far_apart() {
    const PLACES: u32 = 3_000;
    const APART_BYTES: u32 = 1 << 16;
    const FIRST: u32 = 0x0200_0000;
    let _turn = turn();
    let mut asm = Assembler::new(0x1_0000);
    let [each, out] = std::array::from_fn(|_| asm.label());
    asm.la(9, out);
    asm.li(20, APART_BYTES);
    asm.li(10, FIRST);
    asm.li(15, PLACES);
    asm.place(each);
    asm.op(Op::Jalr, 0, 10, 0, 0);
    asm.place(out);
    asm.r(Op::Add, 10, 10, 20);
    asm.i(Op::Addi, 15, 15, -1);
    asm.branch(Op::Bne, 15, 0, each);
    exit(&mut asm);
    let mut segments = vec![Segment::from_words(asm.base(), &asm.finish().words, Permissions::RX)];
    // `jalr x0, x9`.
    segments.extend(
        (0..PLACES)
            .map(|location| Segment::from_words(FIRST + APART_BYTES * location, &[0x0004_8067], Permissions::RX)),
    );
    let case = Case::new(Program::from_segments(0x1_0000, segments).expect("a test's own program"));
    let (expected, ..) = run(&Setup::interpreter().executor(&case), &case);
    let (found, _, stats) = run(&Setup::eager().executor(&case), &case);
    assert_eq!(found, expected);
    // After that, a place that is reached once no longer counts as hot.
    assert_eq!((stats.code_flushes, stats.regions > 1_000), (1, true), "{stats:?}");
}

/// The system provides a guest's memory page by page: a huge page for each byte touched would exceed any limit.
#[test]
fn guest_memory_has_no_huge_pages() {
    let _turn = turn();
    if fs::metadata("/sys/kernel/mm/transparent_hugepage").is_err() {
        return;
    }
    let case = guest("fib", &["1"]);
    let executor = Setup::interpreter().executor(&case);
    let session = executor.start(Env::new()).expect("it starts");
    let location = session.bytes(0x1_0000, 1).expect("it is memory").as_ptr() as usize;
    let maps = fs::read_to_string("/proc/self/smaps").expect("Linux says so");
    let (mut is_here, mut flags) = (false, None);
    for line in maps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        let number = |text| usize::from_str_radix(text, 16).ok();
        let range = first.split_once('-').and_then(|(start, end)| Some(number(start)?..number(end)?));
        is_here = range.map_or(is_here, |range| range.contains(&location));
        if is_here && first == "VmFlags:" {
            flags = Some(line);
        }
    }
    // Emulated systems do not show flags.
    assert!(flags.map_or(!maps.contains("VmFlags:"), |flags| flags.contains(" nh")), "{flags:?}");
}
