//! Loads from an address that no program has, in generic code of Rust through an inlined function of its library.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

global_asm!(".globl _start", "_start:", "call rust_main");

mod deep {
    pub struct Thing<T>(pub T);

    impl<T: Copy + Into<u32>> Thing<T> {
        #[inline(never)]
        pub fn load(&self, offset: u32) -> u32 {
            let address: u32 = self.0.into();
            // SAFETY: none; it is there to fail.
            unsafe { core::ptr::read_volatile((address + offset) as *const u32) }
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn rust_main() -> ! {
    let code = deep::Thing(core::hint::black_box(0x7f00_0000u32)).load(4);
    // SAFETY: exit.
    unsafe { asm!("ecall", in("a7") 93, in("a0") code, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
