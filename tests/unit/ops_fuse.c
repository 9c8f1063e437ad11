/* Fusions: plans before and after as text, what is left alone, and that each can be switched off on
 * each device. The residual has more in plan_fuse.c. */
#include "arch_nodes.h"
#include "plan_matrix.h"

#include "ops/fuse.h"
#include "ops/lower.h"
#include "ops/rope.h"

enum { TOKENS = 20 };

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

static void finish(struct plan *plan)
{
    assert_true(plan_check(plan));
    assert_true(plan_memory(plan));
    assert_true(plan_memory_check(plan));
    plan_finish(plan);
}

/* All passes for devices of one kind without `off`; returns how many nodes were saved. */
static uint32_t run_passes(struct plan *plan, const char *off)
{
    const struct dev_caps caps = matrix_caps();
    struct ops_prefs prefs = {0};
    struct ops_target targets[PLAN_MAX_DEVICES];
    uint32_t caps_off = 0;
    char error[128];
    assert_true(ops_disable_parse(off, &caps_off, &prefs, error, sizeof error));
    for (uint32_t d = 0; d < PLAN_MAX_DEVICES; d++) {
        targets[d] = (struct ops_target){&caps, &prefs};
    }
    uint32_t fused = ops_fuse(plan, targets, OPS_FUSE_PLACED);
    assert_true(ops_lower(plan, targets));
    fused += ops_fuse(plan, targets, OPS_FUSE_LOWERED);
    ops_prefs_finish(&prefs);
    return fused;
}

#define QKV "matmul matmul matmul "
static const struct {
    const char *off, *nodes;
    uint32_t fused, head; /* of a layer, of the head */
} ROWS[] = {
    {"fuse",
     "rmsnorm stage " QKV "rope rope kv_append attention stage matmul add "
     "rmsnorm stage matmul matmul swiglu stage matmul add",
     0, 0},
    {NULL,
     "norm_stage " QKV "rope_append attention stage matmul norm_stage matmul matmul gate_stage "
     "matmul",
     6, 1},
    {"fuse/residual",
     "norm_stage " QKV "rope_append attention stage matmul add norm_stage matmul matmul gate_stage "
     "matmul add",
     4, 1},
    {"fuse/rope_append",
     "norm_stage " QKV "rope rope kv_append attention stage matmul norm_stage matmul matmul "
     "gate_stage matmul",
     5, 1},
    {"fuse/norm_stage",
     "rmsnorm stage " QKV "rope_append attention stage matmul rmsnorm stage matmul matmul "
     "gate_stage matmul",
     4, 0},
    {"fuse/gate_stage",
     "norm_stage " QKV "rope_append attention stage matmul norm_stage matmul matmul swiglu stage "
     "matmul",
     5, 1},
    {"norm_stage/subgroup,norm_stage/plain,gate_stage/subgroup,gate_stage/plain,"
     "rope_append/plain", /* no kernel is left */
     "rmsnorm stage " QKV "rope rope kv_append attention stage matmul rmsnorm stage matmul matmul "
     "swiglu stage matmul",
     2, 0},
    {"coopmat", /* nothing is staged */
     "rmsnorm " QKV "rope_append attention matmul rmsnorm matmul matmul swiglu matmul", 3, 0},
};

static void test_switches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct plan plan;
        matrix_plan(&plan, &test_log, TOKENS, 1, (const uint32_t[]){2});
        assert_int_equal(run_passes(&plan, ROWS[i].off), 2 * ROWS[i].fused + ROWS[i].head);
        expect_ops(&plan, 0, ROWS[i].nodes);
        expect_ops(&plan, 1, ROWS[i].nodes);
        finish(&plan);
    }
}

/* Operands of what the fusions make. */
static void test_operands(void **state)
{
    (void)state;
    struct plan plan;
    struct str text = {0};
    matrix_plan(&plan, &test_log, TOKENS, 1, (const uint32_t[]){1});
    run_passes(&plan, NULL);
    plan_dump(&plan, &text);
    static const char *const lines[] = {
        "norm_stage: x f32[20,32], norm1.0 F32[1,32] -> blk.0.h1:f16 f16[20,32], blk.0.h1:scale "
        "f32[20,1]\n",
        "rope_append: blk.0.q f32[20,32], blk.0.k f32[20,16], blk.0.v f32[20,16], step "
        "u32[1,138], - -> blk.0.q_rope f32[20,32], cache_k.0 f16[2,512], cache_v.0 f16[2,512]\n",
        "gate_stage: blk.0.gate f32[20,64], blk.0.up f32[20,64] -> blk.0.act:f16 f16[20,64], "
        "blk.0.act:scale f32[20,1]\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (strstr(str_get(&text), lines[i]) == NULL) {
            fail_msg("no line '%s' in\n%s", lines[i], str_get(&text));
        }
    }
    str_finish(&text);
    finish(&plan);
}

/* Each device by itself: only the second one fuses. Nothing is joined across the border. */
static void test_devices(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    struct dev_caps few = caps;
    struct ops_prefs prefs = {0};
    char error[128];
    uint32_t off = 0;
    assert_true(ops_disable_parse("fuse", &off, &prefs, error, sizeof error));
    const struct ops_target targets[] = {{&caps, &prefs}, {&caps, NULL}, {&few, NULL}};
    few.max_storage_buffers = 4; /* rope_append binds more */
    struct plan plan;
    matrix_plan(&plan, &test_log, TOKENS, 3, (const uint32_t[]){1, 1, 1});
    ops_fuse(&plan, targets, OPS_FUSE_PLACED);
    assert_true(ops_lower(&plan, targets));
    ops_fuse(&plan, targets, OPS_FUSE_LOWERED);
    char have[512];
    expect_ops(&plan, 0, ROWS[0].nodes);
    list_ops(&plan, 1, have, sizeof have);
    assert_string_equal(have + strlen("border "), ROWS[1].nodes);
    list_ops(&plan, 2, have, sizeof have);
    assert_string_equal(have + strlen("border "), ROWS[3].nodes);
    finish(&plan);
    ops_prefs_finish(&prefs);
}

/* One token: products are those for few tokens, which make the norm and the gate. */
static void test_few(void **state)
{
    (void)state;
    static const struct {
        const char *off, *nodes;
        uint32_t tokens;
    } rows[] = {
        {"fuse",
         "rmsnorm " QKV "rope rope kv_append attention matmul add rmsnorm matmul matmul "
         "swiglu matmul add",
         1},
        {NULL, QKV "rope_append attention matmul matmul_gate matmul", 1},
        {NULL, QKV "rope_append attention matmul matmul_gate matmul", 4},
        {"fuse/norm_matmul",
         "rmsnorm " QKV "rope_append attention matmul rmsnorm matmul_gate matmul", 1},
        {"fuse/matmul_gate", QKV "rope_append attention matmul matmul matmul swiglu matmul", 1},
        {"matmul_gate/shared,matmul_gate/int_dot_few",
         QKV "rope_append attention matmul matmul matmul swiglu matmul", 1},
        {NULL,
         "norm_stage " QKV "rope_append attention stage matmul norm_stage matmul matmul "
         "gate_stage matmul",
         17},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct plan plan;
        matrix_plan(&plan, &test_log, rows[i].tokens, 1, (const uint32_t[]){1});
        run_passes(&plan, rows[i].off);
        expect_ops(&plan, 0, rows[i].nodes);
        finish(&plan);
    }
}

/* ---- rope_append ---- */

enum rope_variation {
    ROPE_PLAIN,
    ROPE_NO_Q,
    ROPE_K_READ, /* k is read by somebody else */
    ROPE_Q_READ, /* q is read before the append */
    ROPE_OTHER_BASE,
    ROPE_OTHER_FACTORS,
    ROPE_OTHER_HEAD,
    ROPE_OTHER_LAYER,
    ROPE_NOT_TURNED,
    ROPE_NORMED, /* as with qk-norm: nothing changes */
};

static uint32_t add_rope(struct plan *plan, const char *name, uint32_t x, uint32_t step,
                         uint32_t factors, const struct op_rope_attr *attr)
{
    uint32_t cols = (uint32_t)plan_get_tensor(plan, x)->cols;
    uint32_t y = FAKE_NODE(plan, &FAKE_ROPE, name, cols, 0, x, step, factors);
    memcpy(plan->nodes[plan->n_nodes - 1].attr, attr, sizeof *attr);
    return y;
}

static uint32_t fuses_rope(enum rope_variation variation)
{
    struct plan plan;
    plan_init(&plan, &test_log, 2, 2, 2);
    plan.layer = 0;
    uint32_t step = plan_get_step(&plan, 40), w = fake_weight(&plan, 0, "w", 1, 32);
    uint32_t f = fake_weight(&plan, 1, "factors", 1, 4);
    uint32_t q = FAKE_NODE(&plan, &FAKE_NORM, "q", 32, PLAN_NONE, w);
    uint32_t k = FAKE_NODE(&plan, &FAKE_NORM, "k", 16, PLAN_NONE, w);
    uint32_t v = FAKE_NODE(&plan, &FAKE_NORM, "v", 16, PLAN_NONE, w);
    struct op_rope_attr attr = {.heads = 4, .head_dim = 8, .dims = 8, .base = 1e4f};
    if (variation == ROPE_NORMED) {
        q = FAKE_NODE(&plan, &FAKE_NORM, "qn", 32, PLAN_NONE, q, w);
        k = FAKE_NODE(&plan, &FAKE_NORM, "kn", 16, PLAN_NONE, k, w);
    }
    if (variation != ROPE_NO_Q) {
        q = add_rope(&plan, "qr", q, step, f, &attr);
    }
    plan.layer = variation == ROPE_OTHER_LAYER ? 1 : 0;
    attr.heads = 2;
    attr.base = variation == ROPE_OTHER_BASE ? 2e4f : attr.base;
    attr.head_dim = variation == ROPE_OTHER_HEAD ? 16 : attr.head_dim;
    if (variation != ROPE_NOT_TURNED) {
        k = add_rope(&plan, "kr", k, step, variation == ROPE_OTHER_FACTORS ? PLAN_NONE : f, &attr);
    }
    if (variation == ROPE_K_READ || variation == ROPE_Q_READ) {
        FAKE_NODE(&plan, &FAKE_NORM, "spy", 16, PLAN_NONE, variation == ROPE_K_READ ? k : q);
    }
    uint32_t caches[] = {fake_cache(&plan, false), fake_cache(&plan, true)};
    struct plan_node append = {.op = &FAKE_APPEND,
                               .n_src = 3,
                               .src = {k, v, step},
                               .n_dst = 2,
                               .dst = {caches[0], caches[1]},
                               .in_place = PLAN_NONE};
    memcpy(append.attr, &(struct op_kv_append_attr){2, 8, FAKE_SLOTS, 0},
           sizeof(struct op_kv_append_attr));
    plan_add_node(&plan, &append);
    FAKE_NODE(&plan, &FAKE_ATTEND, "o", 32, PLAN_NONE, q, caches[0], caches[1], step);
    struct plan_map map;
    fake_map(&map, 1, (const uint32_t[]){2});
    assert_true(plan_place(&plan, &map));
    plan_map_finish(&map);
    uint32_t fused = ops_fuse(&plan, NULL, OPS_FUSE_PLACED);
    finish(&plan);
    return fused;
}

static void test_rope(void **state)
{
    (void)state;
    assert_int_equal(fuses_rope(ROPE_PLAIN), 1);
    assert_int_equal(fuses_rope(ROPE_NORMED), 1);
    static const enum rope_variation left[] = {
        ROPE_NO_Q,       ROPE_K_READ,        ROPE_Q_READ,      ROPE_NOT_TURNED,
        ROPE_OTHER_BASE, ROPE_OTHER_FACTORS, ROPE_OTHER_LAYER, ROPE_OTHER_HEAD};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        if (fuses_rope(left[i]) != 0) {
            fail_msg("variation %d was fused", (int)left[i]);
        }
    }
}

/* A CPU device whose own kernel cannot turn these halves keeps three nodes; one that is not a CPU
 * has the other kernel. */
static void test_rope_pays(void **state)
{
    (void)state;
    struct op_rope_append_attr attr = {.rope = {.head_dim = 96, .dims = 96, .half_split = 1},
                                       .append = {.head_dim = 96}};
    struct plan_tensor tensors[] = {{.elem = PLAN_F32}, {.elem = PLAN_F16}, {.elem = PLAN_F16}};
    struct plan plan = {.tensors = tensors, .n_tensors = 3, .n_tokens = 1};
    struct plan_node node = {.op = ops_find("rope_append"), .n_dst = 3, .dst = {0, 1, 2}};
    const struct dev_caps cpu = {.has = DEV_CAP_CPU, .subgroup_size = 8},
                          gpu = {.subgroup_size = 32};
    memcpy(node.attr, &attr, sizeof attr);
    assert_true(ops_rope_append_pays(&plan, &node, &cpu));
    tensors[2].elem = PLAN_Q8_0; /* halves of 48, blocks of 32 */
    assert_false(ops_rope_append_pays(&plan, &node, &cpu));
    assert_true(ops_rope_append_pays(&plan, &node, &gpu));
    attr.rope.half_split = 0;
    memcpy(node.attr, &attr, sizeof attr);
    assert_true(ops_rope_append_pays(&plan, &node, &cpu));
}

/* ---- staged ---- */

enum stage_variation { STAGE_PLAIN, STAGE_READ, STAGE_OTHER_LAYER, STAGE_GROUPS, STAGE_GELU };

/* An activation made by a norm, or with `gated` by a gate, and its staged form. */
static uint32_t fuses_stage(bool gated, enum stage_variation variation)
{
    static const struct op geglu = {.name = "geglu"};
    struct plan plan;
    plan_init(&plan, &test_log, 2, 2, 2);
    plan.layer = 0;
    uint32_t w = fake_weight(&plan, 0, "w", 1, variation == STAGE_GROUPS ? 16 : 32);
    uint32_t a = FAKE_NODE(&plan, &FAKE_EMBED, "a", 32, PLAN_NONE, w);
    uint32_t b = FAKE_NODE(&plan, &FAKE_EMBED, "b", 32, PLAN_NONE, w);
    const struct op *op = variation == STAGE_GELU ? &geglu : gated ? &FAKE_SWIGLU : &FAKE_NORM;
    uint32_t x = FAKE_NODE(&plan, op, "x", 32, PLAN_NONE, a, gated ? b : w);
    plan.layer = variation == STAGE_OTHER_LAYER ? 1 : 0;
    struct op_staged staged = op_stage(&plan, x);
    if (variation == STAGE_READ) {
        FAKE_NODE(&plan, &FAKE_NORM, "spy", 32, PLAN_NONE, x);
    }
    FAKE_NODE(&plan, &FAKE_NORM, "y", 32, PLAN_NONE, staged.x, staged.scale);
    struct plan_map map;
    fake_map(&map, 1, (const uint32_t[]){2});
    assert_true(plan_place(&plan, &map));
    plan_map_finish(&map);
    uint32_t fused = ops_fuse(&plan, NULL, OPS_FUSE_LOWERED);
    for (size_t n = 0; n < plan.n_nodes; n++) {
        const struct plan_node *node = &plan.nodes[n];
        if (!node->dead && strcmp(node->op->name, "gate_stage") == 0) {
            struct op_gate_stage_attr attr;
            memcpy(&attr, node->attr, sizeof attr);
            assert_int_equal(attr.gelu, variation == STAGE_GELU);
        }
    }
    finish(&plan);
    return fused;
}

static void test_stage(void **state)
{
    (void)state;
    for (uint32_t gated = 0; gated < 2; gated++) {
        assert_int_equal(fuses_stage(gated != 0, STAGE_PLAIN), 1);
        assert_int_equal(fuses_stage(gated != 0, STAGE_READ), 0);
        assert_int_equal(fuses_stage(gated != 0, STAGE_OTHER_LAYER), 0);
    }
    assert_int_equal(fuses_stage(false, STAGE_GROUPS), 0);
    assert_int_equal(fuses_stage(true, STAGE_GELU), 1);
}

/* ---- attn_merge ---- */

/* Attention in two splits on a device with these capabilities and without `off`. */
static uint32_t fuses_merge(const struct dev_caps *caps, const char *off, bool spied)
{
    struct plan plan;
    struct ops_prefs prefs = {0};
    char error[128];
    uint32_t caps_off = 0;
    const struct op_attention_attr attr = {
        .heads = 4, .kv_heads = 2, .head_dim = 8, .slots = FAKE_SLOTS, .splits = 2, .scale = 1};
    assert_true(ops_disable_parse(off, &caps_off, &prefs, error, sizeof error));
    plan_init(&plan, &test_log, 1, 1, 1);
    plan.layer = 0;
    uint32_t step = plan_get_step(&plan, 40), w = fake_weight(&plan, 0, "w", 1, 32);
    uint32_t q = FAKE_NODE(&plan, &FAKE_NORM, "q", 32, PLAN_NONE, w);
    uint32_t k = fake_cache(&plan, false), v = fake_cache(&plan, true);
    struct plan_node append = {.op = &FAKE_APPEND,
                               .n_src = 2,
                               .src = {q, step},
                               .n_dst = 2,
                               .dst = {k, v},
                               .in_place = PLAN_NONE};
    plan_add_node(&plan, &append);
    uint32_t o = op_attention(&plan, q, k, v, step, &attr);
    uint32_t partial = plan.nodes[plan.n_nodes - 2].dst[0];
    FAKE_NODE(&plan, &FAKE_NORM, "next", 32, PLAN_NONE, o);
    if (spied) {
        FAKE_NODE(&plan, &FAKE_NORM, "spy", 16, PLAN_NONE, partial);
    }
    struct plan_map map;
    fake_map(&map, 1, (const uint32_t[]){1});
    assert_true(plan_place(&plan, &map));
    plan_map_finish(&map);
    const struct ops_target target = {caps, &prefs};
    uint32_t fused = ops_fuse(&plan, &target, OPS_FUSE_PLACED);
    const struct plan_node *node = &plan.nodes[2];
    assert_int_equal(node->n_dst, 1 + fused);
    assert_int_equal(node->dst[0], fused != 0 ? o : partial);
    assert_int_equal(node->dst[fused], partial);
    assert_int_equal(plan.nodes[3].dead, fused != 0);
    finish(&plan);
    ops_prefs_finish(&prefs);
    return fused;
}

static void test_merge(void **state)
{
    (void)state;
    struct dev_caps gpu = matrix_caps(), cpu;
    gpu.has |= DEV_CAP_SHUFFLE;
    cpu = gpu;
    cpu.has |= DEV_CAP_CPU | DEV_CAP_TEXEL;
    cpu.subgroup_size = 8;
    assert_int_equal(fuses_merge(&gpu, NULL, false), 1);
    assert_int_equal(fuses_merge(&gpu, NULL, true), 0);
    assert_int_equal(fuses_merge(&gpu, "fuse/attn_merge", false), 0);
    assert_int_equal(fuses_merge(&gpu, "attention/team", false), 0);
    assert_int_equal(fuses_merge(&cpu, NULL, false), 0);
    assert_int_equal(fuses_merge(&cpu, "attention/lanes", false), 1);
    gpu.max_storage_buffers = 6;
    assert_int_equal(fuses_merge(&gpu, NULL, false), 0);
}

static void test_table(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (; ops_fusion_get(n) != NULL; n++) {
        const struct ops_fusion *fusion = ops_fusion_get(n);
        uint32_t n_ops;
        const struct op *const *list = ops_list(&n_ops);
        for (uint32_t i = 0; i < n_ops; i++) { /* else `--disable NAME` would mean both */
            assert_null(ops_find_variant(list[i], fusion->name));
            assert_string_not_equal(list[i]->name, OPS_FUSE);
        }
        assert_true(strlen(fusion->name) < OPS_NAME && fusion->purpose[0] != '\0');
        for (uint32_t i = 0; i < n; i++) {
            assert_string_not_equal(fusion->name, ops_fusion_get(i)->name);
        }
    }
    assert_int_equal(n, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switches),  cmocka_unit_test(test_operands),
        cmocka_unit_test(test_devices),   cmocka_unit_test(test_rope),
        cmocka_unit_test(test_rope_pays), cmocka_unit_test(test_stage),
        cmocka_unit_test(test_merge),     cmocka_unit_test(test_few),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
