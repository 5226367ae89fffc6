//! Runs the guests of the repository to their ends. Trace digests, output and exit code must be equal in both engines,
//! and the output must match guests/README.md and, if it is installed, qemu-riscv32.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::engines::{Case, End, Outcome, Setup, final_difference, run_untraced, run_with};
use tachy::trace::{DigestSink, TraceDigest};
use tachy::{Env, JitOptions, NullSink, Program, Status};

/// A guest, its arguments, and its expected behaviour.
struct Guest {
    name: &'static str,
    args: &'static [&'static str],
    stdin: &'static [u8],
    stdout: &'static str,
    stderr: &'static str,
    code: u32,
}

/// A guest that prints a line and exits with 0.
const fn quiet(name: &'static str, stdout: &'static str) -> Guest {
    Guest { name, args: &[], stdin: b"", stdout, stderr: "", code: 0 }
}

const GUESTS: [Guest; 16] = [
    quiet("fib", "fib(27) = 196418 ok\n"),
    quiet("sieve", "sieve(400000) = 33860 primes ok\n"),
    quiet("sha256", "sha256(1500 blocks) = 74985c3f745ff0c2987143800e8540b56c38ea848635d6d20dc4487cadc89750 ok\n"),
    quiet("quicksort", "quicksort(30000) = 60d0244e ok\n"),
    quiet("vm", "vm(400) = 78 primes, 20141 steps, 370040 operations ok\n"),
    quiet("mix", "mix(70) = e6cff530 ok\n"),
    quiet("brk", "brk(60) = 880828 bytes grown ok\n"),
    quiet("smc", "smc(40000) = ffbcff63 ok\n"),
    quiet("rust_mix", "rust_mix(1) = bc8f29a3747aa466 ok\n"),
    Guest { args: &["40000", "nofence"], ..quiet("smc", "smc(40000) = ffbcff63 ok\n") },
    Guest { args: &["40", "fence", "10000"], ..quiet("smc", "smc(40) = 21342b15 ok\n") },
    Guest {
        stdin: b"Hello world\nab c",
        stderr: "filter: raised 12 of 16 bytes\n",
        ..quiet("filter", "HELLO WORLD\nAB C\nfilter: 1 lines, 4 words, 16 bytes ok\n")
    },
    Guest {
        args: &["3"],
        stdin: b"Hello world\nab c",
        stderr: "filter: raised 12 of 16 bytes\n",
        ..quiet("filter", "HELLO WORLD\nAB C\nfilter: 1 lines, 4 words, 16 bytes ok\n")
    },
    Guest { code: 1, ..quiet("args", "argc = 1\nargv[0] = args\n") },
    Guest {
        args: &["a", "b c", ""],
        code: 4,
        ..quiet("args", "argc = 4\nargv[0] = args\nargv[1] = a\nargv[2] = b c\nargv[3] = \n")
    },
    Guest { args: &["12"], ..quiet("fib", "fib(12) = 144 ok\n") },
];

impl Guest {
    fn case(&self) -> Case {
        let elf = std::fs::read(crate::common::guest(self.name)).expect("the guests are in the repository");
        let args = [self.name].iter().chain(self.args).map(|arg| arg.as_bytes().to_vec()).collect();
        Case { args, stdin: self.stdin.to_vec(), ..Case::new(Program::from_elf(&elf).expect("a good program")) }
    }
}

/// Runs with rows, and keeps only their digest.
fn digest(case: &Case, setup: &Setup) -> (Outcome, TraceDigest) {
    let mut sink = DigestSink::default();
    let outcome = run_with(case, setup, |session| session.run(&mut sink));
    (outcome, sink.digest())
}

fn check(guest: &Guest) {
    let what = format!("{} {}", guest.name, guest.args.join(" "));
    let case = guest.case();
    let (reference, rows) = digest(&case, &Setup::interpreter());
    assert_eq!(reference.end, End::Done(Status::Exited { code: guest.code }), "{what}");
    assert_eq!(String::from_utf8_lossy(&reference.stdout), guest.stdout, "{what}");
    assert_eq!(String::from_utf8_lossy(&reference.stderr), guest.stderr, "{what}");
    let warm = Setup::jit(JitOptions::default());
    let setups =
        [Setup::eager(), Setup::eager().alternate_engines(), warm.clone().background(false), warm.buffer_rows(1000)];
    for setup in setups {
        let (outcome, found) = digest(&case, &setup);
        if let Some(text) = final_difference(&reference, &outcome) {
            panic!("{what} under {setup:?}, with rows: {text}");
        }
        assert_eq!(found, rows, "{what} under {setup:?}");
        if let Some(text) = final_difference(&reference, &run_untraced(&case, &setup)) {
            panic!("{what} under {setup:?}, without rows: {text}");
        }
    }
}

/// Splits the guests into two tests, so that two processors can work.
#[test]
fn guests_run_alike_in_both_engines() {
    GUESTS.iter().step_by(2).for_each(check);
}

#[test]
fn other_guests_run_alike_in_both_engines() {
    GUESTS.iter().skip(1).step_by(2).for_each(check);
}

/// Full code memory is dropped and replaced, as often as necessary.
#[test]
fn code_memory_may_be_small() {
    let guest = GUESTS.iter().find(|guest| guest.name == "rust_mix").expect("it is in the table");
    // Dropped code is translated again and again, so only part of the run is feasible.
    let case = guest.case().limit_steps(300_000);
    let setup = Setup::eager().region_instructions(2000).code_bytes(1 << 20);
    let mut flushes = 0;
    let outcome = run_with(&case, &setup, |session| {
        let result = session.run(&mut NullSink::rows());
        flushes = session.stats().code_flushes;
        result
    });
    let reference = run_untraced(&case, &Setup::interpreter());
    assert_eq!(final_difference(&reference, &outcome), None);
    assert!(!cfg!(target_arch = "x86_64") || flushes > 0, "all of it fits into a megabyte?");
    println!("{flushes} flushes");
}

/// Agreement of both engines says little if one of them never ran.
#[test]
fn native_code_does_nearly_everything() {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        println!("no code generator for this host: nothing to see");
        return;
    }
    for name in ["fib", "sieve", "sha256", "quicksort", "vm", "mix"] {
        let guest = GUESTS.iter().find(|guest| guest.name == name).expect("it is in the table");
        // Translation that steps must pay for starts later, and these runs are short.
        for (setup, part) in [(Setup::eager(), 10), (Setup::jit(JitOptions::default()).background(false), 2)] {
            let case = guest.case();
            let session = setup.executor(&case).run(Env::new()).expect("it ends");
            let (steps, interpreted) = (session.steps(), session.stats().interpreted_steps);
            assert!(interpreted < steps / part, "{name}: {interpreted} of {steps} steps interpreted under {setup:?}");
        }
    }
}

#[test]
fn guests_do_what_qemu_does() {
    if Command::new("qemu-riscv32").arg("--version").output().is_err() {
        println!("qemu-riscv32 is not installed: not compared");
        return;
    }
    for guest in &GUESTS {
        let mut command = Command::new("qemu-riscv32");
        // Without -0, the guest would see the path as its name.
        command.args(["-0", guest.name]).arg(crate::common::guest(guest.name)).args(guest.args);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("qemu-riscv32 starts");
        // A guest that does not read its input closes it; that is not a failure.
        let _ = child.stdin.take().expect("it was piped").write_all(guest.stdin);
        let output = child.wait_with_output().expect("qemu-riscv32 ends");
        let what = format!("{} {} in qemu", guest.name, guest.args.join(" "));
        assert_eq!(String::from_utf8_lossy(&output.stdout), guest.stdout, "{what}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), guest.stderr, "{what}");
        assert_eq!(output.status.code(), Some((guest.code & 255) as i32), "{what}");
    }
}
