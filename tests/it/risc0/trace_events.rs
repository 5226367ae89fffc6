//! Tests the trace callback of machine `r0vm`: it gets the same events as the sink that derives them from rows, in
//! every engine, whatever else the session does.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tachy::risc0::host::HostEnv;
use tachy::risc0::{TraceEvent, TraceEvents};
use tachy::trace::{CountingSink, VecSink};
use tachy::{Engine, Env, Error, Executor, JitOptions, Limits, MachineKind, NullSink, Program, Session, Sink};

fn program(name: &str) -> Program {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/r0vm/bin").join(name).with_extension("bin");
    Program::from_risc0(&fs::read(path).unwrap()).unwrap()
}

fn executor(name: &str, engine: Engine) -> Executor {
    let builder = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(JitOptions::eager());
    builder.build(&program(name)).unwrap()
}

fn env(words: &[u32]) -> Env<'static> {
    Env::new().host(HostEnv::builder().random_seed([0; 32]).write_slice(words).segment_limit_po2(14).build().unwrap())
}

/// Events, kept in order.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<TraceEvent>>>);

impl Kept {
    fn callback(&self) -> impl FnMut(&TraceEvent) -> Result<(), tachy::trace::SinkError> + Send + 'static {
        let kept = self.0.clone();
        move |event| {
            kept.lock().unwrap().push(*event);
            Ok(())
        }
    }

    fn take(&self) -> Vec<TraceEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Runs part after part, each with a sink of its own.
fn parts<S: Sink>(session: &mut Session<'_>, mut sink: impl FnMut() -> S, mut after: impl FnMut(S)) {
    loop {
        let mut own = sink();
        session.run(&mut own).unwrap();
        after(own);
        if session.resume().is_err() {
            return;
        }
    }
}

#[test]
fn a_callback_gets_what_the_sink_makes_part_by_part() {
    for (name, words) in [("pause", vec![2, 10, 20, 30]), ("recursion", vec![2, 3, 50]), ("smc", vec![40])] {
        let expected = {
            let (kept, mut all) = (Kept::default(), Vec::new());
            let mut session = executor(name, Engine::Interpreter).start(env(&words)).unwrap();
            parts(&mut session, || TraceEvents::new(kept.callback()), |_| all.push(kept.take()));
            all
        };
        assert!(expected.len() == if name == "pause" { 3 } else { 1 });
        for part in &expected {
            assert!(matches!(
                part.iter().find(|event| matches!(event, TraceEvent::InstructionStart { .. })),
                Some(TraceEvent::InstructionStart { cycle: 0, .. })
            ));
        }
        for engine in [Engine::Interpreter, Engine::Jit, Engine::Crosscheck] {
            let (kept, mut all) = (Kept::default(), Vec::new());
            let mut session = executor(name, engine).start(env(&words).trace_callback(kept.callback())).unwrap();
            parts(&mut session, NullSink::off, |_| all.push(kept.take()));
            assert!(all == expected, "{name}, {engine:?}");
        }
    }
}

/// Page events account for all paging except what segments begin with, and every row is a started instruction: also for
/// instructions that trap, call the machine, or have their registers in memory.
#[test]
fn events_account_for_paging_and_for_every_row() {
    let guests: [(&str, &[u32], u32); 6] = [
        ("kernel_modes", &[], 20),
        ("kernel_modes", &[], 13),
        ("kernel_registers", &[], 13),
        ("accelerators", &[1], 16),
        ("smc", &[10], 14),
        ("recursion", &[2, 3, 50], 14),
    ];
    for (name, words, po2) in guests {
        let (kept, mut rows) = (Kept::default(), VecSink::default());
        let host = HostEnv::builder().random_seed([0; 32]).write_slice(words).segment_limit_po2(po2).build().unwrap();
        let session =
            executor(name, Engine::Jit).trace(Env::new().host(host).trace_callback(kept.callback()), &mut rows);
        let report = session.unwrap().into_report().unwrap();
        let (mut paging, mut starts) = (0, Vec::new());
        for event in kept.take() {
            match event {
                TraceEvent::PageIn { cycles } | TraceEvent::PageOut { cycles } => {
                    assert!(cycles == 322 || cycles == 13, "{name}: a page or a node takes {cycles} cycles");
                    paging += cycles;
                }
                TraceEvent::InstructionStart { cycle, pc, insn } => starts.push((cycle, pc, insn)),
                _ => {}
            }
        }
        assert_eq!(paging + 10 * report.segments, report.paging_cycles, "{name}, po2 {po2}");
        assert!(starts.is_sorted_by_key(|start| start.0), "{name}: a cycle before the one before");
        // Instructions that trapped have started, too, but have no row.
        let mut started = starts.iter();
        for (step, row) in rows.rows.iter().enumerate() {
            let found = started.any(|&(_, pc, insn)| (pc, insn) == (row.pc, row.insn));
            assert!(found, "{name}, po2 {po2}: step {step} at {:#x} did not start", row.pc);
        }
        let traps = if name == "kernel_modes" { 1..20 } else { 0..1 };
        assert!(traps.contains(&(starts.len() - rows.rows.len())), "{name}: {} starts", starts.len());
    }
}

#[test]
fn stops_and_other_sinks_change_no_event() {
    let kept = Kept::default();
    let run = |stops: u64, sink: &mut dyn Sink| {
        let executor = executor("recursion", Engine::Jit);
        let mut session = executor.start(env(&[2, 6, 500]).trace_callback(kept.callback())).unwrap();
        while session.exit_code().is_none() {
            *session.limits_mut() = Limits::none().steps(session.steps() + stops);
            match session.run(sink) {
                Ok(_) | Err(Error::Limit(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        (kept.take(), session.steps())
    };
    let (whole, steps) = run(1 << 40, &mut NullSink::off());
    let mut counts = CountingSink::default();
    let (in_pieces, _) = run(777, &mut counts);
    assert!(steps > 7770 && whole.len() as u64 > steps && in_pieces == whole);
    assert_eq!(counts.rows, steps);
}

#[test]
fn an_error_of_the_callback_ends_the_run() {
    let mut left = 1000;
    let env = env(&[2, 3, 50]).trace_callback(|_: &TraceEvent| {
        left -= 1;
        if left == 0 { Err("enough".into()) } else { Ok(()) }
    });
    let mut session = executor("recursion", Engine::Jit).start(env).unwrap();
    let error = session.run(&mut NullSink::off()).unwrap_err();
    assert!(matches!(&error, Error::Event { source, .. } if source.to_string() == "enough"), "{error}");
    drop(session);
    assert!(left <= 0);
}

/// Every callback gets every event. One that refuses an event gets it again; the others do not.
#[test]
fn callbacks_add_up() {
    let (alone, first, second) = (Kept::default(), Kept::default(), Kept::default());
    let executor = executor("recursion", Engine::Jit);
    executor.run(env(&[2, 3, 50]).trace_callback(alone.callback())).unwrap();
    let mut calls = 0;
    let mut taken = second.callback();
    let moody = move |event: &TraceEvent| {
        calls += 1;
        if calls % 1000 == 7 { Err("not now".into()) } else { taken(event) }
    };
    let both = env(&[2, 3, 50]).trace_callback(first.callback()).trace_callback(moody);
    let (mut session, mut refused) = (executor.start(both).unwrap(), 0);
    loop {
        match session.run(&mut NullSink::off()) {
            Ok(_) => break,
            Err(Error::Event { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    drop(session);
    let alone = alone.take();
    assert!(refused > 1 && alone.len() > 2000, "{refused}, {}", alone.len());
    assert!(first.take() == alone && second.take() == alone);
}
