//! Wraps a user program's ELF and a kernel's as one program binary (R0BF), as RISC Zero's build tools do.
//!
//!     wrap USER.elf [KERNEL.elf] OUT.bin
//!
//! Without a kernel it takes that of R0VM 3.0. It must not know what the programs do.

use std::error::Error;
use std::{env, fs};

use risc0_binfmt::ProgramBinary;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let (user, kernel, out) = match &paths[..] {
        [user, out] => (fs::read(user)?, risc0_zkos_v1compat::V1COMPAT_ELF.to_vec(), out),
        [user, kernel, out] => (fs::read(user)?, fs::read(kernel)?, out),
        _ => return Err("usage: wrap USER.elf [KERNEL.elf] OUT.bin".into()),
    };
    let binary = ProgramBinary::new(&user, &kernel);
    // Only what loads is written.
    binary.to_image().map_err(|error| format!("{}: {error:#}", paths[0]))?;
    fs::write(out, binary.encode())?;
    Ok(())
}
