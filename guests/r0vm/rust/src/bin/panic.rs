//! A Rust panic, after something was committed: the run ends as an error and there is no journal.
//!
//! Input: u32, what to divide by.

use risc0_zkvm::guest::env;

fn main() {
    let divisor: u32 = env::read();
    env::commit(&divisor);
    env::commit(&(1000 / divisor));
}
