//! Runs both engines on one program, in lockstep, and checks that they do exactly the same.
//!
//! The JIT leads, undisturbed: it runs like any other run, without additional pauses. Whenever it hands over a buffer
//! of rows, the interpreter does the same steps, and the rows are compared at once. So nothing grows with the length of
//! the run. Wherever the JIT stops, the states are compared too.
//!
//! This module knows runs, rows and errors. It must not know what an instruction does, or it would judge.

mod compare;
mod follower;

#[cfg(test)]
mod tests;

use std::any::Any;

use crate::difference::{Difference, Output, Side, Word};
use crate::error::{Error, Limit, LimitError};
use crate::limits::{CancelHandle, Limits};
use crate::memory;
use crate::overhear::Streams;
use crate::run::{Run, State};
use crate::status::Status;
use crate::trace::{Level, Sink};
use compare::Done;
use follower::{Check, Follower, Found};

const MEMORY: &str = "memory";

/// A run of the JIT that the interpreter follows.
pub(crate) struct Crosscheck<'env> {
    leader: Box<dyn Run + 'env>,
    follower: Follower<'env>,
    streams: Streams,
    /// A difference that was found but not reported yet.
    found: Option<Found>,
    /// Whether the caller's sink refused rows that agree. They are delivered again, but not compared again.
    refused: bool,
    /// Whether a difference was reported; anything after it is meaningless.
    over: bool,
}

impl<'env> Crosscheck<'env> {
    /// Creates a crosscheck of two runs at the same step, with an environment that was split for them.
    pub(crate) fn new(jit: Box<dyn Run + 'env>, interpreter: Box<dyn Run + 'env>, streams: Streams) -> Self {
        Crosscheck {
            leader: jit,
            follower: Follower::new(interpreter),
            streams,
            found: None,
            refused: false,
            over: false,
        }
    }

    /// Compares the states after all rows agree: where and how both stand now.
    fn compare_states(&mut self, end: &Result<Status, Error>) -> Option<Found> {
        let steps = self.leader.state().location().step;
        let found = if is_the_guests(end) { self.follower.compare_end(end, steps) } else { None };
        found.or_else(|| {
            let what = self.left_behind(end);
            (!what.is_empty()).then(|| self.follower.found_behind(what))
        })
    }

    /// Returns what differs in the states of two runs that have reached the same step.
    fn left_behind(&self, end: &Result<Status, Error>) -> Vec<String> {
        let (jit, interpreter) = (self.leader.state(), self.follower.state());
        let mut what = Vec::new();
        // A trap on its way to R0VM's handler is no step. A failure may stop the JIT behind a trap; the interpreter
        // takes the trap with the next step.
        let may_be_ahead = end.is_err() && !is_the_guests(end) && jit.handles_traps();
        let [location, other] = [jit.location(), interpreter.location()];
        if may_be_ahead && location.step == other.step && location.pc != other.pc {
            return what;
        }
        let mut check = |name: String, same: bool| {
            if !same {
                what.push(name);
            }
        };
        check("pc".into(), jit.location() == interpreter.location());
        check("end".into(), jit.exit_code() == interpreter.exit_code());
        let registers = jit.vm().registers().into_iter().zip(interpreter.vm().registers());
        for (number, (value, other)) in registers.enumerate() {
            check(format!("x{number}"), value == other);
        }
        // A stream that failed may have taken some of the output of the step that was not done.
        if !matches!(end, Err(Error::Stream { .. })) {
            let [stdout, stderr] = self.streams.leader.outputs();
            let [others_stdout, others_stderr] = self.streams.follower.outputs();
            check("stdout".into(), stdout == others_stdout);
            check("stderr".into(), stderr == others_stderr);
        }
        // Pauses may occur at every step, but this compares all of memory.
        if is_the_guests(end) {
            let (stats, others) = (jit.stats(), interpreter.stats());
            check("ecalls".into(), (stats.ecalls, stats.ecalls_unknown) == (others.ecalls, others.ecalls_unknown));
            check("pages".into(), stats.pages == others.pages);
            check(MEMORY.into(), memory::first_difference(jit.vm(), interpreter.vm()).is_none());
        }
        what
    }

    /// Assembles the full report of a difference.
    fn difference(&mut self, found: Found, end: Result<Status, Error>) -> Difference {
        let Found { finding, before, context } = found;
        // The sink that failed is the follower, and that is no end of the guest.
        let ends = [Some(end).filter(|end| !matches!(end, Err(Error::Sink { .. }))), self.follower.end.take()];
        let (jit, interpreter) = (self.leader.state(), self.follower.state());
        let address = match finding.what.iter().any(|what| what == MEMORY) {
            true => memory::first_difference(jit.vm(), interpreter.vm()),
            false => None,
        };
        let word = |address| Word { address, jit: jit.vm().word(address), interpreter: interpreter.vm().word(address) };
        let row = finding.interpreter.row.or(finding.jit.row);
        let mut location = interpreter.location();
        (location.pc, location.step) = (row.map_or(location.pc, |row| row.pc), finding.step);
        let [jit_end, interpreter_end] = ends;
        Difference {
            location,
            what: finding.what,
            before,
            context,
            word: address.map(word),
            jit: side(jit, finding.jit, jit_end, self.streams.leader.outputs()),
            interpreter: side(interpreter, finding.interpreter, interpreter_end, self.streams.follower.outputs()),
        }
    }
}

impl Run for Crosscheck<'_> {
    fn run(
        &mut self,
        until: u64,
        limits: &Limits,
        cancel: &CancelHandle,
        sink: &mut dyn Sink,
    ) -> Result<Status, Error> {
        if self.over {
            return Err(Error::Ended { location: self.leader.state().location() });
        }
        self.streams.undo();
        self.follower.begin(limits);
        let wants_rows = sink.level() != Level::Off;
        // A panic of a sink may hide a difference from the caller: then the next run reports it.
        let end = match self.found {
            Some(_) => Err(Error::Ended { location: self.leader.state().location() }),
            None => {
                let Crosscheck { leader, follower, found, refused, .. } = self;
                leader.run(until, limits, cancel, &mut Check { follower, found, refused, sink, wants_rows })
            }
        };
        let found = self.found.take();
        let Some(found) = found.or_else(|| self.compare_states(&end)) else { return end };
        self.over = true;
        Err(self.difference(found, end).into())
    }

    fn is_over(&self) -> bool {
        self.over || self.leader.is_over()
    }

    fn owes(&self) -> bool {
        self.leader.owes()
    }

    fn resume(&mut self) -> bool {
        let resumed = self.leader.resume();
        resumed && self.follower.resume()
    }

    fn report(&self) -> Option<Box<dyn Any>> {
        self.leader.report()
    }

    fn state(&self) -> &dyn State {
        self.leader.state()
    }
}

/// Returns whether the program itself caused this end, alone or against a limit that applies at one step only. Any
/// other end comes from outside: a pause, a clock, a stream.
fn is_the_guests(end: &Result<Status, Error>) -> bool {
    match end {
        Ok(Status::Exited { .. } | Status::Paused { .. }) | Err(Error::Trap(_)) => true,
        Err(Error::Machine(failure)) => failure.error.is_deterministic(),
        Err(Error::Limit(LimitError { limit, .. })) => !matches!(limit, Limit::Time(_)),
        _ => false,
    }
}

fn side(state: &dyn State, done: Done, end: Option<Result<Status, Error>>, outputs: [Output; 2]) -> Side {
    let (Done { row, effects }, [stdout, stderr]) = (done, outputs);
    let (location, registers) = (state.location(), state.vm().registers());
    Side { row, effects, end, steps: location.step, pc: location.pc, registers, stdout, stderr }
}
