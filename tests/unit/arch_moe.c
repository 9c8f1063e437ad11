/* Mixture of experts: keys, stacked weights, the nodes of a block, sums, dummies; and what is wrong
 * with a file, each with one clear line. */
/* with: fixture */
#include "arch/arch.h"

#include "base/mem.h"
#include "gguf_make.h"
#include "ops/fuse.h"
#include "ops/ops.h"
#include "plan/op.h"
#include "shaders/common/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct log test_log;
static uint32_t n_errors;

static void on_line(void *user, enum log_level level, const char *line)
{
    (void)user;
    (void)line;
    n_errors += level == LOG_ERROR;
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

static struct gguf_make_params moe_params(void)
{
    struct gguf_make_params params = gguf_make_defaults();
    params.experts = 6;
    params.used = 2;
    params.ffn_expert = 96;
    return params;
}

/* A file in memory and what was read of it. */
struct opened {
    uint8_t *data;
    struct gguf_file *file;
    struct arch_model model;
    bool ok;
};

static void open_model(struct opened *o, const struct gguf_make_params *params)
{
    size_t bytes;
    o->data = gguf_make(params, &bytes);
    assert_non_null(o->data);
    o->file = gguf_open_memory("moe.gguf", o->data, bytes, &test_log);
    assert_non_null(o->file);
    n_errors = 0;
    o->ok = arch_model_read(&o->model, o->file, &test_log);
}

static void close_model(struct opened *o)
{
    arch_model_finish(&o->model);
    gguf_close(o->file);
    mem_free(o->data);
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
                          uint64_t cols, uint32_t experts, enum quant_id quant)
{
    const struct arch_weight *weight = find(model, name);
    assert_int_equal(weight->rows, rows);
    assert_int_equal(weight->cols, cols);
    assert_int_equal(weight->experts, experts);
    assert_int_equal(weight->quant, quant);
}

static void test_read(void **state)
{
    (void)state;
    struct opened o;
    struct gguf_make_params params = moe_params();
    open_model(&o, &params);
    assert_true(o.ok);
    assert_int_equal(o.model.hp.n_experts, 6);
    assert_int_equal(o.model.hp.n_experts_used, 2);
    assert_int_equal(o.model.hp.n_ff_expert, 96);
    assert_int_equal(o.model.hp.n_ff, 128);
    assert_true(o.model.hp.experts_normalise);
    expect_weight(&o.model, "blk.1.ffn_gate_inp.weight", 6, 64, 0, QUANT_F32);
    expect_weight(&o.model, "blk.1.ffn_gate_exps.weight", 6 * 96, 64, 6, QUANT_F16);
    expect_weight(&o.model, "blk.0.ffn_up_exps.weight", 6 * 96, 64, 6, QUANT_F16);
    expect_weight(&o.model, "blk.0.ffn_down_exps.weight", 6 * 64, 96, 6, QUANT_F16);
    double matrices = 2.0 * (2 * 64 * 64 + 2 * 32 * 64 + 6 * 64 + 2 * 3 * 96 * 64) + 384 * 64;
    assert_true(arch_flop(&o.model, 0) == 2 * matrices);
    close_model(&o);
    params.ffn_expert = 0; /* as in Mixtral */
    open_model(&o, &params);
    assert_true(o.ok);
    assert_int_equal(o.model.hp.n_ff_expert, 128);
    close_model(&o);
}

static void list_ops(const struct plan *plan, int32_t layer, char *out, size_t bytes)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < plan->n_nodes; i++) {
        if (plan->nodes[i].layer == layer && !plan->nodes[i].dead) {
            n += (size_t)snprintf(out + n, bytes - n, "%s%s", n != 0 ? " " : "",
                                  plan->nodes[i].op->name);
            assert_true(n < bytes);
        }
    }
}

/* The lists are made once for the three matmuls of a layer, and not for a single token. */
static void test_nodes(void **state)
{
    (void)state;
    struct arch_model model;
    assert_true(
        arch_model_dummy(&model, "layers=3,dim=64,heads=4,ffn=96,experts=5,used=3", &test_log));
    for (uint32_t tokens = 1; tokens <= 4; tokens += 3) {
        struct plan plan;
        char have[512];
        const struct arch_build_params params = {.n_tokens = tokens,
                                                 .n_out = 1,
                                                 .n_slots = 64,
                                                 .step_words =
                                                     STEP_HEADER + STEP_ARRAYS * tokens + 2,
                                                 .attn_splits = 1};
        plan_init(&plan, &test_log, tokens, 1, 3);
        assert_true(arch_build(&model, &plan, &params) && plan_check(&plan));
        list_ops(&plan, 1, have, sizeof have);
        assert_string_equal(strstr(have, "rmsnorm matmul router"),
                            tokens == 1
                                ? "rmsnorm matmul router matmul_experts matmul_experts swiglu "
                                  "matmul_experts experts_sum add"
                                : "rmsnorm matmul router expert_lists matmul_experts "
                                  "matmul_experts swiglu matmul_experts experts_sum add");
        uint32_t device[] = {0, 0, 1, 1, 1};
        assert_true(plan_place(&plan, &(struct plan_map){2, 3, device}));
        /* attention's residuals and KV appends */
        assert_int_equal(ops_fuse(&plan, NULL, OPS_FUSE_PLACED), 6);
        assert_true(plan_memory(&plan) && plan_memory_check(&plan));
        for (size_t n = 0; n < plan.n_nodes; n++) {
            struct op_cost cost = {0, 0};
            if (plan.nodes[n].kind == PLAN_OP &&
                strcmp(plan.nodes[n].op->name, "matmul_experts") == 0) {
                plan.nodes[n].op->cost(&plan, &plan.nodes[n], &cost);
                assert_true(cost.flop == 2.0 * 96 * 64 * tokens * 3);
                double read = (tokens == 1 ? 3.0 : 5.0) * 96 * 64 * 2; /* f16, experts in use */
                assert_true(cost.bytes > read && cost.bytes < read + 1e4 * tokens);
            }
        }
        plan_finish(&plan);
    }
    arch_model_finish(&model);
}

static void test_dummies(void **state)
{
    (void)state;
    struct arch_model model;
    assert_true(arch_model_dummy(&model, "mixtral-8x7b:q4_k_m", &test_log));
    assert_string_equal(model.shape, "llama 8x7B");
    assert_int_equal(model.n_params, 46702792704);
    assert_int_equal(model.hp.n_kv_heads, 8);
    expect_weight(&model, "blk.0.ffn_gate_inp.weight", 8, 4096, 0, QUANT_F32);
    expect_weight(&model, "blk.0.ffn_gate_exps.weight", 8 * 14336, 4096, 8, QUANT_Q4_K);
    expect_weight(&model, "blk.0.ffn_down_exps.weight", 8 * 4096, 14336, 8, QUANT_Q6_K);
    double token =
        32.0 * (2 * 4096.0 * 4096 + 2 * 1024.0 * 4096 + 8 * 4096 + 2 * 3 * 14336.0 * 4096) +
        32000.0 * 4096;
    assert_true(arch_flop(&model, 0) == 2 * token);
    arch_model_finish(&model);
    const char *spec = "layers=1,dim=64,heads=4,ffn=96,experts=4";
    assert_true(arch_model_dummy(&model, spec, &test_log));
    assert_int_equal(model.hp.n_experts_used, 2);
    arch_model_finish(&model);
    const struct {
        const char *spec, *part;
    } cases[] = {
        {"layers=1,dim=64,heads=4,ffn=96,experts=1", "experts: is 1, must be 2 to 512"},
        {"layers=1,dim=64,heads=4,ffn=96,experts=513", "experts: is 513, must be 2 to 512"},
        {"layers=1,dim=64,heads=4,ffn=96,experts=4,used=5", "used: is 5, must be 1 to 4"},
        {"layers=1,dim=64,heads=4,ffn=96,used=2", "used: is 2, but there are no experts"},
        {"layers=1,dim=64,heads=4,ffn=96,experts=x", "experts: x is not a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[1024];
        assert_false(arch_model_dummy(&model, cases[i].spec, &test_log));
        log_get_last(&test_log, line, sizeof line);
        if (strstr(line, cases[i].part) == NULL) {
            fail_msg("%s: \"%s\" does not contain \"%s\"", cases[i].spec, line, cases[i].part);
        }
    }
}

/* ---- wrong files ---- */

static void expect_bad(const struct gguf_make_params *params, const char *part)
{
    struct opened o;
    char line[1024];
    open_model(&o, params);
    log_get_last(&test_log, line, sizeof line);
    if (o.ok || n_errors != 1 || strstr(line, part) == NULL) {
        fail_msg("%u lines, \"%s\" does not contain \"%s\"", n_errors, line, part);
    }
    close_model(&o);
}

static void test_bad_keys(void **state)
{
    (void)state;
    const struct {
        const char *key;
        uint32_t value;
        const char *part;
    } cases[] = {
        {"expert_count", 1, "llama.expert_count: is 1, must be 2 to 512"},
        {"expert_count", 513, "llama.expert_count: is 513, must be 2 to 512"},
        {"expert_count", UINT32_MAX, "llama.expert_count: is 4294967295, must be 2 to 512"},
        {"expert_count", 0, "llama.expert_used_count: is 2, but there are no experts"},
        {"expert_count", 5, "shape is [64, 6], must be [64, 5]"},
        {"expert_used_count", 0, "llama.expert_used_count: is 0, must be 1 to 6"},
        {"expert_used_count", 7, "llama.expert_used_count: is 7, must be 1 to 6"},
        {"expert_feed_forward_length", 0, "expert_feed_forward_length: is 0, must be 1 to"},
        {"expert_feed_forward_length", 64,
         "blk.0.ffn_gate_exps.weight: shape is [64, 96, 6], must be [64, 64, 6]"},
        {"expert_gating_func", 2, "llama.expert_gating_func: is 2: not supported"},
        {"expert_shared_count", 1, "llama.expert_shared_count: is 1: not supported"},
        {"leading_dense_block_count", 1, "leading_dense_block_count: is 1: not supported"},
        {"interleave_moe_layer_step", 2, "interleave_moe_layer_step: is 2: not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_make_params params = moe_params();
        char key[64];
        snprintf(key, sizeof key, "llama.%s", cases[i].key);
        const struct gguf_make_kv kvs[] = {
            {.key = key, .type = GGUF_U32, .value = &cases[i].value, .bytes = 4}, {0}};
        params.kvs = kvs;
        expect_bad(&params, cases[i].part);
    }
    struct gguf_make_params params = moe_params();
    float scale = 2.5f;
    uint8_t no = 0;
    const struct gguf_make_kv scaled[] = {
        {.key = "llama.expert_weights_scale", .type = GGUF_F32, .value = &scale, .bytes = 4}, {0}};
    params.kvs = scaled;
    expect_bad(&params, "llama.expert_weights_scale: is 2.5: not supported");
    const struct gguf_make_kv plain[] = {
        {.key = "llama.expert_weights_norm", .type = GGUF_BOOL, .value = &no, .bytes = 1}, {0}};
    struct opened o;
    params.kvs = plain;
    open_model(&o, &params);
    assert_true(o.ok);
    assert_false(o.model.hp.experts_normalise);
    close_model(&o);
}

#define DIMS(n, ...) .n_dims = n, .dims = {__VA_ARGS__}

static void test_bad_tensors(void **state)
{
    (void)state;
    const struct {
        struct gguf_make_tensor tensor;
        const char *part;
    } cases[] = {
        {{.name = "blk.0.ffn_gate_inp.weight", .omit = true},
         "tensor blk.0.ffn_gate_inp.weight: is missing"},
        {{.name = "blk.1.ffn_down_exps.weight", .omit = true},
         "tensor blk.1.ffn_down_exps.weight: is missing"},
        {{.name = "blk.0.ffn_gate_inp.weight", DIMS(2, 64, 7)},
         "blk.0.ffn_gate_inp.weight: shape is [64, 7], must be [64, 6]"},
        {{.name = "blk.0.ffn_up_exps.weight", DIMS(2, 64, 576)},
         "blk.0.ffn_up_exps.weight: shape is [64, 576], must be [64, 96, 6]"},
        {{.name = "blk.0.ffn_up_exps.weight", DIMS(3, 64, 6, 96)},
         "blk.0.ffn_up_exps.weight: shape is [64, 6, 96], must be [64, 96, 6]"},
        {{.name = "blk.0.ffn_down_exps.weight", DIMS(4, 96, 64, 3, 2)},
         "blk.0.ffn_down_exps.weight: shape is [96, 64, 3, 2], must be [96, 64, 6]"},
        {{.name = "blk.0.ffn_up_exps.weight", .type = 28},
         "blk.0.ffn_up_exps.weight: type F64 is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_make_params params = moe_params();
        const struct gguf_make_tensor tensors[] = {cases[i].tensor, {0}};
        params.tensors = tensors;
        expect_bad(&params, cases[i].part);
    }
}

/* One tensor per expert, as the first files of Mixtral had them. */
static void test_single_experts(void **state)
{
    (void)state;
    struct gguf_make_params params = moe_params();
    params.single_experts = true;
    expect_bad(&params, "moe.gguf: tensor blk.0.ffn_gate.0.weight: one tensor per expert is not "
                        "supported: convert the model again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_dummies),     cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_tensors), cmocka_unit_test(test_single_experts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
