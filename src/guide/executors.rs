//! Many runs at once.
//!
//! An [`Executor`](crate::Executor) is cheap to clone and can be used on any thread. Its sessions share native code:
//! what one had translated, the others find. Each session has a memory of its own, and its own limits and handle. There
//! is one thread that translates for all of them; it ends with the last of them.
//!
//! ```
//! use tachy::{Engine, Env, Executor, Program};
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf"))?;
//! let executor = Executor::builder().engine(Engine::Jit).build(&Program::from_elf(&elf)?)?;
//! let steps: Vec<u64> = std::thread::scope(|scope| {
//!     let run = |size: u32| {
//!         let executor = executor.clone();
//!         scope.spawn(move || {
//!             let env = Env::new().args(["fib".to_owned(), size.to_string()]);
//!             executor.run(env).map(|session| session.steps())
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
//! - A session with segments ([`Env::segments`](crate::Env::segments)) goes on in the child as well, if the fork was
//!   between two of its runs. In a run a thread hashes them, which is the parent's: where a stream, sink or host forks
//!   there, the child's run ends with [`Error::Forked`](crate::Error::Forked), and so does each later one. Where the
//!   callback that takes segments forks, the child ends when the callback returns.
//! - Dropping executors and sessions of the parent's is safe in the child. What they share with threads of the parent's
//!   stays in memory until the child ends.
//! - A [`CancelHandle`](crate::CancelHandle) reaches the sessions of its own process. Streams, sinks and callbacks are
//!   copies as everything else is; files behind them are shared as the system shares them.
//!
//! A child may only use what no other thread was using when the process forked: a session that another thread runs is
//! such a thing, and safe code cannot reach it. `vfork` and other ways to share memory with a child are not supported.
