#include "sys.h"

/* ---- system calls ------------------------------------------------------ */

_Noreturn void sys_exit(int status)
{
    for (;;)
        sys_call3(status, 0, 0, SYS_EXIT);
}

long sys_read(int fd, void *buf, size_t len)
{
    return sys_call3(fd, (long)buf, (long)len, SYS_READ);
}

long sys_write(int fd, const void *buf, size_t len)
{
    return sys_call3(fd, (long)buf, (long)len, SYS_WRITE);
}

u32 sys_brk(u32 addr)
{
    return (u32)sys_call3((long)addr, 0, 0, SYS_BRK);
}

/* ---- output ------------------------------------------------------------ */

void write_all(int fd, const void *buf, size_t len)
{
    const u8 *p = buf;

    while (len > 0) {
        long n = sys_write(fd, p, len);
        if (n <= 0)
            sys_exit(1);
        p += n;
        len -= (size_t)n;
    }
}

static char out_buf[1024];
static size_t out_len;

void out_flush(void)
{
    write_all(1, out_buf, out_len);
    out_len = 0;
}

void out_char(char c)
{
    if (out_len == sizeof out_buf)
        out_flush();
    out_buf[out_len++] = c;
}

void out_bytes(const void *buf, size_t len)
{
    const char *p = buf;

    while (len-- > 0)
        out_char(*p++);
}

void out_str(const char *s)
{
    out_bytes(s, strlen(s));
}

void out_u64(u64 v)
{
    char digits[20];
    int n = 0;

    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    while (n > 0)
        out_char(digits[--n]);
}

/* Apart from out_u64 so that programs without 64-bit division stay small. */
static int decimal(u32 v, char *digits)
{
    int n = 0;

    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        char t = digits[i];
        digits[i] = digits[j];
        digits[j] = t;
    }
    return n;
}

void out_u32(u32 v)
{
    char digits[10];

    out_bytes(digits, (size_t)decimal(v, digits));
}

void out_hex32(u32 v)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        out_char("0123456789abcdef"[v >> shift & 15]);
}

void err_str(const char *s)
{
    write_all(2, s, strlen(s));
}

void err_u32(u32 v)
{
    char digits[10];

    write_all(2, digits, (size_t)decimal(v, digits));
}

int finish(int ok)
{
    out_str(ok ? " ok\n" : " FAILED\n");
    out_flush();
    return ok ? 0 : 1;
}

/* ---- arguments --------------------------------------------------------- */

u32 arg_u32(int argc, char **argv, int i, u32 fallback, u32 lo, u32 hi)
{
    u32 v = 0;
    const char *s;

    if (i >= argc)
        return fallback;
    for (s = argv[i]; *s >= '0' && *s <= '9'; s++) {
        u32 digit = (u32)(*s - '0');
        if (v > (UINT32_MAX - digit) / 10)
            break;
        v = v * 10 + digit;
    }
    if (*s != '\0' || s == argv[i] || v < lo || v > hi) {
        err_str("argument ");
        err_u32((u32)i);
        err_str(" must be a number from ");
        err_u32(lo);
        err_str(" to ");
        err_u32(hi);
        err_str("\n");
        sys_exit(2);
    }
    return v;
}

/* ---- memory ------------------------------------------------------------ */

void *heap_alloc(size_t len)
{
    u32 start = (sys_brk(0) + 15) & ~15u;
    u32 end = start + (u32)len;

    if (end < start || sys_brk(end) != end) {
        err_str("out of memory\n");
        sys_exit(1);
    }
    return (void *)start;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    u8 *d = to;
    const u8 *s = from;

    if ((((u32)d | (u32)s) & 3) == 0) {
        for (; len >= 4; len -= 4, d += 4, s += 4)
            *(u32 __attribute__((may_alias)) *)d =
                *(const u32 __attribute__((may_alias)) *)s;
    }
    while (len-- > 0)
        *d++ = *s++;
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    u8 *d = to;
    u32 word = (u8)byte * 0x01010101u;

    for (; len > 0 && ((u32)d & 3) != 0; len--)
        *d++ = (u8)byte;
    for (; len >= 4; len -= 4, d += 4)
        *(u32 __attribute__((may_alias)) *)d = word;
    while (len-- > 0)
        *d++ = (u8)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const u8 *x = a, *y = b;

    for (; len > 0; len--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    const char *p = s;

    while (*p != '\0')
        p++;
    return (size_t)(p - s);
}
