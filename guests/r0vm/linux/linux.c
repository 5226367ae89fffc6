/* The few system calls of Linux that ../../c/sys.h is made of, on R0VM's host, so that the guests in ../../c run there.
   Arguments are read as words from descriptor 0, up to its end or a word of ones. What is written to standard output is
   committed as well. The guest's own main is `guest_main`. */
#include "../c/r0vm.h"

enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93, SYS_BRK = 214, ERROR = -38 };
enum { MAX_ARGUMENTS = 8, DIGITS = 11 };

int guest_main(int argc, char **argv);

/* Far from the program; memory is there wherever it is touched. */
static const u32 heap = 64 << 20, heap_bytes = 64 << 20;

/* Linux leaves the break where it is when it is asked for the impossible. */
static long set_break(u32 address) {
    static u32 top = heap;
    if (address >= heap && address - heap <= heap_bytes)
        top = address;
    return (long)top;
}

long sys_call3(long a, long b, long c, long number) {
    switch (number) {
    case SYS_READ:
        return (long)read((u32)a, (void *)b, (u32)c);
    case SYS_WRITE:
        write((u32)a, (const void *)b, (u32)c);
        if (a == STDOUT)
            commit((const void *)b, (u32)c);
        return c;
    case SYS_EXIT:
        halt((u32)a & 0xff);
    case SYS_BRK:
        return set_break((u32)a);
    default:
        return ERROR;
    }
}

static char *decimal(u32 value, char text[DIGITS]) {
    char *at = text + DIGITS - 1;
    *at = 0;
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    return at;
}

int main(void) {
    static char texts[MAX_ARGUMENTS][DIGITS];
    char *argv[MAX_ARGUMENTS + 2] = {"guest"};
    int argc = 1;
    u32 word;
    while (argc <= MAX_ARGUMENTS && read(STDIN, &word, sizeof word) == sizeof word && word != ~0u) {
        argv[argc] = decimal(word, texts[argc - 1]);
        argc++;
    }
    return guest_main(argc, argv);
}
