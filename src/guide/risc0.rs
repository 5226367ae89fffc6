//! Programs of RISC Zero.
//!
//! Machine `r0vm` runs them as RISC Zero's own executor of the 3.0 line does: the same segments, journal, cycles,
//! claims and trace events. A program binary is read with [`Program::from_risc0`](crate::Program::from_risc0), and a
//! user program's ELF with [`Program::from_risc0_elf`](crate::Program::from_risc0_elf), which puts the kernel under it.
//! What the guest finds around it is a [`HostEnv`](crate::risc0::host::HostEnv), whose builder has the words of RISC Zero's.
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
//! Without [`Env::segments`](crate::Env::segments) nothing is hashed and no segment is made: execution is all that
//! happens. With it the callback runs on a thread of its own beside the guest, which hashes. The report has what a proof
//! needs beside the segments: the [`claim`](crate::risc0::Report::claim), the journal, the assumptions that the guest used
//! and the Keccak batches that are to be proven.
//!
//! Random bytes follow from a seed, which the system draws when the host is built.
//! [`HostEnv::random_seed`](crate::risc0::host::HostEnv::random_seed) tells it, and
//! [`HostEnvBuilder::random_seed`](crate::risc0::host::HostEnvBuilder::random_seed) repeats a run with it.
//!
//! # A system call of one's own
//!
//! A guest may call the host by any name. A closure answers with bytes for bytes; where it keeps state, or answers by
//! several names, a [`SliceIo`](crate::risc0::host::SliceIo) does. A [`Host`](crate::risc0::host::Host) of one's own answers the
//! kernel itself, in everything.
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
//! [`Env::trace_callback`](crate::Env::trace_callback) takes the events that RISC Zero's executor sends to its own
//! trace callbacks, to the last one.
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
