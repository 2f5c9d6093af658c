/* y_TN = x_TK W_NK^T for few rows of x, where the time goes into reading W.
 *
 * One function per format of W; each reads W once. A number of y is summed in the same order whatever else is computed
 * with it, so its bits depend neither on the other rows of x nor on the number of threads.
 * K is a multiple of 32. Built without a library of threads: the symbols come from the OpenMP that PyTorch has loaded.
 */
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>

#define STEP 32   /* numbers of W at a time, and the size of a group with a scale of its own */
#define AHEAD 4096 /* bytes; without prefetching 4-bit products take 3.3 times, 8-bit ones 1.6 times as long */
#define TILE 8    /* rows of x that share what was decoded, at most */

#if defined(__AVX512F__)
typedef __m512 V;
#define LANES 16
#define ZERO _mm512_setzero_ps
#define LOAD _mm512_loadu_ps
#define SAME _mm512_set1_ps
#define TIMES _mm512_mul_ps
#define PLUS _mm512_add_ps
#define FMA _mm512_fmadd_ps
static inline float total(V a) { return _mm512_reduce_add_ps(a); }
static inline V of_bits(__m512i bits) { return _mm512_castsi512_ps(bits); }
static inline V of_bfloat16(const uint16_t *p) {
    return of_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
static inline V of_float16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
static inline V of_int8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}
static inline void of_int4(const uint8_t *p, V w[2]) { /* low halves are numbers 0 to 15, high halves 16 to 31 */
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    __m512i codes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
    w[0] = _mm512_permutexvar_ps(codes, values); /* reads the low four bits */
    w[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), values);
}
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
typedef __m256 V;
#define LANES 8
#define ZERO _mm256_setzero_ps
#define LOAD _mm256_loadu_ps
#define SAME _mm256_set1_ps
#define TIMES _mm256_mul_ps
#define PLUS _mm256_add_ps
#define FMA _mm256_fmadd_ps
static inline float total(V a) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline V of_bfloat16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
static inline V of_float16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
static inline V of_int8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}
static inline void of_int4(const uint8_t *p, V w[4]) {
    const __m256i low = _mm256_set1_epi32(15), middle = _mm256_set1_epi32(8);
    for (int half = 0; half < 2; half++) {
        __m256i codes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(p + 8 * half)));
        w[half] = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_and_si256(codes, low), middle));
        w[half + 2] = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(codes, 4), middle));
    }
}
#else
#error "neither AVX-512 nor AVX2 with FMA and F16C"
#endif

#define PARTS (STEP / LANES)
#define INLINE static inline __attribute__((always_inline))

INLINE void load_float32(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = LOAD((const float *)row + k + LANES * part);
}
INLINE void load_bfloat16(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = of_bfloat16((const uint16_t *)row + k + LANES * part);
}
INLINE void load_float16(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = of_float16((const uint16_t *)row + k + LANES * part);
}
INLINE void load_int8(const void *row, long k, V w[PARTS]) {
    for (int part = 0; part < PARTS; part++) w[part] = of_int8((const int8_t *)row + k + LANES * part);
}
INLINE void load_int4(const void *row, long k, V w[PARTS]) { of_int4((const uint8_t *)row + k / 2, w); }

/* x, y and the bias have this dtype: 0 float32, 1 bfloat16, 2 float16. */
INLINE float get(const void *numbers, long i, int dtype) {
    if (dtype == 0) return ((const float *)numbers)[i];
    uint16_t bits = ((const uint16_t *)numbers)[i];
    if (dtype == 2) return _cvtsh_ss(bits);
    union { uint32_t bits; float number; } wide = {(uint32_t)bits << 16};
    return wide.number;
}
INLINE void put(void *numbers, long i, int dtype, float number) { /* rounds to nearest, ties to even, as PyTorch */
    union { float number; uint32_t bits; } wide = {number};
    if (dtype == 0)
        ((float *)numbers)[i] = number;
    else if (dtype == 2)
        ((uint16_t *)numbers)[i] = _cvtss_sh(number, _MM_FROUND_TO_NEAREST_INT);
    else if (number != number)
        ((uint16_t *)numbers)[i] = 0x7fc0;
    else
        ((uint16_t *)numbers)[i] = (wide.bits + 0x7fff + (wide.bits >> 16 & 1)) >> 16;
}

/* The products of one row of W, `bits` a number, with `tile` rows of x. */
#define ROW(format, bits)                                                                                              \
    INLINE void row_##format(const int tile, const float *x, const void *row, const uint16_t *scales, float *y,        \
                             long K) {                                                                                 \
        V sums[TILE], w[PARTS];                                                                                        \
        for (int t = 0; t < tile; t++) sums[t] = ZERO();                                                               \
        for (long k = 0; k < K; k += STEP) {                                                                           \
            if (bits < 32) /* the processor itself is ahead of float32 */                                              \
                _mm_prefetch((const char *)row + k * bits / 8 + AHEAD, _MM_HINT_T0);                                   \
            load_##format(row, k, w);                                                                                  \
            V scale = scales ? SAME(_cvtsh_ss(scales[k / STEP])) : ZERO();                                             \
            for (int t = 0; t < tile; t++) {                                                                           \
                V part = TIMES(w[0], LOAD(x + t * K + k));                                                             \
                for (int p = 1; p < PARTS; p++) part = FMA(w[p], LOAD(x + t * K + k + LANES * p), part);               \
                sums[t] = scales ? FMA(scale, part, sums[t]) : PLUS(part, sums[t]);                                    \
            }                                                                                                          \
        }                                                                                                              \
        for (int t = 0; t < tile; t++) y[t] = total(sums[t]);                                                          \
    }

/* scales_NG: a float16 for each group of 32 numbers of W, or NULL. bias_N: what is added, or NULL. Returns whether there
 * was memory: 4 bytes for every number of x that is not float32. */
#define PRODUCT(format, bits)                                                                                          \
    ROW(format, bits)                                                                                                  \
    int format(const void *given, const void *w, const uint16_t *scales, const void *bias, void *y, long T, long N,    \
               long K, int dtype, int threads) {                                                                       \
        float *wide = dtype ? malloc(T * K * sizeof(float)) : NULL;                                                    \
        if (dtype && !wide) return 0;                                                                                  \
        for (long i = 0; wide && i < T * K; i++) wide[i] = get(given, i, dtype);                                       \
        const float *x = dtype ? wide : given;                                                                         \
        _Pragma("omp parallel for num_threads(threads) schedule(static)") for (long n = 0; n < N; n++) {               \
            const void *row = (const char *)w + n * (K * bits / 8);                                                    \
            const uint16_t *own = scales ? scales + n * (K / STEP) : NULL;                                             \
            const float added = bias ? get(bias, n, dtype) : 0;                                                        \
            float made[TILE];                                                                                          \
            for (long t = 0, tile; t < T; t += tile) {                                                                 \
                tile = T - t >= 8 ? 8 : T - t >= 4 ? 4 : T - t >= 2 ? 2 : 1;                                           \
                if (tile == 8) row_##format(8, x + t * K, row, own, made, K);                                          \
                if (tile == 4) row_##format(4, x + t * K, row, own, made, K);                                          \
                if (tile == 2) row_##format(2, x + t * K, row, own, made, K);                                          \
                if (tile == 1) row_##format(1, x + t * K, row, own, made, K);                                          \
                for (int i = 0; i < tile; i++) put(y, (t + i) * N + n, dtype, made[i] + added);                        \
            }                                                                                                          \
        }                                                                                                              \
        free(wide);                                                                                                    \
        return 1;                                                                                                      \
    }

PRODUCT(float32, 32)
PRODUCT(bfloat16, 16)
PRODUCT(float16, 16)
PRODUCT(int8, 8)
PRODUCT(int4, 4)
