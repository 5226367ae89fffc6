/* Recursive quicksort of pseudo-random words: data-dependent branches.
 *
 *   quicksort [COUNT [ROUNDS]]      COUNT words, 30000 unless told, a fresh
 *                                   array ROUNDS times, once unless told
 */
#include "sys.h"

/* Sorts a[lo..hi], both included. The pivot is the median of three; the scans
 * stop at elements equal to it, so runs of equal keys still split evenly. */
NOINLINE static void quicksort(u32 *a, i32 lo, i32 hi)
{
    while (hi - lo >= 12) {
        i32 mid = lo + (hi - lo) / 2;
        u32 x = a[lo], y = a[mid], z = a[hi];
        u32 low = x < y ? x : y, high = x < y ? y : x;
        u32 pivot = z < low ? low : z < high ? z : high;
        i32 i = lo, j = hi;

        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                u32 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        /* Recurse into the smaller part, go round with the larger one. */
        if (j - lo < hi - i) {
            quicksort(a, lo, j);
            lo = i;
        } else {
            quicksort(a, i, hi);
            hi = j;
        }
    }
    for (i32 i = lo + 1; i <= hi; i++) {
        u32 v = a[i];
        i32 j = i - 1;
        for (; j >= lo && a[j] > v; j--)
            a[j + 1] = a[j];
        a[j + 1] = v;
    }
}

/* Three sums that do not depend on the order of the elements. */
struct sums {
    u32 sum, xor, mixed;
};

static void add(struct sums *s, u32 v)
{
    u32 m = (v ^ v >> 15) * 0x2c1b3c6du;

    s->sum += v;
    s->xor ^= v;
    s->mixed += m ^ m >> 13;
}

int main(int argc, char **argv)
{
    u32 count = arg_u32(argc, argv, 1, 30000, 1, 200000000);
    u32 rounds = arg_u32(argc, argv, 2, 1, 1, 1000000);
    u32 *a = heap_alloc(count * sizeof *a);
    u32 seed = 2463534242u;
    u32 digest = 0;
    int ok = 1;

    for (u32 round = 0; round < rounds; round++) {
        struct sums before = {0, 0, 0}, after = {0, 0, 0};

        for (u32 i = 0; i < count; i++)
            add(&before, a[i] = xorshift32(&seed));
        quicksort(a, 0, (i32)count - 1);
        for (u32 i = 0; i < count; i++) {
            add(&after, a[i]);
            ok &= i == 0 || a[i - 1] <= a[i];
            digest = digest * 31 + a[i]; /* this one does depend on the order */
        }
        ok &= before.sum == after.sum && before.xor == after.xor &&
              before.mixed == after.mixed;
    }
    if (count == 30000 && rounds == 1)
        ok &= digest == 0x60d0244eu;
    out_str("quicksort(");
    out_u32(count);
    out_str(") = ");
    out_hex32(digest);
    return finish(ok);
}
