//! Segments: the reference's own, made again from what can be seen of them, come out the same byte for byte; and random
//! ones are read by the reference and hold together there.

use std::collections::BTreeMap;

use oracle_images::rng::Rng;
use oracle_images::{digest, our_digest, random_page, random_pages};
use risc0_binfmt::{MemoryImage, Page, Program, WordAddr};
use risc0_circuit_rv32im::execute::testutil::{DEFAULT_SESSION_LIMIT, NullSyscall, execute, kernel};
use risc0_circuit_rv32im::execute::{Segment, SimpleSession};
use tachy::risc0::poseidon2::Kernel;
use tachy::risc0::{PageContent, PovwNonce, SegmentRecord, TouchedPage, Tree};

fn page(content: &PageContent) -> Page {
    let mut page = Page::default();
    for (index, word) in content.as_chunks().0.iter().enumerate() {
        page.store(WordAddr(index as u32), u32::from_le_bytes(*word));
    }
    page
}

fn content(page: &Page) -> Box<PageContent> {
    Box::new(page.data()[..].try_into().expect("a page has 1024 bytes"))
}

/// What the reference's partial image holds; its fields are not public, its encoding is.
fn pages_of(segment: &Segment) -> BTreeMap<u32, Page> {
    segment.partial_image.clone().into_pages()
}

/// The record that a machine would have handed over. What a page holds after a segment is what it held when it was next
/// touched, or in the end.
fn records(session: &SimpleSession) -> Vec<SegmentRecord> {
    let mut after = session.result.post_image.clone();
    let mut later = BTreeMap::new();
    let mut records = Vec::new();
    for segment in session.segments.iter().rev() {
        let touched = pages_of(segment);
        let pages = touched.iter().map(|(&number, before)| {
            let last = later.get(&number).cloned().unwrap_or_else(|| after.get_page(number).expect("a whole image"));
            let (before, last) = (content(before), content(&last));
            // Whether a page was written or only read cannot be seen where it stays the same, and does not matter.
            let after = (before != last).then_some(last);
            TouchedPage { page: number, before, after }
        });
        let terminate = segment.claim.terminate_state.map(|state| (state.a0.into(), state.a1.into()));
        records.push(SegmentRecord {
            index: segment.index,
            po2: segment.po2,
            threshold: segment.segment_threshold,
            user_cycles: segment.suspend_cycle,
            paging_cycles: segment.paging_cycles,
            pages: pages.collect(),
            input: our_digest(&segment.claim.input),
            output: segment.claim.output.as_ref().map(our_digest),
            terminate,
            reads: segment.read_record.clone(),
            writes: segment.write_record.clone(),
            povw_nonce: None,
        });
        later.extend(touched);
    }
    records.reverse();
    records
}

/// Runs a program on the reference and makes its segments again.
fn compare(program: Program, po2: usize, name: &str) -> usize {
    let image = MemoryImage::new_kernel(program);
    let session = execute(image.clone(), po2, 2000, DEFAULT_SESSION_LIMIT, &NullSyscall, None).expect("it runs");
    for kernel in Kernel::available() {
        let mut tree = Tree::new(kernel);
        let initial: Vec<_> =
            image.clone().into_pages().iter().map(|(number, page)| (*number, content(page))).collect();
        tree.update(initial.iter().map(|(number, content)| (*number, &**content)));
        assert_eq!(digest(tree.root()), image.clone().image_id(), "{name}");
        for (theirs, record) in session.segments.iter().zip(records(&session)) {
            let ours = tree.seal(record);
            let location = format!("{name}, segment {}, {}", theirs.index, kernel.name());
            assert_eq!(digest(ours.claim().pre_state), theirs.claim.pre_state, "{location}: pre-state");
            assert_eq!(digest(ours.claim().post_state), theirs.claim.post_state, "{location}: post-state");
            assert!(ours.encode() == theirs.encode().expect("it encodes"), "{location}: encodings differ");
        }
        assert_eq!(digest(tree.root()), session.result.claim.post_state, "{name}");
    }
    session.segments.len()
}

#[test]
fn sessions_of_one_segment() {
    assert_eq!(compare(kernel::basic(), 14, "basic"), 1);
    assert_eq!(compare(kernel::multi_read(), 18, "multi_read"), 1);
}

#[test]
fn sessions_of_many_segments() {
    assert!(compare(kernel::simple_loop(20_000), 14, "simple_loop") > 2);
}

/// A segment of anything, on a tree of anything.
fn random_record(rng: &mut Rng, memory: &mut BTreeMap<u32, Box<PageContent>>, index: u64) -> SegmentRecord {
    let mut numbers = random_pages(rng);
    numbers.extend(memory.keys().copied().filter(|_| rng.one_in(4)));
    numbers.sort_unstable();
    numbers.dedup();
    let mut pages: Vec<TouchedPage> = Vec::new();
    for page in numbers {
        let before = memory.get(&page).cloned().unwrap_or_else(|| Box::new([0; 1024]));
        let after = rng.one_in(2).then(|| random_page(rng));
        if let Some(after) = &after {
            memory.insert(page, after.clone());
        }
        // In any order.
        pages.insert(rng.below(pages.len() as u64 + 1) as usize, TouchedPage { page, before, after });
    }
    let bytes = |rng: &mut Rng| (0..rng.below(300)).map(|_| rng.bits() as u8).collect();
    let nonce = PovwNonce { log: std::array::from_fn(|_| rng.bits() as u8), job: rng.bits(), segment: rng.word() };
    SegmentRecord {
        index,
        po2: rng.word(),
        threshold: rng.word(),
        user_cycles: rng.word(),
        paging_cycles: rng.word(),
        pages,
        input: tachy::risc0::Digest(std::array::from_fn(|_| rng.word())),
        output: rng.one_in(2).then(|| tachy::risc0::Digest(std::array::from_fn(|_| rng.word()))),
        terminate: rng.one_in(2).then(|| (rng.word(), rng.word())),
        reads: (0..rng.below(5)).map(|_| bytes(rng)).collect(),
        writes: (0..rng.below(5)).map(|_| rng.word()).collect(),
        povw_nonce: rng.one_in(2).then_some(nonce),
    }
}

#[test]
fn random_segments() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut memory = BTreeMap::new();
        let mut tree = Tree::new(Kernel::best());
        for index in 0..4 {
            let record = random_record(&mut rng, &mut memory, index);
            let ours = tree.seal(record.clone());
            let location = format!("seed {seed}, segment {index}");
            let theirs = Segment::decode(&ours.encode()).unwrap_or_else(|error| panic!("{location}: {error}"));
            assert!(theirs.encode().expect("it encodes") == ours.encode(), "{location}: it comes back otherwise");

            // Every field came through.
            assert_eq!((theirs.index, theirs.po2, theirs.segment_threshold), (index, record.po2, record.threshold));
            assert_eq!((theirs.suspend_cycle, theirs.paging_cycles), (record.user_cycles, record.paging_cycles));
            assert_eq!((theirs.read_record, theirs.write_record), (record.reads, record.writes), "{location}");
            assert_eq!(theirs.claim.input, digest(record.input), "{location}");
            assert_eq!(theirs.claim.output, record.output.map(digest), "{location}");
            let terminate = theirs.claim.terminate_state.map(|state| (state.a0.into(), state.a1.into()));
            assert_eq!(terminate, record.terminate, "{location}");
            let nonce = theirs.povw_nonce.map(|nonce| (nonce.log.to_be_bytes::<20>(), nonce.job, nonce.segment));
            assert_eq!(nonce, record.povw_nonce.map(|nonce| (nonce.log, nonce.job, nonce.segment)), "{location}");

            // The partial image is what the reference makes of the same pages.
            assert_partial_image(&theirs.partial_image, &record.pages, &location);
            let mut image = theirs.partial_image;
            assert_eq!(image.image_id(), theirs.claim.pre_state, "{location}");
            for touched in &record.pages {
                image.set_page(touched.page, page(&touched.before));
            }
            image.update_digests();
            assert_eq!(image.image_id(), theirs.claim.pre_state, "{location}: hashed anew");
            for touched in &record.pages {
                if let Some(after) = &touched.after {
                    image.set_page(touched.page, page(after));
                }
            }
            image.update_digests();
            assert_eq!(image.image_id(), theirs.claim.post_state, "{location}");
        }
    }
}

/// The pages and nodes are those that must be there, and no others.
fn assert_partial_image(image: &MemoryImage, touched: &[TouchedPage], location: &str) {
    let mut pages: Vec<u32> = touched.iter().map(|touched| touched.page).collect();
    pages.sort_unstable();
    assert_eq!(image.get_page_indexes().into_iter().collect::<Vec<_>>(), pages, "{location}");
    let above = |page: u32| (0..=22).map(move |level| (1 << 22 | page) >> level);
    let mut nodes: Vec<u32> =
        pages.iter().copied().flat_map(above).flat_map(|node| [node, (node ^ 1).max(1)]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let theirs: Vec<u32> = image.digests().map(|(node, _)| *node).collect();
    assert_eq!(theirs, nodes, "{location}");
}
