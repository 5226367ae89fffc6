//! Profiles: how many user cycles each function of a guest takes, with its callers, in the format of pprof.
//!
//! Every instruction counts, so the numbers are exact, and they add up to the session's user cycles. Callers are followed
//! by calls and returns of the standard convention (`ra`), and through system calls into the kernel. This file must not
//! know who wants a profile.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use tachy::risc0::{TraceEvent, USER_END};
use tachy::{Env, Program};

/// Callers that are kept; what is called more deeply counts for the last of them.
const DEPTH: usize = 200;

const ECALL: u32 = 0x0000_0073;
const MRET: u32 = 0x3020_0073;
const RET: u32 = 0x0000_8067;

/// Counts the cycles of one session.
#[derive(Debug, Clone, Default)]
pub struct Profile(Arc<Mutex<Counts>>);

/// A chain of callers; the first one is that of nobody.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// The chain without the last call.
    callers: usize,
    /// The address of the last call.
    call: u32,
}

#[derive(Debug, Default)]
struct Counts {
    chains: Vec<Chain>,
    by_call: HashMap<(usize, u32), usize>,
    /// The current chain, and those that calls have left.
    chain: usize,
    left: Vec<usize>,
    /// Calls that are too deep to be followed, on top of those.
    too_deep: u64,
    /// The depth at which each system call began.
    in_kernel: Option<u64>,
    cycles: HashMap<(usize, u32), u64>,
    /// The last instruction: its cycle, address and encoding.
    last: Option<(u64, u32, u32)>,
}

impl Counts {
    fn instruction(&mut self, cycle: u64, pc: u32, insn: u32) {
        if let Some((before, from, word)) = self.last.replace((cycle, pc, insn)) {
            self.count(from, cycle.saturating_sub(before));
            self.follow(from, word, pc);
        }
    }

    fn count(&mut self, pc: u32, cycles: u64) {
        *self.cycles.entry((self.chain, pc)).or_default() += cycles;
    }

    /// Follows the way from one instruction to the next.
    fn follow(&mut self, from: u32, word: u32, to: u32) {
        let (opcode, target) = (word & 0x7f, word >> 7 & 0x1f);
        match word {
            ECALL if from < USER_END && to >= USER_END => {
                self.in_kernel = Some(self.depth());
                self.call(from);
            }
            MRET => {
                if let Some(depth) = self.in_kernel.take() {
                    while self.depth() > depth {
                        self.back();
                    }
                }
            }
            RET => self.back(),
            // jal and jalr that leave the return address in ra.
            _ if matches!(opcode, 0x6f | 0x67) && target == 1 => self.call(from),
            _ => {}
        }
    }

    /// Returns the number of open calls.
    fn depth(&self) -> u64 {
        self.left.len() as u64 + self.too_deep
    }

    fn call(&mut self, call: u32) {
        if self.left.len() >= DEPTH {
            self.too_deep += 1;
            return;
        }
        self.left.push(self.chain);
        let chains = &mut self.chains;
        let callers = self.chain;
        self.chain = *self.by_call.entry((callers, call)).or_insert_with(|| {
            chains.push(Chain { callers, call });
            chains.len()
        });
    }

    fn back(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else if let Some(chain) = self.left.pop() {
            self.chain = chain;
        }
    }
}

impl Profile {
    /// Counts the cycles of the session that starts in this environment.
    pub fn of(&self, env: Env<'static>) -> Env<'static> {
        let counts = Arc::clone(&self.0);
        env.trace_callback(move |event| {
            if let TraceEvent::InstructionStart { cycle, pc, insn } = *event {
                counts.lock().unwrap_or_else(PoisonError::into_inner).instruction(cycle, pc, insn);
            }
            Ok(())
        })
    }

    /// Writes the profile of a session that has ended with so many user cycles.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self, path: &Path, program: &Program, user_cycles: u64) -> io::Result<()> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, pc, _)) = counts.last.take() {
            counts.count(pc, user_cycles.saturating_sub(before));
        }
        // The user has named this path: it may be a device or a link.
        std::fs::write(path, message(&counts, program).encode_to_vec())
    }
}

/// Texts by number, of which the first is empty.
#[derive(Default)]
struct Texts(Vec<String>, HashMap<String, i64>);

impl Texts {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.1.get(text) {
            return *number;
        }
        let number = self.0.len() as i64;
        self.0.push(text.to_owned());
        self.1.insert(text.to_owned(), number);
        number
    }
}

fn message(counts: &Counts, program: &Program) -> ProfileMessage {
    let mut texts = Texts::default();
    texts.number("");
    let cycles = ValueType { kind: texts.number("cycles"), unit: texts.number("count") };
    let mut profile = ProfileMessage { sample_type: vec![cycles], ..ProfileMessage::default() };
    let (mut locations, mut functions) = (HashMap::new(), HashMap::new());
    let mut location = |profile: &mut ProfileMessage, pc: u32| -> u64 {
        *locations.entry(pc).or_insert_with(|| {
            // Programs without symbols have a function at each address.
            let symbol =
                program.symbol_at(pc).map(|(symbol, _)| (symbol.name.clone(), symbol.demangled().into_owned()));
            let (name, demangled) = symbol.unwrap_or_else(|| (format!("{pc:#010x}"), format!("{pc:#010x}")));
            let function_id = *functions.entry(name.clone()).or_insert_with(|| {
                let id = profile.function.len() as u64 + 1;
                let (name, system_name) = (texts.number(&demangled), texts.number(&name));
                profile.function.push(Function { id, name, system_name });
                id
            });
            let id = profile.location.len() as u64 + 1;
            profile.location.push(Location { id, address: pc.into(), line: vec![Line { function_id }] });
            id
        })
    };
    let mut samples: Vec<_> = counts.cycles.iter().filter(|(_, cycles)| **cycles > 0).collect();
    samples.sort_unstable();
    for (&(chain, pc), &cycles) in samples {
        let mut location_id = vec![location(&mut profile, pc)];
        let mut chain = chain;
        while let Some(Chain { callers, call }) = chain.checked_sub(1).and_then(|chain| counts.chains.get(chain)) {
            location_id.push(location(&mut profile, *call));
            chain = *callers;
        }
        profile.sample.push(Sample { location_id, value: vec![cycles as i64] });
    }
    profile.string_table = texts.0;
    profile
}

/// A profile of pprof (`profile.proto`), as far as it is used.
#[derive(Clone, PartialEq, Message)]
struct ProfileMessage {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls, returns and system calls of a made-up run: who has called whom, and for how long.
    #[test]
    fn callers_are_followed() {
        const CALL: u32 = 0x0000_00ef;
        const NEXT: u32 = 0x0000_0013;
        let mut counts = Counts::default();
        let steps = [
            (0, 0x1000, CALL),
            (1, 0x2000, ECALL),
            (3, USER_END, CALL),
            (4, USER_END + 0x100, MRET),
            (9, 0x2004, RET),
            (10, 0x1004, NEXT),
        ];
        for (cycle, pc, insn) in steps {
            counts.instruction(cycle, pc, insn);
        }
        counts.count(0x1004, 2);
        let callers = |mut chain: usize| {
            let mut calls = Vec::new();
            while let Some(Chain { callers, call }) = chain.checked_sub(1).and_then(|chain| counts.chains.get(chain)) {
                calls.push(*call);
                chain = *callers;
            }
            calls
        };
        let mut found: Vec<_> =
            counts.cycles.iter().map(|((chain, pc), cycles)| (*pc, callers(*chain), *cycles)).collect();
        found.sort_unstable();
        let expected = vec![
            (0x1000, vec![], 1),
            (0x1004, vec![], 2),
            (0x2000, vec![0x1000], 2),
            (0x2004, vec![0x1000], 1),
            (USER_END, vec![0x2000, 0x1000], 1),
            (USER_END + 0x100, vec![USER_END, 0x2000, 0x1000], 5),
        ];
        assert_eq!(found, expected);
    }

    /// A guest that only calls takes no memory for what is too deep.
    #[test]
    fn depth_is_bounded() {
        let mut counts = Counts::default();
        for step in 0..10_000 {
            counts.instruction(step.into(), 4 * step, 0x0000_00ef);
        }
        assert!(counts.chains.len() <= DEPTH);
        for step in 10_000..20_001 {
            counts.instruction(step.into(), 4 * step, RET);
        }
        assert_eq!(counts.chain, 0);
    }
}
