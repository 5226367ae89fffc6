//! risc0-zkvm's own trait `Executor`, by way of the server: an `ExecutorEnv` of risc0-zkvm can be built and not read, so
//! its client is the one that can serve it.

use std::path::PathBuf;

use anyhow::Result;
use risc0_zkvm::{Executor, ExternalProver, SessionInfo};

/// Executes guests in `tachy r0vm`, a process for each execution.
#[derive(Debug, Clone)]
pub struct TachyExecutor {
    program: PathBuf,
}

impl TachyExecutor {
    /// Uses this program, which is Tachy's command line under the name `r0vm`: see `tachy r0vm install --dir`.
    pub fn new(program: impl Into<PathBuf>) -> TachyExecutor {
        TachyExecutor { program: program.into() }
    }
}

impl Executor for TachyExecutor {
    fn execute(&self, env: risc0_zkvm::ExecutorEnv<'_>, elf: &[u8]) -> Result<SessionInfo> {
        ExternalProver::new("tachy", &self.program).execute(env, elf)
    }
}
