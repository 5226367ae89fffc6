/* Sieve of Eratosthenes, one byte a number: strided stores over a large heap.
 *
 *   sieve [LIMIT [ROUNDS]]      primes up to LIMIT, 400000 unless told,
 *                               found ROUNDS times over, once unless told
 */
#include "sys.h"

NOINLINE static u32 sieve(u8 *composite, u32 limit)
{
    u32 count = 0;

    memset(composite, 0, limit + 1);
    for (u32 p = 2; p * p <= limit; p++)
        if (!composite[p])
            for (u32 m = p * p; m <= limit; m += p)
                composite[m] = 1;
    for (u32 i = 2; i <= limit; i++)
        count += !composite[i];
    return count;
}

static u32 isqrt(u32 n)
{
    u32 r = 0;

    for (u32 bit = 1u << 15; bit != 0; bit >>= 1)
        if ((r + bit) * (r + bit) <= n)
            r += bit;
    return r;
}

/* The number of primes up to n without finding them: start from all numbers
 * from 2 up, and for each prime p take away those whose smallest factor is p,
 * keeping the counts for every value of n / k. */
static u32 count_primes(u32 n)
{
    u32 root = isqrt(n);
    u32 *small = heap_alloc((root + 1) * sizeof *small); /* small[v]: up to v */
    u32 *large = heap_alloc((root + 1) * sizeof *large); /* large[k]: up to n/k */

    for (u32 i = 1; i <= root; i++) {
        small[i] = i - 1;
        large[i] = n / i - 1;
    }
    for (u32 p = 2; p <= root; p++) {
        u32 before = small[p - 1];
        if (small[p] == before)
            continue;
        for (u32 k = 1; k <= root && n / k >= p * p; k++) {
            u32 left = k * p <= root ? large[k * p] : small[n / k / p];
            large[k] -= left - before;
        }
        for (u32 v = root; v >= p * p; v--)
            small[v] -= small[v / p] - before;
    }
    return large[1];
}

int main(int argc, char **argv)
{
    u32 limit = arg_u32(argc, argv, 1, 400000, 2, 1000000000);
    u32 rounds = arg_u32(argc, argv, 2, 1, 1, 1000000);
    u32 expected = count_primes(limit);
    u8 *composite = heap_alloc(limit + 1);
    u32 got = 0;
    int ok = limit != 400000 || expected == 33860;

    for (u32 i = 0; i < rounds; i++) {
        got = sieve(composite, limit);
        ok &= got == expected;
    }
    out_str("sieve(");
    out_u32(limit);
    out_str(") = ");
    out_u32(got);
    out_str(" primes");
    return finish(ok);
}
