//! Many runs at once.
//!
//! An [`Executor`](crate::Executor) is cheap to clone and can be used on any thread. Its sessions share native code:
//! what one had translated, the others find. Each session has a memory of its own, and its own limits and handle. There
//! is one thread that translates for all of them; it ends with the last of them.
//!
//! ```
//! use tachy::{Engine, Env, Executor, NullSink, Program};
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf"))?;
//! let executor = Executor::builder().engine(Engine::Jit).build(&Program::from_elf(&elf)?)?;
//! let steps: Vec<u64> = std::thread::scope(|scope| {
//!     let run = |size: u32| {
//!         let executor = executor.clone();
//!         scope.spawn(move || {
//!             let env = Env::new().args(["fib".to_owned(), size.to_string()]);
//!             executor.run(env, &mut NullSink::off()).map(|session| session.steps())
//!         })
//!     };
//!     let runs: Vec<_> = (10..14).map(run).collect();
//!     runs.into_iter().map(|run| run.join().expect("it does not panic")).collect::<Result<_, _>>()
//! })?;
//! assert!(steps.is_sorted());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Processes that fork
//!
//! A child of `fork` has a copy of all memory, but of all threads only the one that forked. This is what holds there:
//!
//! - An executor works. It translates again, on a thread of the child's own; nothing is shared with the parent. To share
//!   the translation among children there is no way: let each of them run many sessions.
//! - A session that was started before the fork goes on, in the parent and in the child, each with its own memory. The
//!   child's begins again with the interpreter. So does one in whose stream, sink or host the process forks.
//! - A session with segments ([`Env::segments`](crate::Env::segments)) that was started before the fork does not go on in
//!   the child: the thread that hashes them is the parent's. Each run of it there ends at once with
//!   [`Error::Sink`](crate::Error::Sink). Start such sessions after the fork.
//! - Dropping executors and sessions of the parent's is safe in the child. What they share with threads of the parent's
//!   stays in memory until the child ends.
//! - A [`CancelHandle`](crate::CancelHandle) reaches the sessions of its own process. Streams, sinks and callbacks are
//!   copies as everything else is; files behind them are shared as the system shares them.
//!
//! A child may only use what no other thread was using when the process forked: a session that another thread runs is
//! such a thing, and safe code cannot reach it. `vfork` and other ways to share memory with a child are not supported.
