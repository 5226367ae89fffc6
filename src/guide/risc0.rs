//! Run programs of RISC Zero.
//!
//! Machine `r0vm` runs them like RISC Zero's own executor of the 3.0 line: with the same segments, journal, cycles,
//! claims and trace events. [`Program::from_risc0`](crate::Program::from_risc0) reads a program binary.
//! [`Program::from_risc0_elf`](crate::Program::from_risc0_elf) reads a user program's ELF and adds the kernel. The
//! guest's environment is a [`HostEnv`](crate::risc0::host::HostEnv); its builder uses RISC Zero's names.
//!
//! ```
//! use tachy::risc0::host::{HostEnv, Journal};
//! use tachy::{Env, Executor, MachineKind, Program};
//!
//! let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/hello.bin"))?;
//! let program = Program::from_risc0(&binary)?;
//! let executor = Executor::builder().machine(MachineKind::R0vm).build(&program)?;
//! let host = HostEnv::builder().write("world")?.write(&41u32)?.segment_limit_po2(15).build()?;
//! let mut segments = Vec::new();
//! let env = Env::new().host(host).segments(|segment| {
//!     // For RISC Zero's prover.
//!     segments.push(segment.encode());
//!     Ok(())
//! });
//! let report = executor.run(env)?.into_report().expect("this machine has one");
//! assert!(report.journal.as_ref().is_some_and(|journal| journal.bytes.starts_with(b"hello, world!")));
//! assert!(report.claim().is_some_and(|claim| Some(claim.pre) == program.image_id()));
//! assert_eq!(report.total_cycles, report.user_cycles + report.paging_cycles + report.reserved_cycles);
//! assert_eq!(segments.len() as u64, report.segments);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without [`Env::segments`](crate::Env::segments) Tachy only executes: it hashes nothing and makes no segments. With
//! it, threads beside the guest hash the segments and run the callback. The report has everything else that a proof
//! needs: the [`claim`](crate::risc0::Report::claim), the journal, the assumptions that the guest used and the Keccak
//! batches to prove.
//!
//! Random bytes are derived from a seed, which the system draws when the host is built.
//! [`HostEnv::random_seed`](crate::risc0::host::HostEnv::random_seed) returns it, and
//! [`HostEnvBuilder::random_seed`](crate::risc0::host::HostEnvBuilder::random_seed) repeats a run with it.
//!
//! # A system call of your own
//!
//! A guest may call the host by any name. A closure answers bytes with bytes. Use a
//! [`SliceIo`](crate::risc0::host::SliceIo) to keep state or to answer to several names. A
//! [`Host`](crate::risc0::host::Host) of your own answers every request of the kernel itself.
//!
//! ```
//! use tachy::risc0::host::HostEnv;
//! use tachy::{Env, Executor, MachineKind, Program};
//!
//! let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/calls.bin"))?;
//! let executor = Executor::builder().machine(MachineKind::R0vm).build(&Program::from_risc0(&binary)?)?;
//! let host = HostEnv::builder().io_callback("echo", |request| Ok(request.to_ascii_uppercase())).build()?;
//! let report = executor.run(Env::new().host(host))?.into_report().expect("this machine has one");
//! let journal = report.journal.expect("it committed");
//! assert!(journal.bytes.windows(16).any(|bytes| bytes == b"OVER THE CHANNEL"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Trace events
//!
//! [`Env::trace_callback`](crate::Env::trace_callback) receives every event that RISC Zero's executor sends to its own
//! trace callbacks.
//!
//! ```
//! use tachy::risc0::host::HostEnv;
//! use tachy::risc0::TraceEvent;
//! use tachy::{Env, Executor, MachineKind, Program};
//!
//! let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/recursion.bin"))?;
//! let executor = Executor::builder().machine(MachineKind::R0vm).build(&Program::from_risc0(&binary)?)?;
//! let (mut instructions, mut pages) = (0, 0);
//! let env = Env::new().host(HostEnv::builder().write_slice(&[2u32, 3, 50]).build()?).trace_callback(|event| {
//!     match event {
//!         TraceEvent::InstructionStart { .. } => instructions += 1,
//!         TraceEvent::PageIn { cycles } | TraceEvent::PageOut { cycles } => pages += cycles,
//!         _ => {}
//!     }
//!     Ok(())
//! });
//! let steps = executor.run(env)?.steps();
//! assert_eq!(instructions, steps);
//! assert!(pages > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
