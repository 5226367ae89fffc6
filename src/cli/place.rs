//! Where in its program a run ended, in words: the function, the line of its source, the instruction.

use tachy::disasm::disassemble;
use tachy::r0vm::USER_END;
use tachy::{Cause, Error, MachineKind, Place, Session};

use super::failure::{CodePlace, Failure};
use super::load::Loaded;
use super::repeat::Repeat;
use super::text::symbol;

/// Where R0VM's kernel finds the address of the system call that it was entered for.
const MEPC_ADDRESS: u32 = 0xffff_0200;

impl Failure {
    /// A run ended with this: says also which code that was.
    pub(super) fn run(error: &Error, loaded: &Loaded, session: &Session<'_>, repeat: &Repeat) -> Failure {
        let mut failure = Failure::library(error);
        let Some(Place { pc, step }) = failure.place else { return failure };
        *failure.code = CodePlace::new(loaded, pc);
        let mut more = Vec::new();
        more.extend(failure.code.text("in"));
        if session.machine() == MachineKind::R0vm && loaded.program.user_entry().is_some() && pc >= USER_END {
            let caller_pc = session.word(MEPC_ADDRESS);
            let caller = CodePlace::new(loaded, caller_pc).text("called from");
            more.push(caller.unwrap_or_else(|| format!("called from {caller_pc:#010x}")));
            if matches!(error, Error::Trap(trap) if trap.cause == Cause::IllegalInstruction) {
                more.push("the kernel gives up there on a system call that it does not know or allow".to_owned());
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
        if !more.is_empty() {
            failure.message.push_str("\n  ");
            failure.message.push_str(&more.join("; "));
        }
        failure
    }
}

impl CodePlace {
    fn new(loaded: &Loaded, address: u32) -> CodePlace {
        let source = loaded.source_line(address).map(|line| line.to_string());
        CodePlace { symbol: symbol(&loaded.program, address), source }
    }

    fn text(&self, how: &str) -> Option<String> {
        match (&self.symbol, &self.source) {
            (Some(symbol), Some(source)) => Some(format!("{how} {symbol} ({source})")),
            (Some(place), None) | (None, Some(place)) => Some(format!("{how} {place}")),
            (None, None) => None,
        }
    }
}
