/* Grows and shrinks the heap, checking that what comes back is zero.
 *
 *   brk [ROUNDS]      60 unless told
 *
 * The ends it asks for fall anywhere in a page: a byte that was given up must
 * read as zero once it is there again even when its page never went away.
 */
#include "sys.h"

enum { HEAP_MAX = 64 * 1024 };

static u32 start;      /* where the heap began */
static u32 len;        /* how much of it there is */
static u32 seed = 1;
static u32 given;      /* bytes grown in all */

static int set_len(u32 to)
{
    u32 got = sys_brk(start + to);

    len = to;
    return got == start + to && sys_brk(0) == got;
}

/* What byte i of the heap holds; never zero. */
static u8 pattern(u32 i)
{
    return (u8)(i * 167 >> 3) | 1;
}

static int all_zero(const u8 *p, const u8 *end)
{
    u32 or = 0;

    for (; p < end && ((u32)p & 3) != 0; p++)
        or |= *p;
    for (; end - p >= 4; p += 4)
        or |= *(const u32 __attribute__((may_alias)) *)p;
    for (; p < end; p++)
        or |= *p;
    return or == 0;
}

static int resize(u32 to)
{
    u8 *heap = (u8 *)start;
    u32 from = len;

    if (!set_len(to))
        return 0;
    if (to > from) {
        given += to - from;
        if (!all_zero(heap + from, heap + to))
            return 0;
        for (u32 i = from; i < to; i++)
            heap[i] = pattern(i);
    }
    /* What stays below the end keeps what it held. */
    for (u32 i = 0; i < 16 && i < len; i++) {
        u32 at = len - 1 - i;
        if (heap[at] != pattern(at) || heap[i] != pattern(i))
            return 0;
    }
    for (u32 i = 0; i < len; i += 1021)
        if (heap[i] != pattern(i))
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    u32 rounds = arg_u32(argc, argv, 1, 60, 1, 1000000);
    int ok;

    start = sys_brk(0);
    ok = start != 0 && sys_brk(0) == start;
    for (u32 i = 0; ok && i < rounds; i++) {
        ok = resize(xorshift32(&seed) % HEAP_MAX + 1);
        if (ok && i % 8 == 3) /* a few bytes down and up again */
            ok = resize(len - len / 1000 - 1) && resize(len + 5);
        if (ok && i % 16 == 7) /* nothing left, then all of it */
            ok = resize(0) && resize(HEAP_MAX);
    }
    ok = ok && resize(0) && sys_brk(0) == start;

    out_str("brk(");
    out_u32(rounds);
    out_str(") = ");
    out_u32(given);
    out_str(" bytes grown");
    return finish(ok);
}
