/* Lowering: which nodes get staged activations, on which device, in which order. The kernels are
 * made up, so that it does not matter what this build's shader compiler knows. */
/* with: ops */
#include "plan_matrix.h"

#include "ops/fuse.h"
#include "ops/lower.h"
#include "ops/ops.h"

enum { TOKENS = 20, LAYERS = 3 };

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

static void make_plan(struct plan *plan, uint32_t n_tokens, uint32_t n_devices)
{
    static const uint32_t layers[][4] = {{3}, {1, 2}, {1, 1, 1}};
    matrix_plan(plan, &test_log, n_tokens, n_devices, layers[n_devices - 1]);
    ops_fuse(plan, NULL, OPS_FUSE_PLACED);
}

static bool is_stage(const struct plan_node *node)
{
    return node->kind == PLAN_OP && strncmp(node->op->name, "stage", 5) == 0;
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
        } else if (node->op == &TOY_MATMUL && ops_node_x(plan, node) != PLAN_F32) {
            const struct plan_tensor *x = plan_get_tensor(plan, node->src[1]);
            const struct plan_tensor *scale = plan_get_tensor(plan, node->src[3]);
            assert_int_equal(node->n_src, 4);
            assert_int_equal(x->rows, TOKENS);
            assert_int_equal(scale->rows, TOKENS);
            assert_int_equal(scale->cols, x->elem == PLAN_S8 ? x->cols / OP_Q8_BLOCK : 1);
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

static uint32_t count_elem(const struct plan *plan, enum plan_elem elem)
{
    uint32_t n = 0;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        n += plan->nodes[i].op == &TOY_MATMUL && ops_node_x(plan, &plan->nodes[i]) == elem;
    }
    return n;
}

/* Quantized activations for those who ask for them, on the devices that can: the others' products,
 * and those of few tokens, stay what they were. */
static void test_q8(void **state)
{
    (void)state;
    static const struct {
        const char *name, *off;
        bool asked;
        uint32_t tokens, less, local; /* capabilities that are missing; 0: a usual workgroup */
        enum plan_elem x;
    } rows[] = {
        {.name = "asked for", .asked = true, .tokens = 17, .x = PLAN_S8},
        {.name = "nobody asked", .tokens = 17, .x = PLAN_F16},
        {.name = "few tokens", .asked = true, .tokens = 16, .x = PLAN_F32},
        {.name = "no integer dot",
         .asked = true,
         .tokens = 17,
         .less = DEV_CAP_INT_DOT,
         .x = PLAN_F16},
        {.name = "neither",
         .asked = true,
         .tokens = 17,
         .less = DEV_CAP_INT_DOT | DEV_CAP_COOPMAT,
         .x = PLAN_F32},
        {.name = "switched off",
         .asked = true,
         .off = "matmul/int_dot",
         .tokens = 17,
         .x = PLAN_F16},
        {.name = "capability switched off", .asked = true, .off = "int_dot", .tokens = 17},
        {.name = "small groups", .asked = true, .tokens = 17, .local = 128, .x = PLAN_F16},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dev_caps caps = matrix_caps();
        struct ops_prefs prefs = {.act_q8 = rows[i].asked};
        struct plan plan;
        uint32_t off = 0;
        char error[128];
        assert_true(ops_disable_parse(rows[i].off, &off, &prefs, error, sizeof error));
        caps.has &= ~(rows[i].less | off);
        caps.max_workgroup_invocations = rows[i].local != 0 ? rows[i].local : 1024;
        const struct ops_target target = {&caps, &prefs};
        make_plan(&plan, rows[i].tokens, 1);
        assert_true(ops_lower(&plan, &target));
        enum plan_elem x = off != 0 ? PLAN_F16 : rows[i].x;
        if (count_elem(&plan, x) != 7 * LAYERS + 1) {
            fail_msg("%s: %u of %u products read %s", rows[i].name, count_elem(&plan, x),
                     7 * LAYERS + 1, plan_elem_name(x));
        }
        finish(&plan);
        ops_prefs_finish(&prefs);
    }
}

/* As test_devices, in both forms: each device stages for itself. */
static void test_q8_devices(void **state)
{
    (void)state;
    const struct dev_caps caps = matrix_caps();
    struct dev_caps without = caps;
    without.has &= ~(uint32_t)DEV_CAP_INT_DOT;
    const struct ops_prefs prefs = {.act_q8 = true};
    const struct ops_target targets[2] = {{&caps, &prefs}, {&without, &prefs}};
    struct plan plan;
    uint32_t stages[PLAN_MAX_DEVICES], readers[PLAN_MAX_DEVICES];
    make_plan(&plan, TOKENS, 2);
    assert_true(ops_lower(&plan, targets));
    count(&plan, stages, readers);
    assert_int_equal(stages[0] + stages[1], 4 * LAYERS + 1);
    assert_int_equal(readers[0], count_elem(&plan, PLAN_S8));
    assert_int_equal(readers[1], count_elem(&plan, PLAN_F16));
    assert_true(readers[0] != 0 && readers[1] != 0);
    finish(&plan);
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
        cmocka_unit_test(test_other_reader), cmocka_unit_test(test_q8),
        cmocka_unit_test(test_q8_devices),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
