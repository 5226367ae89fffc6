//! RISC Zero's kernel, which every user program needs under it.
//!
//! The kernel comes from a package that RISC Zero's own crates use too, so the host application may have resolved
//! another version. Cargo allows only one version for all of them. A requirement for one exact version would keep such
//! an application from building, so any 2.x builds.
//!
//! Code that puts the kernel under a program calls `kernel_elf`, which checks the version. An image id covers the
//! kernel, so another kernel would silently change every id.
//!
//! This file must not know what a kernel does.

use super::Digest;
use crate::program::ProgramError;

/// RISC Zero's kernel, as its tools put it into program binaries. It is that of RISC Zero 3.0, unless the host
/// application has resolved `risc0-zkos-v1compat` below 2.2. [`crate::Program::from_risc0_elf`] checks this.
pub const KERNEL_ELF: &[u8] = risc0_zkos_v1compat::V1COMPAT_ELF;

/// SHA-256 of the kernel of RISC Zero 3.0. It is the same file in `risc0-zkos-v1compat` 2.2.0, 2.2.1, 2.2.2 and 2.2.3.
const KERNEL_SHA256: &str = "7ffd942e4e8babd771094f549ad080cfea8ecb2c05c986e275c011f41979d921";

/// Returns the kernel if it is that of RISC Zero 3.0.
pub(super) fn kernel_elf() -> Result<&'static [u8], ProgramError> {
    check(KERNEL_ELF)
}

fn check(kernel: &[u8]) -> Result<&[u8], ProgramError> {
    let sha256 = Digest::sha256(kernel).to_string();
    if sha256 == KERNEL_SHA256 { Ok(kernel) } else { Err(ProgramError::OtherKernel { sha256 }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kernel_is_refused_by_its_digest() {
        assert_eq!(kernel_elf(), Ok(KERNEL_ELF));
        let mut other = KERNEL_ELF.to_vec();
        other[0x100] ^= 1;
        let error = check(&other).unwrap_err();
        assert_eq!(error, ProgramError::OtherKernel { sha256: Digest::sha256(&other).to_string() });
        let text = error.to_string();
        assert!(text.contains("risc0-zkos-v1compat") && text.contains("cargo update"), "{text}");
    }
}
