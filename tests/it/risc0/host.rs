//! Tests the library's own host, called as R0VM's kernel calls it. A small guest of memory and registers makes the
//! calls, with reads of at most 1,024 bytes and a second read for the results.
//!
//! The expected answers are from the sources of risc0-zkvm 3.0.6, and were compared with it.

mod texts;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tachy::risc0::host::{Assumption, Guest, Host, HostEnv, HostError, Journal, KeccakRequest};

const A3: usize = 13;
const NAME: u32 = 0x0001_0003;
const DATA: u32 = 0x0003_0001;

/// Memory and registers, without any execution.
#[derive(Default)]
struct Fake {
    memory: BTreeMap<u32, u8>,
    registers: [u32; 32],
    cycles: u64,
}

impl Guest for Fake {
    fn register(&self, number: u8) -> u32 {
        self.registers[number as usize]
    }

    fn word(&self, address: u32) -> u32 {
        assert!(address.is_multiple_of(4));
        u32::from_le_bytes(std::array::from_fn(|byte| *self.memory.get(&(address + byte as u32)).unwrap_or(&0)))
    }

    fn user_cycles(&self) -> u64 {
        self.cycles
    }

    fn pc(&self) -> u32 {
        0x0020_0800
    }
}

impl Fake {
    fn put(&mut self, address: u32, data: &[u8]) -> u32 {
        self.memory.extend((address..).zip(data.iter().copied()));
        address
    }

    fn arguments(&mut self, arguments: &[u32]) {
        self.registers[A3..A3 + arguments.len()].copy_from_slice(arguments);
    }

    /// Makes a call by its full name, with a buffer of `bytes` bytes. Returns the buffer, a0 and a1.
    fn call_by_name(
        &mut self,
        env: &mut HostEnv<'_>,
        name: &str,
        buffer_bytes: usize,
    ) -> Result<(Vec<u8>, u32, u32), HostError> {
        self.put(NAME, name.as_bytes());
        self.put(NAME + name.len() as u32, &[0]);
        let mut buffer = vec![0xaa; buffer_bytes];
        assert_eq!(env.read(self, NAME, &mut buffer)?, buffer_bytes, "a read fills its buffer");
        let mut results = [0; 8];
        assert_eq!(env.read(self, 0, &mut results)?, 8);
        let [a0, a1] = [0, 4].map(|at| u32::from_le_bytes(std::array::from_fn(|byte| results[at + byte])));
        Ok((buffer, a0, a1))
    }

    /// Makes a standard call with these arguments.
    fn call(
        &mut self,
        env: &mut HostEnv<'_>,
        name: &str,
        arguments: &[u32],
        buffer_bytes: usize,
    ) -> Result<(Vec<u8>, u32, u32), HostError> {
        self.arguments(arguments);
        self.call_by_name(env, &format!("risc0_zkvm_platform::syscall::nr::{name}"), buffer_bytes)
    }

    /// Reads as the kernel does: in chunks, each with its whole words first and the rest from the second result.
    fn read(&mut self, env: &mut HostEnv<'_>, descriptor: u32, bytes: usize) -> Result<Vec<u8>, HostError> {
        let mut read = Vec::new();
        while read.len() < bytes {
            let wanted = (bytes - read.len()).min(1024);
            let (mut main, count, last) = self.call(env, "SYS_READ", &[descriptor, wanted as u32], wanted / 4 * 4)?;
            assert!(count as usize <= wanted, "{count} bytes of {wanted}");
            main.extend(last.to_le_bytes());
            read.extend(&main[..count as usize]);
            if (count as usize) < wanted {
                break;
            }
        }
        Ok(read)
    }

    fn write(&mut self, env: &mut HostEnv<'_>, descriptor: u32, data: &[u8]) -> Result<(), HostError> {
        self.put(DATA, data);
        let results = self.call(env, "SYS_WRITE", &[descriptor, DATA, data.len() as u32], 0)?;
        assert_eq!(results, (vec![], 0, 0));
        Ok(())
    }
}

/// A writer whose bytes the test can examine afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // Writes only part of the data, so that the caller has to continue.
        let bytes = data.len().div_ceil(2);
        self.0.lock().expect("nobody panicked").extend(&data[..bytes]);
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Supplies its bytes three at a time, with interruptions in between.
struct Trickle<'data>(&'data [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let bytes = buffer.len().min(3);
        self.0.read(&mut buffer[..bytes])
    }
}

/// A stream that claims to have moved more than was requested.
struct Liar;

impl Read for Liar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(buffer.len() + 1)
    }
}

impl Write for Liar {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len() + 1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::other("nowhere to flush to"))
    }
}

fn plain() -> HostEnv<'static> {
    HostEnv::builder().build().expect("there is nothing wrong with defaults")
}

/// Asserts the kind of an error, and shows the actual result otherwise.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}

#[test]
fn input_arrives_whole_however_it_is_read() {
    let data: Vec<u8> = (0..5000u32).map(|at| (at * 7 % 251) as u8).collect();
    for piece in [1, 2, 3, 4, 5, 1000, 1023, 1024, 1025, 2047, 4999, 5000, 6000] {
        let whole = HostEnv::builder().write_slice(&data).build();
        let slow = HostEnv::builder().stdin(Trickle(&data, false)).build();
        for env in [whole, slow] {
            let (mut env, mut guest, mut read) = (env.expect("it is built"), Fake::default(), Vec::<u8>::new());
            loop {
                let next = guest.read(&mut env, 0, piece).expect("stdin is open");
                read.extend(&next);
                if next.len() < piece {
                    break;
                }
            }
            assert!(read == data, "in pieces of {piece}");
            assert_eq!(env.counts().collect::<Vec<_>>()[0].1.bytes, data.len() as u64);
        }
    }
}

#[test]
fn what_was_written_is_stdin() {
    let mut builder = HostEnv::builder();
    builder.write(&(1u8, "ab")).expect("it has words").write_slice(&[0x0102_0304u32]).write_frame(b"xyz");
    let mut env = builder.build().expect("it is built");
    let expected = b"\x01\0\0\0\x02\0\0\0ab\0\0\x04\x03\x02\x01\x03\0\0\0xyz";
    assert_eq!(Fake::default().read(&mut env, 0, 100).expect("stdin is open"), expected);
    // The builder has started over.
    assert_eq!(Fake::default().read(&mut builder.build().expect("it is built"), 0, 100).expect("it is open"), b"");
}

#[test]
fn a_read_hands_over_the_last_bytes_as_a_result() {
    let data = b"0123456789";
    // Requested bytes and buffer size, then the resulting buffer, a0 and a1.
    type Case<'case> = (u32, usize, &'case [u8], u32, &'case [u8; 4]);
    let cases: [Case<'_>; 8] = [
        (10, 8, b"01234567", 10, b"89\0\0"),
        (8, 8, b"01234567", 8, b"\0\0\0\0"),
        (3, 0, b"", 3, b"012\0"),
        (12, 8, b"01234567", 10, b"89\0\0"),
        (4, 0, b"", 4, b"0123"),
        // More than a word is missing: the stream is not read again.
        (13, 8, b"01234567", 8, b"\0\0\0\0"),
        (5, 0, b"", 0, b"\0\0\0\0"),
        // A buffer of partial words is filled as if it had whole ones.
        (8, 7, b"0123456", 8, b"\0\0\0\0"),
    ];
    for (wanted, buffer_bytes, buffer, a0, a1) in cases {
        let mut env = HostEnv::builder().write_slice(data).build().expect("it is built");
        let read = Fake::default().call(&mut env, "SYS_READ", &[0, wanted], buffer_bytes).expect("it reads");
        assert_eq!(read, (buffer.to_vec(), a0, u32::from_le_bytes(*a1)), "{wanted} bytes, buffer {buffer_bytes}");
    }
    for (wanted, buffer_bytes) in [(7, 8), (5, 5), (0, 1)] {
        let refused = Fake::default().call(&mut plain(), "SYS_READ", &[0, wanted], buffer_bytes);
        assert_refused!(refused, HostError::Arguments { syscall: "SYS_READ", .. });
    }
}

#[test]
fn results_need_their_eight_bytes() {
    let (mut env, guest) = (plain(), Fake { cycles: 5 << 32 | 6, ..Fake::default() });
    let mut buffer = [0xaa; 16];
    assert_eq!(env.read(&guest, 0, &mut buffer).expect("there was no call yet"), 8);
    assert_eq!(buffer, [0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
    for bytes in [0, 4, 7, 9, 11] {
        let result = env.read(&guest, 0, &mut vec![0; bytes]);
        assert_refused!(result, HostError::ResultBuffer { bytes: found } if found == bytes);
    }
    // A refused call leaves the results of the previous one.
    let mut guest = guest;
    assert_eq!(guest.call(&mut env, "SYS_CYCLE_COUNT", &[], 0).expect("it counts"), (vec![], 5, 6));
    assert!(guest.call(&mut env, "SYS_ARGC", &[], 4).is_err());
    let mut results = [0; 8];
    assert_eq!(env.read(&guest, 0, &mut results).expect("they are kept"), 8);
    assert_eq!(results, [5, 0, 0, 0, 6, 0, 0, 0]);
}

#[test]
fn arguments_and_variables_tell_their_length() {
    let long = "x".repeat(1023);
    let mut env = HostEnv::builder()
        .args(["one", "", &long, &"y".repeat(1024)])
        .env_var("RUST_BACKTRACE", "full")
        .env_var("LONG", "z".repeat(1024))
        .build()
        .expect("it is built");
    let mut guest = Fake::default();
    assert_eq!(guest.call(&mut env, "SYS_ARGC", &[], 0).expect("there are four"), (vec![], 4, 0));
    assert_eq!(guest.call(&mut env, "SYS_ARGV", &[0], 0).expect("its length"), (vec![], 3, 0));
    assert_eq!(guest.call(&mut env, "SYS_ARGV", &[0], 8).expect("all of it").0, b"one\0\0\0\0\0");
    assert_eq!(guest.call(&mut env, "SYS_ARGV", &[1], 4).expect("it is empty"), (vec![0; 4], 0, 0));
    let (part, length, _) = guest.call(&mut env, "SYS_ARGV", &[2], 8).expect("a part of it");
    assert_eq!((&part[..], length), (&b"xxxxxxxx"[..], 1023));
    assert_refused!(guest.call(&mut env, "SYS_ARGV", &[3], 8), HostError::Arguments { syscall: "SYS_ARGV", .. });
    assert_refused!(guest.call(&mut env, "SYS_ARGV", &[4], 8), HostError::Arguments { syscall: "SYS_ARGV", .. });

    let mut getenv = |name: &[u8], buffer_bytes| {
        let address = guest.put(DATA, name);
        guest.call(&mut env, "SYS_GETENV", &[address, name.len() as u32], buffer_bytes)
    };
    assert_eq!(getenv(b"RUST_BACKTRACE", 4).expect("it is set"), (b"full".to_vec(), 4, 0));
    assert_eq!(getenv(b"RUST", 4).expect("it is not set"), (vec![0; 4], u32::MAX, 0));
    assert_eq!(getenv(&[b'n'; 1024], 0).expect("it is not set").1, u32::MAX);
    for name in [&[b'n'; 1025][..], b"\xff", b"LONG"] {
        assert_refused!(getenv(name, 0), HostError::Arguments { syscall: "SYS_GETENV", .. });
    }
}

#[test]
fn what_the_guest_writes_goes_where_it_belongs() {
    let (out, err, other, kernel) = (Shared::default(), Shared::default(), Shared::default(), Shared::default());
    let mut env = HostEnv::builder()
        .stdout(out.clone())
        .stderr(err.clone())
        .write_fd(77, other.clone())
        .kernel_output(kernel.clone())
        .build()
        .expect("it is built");
    let mut guest = Fake { cycles: 1234, ..Fake::default() };
    let long: Vec<u8> = (0..20_000u32).map(|at| at as u8).collect();
    for (descriptor, data) in [(1, &b"out"[..]), (2, b"err"), (77, &long), (3, b"jour"), (3, b"nal"), (1, b"")] {
        guest.write(&mut env, descriptor, data).expect("it is open");
    }
    let message = guest.put(DATA, b"hello");
    assert_eq!(guest.call(&mut env, "SYS_LOG", &[message, 5], 0).expect("stdout is open"), (vec![], 0, 0));
    assert_eq!(env.write(&guest, 1, b"kernel").expect("it is written"), 6);
    assert_eq!(out.bytes(), b"outR0VM[1234] hello\n");
    assert_eq!((err.bytes(), other.bytes(), kernel.bytes()), (b"err".to_vec(), long, b"kernel".to_vec()));
    assert_eq!((env.journal(), env.output_bytes()), (&b"journal"[..], 20_000 + 6 + 17 + 6));
    for descriptor in [0, 4, 76, u32::MAX] {
        assert_refused!(guest.write(&mut env, descriptor, b"x"), HostError::Descriptor { descriptor: found, .. } if found == descriptor);
    }
    for descriptor in [1, 3, 4] {
        assert_refused!(guest.read(&mut env, descriptor, 1), HostError::Descriptor { descriptor: found, .. } if found == descriptor);
    }
}

#[test]
fn a_journal_counts_if_it_is_committed_and_begins_anew_with_each_run() {
    let (mut env, mut guest) = (plain(), Fake::default());
    guest.write(&mut env, 3, &[7, 0, 0, 0, 2, 0, 0, 0, b'h', b'i', 0, 0]).expect("it is open");
    let journal = env.finish(true).journal.expect("it was committed");
    assert_eq!(journal.decode::<(u32, String)>(), Ok((7, "hi".to_owned())));
    guest.write(&mut env, 3, b"second").expect("it is open");
    assert_eq!(env.finish(false).journal, None);
    assert_eq!(env.finish(true).journal, Some(Journal::default()));
}

#[test]
fn limits_refuse_before_anything_is_written() {
    let out = Shared::default();
    let mut env = HostEnv::builder()
        .stdout(out.clone())
        .limit_journal_bytes(10)
        .limit_output_bytes(Some(20))
        .limit_kept_bytes(1000)
        .build()
        .expect("it is built");
    let mut guest = Fake::default();
    guest.write(&mut env, 3, b"123456789").expect("there is room");
    assert_refused!(guest.write(&mut env, 3, b"ab"), HostError::JournalLimit { bytes: 11, limit_bytes: 10 });
    guest.write(&mut env, 3, b"0").expect("there is room");
    assert_eq!(env.journal(), b"1234567890");

    guest.write(&mut env, 1, &[b'a'; 15]).expect("there is room");
    // "R0VM[0] " and the line's end make six bytes too many.
    assert_refused!(
        guest.call(&mut env, "SYS_LOG", &[DATA, 2], 0),
        HostError::OutputLimit { bytes: 26, limit_bytes: 20 }
    );
    guest.write(&mut env, 1, &[b'a'; 5]).expect("there is room");
    assert_refused!(guest.write(&mut env, 2, b"x"), HostError::OutputLimit { .. });
    assert_eq!(out.bytes(), [b'a'; 20]);

    let (ends, ..) = guest.call(&mut env, "SYS_PIPE", &[], 8).expect("descriptors are free");
    let pipe = ends[0].into();
    for _ in 0..3 {
        guest.write(&mut env, pipe, &[1; 600]).expect("there is room");
        assert_refused!(
            guest.write(&mut env, pipe, &[1; 600]),
            HostError::KeptLimit { bytes: 1200, limit_bytes: 1000 }
        );
        assert_eq!(guest.read(&mut env, pipe, 2000).expect("it is open"), [1; 600]);
    }
    // The reference's default limit, exceeded by a single write of untouched memory.
    let mut env = plain();
    let too_much = guest.call(&mut env, "SYS_WRITE", &[3, 0, (100 << 20) + 1], 0);
    assert_refused!(too_much, HostError::JournalLimit { bytes: 0x640_0001, limit_bytes: 0x640_0000 });
}

/// One call's output is bounded, because the deadline is not checked during the call. The size of memory would not be a
/// bound.
#[test]
fn calls_that_write_too_much_at_once() {
    const MOST_BYTES: u32 = 256 << 20;
    let mut env = HostEnv::builder().limit_output_bytes(Some(0)).build().expect("it is built");
    let mut guest = Fake::default();
    for bytes in [MOST_BYTES + 1, u32::MAX] {
        assert_refused!(guest.call(&mut env, "SYS_WRITE", &[1, 0, bytes], 0), HostError::Arguments { .. });
        assert_refused!(guest.call(&mut env, "SYS_LOG", &[0, bytes], 0), HostError::Arguments { .. });
    }
    // An output of exactly this size is subject to other limits.
    assert_refused!(guest.call(&mut env, "SYS_WRITE", &[1, 0, MOST_BYTES], 0), HostError::OutputLimit { .. });
}

/// Each run has a journal, and one limit covers all of them.
#[test]
fn journals_of_all_runs_count() {
    let mut env = HostEnv::builder().limit_journal_bytes(10).build().expect("it is built");
    let mut guest = Fake::default();
    guest.write(&mut env, 3, b"123456").expect("there is room");
    assert!(env.finish(true).journal.is_some());
    guest.write(&mut env, 3, b"1234").expect("there is room");
    assert_refused!(guest.write(&mut env, 3, b"5"), HostError::JournalLimit { bytes: 11, limit_bytes: 10 });
}

#[test]
fn pipes_carry_what_was_written() {
    let mut env = HostEnv::builder().read_fd(4, &b""[..]).write_fd(6, io::sink()).build().expect("it is built");
    let mut guest = Fake::default();
    let mut open = |guest: &mut Fake| guest.call(&mut env, "SYS_PIPE", &[], 8).map(|(ends, ..)| ends);
    // 0 to 3, 4 and 6 are in use. Both ends have the same number, as in the reference.
    assert_eq!(open(&mut guest).expect("it opens"), [5, 0, 0, 0, 5, 0, 0, 0]);
    assert_eq!(open(&mut guest).expect("it opens"), [7, 0, 0, 0, 7, 0, 0, 0]);
    guest.write(&mut env, 5, b"first").expect("it is open");
    guest.write(&mut env, 7, b"second").expect("it is open");
    assert_eq!(guest.read(&mut env, 5, 3).expect("it is open"), b"fir");
    assert_eq!(guest.read(&mut env, 7, 100).expect("it is open"), b"second");
    assert_eq!(guest.read(&mut env, 5, 100).expect("it is open"), b"st");
    assert_eq!(guest.read(&mut env, 5, 100).expect("it is open"), b"");
    for buffer_bytes in [0, 4, 12] {
        assert_refused!(guest.call(&mut env, "SYS_PIPE", &[], buffer_bytes), HostError::Arguments { .. });
    }
    // Of 1,000 descriptors, 8 are in use.
    for _ in 0..992 {
        guest.call(&mut env, "SYS_PIPE", &[], 8).expect("it opens");
    }
    assert_refused!(guest.call(&mut env, "SYS_PIPE", &[], 8), HostError::Arguments { syscall: "SYS_PIPE", .. });
}

#[test]
fn a_panic_carries_the_guests_words() {
    let (mut env, mut guest) = (plain(), Fake::default());
    let mut panic = |guest: &mut Fake, message: &[u8], bytes| {
        let address = guest.put(DATA, message);
        match guest.call(&mut env, "SYS_PANIC", &[address, bytes], 0) {
            Err(HostError::GuestPanic { message }) => message,
            other => panic!("expected a guest's panic, got {other:?}"),
        }
    };
    assert_eq!(panic(&mut guest, b"out of luck", 11), "out of luck");
    assert_eq!(panic(&mut guest, b"\xffbad", 4), "\u{fffd}bad");
    // Characters that would control a terminal are replaced.
    assert_eq!(panic(&mut guest, b"\x1b[2Jred\r\n\tblue", 14), "\u{fffd}[2Jred\u{fffd}\n\tblue");
    assert_eq!(panic(&mut guest, b"", 0), "");
    let long = panic(&mut Fake::default(), b"m", u32::MAX - 0xff_ffff);
    assert_eq!(long.chars().count(), 1 << 20, "longer messages are cut off");
}

#[test]
fn random_bytes_follow_from_the_seed() {
    let random = |env: &mut HostEnv<'_>, bytes| Fake::default().call(env, "SYS_RANDOM", &[], bytes);
    let drawn = |env: &mut HostEnv<'_>| random(env, 32).expect("there are enough").0;
    let (mut first, mut other) = (plain(), plain());
    assert_ne!(drawn(&mut first), drawn(&mut other), "each run has a seed of its own");
    // The host shows its seed, and another host with this seed behaves the same.
    let seed = first.random_seed().expect("it has one");
    let with_seed = |seed| HostEnv::builder().random_seed(seed).build().expect("it is built");
    let (mut again, mut third) = (with_seed(seed), with_seed(seed));
    let (one, two) = (drawn(&mut again), drawn(&mut again));
    assert_eq!([drawn(&mut third), drawn(&mut third)], [one.clone(), two.clone()]);
    assert_eq!(drawn(&mut first), two, "a run can be repeated");
    assert!(one != two && again.random_seed() == Some(seed));
    // BLAKE3 of the empty input, keyed with the seed.
    let mut expected = [0; 32];
    blake3::Hasher::new_keyed(&[1; 32]).finalize_xof().fill(&mut expected);
    assert_eq!(drawn(&mut with_seed([1; 32])), expected);
    let mut given = HostEnv::builder().random(&b"abcdef"[..]).build().expect("it is built");
    assert_eq!(random(&mut given, 4).expect("there are six"), (b"abcd".to_vec(), 4, 0));
    assert_eq!(given.random_seed(), None);
    assert_refused!(random(&mut given, 4), HostError::Callback { name, .. } if name == "SYS_RANDOM");
}

/// The permutation of the zero state, from the Keccak team's intermediate values of Keccak-f[1600].
const PERMUTED_ZERO: [u64; 3] = [0xf125_8f79_40e1_dde7, 0x84d5_ccf9_33c0_478a, 0xd598_261e_a65a_a9ee];

#[test]
fn keccak_permutes_and_keeps_what_is_to_be_proven() {
    let taken = Mutex::new(Vec::<KeccakRequest>::new());
    let mut kept = HostEnv::builder();
    kept.keccak_max_po2(14);
    let mut handed_over = HostEnv::builder();
    handed_over.keccak_max_po2(14).coprocessor_callback(|request| {
        taken.lock().expect("nobody panicked").push(request);
        Ok(())
    });
    for (builder, keeps) in [(&mut kept, true), (&mut handed_over, false)] {
        let (mut env, mut guest) = (builder.build().expect("it is built"), Fake::default());
        // 2^14 cycles at 200 each.
        for index in 0..81 {
            let state = guest.call(&mut env, "SYS_KECCAK", &[0, 0x0090_0000], 200).expect("there is room");
            assert_eq!(state.1, (index == 80) as u32, "whether the batch is full");
            for (lane, expected) in state.0.chunks(8).zip(PERMUTED_ZERO) {
                assert_eq!(lane, expected.to_le_bytes());
            }
        }
        assert_refused!(guest.call(&mut env, "SYS_KECCAK", &[0, 0x0090_0000], 200), HostError::Arguments { .. });
        let (claim, root) = (guest.put(DATA, &[1; 32]), guest.put(DATA + 100, &[2; 32]));
        assert_eq!(guest.call(&mut env, "SYS_KECCAK", &[1, claim, root], 0).expect("it is closed"), (vec![], 0, 0));
        assert_eq!(guest.call(&mut env, "SYS_KECCAK", &[0, DATA], 200).expect("there is room again").1, 0);
        for (mode, buffer_bytes) in [(0, 0), (0, 196), (0, 1024), (1, 4), (2, 0)] {
            assert_refused!(
                guest.call(&mut env, "SYS_KECCAK", &[mode, DATA, DATA], buffer_bytes),
                HostError::Arguments { .. }
            );
        }
        let request = KeccakRequest { claim: [1; 32], control_root: [2; 32], po2: 14, inputs: vec![[0; 25]; 81] };
        assert_eq!(env.finish(true).keccaks, if keeps { vec![request] } else { vec![] });
        assert_eq!(env.finish(true).keccaks, vec![], "they are handed over once");
    }
    assert_eq!(taken.lock().expect("nobody panicked").len(), 1);
}

#[test]
fn assumptions_are_found_by_claim_and_root() {
    let mut env = HostEnv::builder()
        .add_assumption(Assumption { claim: [1; 32], control_root: None })
        .add_assumption(Assumption { claim: [1; 32], control_root: Some([8; 32]) })
        .add_assumption(Assumption { claim: [2; 32], control_root: Some([0; 32]) })
        .build()
        .expect("it is built");
    let mut guest = Fake::default();
    let mut verify = |name: &str, claim: u8, root: u8| {
        let address = guest.put(DATA, &[[claim; 32], [root; 32]].concat());
        guest
            .call(&mut env, name, &[address, 64], 0)
            .map(|(buffer, a0, a1)| assert_eq!((buffer, a0, a1), (vec![], 0, 0)))
    };
    // Any root, which selects the first match; a specific root; an unknown one.
    verify("SYS_VERIFY_INTEGRITY", 1, 0).expect("it is known");
    verify("SYS_VERIFY_INTEGRITY", 1, 8).expect("it is known");
    for (claim, root) in [(1, 9), (2, 8), (3, 0), (0, 0)] {
        let refused = verify("SYS_VERIFY_INTEGRITY", claim, root);
        assert_refused!(refused, HostError::NoAssumption { claim: found, .. } if found == [claim; 32]);
    }
    // A claim that the guest itself assumes is known afterwards.
    verify("SYS_VERIFY_INTEGRITY2", 3, 4).expect("anything goes");
    verify("SYS_VERIFY_INTEGRITY", 3, 4).expect("it is known now");
    let used = env.finish(true).assumptions;
    let used: Vec<_> = used.iter().map(|used| (used.claim[0], used.control_root[0], used.assumption)).collect();
    assert_eq!(used, [(3, 4, 3), (3, 4, 3), (1, 8, 1), (1, 0, 0)], "the last one first");
    assert_eq!(env.finish(true).assumptions, []);
}

#[test]
fn the_callers_own_calls_answer_in_two_steps() {
    let mut asked = Vec::new();
    let mut builder = HostEnv::builder();
    builder.io_callback("mine::REVERSE", |from_guest| {
        asked.push(from_guest.to_vec());
        Ok(from_guest.iter().rev().copied().collect())
    });
    builder.io_callback("mine::FAIL", |_| Err("it does that".into()));
    builder.io_callback("risc0_zkvm_platform::syscall::nr::SYS_ARGC", |_| Ok(vec![1, 2, 3]));
    let mut env = builder.limit_kept_bytes(5000).build().expect("it is built");
    let mut guest = Fake::default();
    let address = guest.put(DATA, b"abcdefghij");
    guest.arguments(&[address, 10]);
    let reverse = "mine::REVERSE";
    assert_eq!(guest.call_by_name(&mut env, reverse, 0).expect("it answers"), (vec![], 10, 0));
    assert_eq!(guest.call_by_name(&mut env, reverse, 4).expect("a part"), (b"jihg".to_vec(), 4, 0));
    assert_eq!(guest.call_by_name(&mut env, reverse, 0).expect("nothing yet"), (vec![], 0, 0));
    assert_eq!(guest.call_by_name(&mut env, reverse, 8).expect("the rest"), (b"fedcba\0\0".to_vec(), 6, 0));
    // The next one is a new call. An empty answer takes its second step, too.
    guest.arguments(&[address, 0]);
    assert_eq!(guest.call_by_name(&mut env, reverse, 0).expect("it answers"), (vec![], 0, 0));
    assert_eq!(guest.call_by_name(&mut env, reverse, 4).expect("nothing"), (vec![0; 4], 0, 0));
    assert_refused!(guest.call_by_name(&mut env, reverse, 4), HostError::Arguments { .. });
    assert_refused!(guest.call_by_name(&mut env, "mine::FAIL", 0), HostError::Callback { name, .. } if name == "mine::FAIL");
    assert_eq!(guest.call(&mut env, "SYS_ARGC", &[address, 0], 0).expect("it is ours").1, 3);
    guest.arguments(&[address, 5001]);
    assert_refused!(guest.call_by_name(&mut env, reverse, 0), HostError::KeptLimit { bytes: 5004, .. });
    let counts: BTreeMap<String, u64> = env.counts().map(|(name, count)| (name.to_owned(), count.calls)).collect();
    assert_eq!(counts[reverse], 6);
    drop((env, builder));
    assert_eq!(asked, [&b"abcdefghij"[..], b""]);
}

#[test]
fn other_names_are_unknown() {
    let (mut env, mut guest) = (plain(), Fake::default());
    for name in ["SYS_FORK", "SYS_EXIT", "SYS_PROVE_ZKR", "SYS_PROVE_KECCAK", "SYS_NOTHING", "", "sys_read"] {
        assert_refused!(guest.call(&mut env, name, &[], 0), HostError::UnknownSyscall { .. });
    }
    for name in ["SYS_READ", "risc0-zkvm-platform::syscall::SYS_PROVE_ZKR", "", &"n".repeat(5000)] {
        assert_refused!(guest.call_by_name(&mut env, name, 0), HostError::UnknownSyscall { .. });
    }
    guest.put(NAME, b"\xff\xfe\0");
    assert_refused!(env.read(&guest, NAME, &mut []), HostError::UnknownSyscall { .. });
    // A name that the end of memory cuts off.
    guest.put(u32::MAX - 3, b"SYS");
    guest.memory.insert(u32::MAX, b'_');
    assert_refused!(env.read(&guest, u32::MAX - 3, &mut []), HostError::UnknownSyscall { name } if name == "SYS_");
    assert_eq!(env.counts().count(), 0, "what was refused does not count");
}

#[test]
fn memory_ends() {
    let (mut env, mut guest) = (plain(), Fake::default());
    for (name, arguments) in [
        ("SYS_WRITE", &[3, u32::MAX, 1][..]),
        ("SYS_WRITE", &[3, 1, u32::MAX]),
        ("SYS_LOG", &[u32::MAX - 9, 10]),
        ("SYS_PANIC", &[u32::MAX - 9, 10]),
        ("SYS_GETENV", &[u32::MAX - 9, 10]),
        ("SYS_VERIFY_INTEGRITY", &[u32::MAX - 62]),
        ("SYS_VERIFY_INTEGRITY2", &[u32::MAX - 62]),
        ("SYS_KECCAK", &[1, u32::MAX, 0]),
        ("SYS_KECCAK", &[1, 0, u32::MAX]),
    ] {
        assert_refused!(guest.call(&mut env, name, arguments, 0), HostError::Region { .. });
    }
    assert_refused!(guest.call(&mut env, "SYS_KECCAK", &[0, u32::MAX - 100], 200), HostError::Region { .. });
    // Up to the last byte but one, as in the reference.
    guest.call(&mut env, "SYS_WRITE", &[3, u32::MAX - 10, 10], 0).expect("it lies inside");
    guest.call(&mut env, "SYS_WRITE", &[3, u32::MAX, 0], 0).expect("nothing lies anywhere");
    for name in ["SYS_ARGC", "SYS_CYCLE_COUNT", "SYS_LOG", "SYS_PANIC", "SYS_WRITE", "SYS_VERIFY_INTEGRITY"] {
        assert_refused!(guest.call(&mut env, name, &[0, 0, 0], 4), HostError::Arguments { .. });
    }
}

#[test]
fn streams_that_fail_or_lie_end_the_run_and_nothing_worse() {
    let mut env = HostEnv::builder().stdin(Liar).stdout(Liar).kernel_output(Liar).build().expect("it is built");
    let mut guest = Fake::default();
    assert_refused!(guest.read(&mut env, 0, 4), HostError::Stream { descriptor: 0, .. });
    assert_refused!(guest.write(&mut env, 1, b"x"), HostError::Stream { descriptor: 1, .. });
    assert_refused!(guest.call(&mut env, "SYS_LOG", &[DATA, 0], 0), HostError::Stream { descriptor: 1, .. });
    assert_refused!(env.write(&guest, 0, b"x"), HostError::Stream { .. });
    assert_refused!(env.flush(), HostError::Stream { descriptor: 1, .. });
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for po2 in [0, 12, 32, u32::MAX] {
        assert_refused!(HostEnv::builder().segment_limit_po2(po2).build().map(drop), HostError::Configuration { .. });
    }
    for po2 in [13, 19] {
        assert_refused!(HostEnv::builder().keccak_max_po2(po2).build().map(drop), HostError::Configuration { .. });
    }
    for name in ["a\0b", &"n".repeat(257)] {
        let built = HostEnv::builder().io_callback(name, |_| Ok(vec![])).build().map(drop);
        assert_refused!(built, HostError::Configuration { .. });
    }
    let env = HostEnv::builder().segment_limit_po2(13).session_limit(Some(9)).input_digest([3; 32]).build();
    let env = env.expect("it is built");
    assert_eq!((env.segment_limit_po2(), env.session_limit(), env.input_digest()), (13, Some(9), [3; 32]));
    assert_eq!((plain().segment_limit_po2(), plain().session_limit()), (20, None));
    assert!(HostEnv::builder().segment_limit_po2(31).build().is_ok(), "more than is proven can be executed");
    fn is_send<T: Send>(_: &T) {}
    is_send(&env);
}

const NAMES: [&str; 14] = [
    "SYS_ARGC",
    "SYS_ARGV",
    "SYS_CYCLE_COUNT",
    "SYS_GETENV",
    "SYS_KECCAK",
    "SYS_LOG",
    "SYS_PANIC",
    "SYS_PIPE",
    "SYS_RANDOM",
    "SYS_READ",
    "SYS_VERIFY_INTEGRITY",
    "SYS_VERIFY_INTEGRITY2",
    "SYS_WRITE",
    "SYS_FORK",
];

proptest! {
    /// Every request of a guest is answered or refused, and an answer stays inside its buffer.
    #[test]
    fn any_guest_is_answered_or_refused(
        calls in prop::collection::vec((
            prop::sample::select(NAMES.to_vec()),
            prop::array::uniform3(prop_oneof![0..8u32, 0..100_000u32, (u32::MAX - 2000)..=u32::MAX]),
            prop_oneof![0..32usize, 0..1025usize],
        ), 0..30),
        memory in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut env = HostEnv::builder()
            .write_slice(&memory)
            .args(["a"])
            .limit_output_bytes(Some(1 << 20))
            .limit_journal_bytes(1 << 20)
            .limit_kept_bytes(1 << 20)
            .build()
            .expect("it is built");
        let mut guest = Fake::default();
        guest.put(0, &memory);
        for (name, arguments, buffer_bytes) in calls {
            let _ = guest.call(&mut env, name, &arguments, buffer_bytes);
        }
        prop_assert!(env.journal().len() <= 1 << 20 && env.output_bytes() <= 1 << 20);
    }
}
