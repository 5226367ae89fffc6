//! Describes where in its program a run ended: the function, the source line, the instruction.

use tachy::disasm::disassemble;
use tachy::program::{Frame, NoFrames, own_line};
use tachy::{Cause, Error, Location, Session};

use crate::failure::{CodeLocation, Failure};
use crate::hints::hints;
use crate::load::Loaded;
use crate::repeat::Repeat;
use crate::text::symbol;

impl Failure {
    /// The failure of a run, with the code at which it ended.
    pub(crate) fn run(error: &Error, loaded: &Loaded, session: &Session<'_>, repeat: &Repeat) -> Failure {
        let mut failure = Failure::library(error);
        let Some(Location { pc, step }) = failure.location else { return failure };
        // The user program caused what the kernel does for it.
        let user_pc = session.served_ecall();
        *failure.code = CodeLocation::new(loaded, user_pc.unwrap_or(pc));
        failure.code.user_pc = user_pc;
        let mut more = Vec::new();
        more.extend(failure.code.text("in"));
        if let Some(user_pc) = user_pc {
            if more.is_empty() {
                more.push(format!("in the user program at {user_pc:#010x}"));
            }
            more.extend(CodeLocation::new(loaded, pc).text("the kernel is in"));
            if matches!(error, Error::Trap(trap) if trap.cause == Cause::IllegalInstruction) {
                more.push("there the kernel stops at a system call that it does not know or allow".to_owned());
            }
        }
        if let Error::Trap(trap) = error {
            if trap.cause != Cause::FetchFault {
                more.push(format!("at `{}`", disassemble(session.word(pc), pc, session.machine().variant())));
            }
            let from = step.saturating_sub(20);
            let command = repeat.command("trace", &[format!("--from={from}")]);
            more.push(format!("`{command}`{} shows the steps before it", repeat.note()));
        }
        if matches!(error, Error::Difference(_)) {
            more.push(format!("`{}`{} shows both rows", repeat.command("diff", &[]), repeat.note()));
        }
        let lines = [more.join("; ")].into_iter().chain(hints(error, loaded, session));
        for line in lines.filter(|line| !line.is_empty()) {
            failure.message.push_str("\n  ");
            failure.message.push_str(&line);
        }
        failure
    }
}

impl CodeLocation {
    fn new(loaded: &Loaded, address: u32) -> CodeLocation {
        let (frames, no_line) = match loaded.source_frames(address) {
            Ok(frames) => (frames, None),
            // Files without debug information, and hand-written code, are common.
            Err(NoFrames::NoDebugInformation | NoFrames::NotCovered { .. }) => (Vec::new(), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        // A file may have debug information without symbols.
        let function = || frames.last().and_then(|frame| frame.function.clone());
        CodeLocation {
            symbol: symbol(&loaded.program, address).or_else(function),
            source: own_line(&frames).map(|line| line.to_string()),
            frames,
            no_line,
            user_pc: None,
        }
    }

    fn text(&self, how: &str) -> Option<String> {
        let mut text = match (&self.symbol, &self.source) {
            (Some(symbol), Some(source)) => format!("{how} {symbol} ({source})"),
            (Some(location), None) | (None, Some(location)) => format!("{how} {location}"),
            (None, None) => return self.no_line_text(),
        };
        // A single function is already in the text.
        if let [_, _, ..] = self.frames[..] {
            let frames: Vec<String> = self.frames.iter().filter_map(frame_text).collect();
            text.push_str(&format!("; inlined: {}", frames.join(", in ")));
        }
        if let Some(no_line) = self.no_line_text() {
            text = format!("{text}; {no_line}");
        }
        Some(text)
    }

    fn no_line_text(&self) -> Option<String> {
        self.no_line.as_ref().map(|why| format!("no source line: {why}"))
    }
}

/// A function and its line, if they are known.
fn frame_text(frame: &Frame) -> Option<String> {
    match (&frame.function, &frame.line) {
        (Some(function), Some(line)) => Some(format!("{function} ({line})")),
        (Some(function), None) => Some(function.clone()),
        (None, line) => line.as_ref().map(|line| line.to_string()),
    }
}
