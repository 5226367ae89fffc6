//! Tests memory images of R0VM, their Merkle tree and segments, through the public API: known vectors, agreement of all
//! kernels, incremental updates against fresh trees, and consistent segments.
//!
//! tests/oracle compares with RISC Zero's own crates. The vectors here were confirmed there or come from its tests.

use std::collections::BTreeMap;

use crate::common::rng::Rng;
use tachy::Program;
use tachy::program::{Permissions, Segment};
use tachy::risc0::poseidon2::{Kernel, PoseidonDigest, permute};
use tachy::risc0::{Digest, Image, PageContent, PovwNonce, SegmentRecord, TouchedPage, Tree, tagged_struct};

const PRIME: u64 = 0x7800_0001;
const PAGES: u32 = 1 << 22;

fn random_page(rng: &mut Rng) -> Box<PageContent> {
    let mut page = Box::new([0; 1024]);
    page.fill_with(|| rng.bits() as u8);
    page
}

/// Returns some adjacent pages, some random ones, and the last one.
fn random_pages(rng: &mut Rng) -> BTreeMap<u32, Box<PageContent>> {
    let start = rng.below(u64::from(PAGES) - 64) as u32;
    let near: Vec<u32> = (0..rng.below(40)).map(|_| start + rng.below(64) as u32).collect();
    let far: Vec<u32> = (0..rng.below(4)).map(|_| rng.below(PAGES.into()) as u32).collect();
    near.into_iter().chain(far).chain([PAGES - 1]).map(|page| (page, random_page(rng))).collect()
}

fn contents(pages: &BTreeMap<u32, Box<PageContent>>) -> impl Iterator<Item = (u32, &PageContent)> {
    pages.iter().map(|(page, content)| (*page, &**content))
}

/// The vector of risc0-zkp's own test, of the elements 0 to 23.
#[test]
fn permutation_vector() {
    let mut state = std::array::from_fn(|cell| cell as u32);
    permute(&mut state);
    let expected = [
        0x2ed3_e23d,
        0x1292_1fb0,
        0x0e65_9e79,
        0x61d8_1dc9,
        0x32ba_e33b,
        0x6248_6ae3,
        0x1e68_1b60,
        0x24b9_1325,
        0x2a2e_f5b9,
        0x50e8_593e,
        0x5bc8_18ec,
        0x1069_1997,
        0x35a1_4520,
        0x2ba6_a3c5,
        0x279d_47ec,
        0x5501_4e81,
        0x5953_a67f,
        0x2f40_3111,
        0x6b88_28ff,
        0x1801_301f,
        0x2749_207a,
        0x3dc9_cf21,
        0x3c98_5ba2,
        0x57a9_9864,
    ];
    assert_eq!(state, expected);
}

/// A second implementation of the permutation, as the Poseidon2 paper defines it: with matrices, on numbers modulo the
/// prime.
fn permute_by_definition(state: &mut [u64; 24], constants: &Constants) {
    let outer = |state: &mut [u64; 24]| {
        const BLOCK: [[u64; 4]; 4] = [[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]];
        let before = *state;
        for (cell, value) in state.iter_mut().enumerate() {
            let row = BLOCK[cell % 4];
            // Twice the block on the diagonal, once every other block.
            let terms = before
                .iter()
                .enumerate()
                .map(|(column, other)| row[column % 4] * (1 + u64::from(column / 4 == cell / 4)) * other % PRIME);
            *value = terms.sum::<u64>() % PRIME;
        }
    };
    let power = |x: u64| (0..7).fold(1, |product, _| product * x % PRIME);
    outer(state);
    for round in 0..29 {
        match round {
            4..25 => {
                state[0] = power(state[0] + constants.partial[round - 4]);
                let sum = state.iter().sum::<u64>() % PRIME;
                for (cell, factor) in state.iter_mut().zip(&constants.diagonal) {
                    *cell = (sum + *cell * factor) % PRIME;
                }
            }
            _ => {
                let full = constants.full[if round < 4 { round } else { round - 21 }];
                for (cell, constant) in state.iter_mut().zip(full) {
                    *cell = power(*cell + constant);
                }
                outer(state);
            }
        }
    }
}

/// Constants read from the source, because they are not public.
struct Constants {
    full: Vec<[u64; 24]>,
    partial: Vec<u64>,
    diagonal: Vec<u64>,
}

fn constants() -> Constants {
    let source = include_str!("../../../runtime/src/poseidon2/constants.rs");
    let numbers = |name: &str| -> Vec<u64> {
        let start = source.find(&format!("const {name}: [")).expect("the table is there");
        let table = source[start..].split_once(" = ").expect("it has a value").1.split_once(';').expect("and an end").0;
        let words = table.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let hex = words.filter_map(|word| word.strip_prefix("0x"));
        hex.map(|digits| u64::from_str_radix(&digits.replace('_', ""), 16).expect("hexadecimal")).collect()
    };
    let full = numbers("FULL").chunks(24).map(|row| row.try_into().expect("rows of 24")).collect();
    Constants { full, partial: numbers("PARTIAL"), diagonal: numbers("DIAGONAL") }
}

#[test]
fn permutations_are_what_the_paper_defines() {
    let constants = constants();
    assert_eq!((constants.full.len(), constants.partial.len(), constants.diagonal.len()), (8, 21, 24));
    let mut rng = Rng::new(0);
    for round in 0..200 {
        let input: [u64; 24] = std::array::from_fn(|_| match rng.below(3) {
            0 => rng.pick(&[0, 1, PRIME - 1, PRIME - 2, 0xffff]),
            _ => rng.below(PRIME),
        });
        let (mut defined, mut computed) = (input, input.map(|element| element as u32));
        permute_by_definition(&mut defined, &constants);
        permute(&mut computed);
        assert_eq!(computed.map(u64::from), defined, "round {round}, input {input:x?}");
    }
}

/// Any number of inputs, so that lanes are full, partly full, and left to the portable kernel.
#[test]
fn kernels_agree() {
    let mut rng = Rng::new(1);
    let mut pages: Vec<_> = (0..50).map(|_| random_page(&mut rng)).collect();
    *pages[7] = [0; 1024];
    *pages[8] = [0xff; 1024];
    let inputs: Vec<&PageContent> = pages.iter().map(|page| &**page).collect();
    // Words of any size, including those beyond the prime.
    let pairs: Vec<[PoseidonDigest; 2]> =
        (0..50).map(|_| std::array::from_fn(|_| std::array::from_fn(|_| rng.word()))).collect();
    let digests = Kernel::PORTABLE.hash_pages(&inputs);
    let parents = Kernel::PORTABLE.hash_pairs(&pairs);
    assert!(digests.iter().chain(&parents).flatten().all(|word| u64::from(*word) < PRIME));
    for kernel in Kernel::available() {
        for count in 0..=inputs.len() {
            let location = format!("{}, {count} inputs", kernel.name());
            assert_eq!(kernel.hash_pages(&inputs[..count]), digests[..count], "{location}");
            assert_eq!(kernel.hash_pairs(&pairs[..count]), parents[..count], "{location}");
        }
    }
    assert!(Kernel::available().contains(&Kernel::best()));
}

/// A sponge over the bare permutation: the half-words of a page, 16 at a time.
#[test]
fn a_page_is_hashed_by_half_words() {
    let page = random_page(&mut Rng::new(2));
    let mut state = [0; 24];
    for block in page.chunks(32) {
        for (cell, half) in state.iter_mut().zip(block.chunks(2)) {
            *cell = u32::from(half[0]) | u32::from(half[1]) << 8;
        }
        permute(&mut state);
    }
    assert_eq!(Kernel::PORTABLE.hash_pages(&[&page])[0], state[..8]);
}

/// Vectors of risc0-binfmt's own tests.
#[test]
fn known_digests() {
    let zero = Kernel::PORTABLE.hash_pages(&[&[0; 1024]])[0];
    assert_eq!(Digest(zero).to_string(), "242ce034cc4e9326f8b7071124454b2be1a1cd5d21b6483c7ff81d4ba5ac9566");
    let root = Tree::new(Kernel::best()).root().to_string();
    assert_eq!(root, "f85c5a32ccc45c22f9686b08d710d4597d7ce256cdcd63146426270d9432c644");

    // A word of code, and a machine about to start there.
    let word = |address, word| Segment::from_words(address, &[word], Permissions::RWX);
    let segments = vec![word(0x1_0000, 0x1234_b337), word(0xffff_0210, 0x1_0000), word(0xffff_0214, 1)];
    let image = Image::of(&Program::from_segments(0x1_0000, segments).expect("a program"));
    let root = Tree::of(&image).root().to_string();
    assert_eq!(root, "9d41290fa400705127c0240cb646586cc6ea8a23d560aa57cfa86c1369d9d53f");
    let state = tagged_struct("risc0.SystemState", &[Tree::of(&image).root()], &[0]);
    assert_eq!(image.id(), state);

    let first = tagged_struct("foo", &[], &[1, 2_013_265_920, 3]);
    let second = tagged_struct("bar", &[first, first], &[2_013_265_920, 5]);
    let third = tagged_struct("baz", &[first, second, first], &[6, 7, 2_013_265_920, 9, 10]);
    assert_eq!(third.to_string(), "9ff20cc6d365efa2af09181772f49013d05cdee6da896851614cae23aa5dd442");
}

#[test]
fn digests_as_text() {
    let digest = Digest(std::array::from_fn(|word| 0x0102_0304 * (word as u32 + 1)));
    let text = digest.to_string();
    assert!(text.starts_with("04030201"), "{text}");
    assert_eq!(text.parse(), Ok(digest));
    assert_eq!(format!("{digest:?}"), format!("Digest({text})"));
    assert_eq!(text.to_uppercase().parse(), Ok(digest));
    assert_eq!(Digest::from_bytes(digest.to_bytes()), digest);
    for wrong in ["", &text[1..], &format!("{text}0"), &text.replace("04", "+4"), &text.replace("04", "g4"), "ä"] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}

/// Segments that begin and end anywhere in pages, next to each other and at the end of memory.
#[test]
fn images_hold_what_the_segments_say() {
    let mut rng = Rng::new(3);
    let mut data = |bytes: u64| -> Vec<u8> { (0..bytes).map(|_| rng.bits() as u8).collect() };
    let segments = vec![
        Segment::new(0x1_03fd, data(2), Permissions::R),
        Segment::new(0x1_03ff, data(3000), Permissions::RX),
        Segment::new(0x2_0000, vec![0; 4096], Permissions::RW),
        Segment { memory_bytes: 0x8000_0000, ..Segment::new(0x3_0000, data(5), Permissions::RW) },
        Segment::new(0x0008_0000, data(4), Permissions::RX),
        Segment::new(0xffff_fffe, data(2), Permissions::RW),
    ];
    // The bss would cover it.
    let segments: Vec<Segment> = segments.into_iter().filter(|segment| segment.address != 0x8_0000).collect();
    let program = Program::from_segments(0x1_0400, segments.clone()).expect("a program");
    let image = Image::of(&program);
    let mut numbers: Vec<u32> = image.pages().map(|(page, _)| page).collect();
    assert_eq!(numbers, [0x40, 0x41, 0x42, 0x43, 0xc0, 0x3f_ffc0, 0x3f_ffff], "pages of zeros are not kept");
    // A program without a kernel starts as one: the machine's pc and mode lie on the system page.
    let words = |address, word| Segment::from_words(address, &[word], Permissions::RW);
    let segments = [segments, vec![words(0xffff_0210, 0x1_0400), words(0xffff_0214, 1)]].concat();
    numbers.extend([0, 0x80, 0xc1]);
    for page in numbers {
        for (offset, byte) in image.page(page).iter().enumerate() {
            let address = page * 1024 + offset as u32;
            let holds = |segment: &&Segment| address.checked_sub(segment.address).is_some();
            let segment = segments.iter().rev().filter(holds).max_by_key(|segment| segment.address);
            let expected = segment.and_then(|segment| segment.data.get((address - segment.address) as usize));
            assert_eq!(*byte, expected.copied().unwrap_or(0), "{address:#010x}");
        }
    }
}

#[test]
fn an_updated_tree_is_one_from_scratch() {
    for seed in 0..10 {
        let mut rng = Rng::new(seed);
        for kernel in Kernel::available() {
            let mut tree = Tree::new(kernel);
            let mut memory = BTreeMap::new();
            for update in 0..4 {
                let mut pages = random_pages(&mut rng);
                // Some pages are written again, some become zero.
                pages.extend(memory.keys().filter(|_| rng.one_in(3)).map(|page| (*page, Box::new([0; 1024]))));
                tree.update(contents(&pages));
                memory.extend(pages);
                let mut fresh = Tree::new(Kernel::PORTABLE);
                fresh.update(contents(&memory));
                assert_eq!(tree.root(), fresh.root(), "{}, seed {seed}, update {update}", kernel.name());
            }
            let zeros = memory.keys().map(|page| (*page, Box::new([0; 1024]))).collect();
            tree.update(contents(&zeros));
            assert_eq!(tree.root(), Tree::new(kernel).root(), "all zero again, {}, seed {seed}", kernel.name());
        }
    }
}

/// Computes the root from pages and siblings, and asserts that every node exists.
fn root_of(pages: &BTreeMap<u32, &PageContent>, siblings: &[(u32, Digest)]) -> Digest {
    let mut digests: BTreeMap<u32, PoseidonDigest> = siblings.iter().map(|(node, digest)| (*node, digest.0)).collect();
    for (page, content) in pages {
        digests.insert(PAGES + page, Kernel::PORTABLE.hash_pages(&[content])[0]);
    }
    let inner: Vec<u32> = digests.keys().copied().filter(|node| digests.contains_key(&(2 * node))).collect();
    for node in inner.into_iter().rev() {
        let parent = Kernel::PORTABLE.hash_pairs(&[[digests[&(2 * node)], digests[&(2 * node + 1)]]])[0];
        digests.insert(node, parent);
    }
    Digest(digests[&1])
}

#[test]
fn segments_hold_together() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut memory = random_pages(&mut rng);
        let mut tree = Tree::new(Kernel::best());
        tree.update(contents(&memory));
        for index in 0..3 {
            let mut touched = random_pages(&mut rng);
            touched.extend(memory.keys().filter(|_| rng.one_in(3)).map(|page| (*page, Box::new([0; 1024]))));
            let pages = touched.keys().map(|&page| TouchedPage {
                page,
                before: memory.get(&page).cloned().unwrap_or_else(|| Box::new([0; 1024])),
                after: rng.one_in(2).then(|| random_page(&mut rng)),
            });
            let pages: Vec<TouchedPage> = pages.collect();
            let record = SegmentRecord { index, pages: pages.clone(), ..SegmentRecord::default() };
            let pre_state = tree.root();
            let segment = tree.seal(record);
            let location = format!("seed {seed}, segment {index}");

            assert_eq!((segment.claim().pre_state, segment.claim().post_state), (pre_state, tree.root()), "{location}");
            let before: BTreeMap<u32, &PageContent> = segment.partial_image().pages().collect();
            assert!(before.keys().eq(touched.keys()), "{location}");
            assert_eq!(root_of(&before, segment.partial_image().digests()), segment.claim().pre_state, "{location}");
            let written = pages.iter().filter_map(|touched| Some((touched.page, &**touched.after.as_ref()?)));
            let mut after = before.clone();
            after.extend(written);
            assert_eq!(root_of(&after, segment.partial_image().digests()), segment.claim().post_state, "{location}");
            memory.extend(pages.iter().filter_map(|touched| Some((touched.page, touched.after.clone()?))));
        }
        let mut fresh = Tree::new(Kernel::best());
        fresh.update(contents(&memory));
        assert_eq!(tree.root(), fresh.root(), "seed {seed}");
    }
}

/// Nonexistent and duplicate pages cannot come from Tachy's machine; they must do no harm.
#[test]
fn strange_records() {
    let page = |page| TouchedPage { page, before: Box::new([0; 1024]), after: Some(Box::new([1; 1024])) };
    let record = SegmentRecord { pages: vec![page(5), page(PAGES), page(u32::MAX), page(5)], ..Default::default() };
    let mut tree = Tree::new(Kernel::best());
    let segment = tree.seal(record);
    assert_eq!(segment.partial_image().pages().map(|(page, _)| page).collect::<Vec<_>>(), [5]);
    let nothing = tree.seal(SegmentRecord::default());
    assert_eq!(nothing.claim().pre_state, nothing.claim().post_state);
    assert_eq!(nothing.claim().pre_state, segment.claim().post_state);

    // No data of a nonexistent page may remain where later pages would find it.
    tree.update([(PAGES, &[2; 1024]), (u32::MAX, &[2; 1024])]);
    let mut fresh = Tree::new(Kernel::best());
    for tree in [&mut tree, &mut fresh] {
        tree.update([(1, &[3; 1024]), (5, &[1; 1024])]);
    }
    assert_eq!(tree.root(), fresh.root());
}

/// The encoding, written out by hand. Postcard's numbers have 7 bits per byte, and lists carry their lengths.
#[test]
fn a_segment_in_bytes() {
    fn number(bytes: &mut Vec<u8>, mut value: u64) {
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
    let record = SegmentRecord {
        index: 1 << 40,
        po2: 20,
        threshold: 1_000_000,
        user_cycles: 300,
        paging_cycles: 70_000,
        pages: vec![TouchedPage { page: 3, before: Box::new([7; 1024]), after: Some(Box::new([8; 1024])) }],
        input: Digest([1, 2, 3, 4, 5, 6, 7, 0x1234_5678]),
        output: Some(Digest([9; 8])),
        terminate: Some((0x0001_0002, 0xffff_0080)),
        reads: vec![vec![1, 2, 3], vec![]],
        writes: vec![5],
        povw_nonce: Some(PovwNonce { log: [11; 20], job: 12, segment: 300 }),
    };
    let mut tree = Tree::new(Kernel::best());
    tree.update([(3, &[7; 1024])]);
    let segment = tree.seal(record.clone());
    assert_eq!((segment.reads(), segment.writes()), (&record.reads[..], &record.writes[..]));
    assert_eq!((segment.index(), segment.po2(), segment.threshold()), (1 << 40, 20, 1_000_000));
    assert_eq!((segment.user_cycles(), segment.paging_cycles()), (300, 70_000));
    assert_eq!(segment.povw_nonce(), record.povw_nonce.as_ref());

    let mut bytes = Vec::new();
    let digest = |bytes: &mut Vec<u8>, digest: Digest| digest.0.iter().for_each(|word| number(bytes, (*word).into()));
    // One page: its number, its length, its bytes.
    [1, 3, 1024].into_iter().for_each(|value| number(&mut bytes, value));
    bytes.extend([7; 1024]);
    // The root, and the node and its sibling at each of 22 levels.
    number(&mut bytes, 45);
    for (node, value) in segment.partial_image().digests() {
        number(&mut bytes, (*node).into());
        digest(&mut bytes, *value);
    }
    number(&mut bytes, 0);
    // The claim.
    digest(&mut bytes, segment.claim().pre_state);
    digest(&mut bytes, segment.claim().post_state);
    digest(&mut bytes, segment.claim().input);
    bytes.push(1);
    digest(&mut bytes, Digest([9; 8]));
    bytes.push(1);
    [1, 2, 0xffff, 0x80].into_iter().for_each(|half| number(&mut bytes, half));
    bytes.push(0);
    // Two reads, one write, and the numbers.
    bytes.extend([2, 3, 1, 2, 3, 0, 1, 5]);
    [300, 70_000, 1_000_000, 20, 1 << 40].into_iter().for_each(|value| number(&mut bytes, value));
    // The nonce: bytes with their length, then numbers.
    bytes.extend([1, 20]);
    bytes.extend([11; 20]);
    [12, 300].into_iter().for_each(|value| number(&mut bytes, value));
    assert!(segment.encode() == bytes, "{:?}\n{bytes:?}", segment.encode());
}
