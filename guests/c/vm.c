/* A stack machine for byte code, run by a `switch` in a loop: one indirect
 * jump through a table for each operation.
 *
 *   vm [N]      the byte code works on the numbers up to N, 400 unless told
 *
 * The byte code counts the primes up to N by trial division and adds up the
 * lengths of the Collatz sequences that start at 1 to N; the program then does
 * both natively and compares.
 */
#include "sys.h"

enum {
    OP_HALT,
    OP_PUSH8,    /* byte: push it */
    OP_LOAD,     /* slot: push the variable */
    OP_STORE,    /* slot: pop into the variable */
    OP_DUP,
    OP_DROP,
    OP_SWAP,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIVU,
    OP_REMU,
    OP_AND,
    OP_SHR,
    OP_INC,      /* slot: add one to the variable */
    OP_LESS,     /* a < b */
    OP_ZERO,     /* a == 0 */
    OP_JUMP,     /* target: the offset of an operation from the start */
    OP_JUMP_IF,  /* target: jump when what is popped is not zero */
    OP_CALL,     /* target */
    OP_RET,
    OP_EMIT,     /* pop into the results */
};

struct result {
    u32 value[4];
    u32 count;
    u64 operations;
};

/* Returns nonzero when the byte code ran to a HALT. */
NOINLINE static int run(const u8 *code, u32 argument, struct result *result)
{
    u32 stack[32], calls[16], vars[8] = {argument};
    u32 *sp = stack; /* the next free slot; the top of the stack is sp[-1] */
    u32 depth = 0;
    const u8 *pc = code;
    u64 operations = 0;

    for (;;) {
        operations++;
        switch (*pc++) {
        case OP_HALT:
            result->operations = operations;
            return sp == stack && depth == 0;
        case OP_PUSH8:
            *sp++ = *pc++;
            break;
        case OP_LOAD:
            *sp++ = vars[*pc++];
            break;
        case OP_STORE:
            vars[*pc++] = *--sp;
            break;
        case OP_DUP:
            sp[0] = sp[-1];
            sp++;
            break;
        case OP_DROP:
            sp--;
            break;
        case OP_SWAP: {
            u32 t = sp[-1];
            sp[-1] = sp[-2];
            sp[-2] = t;
            break;
        }
        case OP_ADD:
            sp--;
            sp[-1] += sp[0];
            break;
        case OP_SUB:
            sp--;
            sp[-1] -= sp[0];
            break;
        case OP_MUL:
            sp--;
            sp[-1] *= sp[0];
            break;
        case OP_DIVU:
            sp--;
            if (sp[0] == 0)
                return 0;
            sp[-1] /= sp[0];
            break;
        case OP_REMU:
            sp--;
            if (sp[0] == 0)
                return 0;
            sp[-1] %= sp[0];
            break;
        case OP_AND:
            sp--;
            sp[-1] &= sp[0];
            break;
        case OP_SHR:
            sp--;
            sp[-1] >>= sp[0] & 31;
            break;
        case OP_INC:
            vars[*pc++]++;
            break;
        case OP_LESS:
            sp--;
            sp[-1] = sp[-1] < sp[0];
            break;
        case OP_ZERO:
            sp[-1] = sp[-1] == 0;
            break;
        case OP_JUMP:
            pc = code + *pc;
            break;
        case OP_JUMP_IF:
            pc = *--sp != 0 ? code + *pc : pc + 1;
            break;
        case OP_CALL:
            if (depth == 16)
                return 0;
            calls[depth++] = (u32)(pc + 1 - code);
            pc = code + *pc;
            break;
        case OP_RET:
            if (depth == 0)
                return 0;
            pc = code + calls[--depth];
            break;
        case OP_EMIT:
            if (result->count == 4)
                return 0;
            result->value[result->count++] = *--sp;
            break;
        default:
            return 0;
        }
    }
}

/* The byte code before its labels are resolved: AT(n) marks a place and stands
 * for no byte, TO(n) is the byte that leads there. */
#define AT(n) (0x100 + (n))
#define TO(n) (0x200 + (n))

enum { N, I, TOTAL, D, X }; /* variables; the machine sets N */

enum { PRIMES, PRIMES_END, COLLATZ, COLLATZ_END, IS_PRIME, TRY, NOT_PRIME,
       PRIME, STEPS, STEP, STEP_ODD, STEPS_END, LABELS };

static const u16 source[] = {
    OP_PUSH8, 2, OP_STORE, I,
    OP_PUSH8, 0, OP_STORE, TOTAL,
    AT(PRIMES), /* until N < i: total += is_prime(i); i++ */
        OP_LOAD, N, OP_LOAD, I, OP_LESS, OP_JUMP_IF, TO(PRIMES_END),
        OP_LOAD, I, OP_CALL, TO(IS_PRIME),
        OP_LOAD, TOTAL, OP_ADD, OP_STORE, TOTAL,
        OP_INC, I, OP_JUMP, TO(PRIMES),
    AT(PRIMES_END),
    OP_LOAD, TOTAL, OP_EMIT,

    OP_PUSH8, 1, OP_STORE, I,
    OP_PUSH8, 0, OP_STORE, TOTAL,
    AT(COLLATZ), /* until N < i: total += steps(i); i++ */
        OP_LOAD, N, OP_LOAD, I, OP_LESS, OP_JUMP_IF, TO(COLLATZ_END),
        OP_LOAD, I, OP_CALL, TO(STEPS),
        OP_LOAD, TOTAL, OP_ADD, OP_STORE, TOTAL,
        OP_INC, I, OP_JUMP, TO(COLLATZ),
    AT(COLLATZ_END),
    OP_LOAD, TOTAL, OP_EMIT,
    OP_HALT,

    AT(IS_PRIME), /* x -- 0 or 1 */
        OP_STORE, X,
        OP_PUSH8, 2, OP_STORE, D,
    AT(TRY),
        OP_LOAD, X, OP_LOAD, D, OP_DUP, OP_MUL, OP_LESS,
        OP_JUMP_IF, TO(PRIME),
        OP_LOAD, X, OP_LOAD, D, OP_REMU, OP_ZERO,
        OP_JUMP_IF, TO(NOT_PRIME),
        OP_INC, D, OP_JUMP, TO(TRY),
    AT(PRIME),
        OP_PUSH8, 1, OP_RET,
    AT(NOT_PRIME),
        OP_PUSH8, 0, OP_RET,

    AT(STEPS), /* x -- steps down to 1, kept below x while counting */
        OP_PUSH8, 0, OP_SWAP,
    AT(STEP),
        OP_DUP, OP_PUSH8, 1, OP_SUB, OP_ZERO, OP_JUMP_IF, TO(STEPS_END),
        OP_SWAP, OP_PUSH8, 1, OP_ADD, OP_SWAP,
        OP_DUP, OP_PUSH8, 1, OP_AND, OP_JUMP_IF, TO(STEP_ODD),
        OP_PUSH8, 1, OP_SHR, OP_JUMP, TO(STEP),
    AT(STEP_ODD),
        OP_PUSH8, 3, OP_MUL, OP_PUSH8, 1, OP_ADD, OP_JUMP, TO(STEP),
    AT(STEPS_END),
        OP_DROP, OP_RET,
};

static void assemble(u8 *code)
{
    u8 place[LABELS];
    u32 n = 0;

    for (u32 i = 0; i < sizeof source / sizeof *source; i++) {
        if (source[i] >> 8 == 1)
            place[source[i] & 0xff] = (u8)n;
        else
            n++;
    }
    for (u32 i = 0; i < sizeof source / sizeof *source; i++) {
        if (source[i] >> 8 == 0)
            *code++ = (u8)source[i];
        else if (source[i] >> 8 == 2)
            *code++ = place[source[i] & 0xff];
    }
}

static u32 count_primes(u32 n)
{
    u32 count = 0;

    for (u32 i = 2; i <= n; i++) {
        u32 d = 2;
        while (d * d <= i && i % d != 0)
            d++;
        count += d * d > i;
    }
    return count;
}

static u32 collatz_steps(u32 n)
{
    u32 total = 0;

    for (u32 i = 1; i <= n; i++)
        for (u32 x = i; x != 1; total++)
            x = x & 1 ? 3 * x + 1 : x >> 1;
    return total;
}

int main(int argc, char **argv)
{
    static u8 code[256];
    static struct result result;
    /* No number up to the limit has a sequence that leaves 32 bits. */
    u32 n = arg_u32(argc, argv, 1, 400, 1, 100000);
    int ok;

    assemble(code);
    ok = run(code, n, &result) && result.count == 2 &&
         result.value[0] == count_primes(n) &&
         result.value[1] == collatz_steps(n);
    if (n == 400)
        ok = ok && result.value[0] == 78 && result.value[1] == 20141 &&
             result.operations == 370040;

    out_str("vm(");
    out_u32(n);
    out_str(") = ");
    out_u32(result.value[0]);
    out_str(" primes, ");
    out_u32(result.value[1]);
    out_str(" steps, ");
    out_u64(result.operations);
    out_str(" operations");
    return finish(ok);
}
