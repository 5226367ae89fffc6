//! Guests that pause and are resumed.
//!
//! A program of RISC Zero may pause with a code and what it has committed so far. The session is at its end then, with
//! [`Exit::Paused`](crate::r0vm::Exit::Paused); [`Session::resume`](crate::Session::resume) makes it go on. Each part
//! is what RISC Zero calls a session: its segments count from 0, its cycles and its journal begin anew. Steps go on.
//!
//! ```
//! use tachy::host::HostEnv;
//! use tachy::r0vm::Exit;
//! use tachy::{Env, Executor, MachineKind, NullSink, Program};
//!
//! let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/pause.bin"))?;
//! let executor = Executor::builder().machine(MachineKind::R0vm).build(&Program::from_risc0(&binary)?)?;
//! // It pauses twice, and takes a word for each part.
//! let host = HostEnv::builder().write_slice(&[2u32, 10, 20, 30]).build()?;
//! let mut session = executor.start(Env::new().host(host))?;
//! let mut journals = Vec::new();
//! loop {
//!     session.run(&mut NullSink::off())?;
//!     let report = session.report().expect("this machine has one");
//!     journals.push(report.journal.expect("its host keeps one"));
//!     match report.exit {
//!         Some(Exit::Paused(_)) => session.resume()?,
//!         end => break assert_eq!(end, Some(Exit::Halted(0))),
//!     }
//! }
//! assert_eq!(journals.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This is not the pause of [`Session::run_to`](crate::Session::run_to), of which the guest knows nothing.
