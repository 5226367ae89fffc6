//! Backoff: when a session stops looking for native code. Where native code does next to nothing and no further
//! compilation is paid for, counting block entries only costs time. Pure.
//!
//! Such a session rests for a stretch of steps, then looks again for one stretch. If nothing has changed, it rests
//! twice as long. Looking costs up to a sixth of the interpreter's speed, so it is done for a small part of the steps.

/// Steps of one look, and of the first rest.
const STRETCH_STEPS: u64 = 1 << 20;
/// Maximum number of doublings of a rest.
const REST_LOG_MAX: u32 = 3;
/// The share of steps that native code has to do for the session to stay awake: one in this many.
const NATIVE_PART: u64 = 16;

/// A session's rests.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// The rest ends before this step; 0 if there is no rest.
    rest_until: u64,
    rest_log: u32,
    /// All steps and native steps when the current look began.
    began: [u64; 2],
}

impl Backoff {
    /// Returns whether the session rests before step `step`.
    #[inline]
    pub(crate) fn is_rest(&self, step: u64) -> bool {
        step < self.rest_until
    }

    /// Evaluates a session that stands before step `step` and has done `native_steps` natively. A session with credit
    /// for compilation does not rest.
    #[inline]
    pub(crate) fn look(&mut self, step: u64, native_steps: u64, has_credit: impl FnOnce() -> bool) {
        if self.rest_until > 0 {
            // The rest is over, maybe for some time: the interpreter gets here only at the end of a slice.
            (self.rest_until, self.began) = (0, [step, native_steps]);
            return;
        }
        let [steps, natively] = [step - self.began[0], native_steps - self.began[1]];
        if steps >= STRETCH_STEPS {
            self.began = [step, native_steps];
            if natively < steps / NATIVE_PART && !has_credit() {
                self.rest_until = step + (STRETCH_STEPS << self.rest_log);
                self.rest_log = (self.rest_log + 1).min(REST_LOG_MAX);
            } else {
                self.rest_log = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs to step `until`, with `native_part` of 64 steps native while it looks. Returns how many of 64 steps it
    /// rests.
    fn rests(backoff: &mut Backoff, from: u64, until: u64, native_part: u64, has_credit: bool) -> u64 {
        let (mut native, mut rested) = (0, 0);
        for step in (from..until).step_by(1 << 10) {
            if backoff.is_rest(step) {
                rested += 1 << 10;
            } else {
                native += (1 << 10) * native_part / 64;
                backoff.look(step, native, || has_credit);
            }
        }
        rested * 64 / (until - from)
    }

    /// A session may notice the end of a rest late, by up to a slice: the next look is as long as any other.
    #[test]
    fn a_session_looks_after_each_rest() {
        let (mut backoff, mut looked, mut step) = (Backoff::default(), 0, 0);
        while step < 1 << 30 {
            if backoff.is_rest(step) {
                step += STRETCH_STEPS - 4;
                continue;
            }
            backoff.look(step, 0, || false);
            let is_awake = !backoff.is_rest(step);
            looked += if is_awake { 1 << 10 } else { 0 };
            step += if is_awake { 1 << 10 } else { 0 };
        }
        assert!((6..16).contains(&(looked * 100 / step)), "{looked} of {step}");
    }

    #[test]
    fn a_session_rests_where_native_code_does_nothing() {
        assert!((52..60).contains(&rests(&mut Backoff::default(), 0, 1 << 30, 0, false)));
        assert!((52..60).contains(&rests(&mut Backoff::default(), 0, 1 << 30, 3, false)));
        assert_eq!(rests(&mut Backoff::default(), 0, 1 << 30, 5, false), 0);
        assert_eq!(rests(&mut Backoff::default(), 0, 1 << 30, 0, true), 0);
        assert_eq!(rests(&mut Backoff::default(), 0, STRETCH_STEPS, 0, false), 0);
    }
}
