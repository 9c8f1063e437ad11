/* Models that are wrong: every key and tensor that can be, each with one clear line that names
 * file, field and value. */
/* with: fixture */
#include "arch/arch.h"

#include "base/mem.h"
#include "gguf/writer.h"
#include "gguf_make.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct log test_log;
static uint32_t n_errors, n_warnings;
static char last_warning[1024];

static void on_line(void *user, enum log_level level, const char *line)
{
    (void)user;
    if (level == LOG_ERROR) {
        n_errors++;
    } else {
        n_warnings++;
        snprintf(last_warning, sizeof last_warning, "%s", line);
    }
}

static int setup(void **state)
{
    (void)state;
    log_init(&test_log, on_line, NULL, LOG_WARN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_finish(&test_log);
    return 0;
}

/* Refused, with exactly one line, that begins with the file's name and has this part. */
static void expect_bad_data(const uint8_t *data, size_t bytes, const char *part)
{
    struct arch_model model;
    char line[1024];
    n_errors = 0;
    struct gguf_file *file = gguf_open_memory("bad.gguf", data, bytes, &test_log);
    assert_non_null(file);
    assert_false(arch_model_read(&model, file, &test_log));
    log_get_last(&test_log, line, sizeof line);
    if (n_errors != 1 || strstr(line, part) == NULL || strncmp(line, "bad.gguf: ", 10) != 0) {
        fail_msg("%u lines, \"%s\" does not contain \"%s\"", n_errors, line, part);
    }
    assert_null(model.weights);
    gguf_close(file);
}

static void expect_bad(const struct gguf_make_params *params, const char *part)
{
    size_t bytes;
    uint8_t *data = gguf_make(params, &bytes);
    assert_non_null(data);
    expect_bad_data(data, bytes, part);
    mem_free(data);
}

static void expect_bad_kv(const char *key, enum gguf_type type, const void *value, size_t bytes,
                          const char *part)
{
    struct gguf_make_params params = gguf_make_defaults();
    const struct gguf_make_kv kvs[] = {
        {.key = key, .omit = value == NULL, .type = type, .value = value, .bytes = bytes}, {0}};
    params.kvs = kvs;
    expect_bad(&params, part);
}

static void test_missing_keys(void **state)
{
    (void)state;
    static const char *const KEYS[] = {
        "general.architecture",
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.context_length",
        "llama.feed_forward_length",
        "llama.attention.layer_norm_rms_epsilon",
    };
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        char part[96];
        snprintf(part, sizeof part, "key %s: is missing", KEYS[i]);
        expect_bad_kv(KEYS[i], GGUF_U32, NULL, 0, part);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    const struct {
        const char *key;
        uint32_t value;
        const char *part;
    } cases[] = {
        {"block_count", 0, "llama.block_count: is 0, must be 1 to 512"},
        {"block_count", 513, "llama.block_count: is 513, must be"},
        {"block_count", 1u << 31, "is 2147483648, must be"},
        {"block_count", UINT32_MAX, "is 4294967295, must be"},
        {"block_count", 3, "tensor blk.2.attn_norm.weight: is missing"},
        {"block_count", 1, "tensor blk.1.attn_norm.weight: is of layer 1, but key"},
        {"attention.head_count", 0, "llama.attention.head_count: is 0"},
        {"attention.head_count", 3,
         "embedding_length: 64 is not a multiple of attention.head_count, 3"},
        {"attention.head_count", UINT32_MAX, "is not a multiple of"},
        {"attention.head_count", 1, "attention.head_count_kv: is 2, must be 1 to 1"},
        {"attention.head_count_kv", 0, "llama.attention.head_count_kv: is 0"},
        {"attention.head_count_kv", 3,
         "head_count: 4 is not a multiple of attention.head_count_kv, 3"},
        {"attention.head_count_kv", 8, "head_count_kv: is 8, must be 1 to 4"},
        {"attention.key_length", 0, "value_length: 16 differs from the key length, 0"},
        {"attention.value_length", 32, "value_length: 32 differs from the key length, 16"},
        {"embedding_length", 0, "llama.embedding_length: is 0"},
        {"embedding_length", 62, "is not a multiple of"},
        {"embedding_length", 128, "shape is [64, 384], must be [128, 384]"},
        {"embedding_length", 1u << 31, "llama.embedding_length: is 2147483648"},
        {"feed_forward_length", 0, "llama.feed_forward_length: is 0"},
        {"feed_forward_length", 96, "blk.0.ffn_gate.weight: shape is [64, 128], must be [64, 96]"},
        {"context_length", 0, "llama.context_length: is 0"},
        {"context_length", UINT32_MAX, "llama.context_length: is 4294967295"},
        {"rope.dimension_count", 0, "llama.rope.dimension_count: is 0"},
        {"rope.dimension_count", 15, "rope.dimension_count: is 15, must be even"},
        {"rope.dimension_count", 18, "rope.dimension_count: is 18, must be 2 to 16"},
        {"vocab_size", 385, "key llama.vocab_size: is 385, but tensor token_embd.weight has 384"},
        {"expert_count", 8, "llama.expert_used_count: is 0, must be 1 to 8"},
        {"expert_used_count", 2, "llama.expert_used_count: is 2, but there are no experts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char key[64];
        snprintf(key, sizeof key, "llama.%s", cases[i].key);
        expect_bad_kv(key, GGUF_U32, &cases[i].value, 4, cases[i].part);
    }
}

static void test_floats(void **state)
{
    (void)state;
    const struct {
        const char *key;
        float value;
        const char *part;
    } cases[] = {
        {"rope.freq_base", 0, "llama.rope.freq_base: is 0, must be"},
        {"rope.freq_base", -10000, "llama.rope.freq_base: is -10000"},
        {"rope.freq_base", NAN, "llama.rope.freq_base: "},
        {"rope.freq_base", INFINITY, "llama.rope.freq_base: "},
        {"rope.scaling.factor", 0, "llama.rope.scaling.factor: is 0"},
        {"rope.scaling.factor", -1, "llama.rope.scaling.factor: is -1"},
        {"attention.layer_norm_rms_epsilon", 0, "layer_norm_rms_epsilon: is 0"},
        {"attention.layer_norm_rms_epsilon", -1e-5f, "layer_norm_rms_epsilon: is -1e-05"},
        {"attention.layer_norm_rms_epsilon", NAN, "layer_norm_rms_epsilon: "},
        {"attention.layer_norm_rms_epsilon", 1e-40f, "layer_norm_rms_epsilon: is 9.99995e-41"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char key[64];
        snprintf(key, sizeof key, "llama.%s", cases[i].key);
        expect_bad_kv(key, GGUF_F32, &cases[i].value, 4, cases[i].part);
    }
}

static void test_types(void **state)
{
    (void)state;
    static const char *const KEYS[] = {
        "general.architecture",
        "general.name",
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.attention.head_count_kv",
        "llama.attention.key_length",
        "llama.attention.value_length",
        "llama.feed_forward_length",
        "llama.context_length",
        "llama.rope.dimension_count",
        "llama.rope.scaling.type",
        "llama.vocab_size",
        "llama.expert_count",
        "llama.attention.layer_norm_rms_epsilon",
    };
    uint8_t yes = 1;
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        expect_bad_kv(KEYS[i], GGUF_BOOL, &yes, 1, KEYS[i]);
    }
}

static void expect_bad_string(const char *key, const char *text, const char *part)
{
    uint8_t value[128];
    uint64_t n = strlen(text);
    memcpy(value, &n, 8);
    memcpy(value + 8, text, (size_t)n);
    expect_bad_kv(key, GGUF_STRING, value, 8 + (size_t)n, part);
}

static void test_strings(void **state)
{
    (void)state;
    expect_bad_string("general.architecture", "mamba",
                      "mamba is not supported (supported: llama, qwen2, ");
    expect_bad_string("general.architecture", "", "key general.architecture:  is not supported");
    expect_bad_string("general.architecture", "%s%n", "%s%n is not supported");
    expect_bad_string("general.architecture", "a\nb", "a?b is not supported");
    expect_bad_string("llama.rope.scaling.type", "su", "su is not supported (supported: none");
    expect_bad_string("llama.rope.scaling.type", "linear", "llama.rope.scaling.factor: is missing");
}

/* A huge architecture name is cut in the message. */
static void test_long_name(void **state)
{
    (void)state;
    struct gguf_make_params params = gguf_make_defaults();
    size_t n = 1 << 20;
    uint8_t *value = mem_alloc(8 + n, 1);
    uint64_t length = n;
    memcpy(value, &length, 8);
    memset(value + 8, 'a', n);
    const struct gguf_make_kv kvs[] = {
        {.key = "general.architecture", .type = GGUF_STRING, .value = value, .bytes = 8 + n}, {0}};
    params.kvs = kvs;
    expect_bad(&params, "aaaa is not supported (supported: llama, qwen2, ");
    mem_free(value);
}

static void expect_bad_tensor(struct gguf_make_tensor tensor, const char *part)
{
    struct gguf_make_params params = gguf_make_defaults();
    const struct gguf_make_tensor tensors[] = {tensor, {0}};
    params.tensors = tensors;
    params.rope_freqs = strcmp(tensor.name, "rope_freqs.weight") == 0;
    params.tied = strcmp(tensor.name, "output.weight") != 0;
    expect_bad(&params, part);
}

static void test_missing_tensors(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "token_embd.weight",     "blk.0.attn_norm.weight", "blk.0.attn_q.weight",
        "blk.1.attn_k.weight",   "blk.1.attn_v.weight",    "blk.0.attn_output.weight",
        "blk.1.ffn_norm.weight", "blk.0.ffn_gate.weight",  "blk.1.ffn_up.weight",
        "blk.1.ffn_down.weight", "output_norm.weight",
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char part[96];
        snprintf(part, sizeof part, "bad.gguf: tensor %s: is missing", NAMES[i]);
        expect_bad_tensor((struct gguf_make_tensor){.name = NAMES[i], .omit = true}, part);
    }
}

#define DIMS(n, ...) .n_dims = n, .dims = {__VA_ARGS__}

static void test_shapes(void **state)
{
    (void)state;
    expect_bad_tensor((struct gguf_make_tensor){.name = "blk.0.ffn_up.weight", DIMS(2, 128, 64)},
                      "blk.0.ffn_up.weight: shape is [128, 64], must be [64, 128]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "blk.1.attn_k.weight", DIMS(2, 64, 31)},
                      "blk.1.attn_k.weight: shape is [64, 31], must be [64, 32]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "blk.1.attn_q.weight", DIMS(1, 4096)},
                      "shape is [4096], must be [64, 64]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "blk.1.attn_q.weight", DIMS(3, 64, 32, 2)},
                      "shape is [64, 32, 2], must be [64, 64]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "output_norm.weight", DIMS(2, 64, 2)},
                      "output_norm.weight: shape is [64, 2], must be [64]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "output.weight", DIMS(2, 64, 383)},
                      "output.weight: shape is [64, 383], must be [64, 384]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "rope_freqs.weight", DIMS(1, 7)},
                      "rope_freqs.weight: shape is [7], must be [8]");
    expect_bad_tensor((struct gguf_make_tensor){.name = "token_embd.weight", DIMS(2, 64, 0)},
                      "token_embd.weight: 0 rows, must be 1 to");
}

static void test_tensor_types(void **state)
{
    (void)state;
    expect_bad_tensor((struct gguf_make_tensor){.name = "blk.1.ffn_up.weight", .type = 28},
                      "blk.1.ffn_up.weight: type F64 is not supported (supported: F32, F16, ");
    expect_bad_tensor((struct gguf_make_tensor){.name = "token_embd.weight", .type = 9},
                      "token_embd.weight: type Q8_1 is not supported");
    expect_bad_tensor((struct gguf_make_tensor){.name = "blk.0.attn_norm.weight", .type = 8},
                      "attn_norm.weight: type Q8_0 is not supported for a vector (supported: F32, "
                      "F16)");
    /* zeros: a factor divides */
    expect_bad_tensor((struct gguf_make_tensor){.name = "rope_freqs.weight"},
                      "rope_freqs.weight: factor 0 is 0, must be above 0");
}

/* ---- tensors beyond the expected ones ---- */

/* A copy of the tiny model with more tensors, of 32 F32 values each. */
static uint8_t *make_with(const char *const *names, uint32_t count, size_t *bytes)
{
    struct gguf_make_params params = gguf_make_defaults();
    size_t base_bytes;
    uint8_t *base = gguf_make(&params, &base_bytes);
    struct gguf_file *file = gguf_open_memory("base", base, base_bytes, &test_log);
    struct gguf_writer writer;
    assert_non_null(file);
    gguf_writer_init(&writer);
    for (uint64_t i = 0; i < gguf_kv_count(file); i++) {
        const struct gguf_kv *kv = gguf_kv_at(file, i);
        char key[128];
        uint8_t head[12];
        uint32_t elem = kv->elem;
        struct str value;
        str_init(&value);
        snprintf(key, sizeof key, "%.*s", (int)kv->key.bytes, kv->key.text);
        memcpy(head, &elem, 4);
        memcpy(head + 4, &kv->count, 8);
        str_add(&value, (const char *)head, kv->type == GGUF_ARRAY ? sizeof head : 0);
        str_add(&value, (const char *)kv->data, (size_t)kv->bytes);
        gguf_writer_add_raw(&writer, key, kv->type, value.text, value.bytes);
        str_finish(&value);
    }
    uint64_t dims[1] = {32};
    for (uint64_t i = 0; i < gguf_tensor_count(file) + count; i++) {
        if (i < count) {
            gguf_writer_add_tensor(&writer, names[i], 0, 1, dims, NULL, 128);
            continue;
        }
        const struct gguf_tensor *t = gguf_tensor_at(file, i - count);
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)t->name.bytes, t->name.text);
        gguf_writer_add_tensor(&writer, name, t->type, t->n_dims, t->dims, gguf_data(file, t),
                               t->bytes);
    }
    uint8_t *data = gguf_writer_build(&writer, bytes);
    assert_non_null(data);
    gguf_writer_finish(&writer);
    gguf_close(file);
    mem_free(base);
    return data;
}

static void test_refused_tensors(void **state)
{
    (void)state;
    const struct {
        const char *name, *part;
    } cases[] = {
        {"blk.0.attn_norm.bias",
         "tensor blk.0.attn_norm.bias: a bias here is not supported in llama"},
        {"blk.0.ffn_gate_exps.weight", "experts beyond the file's keys are not supported"},
        {"blk.0.ffn_gate_inp.weight", "experts beyond the file's keys are not supported"},
        {"blk.0.ffn_up_shexp.weight", "shared experts are not supported in llama"},
        {"blk.1.attn_q_norm.weight", "query and key norm is not supported"},
        {"rope_factors_short.weight", "rope scaling of this kind is not supported in llama"},
        {"rope_factors_long.weight", "llama.rope.scaling.original_context_length: is missing"},
        {"blk.2.attn_q.weight", "is of layer 2, but key llama.block_count is 2"},
        {"blk.99999999999999999999.x", "is of layer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes;
        uint8_t *data = make_with(&cases[i].name, 1, &bytes);
        expect_bad_data(data, bytes, cases[i].part);
        mem_free(data);
    }
}

static void test_unknown_tensors(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"blk.0.rot", "blk.x.y", "blk.", "vision.weight"};
    struct arch_model model;
    size_t bytes;
    uint8_t *data = make_with(NAMES, 4, &bytes);
    struct gguf_file *file = gguf_open_memory("more.gguf", data, bytes, &test_log);
    assert_non_null(file);
    n_warnings = 0;
    assert_true(arch_model_read(&model, file, &test_log));
    assert_int_equal(n_warnings, 1);
    assert_non_null(strstr(last_warning, "more.gguf: 4 tensors"));
    assert_non_null(strstr(last_warning, "blk.0.rot"));
    assert_int_equal(model.n_weights, 20);
    arch_model_finish(&model);
    gguf_close(file);
    mem_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_keys),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_floats),          cmocka_unit_test(test_types),
        cmocka_unit_test(test_strings),         cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_missing_tensors), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_tensor_types),    cmocka_unit_test(test_refused_tensors),
        cmocka_unit_test(test_unknown_tensors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
