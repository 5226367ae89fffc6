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
