/* Loads from address 64, where nothing is, two calls deep: the line below is what a failure should name. */
static volatile unsigned sink;

static inline unsigned look(unsigned address) {
    return *(volatile unsigned *)address; /* line 5 */
}

__attribute__((noinline)) void descend(unsigned depth) {
    if (depth == 0)
        sink = look(64);
    else
        descend(depth - 1);
    sink += depth;
}

__attribute__((noreturn)) void _start(void) {
    descend(1);
    for (;;)
        ;
}
