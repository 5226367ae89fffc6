/* SHA-256 of a long message: rotates, xors and additions in straight lines.
 *
 *   sha256 [BLOCKS]      64-byte blocks of message, 1500 unless told
 *
 * The message is 64 blocks of pseudo-random bytes over and over, with the
 * number of the block written over the first four bytes of each (little
 * endian). A second, plainer implementation with constants it works out for
 * itself redoes single blocks along the way.
 */
#include "sys.h"

/* ---- the fast one ------------------------------------------------------ */

static const u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const u32 H0[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static inline u32 ror(u32 x, int n)
{
    return x >> n | x << (32 - n);
}

static inline u32 big_endian(const u8 *p)
{
    return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

#define ROUND(a, b, c, d, e, f, g, h, i)                                      \
    do {                                                                      \
        u32 t = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) +                   \
                (g ^ (e & (f ^ g))) + K[i] + w[i];                            \
        d += t;                                                               \
        h = t + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) +                       \
            ((a & b) | (c & (a | b)));                                        \
    } while (0)

NOINLINE static void compress(u32 state[8], const u8 *block)
{
    u32 w[64];
    u32 a = state[0], b = state[1], c = state[2], d = state[3];
    u32 e = state[4], f = state[5], g = state[6], h = state[7];

    for (int i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        u32 x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (ror(x, 7) ^ ror(x, 18) ^ x >> 3) + w[i - 7] +
               (ror(y, 17) ^ ror(y, 19) ^ y >> 10);
    }
    for (int i = 0; i < 64; i += 8) {
        ROUND(a, b, c, d, e, f, g, h, i);
        ROUND(h, a, b, c, d, e, f, g, i + 1);
        ROUND(g, h, a, b, c, d, e, f, i + 2);
        ROUND(f, g, h, a, b, c, d, e, i + 3);
        ROUND(e, f, g, h, a, b, c, d, i + 4);
        ROUND(d, e, f, g, h, a, b, c, i + 5);
        ROUND(c, d, e, f, g, h, a, b, i + 6);
        ROUND(b, c, d, e, f, g, h, a, i + 7);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

/* Hashes the last `len` bytes of a message of `blocks` whole blocks and these. */
static void finish_hash(u32 state[8], u32 blocks, const u8 *tail, u32 len)
{
    u8 buf[128];
    u32 end = len < 56 ? 64 : 128;
    u64 bits = ((u64)blocks * 64 + len) * 8;

    memset(buf, 0, sizeof buf);
    memcpy(buf, tail, len);
    buf[len] = 0x80;
    for (u32 i = 0; i < 8; i++)
        buf[end - 1 - i] = (u8)(bits >> 8 * i);
    for (u32 at = 0; at < end; at += 64)
        compress(state, buf + at);
}

/* ---- the plain one ----------------------------------------------------- */

static u32 plain_k[64];

/* The first 32 bits of the fraction of the cube root of p: the largest r with
 * r^3 <= p * 2^96, less its whole part. r stays below 2^35, so r^3 takes four
 * words; they are compared with p, 0, 0, 0. */
static u32 cube_root_fraction(u32 p)
{
    u64 r = 0;

    for (int bit = 34; bit >= 0; bit--) {
        u64 try = r | (u64)1 << bit;
        u32 lo = (u32)try, hi = (u32)(try >> 32);
        u64 ll = (u64)lo * lo, lh = (u64)lo * hi, hh = (u64)hi * hi;
        u32 sq[3], cube[4] = {0, 0, 0, 0};
        u64 t;

        sq[0] = (u32)ll;
        t = (ll >> 32) + (u32)(2 * lh);
        sq[1] = (u32)t;
        sq[2] = (u32)((t >> 32) + (2 * lh >> 32) + hh);
        t = 0;
        for (int i = 0; i < 3; i++) {
            t += (u64)sq[i] * lo;
            cube[i] = (u32)t;
            t >>= 32;
        }
        cube[3] = (u32)t;
        t = 0;
        for (int i = 0; i < 3; i++) {
            t += (u64)sq[i] * hi + cube[i + 1];
            cube[i + 1] = (u32)t;
            t >>= 32;
        }
        if (t == 0 && (cube[3] < p ||
                       (cube[3] == p && (cube[2] | cube[1] | cube[0]) == 0)))
            r = try;
    }
    return (u32)r;
}

static void plain_setup(void)
{
    u32 n = 0;

    for (u32 p = 2; n < 64; p++) {
        u32 d = 2;
        while (d * d <= p && p % d != 0)
            d++;
        if (d * d > p)
            plain_k[n++] = cube_root_fraction(p);
    }
}

static void plain_compress(u32 state[8], const u8 *block)
{
    u32 w[16], v[8];

    for (int i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        u32 s1 = ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25);
        u32 ch = (v[4] & v[5]) ^ (~v[4] & v[6]);
        u32 t1 = v[7] + s1 + ch + plain_k[i] + w[i & 15];
        u32 s0 = ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22);
        u32 maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        u32 x = w[(i + 1) & 15], y = w[(i + 14) & 15];

        w[i & 15] += w[(i + 9) & 15] + (ror(x, 7) ^ ror(x, 18) ^ x >> 3) +
                     (ror(y, 17) ^ ror(y, 19) ^ y >> 10);
        for (int j = 7; j > 0; j--)
            v[j] = v[j - 1];
        v[4] += t1;
        v[0] = t1 + s0 + maj;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

/* ---- the program ------------------------------------------------------- */

static int same(const u32 a[8], const u32 b[8])
{
    return memcmp(a, b, 32) == 0;
}

static int known_answers(void)
{
    static const u32 empty[8] = {
        0xe3b0c442, 0x98fc1c14, 0x9afbf4c8, 0x996fb924,
        0x27ae41e4, 0x649b934c, 0xa495991b, 0x7852b855,
    };
    static const u32 abc[8] = {
        0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
        0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad,
    };
    u32 state[8];
    int ok;

    memcpy(state, H0, sizeof state);
    finish_hash(state, 0, (const u8 *)"", 0);
    ok = same(state, empty);
    memcpy(state, H0, sizeof state);
    finish_hash(state, 0, (const u8 *)"abc", 3);
    return ok && same(state, abc);
}

int main(int argc, char **argv)
{
    static const u32 default_hash[8] = {
        0x74985c3f, 0x745ff0c2, 0x98714380, 0x0e8540b5,
        0x6c38ea84, 0x8635d6d2, 0x0dc4487c, 0xadc89750,
    };
    static u8 message[64][64];
    u32 blocks = arg_u32(argc, argv, 1, 1500, 1, 1000000000);
    u32 every = blocks / 16 + 1;
    u32 seed = 123456789;
    u32 state[8];
    int ok = known_answers();

    plain_setup();
    for (u32 i = 0; i < sizeof message; i++)
        message[i / 64][i % 64] = (u8)(xorshift32(&seed) >> 24);

    memcpy(state, H0, sizeof state);
    for (u32 i = 0; i < blocks; i++) {
        u8 *block = message[i % 64];
        u32 plain[8];
        int check = i % every == 0;

        block[0] = (u8)i;
        block[1] = (u8)(i >> 8);
        block[2] = (u8)(i >> 16);
        block[3] = (u8)(i >> 24);
        if (check) {
            memcpy(plain, state, sizeof plain);
            plain_compress(plain, block);
        }
        compress(state, block);
        if (check)
            ok &= same(plain, state);
    }
    finish_hash(state, blocks, (const u8 *)"", 0);
    if (blocks == 1500)
        ok &= same(state, default_hash);

    out_str("sha256(");
    out_u32(blocks);
    out_str(" blocks) = ");
    for (int i = 0; i < 8; i++)
        out_hex32(state[i]);
    return finish(ok);
}
