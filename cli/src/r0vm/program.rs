//! `--elf`: executes a program here, so that its errors come early, and hands it to RISC Zero's own r0vm for the proof.
//! Also prints image ids. It must not know what a proof is.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;

use tachy::jit::DiskCache;
use tachy::risc0::host::HostEnv;
use tachy::{Env, Executor, MachineKind};
use tachy_r0vm::Profile;

use super::{FAILED, own_server};
use crate::cache;
use crate::streams::{say, stderr, stdin, stdout};

/// A program and its environment.
pub(super) struct Program<'a> {
    pub(super) elf: &'a Path,
    pub(super) input: Option<&'a Path>,
    /// Variables as `NAME=VALUE`.
    pub(super) env: &'a [String],
    /// Where a profile of the execution goes, unless a proof writes it.
    pub(super) pprof_out: Option<&'a Path>,
}

/// Prints the image id of a program binary.
pub(super) fn print_id(elf: &Path) -> Result<u8, String> {
    let id = load(elf)?.image_id().ok_or_else(|| format!("{} is not a program of RISC Zero", elf.display()))?;
    crate::print(&format!("{id}\n")).map_err(|failure| failure.message)?;
    Ok(0)
}

fn load(elf: &Path) -> Result<tachy::Program, String> {
    let bytes = std::fs::read(elf).map_err(|error| format!("cannot read {}: {error}", elf.display()))?;
    tachy::Program::from_risc0(&bytes).map_err(|error| format!("{}: {error}", elf.display()))
}

impl Program<'_> {
    /// Executes the program, then becomes RISC Zero's own r0vm.
    pub(super) fn execute_and_prove(&self) -> Result<u8, String> {
        let only = std::env::var_os("TACHY_R0VM_EXECUTE_ONLY").is_some_and(|value| value == "1");
        let server = if only { Err(String::new()) } else { own_server() };
        // A proof executes the program again and prints its output, so it is dropped here.
        let input = self.execute(server.is_ok())?;
        match server {
            _ if only => Ok(0),
            Err(none) => {
                say(&format!("tachy r0vm: the program was executed, and not proven: {none}\n"));
                Ok(FAILED)
            }
            Ok(mut server) => {
                if let Some(input) = input {
                    server.stdin(input);
                }
                Err(format!("cannot start RISC Zero's own r0vm: {}", server.exec()))
            }
        }
    }

    /// Executes the program. If its standard input is ours, returns what it has read.
    fn execute(&self, is_quiet: bool) -> Result<Option<File>, String> {
        let program = load(self.elf)?;
        let mut builder = HostEnv::builder();
        for variable in self.env {
            let (name, value) =
                variable.split_once('=').ok_or_else(|| format!("--env {variable}: expected NAME=VALUE"))?;
            builder.env_var(name, value);
        }
        let system = |error: io::Error| format!("cannot keep the input: {error}");
        let kept = match self.input {
            Some(path) => {
                let file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                builder.stdin(io::BufReader::new(file));
                None
            }
            None => {
                let kept = tempfile::tempfile().map_err(system)?;
                let copy = kept.try_clone().map_err(system)?;
                builder.stdin(Tee(stdin().map_err(|failure| failure.message)?, copy));
                Some(kept)
            }
        };
        if !is_quiet {
            builder.stdout(stdout().map_err(|failure| failure.message)?);
            builder.stderr(stderr().map_err(|failure| failure.message)?);
        }
        let host = builder.build().map_err(|error| error.to_string())?;
        let mut executor = Executor::builder().machine(MachineKind::R0vm);
        if let Some(folder) = cache::folder() {
            executor = executor.disk_cache(DiskCache::new(folder));
        }
        let executor = executor.build(&program).map_err(|error| error.to_string())?;
        let mut env = Env::new().host(host);
        let profile = self.pprof_out.filter(|_| !is_quiet).map(|path| (path, Profile::default()));
        if let Some((_, profile)) = &profile {
            env = profile.of(env);
        }
        let report = executor.run(env).map_err(|error| error.to_string())?.into_report();
        if let (Some((path, profile)), Some(report)) = (profile, report) {
            let written = profile.write(path, &program, report.user_cycles);
            written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        let Some(mut kept) = kept else { return Ok(None) };
        kept.rewind().map_err(system)?;
        Ok(Some(kept))
    }
}

/// A stream whose bytes are kept as they are read.
struct Tee<R>(R, File);

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read(buffer)?;
        self.1.write_all(buffer.get(..bytes).unwrap_or_default())?;
        Ok(bytes)
    }
}
