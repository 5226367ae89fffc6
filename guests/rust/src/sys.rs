//! The machine: entry, system calls, output, arguments, the allocator, panics.

use alloc::string::String;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::ptr;

const STDOUT: usize = 1;
const STDERR: usize = 2;

const SYS_WRITE: usize = 64;
const SYS_EXIT: usize = 93;
const SYS_BRK: usize = 214;

// sp points at argc; the argv pointers follow it.
global_asm!(
    ".section .text.start, \"ax\", @progbits",
    ".globl _start",
    ".type _start, @function",
    "_start:",
    ".option push",
    ".option norelax",
    "la gp, __global_pointer$",
    ".option pop",
    "mv fp, zero",
    "mv a0, sp",
    "andi sp, sp, -16",
    "call {start}",
    ".size _start, . - _start",
    ".section .text, \"ax\", @progbits",
    start = sym start,
);

unsafe extern "C" fn start(stack: *const usize) -> ! {
    let args = Args { count: *stack, pointers: stack.add(1).cast() };
    exit(crate::main(args))
}

fn system_call(number: usize, a: usize, b: usize, c: usize) -> isize {
    let result;
    // SAFETY: the calls made here touch no memory but what they are given.
    unsafe {
        asm!("ecall", in("a7") number, inlateout("a0") a => result, in("a1") b, in("a2") c);
    }
    result
}

pub fn exit(status: i32) -> ! {
    loop {
        system_call(SYS_EXIT, status as usize, 0, 0);
    }
}

fn write_all(fd: usize, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = system_call(SYS_WRITE, fd, bytes.as_ptr() as usize, bytes.len());
        if n <= 0 {
            exit(1);
        }
        bytes = &bytes[n as usize..];
    }
}

pub fn print(text: &str) {
    write_all(STDOUT, text.as_bytes());
}

/// Standard error, unbuffered.
pub struct Stderr;

impl Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_all(STDERR, text.as_bytes());
        Ok(())
    }
}

pub struct Args {
    count: usize,
    pointers: *const *const u8,
}

impl Args {
    pub fn get(&self, index: usize) -> Option<String> {
        if index >= self.count {
            return None;
        }
        // SAFETY: the machine put `count` pointers to strings that end in a
        // zero byte there.
        let bytes = unsafe {
            let text = *self.pointers.add(index);
            let mut len = 0;
            while *text.add(len) != 0 {
                len += 1;
            }
            core::slice::from_raw_parts(text, len)
        };
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Blocks of powers of two, from 16 bytes up, cut off the top of the heap and
/// kept in a list for each size when freed.
struct Heap {
    free: UnsafeCell<[*mut u8; 32]>,
    /// The part of the heap that was asked for and not handed out yet.
    fresh: UnsafeCell<(usize, usize)>,
}

/// How much is asked of the machine at least.
const CHUNK: usize = 64 * 1024;

// SAFETY: there is one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { free: UnsafeCell::new([ptr::null_mut(); 32]), fresh: UnsafeCell::new((0, 0)) };

fn size_class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(16);
    Some(size.checked_next_power_of_two()?.trailing_zeros() as usize)
}

// SAFETY: a block is of its class's size, at an address that is a multiple of
// the alignment, and in one place at a time: a list, or the hands of a caller.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = size_class(layout) else {
            return ptr::null_mut();
        };
        let head = &mut (*self.free.get())[class];
        if !head.is_null() {
            let block = *head;
            *head = *block.cast::<*mut u8>();
            return block;
        }
        let (start, end) = &mut *self.fresh.get();
        let align = layout.align().max(16);
        let at = start.next_multiple_of(align);
        if let Some(next) = at.checked_add(1 << class) {
            if next <= *end {
                *start = next;
                return at as *mut u8;
            }
        }
        // What is left of the old chunk goes on if the new one borders on it.
        let top = system_call(SYS_BRK, 0, 0, 0) as usize;
        let from = if *end == top && *end != 0 { *start } else { top };
        let at = from.next_multiple_of(align);
        let Some(next) = at.checked_add(1 << class) else {
            return ptr::null_mut();
        };
        let Some(wanted) = top.checked_add(CHUNK).map(|end| end.max(next)) else {
            return ptr::null_mut();
        };
        if system_call(SYS_BRK, wanted, 0, 0) as usize != wanted {
            return ptr::null_mut();
        }
        *start = next;
        *end = wanted;
        at as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(class) = size_class(layout) {
            let head = &mut (*self.free.get())[class];
            *block.cast::<*mut u8>() = *head;
            *head = block;
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = writeln!(Stderr, "{info}");
    exit(101)
}
