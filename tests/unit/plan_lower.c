/* Lowering: which nodes get staged activations, on which device, in which order. The kernels are
 * made up, so that it does not matter what this build's shader compiler knows. */
/* with: ops */
#include "plan_fake.h"

#include "ops/lower.h"
#include "ops/matmul_tile.h"
#include "ops/ops.h"

enum { TOKENS = 20, LAYERS = 3 };

static const struct dev_shader a_shader = {.name = "toy"};
static const struct ops_variant kernels[MATMUL_KERNELS] = {
    [MATMUL_LANES] = {.name = "lanes", .needs = DEV_CAP_CPU | DEV_CAP_TEXEL, .shader = &a_shader},
    [MATMUL_COOPMAT] = {.name = "coopmat",
                        .needs = DEV_CAP_COOPMAT,
                        .min_tokens = 17,
                        .x = PLAN_F16,
                        .shader = &a_shader},
    [MATMUL_COOPMAT2] = {.name = "coopmat2", .needs = DEV_CAP_COOPMAT2, .x = PLAN_F16},
    [MATMUL_SUBGROUP] = {.name = "subgroup", .max_tokens = 16, .shader = &a_shader},
    [MATMUL_GEMV] = {.name = "plain_gemv", .max_tokens = 4, .shader = &a_shader},
    [MATMUL_GEMM] = {.name = "plain_gemm", .shader = &a_shader},
};
static const struct op TOY_MATMUL = {
    .name = "matmul", .variants = kernels, .n_variants = MATMUL_KERNELS};

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

static struct dev_caps matrix_caps(void)
{
    return (struct dev_caps){.has = DEV_CAP_SUBGROUP | DEV_CAP_FP16 | DEV_CAP_COOPMAT,
                             .subgroup_size = 32,
                             .max_workgroup_invocations = 1024,
                             .max_workgroup_size = {1024, 1024, 64},
                             .max_shared_bytes = 49152,
                             .max_texel_elements = 1 << 24,
                             .coopmat_m = 16,
                             .coopmat_n = 16,
                             .coopmat_k = 16};
}

static void make_plan(struct plan *plan, uint32_t n_tokens, uint32_t n_devices)
{
    static const uint32_t layers[][4] = {{3}, {1, 2}, {1, 1, 1}};
    struct plan_map map;
    fake_llama(plan, &test_log, n_tokens, LAYERS);
    for (size_t n = 0; n < plan->n_nodes; n++) {
        plan->nodes[n].op = plan->nodes[n].op == &FAKE_MATMUL ? &TOY_MATMUL : plan->nodes[n].op;
    }
    fake_map(&map, n_devices, layers[n_devices - 1]);
    assert_true(plan_place(plan, &map));
    plan_map_finish(&map);
    ops_fuse(plan, OP_FUSE_ALL);
}

static bool is_stage(const struct plan_node *node)
{
    return node->kind == PLAN_OP && strcmp(node->op->name, "stage") == 0;
}

/* Matmuls that read staged activations by device; each reads what a stage node of its device makes
 * of one activation, and right behind that node comes the first of its readers. */
static void count(const struct plan *plan, uint32_t *stages, uint32_t *readers)
{
    memset(stages, 0, PLAN_MAX_DEVICES * sizeof *stages);
    memset(readers, 0, PLAN_MAX_DEVICES * sizeof *readers);
    for (size_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        if (is_stage(node)) {
            const struct plan_node *next = &plan->nodes[n + 1];
            assert_true(n + 1 < plan->n_nodes && next->op == &TOY_MATMUL);
            assert_int_equal(next->src[1], node->dst[0]);
            assert_int_equal(next->src[3], node->dst[1]);
            assert_int_equal(next->device, node->device);
            assert_int_equal(next->layer, node->layer);
            assert_int_equal(plan_get_tensor(plan, node->src[0])->elem, PLAN_F32);
            stages[node->device]++;
        } else if (node->op == &TOY_MATMUL && ops_node_x(plan, node) == PLAN_F16) {
            const struct plan_tensor *x = plan_get_tensor(plan, node->src[1]);
            const struct plan_tensor *scale = plan_get_tensor(plan, node->src[3]);
            assert_int_equal(node->n_src, 4);
            assert_int_equal(x->rows, TOKENS);
            assert_int_equal(scale->rows, TOKENS);
            assert_int_equal(scale->cols, 1);
            readers[node->device]++;
        }
    }
}

static void finish(struct plan *plan)
{
    assert_true(plan_check(plan));
    assert_true(plan_memory(plan));
    assert_true(plan_memory_check(plan));
    plan_finish(plan);
}

/* One stage for q, k and v, for o, for gate and up, for down; one for the head. */
static void test_devices(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    const struct ops_target targets[3] = {{&caps, NULL}, {&caps, NULL}, {&caps, NULL}};
    for (uint32_t d = 1; d <= 3; d++) {
        struct plan plan;
        uint32_t stages[PLAN_MAX_DEVICES], readers[PLAN_MAX_DEVICES], sum[2] = {0};
        make_plan(&plan, TOKENS, d);
        assert_true(ops_lower(&plan, targets));
        count(&plan, stages, readers);
        for (uint32_t i = 0; i < d; i++) {
            assert_true(stages[i] != 0);
            sum[0] += stages[i];
            sum[1] += readers[i];
        }
        assert_int_equal(sum[0], 4 * LAYERS + 1);
        assert_int_equal(sum[1], 7 * LAYERS + 1);
        size_t n_nodes = plan.n_nodes;
        assert_true(ops_lower(&plan, targets)); /* nothing is left to do */
        assert_int_equal(plan.n_nodes, n_nodes);
        finish(&plan);
    }
}

/* A fused residual stays where it was, and may still be overwritten in place. */
static void test_residual(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    const struct ops_target target = {&caps, NULL};
    struct plan plan;
    uint32_t residuals = 0;
    make_plan(&plan, TOKENS, 1);
    assert_true(ops_lower(&plan, &target));
    for (size_t n = 0; n < plan.n_nodes; n++) {
        const struct plan_node *node = &plan.nodes[n];
        if (!node->dead && node->op == &TOY_MATMUL && node->src[2] != PLAN_NONE) {
            residuals++;
            assert_int_equal(node->in_place, 2);
            assert_int_equal(plan_get_tensor(&plan, node->src[2])->elem, PLAN_F32);
        }
    }
    assert_int_equal(residuals, 2 * LAYERS);
    finish(&plan);
}

/* Only the device that has matrix units stages; the other's activations stay f32. */
static void test_mixed(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    struct dev_caps without = caps;
    without.has &= ~(uint32_t)DEV_CAP_COOPMAT;
    const struct ops_target targets[2] = {{&without, NULL}, {&caps, NULL}};
    struct plan plan;
    uint32_t stages[PLAN_MAX_DEVICES], readers[PLAN_MAX_DEVICES];
    make_plan(&plan, TOKENS, 2);
    assert_true(ops_lower(&plan, targets));
    count(&plan, stages, readers);
    assert_int_equal(stages[0] + readers[0], 0);
    assert_int_equal(stages[1], 4 * 2 + 1);
    finish(&plan);
}

struct variation {
    const char *name;
    uint32_t tokens, more, less; /* capabilities */
    uint32_t max_shared, coopmat_k;
    const char *off;
};

static void test_f32(void **state)
{
    (void)state;
    static const struct variation variations[] = {
        {.name = "few tokens", .tokens = 16},
        {.name = "no matrix units", .tokens = TOKENS, .less = DEV_CAP_COOPMAT},
        {.name = "lanes of a CPU",
         .tokens = TOKENS,
         .more = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL},
        {.name = "switched off", .tokens = TOKENS, .off = "matmul/coopmat"},
        {.name = "switched off in all ops", .tokens = TOKENS, .off = "coopmat"},
        {.name = "no tile fits", .tokens = TOKENS, .max_shared = 2048},
        {.name = "odd matrices", .tokens = TOKENS, .coopmat_k = 2},
    };
    for (size_t i = 0; i < sizeof variations / sizeof *variations; i++) {
        const struct variation *v = &variations[i];
        struct dev_caps caps = matrix_caps();
        struct ops_prefs prefs = {0};
        struct plan plan;
        uint32_t stages[PLAN_MAX_DEVICES], readers[PLAN_MAX_DEVICES], off = 0;
        char error[128];
        caps.has = (caps.has | v->more) & ~v->less;
        caps.subgroup_size = (v->more & DEV_CAP_CPU) != 0 ? 8 : 32;
        caps.max_shared_bytes = v->max_shared != 0 ? v->max_shared : caps.max_shared_bytes;
        caps.coopmat_k = v->coopmat_k != 0 ? v->coopmat_k : caps.coopmat_k;
        assert_true(ops_disable_parse(v->off, &off, &prefs, error, sizeof error));
        const struct ops_target target = {&caps, &prefs};
        make_plan(&plan, v->tokens, 1);
        assert_true(ops_lower(&plan, &target));
        count(&plan, stages, readers);
        if (stages[0] + readers[0] != 0) {
            fail_msg("%s: %u nodes stage", v->name, stages[0]);
        }
        finish(&plan);
        ops_prefs_finish(&prefs);
    }
}

/* A failed self-test is as good as being asked for. */
static void test_failed(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    struct ops_prefs prefs = {0};
    struct plan plan;
    uint32_t stages[PLAN_MAX_DEVICES], readers[PLAN_MAX_DEVICES];
    assert_true(ops_prefs_add_failed(&prefs, "matmul", "coopmat", "y[0][0] is beyond its bound"));
    const struct ops_target target = {&caps, &prefs};
    make_plan(&plan, TOKENS, 1);
    assert_true(ops_lower(&plan, &target));
    count(&plan, stages, readers);
    assert_int_equal(stages[0] + readers[0], 0);
    finish(&plan);
    ops_prefs_finish(&prefs);
}

/* Columns that are no multiple of 32 stay f32, also beside others. */
static void test_columns(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    const struct ops_target target = {&caps, NULL};
    struct plan plan;
    plan_init(&plan, &test_log, TOKENS, TOKENS, 1);
    plan.layer = 0;
    uint32_t w[2], x[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t cols = 64 - 4 * i;
        w[i] = fake_weight(&plan, i, "w", 32, cols);
        uint32_t from = FAKE_NODE(&plan, &FAKE_EMBED, "in", cols, PLAN_NONE, w[i]);
        x[i] = FAKE_NODE(&plan, &TOY_MATMUL, "y", 32, PLAN_NONE, w[i], from);
    }
    for (size_t n = 0; n < plan.n_nodes; n++) {
        plan.nodes[n].device = 0;
        plan.tensors[plan.nodes[n].dst[0]].device = 0;
    }
    assert_true(ops_lower(&plan, &target));
    assert_int_equal(plan.n_nodes, 5);
    assert_true(is_stage(&plan.nodes[1]));
    assert_int_equal(plan.nodes[2].dst[0], x[0]);
    assert_int_equal(plan.nodes[4].dst[0], x[1]);
    assert_int_equal(plan.nodes[4].n_src, 2);
    finish(&plan);
}

/* The f32 activation stays for whoever else reads it. */
static void test_other_reader(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    const struct ops_target target = {&caps, NULL};
    struct plan plan;
    make_plan(&plan, TOKENS, 1);
    ops_lower(&plan, &target);
    for (size_t n = 0; n < plan.n_nodes; n++) {
        const struct plan_node *node = &plan.nodes[n];
        for (uint32_t i = 0; i < node->n_src && node->op != &TOY_MATMUL; i++) {
            const struct plan_tensor *src = plan_get_tensor(&plan, node->src[i]);
            assert_true(node->dead || src->role != PLAN_ACT || src->elem == PLAN_F32);
        }
    }
    finish(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices),      cmocka_unit_test(test_residual),
        cmocka_unit_test(test_mixed),        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_failed),       cmocka_unit_test(test_columns),
        cmocka_unit_test(test_other_reader),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
