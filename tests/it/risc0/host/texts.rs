//! The texts of RISC Zero's executor for errors of the host. `tests/dropin` holds them for whole sessions.

use super::*;

/// Who stands in for RISC Zero's executor reports errors in its words.
#[test]
fn errors_have_the_texts_of_risc_zero() {
    let args = ["a".to_owned(), "x".repeat(1024)];
    let mut env = HostEnv::builder().args(args).limit_journal_bytes(2).build().expect("it is built");
    let mut guest = Fake::default();
    let mut text = |name: &str, arguments: &[u32], bytes| {
        let error = guest.call(&mut env, name, arguments, bytes).expect_err("it is refused");
        error.risc0_text().unwrap_or_else(|| panic!("{error}"))
    };
    assert_eq!(text("SYS_ARGC", &[], 4), "invalid sys_argc call");
    assert_eq!(text("SYS_ARGV", &[7], 8), "guest requested index 7 from argv of len 2");
    assert_eq!(text("SYS_ARGV", &[1], 8), "sys_argv failure: argv is too large");
    assert_eq!(text("SYS_READ", &[9, 4, 0], 4), "Bad read file descriptor 9");
    assert_eq!(text("SYS_WRITE", &[9, 0, 4], 0), "Bad write file descriptor 9");
    assert_eq!(text("SYS_WRITE", &[3, DATA, 3], 0), "journal write limit reached");
    assert_eq!(text("SYS_KECCAK", &[7], 0), "sys_keccak: invalid mode: 7");
    assert_eq!(text("SYS_PIPE", &[], 4), "invalid sys_pipe call");
    assert_eq!(text("SYS_VERIFY_INTEGRITY2", &[DATA], 4), "invalid sys_verify call");
    let unknown = text("SYS_FORK", &[], 0);
    assert_eq!(unknown, "Unknown syscall: \"risc0_zkvm_platform::syscall::nr::SYS_FORK\"");
    let verify = text("SYS_VERIFY_INTEGRITY", &[DATA], 0);
    assert!(
        verify.starts_with("sys_verify_integrity: no receipt found to resolve assumption: claim digest "),
        "{verify}"
    );
}
