// A machine of Spike's as the guests of Tachy's machine `bare` know theirs: boots a guest in user mode behind the
// protection its segments ask for, and carries out exit, write, read and brk, the last two of which Spike's host has to
// help with. The harness (tests/it/conformance/spike/mod.rs) writes what is to be booted to `plan` before the start.

typedef unsigned int u32;
typedef unsigned long long u64;

// A range of addresses with one protection, in 1 KiB pages; bits as in pmpcfg: 1 read, 2 write, 4 execute.
struct range {
    u32 start, end, may;
};

#define RANGES 6
#define HEAP (RANGES - 1)

struct plan {
    u32 entry, sp;
    // Where the heap begins, and what brk must stay below.
    u32 heap_start, heap_limit;
    // In ascending order, unused ones empty; the heap's is moved to its place when there is a heap.
    struct range ranges[RANGES];
};

// What the harness fills in.
__attribute__((section(".plan"))) volatile struct plan plan;
volatile u64 tohost __attribute__((aligned(64)));
volatile u64 fromhost __attribute__((aligned(64)));

void resume(u32 *registers) __attribute__((noreturn));
extern u32 shim_registers[32];

enum { SP = 2, A0 = 10, A7 = 17 };
enum { READ = 63, WRITE = 64, EXIT = 93, BRK = 214 };
enum { EBADF = -9, EFAULT = -14, ENOSYS = -38 };
#define PAGE 1024u
#define TRANSFER (1u << 20)

static u32 heap_end;

static void stop(u32 code) {
    for (;;)
        tohost = (u64)code << 1 | 1;
}

// A system call of the host that Spike runs on.
static u32 host(u32 number, u32 a, u32 b, u32 c) {
    static volatile u64 call[8] __attribute__((aligned(64)));
    call[0] = number;
    call[1] = a;
    call[2] = b;
    call[3] = c;
    fromhost = 0;
    tohost = (u32)call;
    while (fromhost == 0) {
    }
    fromhost = 0;
    return (u32)call[0];
}

#define SET(name, value) __asm__ volatile("csrw " name ", %0" ::"r"(value))

static void set_entry(u32 number, u32 address, u32 config) {
    static u32 configs[4];
    u32 shift = 8 * (number % 4);
    configs[number / 4] = (configs[number / 4] & ~(0xffu << shift)) | config << shift;
    switch (number) {
    case 0: SET("pmpaddr0", address); break;
    case 1: SET("pmpaddr1", address); break;
    case 2: SET("pmpaddr2", address); break;
    case 3: SET("pmpaddr3", address); break;
    case 4: SET("pmpaddr4", address); break;
    case 5: SET("pmpaddr5", address); break;
    case 6: SET("pmpaddr6", address); break;
    case 7: SET("pmpaddr7", address); break;
    case 8: SET("pmpaddr8", address); break;
    case 9: SET("pmpaddr9", address); break;
    case 10: SET("pmpaddr10", address); break;
    case 11: SET("pmpaddr11", address); break;
    }
    switch (number / 4) {
    case 0: SET("pmpcfg0", configs[0]); break;
    case 1: SET("pmpcfg1", configs[1]); break;
    case 2: SET("pmpcfg2", configs[2]); break;
    }
}

// Two entries a range: where it begins, which allows nothing, and from there to where it ends.
static void protect(void) {
    enum { TOP_OF_RANGE = 1 << 3 };
    for (u32 i = 0; i < RANGES; i++) {
        struct range range = {plan.ranges[i].start, plan.ranges[i].end, plan.ranges[i].may};
        int used = range.start < range.end;
        set_entry(2 * i, range.start / 4, 0);
        set_entry(2 * i + 1, used ? range.end / 4 : range.start / 4, used ? TOP_OF_RANGE | range.may : 0);
    }
}

void boot(void) {
    for (u32 i = 0; i < 32; i++)
        shim_registers[i] = 0;
    shim_registers[SP] = plan.sp;
    heap_end = plan.heap_start;
    plan.ranges[HEAP].start = plan.ranges[HEAP].end = plan.heap_start;
    plan.ranges[HEAP].may = 3;
    protect();
    SET("mepc", plan.entry);
    // The previous privilege is user mode.
    SET("mstatus", 0);
    resume(shim_registers);
}

// Whether all of a buffer's pages allow `may`.
static int allowed(u32 address, u32 bytes, u32 may) {
    if (bytes == 0)
        return 1;
    u32 last = address + (bytes - 1);
    if (last < address)
        return 0;
    for (u32 page = address & -PAGE;; page += PAGE) {
        int found = 0;
        for (u32 i = 0; i < RANGES; i++)
            if (page >= plan.ranges[i].start && page < plan.ranges[i].end)
                found = (plan.ranges[i].may & may) != 0;
        if (!found)
            return 0;
        if (page == (last & -PAGE))
            return 1;
    }
}

static u32 transfer(u32 number, u32 descriptor, u32 buffer, u32 bytes) {
    int known = number == READ ? descriptor == 0 : descriptor == 1 || descriptor == 2;
    if (!known)
        return EBADF;
    bytes = bytes < TRANSFER ? bytes : TRANSFER;
    if (!allowed(buffer, bytes, number == READ ? 2 : 1))
        return EFAULT;
    return bytes == 0 ? 0 : host(number, descriptor, buffer, bytes);
}

static u32 brk(u32 wanted) {
    if (wanted < plan.heap_start || wanted > plan.heap_limit)
        return heap_end;
    // What is given up comes back zeroed.
    u32 from = wanted, to = (heap_end + PAGE - 1) & -PAGE;
    for (; wanted < heap_end && from < to; from++)
        *(volatile char *)from = 0;
    heap_end = wanted;
    plan.ranges[HEAP].end = (wanted + PAGE - 1) & -PAGE;
    protect();
    return wanted;
}

// A trap of the guest, with its registers.
void handle(u32 *registers) {
    u32 cause, pc;
    __asm__ volatile("csrr %0, mcause" : "=r"(cause));
    __asm__ volatile("csrr %0, mepc" : "=r"(pc));
    enum { ECALL_FROM_USER = 8 };
    if (cause != ECALL_FROM_USER)
        stop(0x80 | cause);
    u32 number = registers[A7];
    u32 *a = registers + A0;
    switch (number) {
    case EXIT: stop(a[0] & 0xff); break;
    case READ:
    case WRITE: a[0] = transfer(number, a[0], a[1], a[2]); break;
    case BRK: a[0] = brk(a[0]); break;
    default: a[0] = ENOSYS; break;
    }
    SET("mepc", pc + 4);
}
