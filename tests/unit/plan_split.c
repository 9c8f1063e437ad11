/* Which products are split along their columns, into how many parts, and what lowering makes of
 * them. The kernels of matmul are made up. */
/* with: ops */
#include "plan_matrix.h"

#include "ops/fuse.h"
#include "ops/lower.h"
#include "ops/matmul_split.h"
#include "ops/ops.h"

enum { LAYERS = 4, DIM = 4096 };

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

static struct dev_caps gpu_caps(void)
{
    struct dev_caps caps = matrix_caps();
    caps.max_binding_bytes = 1u << 30;
    return caps;
}

/* ---- the rule ---- */

/* Columns of a part of one product; its tile on such a device is 128 rows (64 where there are no
 * more), as many tokens up to 128, 64 columns. */
static uint32_t part_of(uint32_t tokens, uint32_t rows, uint32_t cols, int32_t layer,
                        const struct ops_target *target)
{
    struct plan plan;
    plan_init(&plan, &test_log, tokens, tokens, LAYERS);
    plan.layer = layer;
    uint32_t w = fake_weight(&plan, 0, "w", rows, cols);
    uint32_t x = plan_add_act(&plan, "x", tokens, cols);
    FAKE_NODE(&plan, &TOY_MATMUL, "y", rows, PLAN_NONE, w, x);
    const struct plan_node *node = &plan.nodes[0];
    const struct ops_variant *best = ops_matmul_best(&plan, node, target->caps, target->prefs);
    assert_non_null(best);
    uint32_t part = ops_matmul_part(&plan, node, best, target);
    assert_false(plan.failed);
    plan_finish(&plan);
    return part;
}

static void test_rule(void **state)
{
    (void)state;
    static const struct {
        uint32_t tokens, rows, cols, part;
    } rows[] = {
        {17, 4096, 4096, 512},  /* 32 work groups, 8 parts: as few columns as may be */
        {32, 4096, 4096, 512},  /* the same up to a power of two */
        {33, 4096, 4096, 512},  /* 32 work groups of 64 tokens */
        {128, 4096, 4096, 512}, /* 32 of 128 */
        {129, 4096, 4096, 512}, /* 64: 512 in all */
        {256, 4096, 4096, 512},        {257, 4096, 4096, 0}, /* too many tokens */
        {16, 4096, 4096, 0},                                 /* not on matrix units */
        {32, 4096, 11008, 704}, /* 172 tiles of columns by 16: 11 each, and 7 */
        {128, 4096, 11008, 704},       {256, 4096, 11008, 1408}, /* by 8: 22, and 18 */
        {32, 11008, 4096, 1024},  /* 86 by 4 are 344, nearer than 688 */
        {128, 20480, 4096, 1024}, /* 160 by 4 are 640, nearer than 320 */
        {256, 21760, 4096, 2048}, /* 340 by 2 are 680, just nearer */
        {256, 22016, 4096, 0},    /* 344 are nearer than 688 */
        {32, 4096, 1024, 512},    /* two parts at most */
        {32, 4096, 1023 / 64 * 64, 0}, {32, 64, 16384, 1024}, /* 16 parts at most */
    };
    const struct dev_caps caps = gpu_caps();
    const struct ops_target target = {&caps, NULL};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t part = part_of(rows[i].tokens, rows[i].rows, rows[i].cols, 0, &target);
        if (part != rows[i].part) {
            fail_msg("%u x %u x %u: %u columns, expected %u", rows[i].rows, rows[i].tokens,
                     rows[i].cols, part, rows[i].part);
        }
    }
    assert_int_equal(part_of(32, DIM, DIM, LAYERS - 1, &target), 512);
    assert_int_equal(part_of(32, DIM, DIM, LAYERS, &target), 0); /* the head */
}

static bool add_tuned(struct ops_prefs *prefs, uint32_t tokens, uint32_t parts)
{
    return ops_prefs_add_tuned(prefs, &(struct ops_tuned){.op = "split_sum",
                                                          .variant = "plain",
                                                          .quant = QUANT_COUNT,
                                                          .class = ops_token_class(tokens),
                                                          .values = {parts}});
}

/* What was measured is taken, on CPU devices too, as far as there are tiles of columns. */
static void test_tuned(void **state)
{
    (void)state;
    struct dev_caps caps = gpu_caps();
    struct ops_prefs prefs = {0};
    const struct ops_target target = {&caps, &prefs};
    assert_true(add_tuned(&prefs, 32, 4));
    assert_int_equal(part_of(32, DIM, DIM, 0, &target), 1024);
    assert_int_equal(part_of(128, DIM, DIM, 0, &target), 512); /* of another class */
    assert_int_equal(part_of(32, 64, 192, 0, &target), 64);    /* three tiles */
    assert_true(add_tuned(&prefs, 32, 1));
    assert_int_equal(part_of(32, DIM, DIM, 0, &target), 0);
    caps.has |= DEV_CAP_CPU;
    assert_int_equal(part_of(128, DIM, DIM, 0, &target), 0);
    assert_false(ops_may_split(&target));
    assert_true(add_tuned(&prefs, 128, 8));
    assert_true(ops_may_split(&target));
    assert_int_equal(part_of(128, DIM, DIM, 0, &target), 512);
    ops_prefs_finish(&prefs);
}

static void test_left_out(void **state)
{
    (void)state;
    static const char *const lists[] = {"split", "split_sum/plain"};
    struct dev_caps caps = gpu_caps();
    char error[128];
    uint32_t off = 0;
    for (size_t i = 0; i < 2; i++) {
        struct ops_prefs prefs = {0};
        const struct ops_target target = {&caps, &prefs};
        assert_true(ops_disable_parse(lists[i], &off, &prefs, error, sizeof error));
        assert_int_equal(part_of(32, DIM, DIM, 0, &target), 0);
        assert_false(ops_may_split(&target));
        ops_prefs_finish(&prefs);
    }
    assert_int_equal(off, 0);
    const struct ops_prefs q8 = {.act_q8 = true}; /* integer units know no parts */
    assert_int_equal(part_of(32, DIM, DIM, 0, &(struct ops_target){&caps, &q8}), 0);
    const struct ops_target target = {&caps, NULL};
    caps.max_binding_bytes = 8 * 32 * DIM * 4; /* all parts are just one binding */
    assert_int_equal(part_of(32, DIM, DIM, 0, &target), 512);
    caps.max_binding_bytes--;
    assert_int_equal(part_of(32, DIM, DIM, 0, &target), 0);
    caps.max_binding_bytes = 1u << 30;
    caps.has &= ~(uint32_t)DEV_CAP_COOPMAT;
    assert_int_equal(part_of(32, DIM, DIM, 0, &target), 0);
    assert_false(ops_may_split(&target));
}

/* ---- lowering ---- */

/* Each layer adds a product of the norm of x to x. */
static void make_plan(struct plan *plan, uint32_t n_tokens, uint32_t n_devices)
{
    static const uint32_t layers[][4] = {{4}, {1, 3}, {1, 1, 2}, {1, 1, 1, 1}};
    struct plan_map map;
    plan_init(plan, &test_log, n_tokens, n_tokens, LAYERS);
    uint32_t table = fake_weight(plan, 0, "embd", DIM, DIM);
    uint32_t x = FAKE_NODE(plan, &FAKE_EMBED, "x", DIM, PLAN_NONE, table);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        plan->layer = (int32_t)layer;
        uint32_t norm = fake_weight(plan, 10 * (layer + 1), "norm", 1, DIM);
        uint32_t w = fake_weight(plan, 10 * (layer + 1) + 1, "w", DIM, DIM);
        uint32_t h = FAKE_NODE(plan, &FAKE_NORM, "h", DIM, PLAN_NONE, x, norm);
        h = FAKE_NODE(plan, &TOY_MATMUL, "y", DIM, PLAN_NONE, w, h);
        x = FAKE_NODE(plan, &FAKE_ADD, "sum", DIM, 0, h, x);
    }
    plan->layer = LAYERS;
    x = FAKE_NODE(plan, &TOY_MATMUL, "logits", DIM, PLAN_NONE, table, x);
    fake_map(&map, n_devices, layers[n_devices - 1]);
    assert_true(plan_place(plan, &map));
    plan_map_finish(&map);
    assert_int_equal(ops_fuse(plan, NULL, OPS_FUSE_PLACED), LAYERS);
}

static void finish(struct plan *plan)
{
    assert_true(plan_check(plan));
    assert_true(plan_memory(plan));
    assert_true(plan_memory_check(plan));
    plan_finish(plan);
}

/* A product that leaves parts, and behind it the node that adds them and the residual. */
static void check_pair(const struct plan *plan, const struct plan_node *product)
{
    const struct plan_node *sum = product + 1;
    struct op_matmul_attr attr;
    memcpy(&attr, product->attr, sizeof attr);
    assert_int_equal(attr.part, 512);
    assert_ptr_equal(product->op, &TOY_MATMUL);
    assert_int_equal(product->n_src, 4);
    assert_int_equal(product->src[2], PLAN_NONE);
    assert_int_equal(product->in_place, PLAN_NONE);
    const struct plan_tensor *parts = plan_get_tensor(plan, product->dst[0]);
    assert_int_equal(parts->role, PLAN_ACT);
    assert_int_equal(parts->elem, PLAN_F32);
    assert_int_equal(parts->rows, 8 * plan->n_tokens);
    assert_int_equal(parts->cols, DIM);
    assert_int_equal(sum->src[0], product->dst[0]);
    assert_int_equal(sum->device, product->device);
    assert_int_equal(parts->device, product->device);
    const struct plan_tensor *residual = plan_get_tensor(plan, sum->src[1]);
    const struct plan_tensor *y = plan_get_tensor(plan, sum->dst[0]);
    assert_int_equal(residual->rows, plan->n_tokens);
    assert_int_equal(y->rows, plan->n_tokens);
    assert_int_equal(sum->in_place, 1);
}

/* The same on any number of devices; the residual goes to the sum; the head stays whole. */
static void test_devices(void **state)
{
    (void)state;
    const struct dev_caps caps = gpu_caps();
    const struct ops_target targets[4] = {
        {&caps, NULL}, {&caps, NULL}, {&caps, NULL}, {&caps, NULL}};
    for (uint32_t d = 1; d <= 4; d++) {
        struct plan plan;
        uint32_t sums = 0, heads = 0;
        make_plan(&plan, 32, d);
        assert_true(ops_lower(&plan, targets));
        for (size_t n = 0; n < plan.n_nodes; n++) {
            const struct plan_node *node = &plan.nodes[n];
            if (node->op == ops_find("split_sum")) {
                check_pair(&plan, node - 1);
                sums++;
            }
            if (node->op == &TOY_MATMUL && node->layer == LAYERS) {
                struct op_matmul_attr attr;
                memcpy(&attr, node->attr, sizeof attr);
                assert_int_equal(attr.part, 0);
                heads++;
            }
        }
        assert_int_equal(sums, LAYERS);
        assert_int_equal(heads, 1);
        size_t n_nodes = plan.n_nodes;
        assert_true(ops_lower(&plan, targets)); /* nothing is left to do */
        assert_int_equal(plan.n_nodes, n_nodes);
        finish(&plan);
    }
}

static uint64_t scratch_of(uint32_t tokens)
{
    const struct dev_caps caps = gpu_caps();
    const struct ops_target target = {&caps, NULL};
    struct plan plan;
    make_plan(&plan, tokens, 1);
    assert_true(ops_lower(&plan, &target));
    assert_true(plan_memory(&plan));
    uint64_t bytes = plan.scratch[0];
    plan_finish(&plan);
    return bytes;
}

/* run/model.c sets aside what steps of 32, 64, 128, 256 and of most tokens need: that is enough for
 * the others, and less is not. */
static void test_scratch(void **state)
{
    (void)state;
    uint32_t top = OPS_SPLIT_LEAST;
    assert_true(scratch_of(OPS_SPLIT_MOST) > scratch_of(2 * OPS_SPLIT_MOST));
    for (uint32_t tokens = 17; tokens <= OPS_SPLIT_MOST; tokens += 13) {
        while (top < tokens) {
            top *= 2;
        }
        assert_true(scratch_of(tokens) <= scratch_of(top));
    }
}

static void test_builders(void **state)
{
    (void)state;
    struct log silent;
    log_init(&silent, NULL, NULL, LOG_ERROR);
    for (uint32_t i = 0; i < 6; i++) {
        struct plan plan;
        plan_init(&plan, &silent, 4, 0, 1);
        uint32_t w = plan_get_weight(&plan, 0, "w", QUANT_F16, 8, 128);
        struct op_staged x = op_stage(&plan, plan_add_act(&plan, "x", 4, 128));
        uint32_t parts = op_matmul_parts(&plan, "parts", w, x, 96);
        assert_int_equal(plan_get_tensor(&plan, parts)->rows, 8);
        uint32_t other = plan_add_act(&plan, "other", 4, 9);
        assert_false(plan.failed);
        uint32_t bad = i == 0   ? op_matmul_parts(&plan, "y", w, x, 48)
                       : i == 1 ? op_matmul_parts(&plan, "y", w, x, 128)
                       : i == 2 ? op_split_sum(&plan, "y", parts, 1, PLAN_NONE)
                       : i == 3 ? op_split_sum(&plan, "y", parts, 3, PLAN_NONE)
                       : i == 4 ? op_split_sum(&plan, "y", parts, 2, other)
                                : op_split_sum(&plan, "y", PLAN_NONE, 2, PLAN_NONE);
        char line[256];
        log_get_last(&silent, line, sizeof line);
        assert_int_equal(bad, PLAN_NONE);
        assert_true(plan.failed);
        assert_non_null(strstr(line, i < 2 ? "matmul: weight w" : "split_sum: "));
        plan_finish(&plan);
    }
    log_finish(&silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),     cmocka_unit_test(test_tuned),
        cmocka_unit_test(test_left_out), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_scratch),  cmocka_unit_test(test_builders),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
