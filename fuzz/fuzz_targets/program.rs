//! Fuzzes the parsers with any bytes as a program: an ELF, a user's ELF for R0VM, a program binary. Whatever a parser
//! accepts keeps the promises of [`Program`]. This target must not know how a file is laid out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tachy::Program;
use tachy::program::source_frames;
use tachy::risc0::KERNEL_ELF;

fuzz_target!(|bytes: &[u8]| {
    let programs = [Program::from_elf(bytes), Program::from_risc0(bytes), Program::from_risc0_elf(bytes)];
    for program in programs.into_iter().flatten() {
        let segments = program.segments();
        assert!(!segments.is_empty() && program.entry().is_multiple_of(4));
        assert!(segments.iter().all(|segment| segment.memory_bytes > 0 && segment.end() <= 1 << 32));
        assert!(segments.iter().all(|segment| segment.data.len() as u64 <= u64::from(segment.memory_bytes)));
        assert!(segments.windows(2).all(|pair| pair[0].end() <= u64::from(pair[1].address)));
        // A program's size is proportional to its file, plus 12 bytes for the words that start the machine.
        let data_bytes: usize = segments.iter().map(|segment| segment.data.len()).sum();
        assert!(data_bytes <= bytes.len() + KERNEL_ELF.len() + 12);
        let names_bytes: usize = program.symbols().iter().map(|symbol| symbol.name.len()).sum();
        assert!(names_bytes <= 3 * (bytes.len() + KERNEL_ELF.len()), "a byte may become a replacement character");
        for symbol in program.symbols() {
            let _ = program.symbol_at(symbol.address);
            assert!(symbol.demangled().len() <= 3 * symbol.name.len().max(4096));
        }
        if let Ok(frames) = source_frames(bytes, program.entry()) {
            assert!(!frames.is_empty());
        }
        let _ = (program.digest(), program.image_id(), format!("{program:?}"));
    }
});
