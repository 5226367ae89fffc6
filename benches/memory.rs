//! Measures the cost of memory accesses in native code, on both machines: loads and stores of each width over working
//! sets that fit in the host's caches and that do not, accesses that change page each time, and the first touch of
//! pages.
//!
//! On R0VM each segment pays for its pages again, so a sweep over 64 MiB always consists of first touches.

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "this benchmark uses a part of it")]
mod common;

use std::time::{Duration, Instant};

use common::assembler::Assembler;
use criterion::{Criterion, Throughput};
use tachy::isa::{Class, Op};
use tachy::program::{Permissions, Segment};
use tachy::{Env, Executor, JitOptions, MachineKind, NullSink, Program, Session};

const CODE: u32 = 0x2_0000;
const DATA: u32 = 0x1000_0000;
const PAGE_BYTES: u32 = 1024;

const MACHINES: [MachineKind; 2] = [MachineKind::Bare, MachineKind::R0vm];
const SETS: [(&str, u32); 3] = [("4 KiB", 4 << 10), ("256 KiB", 256 << 10), ("64 MiB", 64 << 20)];
const ACCESSES: [Op; 8] = [Op::Lb, Op::Lbu, Op::Lh, Op::Lhu, Op::Lw, Op::Sb, Op::Sh, Op::Sw];

/// Accesses per loop iteration; the loop itself adds three instructions.
const UNROLLED: u32 = 16;
/// Accesses per unit of measurement.
const ACCESSES_MEASURED: u64 = 1 << 16;
const STEPS_MEASURED: u64 = ACCESSES_MEASURED * (UNROLLED as u64 + 3) / UNROLLED as u64;
/// Pages that a program touches for the first time.
const PAGES_TOUCHED: u32 = 4096;

/// Registers: the address of an access, the address one page further, the end of the data, and the value loaded or
/// stored.
const HERE: u8 = 5;
const THERE: u8 = 6;
const END: u8 = 7;
const VALUE: u8 = 8;

fn access(asm: &mut Assembler, op: Op, address: u8, offset: i32) {
    match op.line().class {
        Class::Store => asm.store(op, VALUE, offset, address),
        _ => asm.i(op, VALUE, address, offset),
    }
}

fn program(asm: Assembler, data_bytes: u32) -> Program {
    let code = Segment::from_words(CODE, &asm.finish().words, Permissions::RX);
    let data = Segment { memory_bytes: data_bytes, ..Segment::new(DATA, Vec::new(), Permissions::RW) };
    Program::from_segments(CODE, vec![code, data]).expect("the program is sound")
}

/// Builds an endless sweep over `bytes` of memory: word after word, or alternating between two pages.
fn sweep(op: Op, bytes: u32, crossing: bool) -> Program {
    let mut asm = Assembler::new(CODE);
    let again = asm.label_here();
    asm.li(HERE, DATA);
    asm.li(THERE, DATA + PAGE_BYTES);
    asm.li(END, DATA + bytes);
    let top = asm.label_here();
    for location in 0..UNROLLED {
        let address = if crossing && location % 2 == 1 { THERE } else { HERE };
        access(&mut asm, op, address, 4 * location as i32);
    }
    asm.i(Op::Addi, HERE, HERE, 4 * UNROLLED as i32);
    asm.i(Op::Addi, THERE, THERE, 4 * UNROLLED as i32);
    asm.branch(Op::Bltu, HERE, END, top);
    asm.jal(0, again);
    program(asm, bytes + PAGE_BYTES)
}

/// Builds a program that accesses each page once and then ends, on either machine.
fn touch(op: Op) -> Program {
    let mut asm = Assembler::new(CODE);
    asm.li(HERE, DATA);
    asm.li(END, DATA + PAGES_TOUCHED * PAGE_BYTES);
    let top = asm.label_here();
    access(&mut asm, op, HERE, 0);
    asm.i(Op::Addi, HERE, HERE, PAGE_BYTES as i32);
    asm.branch(Op::Bltu, HERE, END, top);
    // An illegal instruction ends the program on both machines; how it ends does not matter here.
    asm.word(0);
    program(asm, PAGES_TOUCHED * PAGE_BYTES)
}

fn start(machine: MachineKind, program: &Program) -> Session<'static> {
    let builder = Executor::builder().machine(machine).jit(JitOptions::eager());
    builder.build(program).and_then(|executor| executor.start(Env::new())).expect("it starts")
}

/// Measures how long a warm session takes for `times` units of accesses.
fn advance(session: &mut Session<'_>, times: u64) -> Duration {
    let until = session.steps() + times * STEPS_MEASURED;
    let start = Instant::now();
    session.run_to(until, &mut NullSink::off()).expect("it goes on for ever");
    start.elapsed()
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for machine in MACHINES {
        for (set, bytes) in SETS {
            let mut group = criterion.benchmark_group(format!("memory/{machine}/{set}"));
            group.throughput(Throughput::Elements(ACCESSES_MEASURED));
            for (op, crossing) in ACCESSES.map(|op| (op, false)).into_iter().chain([(Op::Lw, true), (Op::Sw, true)]) {
                let name = format!("{}{}", op.line().mnemonic, if crossing { ", two pages by turns" } else { "" });
                group.bench_function(name, |bencher| {
                    let mut session = start(machine, &sweep(op, bytes, crossing));
                    bencher.iter_custom(|times| advance(&mut session, times));
                });
            }
            group.finish();
        }
        let mut group = criterion.benchmark_group(format!("memory/{machine}/first touch of a page"));
        group.throughput(Throughput::Elements(PAGES_TOUCHED as u64));
        for op in [Op::Lw, Op::Sw] {
            let program = touch(op);
            group.bench_function(op.line().mnemonic, |bencher| {
                bencher.iter_custom(|times| {
                    let one = |_| {
                        let mut session = start(machine, &program);
                        let start = Instant::now();
                        session.run(&mut NullSink::off()).expect_err("it ends in a trap");
                        start.elapsed()
                    };
                    (0..times).map(one).sum()
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
