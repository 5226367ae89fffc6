//! Compares two tables of rows and effects: where do they differ first, and in what?
//!
//! It compares and names columns. It must not know what an instruction does, or it would judge.

use bytemuck::{Pod, cast_slice};

use crate::trace::{Effect, Row};

/// The rows and effects of one engine, from some step on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion<'a> {
    pub(super) first_step: u64,
    pub(super) rows: &'a [Row],
    pub(super) effects: &'a [Effect],
}

impl<'a> Portion<'a> {
    /// Returns the part before `step`.
    #[expect(clippy::indexing_slicing, reason = "`places` gives places inside")]
    pub(super) fn until(self, step: u64) -> Portion<'a> {
        let (rows, effects) = self.places(step);
        Portion { rows: &self.rows[..rows], effects: &self.effects[..effects], ..self }
    }

    /// Returns the number of rows and the number of effects before `step`.
    fn places(&self, step: u64) -> (usize, usize) {
        let rows = step.saturating_sub(self.first_step).min(self.rows.len() as u64);
        (rows as usize, self.effects.iter().take_while(|effect| effect.step < step).count())
    }

    /// Returns the step after the last row.
    pub(super) fn end(&self) -> u64 {
        self.first_step.saturating_add(self.rows.len() as u64)
    }

    /// Returns what was done in one step.
    fn done(&self, step: u64) -> Done {
        let index = step.checked_sub(self.first_step).and_then(|index| usize::try_from(index).ok());
        let effects = self.effects.iter().filter(|effect| effect.step == step);
        Done { row: index.and_then(|index| self.rows.get(index)).copied(), effects: effects.copied().collect() }
    }
}

/// What one engine did in one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) row: Option<Row>,
    pub(super) effects: Vec<Effect>,
}

/// The first difference of two portions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) step: u64,
    pub(super) what: Vec<String>,
    pub(super) jit: Done,
    pub(super) interpreter: Done,
}

/// Returns the first difference between two portions that begin at the same step.
pub(super) fn compare(jit: Portion<'_>, interpreter: Portion<'_>) -> Option<Finding> {
    let row = first_difference(jit.rows, interpreter.rows).map(|index| jit.first_step + index as u64);
    let effect = first_difference(jit.effects, interpreter.effects).and_then(|index| {
        let sides = [jit.effects.get(index), interpreter.effects.get(index)];
        sides.into_iter().flatten().map(|effect| effect.step).min()
    });
    let step = row.into_iter().chain(effect).min()?;
    let (jit, interpreter) = (jit.done(step), interpreter.done(step));
    let mut what = match (&jit.row, &interpreter.row) {
        (Some(row), Some(own)) => columns(row, own),
        (None, None) => Vec::new(),
        _ => vec!["row".to_owned()],
    };
    if jit.effects != interpreter.effects {
        what.push("effects".to_owned());
    }
    Some(Finding { step, what, jit, interpreter })
}

/// Returns the index of the first element that differs or that one side lacks.
fn first_difference<T: Pod + PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    // The lists are usually equal, and bytes compare faster than fields.
    if cast_slice::<T, u8>(a) == cast_slice::<T, u8>(b) {
        return None;
    }
    let common = a.iter().zip(b).position(|(a, b)| a != b);
    Some(common.unwrap_or(a.len().min(b.len())))
}

/// Returns the names of the columns that differ.
fn columns(a: &Row, b: &Row) -> Vec<String> {
    let names = ["pc", "insn", "rs1", "rs2", "rd", "addr", "mem_before", "mem_after"];
    let [a, b]: [[u32; 8]; 2] = [bytemuck::cast(*a), bytemuck::cast(*b)];
    let differing = names.into_iter().zip(a.iter().zip(b)).filter(|(_, (a, b))| **a != *b);
    differing.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{EffectKind, Space};

    fn row(step: u32) -> Row {
        Row { pc: 4 * step, rd: step, ..Row::default() }
    }

    fn effect(step: u64) -> Effect {
        Effect::new(step, EffectKind::Read, Space::Register, 10, 1, 1)
    }

    /// Compares ten rows from step 5 on, with effects in steps 7 and 12, with the result of `change` on them.
    fn found(change: impl Fn(&mut Vec<Row>, &mut Vec<Effect>)) -> Option<(u64, String)> {
        let (rows, effects): (Vec<Row>, _) = ((5..15).map(row).collect(), vec![effect(7), effect(12)]);
        let (mut changed, mut changed_effects) = (rows.clone(), effects.clone());
        change(&mut changed, &mut changed_effects);
        let own = Portion { first_step: 5, rows: &rows, effects: &effects };
        let other = Portion { first_step: 5, rows: &changed, effects: &changed_effects };
        let (there, back) = (compare(own, other), compare(other, own));
        if let (Some(there), Some(back)) = (&there, &back) {
            assert_eq!((there.step, &there.what), (back.step, &back.what));
            assert_eq!((&there.jit, &there.interpreter), (&back.interpreter, &back.jit));
            assert_eq!(there.jit.row, rows.get(there.step as usize - 5).copied());
        }
        there.map(|finding| (finding.step, finding.what.join(" ")))
    }

    #[test]
    fn the_first_difference_is_found_in_rows_and_effects() {
        let at = |step, what: &str| Some((step, what.to_owned()));
        assert_eq!(found(|_, _| {}), None);
        assert_eq!(found(|rows, _| rows[0].pc = 0), at(5, "pc"));
        assert_eq!(found(|rows, _| rows[9].mem_after = 1), at(14, "mem_after"));
        assert_eq!(found(|rows, _| (rows[3].rs1, rows[3].rd, rows[8].pc) = (1, 9, 0)), at(8, "rs1 rd"));
        assert_eq!(found(|rows, _| rows.truncate(4)), at(9, "row"));
        assert_eq!(found(|rows, _| rows.push(row(15))), at(15, "row"));
        assert_eq!(found(|rows, _| rows.clear()), at(5, "row"));
        assert_eq!(found(|_, effects| effects[1].after = 2), at(12, "effects"));
        assert_eq!(found(|_, effects| effects.truncate(1)), at(12, "effects"));
        assert_eq!(found(|_, effects| effects.push(effect(15))), at(15, "effects"));
        assert_eq!(found(|rows, effects| (rows[2].rd, effects[0].addr) = (0, 11)), at(7, "rd effects"));
        assert_eq!(found(|rows, effects| (rows[1].rd, effects[0].addr) = (0, 11)), at(6, "rd"));
    }

    #[test]
    fn portions_are_cut_by_step() {
        let (rows, effects): (Vec<Row>, _) = ((5..15).map(row).collect(), vec![effect(7), effect(12)]);
        let all = Portion { first_step: 5, rows: &rows, effects: &effects };
        for step in 0..20 {
            let before = all.until(step);
            assert_eq!(before.rows, &rows[..(step.clamp(5, 15) - 5) as usize]);
            assert_eq!(before.effects, &effects[..effects.iter().filter(|effect| effect.step < step).count()]);
            assert_eq!((before.first_step, before.end()), (5, step.clamp(5, 15)));
        }
    }
}
