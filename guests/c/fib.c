/* Fibonacci numbers by naive recursion: calls, returns and stack traffic.
 *
 *   fib [N]      N from 0 to 47, 27 unless told
 */
#include "sys.h"

/* Two real calls each time: neither inlined nor turned into a loop. */
NOINLINE __attribute__((optimize("no-optimize-sibling-calls")))
static u32 fib(u32 n)
{
    if (n < 2)
        return n;
    return fib(n - 1) + fib(n - 2);
}

static u32 fib_by_adding(u32 n)
{
    u32 a = 0, b = 1;

    while (n-- > 0) {
        u32 next = a + b;
        a = b;
        b = next;
    }
    return a;
}

int main(int argc, char **argv)
{
    u32 n = arg_u32(argc, argv, 1, 27, 0, 47);
    u32 got = fib(n);

    out_str("fib(");
    out_u32(n);
    out_str(") = ");
    out_u32(got);
    return finish(got == fib_by_adding(n) && (n != 27 || got == 196418));
}
