/* The accelerators of the machine, called directly: SHA-256 of many lengths and alignments, Poseidon2 with and without a
   state, on half-words and on elements, a checked output; products of 256 bits, with and without a modulus. Input: word
   rounds. Journal: a hash over all results. */
#include "r0vm.h"

static u8 bytes[2048];
static u32 results[64];
static u8 digest[32];

static void fold(const void *values, u32 count) {
    static u8 all[32 + 256];
    for (u32 at = 0; at < 32; at++)
        all[at] = digest[at];
    for (u32 at = 0; at < count; at++)
        all[32 + at] = ((const u8 *)values)[at];
    sha256(digest, all, 32 + count);
}

/* Elements below the field's prime, 15 * 2^27 + 1. */
static void make_elements(u32 *words, u32 count) {
    for (u32 at = 0; at < count; at++)
        words[at] &= 0x3fffffff;
}

static void hash(u32 round) {
    static const u16 lengths[] = {0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 128, 640, 641, 1000, 1280, 2000};
    u8 hashed[32];
    for (u32 at = 0; at < sizeof lengths / sizeof *lengths; at++) {
        sha256(hashed, bytes + (round + at) % 4, lengths[at]);
        fold(hashed, 32);
    }
}

static void sponge(u32 round) {
    static u32 state[8], words[64], out[8];
    sequence(round, (u8 *)words, sizeof words);
    sequence(round + 1, (u8 *)state, sizeof state);
    make_elements(state, 8);
    poseidon2(0, words, out, 1 + round % 8);
    fold(out, sizeof out);
    poseidon2(state, words, out, 2);
    fold(out, sizeof out);
    fold(state, sizeof state);
    /* Elements: blocks of 16 words. */
    make_elements(words, 64);
    poseidon2(0, words, out, 0x80000000 | (1 + round % 4));
    fold(out, sizeof out);
    /* The same again, checked in place of being stored. */
    poseidon2(0, words, out, 0xc0000000 | (1 + round % 4));
    poseidon2(state, words, out, 0x80000000);
    fold(out, sizeof out);
    fold(state, sizeof state);
}

static void multiply(u32 round) {
    u32 x[8], y[8], modulus[8], result[8];
    sequence(3 * round, (u8 *)x, sizeof x);
    sequence(3 * round + 1, (u8 *)y, sizeof y);
    sequence(3 * round + 2, (u8 *)modulus, sizeof modulus);
    modulus[7] |= 0x80000000;
    x[7] &= 0x7fffffff;
    y[7] &= 0x7fffffff;
    modmul(result, x, y, modulus);
    fold(result, sizeof result);
    /* Without a modulus the product must fit. */
    for (u32 at = 0; at < 8; at++)
        modulus[at] = 0;
    for (u32 at = 4; at < 8; at++)
        x[at] = y[at] = 0;
    modmul(result, x, y, modulus);
    fold(result, sizeof result);
    results[round % 64] = result[0];
}

int main(void) {
    u32 rounds = read_word();
    sequence(7, bytes, sizeof bytes);
    for (u32 round = 0; round < rounds; round++) {
        hash(round);
        sponge(round);
        multiply(round);
    }
    fold(results, sizeof results);
    commit(digest, sizeof digest);
    return 0;
}
