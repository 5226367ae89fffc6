//! Both engines on one program, in lockstep: do they do exactly the same?
//!
//! The JIT leads, undisturbed: it runs as any run does, without a pause of its own. Whenever it hands over a buffer of
//! rows, the interpreter does the same steps and the rows are compared there and then, so that nothing grows with the
//! length of the run. Wherever it stops, the states are compared too.
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
    /// What was found and is not said yet.
    found: Option<Found>,
    /// Rows that agree were refused by the caller's sink: they are shown again, and not compared again.
    refused: bool,
    /// A difference was said; what would come after it means nothing.
    over: bool,
}

impl<'env> Crosscheck<'env> {
    /// Both at the same step, with surroundings that were split for them.
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

    /// All rows agree; so must where and how both stand now.
    fn compare_states(&mut self, end: &Result<Status, Error>) -> Option<Found> {
        let steps = self.leader.state().location().step;
        let found = if is_the_guests(end) { self.follower.compare_end(end, steps) } else { None };
        found.or_else(|| {
            let what = self.left_behind(end);
            (!what.is_empty()).then(|| self.follower.found_behind(what))
        })
    }

    /// What differs in what the two leave behind that came to the same step.
    fn left_behind(&self, end: &Result<Status, Error>) -> Vec<String> {
        let (jit, interpreter) = (self.leader.state(), self.follower.state());
        let mut what = Vec::new();
        // A trap on its way to R0VM's handler is no step. A failure may stop the JIT behind one; the interpreter takes it
        // with the next step.
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
        // A stream that failed may have taken some of what its step, which was not done, wrote.
        if !matches!(end, Err(Error::Stream { .. })) {
            let [stdout, stderr] = self.streams.leader.outputs();
            let [others_stdout, others_stderr] = self.streams.follower.outputs();
            check("stdout".into(), stdout == others_stdout);
            check("stderr".into(), stderr == others_stderr);
        }
        // Pauses may come at every step, and this looks at all of memory.
        if is_the_guests(end) {
            let (stats, others) = (jit.stats(), interpreter.stats());
            check("ecalls".into(), (stats.ecalls, stats.ecalls_unknown) == (others.ecalls, others.ecalls_unknown));
            check("pages".into(), stats.pages == others.pages);
            check(MEMORY.into(), memory::first_difference(jit.vm(), interpreter.vm()).is_none());
        }
        what
    }

    /// All that is known of a difference.
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
        // A sink that panics may keep a difference from the caller: then the next run says it.
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

/// Whether the program brought its run to this end, by itself or against a limit that strikes at one step alone. Any
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
