//! Run a guest from another program.
//!
//! It takes four values. A [`Program`](crate::Program) is a checked ELF. An [`Executor`](crate::Executor) is a program
//! with a choice of engine, machine and limits; it can be used any number of times. An [`Env`](crate::Env) is the
//! environment of one run: arguments and streams. A [`Session`](crate::Session) is that run.
//!
//! ```
//! use tachy::{Env, Executor, NullSink, Program, Status};
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/filter.elf"))?;
//! let executor = Executor::builder().build(&Program::from_elf(&elf)?)?;
//! let mut output = Vec::new();
//! let env = Env::new().stdin(&b"some words\n"[..]).stdout(&mut output);
//! let status = executor.start(env)?.run(&mut NullSink::off())?;
//! assert_eq!(status, Status::Exited { code: 0 });
//! assert!(output.starts_with(b"SOME WORDS\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every failure is an [`Error`](crate::Error): it says what went wrong, where (pc and step) and what to do.
//! [`Error::kind`](crate::Error::kind) returns a short name for programs. A guest's trap is an error of the run; its
//! exit code is not.
//!
//! [`Program::symbol_at`](crate::Program::symbol_at) and [`source_line`](crate::program::source_line) locate an error
//! in the guest's source. [`source_frames`](crate::program::source_frames) returns all functions that were inlined
//! there, or says why they are unknown.
//!
//! ```
//! use tachy::program::{source_frames, source_line};
//! use tachy::{Env, Error, Executor, NullSink, Program};
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/debug/trap-dwarf5.elf"))?;
//! let program = Program::from_elf(&elf)?;
//! let executor = Executor::builder().build(&program)?;
//! let Err(Error::Trap(trap)) = executor.start(Env::new())?.run(&mut NullSink::off()) else { panic!("it traps") };
//! let (function, _) = program.symbol_at(trap.location.pc).expect("it has symbols");
//! let line = source_line(&elf, trap.location.pc).expect("it has debug information");
//! assert_eq!((&*function.demangled(), line.to_string().as_str()), ("descend", "source/trap.c:5"));
//! let frames = source_frames(&elf, trap.location.pc)?;
//! let inlined: Vec<_> = frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
//! assert_eq!(inlined, ["look", "descend"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
