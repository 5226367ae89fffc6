//! Code memory: where generated code lives, published through cranelift-jit, freed whole.
//!
//! One reservation, filled from the front. Pages are writable while a batch of functions is copied in, then sealed:
//! executable and never writable again. A page is never both, and a full memory is not recycled but replaced. Where the
//! system refuses to open or to seal pages, nobody knows which of them it has changed: the memory is closed, nothing is
//! written there again, and what it has published stays. The table that says which guest pc has code belongs to it, so
//! that no entry can lead into another memory.

use std::fmt;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule};
use cranelift_module::{DataDescription, DataId, Module, ModuleError, ModuleResult, default_libcall_names};
use thiserror::Error;
use wasmtime_internal_jit_icache_coherence::{clear_cache, pipeline_flush_mt};

use crate::dispatch::{DispatchTable, Entry};
use crate::hart::ProgressUnit;
use crate::map::{MapError, Mapping, system_page_bytes};

/// Alignment of a function, and the first offset in use, so that offset 0 never is a function.
const FUNCTION_ALIGN_BYTES: usize = 32;

/// Why code could not be published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodeError {
    /// No room is left: drop this memory and start another.
    #[error("code memory is full ({used_bytes} of {capacity_bytes} bytes used)")]
    Full {
        /// Bytes in use.
        used_bytes: usize,
        /// Bytes there are.
        capacity_bytes: usize,
    },
    /// The system refused the reservation.
    #[error(transparent)]
    Map(#[from] MapError),
    /// cranelift-jit refused the batch: of what is published here, because the system refused to make its pages writable
    /// or executable. The memory is closed from here on.
    #[error("publishing code failed")]
    Module(#[from] Box<ModuleError>),
    /// An earlier batch failed, so that the memory takes no more code: drop it and start another.
    #[error("code memory takes no more code, since an earlier batch failed")]
    Closed,
}

/// A published function: only the memory it was published in takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// The memory it is in. Its address does not say so: the system gives that again once the memory is gone.
    memory: MemoryNumber,
    /// Address of the first instruction.
    address: usize,
    /// Bytes from the first one of the memory. Never 0.
    offset: u32,
}

impl Function {
    /// Address of the first instruction, for naming it to a profiler.
    pub fn address(self) -> usize {
        self.address
    }
}

/// Tells the code memories of a process apart. No two ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MemoryNumber(u64);

impl MemoryNumber {
    fn next() -> MemoryNumber {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        MemoryNumber(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The machine code of the three functions that make a code memory enterable.
#[derive(Debug, Clone, Copy)]
pub struct StubCode<'a> {
    /// `extern "C" fn(base) -> u32`: calls the region that has an entry at the context's pc and returns what it returns: 0
    /// when control came to a pc without entry. Also 0 when there is no entry in the first place.
    pub dispatcher: &'a [u8],
    /// Preserves all registers, takes the base, calls the access helper.
    pub access: &'a [u8],
    /// Preserves all registers, takes the base, calls the refill helper.
    pub refill: &'a [u8],
}

/// The stubs as addresses.
#[derive(Clone, Copy)]
pub(crate) struct Stubs {
    pub(crate) dispatcher: *const u8,
    pub(crate) access: *const u8,
    pub(crate) refill: *const u8,
}

// SAFETY: they are the addresses of sealed code, which any thread may run and none can change.
unsafe impl Send for Stubs {}
// SAFETY: as above.
unsafe impl Sync for Stubs {}

/// The reservation, shared by the module that writes it and the memory that is entered.
struct Arena {
    mapping: Mapping,
    capacity_bytes: usize,
    /// What is sealed is whole pages of the system.
    page_bytes: usize,
    used_bytes: AtomicUsize,
    /// Whether a batch has failed on the way: its pages may be writable, executable or gone, and none is written again.
    closed: AtomicBool,
}

impl Arena {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Changes what may be done with pages, and closes the memory if the system refuses.
    fn change(&self, change: impl FnOnce(&Mapping) -> io::Result<()>) -> io::Result<()> {
        if self.is_closed() {
            return Err(io::Error::other("code memory is closed"));
        }
        // Closed while it is uncertain, so that a panic on the way leaves it closed as well.
        self.closed.store(true, Ordering::Relaxed);
        change(&self.mapping)?;
        self.closed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes needed to place `bytes` more, from the current end.
    fn place(&self, bytes: usize, align: usize) -> Option<(usize, usize)> {
        let start = self.used_bytes().next_multiple_of(align.max(FUNCTION_ALIGN_BYTES));
        let end = start.checked_add(bytes)?;
        (end.next_multiple_of(self.page_bytes) <= self.capacity_bytes).then_some((start, end))
    }
}

/// Gives cranelift-jit memory from an [`Arena`].
struct Provider {
    arena: Arc<Arena>,
    /// Bytes below this are sealed; whole pages.
    sealed_bytes: usize,
    /// Bytes from `sealed_bytes` up to this are writable.
    open_bytes: usize,
}

impl JITMemoryProvider for Provider {
    fn allocate(&mut self, size: usize, align: u64, kind: JITMemoryKind) -> io::Result<*mut u8> {
        // Code comes as read-only data, as `define` says.
        if !matches!(kind, JITMemoryKind::ReadOnly) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "code memory holds only code"));
        }
        let (start, end) = self.arena.place(size, align as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        let need = end.next_multiple_of(self.arena.page_bytes);
        let from = self.open_bytes.max(self.sealed_bytes);
        self.arena.change(|mapping| match need > from {
            true => mapping.allow_read_write(from, need - from).map_err(|error| error.source),
            false => Ok(()),
        })?;
        self.open_bytes = need.max(from);
        self.arena.used_bytes.store(end, Ordering::Relaxed);
        Ok(self.arena.mapping.start().as_ptr().wrapping_add(start))
    }

    // SAFETY: nothing is freed here; the reservation goes when the last holder of the arena does.
    unsafe fn free_memory(&mut self) {}

    fn finalize(&mut self, _: BranchProtection) -> ModuleResult<()> {
        if self.open_bytes > self.sealed_bytes {
            let (offset, bytes) = (self.sealed_bytes, self.open_bytes - self.sealed_bytes);
            self.arena.change(|mapping| seal(mapping, offset, bytes)).map_err(|err| ModuleError::Allocation { err })?;
            self.sealed_bytes = self.open_bytes;
            self.arena.used_bytes.store(self.sealed_bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Makes `bytes` from `offset` executable, and seen as what they are by every processor: not all of them keep their
/// instruction caches and pipelines up to date by themselves.
fn seal(mapping: &Mapping, offset: usize, bytes: usize) -> io::Result<()> {
    let start = mapping.start().as_ptr().wrapping_add(offset);
    // SAFETY: nothing is required but that a hart does not run this memory before the pipelines are flushed, below: its
    // functions are not known to anyone yet.
    unsafe { clear_cache(start.cast(), bytes) }.map_err(io::Error::other)?;
    mapping.allow_read_execute(offset, bytes).map_err(|error| error.source)?;
    pipeline_flush_mt().map_err(io::Error::other)
}

/// Copies one function in, which finalizing then seals. All functions are anonymous and called only through the table.
///
/// They are data to cranelift-jit, because it writes the names that it has for functions into the map of Linux's perf
/// whenever `PERF_BUILDID_DIR` is set, as `perf record` does, and panics where it cannot. That map is for names of the
/// guest's functions, and for embedders who ask for it.
fn define(module: &mut JITModule, code: &[u8]) -> Result<DataId, Box<ModuleError>> {
    let id = module.declare_anonymous_data(false, false)?;
    let mut data = DataDescription::new();
    data.define(code.into());
    data.set_align(FUNCTION_ALIGN_BYTES as u64);
    module.define_data(id, &data)?;
    Ok(id)
}

/// Executable memory with a fixed budget, and the entries into it by guest pc. Harts on any thread run from it while
/// one at a time publishes.
pub struct CodeMemory {
    number: MemoryNumber,
    unit: ProgressUnit,
    module: Mutex<JITModule>,
    arena: Arc<Arena>,
    stubs: Stubs,
    table: DispatchTable,
}

// Threads share it by what its parts are: the module behind a lock, atomics, and addresses that nothing changes.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<CodeMemory>()
};

impl CodeMemory {
    /// Reserves `capacity_bytes`, below 2 GiB, for code of `isa` that counts in this unit, and publishes the stubs.
    ///
    /// # Errors
    /// When the system refuses the address space.
    ///
    /// # Safety
    /// As for [`CodeMemory::publish`]; the stubs are what [`StubCode`] says.
    pub unsafe fn new(
        isa: OwnedTargetIsa,
        capacity_bytes: usize,
        unit: ProgressUnit,
        stubs: StubCode<'_>,
    ) -> Result<CodeMemory, CodeError> {
        let page_bytes = system_page_bytes();
        let capacity_bytes = capacity_bytes.clamp(page_bytes, 1 << 31).next_multiple_of(page_bytes);
        let arena = Arc::new(Arena {
            mapping: Mapping::reserve(capacity_bytes)?,
            capacity_bytes,
            page_bytes,
            used_bytes: AtomicUsize::new(FUNCTION_ALIGN_BYTES),
            closed: AtomicBool::new(false),
        });
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.memory_provider(Box::new(Provider { arena: arena.clone(), sealed_bytes: 0, open_bytes: 0 }));
        let none = Stubs { dispatcher: ptr::null(), access: ptr::null(), refill: ptr::null() };
        let module = Mutex::new(JITModule::new(builder));
        let (number, table) = (MemoryNumber::next(), DispatchTable::new());
        let mut memory = CodeMemory { number, unit, module, arena, stubs: none, table };
        // SAFETY: the caller vouches for the stubs.
        let functions = unsafe { memory.publish(&[stubs.dispatcher, stubs.access, stubs.refill])? };
        #[expect(clippy::indexing_slicing, reason = "three were published")]
        let [dispatcher, access, refill] = [0, 1, 2].map(|stub| functions[stub].address() as *const u8);
        memory.stubs = Stubs { dispatcher, access, refill };
        Ok(memory)
    }

    /// Copies functions in, one batch, and seals them. Returns where each starts.
    ///
    /// # Errors
    /// [`CodeError::Full`] when the batch does not fit: nothing is changed then. After any other error the memory takes no
    /// more code: [`CodeError::Closed`] says so from then on.
    ///
    /// # Safety
    /// Each function must be position-independent machine code for this host without relocations, and keep to the
    /// region ABI: `fn(base, word of the dispatch table, progress) -> u32` in the convention its callers use, which
    /// touches no host memory but guest base + u32, page states and the zeros behind them by a 24-bit index, context + a
    /// constant of `layout`, the dispatch table by a pc, and, where progress is counted in rows, the row cursor below its
    /// limit; which adds the memory's unit to progress for each step; which calls nothing but the context's stubs and what
    /// the dispatch table leads to; and which takes any entry number.
    pub unsafe fn publish(&self, functions: &[&[u8]]) -> Result<Vec<Function>, CodeError> {
        let bytes = functions.iter().map(|code| code.len().next_multiple_of(FUNCTION_ALIGN_BYTES)).sum();
        // A panic inside the module may leave it half-way: then nothing more is published here.
        let mut module = self.module.lock().map_err(|_| CodeError::Closed)?;
        if self.arena.is_closed() {
            return Err(CodeError::Closed);
        }
        if self.arena.place(bytes, FUNCTION_ALIGN_BYTES).is_none() {
            return Err(CodeError::Full { used_bytes: self.used_bytes(), capacity_bytes: self.arena.capacity_bytes });
        }
        let mut ids = Vec::with_capacity(functions.len());
        for code in functions {
            ids.push(define(&mut module, code)?);
        }
        module.finalize_definitions().map_err(Box::new)?;
        let function = |id| {
            let (address, _) = module.get_finalized_data(id);
            let address = address as usize;
            Function { memory: self.number, address, offset: (address - self.base() as usize) as u32 }
        };
        Ok(ids.into_iter().map(function).collect())
    }

    /// What a step adds to progress in the code that is here.
    pub(crate) fn unit(&self) -> ProgressUnit {
        self.unit
    }

    /// Bytes in use, whole pages.
    pub fn used_bytes(&self) -> usize {
        self.arena.used_bytes()
    }

    /// Pages of the system in use.
    pub fn used_pages(&self) -> usize {
        self.used_bytes() / self.arena.page_bytes
    }

    /// The entry at `pc`, if there is one.
    #[inline]
    pub fn entry(&self, pc: u32) -> Option<Entry> {
        self.table.get(pc)
    }

    /// Whether so many entries more find room in the table, which is bounded as the code is.
    pub fn has_room_for_entries(&self, count: usize) -> bool {
        self.table.has_room(count)
    }

    /// Makes `pc`, a multiple of 4, lead into `function` as its entry number `entry`; `region` is the number by which
    /// the function knows its own entries.
    ///
    /// # Panics
    /// When the function is another memory's, the pc is misaligned, or a number is out of range.
    pub fn set_entry(&self, pc: u32, function: Function, region: u32, entry: u32) {
        assert!(pc.is_multiple_of(4), "an entry at a misaligned pc");
        assert_eq!(function.memory, self.number, "a function of another code memory");
        self.table.set(pc, Entry::new(function.offset, region, entry));
    }

    /// Removes the entry at `pc`, if there is one.
    pub fn clear_entry(&self, pc: u32) {
        self.table.clear(pc);
    }

    pub(crate) fn base(&self) -> *const u8 {
        self.arena.mapping.start().as_ptr()
    }

    pub(crate) fn stubs(&self) -> Stubs {
        self.stubs
    }

    pub(crate) fn table(&self) -> &DispatchTable {
        &self.table
    }
}

impl fmt::Debug for CodeMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CodeMemory { number, unit, .. } = self;
        let mut shown = f.debug_struct("CodeMemory");
        shown
            .field("number", number)
            .field("unit", unit)
            .field("used_bytes", &self.used_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;
