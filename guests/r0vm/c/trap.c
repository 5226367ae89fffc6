/* Traps: the word of input says which. The kernel installs no handlers, so each ends the run with an error. 0 traps not at
   all and ends with code 77. */
#include "r0vm.h"

static u32 words[4];

int main(void) {
    u32 which = read_word();
    commit_word(which);
    u32 address = (u32)words, value = 0;
    switch (which) {
    case 1: asm volatile("lw %0, 1(%1)" : "=r"(value) : "r"(address)); break;
    case 2: asm volatile("lh %0, 3(%1)" : "=r"(value) : "r"(address)); break;
    case 3: asm volatile("sw %0, 2(%1)" ::"r"(value), "r"(address)); break;
    case 4: asm volatile("sh %0, 1(%1)" ::"r"(value), "r"(address)); break;
    case 5: asm volatile(".word 0"); break;
    case 6: asm volatile(".word 0x0000000f"); break; /* fence */
    case 7: asm volatile("ebreak"); break;
    case 8: asm volatile("jr %0" ::"r"(0x1000)); break;
    case 9: asm volatile("jr %0" ::"r"(0xc0000000)); break;
    case 10: asm volatile("jr %0" ::"r"(address + 2)); break;
    case 11: asm volatile("lw %0, 0(zero)" : "=r"(value)); break;
    case 12: asm volatile("lw %0, 0(%1)" : "=r"(value) : "r"(0xc0000000)); break;
    case 13: asm volatile("sw %0, 0(zero)" ::"r"(value)); break;
    case 14: asm volatile("sw %0, 0(%1)" ::"r"(value), "r"(0xffff0000)); break;
    case 15: asm volatile("mret"); break;
    case 16: asm volatile("li t0, 5\n ecall" ::: "t0"); break;
    case 17: asm volatile("li t0, 99\n ecall" ::: "t0"); break;
    case 18: software(FORK, NAME("FORK"), 0, 0, 0, 0, 0); break;
    case 19: software(USER, "no such call", 0, 0, 0, 0, 0); break;
    case 20: software(WRITE, NAME("WRITE"), 0, 0, 9, address, 4); break; /* nobody listens on 9 */
    case 21: asm volatile(".word 0x00200073"); break; /* like ebreak, rs2 = 2 */
    case 22: for (;;) ; /* for the session limit */
    case 23: {
        static const char message[] = "given up on purpose";
        software(PANIC, NAME("PANIC"), 0, 0, (u32)message, length(message), 0);
        break;
    }
    case 24: ((void (*)(void))words)(); break; /* a word of zeros in data */
    case 25: read(STDIN, (void *)0xbffffffc, 8); break; /* an answer that ends in the kernel's memory */
    default: break;
    }
    words[0] = value;
    return 77;
}
