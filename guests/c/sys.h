/* What every C guest shares: types, system calls, output, arguments, memory.
 * Implemented in crt0.S and sys.c. */
#ifndef GUEST_SYS_H
#define GUEST_SYS_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;

#define NOINLINE __attribute__((noinline, noclone))

enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93, SYS_BRK = 214 };

long sys_call3(long a, long b, long c, long number);

_Noreturn void sys_exit(int status);
long sys_read(int fd, void *buf, size_t len);
long sys_write(int fd, const void *buf, size_t len);
u32 sys_brk(u32 addr);

/* Writes all of it, however often the machine takes only a part; a failed
 * write ends the program with status 1. */
void write_all(int fd, const void *buf, size_t len);

/* Standard output goes through one buffer, flushed by finish(), by out_flush()
 * and whenever it fills up. */
void out_flush(void);
void out_bytes(const void *buf, size_t len);
void out_str(const char *s);
void out_char(char c);
void out_u32(u32 v);
void out_u64(u64 v);
void out_hex32(u32 v);

/* Straight to standard error. */
void err_str(const char *s);
void err_u32(u32 v);

/* Ends the result line with " ok" or " FAILED", flushes, and gives back the
 * status to exit with: 0 or 1. */
int finish(int ok);

/* Argument `i` as a decimal number, or `fallback` when it is absent. Anything
 * that is not a number in [lo, hi] ends the program with status 2. */
u32 arg_u32(int argc, char **argv, int i, u32 fallback, u32 lo, u32 hi);

/* Zeroed memory from the top of the heap, 16-byte aligned, never freed. When
 * there is none left the program ends with status 1. */
void *heap_alloc(size_t len);

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);

/* Marsaglia's 32-bit xorshift; the state must not be zero. */
static inline u32 xorshift32(u32 *state)
{
    u32 x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x;
}

#endif
