//! Fuzzes the decoder. What any word decodes to must encode to a word that decodes to the same, and disassemble to
//! text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tachy::decode::{decode, encode};
use tachy::disasm::disassemble;
use tachy::isa::Variant;

fuzz_target!(|bytes: &[u8]| {
    for (index, word) in (0u32..).zip(bytes.as_chunks().0) {
        let word = u32::from_le_bytes(*word);
        for variant in Variant::ALL {
            let text = disassemble(word, index.wrapping_mul(0x1234_5678), variant);
            assert!(!text.is_empty() && !text.contains(char::is_control), "{word:#010x}: {text:?}");
            if let Some(instruction) = decode(word, variant) {
                assert_eq!(decode(encode(instruction), variant), Some(instruction), "{word:#010x} in {variant:?}");
            }
        }
    }
});
