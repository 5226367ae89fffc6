//! The interpreter as the JIT's sink: it does the same steps and compares, buffer by buffer.

use bytemuck::{Pod, cast_slice};

use crate::engine::Status;
use crate::error::{Error, Limit, LimitError};
use crate::session::Session;
use crate::trace::{Effect, Replay, Row, Sink, SinkError, VecSink};

/// Rows kept to show what came before a difference.
const CONTEXT_ROWS: usize = 8;

/// A sink with a session of its own.
pub(super) struct Follower<'env> {
    pub(super) session: Session<'env>,
    /// How the session ended, once it has.
    pub(super) end: Option<Result<Status, Error>>,
    /// The first difference.
    pub(super) found: Option<Found>,
    /// Rows that agree.
    pub(super) rows: u64,
    /// Effects that agree.
    pub(super) effects: u64,
    /// What the session did for the current buffer, reused.
    own: VecSink,
    /// The last rows that agree.
    last: Vec<Row>,
}

/// What is known of a difference by those who saw it: of each side, the row and the effects of that step.
pub(super) struct Found {
    pub(super) step: u64,
    pub(super) what: Vec<String>,
    pub(super) before: [u32; 32],
    pub(super) context: Vec<Row>,
    pub(super) jit: (Option<Row>, Vec<Effect>),
    pub(super) interpreter: (Option<Row>, Vec<Effect>),
}

impl<'env> Follower<'env> {
    pub(super) fn new(session: Session<'env>) -> Follower<'env> {
        Follower { session, end: None, found: None, rows: 0, effects: 0, own: VecSink::default(), last: Vec::new() }
    }

    /// Runs the session until `steps` steps are done or it ends; what it does is in `own`.
    fn run_to(&mut self, steps: u64) {
        self.own.rows.clear();
        self.own.effects.clear();
        if self.end.is_none() {
            let result = self.session.run_to(steps, &mut self.own);
            self.end = Some(result).filter(|result| !matches!(result, Ok(Status::Paused)));
        }
    }

    /// The JIT ended like this after `steps` steps, which all agree: does the interpreter end so too?
    pub(super) fn end_like(&mut self, end: &Result<Status, Error>, steps: u64) {
        // Where the limit on time strikes is no property of the program.
        if let Err(Error::Limit(LimitError { limit: Limit::Time(_), .. })) = end {
            return;
        }
        let before = self.session.registers();
        self.run_to(steps.saturating_add(1));
        let alike = match (end, &self.end) {
            (Ok(status), Some(Ok(own))) => status == own && self.session.steps() == steps,
            (Err(error), Some(Err(own))) => {
                let facts = |error: &Error| (error.kind(), error.place(), error.to_string());
                facts(error) == facts(own)
            }
            _ => false,
        };
        if !alike {
            self.found = Some(Found {
                step: steps,
                what: vec!["end".to_owned()],
                before,
                context: self.last.clone(),
                jit: (None, Vec::new()),
                interpreter: (self.own.rows.first().copied(), self.own.effects.clone()),
            });
        }
    }

    /// All rows agree and so do the ends: takes note of what else differs, if anything.
    pub(super) fn leave_behind(&mut self, what: Vec<String>) {
        if !what.is_empty() {
            self.found = Some(Found {
                step: self.rows,
                what,
                before: self.session.registers(),
                context: self.last.clone(),
                jit: (None, Vec::new()),
                interpreter: (None, Vec::new()),
            });
        }
    }

    /// The difference in a buffer; `state` is that before its first step.
    fn find(&self, first_step: u64, rows: &[Row], effects: &[Effect], mut state: Replay) -> Option<Found> {
        let row = first_difference(rows, &self.own.rows).map(|index| first_step + index as u64);
        let effect = first_difference(effects, &self.own.effects).and_then(|index| {
            let sides = [effects.get(index), self.own.effects.get(index)];
            sides.into_iter().flatten().map(|effect| effect.step).min()
        });
        let step = row.into_iter().chain(effect).min()?;
        let index = (step.saturating_sub(first_step) as usize).min(rows.len());

        let agreed = &rows[..index];
        // The state is not judged here: where a row contradicts it, both engines' rows do.
        let _ = state.rows(first_step, agreed, effects);
        let mut context = self.last.clone();
        context.extend_from_slice(&agreed[index.saturating_sub(CONTEXT_ROWS)..]);
        context.drain(..context.len().saturating_sub(CONTEXT_ROWS));

        let of_step = |rows: &[Row], effects: &[Effect]| {
            let own = effects.iter().filter(|effect| effect.step == step).copied().collect();
            (rows.get(index).copied(), own)
        };
        let jit: (Option<Row>, Vec<Effect>) = of_step(rows, effects);
        let interpreter: (Option<Row>, Vec<Effect>) = of_step(&self.own.rows, &self.own.effects);
        let mut what = match (&jit.0, &interpreter.0) {
            (Some(row), Some(own)) => columns(row, own),
            (None, None) => Vec::new(),
            _ => vec!["row".to_owned()],
        };
        if jit.1 != interpreter.1 {
            what.push("effects".to_owned());
        }
        Some(Found { step, what, before: state.registers(), context, jit, interpreter })
    }
}

impl Sink for Follower<'_> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        let state = Replay::new(&self.session, u64::MAX);
        self.run_to(first_step.saturating_add(rows.len() as u64));
        self.found = self.find(first_step, rows, effects, state);
        if let Some(found) = &self.found {
            self.rows += found.step.saturating_sub(first_step);
            self.effects += effects.iter().take_while(|effect| effect.step < found.step).count() as u64;
            return Err("the engines differ".into());
        }
        self.rows += rows.len() as u64;
        self.effects += effects.len() as u64;
        self.last.extend_from_slice(&rows[rows.len().saturating_sub(CONTEXT_ROWS)..]);
        self.last.drain(..self.last.len().saturating_sub(CONTEXT_ROWS));
        Ok(())
    }
}

/// Index of the first element that differs or that one side lacks.
fn first_difference<T: Pod + PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    // Equal lists are the rule, and bytes compare faster than fields.
    if cast_slice::<T, u8>(a) == cast_slice::<T, u8>(b) {
        return None;
    }
    let common = a.iter().zip(b).position(|(a, b)| a != b);
    Some(common.unwrap_or(a.len().min(b.len())))
}

/// Names of the columns that differ.
fn columns(a: &Row, b: &Row) -> Vec<String> {
    let names = ["pc", "insn", "rs1", "rs2", "rd", "addr", "mem_before", "mem_after"];
    let [a, b]: [[u32; 8]; 2] = [bytemuck::cast(*a), bytemuck::cast(*b)];
    let differing = names.into_iter().zip(a.iter().zip(b)).filter(|(_, (a, b))| **a != *b);
    differing.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::program::Program;
    use crate::session::{Engine, Executor};
    use crate::trace::NullSink;

    fn fib() -> Executor {
        let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf")).unwrap();
        Executor::builder().engine(Engine::Interpreter).build(&Program::from_elf(&elf).unwrap()).unwrap()
    }

    /// Passes rows on with one change, as an engine with a fault would.
    struct Fault<'a, 'env> {
        step: u64,
        change: fn(&mut Row),
        to: &'a mut Follower<'env>,
    }

    impl Sink for Fault<'_, '_> {
        fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
            let mut rows = rows.to_vec();
            if let Some(row) = self.step.checked_sub(first_step).and_then(|index| rows.get_mut(index as usize)) {
                (self.change)(row);
            }
            self.to.rows(first_step, &rows, effects)
        }
    }

    #[test]
    fn a_fault_is_found_where_it_is() {
        let executor = fib();
        let env = || Env::new().args(["fib", "16"]);
        let mut all = VecSink::default();
        let steps = executor.run(env(), &mut all).unwrap().steps();
        for step in [0, 1, 8, 8191, 8192, 8193, 8199, steps - 1] {
            let mut follower = Follower::new(executor.start(env()).unwrap());
            let change: fn(&mut Row) = |row| row.rd ^= 0x8000_0000;
            let fault = &mut Fault { step, change, to: &mut follower };
            let error = executor.start(env()).unwrap().run(fault).unwrap_err();
            assert_eq!(error.kind(), "sink");
            let found = follower.found.unwrap();
            assert_eq!((found.step, follower.rows), (step, step));
            assert_eq!(found.what, ["rd"]);
            assert_eq!(found.interpreter.0, Some(all.rows[step as usize]));
            assert_eq!(found.jit.0.map(|row| row.rd ^ 0x8000_0000), Some(all.rows[step as usize].rd));
            let from = step.saturating_sub(CONTEXT_ROWS as u64) as usize;
            assert_eq!(found.context, all.rows[from..step as usize]);

            let mut session = executor.start(env()).unwrap();
            session.run_to(step, &mut NullSink::off()).unwrap();
            assert_eq!(found.before, session.registers(), "step {step}");
        }
    }

    #[test]
    fn rows_beyond_the_end_and_other_ends_are_differences() {
        let executor = fib();
        let env = || Env::new().args(["fib", "3"]);
        let mut all = VecSink::default();
        let steps = executor.run(env(), &mut all).unwrap().steps();

        let mut follower = Follower::new(executor.start(env()).unwrap());
        let more: Vec<Row> = all.rows.iter().chain(all.rows.last()).copied().collect();
        assert!(follower.rows(0, &more, &all.effects).is_err());
        let found = follower.found.unwrap();
        assert_eq!((found.step, found.what), (steps, vec!["row".to_owned()]));
        assert!(found.jit.0.is_some() && found.interpreter.0.is_none());

        let mut follower = Follower::new(executor.start(env()).unwrap());
        let fewer = &all.rows[..all.rows.len() - 1];
        let effects: Vec<Effect> = all.effects.iter().filter(|effect| effect.step < steps - 1).copied().collect();
        follower.rows(0, fewer, &effects).unwrap();
        follower.end_like(&Ok(Status::Exited { code: 0 }), steps - 1);
        let found = follower.found.unwrap();
        assert_eq!((found.step, found.what), (steps - 1, vec!["end".to_owned()]));
        assert!(found.interpreter.0.is_some());

        let mut follower = Follower::new(executor.start(env()).unwrap());
        assert!(follower.rows(0, &all.rows, &all.effects[1..]).is_err());
        let found = follower.found.unwrap();
        assert_eq!((found.step, found.what), (all.effects[0].step, vec!["effects".to_owned()]));
    }
}
