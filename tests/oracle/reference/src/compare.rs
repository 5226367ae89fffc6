//! All guests under the reference and under another machine. It must not know the other machine.

use crate::environment::Environment;
use crate::guests::{Case, binary, cases};
use crate::outcome::{Outcome, first_difference};
use crate::run::run_and_resume;

/// Runs each guest in both worlds, `other` with a program binary, its environment and how often to resume it, and says
/// of each case that differs how. None differs: an empty list.
pub fn compare_guests(other: impl Fn(&[u8], &Environment, usize) -> Vec<Outcome>) -> Vec<String> {
    cases().iter().filter_map(|case| compare_case(case, &other)).collect()
}

fn compare_case(case: &Case, other: impl Fn(&[u8], &Environment, usize) -> Vec<Outcome>) -> Option<String> {
    let binary = binary(case.guest);
    let left = run_and_resume(&binary, &case.environment, case.resumes);
    let right = other(&binary, &case.environment, case.resumes);
    let difference = compare_parts(&left, &right)?;
    let Case { guest, variant, .. } = case;
    Some(format!("{guest} {variant}: {difference}"))
}

/// The first part that differs, and how. `left` is the reference.
pub fn compare_parts(left: &[Outcome], right: &[Outcome]) -> Option<String> {
    let pairs = left.iter().zip(right).enumerate();
    let difference = pairs.into_iter().find_map(|(part, (left, right))| {
        first_difference(left, right).map(|difference| format!("part {part}, {difference}"))
    });
    let (left, right) = (left.len(), right.len());
    difference.or_else(|| (left != right).then(|| format!("{left} parts against {right}")))
}
