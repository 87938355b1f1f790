/* What the loops over rows of logits call: float32, and nothing that keeps a loop from being
   vectorised. A function, with what stands before it, ends at an empty line. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if HALF /* bfloat16: the upper half of a float */
typedef uint16_t logit;
#else
typedef float logit;
#endif
#define BLOCK 1024
#define NEAR 4.0f /* logits may be so far above what they are counted from */
#define LOWEST -3.4028234663852886e38f /* the smallest float: below every logit but -inf */

static inline float _where(int condition, float yes, float no) { return condition ? yes : no; }

static inline float _sqrt(float x) { return sqrtf(x); }

static inline float _absolute(float x) { return fabsf(x); }

static inline float _float(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }

static inline uint32_t _bits(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }

/* e to the x as a polynomial times a power of 2, whose bits are the last of `moved`. */
static inline float _power(float x, uint32_t less, float factor)
{
    const float moved = x * 1.44269504f + 12582912.0f, power = moved - 12582912.0f;
    const float r = (x - power * 0.693359375f) + power * 2.12194440e-4f;
    float p = 1.3950725897e-03f;
    p = p * r + 8.3690248585e-03f;
    p = p * r + 4.1666202285e-02f;
    p = p * r + 1.6666517711e-01f;
    p = p * r + 5.0000000963e-01f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    p *= _float((_bits(moved) + 127u - less) << 23) * factor;
    return x < -86.5f ? 0.0f : p; /* 0 where float has no normal number */
}

/* e to the x, for x of at most NEAR. */
static inline float _decay(float x) { return _power(x, 0u, 1.0f); }

static inline float _exp(float x) { return x > 88.72f ? INFINITY : _power(x, 1u, 2.0f); }

static inline float _log(float x)
{
    const int small = x < 1.17549435e-38f;
    const uint32_t bits = _bits(small ? x * 8388608.0f : x);
    const uint32_t power = (bits - 0x3f3504f3u) & 0xff800000u; /* the rest is 0.7 to 1.4 */
    const float e = (float) (int32_t) power * 1.1920929e-7f - (small ? 23.0f : 0.0f);
    const float f = _float(bits - power) - 1.0f, square = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    p = p * f * square - 2.12194440e-4f * e - 0.5f * square;
    p = f + p + 0.693359375f * e;
    p = x == INFINITY ? x : p;
    p = x == 0.0f ? -INFINITY : p;
    return x >= 0.0f ? p : NAN;
}

static inline float _sigmoid(float x)
{
    const float e = _exp(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* log(1 + e) = log(w)*e/(w - 1) with w = 1 + e as it is rounded. */
static inline float _log_sigmoid(float x)
{
    const float e = _exp(-fabsf(x)), w = 1.0f + e;
    const int near = w == 1.0f;
    const float tail = near ? e : _log(w) * (e / (near ? 1.0f : w - 1.0f));
    return (x < 0.0f ? x : 0.0f) - tail + (x == x ? 0.0f : x);
}

/* A series near 0, where 1 - exp(-2x) would lose digits. */
static inline float _tanh(float x)
{
    const float square = x * x;
    float series = 62.0f / 2835.0f * square - 17.0f / 315.0f;
    series = (series * square + 2.0f / 15.0f) * square - 1.0f / 3.0f;
    const float small = _exp(-2.0f * fabsf(x)), large = (1.0f - small) / (1.0f + small);
    return square < 0.0625f ? x + x * square * series : x < 0.0f ? -large : large;
}

static inline float _maximum(float a, float b) { return a > b || a != a ? a : b; }

static inline float _minimum(float a, float b) { return a < b || a != a ? a : b; }

static inline int64_t _place(int64_t row, int64_t columns, int64_t outer, int64_t inner)
{
    return row / columns * outer + row % columns * inner;
}

static inline int _entries(int64_t size, int64_t begin)
{
    return size - begin < BLOCK ? size - begin : BLOCK;
}

static inline float _entry(const logit *row, int64_t at)
{
#if HALF
    return _float((uint32_t) row[at] << 16);
#else
    return row[at];
#endif
}

/* In bfloat16 rounded to the nearest, ties to even. */
static inline void _store(logit *row, int64_t at, float x)
{
#if HALF
    const uint32_t bits = _bits(x), rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    row[at] = x == x ? rounded : 0x7fc0u;
#else
    row[at] = x;
#endif
}

static inline float _highest(const logit *row, int64_t begin, int n, float most)
{
    float lanes[16];
    int k = 0;
    for (int j = 0; j < 16; j++)
        lanes[j] = most;
    for (; k + 16 <= n; k += 16)
        #pragma omp simd
        for (int j = 0; j < 16; j++) {
            const float z = _entry(row, begin + k + j);
            lanes[j] = z > lanes[j] ? z : lanes[j];
        }
    for (; k < n; k++) {
        const float z = _entry(row, begin + k);
        most = z > most ? z : most;
    }
    for (int j = 0; j < 16; j++)
        most = lanes[j] > most ? lanes[j] : most;
    return most;
}

/* A moment whose logits are counted from another maximum; 0 where nothing of it is left. */
static inline double _moved(double moment, double weight, double shift, double scale)
{
    return scale == 0.0 ? 0.0 : scale * (moment + shift * weight);
}
