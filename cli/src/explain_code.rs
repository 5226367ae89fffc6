//! `tachy explain`: what the JIT makes of a piece of a program, side by side: RISC-V, IR and host instructions.
//!
//! It must not know how the library finds that out.

use std::fmt::Write as _;

use clap::Args;
use tachy::jit::{Explanation, ListError, Made, explain};
use tachy::trace::Level;
use tachy::{JitOptions, Program};

use crate::args::MachineArg;
use crate::failure::Failure;
use crate::files::{Files, InputName};
use crate::help::{Scope, help};
use crate::load::Loaded;
use crate::text::{count, symbol};
use crate::values::{InputPath, number};

const EXAMPLES: &str = "  tachy explain --at main guests/bin/fib.elf
  tachy explain --at 0x10000 --rows --region-instructions 8 guests/bin/fib.elf
";

/// Width of the columns for RISC-V and for IR.
const COLUMNS: [usize; 2] = [38, 58];

/// Show what native code is made of: RISC-V, Cranelift's IR and host instructions, side by side
///
/// The region is the one that the JIT compiles when control enters at PC first. It assumes that every branch is sometimes
/// taken, and it does not know where indirect jumps go. In a run, regions leave out code that never ran.
#[derive(Args)]
#[command(after_long_help = help(Scope::Explain, EXAMPLES))]
pub(crate) struct Explain {
    /// Static RV32IM executable (ELF) or RISC Zero program binary (R0BF); - means standard input
    #[arg(value_name = "PROGRAM")]
    program: InputPath,

    /// Where the region begins: an address, or a symbol as `tachy info --symbols` lists it
    #[arg(long, value_name = "PC|SYMBOL")]
    at: String,

    /// Show the code that writes rows, instead of the faster code that writes none
    #[arg(long)]
    rows: bool,

    /// Maximum number of guest instructions translated together
    #[arg(long, value_name = "N", value_parser = number, default_value_t = 256)]
    region_instructions: u64,

    #[command(flatten)]
    machine: MachineArg,
}

impl Explain {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        let file = Files::new().input(InputName::Program, &self.program)?;
        let Loaded { program, machine, .. } = Loaded::read(file, self.machine.machine)?;
        let pc = address(&program, &self.at)?;
        let mode = machine.modes().into_iter().find(|mode| mode.may_run(pc));
        let mode = mode.ok_or_else(|| Failure::not_explained(&ListError::NoCode { pc }))?;
        let level = if self.rows { Level::Rows } else { Level::Off };
        let mut options = JitOptions::default();
        options.region_instructions = usize::try_from(self.region_instructions).unwrap_or(usize::MAX);
        let explanation = explain(&program, pc, mode, level, &options);
        let explanation = explanation.map_err(|error| Failure::not_explained(&error))?;
        crate::print(&text(&program, mode.name(), &explanation))?;
        Ok(0)
    }
}

/// The address that is meant: a number, or the place of a symbol.
fn address(program: &Program, at: &str) -> Result<u32, Failure> {
    if at.starts_with(|first: char| first.is_ascii_digit()) {
        let address = number(at).ok().and_then(|address| u32::try_from(address).ok());
        return address.ok_or_else(|| Failure::usage(&format!("--at {at} is not a 32-bit address")));
    }
    let mut found: Vec<u32> = program
        .symbols()
        .iter()
        .filter(|symbol| symbol.name == at || symbol.demangled() == at)
        .map(|symbol| symbol.address)
        .collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [address] => Ok(address),
        [] => {
            Err(Failure::usage(&format!("the program has no symbol {at}; `tachy info --symbols` lists those it has")))
        }
        [first, ..] => {
            let count = found.len();
            Err(Failure::usage(&format!(
                "{count} symbols are named {at}, the first at {first:#010x}; give --at an address"
            )))
        }
    }
}

fn text(program: &Program, mode: &str, explanation: &Explanation) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, program, mode, explanation);
    text
}

fn write(text: &mut String, program: &Program, mode: &str, explanation: &Explanation) -> std::fmt::Result {
    let entries: Vec<String> = explanation.entries.iter().map(|pc| format!("{pc:#010x}")).collect();
    let instructions = count(explanation.instructions.len() as u64, "instruction");
    let bytes = count(explanation.code_bytes as u64, "byte");
    writeln!(text, "mode      {mode}")?;
    writeln!(text, "entries   {}", entries.join(" "))?;
    writeln!(text, "size      {instructions}, {bytes} of host code")?;
    if !explanation.is_exact {
        writeln!(text, "note      Cranelift joins some host instructions that are shown apart here")?;
    }
    let mut expected = None;
    for explained in &explanation.instructions {
        if expected != Some(explained.pc) || program.symbol_at(explained.pc).is_some_and(|(_, offset)| offset == 0) {
            writeln!(
                text,
                "\n{}:",
                symbol(program, explained.pc).unwrap_or_else(|| format!("{:#010x}", explained.pc))
            )?;
        }
        expected = explained.pc.checked_add(4);
        rows(text, &format!("{:#010x}  {}", explained.pc, explained.assembly), &explained.made)?;
    }
    writeln!(text, "\nentries, transitions and exits:")?;
    rows(text, "", &explanation.shared)
}

/// A guest instruction and what was made of it, line beside line.
fn rows(text: &mut String, guest: &str, made: &Made) -> std::fmt::Result {
    let lines = made.ir.len().max(made.host.len()).max(1);
    let [guest_width, ir_width] = COLUMNS;
    for line in 0..lines {
        let guest = if line == 0 { guest } else { "" };
        let [ir, host] = [&made.ir, &made.host].map(|lines| lines.get(line).map_or("", String::as_str));
        let row = format!("{guest:<guest_width$}  {ir:<ir_width$}  {host}");
        writeln!(text, "{}", row.trim_end())?;
    }
    Ok(())
}
