//! Memory that holds generated code: never writable and executable at once, and started anew when it is full.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use common::cases::guest;
use common::engines::{Case, End, Setup};
use tachy::trace::{DigestSink, Effect, SinkError, TraceDigest};
use tachy::{Executor, Row, Sink, Stats};

/// Mappings of this process that are executable and belong to no file: where generated code is.
///
/// # Panics
/// When one of all its mappings is both writable and executable.
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

/// Hashes rows, and looks at memory every few buffers: at that moment native code waits for the call to return.
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

/// How it ended with what digest, the most code mappings seen, and how it ran.
fn run(executor: &Executor, case: &Case) -> ((End, TraceDigest), usize, Stats) {
    let (mut stdout, mut stderr, mut watch) = (Vec::new(), Vec::new(), Watch::default());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let end = End::of(session.run(&mut watch));
    ((end, watch.digest.digest()), watch.most, session.stats())
}

#[test]
fn no_page_is_writable_and_executable_while_sessions_run() {
    let case = guest("mix", &["10"]);
    let (expected, ..) = run(&Setup::interpreter().executor(&case), &case);
    let executor = Setup::eager().executor(&case);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Looks on while others translate.
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

/// Each time that memory is full the threshold doubles: after some, what is hot enough fits.
#[test]
fn small_code_memory_does_not_thrash() {
    let case = guest("rust_mix", &["2"]);
    let (expected, ..) = run(&Setup::interpreter().executor(&case), &case);
    let (found, _, stats) = run(&Setup::eager().code_bytes(1 << 20).executor(&case), &case);
    assert_eq!(found, expected);
    assert!((2..=16).contains(&stats.code_flushes), "{stats:?}");
}

/// The beginning of a program that needs several times the budget.
#[test]
fn full_code_memory_starts_anew() {
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
        // Each was filled before it was dropped.
        assert!(stats.code_bytes >= stats.code_flushes << 19, "{stats:?}");
    }
}
