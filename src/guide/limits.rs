//! Run untrusted guests.
//!
//! Whatever a program does, it stays inside its memory and stops at its [`Limits`](crate::Limits). The limits on steps,
//! memory and output stop every engine at the same step; so does the limit on cycles, which only machine `r0vm` has.
//! The time limit stops a run at some step soon after it expires. A run stopped by a limit can continue.
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
//! The time limit is not checked while one of the caller's streams blocks. A stream that may block forever has to give
//! up by itself, with an error.
//!
//! A [`CancelHandle`](crate::CancelHandle) stops a run from another thread or from a signal handler. The session can
//! continue afterwards, too.
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
//! The amount of data that a guest can make the host keep is limited as well: see
//! [`HostEnvBuilder`](crate::risc0::host::HostEnvBuilder).
