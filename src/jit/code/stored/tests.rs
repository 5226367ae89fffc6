//! Tests of code as bytes: they give back what was written, and any other bytes give an error or code that keeps its
//! promises.

use super::*;

fn region(number: u32) -> StoredRegion {
    let load = Reached { ahead: 1, register: 31, offset: 0xffff_fffc, access: Access::Load(4) };
    let store = Reached { ahead: 0, register: 0, offset: 8, access: Access::Store(1) };
    let pc = 0x1_0000 + 0x100 * number;
    StoredRegion {
        number,
        entries: vec![(0, pc), (2, pc + 8)],
        words: vec![(pc, vec![0x13, 0x93]), (pc + 8, vec![0x8067])],
        groups: vec![vec![load, store], Vec::new(), vec![store]],
        code: (0..number as u8 + 40).collect(),
    }
}

fn stored() -> StoredCode {
    let mut hotness = [0; PAGE_SLOTS];
    (hotness[0], hotness[255]) = (u16::MAX, 7);
    let profile = vec![
        PageProfile { page: 64, hotness, ran: [1, 2, 3, u64::MAX] },
        PageProfile { page: u32::MAX, hotness: [0; PAGE_SLOTS], ran: [0; 4] },
    ];
    let mode = StoredMode {
        regions: vec![region(1), region(2), region(9)],
        merges: vec![(0x1_0100, 3)],
        targets: vec![(4, vec![8, 12]), (16, Vec::new())],
    };
    StoredCode { modes: vec![mode, StoredMode::default()], profile }
}

#[test]
fn what_is_written_is_read() {
    for code in [stored(), StoredCode { modes: Vec::new(), profile: Vec::new() }] {
        assert_eq!(StoredCode::from_bytes(&code.to_bytes()), Ok(code));
    }
}

#[test]
fn no_part_and_no_more_than_all_is_read() {
    let bytes = stored().to_bytes();
    for length in 0..bytes.len() {
        assert!(StoredCode::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    assert!(StoredCode::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

/// The bytes that are read are those that would be written again, so nothing in them is ignored.
#[test]
fn damaged_bytes_are_refused_or_mean_something_else() {
    let code = stored();
    let bytes = code.to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(other) = StoredCode::from_bytes(&damaged) {
                assert_ne!(other, code, "bit {bit} of byte {at}");
            }
        }
    }
}

/// A length that promises more than there is takes no memory.
#[test]
fn lengths_promise_nothing() {
    let mut bytes = u32::MAX.to_le_bytes().to_vec();
    bytes.extend([0; 100]);
    assert_eq!(StoredCode::from_bytes(&bytes), Err(Malformed { at: 4 }));
}

#[test]
fn what_code_cannot_have_is_refused() {
    type Change = fn(&mut StoredCode);
    let changes: [(&str, Change); 12] = [
        ("number 0", |code| code.modes[0].regions[0].number = 0),
        ("a number that is too large", |code| code.modes[0].regions[2].number = Entry::REGIONS),
        ("one number twice", |code| code.modes[0].regions[1].number = 1),
        ("no entries", |code| code.modes[0].regions[0].entries.clear()),
        ("no words", |code| code.modes[0].regions[0].words.clear()),
        ("no code", |code| code.modes[0].regions[0].code.clear()),
        ("an entry number that is too large", |code| code.modes[0].regions[0].entries[0].0 = Entry::ENTRIES),
        ("a misaligned entry", |code| code.modes[0].regions[0].entries[0].1 = 2),
        ("misaligned words", |code| code.modes[0].regions[0].words[0].0 = 1),
        ("words past the end", |code| code.modes[0].regions[0].words[0].0 = 0xffff_fffc),
        ("register 32", |code| code.modes[0].regions[0].groups[0][0].register = 32),
        ("a fetch", |code| code.modes[0].regions[0].groups[0][0].access = Access::Fetch),
    ];
    for (what, change) in changes {
        let mut code = stored();
        change(&mut code);
        assert!(StoredCode::from_bytes(&code.to_bytes()).is_err(), "{what}");
    }
}

#[test]
fn a_region_is_of_all_its_words() {
    let region = region(1);
    let word = |pc: u32| match pc {
        0x1_0100 => Some(0x13),
        0x1_0104 => Some(0x93),
        0x1_0108 => Some(0x8067),
        _ => None,
    };
    assert!(region.is_of(word));
    for wrong in [0x1_0100, 0x1_0104, 0x1_0108] {
        assert!(!region.is_of(|pc| if pc == wrong { None } else { word(pc) }));
        assert!(!region.is_of(|pc| if pc == wrong { Some(0) } else { word(pc) }));
    }
}
