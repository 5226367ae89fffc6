//! Machine `bare`: runs any static RV32IM program with Linux's initial stack and four of Linux's system calls. The same
//! ELF runs under qemu-riscv32.
//!
//! Memory consists of the program's segments with their permissions, a heap behind the last segment (brk), and an 8 MiB
//! stack. Every other access traps.
//!
//! This module must not know how instructions run, nor how engines translate them.

mod streams;

use tachy_runtime::{Access, HartState, PAGE_BYTES, PAGES, PageState, Slot, page_of};

use crate::error::{BootError, Cause, Error, LimitError, Location};
use crate::isa::{Op, Variant};
use crate::machine::{Budget, Context, End, Flow, Machine, Settled, SliceGrant, StepError, load_bytes, store_bytes};
use crate::machine_kind::MachineKind;
use crate::program::Program;
use crate::rules::Rules;
use crate::run::Run;
use crate::trace::ReplayRules;
pub(crate) use streams::{GuestStreams, Settings};

/// First address above the stack.
pub(crate) const STACK_TOP: u32 = 0xf000_0000;
/// Size of the stack. The page below it is never mapped.
pub(crate) const STACK_BYTES: u32 = 8 << 20;
/// Part of the stack that the arguments may take.
const ARGUMENTS_BYTES: u64 = (STACK_BYTES / 4) as u64;
/// Maximum number of bytes that one read or write moves; the call returns the shorter count. Linux has such a cap too
/// (2 GiB).
const TRANSFER_BYTES: u32 = 1 << 20;
/// Steps charged for clearing one page. Time limits and cancelling are checked between slices, so a slice must not take
/// minutes.
const CLEAR_STEPS: u64 = 64;

/// The machine's own bits of a page state: what the guest may ever do there, and whether the page is already counted.
const MAY_READ: PageState = PageState(0x10);
const MAY_WRITE: PageState = PageState(0x20);
const MAY_FETCH: PageState = PageState(0x40);
const TOUCHED: PageState = PageState(0x80);

// Linux's system call numbers and error codes.
const SYS_READ: u32 = 63;
const SYS_WRITE: u32 = 64;
const SYS_EXIT: u32 = 93;
const SYS_BRK: u32 = 214;
const EBADF: u32 = -9i32 as u32;
const EFAULT: u32 = -14i32 as u32;
const ENOSYS: u32 = -38i32 as u32;

const A0: u8 = 10;
const A1: u8 = 11;
const A2: u8 = 12;
const A7: u8 = 17;
const SP: u8 = 2;

/// State of machine `bare`; see the module.
pub(crate) struct Bare {
    /// Start of the heap: the page after the last segment.
    heap_start: u32,
    /// The current break.
    heap_end: u32,
}

impl Machine for Bare {
    const KIND: MachineKind = MachineKind::Bare;
    const VARIANT: Variant = Variant::Standard;
    const MODES: &'static [&'static str] = &["bare"];
    const RULES: &'static [Rules] = &[Rules::STANDARD];
    const REPLAY: ReplayRules = ReplayRules::STANDARD;
    const COUNTS_CYCLES: bool = false;
    const HANDLES_TRAPS: bool = false;

    type Settings<'env> = Settings<'env>;
    type Surroundings<'env> = GuestStreams<'env>;
    type Takers<'env> = ();
    type Report = ();

    fn settle<'env>(settings: Self::Settings<'env>) -> Result<Settled<'env, Self>, Error> {
        Ok(Settled { surroundings: settings.into(), takers: () })
    }

    fn hand_over<'env>(_: &Program, (): (), run: Box<dyn Run + 'env>) -> Box<dyn Run + 'env> {
        run
    }

    fn mode(&self) -> usize {
        0
    }

    fn boot(
        program: &Program,
        surroundings: &GuestStreams<'_>,
        vm: &mut HartState<'_>,
        budget: &mut Budget,
    ) -> Result<Bare, Error> {
        let at_entry = Location { pc: program.entry(), step: 0 };
        let memory_limit = |budget: &Budget| LimitError { limit: budget.memory_limit(), location: at_entry };
        map_segments(program, vm, budget, at_entry)?;
        let heap_start = program.end().next_multiple_of(PAGE_BYTES as u64);
        let stack_bottom = STACK_TOP - STACK_BYTES;
        let top_segment = program.segments().iter().find(|segment| {
            let end = segment.address as u64 + segment.memory_bytes as u64;
            end > (stack_bottom - PAGE_BYTES) as u64 && segment.address < STACK_TOP
        });
        if let Some(segment) = top_segment {
            return Err(Error::Boot {
                machine: MachineKind::Bare,
                reason: BootError::SegmentInStack {
                    address: segment.address,
                    stack_start: stack_bottom,
                    stack_end: STACK_TOP,
                },
            });
        }
        let stack_pages = page_of(stack_bottom) as usize..page_of(STACK_TOP) as usize;
        vm.page_states_mut().get_mut(stack_pages).unwrap_or_default().fill(MAY_READ.with(MAY_WRITE).0);
        let stack = initial_stack(&surroundings.args)?;
        let sp = STACK_TOP - stack.len() as u32;
        for page in page_of(sp)..=page_of(STACK_TOP - 1) {
            touch(vm, budget, page * PAGE_BYTES).map_err(|_| memory_limit(budget))?;
        }
        store_bytes(vm, sp, &stack).map_err(|broken| broken.at(at_entry))?;
        vm.set_register(Slot::x(SP), sp);
        vm.set_pc(program.entry());
        // A program that ends at the very top of the address space leaves no room for a heap. Its heap is empty, at
        // address 0.
        let heap_start = u32::try_from(heap_start).unwrap_or(0);
        Ok(Bare { heap_start, heap_end: heap_start })
    }

    fn access(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, Bare>,
        _: u64,
        address: u32,
        access: Access,
    ) -> Result<(), StepError> {
        let (may, fault, misaligned) = match access {
            Access::Load(_) => (MAY_READ, Cause::LoadFault, Cause::LoadMisaligned),
            Access::Store(_) => (MAY_WRITE, Cause::StoreFault, Cause::StoreMisaligned),
            Access::Fetch => (MAY_FETCH, Cause::FetchFault, Cause::InstructionMisaligned),
        };
        if !vm.page_state(address).contains(may) {
            return Err(StepError::Trap(fault, address));
        }
        if !address.is_multiple_of(access.align_bytes()) {
            return Err(StepError::Trap(misaligned, address));
        }
        touch(vm, &mut context.budget, address)
    }

    // A failed access changes nothing, so a caller may simply try it.
    fn price(&self, _: &HartState<'_>, _: u32, _: Access) -> Option<u64> {
        Some(0)
    }

    fn stored(&mut self, _: &mut HartState<'_>, _: &mut Context<'_, Bare>, _: u32) -> bool {
        false
    }

    fn allows_native(&self, _: &HartState<'_>) -> bool {
        true
    }

    fn between(&mut self, _: &mut HartState<'_>, _: &mut Context<'_, Bare>) -> Result<SliceGrant, StepError> {
        Ok(SliceGrant { steps: u64::MAX, acted: false })
    }

    fn refused(&mut self, error: StepError, _: &mut HartState<'_>, _: &mut Context<'_, Bare>) -> Result<(), StepError> {
        Err(error)
    }

    fn end(&mut self, _: &mut HartState<'_>, _: &mut Context<'_, Bare>) -> Result<(), StepError> {
        Ok(())
    }

    fn system(&mut self, op: Op, vm: &mut HartState<'_>, context: &mut Context<'_, Bare>) -> Result<Flow, StepError> {
        match op {
            Op::Ecall => self.ecall(vm, context),
            _ => Err(StepError::Trap(Cause::Breakpoint, vm.pc())),
        }
    }
}

impl Bare {
    fn ecall(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Bare>) -> Result<Flow, StepError> {
        // The call writes its effects as it proceeds. They are dropped if it is refused.
        let effects_before = context.effects.len();
        let result = match context.read_register(vm, A7) {
            SYS_EXIT => {
                context.ecalls += 1;
                return Ok(Flow::Exit(End::Exited(context.read_register(vm, A0))));
            }
            number @ (SYS_READ | SYS_WRITE) => {
                // Streams may block for a long time.
                vm.end_slice();
                if number == SYS_READ { self.read(vm, context) } else { self.write(vm, context) }
            }
            SYS_BRK => self.brk(vm, context),
            _ => {
                context.ecalls_unknown += 1;
                Ok(ENOSYS)
            }
        };
        match result {
            Ok(value) => {
                context.ecalls += 1;
                context.write_register(vm, A0, value);
                Ok(Flow::Next)
            }
            Err(error) => {
                context.effects.truncate(effects_before);
                Err(error)
            }
        }
    }

    fn read(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Bare>) -> Result<u32, StepError> {
        let [descriptor, buffer, bytes] = [A0, A1, A2].map(|number| context.read_register(vm, number));
        if descriptor != 0 {
            return Ok(EBADF);
        }
        let bytes = bytes.min(TRANSFER_BYTES);
        if !self.prepare(vm, &mut context.budget, buffer, bytes, MAY_WRITE)? {
            return Ok(EFAULT);
        }
        let mut data = vec![0; bytes as usize];
        let filled = context.surroundings.read_stdin(&mut data)?;
        data.truncate(filled);
        context.write_memory(vm, buffer, &data)?;
        Ok(filled as u32)
    }

    fn write(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Bare>) -> Result<u32, StepError> {
        let [descriptor, buffer, bytes] = [A0, A1, A2].map(|number| context.read_register(vm, number));
        if descriptor != 1 && descriptor != 2 {
            return Ok(EBADF);
        }
        let bytes = bytes.min(TRANSFER_BYTES);
        if !self.prepare(vm, &mut context.budget, buffer, bytes, MAY_READ)? {
            return Ok(EFAULT);
        }
        let total = context.budget.output_bytes + bytes as u64;
        if context.budget.limit_output_bytes.is_some_and(|limit| total > limit) {
            return Err(StepError::OutputLimit);
        }
        context.record_memory_read(vm, buffer, bytes);
        context.surroundings.write_output(descriptor == 1, load_bytes(vm, buffer, bytes)?)?;
        context.budget.output_bytes = total;
        Ok(bytes)
    }

    /// Checks that all of a buffer permits `may`, and touches its pages if so.
    fn prepare(
        &mut self,
        vm: &mut HartState<'_>,
        budget: &mut Budget,
        address: u32,
        bytes: u32,
        may: PageState,
    ) -> Result<bool, StepError> {
        if bytes == 0 {
            return Ok(true);
        }
        let Some(last) = address.checked_add(bytes - 1) else { return Ok(false) };
        let pages = page_of(address)..=page_of(last);
        if !pages.clone().all(|page| vm.page_state(page * PAGE_BYTES).contains(may)) {
            return Ok(false);
        }
        for page in pages {
            touch(vm, budget, page * PAGE_BYTES)?;
        }
        Ok(true)
    }

    /// Moves the break to the requested address if possible, and returns the resulting break.
    ///
    /// Pages above a lowered break are unmapped. They are zero when they return, and stay counted. One call clears at
    /// most [`TRANSFER_BYTES`] and lowers the break no further than that. This bounds the memory of its effects.
    fn brk(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Bare>) -> Result<u32, StepError> {
        let mut wanted = context.read_register(vm, A0);
        let limit = STACK_TOP - STACK_BYTES - PAGE_BYTES;
        if wanted < self.heap_start || wanted > limit || self.heap_start == 0 {
            return Ok(self.heap_end);
        }
        let old_end = self.heap_end.next_multiple_of(PAGE_BYTES);
        let mut dirty = Vec::new();
        if wanted < self.heap_end {
            (wanted, dirty) = clearable(vm, wanted, old_end);
        }
        let new_end = wanted.next_multiple_of(PAGE_BYTES);
        vm.charge(page_of(old_end).abs_diff(page_of(new_end)).into());
        if new_end > old_end {
            for page in page_of(old_end)..page_of(new_end) {
                let state = vm.page_state(page * PAGE_BYTES).with(MAY_READ).with(MAY_WRITE);
                vm.set_page_state(page * PAGE_BYTES, state);
            }
        } else if wanted < self.heap_end {
            // Everything above the new break is discarded. It is zeroed now, with an effect for each word, so that a
            // later growth shows zeros.
            for (from, to) in dirty.into_iter().rev() {
                vm.charge(CLEAR_STEPS);
                context.write_memory(vm, from, &vec![0; (to - from) as usize])?;
            }
            for page in page_of(new_end)..page_of(old_end) {
                vm.set_page_state(page * PAGE_BYTES, PageState(vm.page_state(page * PAGE_BYTES).0 & TOUCHED.0));
            }
        }
        self.heap_end = wanted;
        Ok(wanted)
    }
}

/// A page of zeros.
const ZEROS: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];

/// Returns whether any byte between two addresses of one page is nonzero. Untouched pages are zero and must not be made
/// resident.
fn is_dirty(vm: &HartState<'_>, from: u32, to: u32) -> bool {
    // Compares whole slices, because a guest can force a scan of millions of pages.
    let not_zero = |data: &[u8]| ZEROS.get(..data.len()) != Some(data);
    vm.page_state(from).contains(TOUCHED) && vm.bytes(from, to - from).is_some_and(not_zero)
}

/// Returns the lowest address from `from` up that leaves at most [`TRANSFER_BYTES`] to clear below `to`. Also returns
/// the ranges to clear, one per page, highest first.
fn clearable(vm: &HartState<'_>, from: u32, to: u32) -> (u32, Vec<(u32, u32)>) {
    let mut dirty = Vec::new();
    let mut lowest = to;
    while lowest > from {
        let start = from.max(page_of(lowest - 1) * PAGE_BYTES);
        if is_dirty(vm, start, lowest) {
            if dirty.len() == (TRANSFER_BYTES / PAGE_BYTES) as usize {
                return (lowest, dirty);
            }
            dirty.push((start, lowest));
        }
        lowest = start;
    }
    (from, dirty)
}

/// Counts the page at its first touch, and opens it for everything that its permissions allow.
fn touch(vm: &mut HartState<'_>, budget: &mut Budget, address: u32) -> Result<(), StepError> {
    let mut state = vm.page_state(address);
    if !state.contains(TOUCHED) {
        budget.take_pages(1)?;
        state = state.with(TOUCHED);
    }
    vm.set_page_state(address, opened(state));
    Ok(())
}

/// Sets the engines' bits that the machine's bits permit. Stores into pages with code always need an assist.
fn opened(state: PageState) -> PageState {
    let mut opened = state;
    for (may, now) in [(MAY_READ, PageState::READ), (MAY_WRITE, PageState::WRITE), (MAY_FETCH, PageState::FETCH)] {
        if state.contains(may) {
            opened = opened.with(now);
        }
    }
    if state.contains(PageState::CODE) { opened.without(PageState::WRITE) } else { opened }
}

/// Copies the segments into memory and opens their pages, which all count. A page shared by two segments gets the
/// permissions of both.
fn map_segments(
    program: &Program,
    vm: &mut HartState<'_>,
    budget: &mut Budget,
    location: Location,
) -> Result<(), Error> {
    let mut counted_to = 0;
    for segment in program.segments() {
        let end = segment.address as u64 + segment.memory_bytes as u64;
        let pages = page_of(segment.address)..end.div_ceil(PAGE_BYTES as u64).min(PAGES as u64) as u32;
        // Segments are sorted and disjoint, so only the first page can be counted already.
        let limit = budget.memory_limit();
        budget
            .take_pages((pages.end - pages.start.max(counted_to).min(pages.end)) as u64)
            .map_err(|_| LimitError { limit, location })?;
        counted_to = pages.end;
        let mut may = TOUCHED;
        for (allowed, bit) in [
            (segment.permissions.read, MAY_READ),
            (segment.permissions.write, MAY_WRITE),
            (segment.permissions.execute, MAY_FETCH),
        ] {
            may = if allowed { may.with(bit) } else { may };
        }
        for state in vm.page_states_mut().get_mut(pages.start as usize..pages.end as usize).unwrap_or_default() {
            *state = opened(PageState(*state).with(may)).0;
        }
        store_bytes(vm, segment.address, &segment.data).map_err(|broken| broken.at(location))?;
    }
    Ok(())
}

/// Builds the stack of a new program as Linux does: argc, argv, an empty environment, an auxiliary vector, the strings.
/// The result ends at [`STACK_TOP`]. Its length is a multiple of 16, because the calling convention aligns sp to 16
/// bytes.
///
/// Source: System V ABI, RISC-V supplement, and Linux's `create_elf_tables`.
fn initial_stack(args: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    const AT_NULL: u32 = 0;
    const AT_PAGESZ: u32 = 6;
    const LINUX_PAGE_BYTES: u32 = 4096;
    let strings_bytes: u64 = args.iter().map(|arg| arg.len() as u64 + 1).sum();
    // argc, argv with its null, the null of envp, two auxiliary pairs.
    let words = 1 + args.len() as u64 + 1 + 1 + 4;
    let bytes = (4 * words + strings_bytes).next_multiple_of(16);
    if bytes > ARGUMENTS_BYTES {
        return Err(Error::Arguments { bytes, limit_bytes: ARGUMENTS_BYTES });
    }
    let mut table = vec![args.len() as u32];
    let mut strings = Vec::new();
    let strings_start = STACK_TOP - bytes as u32 + 4 * words as u32;
    for arg in args {
        table.push(strings_start + strings.len() as u32);
        strings.extend_from_slice(arg);
        strings.push(0);
    }
    table.extend([0, 0, AT_PAGESZ, LINUX_PAGE_BYTES, AT_NULL, 0]);
    let mut stack: Vec<u8> = table.iter().flat_map(|word| word.to_le_bytes()).collect();
    stack.extend(strings);
    stack.resize(bytes as usize, 0);
    Ok(stack)
}
