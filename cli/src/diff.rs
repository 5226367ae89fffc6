//! `tachy diff`: runs both engines in lockstep and compares them.

use std::fmt::{self, Write as _};

use clap::Args;
use tachy::diff::{DiffOptions, Report as Comparison, Verdict, compare_in};
use tachy::difference::{Difference, Side, Word};
use tachy::disasm::REGISTERS;
use tachy::risc0::Exit;
use tachy::trace::Row;
use tachy::{Error, MachineKind, Program, Status};

use crate::args::{GuestArgs, ReportArgs};
use crate::failure::Failure;
use crate::files::Files;
use crate::guest::{Guest, GuestFiles};
use crate::help::{Scope, help};
use crate::interrupt;
use crate::kind::{Code, Kind};
use crate::repeat::OurInput;
use crate::report::{DifferenceFacts, EngineName, ErrorFacts, Report};
use crate::risc0::facts::ExitFacts;
use crate::risc0::seed::Seed;
use crate::streams::{GuestStdout, say};
use crate::text::{code_line, count, grouped, initial_word};

/// Number of instructions shown after the one that differs.
const INSTRUCTIONS_AFTER: u32 = 4;

const EXAMPLES: &str = "  tachy diff guests/bin/fib.elf -- 20
  tachy diff --jit-threshold 0 --json guests/bin/fib.elf -- 20
";

/// Run a program on both engines in lockstep and compare every row
///
/// The guest's output is compared but not shown or written. Its input is the same as with `tachy run`.
#[derive(Args)]
#[command(after_long_help = help(Scope::Diff, EXAMPLES))]
pub(crate) struct Diff {
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    guest: GuestArgs,
}

impl Diff {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        interrupt::begin(self.guest.conditions.limits().time);
        let mut files = Files::new();
        let guest = GuestFiles::claim(&self.guest, &mut files)?;
        let mut report = Report::claim(&self.report, &self.guest, &mut files, EngineName::Both)?;
        report.begin()?;
        let result = self.diff(&mut report, guest);
        report.close(result)
    }

    fn diff(&self, report: &mut Report, files: GuestFiles) -> Result<u8, Failure> {
        let mut guest = Guest::read(&self.guest, files, || Ok(Seed::FIXED))?;
        report.guest(&guest);
        let conditions = &self.guest.conditions;
        let options =
            DiffOptions::default().machine(guest.loaded.machine).limits(conditions.limits()).jit(conditions.jit());
        let env = guest.quiet_env()?;
        let comparison = compare_in(&guest.loaded.program, &options, env).map_err(|error| Failure::library(&error))?;
        interrupt::end();
        record(report, &comparison);
        let written = guest.write_journal(comparison.risc0());
        written.and(guest.commit())?;
        if let Verdict::Agree(Err(error)) = &comparison.verdict {
            let failure = Failure::library(error);
            // Such an error of both engines is not a result of the program.
            if !failure.kind.is_agreement() && failure.kind != Kind::Cancelled {
                return Err(failure);
            }
        }
        let (code, text) = match &comparison.verdict {
            Verdict::Agree(end) => {
                let exit = comparison.risc0().and_then(|report| report.exit);
                (interrupted(end).unwrap_or(0), agreement(comparison.rows, end, exit))
            }
            Verdict::Differ(difference) => {
                let command = guest.repeat(comparison.risc0(), OurInput::Unread).command("diff", &[]);
                (Code::Fault as u8, difference_text(difference, &guest.loaded.program, guest.loaded.machine, &command))
            }
        };
        match report.guest_stdout() {
            GuestStdout::Stdout => crate::print(&text)?,
            // A result is on standard output.
            GuestStdout::Stderr => say(&text),
        }
        Ok(code)
    }
}

/// Records the result for JSON.
fn record(report: &mut Report, comparison: &Comparison) {
    report.stats(comparison.time, comparison.stats);
    let facts = &mut report.facts;
    facts.steps = comparison.rows;
    facts.rows = comparison.rows;
    facts.agree = Some(matches!(comparison.verdict, Verdict::Agree(_)));
    match &comparison.verdict {
        Verdict::Agree(Ok(Status::Exited { code })) => facts.exit = Some(ExitFacts::Code(*code)),
        Verdict::Agree(Ok(Status::Paused { code })) => facts.exit = Some(ExitFacts::Code(*code)),
        Verdict::Agree(Ok(_)) => {}
        Verdict::Agree(Err(error)) => facts.error = Some(ErrorFacts::new(&Failure::library(error))),
        Verdict::Differ(difference) => {
            facts.difference = Some(DifferenceFacts { step: difference.location.step, what: difference.what.clone() });
        }
    }
    report.r0vm(comparison.risc0().cloned());
}

fn agreement(rows: u64, end: &Result<Status, Error>, exit: Option<Exit>) -> String {
    let verb = if rows == 1 { "agrees" } else { "agree" };
    let rows = count(rows, "row");
    match end {
        Err(error) => {
            let failure = Failure::library(error);
            let how = match failure.kind {
                Kind::Cancelled | Kind::TimeLimit => " so far",
                _ => ", and both end alike",
            };
            format!("{rows} {verb}{how}: {}\n", failure.message)
        }
        Ok(status) => match exit {
            Some(Exit::Paused(code)) => format!("{rows} {verb}, paused with code {code}\n"),
            _ => format!("{rows} {verb}, {}\n", status_text(status)),
        },
    }
}

/// The exit code of a comparison that a signal ended.
fn interrupted(end: &Result<Status, Error>) -> Option<u8> {
    let is_cancelled = end.as_ref().is_err_and(|error| Failure::library(error).kind == Kind::Cancelled);
    interrupt::signal().filter(|_| is_cancelled).map(interrupt::exit_code)
}

fn status_text(status: &Status) -> String {
    match status {
        Status::Exited { code } => format!("exit {code}"),
        Status::Paused { code } => format!("pause {code}"),
        _ => "stopped".to_owned(),
    }
}

fn difference_text(difference: &Difference, program: &Program, machine: MachineKind, command: &str) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_rows(&mut text, difference);
    let _ = write_code(&mut text, difference, program, machine);
    let _ = write_registers(&mut text, difference);
    let _ = write_rest(&mut text, difference);
    text + &format!("\nrepeat it with: {command}\n")
}

/// Writes the difference and both rows with their effects.
fn write_rows(text: &mut String, difference: &Difference) -> fmt::Result {
    let Difference { location, what, jit, interpreter, .. } = difference;
    let what = what.join(", ");
    let (step, is_after) = (grouped(location.step), jit.row.is_none() && interpreter.row.is_none());
    match is_after {
        true => writeln!(text, "all rows agree ({step}), but the final states differ: {what}")?,
        false => writeln!(text, "the engines differ at step {step}: {what}; the rows before it agree")?,
    }

    let columns = ["pc", "insn", "rs1", "rs2", "rd", "addr", "mem_before", "mem_after"];
    writeln!(text, "\n{:<12}{}", "", columns.map(|name| format!("{name:<11}")).concat().trim_end())?;
    for (name, side) in [("jit", jit), ("interpreter", interpreter)] {
        writeln!(text, "{name:<12}{}", side_text(side))?;
    }
    for (name, side) in [("jit", jit), ("interpreter", interpreter)] {
        for effect in &side.effects {
            let (kind, space) = (effect.kind(), effect.space());
            let (addr, before, after) = (effect.addr, effect.before, effect.after);
            writeln!(text, "{name:<12}{kind} {space} {addr:#010x}: {before:#010x} to {after:#010x}")?;
        }
    }

    Ok(())
}

/// The row of a side for the step, or why it has none.
fn side_text(side: &Side) -> String {
    match (&side.row, &side.end) {
        (Some(row), _) => {
            let Row { pc, insn, rs1, rs2, rd, addr, mem_before, mem_after } = *row;
            let words = [pc, insn, rs1, rs2, rd, addr, mem_before, mem_after];
            words.map(|word| format!("{word:#010x}")).join(" ")
        }
        (None, Some(Ok(status))) => format!("no row: {}", status_text(status)),
        (None, Some(Err(error))) => format!("no row: {error}"),
        (None, None) => "no row".to_owned(),
    }
}

/// Writes the steps before, the step, and the code after it as it was when the program started.
fn write_code(text: &mut String, difference: &Difference, program: &Program, machine: MachineKind) -> fmt::Result {
    let variant = machine.variant();
    writeln!(text)?;
    let before = difference.location.step.saturating_sub(difference.context.len() as u64);
    for (step, row) in (before..).zip(&difference.context) {
        writeln!(text, "  {:>16}  {}", grouped(step), code_line(program, variant, row.pc, row.insn))?;
    }
    let rows = [difference.interpreter.row, difference.jit.row];
    let Some(row) = rows.into_iter().flatten().next() else { return Ok(()) };
    writeln!(text, "> {:>16}  {}", grouped(difference.location.step), code_line(program, variant, row.pc, row.insn))?;
    for pc in (1..=INSTRUCTIONS_AFTER).filter_map(|distance| row.pc.checked_add(4 * distance)) {
        let Some(word) = initial_word(program, pc) else { break };
        writeln!(text, "  {:>16}  {}", "", code_line(program, variant, pc, word))?;
    }
    Ok(())
}

/// Writes all registers before the step, and those that differ where the engines stopped.
fn write_registers(text: &mut String, difference: &Difference) -> fmt::Result {
    const IN_A_LINE: usize = 4;
    writeln!(text, "\nregisters before step {}, in both:", grouped(difference.location.step))?;
    let before: Vec<String> =
        REGISTERS.iter().zip(difference.before).map(|(name, value)| format!("{name:>6} {value:#010x}")).collect();
    for line in before.chunks(IN_A_LINE) {
        writeln!(text, "{}", line.join(""))?;
    }
    let Difference { jit, interpreter, .. } = difference;
    writeln!(text, "\nwhere they stopped{:8}{:<18} interpreter", "", "jit")?;
    let steps = [jit.steps, interpreter.steps].map(grouped);
    writeln!(text, "{:>24}  {:<18} {}", "steps", steps[0], steps[1])?;
    writeln!(text, "{:>24}  {:<#18x} {:#x}", "pc", jit.pc, interpreter.pc)?;
    for (name, (ours, theirs)) in REGISTERS.iter().zip(jit.registers.iter().zip(interpreter.registers)) {
        if *ours != theirs {
            writeln!(text, "{name:>24}  {ours:<#18x} {theirs:#x}")?;
        }
    }
    Ok(())
}

/// Writes the differences besides rows and registers.
fn write_rest(text: &mut String, difference: &Difference) -> fmt::Result {
    let Difference { word, jit, interpreter, .. } = difference;
    if let Some(Word { address, jit, interpreter }) = word {
        writeln!(text, "\nmemory at {address:#010x}: jit {jit:#010x}, interpreter {interpreter:#010x}")?;
    }
    for (name, ours, theirs) in [("stdout", jit.stdout, interpreter.stdout), ("stderr", jit.stderr, interpreter.stderr)]
    {
        if ours != theirs {
            writeln!(text, "\n{name}: jit {ours}; interpreter {theirs}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tachy::Location;
    use tachy::difference::Output;

    fn side(row: Option<Row>, a0: u32) -> Side {
        let mut registers = [0; 32];
        registers[10] = a0;
        let output = Output { bytes: 0, digest: blake3::hash(b"") };
        let (end, effects) = (Some(Ok(Status::Exited { code: 3 })), Vec::new());
        Side { row, effects, end, steps: 9, pc: 0x1_0020, registers, stdout: output, stderr: output }
    }

    #[test]
    fn a_difference_is_shown_with_all_that_helps() {
        let words = [0x0010_0513, 0x0015_0513, 0x0020_0593];
        let code = tachy::program::Segment::from_words(0x1_0000, &words, tachy::program::Permissions::RX);
        let program = tachy::Program::from_segments(0x1_0000, vec![code]).unwrap();
        let row = |index: usize, rs1, rd| Row {
            pc: 0x1_0000 + 4 * index as u32,
            insn: words[index],
            rs1,
            rd,
            ..Row::default()
        };
        let mut before = [0; 32];
        before[10] = 1;
        let mut difference = Difference {
            location: Location { pc: 0x1_0004, step: 1 },
            what: vec!["rd".to_owned()],
            before,
            context: vec![row(0, 0, 1)],
            word: None,
            jit: side(Some(row(1, 1, 3)), 3),
            interpreter: side(Some(row(1, 1, 2)), 2),
        };
        let machine = tachy::MachineKind::Bare;
        let text = difference_text(&difference, &program, machine, "tachy diff x.elf");
        let expected = "\
the engines differ at step 1: rd; the rows before it agree

            pc         insn       rs1        rs2        rd         addr       mem_before mem_after
jit         0x00010004 0x00150513 0x00000001 0x00000000 0x00000003 0x00000000 0x00000000 0x00000000
interpreter 0x00010004 0x00150513 0x00000001 0x00000000 0x00000002 0x00000000 0x00000000 0x00000000

                 0  0x00010000  li a0,1
>                1  0x00010004  addi a0,a0,1
                    0x00010008  li a1,2

registers before step 1, in both:
  zero 0x00000000    ra 0x00000000    sp 0x00000000    gp 0x00000000
    tp 0x00000000    t0 0x00000000    t1 0x00000000    t2 0x00000000
    s0 0x00000000    s1 0x00000000    a0 0x00000001    a1 0x00000000
    a2 0x00000000    a3 0x00000000    a4 0x00000000    a5 0x00000000
    a6 0x00000000    a7 0x00000000    s2 0x00000000    s3 0x00000000
    s4 0x00000000    s5 0x00000000    s6 0x00000000    s7 0x00000000
    s8 0x00000000    s9 0x00000000   s10 0x00000000   s11 0x00000000
    t3 0x00000000    t4 0x00000000    t5 0x00000000    t6 0x00000000

where they stopped        jit                interpreter
                   steps  9                  9
                      pc  0x10020            0x10020
                      a0  0x3                0x2

repeat it with: tachy diff x.elf
";
        assert_eq!(text, expected);

        (difference.jit.row, difference.interpreter.row) = (None, None);
        difference.what = vec!["memory".to_owned()];
        difference.word = Some(tachy::difference::Word { address: 0x2_0000, jit: 1, interpreter: 2 });
        let text = difference_text(&difference, &program, machine, "");
        assert!(text.starts_with("all rows agree (1), but the final states differ: memory\n"), "{text}");
        assert!(text.contains("memory at 0x00020000: jit 0x00000001, interpreter 0x00000002"), "{text}");

        difference.interpreter.row = Some(row(1, 1, 2));
        let text = difference_text(&difference, &program, machine, "");
        assert!(text.contains("\njit         no row: exit 3\n"), "{text}");
    }
}
