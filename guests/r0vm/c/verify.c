/* Verifies claims that the host must know, and assumes the others itself. Input: count of claims, then for each a word, 1 to
   verify and 2 to assume, the claim and the control root. Journal: the words, each with the call's answer. */
#include "r0vm.h"

int main(void) {
    static u32 assumption[16];
    u32 count = read_word();
    for (u32 index = 0; index < count; index++) {
        u32 kind = read_word();
        for (u32 word = 0; word < 16; word++)
            assumption[word] = read_word();
        commit_word(kind);
        if (kind == 1)
            commit_word(software(VERIFY, NAME("VERIFY_INTEGRITY"), 0, 0, (u32)assumption, 64, 0));
        else
            commit_word(software(VERIFY2, NAME("VERIFY_INTEGRITY2"), 0, 0, (u32)assumption, 64, 0));
    }
    return 0;
}
