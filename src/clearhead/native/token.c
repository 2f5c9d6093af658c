/* What a pass over one new token in each of a few rows computes besides its products with weights, and a list of such
 * calls run in one.
 *
 * Numbers are float32, bfloat16 or float16; sums are float32. Each step is rounded as PyTorch rounds it.
 * A call is the same whether it is made alone or in a list, and a row the same whatever the others are, so the bits of a
 * pass do not depend on that. Sizes in a call are those of one row; unless it says otherwise, rows lie one after another.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

struct call {
    int32_t what, dtype;
    void *p[6];
    int64_t n[8];
    float f[2];
};

/* Where a pass is: its rows, the place of their new tokens, and how many keys there are of a text that all attend to. */
struct now {
    long rows, place, source;
    int threads;
};

enum what { EMBED, SCALE, PLACED, ADD, NORM, PRODUCT, ROTATE, EXTEND, ATTEND, ACTIVATE, CAP };
enum activation { IDENTITY, RELU, SIGMOID, TANH, GELU, GELU_TANH, SILU };

#define PART 256   /* keys whose sums are added at a time: one after another, 200,000 lose a digit and a half */
#define BLOCK 64   /* numbers that are activated at a time */
#define MANY 32768 /* numbers; below, a second thread costs more than it saves */

typedef int product(const void *, const void *, const uint16_t *, const void *, void *, long, long, long, int, int);
product float32, bfloat16, float16, int8, int4;
static product *const PRODUCTS[] = {float32, bfloat16, float16, int8, int4};

INLINE float round_to(float number, int dtype) {
    uint32_t kept;
    if (!dtype) return number;
    put(&kept, 0, dtype, number);
    return get(&kept, 0, dtype);
}

/* e^x within 2 units in the last place: 2^n times a polynomial for the rest (Cephes, expf). NaN stays NaN. */
INLINE float exp_f(float x) {
    x = x > 88.376f ? 88.376f : x;
    x = x < -87.336f ? -87.336f : x;
    const float n = (x * 1.44269504f + 12582912.f) - 12582912.f; /* the nearest whole number */
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1;
    union { int32_t bits; float number; } power = {((int32_t)n + 127) << 23};
    return y * power.number;
}

/* Near 0 by its series: the difference of two numbers near 1 would leave few digits. */
INLINE float tanh_f(float x) {
    const float square = x * x;
    const float near = x + x * square * (-1 / 3.f + square * (2 / 15.f + square * (-17 / 315.f + square * 62 / 2835.f)));
    const float far = 1 - 2 / (exp_f(2 * x) + 1);
    return square < 0.0625f ? near : far;
}

INLINE float activated(float x, const int activation) {
    switch (activation) {
    case RELU: return x < 0 ? 0 : x;
    case SIGMOID: return 1 / (1 + exp_f(-x));
    case TANH: return tanh_f(x);
    case GELU: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case GELU_TANH: return x / (1 + exp_f(-1.59576912f * (x + 0.044715f * x * x * x))); /* (1 + tanh u) / 2 */
    case SILU: return x / (1 + exp_f(-x));
    default: return x;
    }
}

/* ids_R, weight_VE, scales_VG, out_RE. n: E, V, format (in the order of PRODUCTS). */
static int embed(const struct call *c, const struct now *now, const int dtype) {
    const long E = c->n[0];
    for (long r = 0; r < now->rows; r++) {
        const long id = ((const int64_t *)c->p[0])[r];
        if (id < 0 || id >= c->n[1]) return 0;
        const uint16_t *scales = c->p[2] ? (const uint16_t *)c->p[2] + id * (E / 32) : NULL;
        for (long e = 0; e < E; e++) {
            float number;
            if (c->n[2] < 3)
                number = get(c->p[1], id * E + e, c->n[2]);
            else if (c->n[2] == 3)
                number = ((const int8_t *)c->p[1])[id * E + e] * _cvtsh_ss(scales[e / 32]);
            else {
                const uint8_t pair = ((const uint8_t *)c->p[1])[id * (E / 2) + e / 32 * 16 + e % 16];
                number = ((e % 32 < 16 ? pair & 15 : pair >> 4) - 8) * _cvtsh_ss(scales[e / 32]);
            }
            put(c->p[3], r * E + e, dtype, number);
        }
    }
    return 1;
}

/* x_E, out_E. n: E. f: the factor. */
INLINE void scale(const struct call *c, const struct now *now, const int dtype) {
    const float factor = round_to(c->f[0], dtype);
    for (long e = 0; e < now->rows * c->n[0]; e++) put(c->p[1], e, dtype, get(c->p[0], e, dtype) * factor);
}

/* x_E, table_KE, out_E. n: E, the table's row for place 0, the table's dtype. */
INLINE void placed(const struct call *c, const struct now *now, const int dtype) {
    const long E = c->n[0], first = (now->place + c->n[1]) * E;
    for (long r = 0; r < now->rows * E; r += E)
        for (long e = 0; e < E; e++)
            put(c->p[2], r + e, dtype, get(c->p[0], r + e, dtype) + round_to(get(c->p[1], first + e, c->n[2]), dtype));
}

/* a_E, b_E, out_E. n: E. */
INLINE void add(const struct call *c, const struct now *now, const int dtype) {
    for (long e = 0; e < now->rows * c->n[0]; e++)
        put(c->p[2], e, dtype, get(c->p[0], e, dtype) + get(c->p[1], e, dtype));
}

INLINE float sum_of(const float *x, long E, const float mean, const int squares) {
    float sums[LANES] = {0}, sum = 0;
    long e = 0;
    for (; e + LANES <= E; e += LANES)
        for (int i = 0; i < LANES; i++) sums[i] += squares ? (x[e + i] - mean) * (x[e + i] - mean) : x[e + i];
    for (int i = 0; i < LANES; i++) sum += sums[i];
    for (; e < E; e++) sum += squares ? (x[e] - mean) * (x[e] - mean) : x[e];
    return sum;
}

/* x_XE, weight_E, bias_E, out_XE. n: X, E, 0 for the mean and the variance (LayerNorm) or 1 for the mean square (RMSNorm).
 * f: eps, and what is added to the weight; if that is not 0, only the result is rounded. */
INLINE int normed(const struct call *c, const struct now *now, const int dtype) {
    const long X = now->rows * c->n[0], E = c->n[1];
    const int rms = c->n[2];
    float *wide = malloc(E * sizeof *wide);
    if (!wide) return 0;
    for (long x = 0; x < X; x++) {
        for (long e = 0; e < E; e++) wide[e] = get(c->p[0], x * E + e, dtype);
        const float mean = rms ? 0 : sum_of(wide, E, 0, 0) / E;
        const float r = 1 / sqrtf(sum_of(wide, E, mean, 1) / E + c->f[0]);
        for (long e = 0; e < E; e++) {
            float y = (wide[e] - mean) * r;
            if (rms && c->f[1] == 0) y = round_to(y, dtype) * round_to(get(c->p[1], e, dtype), dtype);
            else y *= c->f[1] + get(c->p[1], e, dtype);
            put(c->p[3], x * E + e, dtype, c->p[2] ? y + get(c->p[2], e, dtype) : y);
        }
    }
    free(wide);
    return 1;
}

/* x_XD, cosines_KR, sines_KR (float32), out_XD. n: X, D, R: pairs are the two halves of the first R numbers of a head. */
INLINE void rotated(const struct call *c, const struct now *now, const int dtype) {
    const long X = now->rows * c->n[0], D = c->n[1], R = c->n[2], half = R / 2;
    const float *cosines = (const float *)c->p[1] + now->place * R, *sines = (const float *)c->p[2] + now->place * R;
    for (long x = 0; x < X * D; x += D) {
        for (long i = 0; i < half; i++) {
            const float a = get(c->p[0], x + i, dtype), b = get(c->p[0], x + half + i, dtype);
            put(c->p[3], x + i, dtype,
                round_to(a * round_to(cosines[i], dtype), dtype) + b * round_to(sines[i], dtype));
            put(c->p[3], x + half + i, dtype,
                round_to(b * round_to(cosines[half + i], dtype), dtype) + a * round_to(sines[half + i], dtype));
        }
        for (long i = R; i < D; i++) put(c->p[3], x + i, dtype, get(c->p[0], x + i, dtype));
    }
}

/* k_GD, v_GD, keys_GKD, values_GKD. n: G, D, the numbers between the keys of two groups; between two rows of the new
 * keys, of the new values, of all keys. */
static void extend(const struct call *c, const struct now *now, long size) {
    const long G = c->n[0], D = c->n[1];
    for (int both = 0; both < 2; both++)
        for (long r = 0; r < now->rows; r++)
            for (long g = 0; g < G; g++)
                memcpy((char *)c->p[2 + both] + (r * c->n[5] + g * c->n[2] + now->place * D) * size,
                       (char *)c->p[both] + (r * c->n[3 + both] + g * D) * size, D * size);
}

INLINE V load(const void *numbers, long i, const int dtype) {
    if (dtype == 1) return of_bfloat16((const uint16_t *)numbers + i);
    if (dtype == 2) return of_float16((const uint16_t *)numbers + i);
    return LOAD((const float *)numbers + i);
}

/* R heads of a group, from head h of a row on: softmax(q k) v over the keys from `first` on, of which they see `count`.
 * memory: R (count + 3 D) numbers. A head's numbers are summed in the same order whatever R is. */
INLINE void some_heads(const struct call *c, long row, long h, long R, long first, long count, float *memory,
                       const int dtype) {
    const long H = c->n[0], G = c->n[1], D = c->n[2], at = row * c->n[7] + h / (H / G) * c->n[3] + first * D;
    const float scale = c->f[0], cap = c->f[1];
    float *s = memory, *q = s + R * count, *o = q + R * D, *part = o + R * D, largest[R], sum[R], weight[R];
    for (long i = 0; i < R * D; i++) q[i] = get(c->p[0], row * c->n[6] + h * D + i, dtype), o[i] = 0;
    for (long r = 0; r < R; r++) largest[r] = c->p[3] ? get(c->p[3], h + r, dtype) : -INFINITY;
    for (long k = 0; k < count; k++)
        for (long r = 0; r < R; r++) {
            V sums = ZERO();
            for (long d = 0; d < D; d += LANES) sums = FMA(LOAD(q + r * D + d), load(c->p[1], at + k * D + d, dtype), sums);
            float score = total(sums) * scale;
            if (cap) score = cap * tanhf(score / cap);
            largest[r] = score > largest[r] || score != score ? score : largest[r]; /* NaN stays */
            s[r * count + k] = score;
        }
    for (long r = 0; r < R; r++) {
        const int nothing = largest[r] == -INFINITY; /* all scores are: no key gets any weight */
        for (long k = 0; k < count; k++) s[r * count + k] = nothing ? 0 : exp_f(s[r * count + k] - largest[r]);
        sum[r] = nothing;
    }
    for (long start = 0; start < count; start += PART) {
        const long stop = count < start + PART ? count : start + PART;
        for (long i = 0; i < R * D; i++) part[i] = 0;
        for (long r = 0; r < R; r++) weight[r] = 0;
        for (long k = start; k < stop; k++)
            for (long r = 0; r < R; r++) {
                const float own = s[r * count + k];
                weight[r] += own;
                for (long d = 0; d < D; d += LANES) {
                    V next = FMA(SAME(own), load(c->p[2], at + k * D + d, dtype), LOAD(part + r * D + d));
                    memcpy(part + r * D + d, &next, sizeof next);
                }
            }
        for (long i = 0; i < R * D; i++) o[i] += part[i];
        for (long r = 0; r < R; r++) sum[r] += weight[r];
    }
    for (long r = 0; r < R; r++) {
        if (c->p[3]) sum[r] += exp_f(get(c->p[3], h + r, dtype) - largest[r]);
        for (long d = 0; d < D; d++) put(c->p[4], (row * H + h + r) * D + d, dtype, o[r * D + d] / sum[r]);
    }
}

/* q_HD, keys_GKD, values_GKD, sinks_H or NULL, out_HD. n: H, G, D, the numbers between two groups, the window or 0, 1 for
 * the keys of the source or 0 for those up to the place; the numbers between two rows of queries, and of keys.
 * f: the scale, and the soft cap or 0. */
INLINE int attended(const struct call *c, const struct now *now, const int dtype) {
    const long H = c->n[0], G = c->n[1], D = c->n[2], window = c->n[4], keys = c->n[5] ? now->source : now->place + 1;
    const long count = window && window < keys ? window : keys, first = keys - count, size = count + 3 * D;
    const long heads = now->rows * H;
    const int threads = heads * count * D < MANY ? 1 : now->threads;
    const long R = now->rows * G % threads ? 1 : H / G; /* a group's keys are read once, unless a thread would wait */
    float *memory = malloc(heads * size * sizeof *memory);
    if (!memory) return 0;
    _Pragma("omp parallel for num_threads(threads) schedule(static)") for (long h = 0; h < heads; h += R)
        some_heads(c, h / H, h % H, R, first, count, memory + h * size, dtype);
    free(memory);
    return 1;
}

/* In place. Apart from the dtypes, as compiling takes a second for each copy of these loops. */
#define EACH(activation)                                                                                               \
    case activation:                                                                                                   \
        for (int i = 0; i < BLOCK; i++) x[i] = activated(x[i], activation);                                            \
        break;
static void activate_block(float x[BLOCK], int activation) {
    switch (activation) {
        EACH(RELU)
        EACH(SIGMOID)
        EACH(TANH)
        EACH(GELU)
        EACH(GELU_TANH)
        EACH(SILU)
    }
}

/* h_F, or gate_F and up_F one after the other; out_F. n: F, the activation, whether gated. */
INLINE void activate(const struct call *c, const struct now *now, const int dtype) {
    const long F = c->n[0], wide = c->n[2] ? 2 * F : F;
    float block[BLOCK] = {0};
    for (long r = 0; r < now->rows; r++)
        for (long start = 0; start < F; start += BLOCK) {
            const int size = F - start < BLOCK ? F - start : BLOCK;
            const long at = r * wide + start;
            for (int i = 0; i < size; i++) block[i] = get(c->p[0], at + i, dtype);
            activate_block(block, c->n[1]);
            for (int i = 0; i < size; i++)
                put(c->p[1], r * F + start + i, dtype,
                    c->n[2] ? round_to(block[i], dtype) * get(c->p[0], at + F + i, dtype) : block[i]);
        }
}

/* x_V, out_V. n: V. f: c in c tanh(x / c). */
INLINE void capped(const struct call *c, const struct now *now, const int dtype) {
    const float cap = c->f[0];
    const int threads = now->threads;
    _Pragma("omp parallel for num_threads(threads) schedule(static)") for (long i = 0; i < now->rows * c->n[0]; i++)
        put(c->p[1], i, dtype, cap * round_to(tanh_f(round_to(get(c->p[0], i, dtype) / cap, dtype)), dtype));
}

INLINE int make(const struct call *c, const struct now *now, const int dtype) {
    switch (c->what) {
    case EMBED: return embed(c, now, dtype);
    case SCALE: scale(c, now, dtype); return 1;
    case PLACED: placed(c, now, dtype); return 1;
    case ADD: add(c, now, dtype); return 1;
    case NORM: return normed(c, now, dtype);
    case PRODUCT:
        return PRODUCTS[c->n[2]](c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], now->rows, c->n[0], c->n[1], dtype,
                                 now->threads);
    case ROTATE: rotated(c, now, dtype); return 1;
    case EXTEND: extend(c, now, dtype ? 2 : 4); return 1;
    case ATTEND: return attended(c, now, dtype);
    case ACTIVATE: activate(c, now, dtype); return 1;
    case CAP: capped(c, now, dtype); return 1;
    }
    return 0;
}

/* Makes the calls, each with the results of those before it. Returns how many were made: a call fails without memory, and
 * for an id outside the embedding. */
long run(const struct call *calls, long count, long rows, long place, long source, int threads) {
    const struct now now = {rows, place, source, threads};
    for (long i = 0; i < count; i++) {
        const struct call *c = calls + i;
        const int made = c->dtype == 0   ? make(c, &now, 0)
                         : c->dtype == 1 ? make(c, &now, 1)
                                         : make(c, &now, 2);
        if (!made) return i;
    }
    return count;
}
