//! Parses, changes and writes JSON.
//!
//! Input: to its end, an array of objects that have a string `name` and a number `amount`. Journal: an object with
//! their count, the sum, and the names in order, as JSON.

use std::io::Read;

use risc0_zkvm::guest::env;
use serde_json::{Value, json};

fn main() {
    let mut text = String::new();
    env::stdin().read_to_string(&mut text).expect("standard input is text");
    let input: Vec<Value> = serde_json::from_str(&text).expect("an array in JSON");
    let amount = |entry: &Value| entry["amount"].as_f64().expect("each entry has a number as its amount");
    let sum: f64 = input.iter().map(amount).sum();
    let mut names: Vec<&str> = input.iter().map(|entry| entry["name"].as_str().unwrap_or("nobody")).collect();
    names.sort_unstable();
    names.dedup();
    env::commit_slice(json!({ "count": input.len(), "sum": sum, "names": names }).to_string().as_bytes());
}
