//! RISC Zero's kernel, which a user program needs under it.
//!
//! It comes with a package that RISC Zero's own crates depend on as well, so a host may have resolved another version of
//! it. Cargo allows only one for all of them: a requirement for exactly one version would keep such a host from
//! building. So any 2.x builds, and whoever puts the kernel under a program asks here for the right one: an image id
//! covers the kernel, and another kernel would change every id without a word.
//!
//! This file must not know what a kernel does.

use super::Digest;
use crate::program::ProgramError;

/// The kernel of RISC Zero, as its tools put it into program binaries: that of RISC Zero 3.0, unless the host that this
/// library is built into has resolved `risc0-zkos-v1compat` below 2.2. [`crate::Program::from_risc0_elf`] tells.
pub const KERNEL_ELF: &[u8] = risc0_zkos_v1compat::V1COMPAT_ELF;

/// SHA-256 of the kernel of RISC Zero 3.0: the same file in `risc0-zkos-v1compat` 2.2.0, 2.2.1, 2.2.2 and 2.2.3.
const KERNEL_SHA256: &str = "7ffd942e4e8babd771094f549ad080cfea8ecb2c05c986e275c011f41979d921";

/// The kernel of RISC Zero 3.0.
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
