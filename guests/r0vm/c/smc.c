/* Code that writes code: a function is built in writable memory, called, changed in one word, called again; at last a
   routine that rewrites the instruction just ahead of itself. Input: word rounds. Journal: a checksum. */
#include "r0vm.h"

static u32 code[512] __attribute__((aligned(1024)));

static u32 addi(u32 rd, u32 rs1, u32 immediate) { return immediate << 20 | rs1 << 15 | rd << 7 | 0x13; }

int main(void) {
    u32 rounds = read_word(), sum = 0;
    for (u32 round = 0; round < rounds; round++) {
        /* a0 = a0 + 1 some times, then return; built around the border of two pages. */
        u32 at = 250 + round % 6, last = at + 8;
        for (u32 word = at; word < last; word++)
            code[word] = addi(10, 10, round & 0x3ff);
        code[last] = 0x00008067;
        u32 (*function)(u32) = (u32(*)(u32))(code + at);
        sum = sum * 31 + function(round);
        code[at + round % 8] = addi(10, 10, 0x400 | (round & 0x1ff));
        sum = sum * 31 + function(round);
    }
    /* t0 is stored over the third instruction of the routine, which then runs as it was written. */
    u32 *routine = code + 16;
    routine[0] = 0x00552623;             /* sw t0, 12(a0): a0 is the routine's address */
    routine[1] = addi(10, 0, 1);
    routine[2] = addi(10, 10, 2);
    routine[3] = addi(10, 10, 4);        /* overwritten */
    routine[4] = 0x00008067;
    register u32 a0 asm("a0") = (u32)routine;
    register u32 t0 asm("t0") = addi(10, 10, 0x155);
    asm volatile("jalr ra, 0(a0)" : "+r"(a0) : "r"(t0) : "ra", "memory");
    u32 result = a0;
    commit_word(sum);
    commit_word(result);
    return 0;
}
