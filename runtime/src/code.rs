//! Code memory: it holds generated code, which is published through cranelift-jit and freed as a whole.
//!
//! The memory is one reservation, filled from the front. Pages are writable while a batch of functions is copied in,
//! then sealed: executable and never writable again. A page is never both, and a full memory is not recycled but
//! replaced.
//!
//! If the system refuses to open or to seal pages, it is unknown which of them it has changed. Then the memory is
//! closed: nothing is written there again, and published functions stay. The table of guest pcs with code belongs to
//! the memory, so that no entry can lead into another memory.

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

/// Alignment of a function, and the first offset in use, so that no function has offset 0.
const FUNCTION_ALIGN_BYTES: usize = 32;

/// Why code could not be published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodeError {
    /// No room is left: drop this memory and create another.
    #[error("code memory is full ({used_bytes} of {capacity_bytes} bytes used)")]
    Full {
        /// Bytes in use.
        used_bytes: usize,
        /// Size of the memory.
        capacity_bytes: usize,
    },
    /// The system refused the reservation.
    #[error(transparent)]
    Map(#[from] MapError),
    /// cranelift-jit refused the batch. For code published here, the cause is that the system refused to make its pages
    /// writable or executable. The memory is closed from now on.
    #[error("publishing code failed")]
    Module(#[from] Box<ModuleError>),
    /// An earlier batch failed, so the memory takes no more code: drop it and create another.
    #[error("code memory takes no more code, since an earlier batch failed")]
    Closed,
}

/// A published function; only its own memory accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// The memory that holds it. The address alone does not identify it: the system reuses the address once the memory
    /// is gone.
    memory: MemoryNumber,
    /// Address of the first instruction.
    address: usize,
    /// Offset in bytes from the start of the memory. Never 0.
    offset: u32,
}

impl Function {
    /// Returns the address of the first instruction, so that a profiler can name it.
    pub fn address(self) -> usize {
        self.address
    }
}

/// Distinguishes the code memories of a process. No two ever have the same number.
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
    /// `extern "C" fn(base) -> u32`: calls the region that has an entry at the context's pc and returns its result.
    /// Returns 0 when control reaches a pc without an entry, also if the first pc has none.
    pub dispatcher: &'a [u8],
    /// Preserves all registers, takes the base, calls the access helper.
    pub access: &'a [u8],
    /// Preserves all registers, takes the base, calls the refill helper.
    pub refill: &'a [u8],
}

/// The addresses of the stubs.
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
    /// Size of a system page; code is sealed in whole pages.
    page_bytes: usize,
    used_bytes: AtomicUsize,
    /// Whether a batch has failed midway: its pages may be writable, executable or unmapped, and none is written again.
    closed: AtomicBool,
}

impl Arena {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Changes the protection of pages, and closes the memory if the system refuses.
    fn change(&self, change: impl FnOnce(&Mapping) -> io::Result<()>) -> io::Result<()> {
        if self.is_closed() {
            return Err(io::Error::other("code memory is closed"));
        }
        // The memory is closed while the outcome is uncertain, so that a panic leaves it closed as well.
        self.closed.store(true, Ordering::Relaxed);
        change(&self.mapping)?;
        self.closed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Returns start and end of `bytes` more bytes behind the current end, if they fit.
    fn place(&self, bytes: usize, align: usize) -> Option<(usize, usize)> {
        let start = self.used_bytes().next_multiple_of(align.max(FUNCTION_ALIGN_BYTES));
        let end = start.checked_add(bytes)?;
        (end.next_multiple_of(self.page_bytes) <= self.capacity_bytes).then_some((start, end))
    }
}

/// Provides memory of an [`Arena`] to cranelift-jit.
struct Provider {
    arena: Arc<Arena>,
    /// Bytes below this offset are sealed; whole pages.
    sealed_bytes: usize,
    /// Bytes from `sealed_bytes` up to this offset are writable.
    open_bytes: usize,
}

impl JITMemoryProvider for Provider {
    fn allocate(&mut self, size: usize, align: u64, kind: JITMemoryKind) -> io::Result<*mut u8> {
        // `define` passes code as read-only data.
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

    // SAFETY: nothing is freed here; the reservation is freed with the last owner of the arena.
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

/// Makes `bytes` from `offset` executable and coherent on every processor: some do not keep their instruction caches
/// and pipelines up to date by themselves.
fn seal(mapping: &Mapping, offset: usize, bytes: usize) -> io::Result<()> {
    let start = mapping.start().as_ptr().wrapping_add(offset);
    // SAFETY: the only requirement is that no hart runs this memory before the pipelines are flushed, below. Nothing
    // knows its functions yet.
    unsafe { clear_cache(start.cast(), bytes) }.map_err(io::Error::other)?;
    mapping.allow_read_execute(offset, bytes).map_err(|error| error.source)?;
    pipeline_flush_mt().map_err(io::Error::other)
}

/// Copies one function in; finalizing then seals it. All functions are anonymous and called only through the table.
///
/// They are data to cranelift-jit. It would write its own names of functions into the map of Linux's perf whenever
/// `PERF_BUILDID_DIR` is set, as `perf record` does, and panic if it cannot. That map is for the names of the guest's
/// functions, and for embedders who want it.
fn define(module: &mut JITModule, code: &[u8]) -> Result<DataId, Box<ModuleError>> {
    let id = module.declare_anonymous_data(false, false)?;
    let mut data = DataDescription::new();
    data.define(code.into());
    data.set_align(FUNCTION_ALIGN_BYTES as u64);
    module.define_data(id, &data)?;
    Ok(id)
}

/// Executable memory with a fixed budget, and its entries by guest pc. Harts on any thread run from it while one writer
/// at a time publishes.
pub struct CodeMemory {
    number: MemoryNumber,
    unit: ProgressUnit,
    module: Mutex<JITModule>,
    arena: Arc<Arena>,
    stubs: Stubs,
    table: DispatchTable,
}

// Threads may share it because of its parts: the module behind a lock, atomics, and addresses that never change.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<CodeMemory>()
};

impl CodeMemory {
    /// Reserves `capacity_bytes`, below 2 GiB, for code of `isa` that counts in this unit, and publishes the stubs.
    ///
    /// # Errors
    /// Fails if the system refuses the address space.
    ///
    /// # Safety
    /// The same as for [`CodeMemory::publish`]; the stubs must be as [`StubCode`] describes.
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

    /// Copies functions in, as one batch, and seals them. Returns where each starts.
    ///
    /// # Errors
    /// Returns [`CodeError::Full`] if the batch does not fit; nothing has changed then. After any other error the
    /// memory takes no more code, and returns [`CodeError::Closed`] from then on.
    ///
    /// # Safety
    /// Each function must be position-independent machine code for this host without relocations. It must follow the
    /// region ABI, `fn(base, word of the dispatch table, progress) -> u32`, in the convention of its callers:
    /// - It touches no host memory except: guest base + u32; page states and the zeros behind them by a 24-bit index;
    ///   context + a constant of `layout`; the dispatch table by a pc; and, if progress is counted in rows, the row
    ///   cursor below its limit.
    /// - It adds the memory's unit to progress for each step.
    /// - It calls nothing but the context's stubs and helpers, and the targets of the dispatch table. After the system
    ///   helper it only returns, or continues by the context's dispatch table: its own code memory may be another.
    /// - It accepts any entry number.
    pub unsafe fn publish(&self, functions: &[&[u8]]) -> Result<Vec<Function>, CodeError> {
        let bytes = functions.iter().map(|code| code.len().next_multiple_of(FUNCTION_ALIGN_BYTES)).sum();
        // A panic inside the module may leave it inconsistent: then nothing more is published here.
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

    /// Returns the amount that a step adds to progress in this code.
    pub(crate) fn unit(&self) -> ProgressUnit {
        self.unit
    }

    /// Returns the bytes in use, in whole pages.
    pub fn used_bytes(&self) -> usize {
        self.arena.used_bytes()
    }

    /// Returns the system pages in use.
    pub fn used_pages(&self) -> usize {
        self.used_bytes() / self.arena.page_bytes
    }

    /// Returns the entry at `pc`, if there is one.
    #[inline]
    pub fn entry(&self, pc: u32) -> Option<Entry> {
        self.table.get(pc)
    }

    /// Returns whether the table has room for this many more entries; it is bounded like the code.
    pub fn has_room_for_entries(&self, count: usize) -> bool {
        self.table.has_room(count)
    }

    /// Makes `pc`, a multiple of 4, lead into `function` as its entry number `entry`. `region` is the number by which
    /// the function knows its own entries.
    ///
    /// # Panics
    /// Panics if the function belongs to another memory, the pc is misaligned, or a number is out of range.
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
pub(crate) mod tests;
