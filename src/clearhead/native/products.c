/* y_TN = x_TK W_NK^T for few rows of x, where the time goes into reading W.
 *
 * One function per format of W; each reads W once. A number of y is summed in the same order whatever else is computed
 * with it, so its bits depend neither on the other rows of x nor on the number of threads.
 * Where W has 8 or 4 bits, x is rounded to 16, with a scale for every 32 numbers, and multiplied as whole numbers.
 * There K is a multiple of 32. Built without a library of threads: the symbols come from the OpenMP that PyTorch has
 * loaded.
 */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

#define STEP 32   /* numbers of W at a time, and the size of a group with a scale of its own */
#define AHEAD 4096 /* bytes; without prefetching 4-bit products take 1.2 times as long on an EPYC, 3 times on a Xeon.
                    * NTA: weights do not throw out of the caches what the rest of a pass works with. */
#define TILE 8    /* rows of x that share what was decoded, at most */

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define MULTIPLY_ADD _mm256_dpwssd_epi32
#else
#define MULTIPLY_ADD(sums, a, b) _mm256_add_epi32(sums, _mm256_madd_epi16(a, b))
#endif

#define PARTS (STEP / LANES)

INLINE void load_float32(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = LOAD((const float *)row + k + LANES * part);
}
INLINE void load_bfloat16(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = of_bfloat16((const uint16_t *)row + k + LANES * part);
}
INLINE void load_float16(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = of_float16((const uint16_t *)row + k + LANES * part);
}

/* Rows of x as the kernels read them. */
struct inputs {
    const float *numbers;  /* for W in 16 or 32 bits */
    int16_t *codes;        /* for W in 8 or 4 bits: about the numbers divided by their group's scale */
    float *scales, *sums;  /* of each group; sums: of its codes, times -8, as 4-bit codes of W are kept 8 too large */
    void *memory;          /* to free */
};

static long padded(long groups) { return (groups + 7) / 8 * 8; }

static int widened(struct inputs *x, const void *given, long T, long K, int dtype) {
    x->numbers = dtype ? x->memory = malloc(T * K * sizeof(float)) : given;
    if (!x->numbers) return 0;
    for (long i = 0; dtype && i < T * K; i++) ((float *)x->memory)[i] = get(given, i, dtype);
    return 1;
}

static int rounded(struct inputs *x, const void *given, long T, long K, int dtype) {
    const long groups = K / STEP, H = padded(groups);
    x->memory = calloc(T, K * sizeof(int16_t) + 2 * H * sizeof(float));
    if (!x->memory) return 0;
    x->scales = x->memory;
    x->sums = x->scales + T * H;
    x->codes = (int16_t *)(x->sums + T * H);
    for (long t = 0; t < T; t++)
        for (long g = 0; g < groups; g++) {
            const long first = t * K + g * STEP;
            float numbers[STEP];
            for (int i = 0; i < STEP; i++) numbers[i] = get(given, first + i, dtype);
            __m256 most = _mm256_setzero_ps(), nothing = most; /* NaN where a number is not finite */
            for (int i = 0; i < STEP; i += 8) {
                __m256 eight = _mm256_loadu_ps(numbers + i);
                nothing = _mm256_fmadd_ps(eight, _mm256_setzero_ps(), nothing);
                most = _mm256_max_ps(most, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), eight));
            }
            float ends[8], largest = 0;
            _mm256_storeu_ps(ends, most);
            for (int i = 0; i < 8; i++) largest = ends[i] > largest ? ends[i] : largest;
            float scale = largest / 32767;
            if (scale < FLT_MIN) scale = 0;
            if (total_8(nothing) != 0) scale = __builtin_nanf("");
            x->scales[t * H + g] = scale;
            if (!(scale > 0)) continue;
            const __m256 inverse = _mm256_set1_ps(1 / scale);
            __m256i sums = _mm256_setzero_si256();
            for (int i = 0; i < STEP; i += 16) {
                __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(inverse, _mm256_loadu_ps(numbers + i)));
                __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(inverse, _mm256_loadu_ps(numbers + i + 8)));
                __m256i codes = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
                _mm256_storeu_si256((void *)(x->codes + first + i), codes);
                sums = _mm256_add_epi32(sums, _mm256_add_epi32(low, high));
            }
            x->sums[t * H + g] = -8 * total_8(_mm256_cvtepi32_ps(sums)); /* exact: below 2^24 */
        }
    return 1;
}

/* The products of one row of W, `bits` a number, with `tile` rows of x, from row t. */
#define FLOAT_ROW(format, bits, number)                                                                                \
    INLINE void row_##format(const int tile, const struct inputs *x, long t, const void *row, const uint16_t *scales,  \
                             float *y, long K) {                                                                       \
        const float *numbers = x->numbers + t * K;                                                                     \
        const long whole = K / STEP * STEP;                                                                            \
        V sums[TILE], w[PARTS];                                                                                        \
        for (int i = 0; i < tile; i++) sums[i] = ZERO();                                                               \
        for (long k = 0; k < whole; k += STEP) {                                                                       \
            if (bits < 32) /* the processor itself is ahead of float32 */                                              \
                _mm_prefetch((const char *)row + k * bits / 8 + AHEAD, _MM_HINT_NTA);                                  \
            load_##format(row, k, w);                                                                                  \
            UNROLL for (int i = 0; i < tile; i++) {                                                                    \
                V part = TIMES(w[0], LOAD(numbers + i * K + k));                                                       \
                for (int p = 1; p < PARTS; p++) part = FMA(w[p], LOAD(numbers + i * K + k + LANES * p), part);         \
                sums[i] = PLUS(part, sums[i]);                                                                         \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL for (int i = 0; i < tile; i++) {                                                                        \
            if (i % 4 == 0 && i + 4 <= tile)                                                                           \
                totals_4(fold(sums[i]), fold(sums[i + 1]), fold(sums[i + 2]), fold(sums[i + 3]), y + i);               \
            if (i >= tile / 4 * 4) y[i] = total(sums[i]);                                                              \
        }                                                                                                              \
        for (int i = 0; whole < K && i < tile; i++)                                                                    \
            for (long k = whole; k < K; k++) y[i] += get(row, k, number) * numbers[i * K + k];                         \
    }

/* The codes of a group of W, numbers 0 to 15 and 16 to 31; of 4 bits, each is 8 too large. */
INLINE void codes_int8(const uint8_t *p, __m256i w[2]) {
    for (int half = 0; half < 2; half++) w[half] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(p + 16 * half)));
}
INLINE void codes_int4(const uint8_t *p, __m256i w[2]) {
    __m256i both = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)p));
    w[0] = _mm256_and_si256(both, _mm256_set1_epi16(15));
    w[1] = _mm256_srli_epi16(both, 4);
}

/* The part of up to 8 groups, from group g; sums of even and odd groups apart, as additions take their time. */
#define GROUPS(format, bits)                                                                                           \
    INLINE void groups_##format(const int tile, const int count, const struct inputs *x, long t, const uint8_t *row,   \
                                const uint16_t *scales, __m256 sums[TILE][2], long g, long K) {                        \
        uint16_t own[8] = {0};                                                                                         \
        float both[TILE][8];                                                                                           \
        const long H = padded(K / STEP);                                                                               \
        memcpy(own, scales + g, count * sizeof *own);                                                                  \
        UNROLL for (int i = 0; i < tile; i++) {                                                                        \
            __m256 eight = _mm256_mul_ps(_mm256_cvtph_ps(_mm_loadu_si128((const void *)own)),                          \
                                         _mm256_loadu_ps(x->scales + (t + i) * H + g));                                \
            _mm256_storeu_ps(both[i], eight);                                                                          \
            if (bits == 4) sums[i][0] = _mm256_fmadd_ps(eight, _mm256_loadu_ps(x->sums + (t + i) * H + g), sums[i][0]);\
        }                                                                                                              \
        for (int j = 0; j < count; j += 2) {                                                                           \
            UNROLL for (int half = 0; half < 2; half++) {                                                              \
                if (j + half == count) break;                                                                          \
                const uint8_t *p = row + (g + j + half) * (STEP * bits / 8);                                           \
                __m256i w[2];                                                                                          \
                if (half == 0) _mm_prefetch((const char *)p + AHEAD, _MM_HINT_NTA);                                    \
                codes_##format(p, w);                                                                                  \
                UNROLL for (int i = 0; i < tile; i++) {                                                                \
                    const __m256i *codes = (const void *)(x->codes + (t + i) * K + (g + j + half) * STEP);             \
                    __m256i part = MULTIPLY_ADD(_mm256_setzero_si256(), w[0], _mm256_loadu_si256(codes));              \
                    part = MULTIPLY_ADD(part, w[1], _mm256_loadu_si256(codes + 1));                                    \
                    sums[i][half] =                                                                                    \
                        _mm256_fmadd_ps(_mm256_set1_ps(both[i][j + half]), _mm256_cvtepi32_ps(part), sums[i][half]);   \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

#define FEW_BITS_ROW(format, bits)                                                                                     \
    GROUPS(format, bits)                                                                                               \
    INLINE void row_##format(const int tile, const struct inputs *x, long t, const void *row, const uint16_t *scales,  \
                             float *y, long K) {                                                                       \
        __m256 sums[TILE][2];                                                                                          \
        for (int i = 0; i < tile; i++) sums[i][0] = sums[i][1] = _mm256_setzero_ps();                                  \
        long g = 0;                                                                                                    \
        for (; g + 8 <= K / STEP; g += 8) groups_##format(tile, 8, x, t, row, scales, sums, g, K);                     \
        if (g < K / STEP) groups_##format(tile, K / STEP - g, x, t, row, scales, sums, g, K);                          \
        for (int i = 0; i < tile; i++) y[i] = total_8(_mm256_add_ps(sums[i][0], sums[i][1]));                          \
    }

/* scales_NG: a float16 for each group of 32 numbers of W in 8 or 4 bits, else NULL. bias_N: what is added, or NULL.
 * Returns whether there was memory: up to 4 bytes for each number of x. */
#define PRODUCT(format, bits)                                                                                          \
    int format(const void *given, const void *w, const uint16_t *scales, const void *bias, void *y, long T, long N,    \
               long K, int dtype, int threads) {                                                                       \
        struct inputs x = {0};                                                                                         \
        if (!(bits < 16 ? rounded : widened)(&x, given, T, K, dtype)) return 0;                                        \
        _Pragma("omp parallel for num_threads(threads) schedule(static)") for (long n = 0; n < N; n++) {               \
            const void *row = (const char *)w + n * (K * bits / 8);                                                    \
            const uint16_t *own = scales ? scales + n * (K / STEP) : NULL;                                             \
            const float added = bias ? get(bias, n, dtype) : 0;                                                        \
            float made[TILE];                                                                                          \
            for (long t = 0, tile; t < T; t += tile) {                                                                 \
                tile = T - t >= 8 ? 8 : T - t >= 5 ? 5 : T - t >= 4 ? 4 : T - t >= 2 ? 2 : 1;                          \
                if (tile == 5) row_##format(5, &x, t, row, own, made, K); /* beams */                                  \
                if (tile == 8) row_##format(8, &x, t, row, own, made, K);                                              \
                if (tile == 4) row_##format(4, &x, t, row, own, made, K);                                              \
                if (tile == 2) row_##format(2, &x, t, row, own, made, K);                                              \
                if (tile == 1) row_##format(1, &x, t, row, own, made, K);                                              \
                for (int i = 0; i < tile; i++) put(y, (t + i) * N + n, dtype, made[i] + added);                        \
            }                                                                                                          \
        }                                                                                                              \
        free(x.memory);                                                                                                \
        return 1;                                                                                                      \
    }

FLOAT_ROW(float32, 32, 0)
FLOAT_ROW(bfloat16, 16, 1)
FLOAT_ROW(float16, 16, 2)
FEW_BITS_ROW(int8, 8)
FEW_BITS_ROW(int4, 4)
PRODUCT(float32, 32)
PRODUCT(bfloat16, 16)
PRODUCT(float16, 16)
PRODUCT(int8, 8)
PRODUCT(int4, 4)
