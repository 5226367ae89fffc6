//! `tachy r0vm`, and `tachy` under the name `r0vm`: the command line of RISC Zero's server, and the links by which hosts
//! find this program.
//!
//! It must not know the protocol, or how a program runs.

mod install;
mod program;
mod server;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Parser, Subcommand};
use tachy_r0vm::find::find_server;

use crate::streams::say;

/// The version in the form that hosts parse: the last word of the last line.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " as r0vm 3.0.6");

/// The exit code of every failure but that of a server of RISC Zero's.
const FAILED: u8 = 1;

/// Tachy in the place of RISC Zero's r0vm, the server that hosts start to execute and prove
///
/// The options are those of RISC Zero's r0vm 3.0.6. `tachy help r0vm` explains what happens to what Tachy does not do.
#[derive(Parser)]
#[command(name = "r0vm", display_name = "tachy")]
pub(crate) struct Program {
    #[command(flatten)]
    r0vm: R0vm,
}

impl Program {
    /// Whether the name of the process asks for it.
    pub(crate) fn is_called(name: Option<&OsStr>) -> bool {
        name.map(Path::new).and_then(Path::file_name).is_some_and(|name| name == "r0vm")
    }

    pub(crate) fn main(&self) -> u8 {
        self.r0vm.main()
    }
}

/// Stand in for RISC Zero's r0vm, the server that hosts start to execute and prove
///
/// A host that is built with the default features of risc0-zkvm 3.0 starts a program named r0vm for each execution and
/// each proof. `tachy r0vm install` puts a link to tachy in its place. Executions and the receipts of dev mode then come
/// from Tachy. What Tachy does not do goes to RISC Zero's own r0vm, if there is one: the file in TACHY_R0VM, the one in
/// RISC0_SERVER_PATH, that of rzup, or one in PATH.
///
/// The options are those of RISC Zero's r0vm 3.0.6.
#[derive(Args)]
#[command(version = VERSION, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
pub(crate) struct R0vm {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    mode: Mode,

    /// Write the receipt to FILE
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,

    /// Hash function of the proof
    #[arg(long, value_name = "NAME", value_parser = ["sha-256", "poseidon2"])]
    hashfn: Option<String>,

    /// Prove sessions that end with an error code, too
    #[arg(long)]
    prove_guest_errors: bool,

    /// Read the guest's standard input from FILE
    #[arg(long, value_name = "FILE")]
    initial_input: Option<PathBuf>,

    /// Print more; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Set a variable of the guest; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Write a profile to FILE
    #[arg(long, value_name = "FILE", env = "RISC0_PPROF_OUT")]
    pprof_out: Option<PathBuf>,

    /// Kind of the receipt
    #[arg(long, value_name = "KIND", value_parser = ["composite", "succinct", "groth16"])]
    receipt_kind: Option<String>,

    /// Print the image id of the program and end
    #[arg(long, requires = "elf")]
    id: bool,

    /// Wait for a debugger
    #[arg(long)]
    with_debugger: bool,

    /// Of RISC Zero's manager and workers
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<String>,

    /// Of RISC Zero's manager
    #[arg(long, value_name = "ADDRESS")]
    api: Option<String>,

    /// Of RISC Zero's manager
    #[arg(long, value_name = "FOLDER")]
    storage: Option<PathBuf>,

    /// Of RISC Zero's manager
    #[arg(long, value_name = "N")]
    po2: Option<u32>,

    /// Number of graphics processors; others than 1 need --rpc
    #[arg(long, value_name = "N")]
    num_gpus: Option<u32>,
}

/// The task, by one option at least.
#[derive(Args)]
#[group(required = true, multiple = true)]
struct Mode {
    /// Serve the requests that come over standard input (needs RISC Zero's own r0vm)
    #[arg(long)]
    rpc: bool,

    /// Serve the host that waits at PORT of this machine
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Execute and prove the program binary in FILE
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,

    /// Execute and prove the memory image in FILE (needs RISC Zero's own r0vm)
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,

    /// Execute the segment in FILE again (needs RISC Zero's own r0vm)
    #[arg(long, value_name = "FILE")]
    segment: Option<PathBuf>,

    /// Manage workers (needs RISC Zero's own r0vm)
    #[arg(long)]
    manager: bool,

    /// Work for a manager (needs RISC Zero's own r0vm)
    #[arg(long, value_name = "KINDS")]
    worker: Option<String>,

    /// Manage workers as FILE says (needs RISC Zero's own r0vm)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  tachy r0vm install
  tachy r0vm install --dir ~/bin
  RISC0_SERVER_PATH=~/.local/bin/r0vm cargo run --release
  tachy r0vm uninstall

Variables:
  TACHY_R0VM             RISC Zero's own r0vm, for what Tachy does not do
  TACHY_R0VM_SEGMENTS    auto, always or never: whether hosts get whole segments. With never,
                         they get empty ones, which are useless for a prover, and runs are faster
  TACHY_R0VM_EXECUTE_ONLY
                         1: --elf executes and does not ask for a proof
  TACHY_CACHE_DIR        the folder for native code; see tachy cache
";

#[derive(Subcommand)]
enum Action {
    Install(install::Install),
    Uninstall(install::Uninstall),
}

impl R0vm {
    /// Does what the options say, in the order of RISC Zero's r0vm.
    pub(crate) fn main(&self) -> u8 {
        let done = match &self.action {
            Some(Action::Install(install)) => install.main(),
            Some(Action::Uninstall(uninstall)) => uninstall.main(),
            None => self.serve(),
        };
        done.unwrap_or_else(|message| {
            say(&format!("tachy r0vm: {message}\n"));
            FAILED
        })
    }

    fn serve(&self) -> Result<u8, String> {
        let Mode { rpc, port, elf, image, segment, manager, worker, config } = &self.mode;
        if *manager || worker.is_some() || config.is_some() {
            return Err(hand_over("RISC Zero's manager and workers are not part of Tachy"));
        }
        if *rpc {
            return Err(hand_over(
                "this host asks over --rpc, which RISC Zero's own r0vm serves: it has RISC0_PROVER=actor, or it is \
                 built with risc0-zkvm 5",
            ));
        }
        if self.num_gpus.is_some_and(|gpus| gpus != 1) {
            say("tachy r0vm: --num-gpus other than 1 needs --rpc\n");
            return Ok(0);
        }
        if let (true, Some(elf)) = (self.id, elf) {
            return program::print_id(elf);
        }
        if let Some(port) = port {
            return server::serve(*port);
        }
        if segment.is_some() {
            return Err(hand_over("Tachy does not execute segments again"));
        }
        match elf {
            Some(_) if self.with_debugger => Err("there is no debugger yet; `tachy trace` shows every step".to_owned()),
            Some(elf) => {
                let (input, pprof_out) = (self.initial_input.as_deref(), self.pprof_out.as_deref());
                program::Program { elf, input, env: &self.env, pprof_out }.execute_and_prove()
            }
            None if image.is_some() => Err(hand_over("Tachy does not read RISC Zero's memory images")),
            None => Err("nothing to do; see --help".to_owned()),
        }
    }
}

/// Becomes RISC Zero's own r0vm, with the same arguments. Returns only if that is not possible: `what`, and why not.
fn hand_over(what: &str) -> String {
    match own_server() {
        Ok(mut server) => format!("{what}, and RISC Zero's own r0vm cannot be started: {}", server.exec()),
        Err(none) => format!("{what}: {none}"),
    }
}

/// Returns RISC Zero's own r0vm with the arguments of this process.
fn own_server() -> Result<Command, String> {
    let path = find_server(tachy_r0vm::RISC0_VERSION, &|name| std::env::var_os(name));
    let path = path.map_err(|none| none.to_string())?;
    let arguments = std::env::args_os().skip(1);
    // Under its own name, the first word is the subcommand.
    let is_subcommand = !Program::is_called(std::env::args_os().next().as_deref());
    let mut command = Command::new(path);
    command.args(arguments.skip(usize::from(is_subcommand))).env("TACHY_R0VM_PASSED_ON", "1");
    Ok(command)
}
