/* Deep recursion and many calls: Ackermann's function, then frames that go down through the stack's pages. Input: words
   m, n, depth. Journal: ackermann(m, n), the sum over the frames. */
#include "r0vm.h"

static u32 ackermann(u32 m, u32 n) {
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

/* Each frame holds 128 bytes, used after the call returns. */
static u32 descend(u32 depth) {
    volatile u32 frame[32];
    for (u32 at = 0; at < 32; at += 4)
        frame[at] = depth * at;
    if (depth == 0)
        return 1;
    return descend(depth - 1) * 31 + frame[depth % 8 * 4];
}

int main(void) {
    u32 m = read_word(), n = read_word(), depth = read_word();
    commit_word(ackermann(m, n));
    commit_word(descend(depth));
    return 0;
}
