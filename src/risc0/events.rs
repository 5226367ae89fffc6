//! Derives RISC Zero's trace events from rows and effects.
//!
//! The event of an instruction comes first, followed by one for each word that it writes. Registers appear at their
//! address in memory, x0 in its shunt. Page events queue until an instruction ends. Ecalls of machine mode flush the
//! queue at each of their cycles, or only at the first. The writes at the end of a segment appear between two
//! instructions.
//!
//! This file must not know how the machine executes. Source: the crate risc0-circuit-rv32im 4.0.5, `trace` and
//! `execute`.
#![expect(clippy::indexing_slicing, reason = "tables of 32 entries, by the five bits of an opcode")]

mod ecall;

use std::fmt;

use tachy_runtime::page_of;

use super::format::layout::*;
use crate::callers;
use crate::decode::{Instruction, decode};
use crate::isa::{Class, Line, Op, TABLE, Variant};
use crate::trace::{Effect, EffectKind, Row, Sink, SinkError, Space};
use ecall::{Ecall, StoreCycles};

/// What happened, in execution order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceEvent {
    /// An instruction starts.
    InstructionStart {
        /// User cycles of the session before this instruction.
        cycle: u64,
        /// Its address.
        pc: u32,
        /// Its encoding.
        insn: u32,
    },
    /// A word is written.
    MemorySet {
        /// Its address. A register has an address in its bank.
        address: u32,
        /// Its bytes, most significant first.
        region: [u8; 4],
    },
    /// A page, or a node of the page tree, is brought in.
    PageIn {
        /// Cycles that this costs.
        cycles: u64,
    },
    /// A page, or a node of the page tree, will be written out.
    PageOut {
        /// Cycles that this costs.
        cycles: u64,
    },
}

const SUSPEND_WORDS: [u32; 2] = [SUSPEND_PC, SUSPEND_MODE];

/// The word that a step writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Its destination register.
    Register,
    /// Memory.
    Memory,
    /// 0, for x0.
    Zero,
    /// The words listed in its effects.
    Effects,
}

/// Indexed by the five opcode bits above the low two. All instructions with the same bits write alike.
static WRITTEN: [Written; 32] = written();

const fn written() -> [Written; 32] {
    let mut written = [Written::Effects; 32];
    let mut line = 0;
    while line < TABLE.len() {
        let Line { format, class, match_bits, r0vm, .. } = TABLE[line];
        let by = match class {
            Class::Store => Written::Memory,
            Class::Branch => Written::Zero,
            _ if format.has_rd() => Written::Register,
            _ => Written::Effects,
        };
        let opcode = (match_bits >> 2 & 31) as usize;
        if r0vm.is_some() {
            assert!(matches!(written[opcode], Written::Effects) || written[opcode] as u8 == by as u8);
            written[opcode] = by;
        }
        line += 1;
    }
    written
}

/// Takes events one by one.
trait Take: FnMut(TraceEvent) -> Result<(), SinkError> {}

impl<F: FnMut(TraceEvent) -> Result<(), SinkError>> Take for F {}

/// Takes each trace event.
pub(crate) type TraceCallback<'env> = Box<dyn FnMut(&TraceEvent) -> Result<(), SinkError> + Send + 'env>;

/// A sink that derives events from rows. It covers a session from its first step, or from its continuation after a
/// pause.
pub struct TraceEvents<F> {
    send: F,
    teller: Teller,
    /// Number of events already taken from the current rows before one was refused. They are not sent again.
    taken: u64,
}

impl<F: FnMut(&TraceEvent) -> Result<(), SinkError>> TraceEvents<F> {
    /// Makes a sink that sends each event to `send`, whose error ends the run. A refused event comes again, first, when
    /// its rows are delivered again.
    pub fn new(send: F) -> TraceEvents<F> {
        TraceEvents { send, teller: Teller::new(), taken: 0 }
    }

    /// Continues after a pause. Cycles restart at 0, and page events still waiting for the end of an instruction are
    /// never sent.
    pub(crate) fn begin_part(&mut self) {
        self.teller = Teller::new();
    }
}

impl<'env> TraceEvents<TraceCallback<'env>> {
    /// Sends each event to all callbacks in order. One that refuses an event gets it again; those before it do not.
    pub(crate) fn to_all(mut callbacks: Vec<TraceCallback<'env>>) -> Option<Self> {
        if callbacks.len() <= 1 {
            return callbacks.pop().map(TraceEvents::new);
        }
        let mut next = 0;
        Some(TraceEvents::new(Box::new(move |event| {
            while let Some(callback) = callbacks.get_mut(next) {
                callback(event)?;
                next += 1;
            }
            next = 0;
            Ok(())
        })))
    }
}

impl<F: FnMut(&TraceEvent) -> Result<(), SinkError>> Sink for TraceEvents<F> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        let before = self.teller.clone();
        let TraceEvents { send, teller, taken } = self;
        let (skipped, mut count) = (*taken, 0);
        let mut pass = |event| {
            count += 1;
            if count > skipped {
                send(&event)?;
                *taken = count;
            }
            Ok(())
        };
        let told = callers::call(|| teller.rows(&mut pass, first_step, rows, effects));
        match told {
            Ok(Ok(())) => self.taken = 0,
            _ => self.teller = before,
        }
        told.unwrap_or_else(|panic| panic.resume())
    }
}

/// Derives events from rows and effects.
#[derive(Clone)]
struct Teller {
    machine_mode: bool,
    /// Step of cycle 0; known from the first rows.
    first_step: Option<u64>,
    /// Cycles that ecalls took beyond their step.
    extra_cycles: u64,
    /// Queued page events.
    queue: Vec<TraceEvent>,
    /// Address and word of an instruction that began but did not complete.
    begun: Option<(u32, u32)>,
    /// Cause of its trap, identified by the handler that was looked up.
    cause: Option<u32>,
}

impl Teller {
    fn new() -> Teller {
        Teller { machine_mode: true, first_step: None, extra_cycles: 0, queue: Vec::new(), begun: None, cause: None }
    }

    fn bank(&self) -> u32 {
        if self.machine_mode { MACHINE_BANK } else { USER_BANK }
    }

    fn start(&mut self, send: &mut impl Take, step: u64, pc: u32, insn: u32) -> Result<(), SinkError> {
        let cycle = step - self.first_step.unwrap_or(0) + self.extra_cycles;
        send(TraceEvent::InstructionStart { cycle, pc, insn })
    }

    fn set(&mut self, send: &mut impl Take, address: u32, word: u32) -> Result<(), SinkError> {
        send(TraceEvent::MemorySet { address, region: word.to_be_bytes() })
    }

    fn set_register(&mut self, send: &mut impl Take, number: u8, word: u32) -> Result<(), SinkError> {
        let location = if number == 0 { SHUNT_OFFSET } else { 4 * u32::from(number) };
        self.set(send, self.bank() + location, word)
    }

    /// Queues the events of a page and of the nodes that were paid with it.
    fn page(&mut self, effect: &Effect) {
        let event = |cycles| match effect.kind() {
            EffectKind::PageIn => TraceEvent::PageIn { cycles },
            _ => TraceEvent::PageOut { cycles },
        };
        let nodes = effect.after.saturating_sub(PAGE_CYCLES) / NODE_CYCLES;
        self.queue.push(event(PAGE_CYCLES.into()));
        self.queue.extend((0..nodes).map(|_| event(NODE_CYCLES.into())));
    }

    #[inline]
    fn flush(&mut self, send: &mut impl Take) -> Result<(), SinkError> {
        if self.queue.is_empty() { Ok(()) } else { self.send_queue(send) }
    }

    #[cold]
    fn send_queue(&mut self, send: &mut impl Take) -> Result<(), SinkError> {
        let mut queue = std::mem::take(&mut self.queue);
        let sent = queue.drain(..).try_for_each(send);
        self.queue = queue;
        sent
    }

    /// Handles the effects before a step's instruction, and returns the instruction's own effects.
    fn before<'a>(
        &mut self,
        send: &mut impl Take,
        op: Option<Op>,
        mut effects: &'a [Effect],
    ) -> Result<&'a [Effect], SinkError> {
        while let Some((effect, rest)) = effects.split_first() {
            let own = match (op, effect.kind(), effect.space()) {
                (Some(Op::Ecall), EffectKind::Read, Space::Register) => self.machine_mode,
                (Some(Op::Ecall), EffectKind::Read, Space::Memory) => effect.addr == ECALL_DISPATCH,
                (Some(Op::Mret), EffectKind::Read, Space::Memory) => effect.addr == MEPC,
                (None, EffectKind::Read, Space::Register) => true,
                _ => false,
            };
            if own {
                break;
            }
            self.between(send, effect)?;
            effects = rest;
        }
        Ok(effects)
    }

    /// Handles an effect that belongs to no instruction: of a segment's end, of a trap, or of a page.
    fn between(&mut self, send: &mut impl Take, effect: &Effect) -> Result<(), SinkError> {
        match (effect.kind(), effect.space()) {
            (EffectKind::PageIn | EffectKind::PageOut, _) => self.page(effect),
            (EffectKind::Write, Space::Memory) if effect.addr == MEPC => {
                self.trapped(send, effect.step, effect.after)?;
                self.machine_mode = true;
                self.set(send, effect.addr, effect.after)?;
            }
            (EffectKind::Write, Space::Memory) => self.set(send, effect.addr, effect.after)?,
            (EffectKind::Read, Space::Memory) if SUSPEND_WORDS.contains(&effect.addr) => {}
            (EffectKind::Read, Space::Memory) if (TRAP_DISPATCH..TRAP_DISPATCH + 64).contains(&effect.addr) => {
                self.cause = Some((effect.addr - TRAP_DISPATCH) / 4);
            }
            (EffectKind::Read, Space::Memory) => self.begun = Some((effect.addr, effect.after)),
            _ => {}
        }
        Ok(())
    }

    /// Handles a trap at `pc`. The instruction has a start event if it was a valid one.
    fn trapped(&mut self, send: &mut impl Take, step: u64, pc: u32) -> Result<(), SinkError> {
        let (begun, cause) = (self.begun.take(), self.cause.take());
        match begun {
            Some((_, insn)) if cause != Some(2) || is_odd_system(insn) => self.start(send, step, pc, insn),
            _ => Ok(()),
        }
    }

    /// Handles a completed step.
    #[inline]
    fn step(&mut self, send: &mut impl Take, step: u64, row: &Row, effects: &[Effect]) -> Result<(), SinkError> {
        let written = WRITTEN[(row.insn >> 2 & 31) as usize];
        if written == Written::Effects {
            return self.system(send, step, row, effects);
        }
        for effect in effects {
            self.between(send, effect)?;
        }
        self.start(send, step, row.pc, row.insn)?;
        match written {
            Written::Register => self.set_register(send, (row.insn >> 7 & 31) as u8, row.rd)?,
            Written::Memory => self.set(send, row.addr & !3, row.mem_after)?,
            Written::Zero | Written::Effects => self.set_register(send, 0, 0)?,
        }
        self.flush(send)
    }

    /// Handles a completed system instruction.
    fn system(&mut self, send: &mut impl Take, step: u64, row: &Row, effects: &[Effect]) -> Result<(), SinkError> {
        let Some(Instruction { op, .. }) = decode(row.insn, Variant::R0vm) else { return Ok(()) };
        let own = self.before(send, Some(op), effects)?;
        self.start(send, step, row.pc, row.insn)?;
        if op == Op::Ecall && self.machine_mode {
            return self.ecall(send, own);
        }
        // The only memory that a user's ecall writes is the word for its pc, whose page is always loaded.
        for effect in own {
            if (effect.kind(), effect.space()) == (EffectKind::Write, Space::Memory) {
                self.set(send, effect.addr, effect.after)?;
            }
        }
        self.machine_mode = op == Op::Ecall;
        self.flush(send)
    }

    /// Handles the effects of an ecall of machine mode, even if it did not complete.
    fn ecall(&mut self, send: &mut impl Take, effects: &[Effect]) -> Result<(), SinkError> {
        self.flush(send)?;
        let ecall = Ecall::of(effects);
        self.extra_cycles += ecall.extra_cycles;
        let mut cycles = StoreCycles::new(&ecall);
        let mut mirrored = false;
        for effect in effects {
            match (effect.kind(), effect.space()) {
                (EffectKind::PageIn | EffectKind::PageOut, _) => self.page(effect),
                (EffectKind::Write, Space::Register) if !mirrored => {
                    self.set_register(send, effect.addr as u8, effect.after)?;
                    if ecall.flushes {
                        self.flush(send)?;
                    }
                }
                (EffectKind::Write, Space::Memory) => {
                    // A write that changes a register through its word in memory has no event for the register.
                    mirrored = page_of(effect.addr) == SYSTEM_PAGE;
                    self.set(send, effect.addr, effect.after)?;
                    if cycles.ends_with_store() {
                        self.flush(send)?;
                    }
                    continue;
                }
                _ => {}
            }
            mirrored = false;
        }
        if ecall.flushes { self.flush(send) } else { Ok(()) }
    }

    /// Handles a buffer of rows and their effects.
    fn rows(
        &mut self,
        send: &mut impl Take,
        first_step: u64,
        rows: &[Row],
        mut effects: &[Effect],
    ) -> Result<(), SinkError> {
        self.first_step.get_or_insert(first_step);
        for (row, step) in rows.iter().zip(first_step..) {
            let own = match effects.first() {
                Some(first) if first.step <= step => {
                    let count = effects.iter().take_while(|effect| effect.step <= step).count();
                    let (own, later) = effects.split_at(count);
                    effects = later;
                    own
                }
                _ => &[],
            };
            self.step(send, step, row, own)?;
        }
        // Effects after the last step: those of a segment's end, or of a step that could not complete.
        let step = first_step + rows.len() as u64;
        let own = self.before(send, None, effects)?;
        if let Some((pc, insn)) = self.begun.take() {
            let illegal = self.cause.take() == Some(2) && !is_odd_system(insn);
            if !illegal {
                self.start(send, step, pc, insn)?;
            }
            if !own.is_empty() {
                self.ecall(send, own)?;
            }
        }
        Ok(())
    }
}

/// Returns whether an illegal word looks like an ecall with another rs2. Such a word still has an event.
fn is_odd_system(insn: u32) -> bool {
    insn & 0xfe00_707f == 0x73
}

impl<F> fmt::Debug for TraceEvents<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceEvents").field("taken", &self.taken).finish_non_exhaustive()
    }
}
