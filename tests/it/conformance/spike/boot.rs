//! The boot data for the shim: the guest's segments, its stack, and the permissions of each range.

use std::path::PathBuf;

use tachy::Session;
use tachy::program::Program;

const PAGE: u32 = 1024;
/// Page size of Spike's memory.
const SPIKE_PAGE: u32 = 4096;
const STACK_TOP: u32 = 0xf000_0000;
const STACK_BYTES: u32 = 8 << 20;
/// Room after the last segment, for the heap.
const HEAP_BYTES: u32 = 1 << 20;
/// Number of ranges in the shim's plan; the last one is the heap.
const RANGES: usize = 6;
const SHIM: u32 = 0xf100_0000;
const SHIM_BYTES: u32 = 64 << 10;

/// A range of addresses and its permissions: 1 read, 2 write, 4 execute.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: u32,
    end: u32,
    may: u32,
}

/// A guest that is ready to boot.
pub struct Plan {
    entry: u32,
    sp: u32,
    heap_start: u32,
    ranges: Vec<Range>,
    /// The memory to load.
    segments: Vec<(u32, Vec<u8>)>,
    /// The address where the shim expects the plan.
    address: u32,
}

/// Returns the path of the shim, which shim/build.sh builds.
pub fn shim() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/spike/shim/shim.elf")
}

/// Builds the plan for a program. `session` stands before its first step.
pub fn plan(session: &Session<'_>, program: &Program) -> Plan {
    let mut ranges: Vec<Range> = Vec::new();
    let mut segments = Vec::new();
    for segment in program.segments() {
        segments.push((segment.address, segment.data.clone()));
        let permissions = segment.permissions;
        let may = u32::from(permissions.read) | u32::from(permissions.write) << 1 | u32::from(permissions.execute) << 2;
        let start = segment.address / PAGE * PAGE;
        let end = (segment.end() as u32).next_multiple_of(PAGE);
        match ranges.last_mut() {
            // A page that two segments share would need a range of its own; the guests' linker scripts create none.
            Some(last) if last.end > start => panic!("segments share a page at {start:#x}"),
            Some(last) if last.end == start && last.may == may => last.end = end,
            _ => ranges.push(Range { start, end, may }),
        }
    }
    ranges.push(Range { start: STACK_TOP - STACK_BYTES, end: STACK_TOP, may: 3 });
    assert!(ranges.len() < RANGES, "the shim has no room for so many segments");
    let sp = session.registers()[2];
    segments.push((sp, session.bytes(sp, STACK_TOP - sp).expect("the stack").to_vec()));
    let heap_start = (program.end() as u32).next_multiple_of(PAGE);
    let shim = std::fs::read(shim()).expect("the shim is in the repository");
    let shim = Program::from_elf(&shim).expect("a good program");
    let address = shim.symbols().iter().find(|symbol| symbol.name == "plan").expect("its plan").address;
    Plan { entry: program.entry(), sp, heap_start, ranges, segments, address }
}

impl Plan {
    /// Returns Spike's option that describes the memory.
    pub fn memory(&self) -> String {
        let start = self.ranges[0].start / SPIKE_PAGE * SPIKE_PAGE;
        let end = (self.heap_start + HEAP_BYTES).next_multiple_of(SPIKE_PAGE);
        let regions = [(start, end - start), (STACK_TOP - STACK_BYTES, STACK_BYTES), (SHIM, SHIM_BYTES)];
        regions.map(|(start, bytes)| format!("{start:#x}:{bytes:#x}")).join(",")
    }

    /// Builds a file to load next to the shim: the guest with its stack and the shim's plan.
    pub fn elf(&self) -> Vec<u8> {
        // Spike's brk fails where memory ends here. Tachy's ends at the stack, which no test program reaches.
        let heap_limit = STACK_TOP - STACK_BYTES - PAGE;
        let mut plan = vec![self.entry, self.sp, self.heap_start, heap_limit];
        let unused = Range { start: 0, end: 0, may: 0 };
        let ranges = self.ranges.iter().copied().chain(std::iter::repeat(unused)).take(RANGES);
        plan.extend(ranges.flat_map(|range| [range.start, range.end, range.may]));
        let plan = plan.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut segments = self.segments.clone();
        segments.push((self.address, plan));
        let flags = 7;
        let segments: Vec<(u32, &[u8], u32)> =
            segments.iter().map(|(address, bytes)| (*address, bytes.as_slice(), flags)).collect();
        with_section(crate::common::elf(self.entry, &segments))
    }
}

/// Adds a table with one nameless section, without which Spike loads nothing.
fn with_section(mut elf: Vec<u8>) -> Vec<u8> {
    const SECTION_HEADER_BYTES: u16 = 40;
    let name = elf.len() as u32;
    elf.push(0);
    elf.resize(elf.len().next_multiple_of(4), 0);
    let table = elf.len() as u32;
    // Name, type (strings), flags, address, offset, size, link, info, alignment, entry size.
    for word in [0, 3, 0, 0, name, 1, 0, 0, 1, 0] {
        elf.extend(u32::to_le_bytes(word));
    }
    elf[32..36].copy_from_slice(&table.to_le_bytes());
    // Size of an entry, number of entries, index of the entry with the names.
    for (at, value) in [(46, SECTION_HEADER_BYTES), (48, 1), (50, 0)] {
        elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    elf
}
