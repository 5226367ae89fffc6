//! Measures an execution as its host sees it. It must not know who executes.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use risc0_zkvm::{ExecutorEnv, TraceCallback, TraceEvent, default_executor};

use crate::guests::binary;

struct Counted(Rc<Cell<u64>>);

impl TraceCallback for Counted {
    fn trace_callback(&mut self, _: TraceEvent) -> Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}

/// Executes a guest with words of input, and prints seconds, cycles and events: `measure [events] GUEST WORD..`.
pub fn measure(arguments: &[String]) {
    let (wants_events, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "events" => (true, rest),
        _ => (false, arguments),
    };
    let (guest, words) = arguments.split_first().expect("a guest is named");
    let words: Vec<u32> = words.iter().map(|word| word.parse().expect("a word of input")).collect();
    let (program, events) = (binary(guest), Rc::new(Cell::new(0)));
    let mut builder = ExecutorEnv::builder();
    match guest.as_str() {
        "hello" => builder.write(&"world").expect("it is a value").write(&41u32).expect("it is a value"),
        _ => builder.write_slice(&words),
    };
    builder.stdout(io::sink()).stderr(io::sink());
    if wants_events {
        builder.trace_callback(Counted(Rc::clone(&events)));
    }
    let env = builder.build().expect("the environment is valid");
    let begin = Instant::now();
    let session = default_executor().execute(env, &program).expect("the guest ends well");
    println!("{:.6} {} {}", begin.elapsed().as_secs_f64(), session.cycles(), events.get());
}
