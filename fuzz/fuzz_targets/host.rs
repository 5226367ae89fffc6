//! Fuzzes the host of R0VM with calls of a hostile guest, and the decoder of journals with arbitrary bytes.
//!
//! The first byte says how many calls of 40 bytes follow. All bytes, repeated, are the guest's memory as well.
#![no_main]

use std::collections::{BTreeMap, HashMap};

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use tachy::risc0::host::{Guest, Host, HostEnv};
use tachy::risc0::serde::from_bytes;

const NAMES: [&str; 16] = [
    "ARGC",
    "ARGV",
    "CYCLE_COUNT",
    "GETENV",
    "KECCAK",
    "LOG",
    "PANIC",
    "PIPE",
    "RANDOM",
    "READ",
    "VERIFY_INTEGRITY",
    "VERIFY_INTEGRITY2",
    "WRITE",
    "FORK",
    "EXIT",
    "PROVE_ZKR",
];
/// Address of the call's name.
const NAME: u32 = 0x1000;

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "decoded, never looked at")]
enum Anything {
    Nothing,
    Number(u64),
    Text(String),
    Both(Option<Box<Anything>>, Vec<Anything>),
    Named { map: BTreeMap<u8, Anything>, flag: bool, letter: char },
    Units(Vec<()>),
}

struct Memory<'a> {
    bytes: &'a [u8],
    name: Vec<u8>,
    registers: [u32; 32],
}

impl Guest for Memory<'_> {
    fn register(&self, number: u8) -> u32 {
        self.registers[number as usize]
    }

    fn word(&self, address: u32) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|byte| {
            let at = (address & !3).wrapping_add(byte as u32);
            let name = at.checked_sub(NAME).and_then(|at| self.name.get(at as usize));
            *name.unwrap_or(&self.bytes[at as usize % self.bytes.len()])
        }))
    }

    fn user_cycles(&self) -> u64 {
        self.registers[1].into()
    }

    fn pc(&self) -> u32 {
        self.registers[2]
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = from_bytes::<Anything>(bytes);
    let _ = from_bytes::<Vec<Vec<()>>>(bytes);
    let _ = from_bytes::<HashMap<String, (u8, i128, Option<char>)>>(bytes);
    let _ = from_bytes::<(Vec<u8>, Vec<f32>, [bool; 3])>(bytes);
    let Some((&count, rest)) = bytes.split_first() else { return };
    let mut env = HostEnv::builder()
        .random_seed([0; 32])
        .write_slice(rest)
        .args(["one", "two"])
        .env_var("HOME", "nowhere")
        .io_callback("own", |bytes| Ok(bytes.iter().rev().copied().collect()))
        // Limits on the time and memory that a length chosen by the guest may cost here.
        .limit_journal_bytes(1 << 16)
        .limit_kept_bytes(1 << 16)
        .limit_output_bytes(Some(1 << 16))
        .build()
        .expect("good settings");
    for call in rest.as_chunks::<40>().0.iter().take(usize::from(count % 32)) {
        let words: Vec<u32> = call.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let name = match words[0] & 31 {
            index @ 0..16 => format!("risc0_zkvm_platform::syscall::nr::SYS_{}\0", NAMES[index as usize]),
            16 | 17 => "own\0".to_owned(),
            _ => String::new(),
        };
        let mut registers = [0; 32];
        registers[10..18].copy_from_slice(&words[1..9]);
        // Most calls take small values.
        registers[13] >>= words[9] & 31;
        registers[15] >>= words[9] >> 5 & 31;
        let guest = Memory { bytes, name: name.into_bytes(), registers };
        let mut buffer = vec![0; (words[0] >> 5) as usize % 1025];
        let done = env.read(&guest, NAME, &mut buffer).and_then(|filled| {
            assert!(filled <= buffer.len());
            env.read(&guest, 0, &mut [0; 8])?;
            env.write(&guest, words[8], &buffer)
        });
        if done.is_err() {
            break;
        }
    }
    if let Some(journal) = env.finish(true).journal {
        let _ = journal.decode::<Anything>();
    }
});
