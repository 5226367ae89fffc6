//! Tests what is taken from a whole file with the right key: only regions of the program's own words, where sessions share
//! code.

use std::fs::Permissions as Mode;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::decode::{Instruction, encode};
use crate::isa::Op;
use crate::jit::JitOptions;
use crate::jit::code::stored::StoredRegion;
use crate::program::{Permissions, Program, Segment};
use crate::rules::Rules;
use crate::{Env, Executor, NullSink, Stats, Status};

const CODE: u32 = 0x1_0000;
/// The loops lie in different pages.
const SECOND: u32 = CODE + 0x400;
const ROUNDS: u32 = 1000;

fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: u32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm })
}

/// Two loops that add these numbers to the exit code, [`ROUNDS`] times each.
fn program(first: u32, second: u32) -> Program {
    let a_loop = |addend, next: &[u32]| {
        let rounds = insn(Op::Addi, 6, 0, 0, ROUNDS);
        let (add, count) = (insn(Op::Addi, 10, 10, 0, addend), insn(Op::Addi, 6, 6, 0, u32::MAX));
        [&[rounds, add, count, insn(Op::Bne, 0, 6, 0, -8_i32 as u32)], next].concat()
    };
    let mut words = a_loop(first, &[insn(Op::Jal, 0, 0, 0, SECOND - CODE - 16)]);
    words.resize((SECOND - CODE) as usize / 4, 0);
    words.extend(a_loop(second, &[insn(Op::Addi, 17, 0, 0, 93), insn(Op::Ecall, 0, 0, 0, 0)]));
    Program::from_segments(CODE, vec![Segment::from_words(CODE, &words, Permissions::RX)]).unwrap()
}

fn options() -> JitOptions {
    let mut options = JitOptions::eager();
    options.threshold = 20;
    options
}

struct Folder {
    cache: DiskCache,
    _folder: TempDir,
}

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Mode::from_mode(0o700)).unwrap();
        Folder { cache: DiskCache::new(folder.path()), _folder: folder }
    }

    fn run(&self, program: &Program) -> (Status, Stats) {
        let builder = Executor::builder().jit(options()).disk_cache(self.cache.clone());
        let mut session = builder.build(program).unwrap().start(Env::new()).unwrap();
        let status = session.run(&mut NullSink::off()).unwrap();
        (status, session.stats())
    }

    fn key(&self, program: &Program) -> Key {
        let caches = Caches::new(&options(), std::slice::from_ref(&Rules::STANDARD), program);
        let caches = caches.on_disk(&self.cache, "bare".to_owned());
        caches.key(caches.disk.as_ref().unwrap(), Level::Off).unwrap()
    }

    fn read(&self, program: &Program) -> StoredCode {
        let content = self.cache.read(&self.key(program), 1 << 20).expect("it was written");
        StoredCode::from_bytes(content.bytes()).unwrap()
    }

    fn write(&self, program: &Program, code: &StoredCode) {
        self.cache.write(&self.key(program), &code.to_bytes());
        assert!(self.cache.problems().is_empty());
    }
}

fn exits(first: u32, second: u32) -> Status {
    Status::Exited { code: ROUNDS * (first + second) }
}

#[test]
fn regions_of_other_words_are_left_out() {
    let folder = Folder::new();
    let (old, new) = (program(1, 2), program(1, 3));
    let (status, stats) = folder.run(&old);
    assert_eq!((status, stats.regions, stats.regions_loaded), (exits(1, 2), 2, 0), "{stats:?}");
    // Nothing but the words tells that this is another program's code.
    let code = folder.read(&old);
    folder.write(&new, &code);
    let (status, stats) = folder.run(&new);
    assert_eq!(status, exits(1, 3));
    assert_eq!((stats.regions, stats.regions_loaded), (1, 1), "one has the word: {stats:?}");
    let (status, stats) = folder.run(&new);
    assert_eq!((status, stats.regions, stats.regions_loaded), (exits(1, 3), 0, 2), "{stats:?}");
}

#[test]
fn regions_outside_shared_code_are_left_out() {
    let folder = Folder::new();
    let program = program(1, 2);
    folder.run(&program);
    let good = folder.read(&program);
    let elsewhere = |region: &mut StoredRegion| region.words[0].0 += 0x10_0000;
    for index in 0..good.modes[0].regions.len() {
        let mut code = good.clone();
        elsewhere(&mut code.modes[0].regions[index]);
        folder.write(&program, &code);
        let (status, stats) = folder.run(&program);
        assert_eq!((status, stats.regions_loaded), (exits(1, 2), 1), "{stats:?}");
    }
}

#[test]
fn content_that_is_malformed_is_told_and_not_used() {
    let folder = Folder::new();
    let program = program(1, 2);
    folder.run(&program);
    let good = folder.read(&program).to_bytes();
    let no_modes = StoredCode { modes: Vec::new(), profile: Vec::new() }.to_bytes();
    for content in [&good[..good.len() - 1], &no_modes, b""] {
        folder.cache.write(&folder.key(&program), content);
        let (status, stats) = folder.run(&program);
        assert_eq!((status, stats.regions_loaded), (exits(1, 2), 0));
        assert_eq!(folder.cache.problems().len(), 1);
        assert_eq!(folder.run(&program).1.regions_loaded, 2, "it is replaced");
    }
}

/// Region numbers are not used again, so that they run out some day.
#[test]
fn when_numbers_run_out_the_file_begins_anew() {
    let folder = Folder::new();
    let program = program(1, 2);
    folder.run(&program);
    let mut code = folder.read(&program);
    code.modes[0].regions.last_mut().unwrap().number = Entry::REGIONS - 1;
    folder.write(&program, &code);
    let (status, stats) = folder.run(&program);
    assert_eq!((status, stats.regions, stats.regions_loaded), (exits(1, 2), 2, 0));
    let numbers: Vec<u32> = folder.read(&program).modes[0].regions.iter().map(|region| region.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert!(folder.cache.problems().is_empty());
}

/// The key is the same in each process.
#[test]
fn keys_name_all_that_code_follows_from() {
    let folder = Folder::new();
    let key = folder.key(&program(1, 2));
    assert_eq!(key, folder.key(&program(1, 2)));
    assert_ne!(key, folder.key(&program(1, 3)));
    let of = |machine: &str, level, change: fn(&mut JitOptions)| {
        let mut options = options();
        change(&mut options);
        let caches = Caches::new(&options, std::slice::from_ref(&Rules::STANDARD), &program(1, 2));
        let caches = caches.on_disk(&folder.cache, machine.to_owned());
        caches.key(caches.disk.as_ref().unwrap(), level).unwrap()
    };
    assert_eq!(key, of("bare", Level::Off, |_| ()));
    let keys = [
        key,
        of("r0vm", Level::Off, |_| ()),
        of("bare", Level::Rows, |_| ()),
        of("bare", Level::Off, |options| options.threshold += 1),
        of("bare", Level::Off, |options| options.region_instructions += 1),
        of("bare", Level::Off, |options| options.merge_interval_steps += 1),
    ];
    for (index, one) in keys.iter().enumerate() {
        assert!(keys[..index].iter().all(|other| other != one), "{index}");
    }
}
