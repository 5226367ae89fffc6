//! The interpreter behind the JIT. As the JIT's sink it does the same steps and compares them, buffer by buffer.

use super::compare::{Done, Finding, Portion, compare};
use crate::error::Error;
use crate::limits::{CancelHandle, Limits};
use crate::run::{Run, State};
use crate::status::Status;
use crate::trace::{Effect, Level, Row, Sink, SinkError, VecSink};

/// Number of rows kept to show what came before a difference.
const CONTEXT_ROWS: usize = 8;

/// A run of the interpreter that advances with the JIT's rows, and the means to compare them.
pub(super) struct Follower<'env> {
    run: Box<dyn Run + 'env>,
    limits: Limits,
    /// How it ended, if it has.
    pub(super) end: Option<Result<Status, Error>>,
    /// Its rows and effects for the current buffer, reused.
    own: VecSink,
    /// The last rows that agree.
    last: Vec<Row>,
}

/// A difference, and what came before it.
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) before: [u32; 32],
    pub(super) context: Vec<Row>,
}

impl<'env> Follower<'env> {
    pub(super) fn new(run: Box<dyn Run + 'env>) -> Follower<'env> {
        Follower { run, limits: Limits::default(), end: None, own: VecSink::default(), last: Vec::new() }
    }

    /// Resumes a paused program; returns whether it was paused.
    pub(super) fn resume(&mut self) -> bool {
        self.end = None;
        self.run.resume()
    }

    /// Returns the interpreter's state.
    pub(super) fn state(&self) -> &dyn State {
        self.run.state()
    }

    /// Applies these limits from now on, and forgets an end that the program did not cause.
    pub(super) fn begin(&mut self, limits: &Limits) {
        // Time expires at no particular step. The limit belongs to the JIT, because all of this takes the JIT's time.
        self.limits = Limits { time: None, ..*limits };
        if self.state().exit_code().is_none() {
            self.end = None;
        }
    }

    /// Runs until `steps` steps are done or the run ends; records into `own`.
    fn run_to(&mut self, steps: u64) {
        self.own.rows.clear();
        self.own.effects.clear();
        if self.end.is_none() {
            let result = self.run.run(steps, &self.limits, &CancelHandle::default(), &mut self.own);
            self.end = Some(result).filter(|result| !matches!(result, Ok(Status::Reached)));
        }
    }

    /// Does the steps of `jit`, and compares.
    fn follow(&mut self, jit: Portion<'_>) -> Option<Found> {
        let mut replay = self.state().replay(u64::MAX);
        self.run_to(jit.end());
        let own = Portion { first_step: jit.first_step, rows: &self.own.rows, effects: &self.own.effects };
        // Effects of a step that was begun but not done are compared at the end.
        let known = if self.state().exit_code().is_some() { u64::MAX } else { jit.end() };
        let (jit, own) = (jit.until(known), own.until(known));
        let finding = compare(jit, own);

        let agreed = jit.until(finding.as_ref().map_or(u64::MAX, |finding| finding.step));
        self.last.extend(agreed.rows.iter().skip(agreed.rows.len().saturating_sub(CONTEXT_ROWS)));
        self.last.drain(..self.last.len().saturating_sub(CONTEXT_ROWS));
        let finding = finding?;
        // The state is not judged here: where a row contradicts it, both engines' rows do.
        let _ = replay.rows(agreed.first_step, agreed.rows, agreed.effects);
        Some(Found { finding, before: replay.registers(), context: self.last.clone() })
    }

    /// Compares the ends. All rows of the JIT agree, and it ended with `end` after `steps` steps. Returns a difference
    /// if the interpreter does not.
    pub(super) fn compare_end(&mut self, end: &Result<Status, Error>, steps: u64) -> Option<Found> {
        let before = self.state().vm().registers();
        self.run_to(steps.saturating_add(1));
        let alike = match (end, &self.end) {
            (Ok(status), Some(Ok(own))) => status == own && self.state().location().step == steps,
            (Err(error), Some(Err(own))) => {
                let facts = |error: &Error| (error.kind(), error.location(), error.to_string());
                facts(error) == facts(own)
            }
            _ => false,
        };
        if alike {
            return None;
        }
        let interpreter = Done { row: self.own.rows.first().copied(), effects: self.own.effects.clone() };
        let what = vec!["end".to_owned()];
        Some(self.found(Finding { step: steps, what, jit: Done::default(), interpreter }, before))
    }

    /// Reports a difference in the states, after all rows and the ends agree.
    pub(super) fn found_behind(&self, what: Vec<String>) -> Found {
        let step = self.state().location().step;
        let finding = Finding { step, what, jit: Done::default(), interpreter: Done::default() };
        self.found(finding, self.state().vm().registers())
    }

    fn found(&self, finding: Finding, before: [u32; 32]) -> Found {
        Found { finding, before, context: self.last.clone() }
    }
}

/// The JIT's sink: it compares, and passes on what agrees.
pub(super) struct Check<'a, 'env> {
    pub(super) follower: &'a mut Follower<'env>,
    pub(super) found: &'a mut Option<Found>,
    pub(super) refused: &'a mut bool,
    /// The caller's sink.
    pub(super) sink: &'a mut dyn Sink,
    /// Whether the caller's sink wants rows.
    pub(super) wants_rows: bool,
}

impl Sink for Check<'_, '_> {
    fn level(&self) -> Level {
        Level::Rows
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        let jit = Portion { first_step, rows, effects };
        if !std::mem::take(self.refused) {
            *self.found = self.follower.follow(jit);
        }
        let agreed = jit.until(self.found.as_ref().map_or(u64::MAX, |found| found.finding.step));
        if self.wants_rows && !(agreed.rows.is_empty() && agreed.effects.is_empty()) {
            *self.refused = true;
            self.sink.rows(first_step, agreed.rows, agreed.effects)?;
            *self.refused = false;
        }
        match self.found {
            None => Ok(()),
            Some(_) => Err("the engines differ".into()),
        }
    }
}
