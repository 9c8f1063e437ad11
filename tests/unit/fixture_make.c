/* The tiny models that other tests are built on: readable, the same every time, of the stated
 * shapes and size of values, and changed where a test asks for it. */
#include "gguf_make.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct made {
    struct log log;
    uint8_t *data;
    size_t bytes;
    struct gguf_file *file;
};

static void made_init(struct made *made, const struct gguf_make_params *params)
{
    log_init(&made->log, NULL, NULL, LOG_INFO);
    made->data = gguf_make(params, &made->bytes);
    assert_non_null(made->data);
    made->file = gguf_open_memory("tiny", made->data, made->bytes, &made->log);
    if (made->file == NULL) {
        fail_msg("%s", made->log.last);
    }
}

static void made_finish(struct made *made)
{
    gguf_close(made->file);
    mem_free(made->data);
    log_finish(&made->log);
}

static void check_shape(const struct made *made, const char *name, uint32_t type, uint64_t cols,
                        uint64_t rows)
{
    const struct gguf_tensor *t = gguf_tensor_find(made->file, name);
    if (t == NULL || t->type != type || t->dims[0] != cols || t->dims[1] != rows) {
        fail_msg("%s is missing or not [%d, %d] of type %u", name, (int)cols, (int)rows, type);
    }
}

static void defaults_are_whole(void **state)
{
    (void)state;
    struct made a, b;
    struct gguf_make_params params = gguf_make_defaults();
    uint32_t n = 0;
    made_init(&a, &params);
    made_init(&b, &params);
    assert_int_equal(a.bytes, b.bytes);
    assert_memory_equal(a.data, b.data, a.bytes);
    made_finish(&b);
    params.seed++;
    made_init(&b, &params);
    assert_int_equal(a.bytes, b.bytes);
    assert_true(memcmp(a.data, b.data, a.bytes) != 0);
    made_finish(&b);
    assert_int_equal(gguf_tensor_count(a.file), 2 + 2 * 9);
    check_shape(&a, "token_embd.weight", 1, 64, 384);
    check_shape(&a, "output_norm.weight", 0, 64, 1);
    check_shape(&a, "blk.1.attn_q.weight", 1, 64, 64);
    check_shape(&a, "blk.1.attn_k.weight", 1, 64, 32);
    check_shape(&a, "blk.0.attn_output.weight", 1, 64, 64);
    check_shape(&a, "blk.0.ffn_down.weight", 1, 128, 64);
    check_shape(&a, "blk.0.ffn_up.weight", 1, 64, 128);
    assert_int_equal(gguf_get_u32(a.file, "llama.rope.dimension_count", &n), GGUF_OK);
    assert_int_equal(n, 16);
    assert_null(gguf_find(a.file, "llama.rope.scaling.type"));
    assert_null(gguf_tensor_find(a.file, "output.weight"));
    made_finish(&a);
}

static int compare(const void *a, const void *b)
{
    const struct gguf_str *x = a, *y = b;
    uint64_t n = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->text, y->text, (size_t)n);
    return order != 0 ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static void tokens_are_different(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct gguf_str tokens[N];
    struct made made;
    struct gguf_make_params params = gguf_make_defaults();
    const struct gguf_kv *kv;
    params.vocab = N;
    made_init(&made, &params);
    assert_int_equal(gguf_get_array(made.file, "tokenizer.ggml.tokens", GGUF_STRING, &kv), GGUF_OK);
    assert_int_equal(kv->count, N);
    uint64_t cursor = 0;
    for (size_t i = 0; i < N; i++) {
        assert_true(gguf_array_next(kv, &cursor, &tokens[i]));
        assert_true(tokens[i].bytes != 0);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(compare(&tokens[i], &tokens[k]), 0);
        }
    }
    assert_memory_equal(tokens[3 + 0x0a].text, "<0x0A>", 6);
    made_finish(&made);
}

static void formats_are_written(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < QUANT_COUNT; id++) {
        struct made made;
        struct gguf_make_params params = gguf_make_defaults();
        const struct quant_format *format = quant_get((enum quant_id)id);
        params.quant = (enum quant_id)id;
        params.dim = 256;
        params.heads = 4;
        params.ffn = 288; /* not a multiple of 256: F16 for the K formats */
        params.tied = false;
        params.layers = 1;
        made_init(&made, &params);
        check_shape(&made, "blk.0.attn_v.weight", format->ggml_type, 256, 128);
        check_shape(&made, "output.weight", format->ggml_type, 256, 384);
        check_shape(&made, "blk.0.ffn_down.weight",
                    format->block_cols == 256 ? 1 : format->ggml_type, 288, 256);
        static float values[256 * 128];
        const struct gguf_tensor *t = gguf_tensor_find(made.file, "blk.0.attn_v.weight");
        format->decode(gguf_data(made.file, t), values, 256 * 128);
        double squares = 0;
        for (size_t i = 0; i < 256 * 128; i++) {
            squares += (double)values[i] * (double)values[i];
        }
        double std = sqrt(squares / (256 * 128)), want = 0.7 / 16;
        double off = fabs(std - want) / want; /* two bits by plain rounding are coarse */
        if (off > (format->block_bytes * 8 < format->block_cols * 3 ? 0.25 : 0.05)) {
            fail_msg("%s: deviation %g, not %g", format->name, std, want);
        }
        made_finish(&made);
    }
}

static void changes_are_made(void **state)
{
    (void)state;
    struct made made;
    const uint32_t big = 513;
    const struct gguf_make_kv kvs[] = {
        {.key = "llama.block_count", .type = GGUF_U32, .value = &big, .bytes = 4},
        {.key = "general.name", .omit = true},
        {.key = "extra", .type = GGUF_U32, .value = &big, .bytes = 4},
        {0}};
    const struct gguf_make_tensor tensors[] = {
        {.name = "blk.0.attn_q.weight", .omit = true},
        {.name = "blk.0.attn_k.weight", .type = 1, .n_dims = 2, .dims = {32, 64}},
        {.name = "blk.0.attn_norm.weight", .type = 1},
        {.name = "blk.1.ffn_up.weight", .type = 2},
        {.name = "blk.1.more", .fill = 0.5f, .n_dims = 1, .dims = {3}},
        {0}};
    struct gguf_make_params params = gguf_make_defaults();
    params.kvs = kvs;
    params.tensors = tensors;
    params.rope_freqs = true;
    params.rope_scaling = "linear";
    params.rope_factor = 4;
    params.head_dim = 32;
    made_init(&made, &params);
    uint32_t n = 0;
    float f = 0;
    assert_int_equal(gguf_get_u32(made.file, "llama.block_count", &n), GGUF_OK);
    assert_int_equal(n, 513);
    assert_int_equal(gguf_get_u32(made.file, "extra", &n), GGUF_OK);
    assert_null(gguf_find(made.file, "general.name"));
    assert_null(gguf_tensor_find(made.file, "blk.0.attn_q.weight"));
    check_shape(&made, "blk.0.attn_k.weight", 1, 32, 64);
    check_shape(&made, "blk.0.attn_norm.weight", 1, 64, 1);
    check_shape(&made, "blk.1.ffn_up.weight", 2, 64, 128);
    check_shape(&made, "blk.1.attn_q.weight", 1, 64, 128);
    check_shape(&made, "rope_freqs.weight", 0, 16, 1);
    check_shape(&made, "blk.1.more", 0, 3, 1);
    const float *more =
        (const void *)gguf_data(made.file, gguf_tensor_find(made.file, "blk.1.more"));
    assert_true(more[0] == 0.5f && more[2] == 0.5f);
    assert_int_equal(gguf_get_f32(made.file, "llama.rope.scaling.factor", &f), GGUF_OK);
    assert_true(f == 4);
    assert_int_equal(gguf_get_u32(made.file, "llama.attention.key_length", &n), GGUF_OK);
    assert_int_equal(n, 32);
    made_finish(&made);
}

static void files_are_saved(void **state)
{
    (void)state;
    const char *path = QD_BINARY_DIR "/fixture_make.gguf";
    struct log log;
    struct gguf_make_params params = gguf_make_defaults();
    log_init(&log, NULL, NULL, LOG_INFO);
    assert_true(gguf_make_file(&params, path, &log));
    struct gguf_file *file = gguf_open(path, &log);
    assert_non_null(file);
    size_t bytes;
    uint8_t *data = gguf_make(&params, &bytes);
    assert_int_equal(gguf_file_bytes(file), bytes);
    const struct gguf_tensor *t = gguf_tensor_at(file, gguf_tensor_count(file) - 1);
    assert_memory_equal(gguf_data(file, t), data + t->offset, (size_t)t->bytes);
    mem_free(data);
    gguf_close(file);
    remove(path);
    params.vocab = 10;
    assert_false(gguf_make_file(&params, path, &log));
    assert_non_null(strstr(log.last, "vocabulary 10, at least 320"));
    log_finish(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_whole),  cmocka_unit_test(tokens_are_different),
        cmocka_unit_test(formats_are_written), cmocka_unit_test(changes_are_made),
        cmocka_unit_test(files_are_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
