//! One host for each thing that an environment can carry, and for each way in which it can fail. It must not know who
//! executes the guests.

use std::cell::RefCell;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::rc::Rc;

use anyhow::{Result, bail};
use bytes::Bytes;
use risc0_binfmt::PovwJobId;
use risc0_zkvm::sha::Digestible;
use risc0_zkvm::{
    Assumption, CoprocessorCallback, Digest, ExecutorEnv, ExecutorEnvBuilder, FakeReceipt, MaybePruned,
    ProveKeccakRequest, ProverOpts, ReceiptClaim, SessionInfo, TraceCallback, TraceEvent, VerifierContext,
    compute_image_id, default_executor, default_prover,
};

use crate::guests::{binary, text};
use crate::segments;
use crate::shown::{self, Kept};

/// A scenario and its name.
pub type Scenario = (&'static str, fn());

/// All scenarios whose outcome is the same with any executor.
pub const ALL: &[Scenario] = &[
    ("hello", hello),
    ("streams", streams),
    ("short-reads", short_reads),
    ("large-reader", large_reader),
    ("large-slice", large_slice),
    ("calls", calls),
    ("long-variable", long_variable),
    ("long-argument", long_argument),
    ("failing-reader", failing_reader),
    ("failing-writer", failing_writer),
    ("failing-call", failing_call),
    ("traps", traps),
    ("panic", panic),
    ("panic-texts", panic_texts),
    ("session-limits", session_limits),
    ("segment-sizes", segment_sizes),
    ("pause", pause),
    ("keccak", keccak),
    ("coprocessor", coprocessor),
    ("failing-coprocessor", failing_coprocessor),
    ("no-assumption", no_assumption),
    ("assumptions", assumptions),
    ("povw", povw),
    ("events", events),
    ("failing-events", failing_events),
    ("several", several),
    ("threads", threads),
    ("dev-proof", dev_proof),
    ("dev-proof-pause", dev_proof_pause),
    ("dev-proof-fails", dev_proof_fails),
    ("whole-segments", whole_segments),
    ("programs", programs),
];

/// Scenarios whose outcome depends on who executes, or that do not end well.
pub const OTHERS: &[Scenario] = &[
    ("panicking-reader", panicking_reader),
    ("plain-output", plain_output),
    ("no-program", no_program),
    ("proof", proof),
    ("small-segments", small_segments),
];

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn execute(env: ExecutorEnv<'_>, guest: &str) -> Result<SessionInfo> {
    default_executor().execute(env, &binary(guest))
}

/// Executes a guest in an environment with output that is kept, and prints everything.
fn show(guest: &str, fill: impl FnOnce(&mut ExecutorEnvBuilder<'_>)) {
    let (stdout, stderr) = (Kept::default(), Kept::default());
    let mut builder = ExecutorEnv::builder();
    builder.stdout(stdout.clone()).stderr(stderr.clone());
    fill(&mut builder);
    let session = execute(builder.build().expect("the environment is valid"), guest);
    println!("{}", shown::session(&session));
    stdout.show("stdout");
    stderr.show("stderr");
}

fn show_words(guest: &str, input: &[u32]) {
    println!("{guest} {input:?}");
    show(guest, |builder| {
        builder.write_slice(input);
    });
}

fn hello() {
    println!("image id: {}", compute_image_id(&binary("hello")).expect("it is a program"));
    show("hello", |builder| {
        builder.write(&"world").expect("it is a value").write(&41u32).expect("it is a value");
    });
}

fn streams() {
    let other = Kept::default();
    show("streams", |builder| {
        builder.stdin(Cursor::new(text(11, 10_007)));
        builder.read_fd(4, BufReader::new(Cursor::new(text(12, 4_999))));
        builder.write_fd(5, other.clone());
    });
    other.show("descriptor 5");
}

/// Gives few bytes at a time, and shows how often it was asked and for how much.
struct Sparing {
    bytes: Cursor<Vec<u8>>,
    most: usize,
    asked: Rc<RefCell<(usize, usize)>>,
}

impl Read for Sparing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut asked = self.asked.borrow_mut();
        asked.0 += 1;
        asked.1 = asked.1.max(buffer.len());
        let bytes = buffer.len().min(self.most);
        self.bytes.read(&mut buffer[..bytes])
    }
}

fn short_reads() {
    for most in [1, 3, 1000] {
        let asked = Rc::new(RefCell::new((0, 0)));
        show("streams", |builder| {
            builder.stdin(Sparing { bytes: Cursor::new(text(1, 2_000)), most, asked: Rc::clone(&asked) });
            builder.read_fd(4, BufReader::new(io::empty()));
            builder.write_fd(5, io::sink());
        });
    }
}

fn large_reader() {
    show("streams", |builder| {
        builder.stdin(Cursor::new(text(5, 50 << 20)));
        builder.read_fd(4, BufReader::new(io::empty()));
        builder.write_fd(5, io::sink());
    });
}

fn large_slice() {
    show("streams", |builder| {
        builder.write_slice(&text(6, 50 << 20));
        builder.read_fd(4, BufReader::new(io::empty()));
        builder.write_fd(5, io::sink());
    });
}

fn fill_calls(builder: &mut ExecutorEnvBuilder<'_>) {
    builder.args(&["calls".into(), "second, of odd length".into(), String::new()]);
    builder.env_var("GREETING", "hello");
}

fn echo(request: Bytes) -> Result<Bytes> {
    Ok([b"answered: ".as_slice(), &request].concat().into())
}

fn calls() {
    show("calls", |builder| {
        fill_calls(builder);
        builder.io_callback("echo", echo);
    });
}

fn long_variable() {
    for bytes in [1023, 1024] {
        show("calls", |builder| {
            builder.env_var("GREETING", &"x".repeat(bytes)).io_callback("echo", echo);
        });
    }
}

fn long_argument() {
    for bytes in [1023, 1024] {
        show("calls", |builder| {
            builder.args(&["x".repeat(bytes)]).io_callback("echo", echo);
        });
    }
}

/// Gives some bytes, then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the reader has failed\nin its second line"));
        }
        let bytes = buffer.len().min(self.0);
        buffer[..bytes].fill(b'a');
        self.0 -= bytes;
        Ok(bytes)
    }
}

impl Write for Failing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0 < data.len() {
            return Err(io::Error::other("the writer has failed"));
        }
        self.0 -= data.len();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failing_reader() {
    for bytes in [0, 5, 20_000] {
        show("streams", |builder| {
            builder.stdin(Failing(bytes));
            builder.read_fd(4, BufReader::new(io::empty()));
            builder.write_fd(5, io::sink());
        });
    }
}

fn failing_writer() {
    for bytes in [0, 100] {
        show("streams", |builder| {
            builder.stdin(Cursor::new(text(2, 3_000)));
            builder.stdout(Failing(bytes));
            builder.read_fd(4, BufReader::new(io::empty()));
            builder.write_fd(5, io::sink());
        });
    }
}

fn failing_call() {
    show("calls", |builder| {
        fill_calls(builder);
        builder.io_callback("echo", |_| bail!("no echo here"));
    });
    show("calls", fill_calls);
}

fn traps() {
    for number in (0..=25).filter(|number| *number != 22) {
        show_words("trap", &[number]);
    }
}

fn panic() {
    show_words("panic", &[0]);
    show_words("panic", &[8]);
}

/// Whatever a guest's last words are, the host gets them as they are.
fn panic_texts() {
    let words = b"given up on purpose";
    for text in [b"\x1b[31mred\x1b[0m\r\n\tend!", b"two lines:\none, two", b"bad \xff utf-8 in here"] {
        let mut program = binary("trap");
        let at = program.windows(words.len()).position(|window| window == words).expect("the guest has these words");
        program[at..at + words.len()].copy_from_slice(text);
        let mut builder = ExecutorEnv::builder();
        let env = builder.write_slice(&[23u32]).build().expect("the environment is valid");
        let session = default_executor().execute(env, &program);
        println!("{:?}", session.expect_err("the guest panics").to_string());
    }
}

fn session_limits() {
    for limit in [0, 1, 1_000, 100_000] {
        show("trap", |builder| {
            builder.write_slice(&[22u32]).session_limit(Some(limit));
        });
    }
    show("fib", |builder| {
        builder.write_slice(&[15u32]).session_limit(Some(u64::MAX));
    });
}

fn segment_sizes() {
    for po2 in [13, 14, 15, 16, 18, 22, 25, 27] {
        println!("po2 {po2}");
        show("recursion", |builder| {
            builder.write_slice(&[2u32, 6, 500]).segment_limit_po2(po2);
        });
    }
}

fn pause() {
    show_words("pause", &[3, 10, 20, 30, 40]);
}

fn keccak() {
    show_words("keccak", &[500, 0]);
    show_words("keccak", &[500, 1]);
    show("keccak", |builder| {
        builder.write_slice(&[40_000u32, 1]).keccak_max_po2(14).expect("it is a valid size");
    });
}

struct Coprocessor(usize);

impl CoprocessorCallback for Coprocessor {
    fn prove_keccak(&mut self, request: ProveKeccakRequest) -> Result<()> {
        if self.0 == 0 {
            bail!("the coprocessor has failed");
        }
        self.0 -= 1;
        let states: Vec<u8> = request.input.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        let ProveKeccakRequest { claim_digest, po2, control_root, .. } = request;
        println!("keccak: {claim_digest} po2 {po2} under {control_root}, {}", shown::bytes(&states));
        Ok(())
    }
}

fn coprocessor() {
    show("keccak", |builder| {
        builder.write_slice(&[40_000u32, 1]).keccak_max_po2(14).expect("it is a valid size");
        builder.coprocessor_callback(Coprocessor(100));
    });
}

fn failing_coprocessor() {
    show("keccak", |builder| {
        builder.write_slice(&[40_000u32, 1]).keccak_max_po2(14).expect("it is a valid size");
        builder.coprocessor_callback(Coprocessor(1));
    });
}

/// The input of the guest `verify`: to verify (1) or to assume (2) a claim under a root.
fn verify(claims: &[(u32, Digest, Digest)]) -> Vec<u8> {
    let mut input = words(&[claims.len() as u32]);
    for (kind, claim, root) in claims {
        input.extend(kind.to_le_bytes());
        input.extend(claim.as_bytes());
        input.extend(root.as_bytes());
    }
    input
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn no_assumption() {
    for claims in [(1, digest(7), Digest::ZERO), (1, digest(1), digest(9))] {
        show("verify", |builder| {
            builder.write_slice(&verify(&[claims]));
            builder.add_assumption(Assumption { claim: digest(1), control_root: digest(2) });
        });
    }
}

fn assumptions() {
    let claim = ReceiptClaim::ok(digest(5), b"a journal".to_vec());
    let proven = claim.digest();
    let pruned = digest(6);
    let claims = [
        (1, digest(1), Digest::ZERO),
        (1, proven, Digest::ZERO),
        (2, digest(3), digest(4)),
        (1, digest(1), digest(2)),
        (1, digest(3), Digest::ZERO),
        (1, pruned, Digest::ZERO),
    ];
    show("verify", |builder| {
        builder.write_slice(&verify(&claims));
        builder.add_assumption(Assumption { claim: digest(1), control_root: digest(2) });
        builder.add_assumption(FakeReceipt::new(claim));
        builder.add_assumption(FakeReceipt::<ReceiptClaim>::new(MaybePruned::Pruned(pruned)));
    });
}

fn job() -> PovwJobId {
    PovwJobId::from_bytes(std::array::from_fn(|at| at as u8 + 1))
}

fn povw() {
    show("recursion", |builder| {
        builder.write_slice(&[2u32, 6, 500]).segment_limit_po2(14).povw(job());
    });
}

/// Counts events and adds them up, and fails at one of them.
struct Events {
    count: Rc<RefCell<(u64, u64)>>,
    fails_at: u64,
}

impl TraceCallback for Events {
    fn trace_callback(&mut self, event: TraceEvent) -> Result<()> {
        let mut count = self.count.borrow_mut();
        count.0 += 1;
        for byte in format!("{event:?}").bytes() {
            count.1 = count.1.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte);
        }
        if count.0 == self.fails_at {
            bail!("event {} has failed", count.0);
        }
        Ok(())
    }
}

fn events() {
    for (guest, input) in [("fib", &[5u32][..]), ("recursion", &[2, 2, 10])] {
        let count = Rc::new(RefCell::new((0, 0)));
        show(guest, |builder| {
            builder.write_slice(input).segment_limit_po2(14);
            builder.trace_callback(Events { count: Rc::clone(&count), fails_at: 0 });
        });
        let (events, sum) = *count.borrow();
        println!("{events} events, sum {sum:016x}");
    }
}

/// A server may send more events before it hears of the failure, and output may precede an event, so only the error is
/// shown.
fn failing_events() {
    for fails_at in [1, 1000] {
        let count = Rc::new(RefCell::new((0, 0)));
        let mut builder = ExecutorEnv::builder();
        builder.write_slice(&[5u32]).stdout(io::sink());
        builder.trace_callback(Events { count: Rc::clone(&count), fails_at });
        let session = execute(builder.build().expect("the environment is valid"), "fib");
        assert!(count.borrow().0 >= fails_at);
        println!("{}", shown::session(&session));
    }
}

fn several() {
    for number in 0..3 {
        show_words("fib", &[number]);
    }
}

fn threads() {
    let shown: Vec<String> = std::thread::scope(|scope| {
        let host = |number: u32| {
            move || {
                let mut builder = ExecutorEnv::builder();
                builder.write_slice(&[number]).stdout(io::sink());
                shown::session(&execute(builder.build().expect("it is valid"), "fib"))
            }
        };
        let hosts: Vec<_> = (5..9).map(|number| scope.spawn(host(number))).collect();
        hosts.into_iter().map(|host| host.join().expect("no host panics")).collect()
    });
    println!("{}", shown.join("\n"));
}

/// Proves in dev mode and shows the receipt.
fn show_proof(env: ExecutorEnv<'_>, guest: &str) {
    let context = VerifierContext::default().with_dev_mode(true);
    let options = ProverOpts::default().with_dev_mode(true);
    match default_prover().prove_with_ctx(env, &context, &binary(guest), &options) {
        Err(error) => println!("error: {error}"),
        Ok(info) => {
            let id = compute_image_id(&binary(guest)).expect("it is a program");
            let verified = info.receipt.verify_with_context(&context, id).map_err(|error| error.to_string());
            println!("verifies: {verified:?}");
            println!("journal: {}", shown::bytes(&info.receipt.journal.bytes));
            let claim = info.receipt.claim().expect("it has a claim");
            println!("{}", shown::claim(claim.as_value().expect("it is whole")));
            println!("{:?}", info.stats);
            println!("work: {}", info.work_receipt.is_some());
        }
    }
}

fn dev_proof() {
    let mut builder = ExecutorEnv::builder();
    builder.write_slice(&[2u32, 6, 500]).segment_limit_po2(16).stdout(io::sink());
    show_proof(builder.build().expect("it is valid"), "recursion");
    builder.write_slice(&[2u32, 6, 500]).povw(job()).stdout(io::sink());
    show_proof(builder.build().expect("it is valid"), "recursion");
}

fn dev_proof_pause() {
    let mut builder = ExecutorEnv::builder();
    builder.write_slice(&[3u32, 10, 20, 30, 40]);
    show_proof(builder.build().expect("it is valid"), "pause");
}

fn dev_proof_fails() {
    let mut builder = ExecutorEnv::builder();
    builder.write_slice(&[0u32]).stdout(io::sink()).stderr(io::sink());
    show_proof(builder.build().expect("it is valid"), "panic");
}

fn whole_segments() {
    let mut builder = ExecutorEnv::builder();
    builder.write_slice(&[2u32, 6, 500]).segment_limit_po2(14).stdout(io::sink());
    segments::show(builder.build().expect("it is valid"), "recursion");
    builder.write_slice(&[2u32, 6, 500]).segment_limit_po2(14).stdout(io::sink()).povw(job());
    segments::show(builder.build().expect("it is valid"), "recursion");
    let claims = [(2, digest(3), digest(4)), (1, digest(1), Digest::ZERO)];
    builder.write_slice(&verify(&claims)).add_assumption(Assumption { claim: digest(1), control_root: digest(2) });
    segments::show(builder.build().expect("it is valid"), "verify");
    builder.stdin(Cursor::new(text(3, 5_000))).read_fd(4, BufReader::new(io::empty())).write_fd(5, io::sink());
    builder.stdout(io::sink()).stderr(io::sink());
    segments::show(builder.build().expect("it is valid"), "streams");
}

fn programs() {
    for (guest, input) in [
        ("ecdsa_bigint", &[4u32][..]),
        ("rsa", &[4]),
        ("merkle", &[4, 4]),
        ("serde", &[4, 2]),
        ("ledger", &[10, 32]),
        ("heap", &[64, 50]),
        ("accelerators", &[1]),
    ] {
        show_words(guest, input);
    }
}

struct Panicking;

impl Read for Panicking {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("the host panics on purpose");
    }
}

fn panicking_reader() {
    show("streams", |builder| {
        builder.stdin(Panicking);
    });
}

/// The guest's output goes where the host's does.
fn plain_output() {
    let mut builder = ExecutorEnv::builder();
    builder.write(&"world").expect("it is a value").write(&41u32).expect("it is a value");
    execute(builder.build().expect("it is valid"), "hello").expect("the guest ends well");
}

fn no_program() {
    for bytes in [&b"no program at all"[..], b"", &binary("hello")[..1000]] {
        let env = ExecutorEnv::builder().build().expect("it is valid");
        println!("{}", shown::session(&default_executor().execute(env, bytes)));
    }
}

fn proof() {
    let mut builder = ExecutorEnv::builder();
    let env = builder.write_slice(&[5u32]).stdout(io::sink()).build().expect("it is valid");
    match default_prover().prove(env, &binary("fib")) {
        Ok(info) => println!("proven: {:?}", info.stats),
        Err(error) => println!("error: {error}"),
    }
}

fn small_segments() {
    for po2 in [0, 10, 12, 32] {
        show("fib", |builder| {
            builder.write_slice(&[5u32]).segment_limit_po2(po2);
        });
    }
}
