//! Formats measurements as tables for people.

use std::fmt::Write as _;
use std::path::Path;

use super::measure::{Level, Program};
use crate::text::grouped;

/// The rates, the compiled code, and the times of whole processes if there are any.
pub(super) fn text(programs: &[Program]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_speeds(&mut text, programs);
    let _ = write_compiled(&mut text, programs);
    let _ = write_processes(&mut text, programs);
    text
}

/// The two trace levels of a program.
fn levels(program: &Program) -> [&Level; 2] {
    [&program.untraced, &program.rows]
}

fn write_speeds(text: &mut String, programs: &[Program]) -> std::fmt::Result {
    writeln!(text, "{:<16} {:>15}  {:<29}  with rows", "G steps/s", "", "untraced")?;
    let columns = format!("  {:>11} {:>8} {:>8}", "interpreter", "jit", "ratio");
    writeln!(text, "{:<16} {:>15}{columns}{columns}", "program", "steps")?;
    for program in programs {
        let speeds = levels(program).map(speeds).map(speeds_text).concat();
        let exit = match program.exit {
            Some(0) => String::new(),
            Some(code) => format!("  exit {code}"),
            None => "  step limit".to_owned(),
        };
        writeln!(text, "{:<16} {:>15}{speeds}{exit}", name(program), grouped(program.steps))?;
    }
    if programs.len() > 1 {
        let means = [0, 1].map(|level| geometric_means(programs.iter().map(|program| speeds(levels(program)[level]))));
        writeln!(text, "{:<16} {:>15}{}", "geometric mean", "", means.map(speeds_text).concat())?;
    }
    Ok(())
}

fn write_compiled(text: &mut String, programs: &[Program]) -> std::fmt::Result {
    writeln!(text, "\n{:<16} {:<37}  with rows", "compiled", "  untraced")?;
    let columns = format!("  {:>8} {:>8} {:>8} {:>11}", "ms", "insns", "KiB", "interpreted");
    writeln!(text, "{:<16}{columns}{columns}", "program")?;
    for program in programs {
        write!(text, "{:<16}", name(program))?;
        for Level { compiled, interpreted_share, .. } in levels(program) {
            let (millis, kib) = (compiled.seconds * 1e3, compiled.code_bytes as f64 / 1024.0);
            let (instructions, percent) = (compiled.instructions, interpreted_share * 100.0);
            write!(text, "  {millis:>8.1} {instructions:>8} {kib:>8.1} {percent:>9.2} %")?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// Writes the seconds of each process, and how many times as long as `tachy run` the others took.
fn write_processes(text: &mut String, programs: &[Program]) -> std::fmt::Result {
    let Some(first) = programs.first().filter(|program| !program.processes.is_empty()) else { return Ok(()) };
    write!(text, "\n{:<16}", "whole process, s")?;
    for process in &first.processes {
        write!(text, "  {:>18}", process.name)?;
    }
    writeln!(text)?;
    for program in programs {
        write!(text, "{:<16}", name(program))?;
        for (index, process) in program.processes.iter().enumerate() {
            let times = if index == 0 { String::new() } else { format!("x {:.2}", process.times_as_long) };
            write!(text, "  {:>9.4} {times:>8}", process.seconds)?;
        }
        writeln!(text)?;
    }
    if programs.len() > 1 {
        let count = programs.len() as f64;
        write!(text, "{:<16}  {:>18}", "geometric mean", "")?;
        for index in 1..first.processes.len() {
            let sum: f64 = programs.iter().map(|program| program.processes[index].times_as_long.ln()).sum();
            write!(text, "  {:>18}", format!("x {:.2}", (sum / count).exp()))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// Billions of steps per second of the interpreter and of the JIT, and their ratio.
fn speeds(level: &Level) -> [f64; 3] {
    [level.interpreter.steps_per_second / 1e9, level.jit.steps_per_second / 1e9, level.ratio]
}

fn speeds_text([interpreter, jit, ratio]: [f64; 3]) -> String {
    format!("  {interpreter:>11.3} {jit:>8.3} {ratio:>8.2}")
}

fn geometric_means(rows: impl ExactSizeIterator<Item = [f64; 3]>) -> [f64; 3] {
    let count = rows.len() as f64;
    let sums = rows.fold([0.0; 3], |sums, row| [0, 1, 2].map(|column| sums[column] + f64::ln(row[column])));
    sums.map(|sum: f64| (sum / count).exp())
}

/// The file name of the program.
fn name(program: &Program) -> String {
    let path = Path::new(&program.program);
    path.file_name().unwrap_or(path.as_os_str()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_geometric() {
        let [a, b, c] = geometric_means([[1.0, 2.0, 0.0], [4.0, 8.0, 5.0]].into_iter());
        assert!((a - 2.0).abs() < 1e-9 && (b - 4.0).abs() < 1e-9 && c == 0.0, "{a} {b} {c}");
    }
}
