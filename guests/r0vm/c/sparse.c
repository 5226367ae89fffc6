/* Sparse paging: single words, in no order, over 64 MiB of memory that the program does not contain; pages are read
   first, written first, or both. Input: words count, seed. Journal: a checksum of what was read back. */
#include "r0vm.h"

#define START 0x10000000u
#define WORDS (64u << 18)

int main(void) {
    u32 count = read_word(), seed = read_word(), sum = 0;
    volatile u32 *memory = (volatile u32 *)START;
    for (u32 round = 0, state = seed; round < count; round++) {
        state = state * 1664525 + 1013904223;
        u32 at = (state >> 6) % WORDS;
        if (state >> 4 & 1)
            sum = sum * 31 + memory[at];
        if (state >> 5 & 1)
            memory[at] = state;
        /* The upper half of what was just touched, as bytes. */
        sum += ((volatile u8 *)memory)[4 * at + 3];
    }
    for (u32 round = 0, state = seed; round < count; round++) {
        state = state * 1664525 + 1013904223;
        sum = sum * 31 + memory[(state >> 6) % WORDS];
    }
    commit_word(sum);
    return 0;
}
