/* The build pass with the real op builders: which nodes a step has, in which order, on which
 * weights; and that the plan goes through all passes on one to four devices. */
/* with: fixture */
#include "arch/arch.h"

#include "arch_nodes.h"

#include "base/mem.h"
#include "gguf_make.h"
#include "ops/fuse.h"
#include "ops/ops.h"
#include "plan/op.h"
#include "shaders/common/step.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct log test_log;

static int setup(void **state)
{
    (void)state;
    log_init(&test_log, NULL, NULL, LOG_ERROR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_finish(&test_log);
    return 0;
}

static struct arch_build_params make_params(uint32_t n_tokens, uint32_t n_out)
{
    return (struct arch_build_params){.n_tokens = n_tokens,
                                      .n_out = n_out,
                                      .n_slots = 64,
                                      .step_words = STEP_HEADER + STEP_ARRAYS * n_tokens + 2,
                                      .k_type = PLAN_F16,
                                      .v_type = PLAN_F32,
                                      .attn_splits = 1,
                                      .argmax = true};
}

static void build(const struct arch_model *model, struct plan *plan,
                  const struct arch_build_params *params)
{
    plan_init(plan, &test_log, params->n_tokens, params->n_out, model->hp.n_layers);
    assert_true(arch_build(model, plan, params));
    assert_true(plan_check(plan));
}

static void make_model(struct arch_model *model, const char *spec)
{
    assert_true(arch_model_dummy(model, spec, &test_log));
}

#define SPEC "layers=3,dim=64,heads=4,kv_heads=2,ffn=96,vocab=50"
#define LAYER                                                                                      \
    "rmsnorm matmul rope matmul matmul rope kv_append attention matmul add "                       \
    "rmsnorm matmul matmul swiglu matmul add"

static void test_decode(void **state)
{
    (void)state;
    struct arch_model model;
    struct plan plan;
    struct arch_build_params params = make_params(1, 1);
    make_model(&model, SPEC);
    build(&model, &plan, &params);
    expect_ops(&plan, PLAN_LAYER_INPUT, "embed");
    for (int32_t layer = 0; layer < 3; layer++) {
        expect_ops(&plan, layer, LAYER);
    }
    expect_ops(&plan, 3, "rmsnorm matmul argmax");
    plan_finish(&plan);
    params.argmax = false;
    build(&model, &plan, &params);
    expect_ops(&plan, 3, "rmsnorm matmul");
    plan_finish(&plan);
    params.top = 40;
    build(&model, &plan, &params);
    expect_ops(&plan, 3, "rmsnorm matmul topk");
    plan_finish(&plan);
    params.top = 0;
    params.scores = true;
    build(&model, &plan, &params);
    expect_ops(&plan, 3, "rmsnorm matmul score");
    plan_finish(&plan);
    params.scores = false;
    params.attn_splits = 4;
    build(&model, &plan, &params);
    expect_ops(&plan, 0,
               "rmsnorm matmul rope matmul matmul rope kv_append attention attn_merge matmul add "
               "rmsnorm matmul matmul swiglu matmul add");
    plan_finish(&plan);
    arch_model_finish(&model);
}

static void test_prefill(void **state)
{
    (void)state;
    struct arch_model model;
    struct plan plan;
    struct arch_build_params params = make_params(7, 3);
    make_model(&model, SPEC);
    build(&model, &plan, &params);
    expect_ops(&plan, 3, "rows rmsnorm matmul argmax");
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct plan_tensor *tensor = &plan.tensors[i];
        if (tensor->role == PLAN_LOGITS) {
            assert_int_equal(tensor->rows, 3);
            assert_int_equal(tensor->cols, 50);
            assert_string_equal(tensor->name, "logits");
        } else if (tensor->role == PLAN_IDS_OUT) {
            assert_int_equal(tensor->rows * tensor->cols, 3);
        } else if (tensor->role == PLAN_IDS_IN) {
            assert_int_equal(tensor->rows * tensor->cols, 7);
        }
    }
    plan_finish(&plan);
    params.n_out = 7; /* rows may be in any order: still gathered */
    build(&model, &plan, &params);
    expect_ops(&plan, 3, "rows rmsnorm matmul argmax");
    plan_finish(&plan);
    arch_model_finish(&model);
}

/* Without a head the last layer only fills the cache. */
static void test_no_head(void **state)
{
    (void)state;
    struct arch_model model;
    struct plan plan;
    struct arch_build_params params = make_params(7, 0);
    make_model(&model, SPEC);
    build(&model, &plan, &params);
    expect_ops(&plan, 1, LAYER);
    expect_ops(&plan, 2, "rmsnorm matmul matmul rope kv_append");
    expect_ops(&plan, 3, "");
    plan_finish(&plan);
    params.copies = 5; /* behind what writes the caches, before what reads them */
    build(&model, &plan, &params);
    expect_ops(&plan, 1,
               "rmsnorm matmul rope matmul matmul rope kv_append kv_copy attention matmul add "
               "rmsnorm matmul matmul swiglu matmul add");
    expect_ops(&plan, 2, "rmsnorm matmul matmul rope kv_append kv_copy");
    for (size_t i = 0; i < plan.n_tensors; i++) {
        assert_int_not_equal(plan.tensors[i].role, PLAN_LOGITS);
    }
    plan_finish(&plan);
    arch_model_finish(&model);
}

/* Each matrix is read by one node, of its own layer; a tied embedding by the head too. */
static void test_weights(void **state)
{
    (void)state;
    static const char *const SPECS[] = {SPEC, "classics-13m:q4_k_m"};
    for (size_t s = 0; s < 2; s++) {
        struct arch_model model;
        struct plan plan;
        struct arch_build_params params = make_params(2, 1);
        make_model(&model, SPECS[s]);
        build(&model, &plan, &params);
        uint32_t *readers = mem_alloc(model.n_weights, sizeof *readers);
        for (size_t n = 0; n < plan.n_nodes; n++) {
            for (uint32_t i = 0; i < plan.nodes[n].n_src; i++) {
                const struct plan_tensor *tensor = plan_get_tensor(&plan, plan.nodes[n].src[i]);
                if (plan.nodes[n].src[i] == PLAN_NONE || tensor->role != PLAN_WEIGHT) {
                    continue;
                }
                const struct arch_weight *weight = &model.weights[tensor->weight];
                assert_string_equal(tensor->name, weight->name);
                assert_int_equal(tensor->rows, weight->rows);
                assert_int_equal(tensor->cols, weight->cols);
                assert_int_equal(tensor->quant, weight->quant);
                assert_true(weight->layer == plan.nodes[n].layer || tensor->weight == 0);
                readers[tensor->weight]++;
            }
        }
        for (size_t w = 0; w < model.n_weights; w++) {
            assert_int_equal(readers[w], w == 0 && model.hp.tied_embedding ? 2 : 1);
        }
        mem_free(readers);
        plan_finish(&plan);
        arch_model_finish(&model);
    }
}

/* Attributes come from the hyper-parameters; rope factors are the third operand. */
static void test_attributes(void **state)
{
    (void)state;
    struct gguf_make_params made = gguf_make_defaults();
    made.rope_scaling = "linear";
    made.rope_factor = 4;
    made.rope_base = 50000;
    made.rope_freqs = true;
    size_t bytes, n_ropes = 0;
    uint8_t *data = gguf_make(&made, &bytes);
    struct gguf_file *file = gguf_open_memory("tiny", data, bytes, &test_log);
    struct arch_model model;
    struct plan plan;
    struct arch_build_params params = make_params(1, 1);
    assert_non_null(file);
    assert_true(arch_model_read(&model, file, &test_log));
    build(&model, &plan, &params);
    for (size_t n = 0; n < plan.n_nodes; n++) {
        const struct plan_node *node = &plan.nodes[n];
        if (strcmp(node->op->name, "rope") == 0) {
            struct op_rope_attr attr;
            memcpy(&attr, node->attr, sizeof attr);
            assert_int_equal(attr.heads, n_ropes % 2 == 0 ? 4 : 2);
            assert_int_equal(attr.head_dim, 16);
            assert_int_equal(attr.dims, 16);
            assert_int_equal(attr.half_split, 0);
            assert_true(attr.base == 50000 && attr.scale == 0.25f);
            assert_string_equal(plan.tensors[node->src[2]].name, "rope_freqs.weight");
            n_ropes++;
        } else if (strcmp(node->op->name, "attention") == 0) {
            struct op_attention_attr attr;
            memcpy(&attr, node->attr, sizeof attr);
            assert_int_equal(attr.heads, 4);
            assert_int_equal(attr.kv_heads, 2);
            assert_int_equal(attr.slots, 64);
            assert_true(attr.scale == 0.25f);
            assert_int_equal(plan.tensors[node->src[1]].elem, PLAN_F16);
            assert_int_equal(plan.tensors[node->src[2]].elem, PLAN_F32);
            assert_int_equal(plan.tensors[node->src[1]].layer, node->layer);
            assert_false(plan.tensors[node->src[1]].is_value);
            assert_true(plan.tensors[node->src[2]].is_value);
        }
    }
    assert_int_equal(n_ropes, 4);
    plan_finish(&plan);
    arch_model_finish(&model);
    gguf_close(file);
    mem_free(data);
}

/* All passes, every number of devices; the residuals are fused into matmuls. */
static void test_passes(void **state)
{
    (void)state;
    struct arch_model model;
    make_model(&model, "layers=5,dim=64,heads=4,kv_heads=2,ffn=96,vocab=50");
    const uint32_t shapes[][2] = {{1, 1}, {9, 1}, {9, 9}, {9, 0}};
    for (uint32_t s = 0; s < 4; s++) {
        for (uint32_t devices = 1; devices <= 4; devices++) {
            struct arch_build_params params = make_params(shapes[s][0], shapes[s][1]);
            uint64_t bytes[7] = {1, 1, 1, 1, 1, 1, 1};
            struct plan_place_params place = {.n_devices = devices,
                                              .split = PLAN_SPLIT_LAYER,
                                              .n_layers = 5,
                                              .free_bytes = {9, 9, 9, 9},
                                              .layer_bytes = bytes};
            struct plan_map map;
            struct plan plan;
            build(&model, &plan, &params);
            assert_true(plan_map_init(&map, &place, &test_log));
            assert_true(plan_place(&plan, &map));
            /* residuals, and the KV append of layers that have a q */
            uint32_t fused = shapes[s][1] != 0 ? 10 + 5 : 8 + 4;
            assert_int_equal(ops_fuse(&plan, NULL, OPS_FUSE_PLACED), fused);
            assert_true(plan_check(&plan));
            assert_true(plan_memory(&plan));
            assert_true(plan_memory_check(&plan));
            uint32_t borders = 0;
            for (size_t n = 0; n < plan.n_nodes; n++) {
                borders += plan.nodes[n].kind == PLAN_BORDER;
            }
            assert_int_equal(borders, devices - 1);
            plan_finish(&plan);
            plan_map_finish(&map);
        }
    }
    arch_model_finish(&model);
}

static void test_bad_params(void **state)
{
    (void)state;
    struct arch_model model;
    struct plan plan;
    make_model(&model, SPEC);
    const struct {
        uint32_t n_tokens, n_out, plan_tokens, plan_out, plan_layers;
    } cases[] = {
        {0, 0, 0, 0, 3}, {1, 2, 1, 2, 3}, {2, 1, 1, 1, 3}, {2, 1, 2, 2, 3}, {1, 1, 1, 1, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arch_build_params params = make_params(cases[i].n_tokens, cases[i].n_out);
        plan_init(&plan, &test_log, cases[i].plan_tokens, cases[i].plan_out, cases[i].plan_layers);
        assert_false(arch_build(&model, &plan, &params));
        assert_true(plan.failed);
        plan_finish(&plan);
    }
    struct arch_build_params params = make_params(1, 1);
    params.n_slots = 33; /* not a multiple of STEP_BLOCK: an op refuses it */
    plan_init(&plan, &test_log, 1, 1, 3);
    assert_false(arch_build(&model, &plan, &params));
    plan_finish(&plan);
    arch_model_finish(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),     cmocka_unit_test(test_prefill),
        cmocka_unit_test(test_no_head),    cmocka_unit_test(test_weights),
        cmocka_unit_test(test_attributes), cmocka_unit_test(test_passes),
        cmocka_unit_test(test_bad_params),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
