//! The smallest guest that uses RISC Zero's guest library: reads values, commits values, and prints a line to standard
//! output.
//!
//! Input: a `String` and a `u32`, as `env::read` takes them.

use risc0_zkvm::guest::env;

fn main() {
    let name: String = env::read();
    let count: u32 = env::read();
    println!("greeting {name}");
    eprintln!("{count} so far");
    env::log("hello");
    env::commit_slice(format!("hello, {name}!").as_bytes());
    env::commit(&(count + 1));
}
