//! Fuzzes the reader of compiled code on disk, behind the checksum, which a fuzzer would not pass. Whatever it accepts is
//! written again as bytes that mean the same. Nothing is run. This target must not know how the bytes are laid out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tachy::jit::rewrite_stored_code;

fuzz_target!(|bytes: &[u8]| {
    if let Some(written) = rewrite_stored_code(bytes) {
        assert!(written.len() <= bytes.len(), "only counts of 0 are left out");
        assert!(rewrite_stored_code(&written).as_ref() == Some(&written));
    }
});
