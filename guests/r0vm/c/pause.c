/* Pauses as often as the first word of input says, with codes 1, 2, ..., each time with a journal of its own, and goes on
   when it is resumed; then ends with code 0. Journal of each part: its number, and the word that it read. */
#include "r0vm.h"

int main(void) {
    u32 pauses = read_word(), sum = 0;
    for (u32 part = 0; part <= pauses; part++) {
        sum = sum * 31 + read_word();
        commit_word(part);
        commit_word(sum);
        if (part < pauses)
            pause(part + 1);
    }
    return 0;
}
