/* A bit of everything a small embedded program does: linked lists, matrices, a
 * state machine over text, a CRC.
 *
 *   mix [ROUNDS]      70 unless told
 *
 * Every round works on fresh pseudo-random data, and every part of it is
 * checked by other means.
 */
#include "sys.h"

enum { NODES = 64, SIZE = 10, TEXT = 256 };

static u32 seed = 521288629;
static u32 digest;

static void fold(u32 v)
{
    digest = digest * 31 + v;
}

/* ---- linked lists ------------------------------------------------------ */

struct node {
    struct node *next;
    u32 key, index;
};

typedef int order(const struct node *a, const struct node *b);

static int by_key(const struct node *a, const struct node *b)
{
    return a->key <= b->key;
}

static int by_index(const struct node *a, const struct node *b)
{
    return a->index <= b->index;
}

static struct node *reverse(struct node *list)
{
    struct node *done = NULL;

    while (list != NULL) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

/* Merge sort; nodes the order finds equal stay as they were. */
NOINLINE static struct node *sort(struct node *list, order *in_order)
{
    struct node *slow = list, *fast, *second, *first, *merged, **end = &merged;

    if (list == NULL || list->next == NULL)
        return list;
    for (fast = list->next; fast != NULL && fast->next != NULL;
         fast = fast->next->next)
        slow = slow->next;
    second = slow->next;
    slow->next = NULL;
    first = sort(list, in_order);
    second = sort(second, in_order);
    while (first != NULL && second != NULL) {
        struct node **least = in_order(first, second) ? &first : &second;
        *end = *least;
        end = &(*least)->next;
        *least = *end;
    }
    *end = first != NULL ? first : second;
    return merged;
}

/* The position of the first node with the key, or NODES. */
static u32 find(const struct node *list, u32 key)
{
    u32 at = 0;

    while (list != NULL && list->key != key)
        list = list->next, at++;
    return at;
}

/* Moves every third node, from the first on, to the end of the list. */
static struct node *shuffle(struct node *list)
{
    struct node *kept, *moved, **kept_end = &kept, **moved_end = &moved;

    for (u32 i = 0; list != NULL; i++, list = list->next) {
        struct node ***end = i % 3 == 0 ? &moved_end : &kept_end;
        **end = list;
        *end = &list->next;
    }
    *kept_end = moved;
    *moved_end = NULL;
    return kept;
}

static void fold_list(const struct node *list)
{
    for (; list != NULL; list = list->next)
        fold(list->index);
}

static int lists(void)
{
    static struct node pool[NODES];
    struct node *list = NULL;
    u32 n = 0;
    int ok = 1;

    for (u32 i = NODES; i-- > 0;) {
        pool[i] = (struct node){list, xorshift32(&seed) & 0xff, i};
        list = &pool[i];
    }
    list = sort(list, by_key);
    for (const struct node *p = list; p->next != NULL; p = p->next)
        ok &= p->key < p->next->key ||
              (p->key == p->next->key && p->index < p->next->index);
    fold_list(list);
    for (int i = 0; i < 16; i++)
        fold(find(list, xorshift32(&seed) & 0xff));
    list = shuffle(reverse(list));
    fold_list(list);
    list = sort(list, by_index);
    for (const struct node *p = list; p != NULL; p = p->next, n++)
        ok &= p == &pool[n];
    return ok && n == NODES;
}

/* ---- matrices ---------------------------------------------------------- */

typedef i32 matrix[SIZE][SIZE];

static void fill(matrix m)
{
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            m[i][j] = (i32)(xorshift32(&seed) % 201) - 100;
}

NOINLINE static void multiply(matrix c, matrix a, matrix b)
{
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            i32 sum = 0;
            for (int k = 0; k < SIZE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

static void apply(i32 *to, matrix m, const i32 *x)
{
    for (int i = 0; i < SIZE; i++) {
        to[i] = 0;
        for (int k = 0; k < SIZE; k++)
            to[i] += m[i][k] * x[k];
    }
}

/* (a b) x must be a (b x), whatever x is. */
static int matrices(void)
{
    static matrix a, b, c;
    i32 x[SIZE], bx[SIZE], abx[SIZE], cx[SIZE];

    fill(a);
    fill(b);
    multiply(c, a, b);
    for (int i = 0; i < SIZE; i++) {
        x[i] = (i32)(xorshift32(&seed) & 15);
        for (int j = 0; j < SIZE; j++)
            fold((u32)c[i][j]);
    }
    apply(bx, b, x);
    apply(abx, a, bx);
    apply(cx, c, x);
    return memcmp(abx, cx, sizeof cx) == 0;
}

/* ---- a state machine --------------------------------------------------- */

/* Sorts the words of a text, set apart by commas, into numbers such as 12,
 * 1.5 or .5, 1e-5, and others. */
enum kind { EMPTY, WHOLE, POINT, POWER, OTHER, KINDS };

enum state { START, SIGN, INT, DOT, FRAC, E, E_SIGN, E_INT, BAD, STATES };

enum class { DIGIT, PLUS_MINUS, FULL_STOP, LETTER_E, ELSE, CLASSES };

static enum class class_of(u8 c)
{
    switch (c) {
    case '+': case '-':
        return PLUS_MINUS;
    case '.':
        return FULL_STOP;
    case 'e': case 'E':
        return LETTER_E;
    default:
        return c >= '0' && c <= '9' ? DIGIT : ELSE;
    }
}

NOINLINE static void by_machine(const u8 *text, u32 counts[KINDS])
{
    static const u8 next[STATES][CLASSES] = {
        [START] = {INT, SIGN, DOT, BAD, BAD},
        [SIGN] = {INT, BAD, DOT, BAD, BAD},
        [INT] = {INT, BAD, FRAC, E, BAD},
        [DOT] = {FRAC, BAD, BAD, BAD, BAD},
        [FRAC] = {FRAC, BAD, BAD, E, BAD},
        [E] = {E_INT, E_SIGN, BAD, BAD, BAD},
        [E_SIGN] = {E_INT, BAD, BAD, BAD, BAD},
        [E_INT] = {E_INT, BAD, BAD, BAD, BAD},
        [BAD] = {BAD, BAD, BAD, BAD, BAD},
    };
    static const u8 kinds[STATES] = {
        [START] = EMPTY, [SIGN] = OTHER, [INT] = WHOLE, [DOT] = OTHER,
        [FRAC] = POINT, [E] = OTHER, [E_SIGN] = OTHER, [E_INT] = POWER,
        [BAD] = OTHER,
    };
    u32 state = START;

    for (u32 i = 0; i < TEXT; i++) {
        if (text[i] == ',') {
            counts[kinds[state]]++;
            state = START;
        } else {
            state = next[state][class_of(text[i])];
        }
    }
}

static u32 digits(const u8 **p)
{
    u32 n = 0;

    for (; **p >= '0' && **p <= '9'; (*p)++)
        n++;
    return n;
}

static enum kind kind_of(const u8 *p)
{
    enum kind kind = WHOLE;
    u32 whole;

    if (*p == ',')
        return EMPTY;
    if (*p == '+' || *p == '-')
        p++;
    whole = digits(&p);
    if (*p == '.') {
        p++;
        kind = POINT;
        whole += digits(&p);
    }
    if (whole == 0)
        return OTHER;
    if (*p == 'e' || *p == 'E') {
        p++;
        kind = POWER;
        if (*p == '+' || *p == '-')
            p++;
        if (digits(&p) == 0)
            return OTHER;
    }
    return *p == ',' ? kind : OTHER;
}

static int words(const u8 *text)
{
    u32 counts[KINDS] = {0}, expected[KINDS] = {0};

    by_machine(text, counts);
    for (u32 i = 0; i < TEXT; i++)
        if (i == 0 || text[i - 1] == ',')
            expected[kind_of(text + i)]++;
    for (int i = 0; i < KINDS; i++)
        fold(counts[i]);
    return memcmp(counts, expected, sizeof counts) == 0;
}

/* ---- CRC-32 ------------------------------------------------------------ */

NOINLINE static u32 crc_by_bit(const u8 *p, u32 len)
{
    u32 crc = ~0u;

    while (len-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

NOINLINE static u32 crc_by_nibble(const u8 *p, u32 len)
{
    static u32 table[16];
    u32 crc = ~0u;

    if (table[1] == 0)
        for (u32 i = 0; i < 16; i++) {
            u32 v = i;
            for (int bit = 0; bit < 4; bit++)
                v = v & 1 ? v >> 1 ^ 0xedb88320u : v >> 1;
            table[i] = v;
        }
    for (; len-- > 0; p++) {
        crc = crc >> 4 ^ table[(crc ^ *p) & 15];
        crc = crc >> 4 ^ table[(crc ^ *p >> 4) & 15];
    }
    return ~crc;
}

static int crcs(const u8 *text)
{
    u32 crc = crc_by_bit(text, TEXT);

    fold(crc);
    return crc == crc_by_nibble(text, TEXT);
}

/* ------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
    static const u8 letters[] = "01234567+-.eEx,,,,0123456789.e-,";
    u32 rounds = arg_u32(argc, argv, 1, 70, 1, 100000000);
    u8 text[TEXT];
    int ok = crc_by_bit((const u8 *)"123456789", 9) == 0xcbf43926;

    for (u32 round = 0; round < rounds; round++) {
        ok &= lists();
        ok &= matrices();
        for (u32 i = 0; i < TEXT - 1; i++)
            text[i] = letters[xorshift32(&seed) >> 8 & 31];
        text[TEXT - 1] = ',';
        ok &= words(text);
        ok &= crcs(text);
    }
    if (rounds == 70)
        ok &= digest == 0xe6cff530u;
    out_str("mix(");
    out_u32(rounds);
    out_str(") = ");
    out_hex32(digest);
    return finish(ok);
}
