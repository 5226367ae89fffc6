//! `tachy info`: describes a program without running it.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use tachy::Program;
use tachy::program::SymbolKind;

use crate::args::{JsonArg, MachineArg};
use crate::failure::Failure;
use crate::files::{Files, InputName};
use crate::help::{Scope, help};
use crate::load::Loaded;
use crate::report::write_json;
use crate::text::{count, grouped, symbol};
use crate::values::{InputPath, Target};

const EXAMPLES: &str = "  tachy info guests/bin/sha256.elf
  tachy info --json --symbols guests/r0vm/bin/hello.bin
";

/// Show a program's entry, segments, symbols, sizes and digest, and the image id of a program for R0VM
#[derive(Args)]
#[command(after_long_help = help(Scope::Info, EXAMPLES))]
pub(crate) struct Info {
    /// Static RV32IM executable (ELF) or RISC Zero program binary (R0BF); - means standard input
    #[arg(value_name = "PROGRAM")]
    program: InputPath,

    /// Also list the symbols
    #[arg(long)]
    symbols: bool,

    #[command(flatten)]
    machine: MachineArg,

    #[command(flatten)]
    json: JsonArg,
}

#[derive(Serialize)]
struct Facts {
    program_digest: String,
    /// Only for a program for R0VM, like the entry of its user program.
    image_id: Option<String>,
    user_entry: Option<u32>,
    entry: u32,
    segments: Vec<SegmentFacts>,
    symbols: usize,
}

#[derive(Serialize)]
struct SegmentFacts {
    address: u32,
    memory_bytes: u32,
    data_bytes: usize,
    permissions: String,
}

impl Info {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        let mut files = Files::new();
        let program = files.input(InputName::Program, &self.program)?;
        let mut json = files.output("--json", self.json.target())?;
        let writer = json.open_if_wanted()?;
        let program = Loaded::read(program, self.machine.machine)?.program;
        let facts = facts(&program);
        if let Some(mut writer) = writer {
            write_json(&facts, &mut writer)?;
            json.commit()?;
        }
        if !matches!(self.json.target(), Target::Stdout) {
            crate::print(&self.text(&program, &facts))?;
        }
        Ok(0)
    }

    fn text(&self, program: &Program, facts: &Facts) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, program, facts);
        text
    }

    fn write(&self, text: &mut String, program: &Program, facts: &Facts) -> std::fmt::Result {
        let entry = symbol(program, facts.entry).unwrap_or_default();
        writeln!(text, "program   {}", self.program.as_path().display())?;
        writeln!(text, "digest    {}", facts.program_digest)?;
        if let Some(id) = &facts.image_id {
            writeln!(text, "image id  {id}")?;
        }
        writeln!(text, "{}", format!("entry     {:#010x} {entry}", facts.entry).trim_end())?;
        if let Some(entry) = facts.user_entry {
            let name = symbol(program, entry).unwrap_or_default();
            writeln!(text, "{}", format!("user      {entry:#010x} {name}").trim_end())?;
        }
        for segment in program.segments() {
            let (start, end) = (segment.address, segment.end());
            let (bytes, data) = (count(segment.memory_bytes.into(), "byte"), grouped(segment.data.len() as u64));
            let permissions = segment.permissions;
            writeln!(text, "segment   {start:#010x}..{end:#010x} {permissions} {bytes}, {data} of them from the file")?;
        }
        let of = |kind| program.symbols().iter().filter(|symbol| symbol.kind == kind).count() as u64;
        let functions = count(of(SymbolKind::Function), "function");
        let objects = count(of(SymbolKind::Object), "object");
        let labels = count(of(SymbolKind::Other), "label");
        writeln!(text, "symbols   {functions}, {objects}, {labels}")?;
        if self.symbols {
            for symbol in program.symbols() {
                let kind = match symbol.kind {
                    SymbolKind::Function => "function",
                    SymbolKind::Object => "object",
                    SymbolKind::Other => "label",
                };
                writeln!(text, "{:#010x} {:>8} {kind:<8} {}", symbol.address, symbol.size_bytes, symbol.demangled())?;
            }
        }
        Ok(())
    }
}

fn facts(program: &Program) -> Facts {
    let segments = program.segments().iter().map(|segment| SegmentFacts {
        address: segment.address,
        memory_bytes: segment.memory_bytes,
        data_bytes: segment.data.len(),
        permissions: segment.permissions.to_string(),
    });
    Facts {
        program_digest: blake3::Hash::from(program.digest()).to_string(),
        image_id: program.image_id().map(|id| id.to_string()),
        user_entry: program.user_entry(),
        entry: program.entry(),
        segments: segments.collect(),
        symbols: program.symbols().len(),
    }
}
