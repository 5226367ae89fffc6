//! Run many sessions at once.
//!
//! An [`Executor`](crate::Executor) is cheap to clone and works on any thread. Its sessions share native code: code
//! compiled for one is available to the others. Each session has its own memory, limits and handle. One thread compiles
//! for all of them; it ends with the last of them.
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
//! # A process per execution
//!
//! [`Builder::disk_cache`](crate::Builder::disk_cache) names a folder. The next process that runs the program begins with
//! the native code of the last one. [`jit::DiskCache`](crate::jit::DiskCache) says whom that trusts.
//!
//! # Processes that fork
//!
//! A child of `fork` has a copy of all memory, but only the thread that forked. These rules apply there:
//!
//! - An executor works. It compiles again, on a thread of the child's own; nothing is shared with the parent, and
//!   nothing is read from disk or written there. Children
//!   cannot share compiled code: let each of them run many sessions.
//! - A session that was started before the fork continues, in the parent and in the child, each with its own memory.
//!   The child's session starts with the interpreter again. So does a session whose stream, sink or host forks the
//!   process.
//! - A session with segments ([`Env::segments`](crate::Env::segments)) continues in the child as well, if the fork was
//!   between two of its runs. During a run, threads of the parent hash the segments. If a stream, sink or host forks
//!   then, the child's run ends with [`Error::Forked`](crate::Error::Forked), and so does each later one. If the
//!   callback for segments forks, the child ends when the callback returns. A run without such threads
//!   ([`Env::hashing_threads`](crate::Env::hashing_threads)) goes on in the child in both cases.
//! - Dropping the parent's executors and sessions is safe in the child. Data that they share with threads of the parent
//!   stays in memory until the child ends.
//! - A [`CancelHandle`](crate::CancelHandle) reaches the sessions of its own process. Streams, sinks and callbacks are
//!   copies like everything else; files behind them are shared as the system shares them.
//!
//! A child may use only what no other thread was using when the process forked. A session that another thread runs is
//! off limits, but safe code cannot reach it. `vfork` and other ways to share memory with a child are not supported.
