//! Guests that nobody trusts.
//!
//! Whatever a program does, it stays inside its memory, and stops at its [`Limits`](crate::Limits). Those on steps,
//! memory and output hit at the same step in every engine; so does the limit on cycles, which machine `r0vm` has beside
//! them. The one on time stops a run at some step soon after. A run that a limit stopped can go on.
//!
//! ```
//! use tachy::{Env, Error, Executor, Limit, Limits, NullSink, Program, Status};
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/sieve.elf"))?;
//! let limits = Limits::none().steps(1_000_000).memory_bytes(64 << 20);
//! let executor = Executor::builder().limits(limits).build(&Program::from_elf(&elf)?)?;
//! let mut session = executor.start(Env::new().args(["sieve", "100000"]))?;
//! match session.run(&mut NullSink::off()) {
//!     Err(Error::Limit(hit)) => assert_eq!((hit.limit, hit.location.step), (Limit::Steps(1_000_000), 1_000_000)),
//!     other => panic!("{other:?}"),
//! }
//! session.limits_mut().steps = None;
//! assert_eq!(session.run(&mut NullSink::off())?, Status::Exited { code: 0 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! While a stream of the caller's waits, nobody looks at time: a stream that may wait for ever has to give up by itself, with
//! an error.
//!
//! A [`CancelHandle`](crate::CancelHandle) stops a run from another thread, or from a handler of signals; it, too,
//! leaves a session that can go on.
//!
//! ```
//! use tachy::program::{Permissions, Segment};
//! use tachy::{Env, Error, Executor, NullSink, Program};
//!
//! // A jump to itself.
//! let program = Program::from_segments(0x1_0000, vec![Segment::from_words(0x1_0000, &[0x6f], Permissions::RX)])?;
//! let mut session = Executor::builder().build(&program)?.start(Env::new())?;
//! let handle = session.cancel_handle();
//! let other = std::thread::spawn(move || handle.cancel());
//! assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Cancelled { .. })));
//! other.join().expect("it does not panic");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a guest can have the host keep is limited as well: see
//! [`HostEnvBuilder`](crate::risc0::host::HostEnvBuilder).
