//! Tests RISC Zero's program binaries through the public API: what they load as, how words replace words, and what is
//! refused.
//!
//! tests/oracle compares with RISC Zero's own loader.

use crate::common::{R, W, X, elf, guest};
use tachy::program::Permissions;
use tachy::risc0::{Binary, Image, KERNEL_ELF};
use tachy::{Program, ProgramError};

const USER: u32 = 0x0020_0800;
const KERNEL: u32 = 0xc000_0000;

// Offsets in the ELF header, and in the first program header.
const E_ENTRY: usize = 24;
const E_PHNUM: usize = 44;
const P_OFFSET: usize = 56;
const P_FILESZ: usize = 68;
const P_MEMSZ: usize = 72;

fn put32(elf: &mut [u8], offset: usize, value: u32) {
    elf[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

fn word(image: &Image, address: u32) -> u32 {
    let offset = (address % 1024) as usize;
    u32::from_le_bytes(image.page(address / 1024)[offset..offset + 4].try_into().expect("4 bytes"))
}

fn load(user_elf: &[u8], kernel_elf: &[u8]) -> Result<Program, ProgramError> {
    Program::from_risc0(&Binary { user_elf, kernel_elf }.encode())
}

/// Returns the error, which must be in the ELF with this name.
fn refusal(result: Result<Program, ProgramError>, name: &str) -> ProgramError {
    match result {
        Err(ProgramError::InElf { elf, error }) if elf == name => *error,
        other => panic!("expected an error in the {name} ELF, found {other:?}"),
    }
}

#[test]
fn a_user_program_on_the_kernel() {
    let user = elf(USER + 4, &[(USER, &[1, 2, 3, 4, 5, 6, 7, 8], R | X)]);
    let program = Program::from_risc0_elf(&user).expect("a program");
    assert_eq!(program.entry(), KERNEL);
    assert_eq!(program.user_entry(), Some(USER + 4));
    assert!(program.segments().iter().all(|segment| segment.permissions == Permissions::RWX));
    let image = Image::of(&program);
    let expected = [
        (USER, 0x0403_0201),
        (USER + 4, 0x0807_0605),
        // The kernel finds the user program here, although its own ELF has other bytes there.
        (0x0001_0000, USER + 4),
        (0xffff_0210, KERNEL),
        (0xffff_0214, 1),
    ];
    for (address, value) in expected {
        assert_eq!(word(&image, address), value, "{address:#010x}");
    }
    assert_eq!(program.image_id(), Some(image.id()));
    let binary = Binary { user_elf: &user, kernel_elf: KERNEL_ELF }.encode();
    assert_eq!(Program::from_risc0(&binary).expect("a program").digest(), program.digest());
}

#[test]
fn other_programs_have_no_image_id() {
    let bytes = std::fs::read(guest("fib")).expect("a guest");
    let program = Program::from_elf(&bytes).expect("a program");
    assert_eq!((program.image_id(), program.user_entry()), (None, None));
}

/// User words replace kernel words, and later segments replace earlier ones; zeros count as well as data.
#[test]
fn words_lie_over_words() {
    let data: Vec<u8> = (1..=64).collect();
    let kernel = elf(KERNEL, &[(USER, &[0xaa; 128], R | X), (KERNEL, &[0xbb; 8], R | X)]);
    let mut user = elf(USER, &[(USER + 16, &data, R | W), (USER + 24, &[0xcc; 8], R), (USER + 80, &[0xdd; 3], R)]);
    // The first segment is 40 bytes from the file and 24 zeros.
    put32(&mut user, P_FILESZ, 40);
    let image = Image::of(&load(&user, &kernel).expect("a program"));
    for offset in (0..128).step_by(4) {
        let expected = match offset {
            24..32 => 0xcccc_cccc,
            16..56 => u32::from_le_bytes(std::array::from_fn(|byte| offset as u8 - 15 + byte as u8)),
            56..80 => 0,
            // Words are written whole.
            80 => 0x00dd_dddd,
            _ => 0xaaaa_aaaa,
        };
        assert_eq!(word(&image, USER + offset), expected, "{offset}");
    }
    assert_eq!(word(&image, KERNEL + 4), 0xbbbb_bbbb);
}

/// A segment whose memory ends inside a word takes the rest of the word from the file, if the file has it.
#[test]
fn the_last_word_is_whole() {
    let kernel = elf(KERNEL, &[(KERNEL, &[0xbb; 8], R | X)]);
    let mut user = elf(USER, &[(USER, &[0x11; 32], R | X)]);
    put32(&mut user, P_MEMSZ, 5);
    let image = Image::of(&load(&user, &kernel).expect("a program"));
    assert_eq!([0, 4, 8].map(|offset| word(&image, USER + offset)), [0x1111_1111, 0x1111_1111, 0]);
}

/// Zeros that are not in the file cost nothing: 3 GB of them load like 16 MB.
#[test]
fn zeros_cost_nothing() {
    for memory_bytes in [16 << 20, KERNEL - USER] {
        let mut user = elf(USER, &[(USER, &[0x13, 0, 0, 0], R | X)]);
        put32(&mut user, P_MEMSZ, memory_bytes);
        let program = Program::from_risc0_elf(&user).expect("a program");
        assert!(program.segments().iter().map(|segment| segment.data.len()).sum::<usize>() < 1 << 16);
        assert!(Image::of(&program).pages().len() < 64);
        assert!(program.image_id().is_some());
    }
}

/// Flags and sections of an ELF for R0VM are ignored, but the limits of its memory are enforced.
#[test]
fn elfs_that_are_refused() {
    let kernel = elf(KERNEL, &[(KERNEL, &[0xbb; 8], R | X)]);
    let good = elf(USER, &[(USER, &[1; 8], 0)]);
    assert!(load(&good, &kernel).is_ok());
    let user = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut user = good.clone();
        change(&mut user);
        refusal(load(&user, &kernel), "user")
    };
    let entry = user(&|elf| put32(elf, E_ENTRY, USER + 2));
    assert_eq!(entry, ProgramError::MisalignedEntry { entry: USER + 2 });
    let beyond = [
        user(&|elf| put32(elf, E_ENTRY, KERNEL)),
        user(&|elf| put32(elf, P_MEMSZ, KERNEL)),
        user(&|elf| put32(elf, P_FILESZ, KERNEL)),
        user(&|elf| put32(elf, P_MEMSZ, KERNEL - USER + 1)),
    ];
    for error in beyond {
        assert!(matches!(error, ProgramError::BeyondMachine { end: KERNEL, .. }), "{error}");
    }
    let truncated = user(&|elf| put32(elf, P_OFFSET, 1 << 20));
    assert!(matches!(truncated, ProgramError::Truncated { .. }), "{truncated}");
    let headers = user(&|elf| elf[E_PHNUM..E_PHNUM + 2].copy_from_slice(&257u16.to_le_bytes()));
    assert!(matches!(headers, ProgramError::MalformedHeader { field: "e_phnum", found: 257, .. }), "{headers}");
    let shared = elf(USER, &[(USER, &[1; 64][..], R); 20]);
    assert!(load(&shared, &kernel).is_ok());
    let mut shared = elf(USER, &[(USER, &[1; 1024][..], R); 20]);
    shared.truncate(4096);
    for header in 0..20 {
        put32(&mut shared, P_OFFSET + 32 * header, 1024);
    }
    let shared = refusal(load(&shared, &kernel), "user");
    assert!(matches!(shared, ProgramError::SharedData { data_bytes: 20_480, file_bytes: 4096 }), "{shared}");

    let misaligned = elf(USER, &[(USER + 2, &[1; 8], R)]);
    let misaligned = refusal(load(&misaligned, &kernel), "user");
    assert_eq!(misaligned, ProgramError::MisalignedSegment { address: USER + 2 });
    let wrapping = elf(KERNEL, &[(0xffff_fffc, &[1; 8], R)]);
    let wrapping = refusal(load(&good, &wrapping), "kernel");
    assert!(matches!(wrapping, ProgramError::BeyondMachine { what: "segment", .. }), "{wrapping}");
    // The kernel may fill the last word of memory.
    assert!(load(&good, &elf(KERNEL, &[(0xffff_fffc, &[1; 4], R)])).is_ok());
}

#[test]
fn binaries_that_are_refused() {
    let good = Binary { user_elf: &[1], kernel_elf: &[2] }.encode();
    assert_eq!(Binary::parse(&good), Ok(Binary { user_elf: &[1], kernel_elf: &[2] }));
    for bytes in 0..good.len() {
        assert!(matches!(Binary::parse(&good[..bytes]), Err(ProgramError::MalformedBinary { .. })), "{bytes} bytes");
    }
    let changed = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[offset] = value;
        Binary::parse(&bytes).expect_err("it is damaged").to_string()
    };
    for (offset, value, part) in [(0, b'X', "R0BF"), (4, 2, "version 1"), (12, 0, "after the last"), (21, 1, "Linux")] {
        let text = changed(offset, value);
        assert!(text.contains(part), "byte {offset}: {text}");
    }
    let mut linux = good.clone();
    linux[21] = 1;
    assert!(matches!(Binary::parse(&linux), Err(ProgramError::UnsupportedAbi { .. })));
    // The attribute twice: it begins after the header's size and the number of attributes.
    let end = 12 + good[8] as usize;
    let mut twice = [&good[..end], &good[16..]].concat();
    (twice[8], twice[12]) = (good[8] + (end - 16) as u8, 2);
    assert!(Binary::parse(&twice).expect_err("it is one too many").to_string().contains("two ABIs"));
    // Four billion attributes, of which none exists.
    let mut many = good.clone();
    many[12..16].fill(0xff);
    assert!(Binary::parse(&many).is_err());
    assert!(matches!(Program::from_elf(&good), Err(ProgramError::RiscZeroBinary)));
    assert!(matches!(refusal(Program::from_risc0(&good), "user"), ProgramError::NotElf { .. }));
}
