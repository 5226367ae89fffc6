//! Makes a program that fails smaller, as long as it still fails.

use super::{NOP, RandomProgram};

impl RandomProgram {
    /// Puts nops in place of instructions, larger runs first, then turns counts and limits down, as long as `fails` still
    /// holds; gives up after `tries`.
    pub fn shrink(&mut self, mut tries: usize, mut fails: impl FnMut(&RandomProgram) -> bool) {
        self.shrink_code(&mut tries, &mut fails);
        self.shrink_numbers(&mut tries, &mut fails);
        // What could not go before may go now that the numbers are smaller.
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
            // What could not go before may go now that others went.
            run = match run {
                1 if changed => {
                    changed = false;
                    1
                }
                run => run / 2,
            };
        }
    }

    /// Halves the step limit and what stands in the table of constants, which are the loops' counts among others.
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
            // Addresses of code are no counts.
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

    /// Drops the nops at the end of the code, all but one.
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
