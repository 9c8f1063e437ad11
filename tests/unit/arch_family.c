/* The families: what each adds to a LLaMA, as nodes and their numbers. What is refused is in
 * arch_family_bad.c; logits are tests/model's matter. */
/* with: fixture */
#include "arch/internal.h"

#include "arch_draft.h"
#include "arch_nodes.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void build(const struct arch_model *model, struct plan *plan, uint32_t n_ctx)
{
    struct arch_build_params params = {.n_tokens = 1,
                                       .n_out = 1,
                                       .n_ctx = n_ctx,
                                       .n_slots = 64,
                                       .n_slots_local = 64,
                                       .step_words = STEP_HEADER + STEP_ARRAYS + 2,
                                       .k_type = PLAN_F16,
                                       .v_type = PLAN_F16,
                                       .attn_splits = 1};
    plan_init(plan, &test_log, 1, 1, model->hp.n_layers);
    assert_true(arch_build(model, plan, &params));
    assert_true(plan_check(plan));
}

/* The node number `skip` of this op in the layer. */
static const struct plan_node *find_node(const struct plan *plan, int32_t layer, const char *op,
                                         uint32_t skip)
{
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (node->layer == layer && strcmp(node->op->name, op) == 0 && skip-- == 0) {
            return node;
        }
    }
    fail_msg("no node %s in layer %d", op, layer);
    return NULL;
}

static struct op_rope_attr rope_of(const struct plan *plan, int32_t layer)
{
    struct op_rope_attr attr;
    memcpy(&attr, find_node(plan, layer, "rope", 0)->attr, sizeof attr);
    return attr;
}

/* ---- wiring ---- */

static void test_nodes(void **state)
{
    (void)state;
#define ATTENTION "matmul rope matmul matmul rope kv_append attention matmul "
#define NORMED    "matmul rmsnorm rope matmul matmul rmsnorm rope kv_append attention matmul "
    static const struct {
        const char *arch, *input, *layer, *head;
        bool half_split;
    } cases[] = {
        {"llama", "embed", "rmsnorm " ATTENTION "add rmsnorm matmul matmul swiglu matmul add",
         "rmsnorm matmul", false},
        {"qwen2", "embed",
         "rmsnorm matmul add rope matmul add matmul add rope kv_append attention matmul add "
         "rmsnorm matmul matmul swiglu matmul add",
         "rmsnorm matmul", true},
        {"qwen3", "embed", "rmsnorm " NORMED "add rmsnorm matmul matmul swiglu matmul add",
         "rmsnorm matmul", true},
        {"phi3", "embed", "rmsnorm " ATTENTION "add rmsnorm matmul matmul swiglu matmul add",
         "rmsnorm matmul", true},
        {"olmo2", "embed", NORMED "rmsnorm add matmul matmul swiglu matmul rmsnorm add",
         "rmsnorm matmul", true},
        {"granite", "embed scale",
         "rmsnorm " ATTENTION "scale add rmsnorm matmul matmul swiglu matmul scale add",
         "rmsnorm scale matmul", false},
        {"gemma", "embed scale", "rmsnorm " ATTENTION "add rmsnorm matmul matmul geglu matmul add",
         "rmsnorm matmul", true},
        {"gemma2", "embed scale",
         "rmsnorm " ATTENTION "rmsnorm add rmsnorm matmul matmul geglu matmul rmsnorm add",
         "rmsnorm matmul scale", true},
        {"gemma3", "embed scale",
         "rmsnorm " NORMED "rmsnorm add rmsnorm matmul matmul geglu matmul rmsnorm add",
         "rmsnorm matmul", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct draft draft;
        struct opened opened;
        struct plan plan;
        draft_family(&draft, cases[i].arch);
        expect_good(&opened, &draft);
        build(&opened.model, &plan, 64);
        expect_ops(&plan, PLAN_LAYER_INPUT, cases[i].input);
        expect_ops(&plan, 0, cases[i].layer);
        expect_ops(&plan, 1, cases[i].layer);
        expect_ops(&plan, LAYERS, cases[i].head);
        assert_int_equal(rope_of(&plan, 1).half_split, cases[i].half_split);
        assert_true(rope_of(&plan, 1).magnitude == 1);
        plan_finish(&plan);
        opened_finish(&opened);
    }
}

/* A bias is added wherever there is one. */
static void test_biases(void **state)
{
    (void)state;
    struct draft draft;
    struct opened opened;
    struct plan plan;
    draft_init(&draft, "llama");
    put(&draft, "blk.%d.attn_q.bias", 0, 4 * HEAD);
    put(&draft, "blk.%d.attn_output.bias", 0, DIM);
    put(&draft, "blk.%d.ffn_gate.bias", 0, FF);
    put(&draft, "blk.%d.ffn_up.bias", 0, FF);
    put(&draft, "blk.%d.ffn_down.bias", 0, DIM);
    expect_good(&opened, &draft);
    build(&opened.model, &plan, 64);
    expect_ops(&plan, 1,
               "rmsnorm matmul add rope matmul matmul rope kv_append attention matmul add add "
               "rmsnorm matmul add matmul add swiglu matmul add add");
    const struct plan_node *add = find_node(&plan, 1, "add", 3);
    assert_string_equal(plan_get_tensor(&plan, add->src[1])->name, "blk.1.ffn_gate.bias");
    plan_finish(&plan);
    opened_finish(&opened);
}

static float number(const struct plan_node *node, size_t i)
{
    float x[2];
    memcpy(x, node->attr, sizeof x);
    return x[i];
}

static void test_scales(void **state)
{
    (void)state;
    struct draft draft;
    struct opened opened;
    struct plan plan;
    struct op_attention_attr attention;
    draft_family(&draft, "granite");
    expect_good(&opened, &draft);
    build(&opened.model, &plan, 64);
    assert_true(number(find_node(&plan, PLAN_LAYER_INPUT, "scale", 0), 0) == 12);
    assert_true(number(find_node(&plan, 1, "scale", 1), 0) == 0.25f);
    assert_true(number(find_node(&plan, LAYERS, "scale", 0), 0) == 0.125f);
    memcpy(&attention, find_node(&plan, 0, "attention", 0)->attr, sizeof attention);
    assert_true(attention.scale == 0.125f);
    plan_finish(&plan);
    opened_finish(&opened);
    draft_family(&draft, "gemma2");
    put_f32(&draft, "final_logit_softcapping", 20);
    expect_good(&opened, &draft);
    build(&opened.model, &plan, 64);
    assert_true(number(find_node(&plan, PLAN_LAYER_INPUT, "scale", 0), 0) == 8);
    assert_true(number(find_node(&plan, LAYERS, "scale", 0), 1) == 20);
    assert_true(opened.model.hp.attn_softcap == 50);
    assert_int_equal(opened.model.hp.window, 4096);
    plan_finish(&plan);
    opened_finish(&opened);
    draft_family(&draft, "gemma2");
    put_f32(&draft, "final_logit_softcapping", 0);
    expect_good(&opened, &draft);
    assert_true(opened.model.hp.final_softcap == 0);
    opened_finish(&opened);
}

/* Gemma 3: local layers turn by a base of their own, and do not scale positions. */
static void test_local_rope(void **state)
{
    (void)state;
    struct draft draft;
    struct opened opened;
    struct plan plan;
    draft_family(&draft, "gemma3");
    draft.params.rope_base = 1e6f;
    draft.params.rope_scaling = "linear";
    draft.params.rope_factor = 8;
    put_u32(&draft, "attention.sliding_window", 32);
    expect_good(&opened, &draft);
    struct arch_hparams *hp = &opened.model.hp;
    assert_true(arch_is_local(hp, 0) && arch_is_local(hp, 4) && arch_is_local(hp, 6));
    assert_false(arch_is_local(hp, 5) || arch_is_local(hp, 11));
    hp->window_period = 2;
    build(&opened.model, &plan, 64);
    assert_true(rope_of(&plan, 0).base == 1e4f && rope_of(&plan, 0).scale == 1);
    assert_true(rope_of(&plan, 1).base == 1e6f && rope_of(&plan, 1).scale == 0.125f);
    plan_finish(&plan);
    opened_finish(&opened);
    draft_family(&draft, "phi3"); /* a window as long as the context is none */
    put_u32(&draft, "attention.sliding_window", 256);
    expect_good(&opened, &draft);
    assert_false(arch_is_local(&opened.model.hp, 0));
    opened_finish(&opened);
    draft_family(&draft, "phi3");
    put_u32(&draft, "attention.sliding_window", 255);
    expect_good(&opened, &draft);
    assert_true(arch_is_local(&opened.model.hp, 0) && arch_is_local(&opened.model.hp, 1));
    opened_finish(&opened);
}

/* ---- rope scaling ---- */

/* Numbers of transformers 5 for dims 16, base 10,000, context 2,048, factor 4. */
static void test_yarn(void **state)
{
    (void)state;
    static const float want[] = {1, 1, 1, 1.2307692f, 1.6f, 2.2857144f, 4, 4};
    struct draft draft;
    struct opened opened;
    struct plan plan;
    float factors[8];
    draft_family(&draft, "qwen2");
    put_str(&draft, "rope.scaling.type", "yarn");
    put_f32(&draft, "rope.scaling.factor", 4);
    put_u32(&draft, "rope.scaling.original_context_length", 2048);
    expect_good(&opened, &draft);
    build(&opened.model, &plan, 64);
    const struct plan_node *rope = find_node(&plan, 1, "rope", 1);
    const struct arch_weight *weight =
        &opened.model.weights[plan_get_tensor(&plan, rope->src[2])->weight];
    assert_null(weight->tensor);
    assert_int_equal(weight->cols, 8);
    assert_int_equal(weight->file_bytes, 0);
    arch_weight_make(&opened.model, weight, factors);
    for (size_t i = 0; i < 8; i++) {
        if (fabsf(factors[i] - want[i]) > 1e-6f) {
            fail_msg("factor %zu is %g, not %g", i, (double)factors[i], (double)want[i]);
        }
    }
    assert_true(fabsf(rope_of(&plan, 0).magnitude - 1.1386294f) < 1e-6f);
    assert_true(rope_of(&plan, 0).scale == 1);
    plan_finish(&plan);
    opened_finish(&opened);
}

/* The context of the session decides which factors are taken. */
static void test_longrope(void **state)
{
    (void)state;
    for (int given = 0; given < 2; given++) {
        struct draft draft;
        struct opened opened;
        draft_family(&draft, "phi3");
        put(&draft, "rope_factors_long.weight", 0, HEAD / 2);
        put(&draft, "rope_factors_short.weight", 0, HEAD / 2);
        put_u32(&draft, "rope.scaling.original_context_length", 64);
        if (given != 0) {
            put_f32(&draft, "rope.scaling.attn_factor", 1.25f);
        }
        expect_good(&opened, &draft);
        for (uint32_t n_ctx = 64; n_ctx <= 65; n_ctx++) {
            struct plan plan;
            build(&opened.model, &plan, n_ctx);
            const struct plan_node *rope = find_node(&plan, 0, "rope", 0);
            assert_string_equal(plan_get_tensor(&plan, rope->src[2])->name,
                                n_ctx > 64 ? "rope_factors_long.weight"
                                           : "rope_factors_short.weight");
            /* 256 positions were 64: sqrt(1 + ln 4 / ln 64) */
            float want = given != 0 ? 1.25f : sqrtf(4.0f / 3.0f);
            assert_true(fabsf(rope_of(&plan, 0).magnitude - want) < 1e-6f);
            plan_finish(&plan);
        }
        opened_finish(&opened);
    }
}

/* ---- rows of tensors ---- */

static void expect_rows(const struct arch_model *model, size_t w, const char *name,
                        const char *tensor, uint64_t row0, uint64_t rows)
{
    const struct arch_weight *weight = &model->weights[w];
    assert_string_equal(weight->name, name);
    assert_int_equal(weight->tensor->name.bytes, strlen(tensor));
    assert_memory_equal(weight->tensor->name.text, tensor, strlen(tensor));
    assert_int_equal(weight->row0, row0);
    assert_int_equal(weight->rows, rows);
}

static void test_rows(void **state)
{
    (void)state;
    struct draft draft;
    struct opened opened;
    draft_family(&draft, "phi3");
    expect_good(&opened, &draft);
    const struct arch_model *model = &opened.model;
    expect_rows(model, 2, "blk.0.attn_q.weight", "blk.0.attn_qkv.weight", 0, 4 * HEAD);
    expect_rows(model, 3, "blk.0.attn_k.weight", "blk.0.attn_qkv.weight", 4 * HEAD, 2 * HEAD);
    expect_rows(model, 4, "blk.0.attn_v.weight", "blk.0.attn_qkv.weight", 6 * HEAD, 2 * HEAD);
    expect_rows(model, 7, "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", 0, FF);
    expect_rows(model, 8, "blk.0.ffn_up.weight", "blk.0.ffn_up.weight", FF, FF);
    uint64_t bytes = 0, params = 0;
    for (uint64_t i = 0; i < gguf_tensor_count(opened.file); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(opened.file, i);
        bytes += tensor->bytes;
        params += tensor->dims[0] * tensor->dims[1];
    }
    assert_int_equal(model->file_bytes, bytes);
    assert_int_equal(model->n_params, params);
    opened_finish(&opened);
}

/* ---- names ---- */

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        const struct arch_family *family;
        uint32_t layers, embd, ff;
        uint64_t params;
        const char *shape;
    } cases[] = {
        {&arch_family_llama, 32, 4096, 11008, 6738415616, "llama 7B"},
        {&arch_family_llama, 32, 4096, 14336, 8030261248, "llama 8B"},
        {&arch_family_llama, 32, 4096, 14336, 7241732096, "llama 7.2B"},
        {&arch_family_qwen2, 24, 896, 4864, 494032768, "qwen2 0.5B"},
        {&arch_family_qwen3, 64, 5120, 25600, 32762123264, "qwen3 32B"},
        {&arch_family_olmo2, 32, 4096, 11008, 7298617344, "olmo2 7B"},
        {&arch_family_gemma3, 18, 640, 2048, 268098176, "gemma3 270M"},
        {&arch_family_gemma2, 3, 640, 2048, 26809817, "gemma2 27M"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch_model model = {.family = cases[i].family, .n_params = cases[i].params};
        model.hp.n_layers = cases[i].layers;
        model.hp.n_embd = cases[i].embd;
        model.hp.n_ff = cases[i].ff;
        arch_shape_set(&model);
        assert_string_equal(model.shape, cases[i].shape);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),  cmocka_unit_test(test_biases),
        cmocka_unit_test(test_scales), cmocka_unit_test(test_local_rope),
        cmocka_unit_test(test_yarn),   cmocka_unit_test(test_longrope),
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
