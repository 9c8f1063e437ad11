/* The decoders against vectors of an independent implementation (quant_vectors.h), the quantizers
 * against their own error bounds, and the table of types. */
#include "quant/quant.h"

#include "base/half.h"
#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 64 };

/* Of every type that the Python package decodes, whether it is in quants.def or not. */
struct vector {
    uint32_t ggml_type;
    int halves[2];    /* offsets of the f16 fields in a block, -1: none */
    double error;     /* bound for encode, in units of the largest value of 256 */
    size_t n;         /* values in BLOCKS blocks */
    uint64_t hash;    /* FNV-1a over the floats' bytes, little endian */
    uint32_t last[4]; /* bit patterns of the last values */
};

#include "quant_vectors.h"

static const struct vector *find_vector(const struct quant_format *format)
{
    for (size_t i = 0; i < sizeof VECTORS / sizeof VECTORS[0]; i++) {
        if (VECTORS[i].ggml_type == format->ggml_type) {
            return &VECTORS[i];
        }
    }
    fail_msg("%s: no vector; see quant_vectors.py", format->name);
    return NULL;
}

/* The twin of blocks_of() in quant_vectors.py. */
static void make_blocks(const struct vector *v, size_t bytes, uint8_t *out)
{
    uint64_t seed = 1000 + v->ggml_type;
    for (size_t i = 0; i < BLOCKS * bytes; i++) {
        out[i] = (uint8_t)(hash_next(&seed) >> 56);
    }
    for (size_t b = 0; b < BLOCKS; b++) {
        for (int k = 0; k < 2 && v->halves[k] >= 0; k++) {
            uint8_t *at = out + b * bytes + v->halves[k];
            uint32_t h = at[0] | (uint32_t)at[1] << 8;
            if (b % 4 == 0) {
                h &= 0x83ff;
            } else if ((h & 0x7c00) == 0x7c00) {
                h &= 0xbfff;
            }
            at[0] = (uint8_t)h;
            at[1] = (uint8_t)(h >> 8);
        }
    }
}

static void decode_equals_vectors(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < QUANT_COUNT; id++) {
        const struct quant_format *format = quant_get((enum quant_id)id);
        const struct vector *v = find_vector(format);
        uint8_t *blocks = mem_alloc((size_t)BLOCKS * format->block_bytes, 1);
        float *out = mem_alloc(v->n * sizeof *out, 1);
        assert_int_equal(v->n, BLOCKS * format->block_cols);
        make_blocks(v, format->block_bytes, blocks);
        format->decode(blocks, out, v->n);
        assert_memory_equal(out + v->n - 4, v->last, sizeof v->last);
        if (hash_bytes(HASH_SEED, out, v->n * sizeof *out) != v->hash) {
            fail_msg("%s: decoded values differ from the vector", format->name);
        }
        mem_free(out);
        mem_free(blocks);
    }
}

static void f16_specials(void **state)
{
    (void)state;
    uint16_t in[] = {0x7c00, 0xfc00, 0x7e00, 0x0001, 0x8001, 0x8000, 0x03ff, 0x0400};
    float out[8];
    quant_get(QUANT_F16)->decode((const uint8_t *)in, out, 8);
    assert_true(isinf(out[0]) && out[0] > 0);
    assert_true(isinf(out[1]) && out[1] < 0);
    assert_true(isnan(out[2]));
    assert_true(out[3] == 0x1p-24f && out[4] == -0x1p-24f);
    assert_true(out[5] == 0 && signbit(out[5]));
    assert_true(out[6] == 0x1.ff8p-15f && out[7] == 0x1p-14f);
    /* every half survives a round trip through float */
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = half_to_float((uint16_t)h);
        if (!isnan(f)) {
            assert_int_equal(half_from_float(f), h);
        }
    }
}

/* Exponents of MXFP4 at both ends: subnormal scales, and 255, which is a power of two like all. */
static void mxfp4_exponents(void **state)
{
    (void)state;
    static const struct {
        uint8_t e;
        float unit;
    } CASES[] = {{0, 0x1p-128f}, {1, 0x1p-127f}, {2, 0x1p-126f}, {254, 0x1p126f}, {255, 0x1p127f}};
    static const float TWICE[8] = {0, 1, 2, 3, 4, 6, 8, 12};
    const struct quant_format *format = quant_get(QUANT_MXFP4);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint8_t block[17] = {CASES[i].e}, units[16] = {0}, exponents[4] = {0};
        uint8_t *planes[QUANT_PLANES] = {units, exponents};
        const uint8_t *const packed[QUANT_PLANES] = {units, exponents};
        float out[32], back[32];
        for (size_t k = 0; k < 16; k++) {
            block[1 + k] = (uint8_t)(k | k << 4);
        }
        format->decode(block, out, 32);
        format->pack(block, 32, planes);
        format->unpack(packed, 32, back);
        assert_memory_equal(out, back, sizeof out);
        for (size_t k = 0; k < 16; k++) {
            float want = CASES[i].unit * (k < 8 ? TWICE[k] : -TWICE[k - 8]);
            assert_true(out[k] == want && out[16 + k] == want);
            assert_true(k != 8 || !signbit(out[k])); /* there is no -0 */
        }
    }
}

/* Largest |decode(encode(x)) - x| over a block of values of about 0.02. */
static void encode_is_near(void **state)
{
    (void)state;
    enum { N = 256 * 16 };
    static float x[N], y[N];
    static uint8_t blocks[N * 4];
    uint64_t seed = 7;
    for (size_t i = 0; i < N; i++) {
        double spread = i / 256 == 3 ? 0 : i / 256 == 4 ? 100 : 0.04;
        x[i] = (float)((hash_uniform(&seed) - 0.4) * spread);
    }
    for (uint32_t id = 0; id < QUANT_COUNT; id++) {
        const struct quant_format *format = quant_get((enum quant_id)id);
        double error = find_vector(format)->error;
        format->encode(x, blocks, N);
        format->decode(blocks, y, N);
        for (size_t b = 0; b < N; b += 256) {
            double top = 0;
            for (size_t i = b; i < b + 256; i++) {
                top = fmax(top, fabs((double)x[i]));
            }
            for (size_t i = b; i < b + 256; i++) {
                if (!(fabs((double)y[i] - (double)x[i]) <= error * top)) {
                    fail_msg("%s: %g became %g (block maximum %g)", format->name, (double)x[i],
                             (double)y[i], top);
                }
            }
        }
    }
}

static void types_are_named(void **state)
{
    (void)state;
    uint32_t cols, bytes;
    for (uint32_t id = 0; id < QUANT_COUNT; id++) {
        const struct quant_format *format = quant_get((enum quant_id)id);
        enum quant_id found = QUANT_COUNT;
        assert_ptr_equal(quant_find(format->ggml_type, &found), format);
        assert_int_equal(found, id);
        assert_string_equal(quant_type_name(format->ggml_type), format->name);
        assert_true(quant_type_block(format->ggml_type, &cols, &bytes));
        assert_int_equal(cols, format->block_cols);
        assert_int_equal(bytes, format->block_bytes);
        assert_int_equal(quant_row_bytes((enum quant_id)id, 1024), 1024 / cols * bytes);
    }
    assert_string_equal(quant_type_name(16), "IQ2_XXS");
    assert_true(quant_type_block(16, &cols, &bytes));
    assert_int_equal(cols, 256);
    assert_int_equal(bytes, 66);
    assert_null(quant_find(16, NULL));
    static const uint32_t HOLES[] = {4, 5, 31, 32, 33, 36, 37, 38, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof HOLES / sizeof HOLES[0]; i++) {
        assert_null(quant_type_name(HOLES[i]));
        assert_false(quant_type_block(HOLES[i], &cols, &bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_equals_vectors), cmocka_unit_test(f16_specials),
        cmocka_unit_test(mxfp4_exponents),       cmocka_unit_test(encode_is_near),
        cmocka_unit_test(types_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
