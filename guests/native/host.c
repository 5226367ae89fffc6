/* What the C guests ask of their machine, answered by a host that runs Linux: in the place of crt0.S, for programs that
 * are built natively to be measured beside the guests (../build_native.sh).
 *
 * Guests take addresses for 32-bit numbers, so the heap lies low. */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93, SYS_BRK = 214 };

/* Far more than any guest asks for; pages that are not touched cost nothing. */
static const uintptr_t HEAP_START = 0x20000000, HEAP_BYTES = 0x40000000;

void *memset(void *to, int byte, size_t len);

/* As Linux does it: the new end, or the old one where that cannot be; what was given up is zero when it comes back. */
static long set_break(uintptr_t end)
{
    static uintptr_t now;

    if (now == 0) {
        void *heap = mmap((void *)HEAP_START, HEAP_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (heap != (void *)HEAP_START)
            _exit(1);
        now = HEAP_START;
    }
    if (end < HEAP_START || end > HEAP_START + HEAP_BYTES)
        return (long)now;
    if (end < now)
        memset((void *)end, 0, now - end);
    now = end;
    return (long)now;
}

long sys_call3(long a, long b, long c, long number)
{
    long done;

    switch (number) {
    case SYS_READ:
        done = read((int)a, (void *)b, (size_t)c);
        return done < 0 ? -errno : done;
    case SYS_WRITE:
        done = write((int)a, (const void *)b, (size_t)c);
        return done < 0 ? -errno : done;
    case SYS_EXIT:
        _exit((int)a);
    case SYS_BRK:
        return set_break((uintptr_t)a);
    default:
        return -ENOSYS;
    }
}
