//! Run guests that pause and are resumed.
//!
//! A program of RISC Zero may pause with a code and what it has committed so far. The run then ends with
//! [`Status::Paused`](crate::Status::Paused); [`Session::resume`](crate::Session::resume) lets it continue. Each part
//! is what RISC Zero calls a session: its segments and cycles count from 0, and it has a journal of its own. Steps
//! continue to count. The report describes the last part and contains the reports of the earlier ones.
//!
//! ```
//! use tachy::risc0::host::HostEnv;
//! use tachy::{Env, Executor, MachineKind, NullSink, Program, Status};
//!
//! let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/pause.bin"))?;
//! let executor = Executor::builder().machine(MachineKind::R0vm).build(&Program::from_risc0(&binary)?)?;
//! // It pauses twice, and takes a word for each part.
//! let host = HostEnv::builder().write_slice(&[2u32, 10, 20, 30]).build()?;
//! let mut session = executor.start(Env::new().host(host))?;
//! while let Status::Paused { .. } = session.run(&mut NullSink::off())? {
//!     session.resume()?;
//! }
//! let report = session.report().expect("this machine has one");
//! assert_eq!(report.earlier.len(), 2);
//! assert!(report.earlier.iter().chain([&report]).all(|part| part.journal.is_some()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Session::run_to`](crate::Session::run_to) stops at a step without the guest noticing.
