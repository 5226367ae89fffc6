/* Standard input and other descriptors, read at odd lengths into odd addresses and copied on in upper case, with sums.
   Input: fd 0 and fd 4 to their ends. Output: fd 1, 2 and 5; journal: counts and sums. */
#include "r0vm.h"

static u8 buffer[3000];

/* Copies `from` to `to` in reads that grow by 7 bytes, to addresses of every alignment. */
static void copy(u32 from, u32 to) {
    u32 total = 0, sum = 0;
    for (u32 size = 1;; size = size * 5 / 4 + 7) {
        if (size > 2900)
            size = 2900;
        u8 *at = buffer + size % 4;
        u32 count = read(from, at, size);
        if (count == 0)
            break;
        for (u32 byte = 0; byte < count; byte++) {
            sum = sum * 31 + at[byte];
            if (at[byte] >= 'a' && at[byte] <= 'z')
                at[byte] -= 'a' - 'A';
        }
        write(to, at, count);
        total += count;
    }
    commit_word(total);
    commit_word(sum);
}

int main(void) {
    copy(STDIN, STDOUT);
    copy(4, 5);
    static const char done[] = "streams: done\n";
    write(STDERR, done, length(done));
    return 0;
}
