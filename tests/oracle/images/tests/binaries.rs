//! Program binaries: both loaders accept or both refuse, and what both accept has one image id.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use anyhow::Result;
use oracle_images::elf::{damage, is_heavy, random};
use oracle_images::our_digest;
use oracle_images::rng::Rng;
use risc0_binfmt::{AbiKind, ProgramBinary};
use tachy::risc0::{Binary, Digest, Image, KERNEL_ELF};
use tachy::{Program, ProgramError};

/// The image id by the reference, which leaves the ABI to whoever runs the program: ^1.0.0 of V1Compat.
fn reference(bytes: &[u8]) -> Result<Digest> {
    let binary = ProgramBinary::decode(bytes)?;
    let version = &binary.header.abi_version;
    let runs = binary.header.abi_kind == AbiKind::V1Compat && version.major == 1 && version.pre.is_empty();
    anyhow::ensure!(runs, "another ABI");
    Ok(our_digest(&binary.compute_image_id()?))
}

fn ours(bytes: &[u8]) -> Result<Digest, ProgramError> {
    Ok(Program::from_risc0(bytes)?.image_id().expect("it is a program for R0VM"))
}

/// Compares both; returns whether they accept.
fn compare(bytes: &[u8], name: &str) -> bool {
    let result = catch_unwind(|| ours(bytes)).unwrap_or_else(|_| panic!("{name}: a panic"));
    match (result, reference(bytes)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{name}: image ids differ"),
        (Err(_), Err(_)) => return false,
        // The one thing that we refuse and the reference does not; see `Program::from_risc0`.
        (Err(ProgramError::InElf { error, .. }), _) if matches!(*error, ProgramError::SharedData { .. }) => {
            return false;
        }
        (ours, theirs) => panic!("{name}: ours {ours:?}, the reference {theirs:?}"),
    }
    true
}

#[test]
fn well_formed() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let user = random(&mut rng, 0x0020_0800);
        // Sometimes over the same memory as the user program.
        let kernel_base = rng.pick(&[0xc000_0000, 0xc000_0000, 0x0020_1000]);
        let kernel = random(&mut rng, kernel_base);
        let bytes = Binary { user_elf: &user, kernel_elf: &kernel }.encode();
        assert_eq!(bytes, ProgramBinary::new(&user, &kernel).encode(), "seed {seed}");
        assert!(compare(&bytes, &format!("seed {seed}")), "seed {seed}: refused");
        assert_eq!(Binary::parse(&bytes), Ok(Binary { user_elf: &user, kernel_elf: &kernel }));
    }
}

#[test]
fn user_program_on_the_kernel() {
    for seed in 0..20 {
        let user = random(&mut Rng::new(seed), 0x0020_0800);
        let program = Program::from_risc0_elf(&user).expect("it is well formed");
        let theirs = ProgramBinary::new(&user, KERNEL_ELF).compute_image_id().expect("it is well formed");
        assert_eq!(program.image_id(), Some(our_digest(&theirs)), "seed {seed}");
        let id = ProgramBinary::new(&user, KERNEL_ELF).to_image().expect("it is well formed").get_page_indexes();
        let ours: Vec<u32> = Image::of(&program).pages().map(|(page, _)| page).collect();
        assert!(ours.iter().all(|page| id.contains(page)), "seed {seed}: pages that the reference has not");
    }
}

/// The repository's guests and the kernel itself, whatever they make of it.
#[test]
fn real_elfs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../guests/bin");
    let guests = std::fs::read_dir(folder).expect("the guests are built").map(|entry| entry.expect("an entry").path());
    let mut accepted = 0;
    for guest in guests {
        let elf = std::fs::read(&guest).expect("a guest");
        let bytes = Binary { user_elf: &elf, kernel_elf: KERNEL_ELF }.encode();
        accepted += u32::from(compare(&bytes, &guest.display().to_string()));
    }
    assert!(accepted > 5, "only {accepted} guests were accepted");
    let bytes = Binary { user_elf: KERNEL_ELF, kernel_elf: KERNEL_ELF }.encode();
    assert!(!compare(&bytes, "the kernel as a user program"));
}

#[test]
fn damaged_elfs() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..5000 {
        let mut rng = Rng::new(seed);
        let mut user = random(&mut rng, 0x0020_0800);
        let mut kernel = random(&mut rng, 0xc000_0000);
        let elf = if rng.one_in(3) { &mut kernel } else { &mut user };
        damage(&mut rng, elf);
        if is_heavy(&user) || is_heavy(&kernel) {
            continue;
        }
        let bytes = Binary { user_elf: &user, kernel_elf: &kernel }.encode();
        match compare(&bytes, &format!("seed {seed}")) {
            true => accepted += 1,
            false => refused += 1,
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
}

/// A program binary around small ELFs with this header.
fn with_header(header: &[u8]) -> Vec<u8> {
    let mut rng = Rng::new(0);
    let (user, kernel) = (random(&mut rng, 0x0020_0800), random(&mut rng, 0xc000_0000));
    let mut bytes = b"R0BF\x01\0\0\0".to_vec();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    bytes.extend((user.len() as u32).to_le_bytes());
    bytes.extend(user);
    bytes.extend(kernel);
    bytes
}

/// Headers of attributes, each a kind of ABI and the text of a version, or other bytes.
#[test]
fn headers() {
    let version = |kind: u8, text: &str| [&[0, kind, text.len() as u8], text.as_bytes()].concat();
    let header = |attributes: &[&[u8]]| {
        let mut header = (attributes.len() as u32).to_le_bytes().to_vec();
        for attribute in attributes {
            header.extend((attribute.len() as u32).to_le_bytes());
            header.extend(*attribute);
        }
        with_header(&header)
    };
    let mut accepted = BTreeMap::new();
    let texts = [
        "1.0.0",
        "1.2.3",
        "1.0.0-rc.1",
        "1.0.0+build",
        "2.0.0",
        "0.9.0",
        "1.0",
        "",
        "1.0.0 ",
        "99999999999999999999.0.0",
    ];
    for text in texts {
        for kind in 0..3 {
            let name = format!("ABI {kind} {text}");
            accepted.insert(name.clone(), compare(&header(&[&version(kind, text)]), &name));
        }
    }
    assert!(accepted["ABI 0 1.2.3"] && !accepted["ABI 1 1.0.0"] && !accepted["ABI 0 1.0.0-rc.1"]);
    let good = version(0, "1.0.0");
    let unknown: &[u8] = &[1, 2, 3];
    assert!(compare(&header(&[unknown, &good, &[]]), "unknown attributes"));
    assert!(!compare(&header(&[&good, &good]), "the ABI twice"));
    assert!(!compare(&header(&[unknown]), "no ABI"));
    assert!(!compare(&header(&[]), "no attributes"));
    // More bytes than the value needs.
    assert!(compare(&header(&[&[&good[..], &[1, 2, 3]].concat()]), "a long attribute"));
    // A number that is longer than it must be.
    compare(&header(&[&[&[0x80, 0, 0, 5], &b"1.0.0"[..]].concat()]), "a long number");
    assert!(!compare(&with_header(&[1, 0, 0, 0, 9, 0, 0, 0, 1]), "an attribute beyond the header"));
    assert!(!compare(&with_header(&[0, 0, 0, 0, 9]), "bytes after the attributes"));
}

#[test]
fn damaged_binaries() {
    let good = with_header(&[&[1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 5][..], b"1.0.0"].concat());
    assert!(compare(&good, "the undamaged one"));
    for seed in 0..5000 {
        let mut rng = Rng::new(seed);
        let mut bytes = good.clone();
        for _ in 0..rng.between(1, 3) {
            let at = rng.below(40) as usize;
            bytes[at] = if rng.one_in(2) { rng.bits() as u8 } else { bytes[at] ^ 1 << rng.below(8) };
        }
        if rng.one_in(8) {
            bytes.truncate(rng.below(60) as usize);
        }
        compare(&bytes, &format!("seed {seed}"));
    }
    for bytes in 0..100 {
        assert!(!compare(&good[..bytes], &format!("the first {bytes} bytes")));
    }
}
