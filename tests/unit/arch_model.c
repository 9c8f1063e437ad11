/* Models that are good: the demo files in the repository, small files with every feature, dummies.
 */
/* with: fixture */
#include "arch/arch.h"

#include "base/mem.h"
#include "gguf_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct log test_log;
static uint32_t n_warnings;
static char last_warning[1024];

static void on_line(void *user, enum log_level level, const char *line)
{
    (void)user;
    if (level == LOG_WARN) {
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

static const struct arch_weight *find(const struct arch_model *model, const char *name)
{
    for (size_t w = 0; w < model->n_weights; w++) {
        if (strcmp(model->weights[w].name, name) == 0) {
            return &model->weights[w];
        }
    }
    fail_msg("no weight %s", name);
    return NULL;
}

static void expect_weight(const struct arch_model *model, const char *name, uint64_t rows,
                          uint64_t cols, int32_t layer, enum quant_id quant)
{
    const struct arch_weight *weight = find(model, name);
    assert_int_equal(weight->rows, rows);
    assert_int_equal(weight->cols, cols);
    assert_int_equal(weight->layer, layer);
    assert_int_equal(weight->quant, quant);
}

/* Embedding, layers in order and each in one piece, then the head. */
static void expect_order(const struct arch_model *model)
{
    int32_t n = (int32_t)model->hp.n_layers;
    assert_string_equal(model->weights[0].name, "token_embd.weight");
    for (size_t w = 1; w < model->n_weights; w++) {
        int32_t before = model->weights[w - 1].layer, now = model->weights[w].layer;
        assert_true(now >= before || strcmp(model->weights[w].name, "rope_freqs.weight") == 0);
    }
    for (int32_t layer = 0; layer < n; layer++) {
        for (size_t i = 0; i < 9; i++) {
            assert_int_equal(model->weights[1 + 9 * (size_t)layer + i].layer, layer);
        }
    }
    assert_string_equal(model->weights[1 + 9 * (size_t)n].name, "output_norm.weight");
}

static void test_demo(void **state)
{
    (void)state;
    struct arch_model model;
    struct gguf_file *file = gguf_open(QD_SOURCE_DIR "/models/classics-13m-F16.gguf", &test_log);
    assert_non_null(file);
    assert_true(arch_model_read(&model, file, &test_log));
    const struct arch_hparams want = {.n_layers = 12,
                                      .n_embd = 256,
                                      .n_heads = 8,
                                      .n_kv_heads = 4,
                                      .head_dim = 32,
                                      .n_ff = 1024,
                                      .n_vocab = 4096,
                                      .n_ctx_train = 1024,
                                      .rms_eps = 1e-5f,
                                      .rope_base = 10000,
                                      .rope_dims = 32,
                                      .rope_factor = 1,
                                      .tied_embedding = true};
    assert_int_equal(model.hp.n_layers, want.n_layers);
    assert_int_equal(model.hp.n_embd, want.n_embd);
    assert_int_equal(model.hp.n_heads, want.n_heads);
    assert_int_equal(model.hp.n_kv_heads, want.n_kv_heads);
    assert_int_equal(model.hp.head_dim, want.head_dim);
    assert_int_equal(model.hp.n_ff, want.n_ff);
    assert_int_equal(model.hp.n_vocab, want.n_vocab);
    assert_int_equal(model.hp.n_ctx_train, want.n_ctx_train);
    assert_true(model.hp.rms_eps == want.rms_eps);
    assert_true(model.hp.rope_base == want.rope_base);
    assert_int_equal(model.hp.rope_dims, want.rope_dims);
    assert_int_equal(model.hp.rope_scaling, ARCH_ROPE_NONE);
    assert_true(model.hp.rope_factor == want.rope_factor);
    assert_false(model.hp.rope_half_split);
    assert_true(model.hp.tied_embedding);
    assert_false(model.dummy);
    assert_string_equal(model.name, "Classics 13M");
    assert_string_equal(model.shape, "llama 13M");
    assert_int_equal(model.n_weights, 110);
    assert_int_equal(model.n_params, 12851456);
    assert_int_equal(model.file_bytes, 2 * 12851456 + 2 * 25 * 256);
    assert_int_equal(n_warnings, 0);
    expect_order(&model);
    expect_weight(&model, "token_embd.weight", 4096, 256, PLAN_LAYER_INPUT, QUANT_F16);
    expect_weight(&model, "blk.0.attn_norm.weight", 1, 256, 0, QUANT_F32);
    expect_weight(&model, "blk.3.attn_k.weight", 128, 256, 3, QUANT_F16);
    expect_weight(&model, "blk.11.ffn_down.weight", 256, 1024, 11, QUANT_F16);
    expect_weight(&model, "output_norm.weight", 1, 256, 12, QUANT_F32);
    arch_model_finish(&model);
    arch_model_finish(&model);
    gguf_close(file);
}

/* The mixture of a real Q4_K_M file and that of the dummy of its shape are the same. */
static void test_mixture(void **state)
{
    (void)state;
    struct arch_model real, dummy;
    struct gguf_file *file = gguf_open(QD_SOURCE_DIR "/models/classics-13m-Q4_K_M.gguf", &test_log);
    assert_non_null(file);
    assert_true(arch_model_read(&real, file, &test_log));
    assert_true(arch_model_dummy(&dummy, "classics-13m:q4_k_m", &test_log));
    assert_int_equal(real.n_weights, dummy.n_weights);
    for (size_t w = 0; w < real.n_weights; w++) {
        const struct arch_weight *a = &real.weights[w], *b = &dummy.weights[w];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->rows, b->rows);
        assert_int_equal(a->cols, b->cols);
        assert_int_equal(a->layer, b->layer);
        if (a->quant != b->quant) {
            fail_msg("%s is %s in the file, %s in the dummy", a->name, quant_get(a->quant)->name,
                     quant_get(b->quant)->name);
        }
        assert_non_null(a->tensor);
        assert_null(b->tensor);
    }
    assert_int_equal(real.file_bytes, dummy.file_bytes);
    assert_int_equal(real.n_params, dummy.n_params);
    arch_model_finish(&real);
    arch_model_finish(&dummy);
    gguf_close(file);
}

/* The mixtures that llama-quantize makes of the same model: bytes of all tensors of its files. */
static void test_other_mixtures(void **state)
{
    (void)state;
    const struct {
        const char *spec;
        uint64_t bytes;
        enum quant_id v[12], output, down[12];
    } cases[] = {
#define L4(id)  QUANT_##id, QUANT_##id, QUANT_##id, QUANT_##id
#define L12(id) L4(id), L4(id), L4(id)
        {"classics-13m:q3_k_s", 5954560, {L12(Q3_K)}, QUANT_Q3_K, {L12(Q3_K)}},
        {"classics-13m:q3_k_m",
         6537216,
         {QUANT_Q5_K, QUANT_Q5_K, QUANT_Q4_K, QUANT_Q4_K, L4(Q4_K), L4(Q4_K)},
         QUANT_Q4_K,
         {L12(Q4_K)}},
        {"classics-13m:q3_k_l", 7069696, {L12(Q5_K)}, QUANT_Q5_K, {L12(Q5_K)}},
        {"classics-13m:q4_k_s",
         7570432,
         {L4(Q5_K), L4(Q4_K), L4(Q4_K)},
         QUANT_Q4_K,
         {QUANT_Q5_K, QUANT_Q4_K, QUANT_Q4_K, QUANT_Q4_K, L4(Q4_K), L4(Q4_K)}},
        {"classics-13m:q5_k_s", 8995840, {L12(Q5_K)}, QUANT_Q5_K, {L12(Q5_K)}},
#define M3 QUANT_Q6_K, QUANT_Q5_K, QUANT_Q5_K
        {"classics-13m:q5_k_m",
         9230848,
         {M3, M3, M3, QUANT_Q6_K, QUANT_Q6_K, QUANT_Q6_K},
         QUANT_Q5_K,
         {M3, M3, M3, QUANT_Q6_K, QUANT_Q6_K, QUANT_Q6_K}},
#undef M3
#undef L12
#undef L4
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch_model model;
        assert_true(arch_model_dummy(&model, cases[i].spec, &test_log));
        assert_int_equal(model.file_bytes, cases[i].bytes);
        for (int32_t l = 0; l < 12; l++) {
            char name[48];
            snprintf(name, sizeof name, "blk.%d.attn_v.weight", (int)l);
            expect_weight(&model, name, 128, 256, l, cases[i].v[l]);
            snprintf(name, sizeof name, "blk.%d.attn_output.weight", (int)l);
            expect_weight(&model, name, 256, 256, l, cases[i].output);
            snprintf(name, sizeof name, "blk.%d.ffn_down.weight", (int)l);
            expect_weight(&model, name, 256, 1024, l, cases[i].down[l]);
        }
        expect_weight(&model, "token_embd.weight", 4096, 256, PLAN_LAYER_INPUT, QUANT_Q6_K);
        arch_model_finish(&model);
    }
}

static void read_made(const struct gguf_make_params *params, struct arch_model *model,
                      struct gguf_file **file, uint8_t **data)
{
    size_t bytes;
    *data = gguf_make(params, &bytes);
    assert_non_null(*data);
    *file = gguf_open_memory("tiny", *data, bytes, &test_log);
    assert_non_null(*file);
    assert_true(arch_model_read(model, *file, &test_log));
}

static void test_features(void **state)
{
    (void)state;
    struct gguf_make_params params = gguf_make_defaults();
    struct arch_model model;
    struct gguf_file *file;
    uint8_t *data;
    params.tied = false;
    params.head_dim = 24;
    params.rope_base = 500000;
    params.rope_scaling = "linear";
    params.rope_factor = 4;
    params.rope_freqs = true;
    params.quant = QUANT_Q8_0;
    read_made(&params, &model, &file, &data);
    assert_false(model.hp.tied_embedding);
    assert_int_equal(model.hp.head_dim, 24);
    assert_true(model.hp.rope_base == 500000);
    assert_int_equal(model.hp.rope_scaling, ARCH_ROPE_LINEAR);
    assert_true(model.hp.rope_factor == 4);
    expect_order(&model);
    expect_weight(&model, "blk.1.attn_q.weight", 96, 64, 1, QUANT_Q8_0);
    expect_weight(&model, "blk.1.attn_output.weight", 64, 96, 1, QUANT_Q8_0);
    expect_weight(&model, "output.weight", params.vocab, 64, 2, QUANT_Q8_0);
    expect_weight(&model, "rope_freqs.weight", 1, model.hp.rope_dims / 2, PLAN_LAYER_INPUT,
                  QUANT_F32);
    assert_int_equal(n_warnings, 0);
    arch_model_finish(&model);
    gguf_close(file);
    mem_free(data);
}

/* Scaling type absent: a factor means linear, none at all means no scaling. */
static void test_scaling(void **state)
{
    (void)state;
    float factor = 8;
    const uint8_t none[] = {4, 0, 0, 0, 0, 0, 0, 0, 'n', 'o', 'n', 'e'};
    const struct {
        struct gguf_make_kv kvs[3];
        enum arch_rope_scaling want;
    } cases[] = {
        {{{0}}, ARCH_ROPE_NONE},
        {{{.key = "llama.rope.scaling.factor", .type = GGUF_F32, .value = &factor, .bytes = 4}},
         ARCH_ROPE_LINEAR},
        {{{.key = "llama.rope.scale_linear", .type = GGUF_F32, .value = &factor, .bytes = 4}},
         ARCH_ROPE_LINEAR},
        {{{.key = "llama.rope.scaling.factor", .type = GGUF_F32, .value = &factor, .bytes = 4},
          {.key = "llama.rope.scaling.type",
           .type = GGUF_STRING,
           .value = none,
           .bytes = sizeof none}},
         ARCH_ROPE_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_make_params params = gguf_make_defaults();
        struct arch_model model;
        struct gguf_file *file;
        uint8_t *data;
        params.kvs = cases[i].kvs;
        read_made(&params, &model, &file, &data);
        assert_int_equal(model.hp.rope_scaling, cases[i].want);
        assert_true(model.hp.rope_factor == (cases[i].want == ARCH_ROPE_LINEAR ? 8 : 1));
        arch_model_finish(&model);
        gguf_close(file);
        mem_free(data);
    }
}

/* Norms may be F16 in the file; they count as F32 weights, which is what they are loaded as. */
static void test_f16_norm(void **state)
{
    (void)state;
    struct gguf_make_params params = gguf_make_defaults();
    const struct gguf_make_tensor tensors[] = {{.name = "blk.1.ffn_norm.weight", .type = 1}, {0}};
    struct arch_model model;
    struct gguf_file *file;
    uint8_t *data;
    params.tensors = tensors;
    read_made(&params, &model, &file, &data);
    expect_weight(&model, "blk.1.ffn_norm.weight", 1, params.dim, 1, QUANT_F32);
    assert_int_equal(find(&model, "blk.1.ffn_norm.weight")->tensor->type, 1);
    arch_model_finish(&model);
    gguf_close(file);
    mem_free(data);
}

/* ---- dummies ---- */

static void test_dummies(void **state)
{
    (void)state;
    const struct {
        const char *spec, *shape;
        uint32_t layers, dim, heads, ff;
        uint64_t params;
    } cases[] = {
        {"llama-7b:f16", "llama 7B", 32, 4096, 32, 11008, 6738415616},
        {"13B", "llama 13B", 40, 5120, 40, 13824, 13015864320},
        {"30b:q8_0", "llama 30B", 60, 6656, 52, 17920, 32528943616},
        {"LLaMA-65B:Q4_K_M", "llama 65B", 80, 8192, 64, 22016, 65285660672},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch_model model;
        assert_true(arch_model_dummy(&model, cases[i].spec, &test_log));
        assert_string_equal(model.shape, cases[i].shape);
        assert_string_equal(model.name, cases[i].spec);
        assert_true(model.dummy);
        assert_int_equal(model.hp.n_layers, cases[i].layers);
        assert_int_equal(model.hp.n_embd, cases[i].dim);
        assert_int_equal(model.hp.n_heads, cases[i].heads);
        assert_int_equal(model.hp.n_kv_heads, cases[i].heads);
        assert_int_equal(model.hp.n_ff, cases[i].ff);
        assert_int_equal(model.hp.n_vocab, 32000);
        assert_int_equal(model.hp.n_ctx_train, 2048);
        assert_int_equal(model.n_params, cases[i].params);
        expect_order(&model);
        arch_model_finish(&model);
    }
}

static void test_dummy_list(void **state)
{
    (void)state;
    struct arch_model model;
    assert_true(arch_model_dummy(
        &model, "layers=2,dim=256,heads=8,kv_heads=4,ffn=1024,vocab=4096,type=q8_0", &test_log));
    assert_int_equal(model.hp.n_kv_heads, 4);
    assert_int_equal(model.hp.n_vocab, 4096);
    assert_false(model.hp.tied_embedding);
    expect_weight(&model, "output.weight", 4096, 256, 2, QUANT_Q8_0);
    expect_weight(&model, "blk.1.ffn_norm.weight", 1, 256, 1, QUANT_F32);
    assert_int_equal(model.file_bytes,
                     2 * (2 * 4096 * 272 / 2) +
                         2 * (2 * 256 * 272 + 2 * 128 * 272 + 2 * 1024 * 272 + 256 * 1088) +
                         5 * 1024);
    arch_model_finish(&model);
    assert_true(arch_model_dummy(&model, "layers=1,dim=64,heads=4,ffn=96", &test_log));
    assert_int_equal(model.hp.n_kv_heads, 4);
    expect_weight(&model, "blk.0.attn_q.weight", 64, 64, 0, QUANT_F16);
    arch_model_finish(&model);
}

static void test_bad_dummies(void **state)
{
    (void)state;
    const struct {
        const char *spec, *part;
    } cases[] = {
        {"", "not a known shape"},
        {"8b", "dummy 8b: not a known shape"},
        {"llama-", "not a known shape"},
        {"llama-classics-13m", "not a known shape"},
        {"7b:", "type  is not supported"},
        {"7b:iq2_xxs", "type iq2_xxs is not supported (supported: F32, F16, "},
        {"layers=2", "dim: is 0"},
        {"layers=x,dim=4", "layers: x is not a number"},
        {"layers=99999999999999999999", "is not a number below 2^32"},
        {"layers=,dim=4", "layers:  is not a number"},
        {"layers=2,depth=4", "depth=4 is not one of"},
        {"layers=2,,dim=4", " is not one of"},
        {"layers=513,dim=64,heads=4,ffn=96", "layers: is 513, must be 1 to 512"},
        {"layers=2,dim=64,heads=0,ffn=96", "heads: is 0"},
        {"layers=2,dim=64,heads=5,ffn=96", "dim: 64 is not a multiple of heads, 5"},
        {"layers=2,dim=64,heads=4,kv_heads=3,ffn=96", "heads: 4 is not a multiple of kv_heads, 3"},
        {"layers=2,dim=12,heads=4,ffn=96", "dim / heads: is 3, must be even"},
        {"layers=2,dim=1024,heads=2,ffn=96", "dim / heads: is 512, must be 2 to 256"},
        {"layers=2,dim=64,heads=4,ffn=96,vocab=0", "vocab: is 0"},
        {"layers=2,dim=64,heads=4,ffn=96,type=q4_k", "64 columns, Q4_K needs a multiple of 256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch_model model;
        char line[1024];
        assert_false(arch_model_dummy(&model, cases[i].spec, &test_log));
        log_get_last(&test_log, line, sizeof line);
        if (strstr(line, cases[i].part) == NULL) {
            fail_msg("%s: \"%s\" does not contain \"%s\"", cases[i].spec, line, cases[i].part);
        }
        arch_model_finish(&model);
    }
}

static void test_sums(void **state)
{
    (void)state;
    struct arch_model model;
    assert_true(arch_model_dummy(&model, "classics-13m", &test_log));
    struct arch_build_params params = {.n_slots = 1024, .k_type = PLAN_F16, .v_type = PLAN_F32};
    assert_int_equal(arch_kv_bytes(&model, 0, &params), 1024 * 4 * 32 * (2 + 4));
    double matrices = 12.0 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 1024 * 256) + 4096 * 256;
    assert_true(arch_flop(&model, 0) == 2 * matrices);
    assert_true(arch_flop(&model, 100) == 2 * matrices + 12 * 4.0 * 256 * 100);
    arch_model_finish(&model);
    assert_true(arch_model_dummy(&model, "7b", &test_log)); /* looked-up embedding costs nothing */
    double seven = 32.0 * (4.0 * 4096 * 4096 + 3.0 * 4096 * 11008) + 32000.0 * 4096;
    assert_true(arch_flop(&model, 0) == 2 * seven);
    arch_model_finish(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),           cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_other_mixtures), cmocka_unit_test(test_features),
        cmocka_unit_test(test_scaling),        cmocka_unit_test(test_f16_norm),
        cmocka_unit_test(test_dummies),        cmocka_unit_test(test_dummy_list),
        cmocka_unit_test(test_bad_dummies),    cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
