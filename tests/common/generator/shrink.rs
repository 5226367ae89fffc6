//! Shrinks a failing program while it still fails.

use super::{NOP, RandomProgram};

impl RandomProgram {
    /// Replaces instructions with nops, larger runs first, then reduces counts and limits, while `fails` still holds.
    /// Gives up after `tries`.
    pub fn shrink(&mut self, mut tries: usize, mut fails: impl FnMut(&RandomProgram) -> bool) {
        self.shrink_code(&mut tries, &mut fails);
        self.shrink_numbers(&mut tries, &mut fails);
        // Smaller numbers may allow more removals.
        self.shrink_code(&mut tries, &mut fails);
        self.drop_end(&mut fails);
    }

    fn shrink_code(&mut self, tries: &mut usize, fails: &mut impl FnMut(&RandomProgram) -> bool) {
        let mut run = self.code.len().next_power_of_two();
        let mut changed = false;
        while run >= 1 && *tries > 0 {
            for start in (0..self.code.len()).step_by(run) {
                let end = self.code.len().min(start + run);
                if *tries == 0 || self.code[start..end].iter().all(|&word| word == NOP) {
                    continue;
                }
                *tries -= 1;
                let kept = self.code[start..end].to_vec();
                self.code[start..end].fill(NOP);
                match fails(self) {
                    true => changed = true,
                    false => self.code[start..end].copy_from_slice(&kept),
                }
            }
            // Earlier removals may allow more.
            run = match run {
                1 if changed => {
                    changed = false;
                    1
                }
                run => run / 2,
            };
        }
    }

    /// Halves the step limit and the constants in the table, which include the loop counts.
    fn shrink_numbers(&mut self, tries: &mut usize, fails: &mut impl FnMut(&RandomProgram) -> bool) {
        while *tries > 0 && self.limit_steps > 1 {
            *tries -= 1;
            let kept = self.limit_steps;
            self.limit_steps = kept / 2;
            if !fails(self) {
                self.limit_steps = kept;
                break;
            }
        }
        for index in 0..self.constants.len() {
            // Addresses of code are not counts.
            while *tries > 0 && (3..0x1_0000).contains(&self.constants[index]) {
                *tries -= 1;
                let kept = self.constants[index];
                self.constants[index] = kept / 2;
                if !fails(self) {
                    self.constants[index] = kept;
                    break;
                }
            }
        }
    }

    /// Drops all but one of the nops at the end of the code.
    fn drop_end(&mut self, fails: &mut impl FnMut(&RandomProgram) -> bool) {
        let kept = self.code.clone();
        while self.code.ends_with(&[NOP, NOP]) {
            self.code.pop();
        }
        if !fails(self) {
            self.code = kept;
        }
    }
}
