/* Code that writes code: small functions assembled into a writable and
 * executable buffer, called, and written over, again and again.
 *
 *   smc [N [FENCE [CALLS]]]   functions to write, 40000 unless told; FENCE is
 *                             fence or nofence: whether fence.i comes between
 *                             writing and calling, as it does unless told; each
 *                             is called CALLS times more before the next one
 *
 * The buffer has a segment of its own, the only one of these programs that is
 * both writable and executable (see smc.ld).
 */
#include "sys.h"

typedef u32 function(u32 x);

enum { SLOTS = 16, SLOT_WORDS = 8 };

/* A first function is there from the start: addi a0, a0, 1; ret. */
__attribute__((section(".smc"), aligned(1024)))
static u32 code[SLOTS][SLOT_WORDS] = {{0x00150513, 0x00008067}};

static u32 i_type(u32 imm, u32 rs1, u32 funct3, u32 rd, u32 opcode)
{
    return imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode;
}

static u32 r_type(u32 funct7, u32 rs2, u32 rs1, u32 funct3, u32 rd)
{
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33;
}

enum { A0 = 10, A1 = 11 };

/* Writes  a1 = k; a0 = a0 <op> a1; a0 += step; ret  and computes what it
 * gives for x. Returns that. */
static u32 write_function(volatile u32 *to, u32 kind, u32 k, u32 step, u32 x)
{
    u32 high = (k + 0x800) >> 12, low = k & 0xfff;
    u32 op, value;

    switch (kind) {
    case 0:
        op = r_type(0, A1, A0, 0, A0); /* add */
        value = x + k;
        break;
    case 1:
        op = r_type(0x20, A1, A0, 0, A0); /* sub */
        value = x - k;
        break;
    case 2:
        op = r_type(0, A1, A0, 4, A0); /* xor */
        value = x ^ k;
        break;
    default:
        op = r_type(1, A1, A0, 0, A0); /* mul */
        value = x * k;
        break;
    }
    to[0] = high << 12 | A1 << 7 | 0x37;   /* lui a1, high */
    to[1] = i_type(low, A1, 0, A1, 0x13);  /* addi a1, a1, low */
    to[2] = op;
    to[3] = i_type(step, A0, 0, A0, 0x13); /* addi a0, a0, step */
    to[4] = 0x00008067;                    /* ret */
    return value + step;
}

/* The machine sees a store at the next fetch; others want to be told. */
static inline void fence_i(void)
{
    __asm__ volatile(".word 0x0000100f" ::: "memory");
}

int main(int argc, char **argv)
{
    u32 n = arg_u32(argc, argv, 1, 40000, 1, 100000000);
    int fence = argc < 3 || argv[2][0] == 'f';
    u32 calls = arg_u32(argc, argv, 3, 0, 0, 100000000);
    u32 seed = 88172645, x = 1, expected;
    int ok = ((function *)code[0])(41) == 42;

    for (u32 i = 0; i < n; i++) {
        u32 random = xorshift32(&seed);
        u32 *slot = code[random % SLOTS];

        expected = write_function(slot, random >> 4 & 3, random ^ i,
                                  random >> 20 & 0x7ff, x);
        if (fence)
            fence_i();
        x = ((function *)slot)(x);
        ok &= x == expected;

        /* Change one instruction of it only, and call it twice. */
        slot[3] = i_type(i & 0x7ff, A0, 0, A0, 0x13);
        if (fence)
            fence_i();
        expected = ((function *)slot)(x);
        ok &= ((function *)slot)(x) == expected;
        slot[2] = i_type(0, A0, 0, A0, 0x13);
        if (fence)
            fence_i();
        ok &= ((function *)slot)(x) == x + (i & 0x7ff);

        /* Then leave it alone for a while. */
        x = expected;
        for (u32 call = 0; call < calls; call++)
            x = ((function *)slot)(x);
        ok &= x == expected + calls * (i & 0x7ff);
    }
    if (n == 40000 && calls == 0)
        ok &= x == 0xffbcff63u;
    out_str("smc(");
    out_u32(n);
    out_str(") = ");
    out_hex32(x);
    return finish(ok);
}
