/* The residual fusion: what it rewrites, and what it leaves alone. */
/* with: ops */
#include "plan_fake.h"

#include "ops/fuse.h"

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

static uint32_t count_op(const struct plan *plan, const struct op *op)
{
    uint32_t count = 0;
    for (size_t n = 0; n < plan->n_nodes; n++) {
        count += !plan->nodes[n].dead && plan->nodes[n].op == op;
    }
    return count;
}

/* The residual fusion alone. */
static uint32_t fuse(struct plan *plan)
{
    const struct dev_caps caps = {.max_storage_buffers = 8};
    struct ops_prefs prefs = {0};
    struct ops_target targets[PLAN_MAX_DEVICES];
    uint32_t off = 0;
    char error[128];
    assert_true(ops_disable_parse("fuse/rope_append", &off, &prefs, error, sizeof error));
    for (uint32_t d = 0; d < PLAN_MAX_DEVICES; d++) {
        targets[d] = (struct ops_target){&caps, &prefs};
    }
    uint32_t fused = ops_fuse(plan, targets, OPS_FUSE_PLACED);
    ops_prefs_finish(&prefs);
    return fused;
}

static void place_all(struct plan *plan, uint32_t n_devices, const uint32_t *layers)
{
    struct plan_map map;
    fake_map(&map, n_devices, layers);
    assert_true(plan_place(plan, &map));
    plan_map_finish(&map);
}

static void finish(struct plan *plan)
{
    assert_true(plan_check(plan));
    assert_true(plan_memory(plan));
    assert_true(plan_memory_check(plan));
    plan_finish(plan);
}

static void test_llama(void **state)
{
    (void)state;
    static const uint32_t LAYERS[][4] = {{3}, {1, 2}, {1, 1, 1}};
    for (uint32_t d = 0; d < 3; d++) {
        struct plan plan;
        fake_llama(&plan, &test_log, 2, 3);
        place_all(&plan, d + 1, LAYERS[d]);
        assert_int_equal(count_op(&plan, &FAKE_ADD), 6);
        assert_int_equal(fuse(&plan), 6);
        assert_int_equal(count_op(&plan, &FAKE_ADD), 0);
        assert_int_equal(count_op(&plan, &FAKE_MATMUL), 3 * 7 + 1);
        for (size_t n = 0; n < plan.n_nodes; n++) {
            const struct plan_node *node = &plan.nodes[n];
            if (!node->dead && node->n_src == 3 && node->op == &FAKE_MATMUL) {
                assert_int_equal(node->in_place, 2);
                assert_int_equal(plan.tensors[node->src[2]].device, node->device);
            }
        }
        assert_int_equal(fuse(&plan), 0);
        finish(&plan);
    }
}

/* The residual dies in the fused matmul, so x stays in one place all along. */
static void test_residual_in_place(void **state)
{
    (void)state;
    uint64_t scratch[2];
    for (uint32_t fused = 0; fused < 2; fused++) {
        struct plan plan;
        fake_llama(&plan, &test_log, 4, 2);
        place_all(&plan, 1, (const uint32_t[]){2});
        if (fused != 0) {
            fuse(&plan);
        }
        assert_true(plan_memory(&plan));
        scratch[fused] = plan.scratch[0];
        uint32_t x = plan.nodes[0].dst[0];
        uint64_t at = plan.tensors[x].offset;
        for (size_t n = 0; n < plan.n_nodes && fused; n++) {
            const struct plan_node *node = &plan.nodes[n];
            if (!node->dead && node->op == &FAKE_MATMUL && node->n_src == 3) {
                assert_int_equal(plan.tensors[node->dst[0]].offset, at);
            }
        }
        plan_finish(&plan);
    }
    assert_true(scratch[1] <= scratch[0]);
}

/* x -> m = matmul(w, x); y = add(m, r) with variations; true: fused. */
enum variation {
    PLAIN,
    SWAPPED,
    READ_AGAIN,
    LATE_RESIDUAL,
    ITSELF,
    OTHER_LAYER,
    HAS_RESIDUAL,
    OTHER_OP,
    NOT_WRITTEN_HERE
};

static bool fuses(enum variation variation)
{
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 2);
    plan.layer = 0;
    uint32_t w = fake_weight(&plan, 0, "w", 32, 32);
    uint32_t x = FAKE_NODE(&plan, &FAKE_NORM, "x", 32, PLAN_NONE, PLAN_NONE);
    uint32_t r = PLAN_NONE, bias = fake_weight(&plan, 1, "bias", 1, 32);
    if (variation != LATE_RESIDUAL) {
        r = FAKE_NODE(&plan, &FAKE_NORM, "r", 32, PLAN_NONE, x);
    }
    uint32_t m = FAKE_NODE(&plan, variation == OTHER_OP ? &FAKE_ROPE : &FAKE_MATMUL, "m", 32,
                           PLAN_NONE, w, x, variation == HAS_RESIDUAL ? r : PLAN_NONE);
    if (variation == LATE_RESIDUAL) {
        r = FAKE_NODE(&plan, &FAKE_NORM, "r", 32, PLAN_NONE, x);
    }
    plan.layer = variation == OTHER_LAYER ? 1 : 0;
    uint32_t left = variation == SWAPPED ? r : m, right = variation == SWAPPED ? m : r;
    right = variation == ITSELF ? m : variation == NOT_WRITTEN_HERE ? bias : right;
    uint32_t y = FAKE_NODE(&plan, &FAKE_ADD, "y", 32, 0, left, right);
    if (variation == READ_AGAIN) {
        FAKE_NODE(&plan, &FAKE_NORM, "z", 32, PLAN_NONE, m);
    }
    place_all(&plan, 1, &plan.n_layers);
    bool fused = fuse(&plan) == 1;
    assert_int_equal(count_op(&plan, &FAKE_ADD), fused ? 0 : 1);
    for (size_t n = 0; n < plan.n_nodes && fused; n++) {
        if (!plan.nodes[n].dead && plan.nodes[n].op == &FAKE_MATMUL) {
            assert_int_equal(plan.nodes[n].dst[0], y);
            assert_int_equal(plan.nodes[n].src[2], r);
        }
    }
    finish(&plan);
    return fused;
}

static void test_variations(void **state)
{
    (void)state;
    assert_true(fuses(PLAIN));
    assert_true(fuses(SWAPPED));
    assert_false(fuses(READ_AGAIN));
    assert_false(fuses(LATE_RESIDUAL));
    assert_false(fuses(ITSELF));
    assert_false(fuses(OTHER_LAYER));
    assert_false(fuses(HAS_RESIDUAL));
    assert_false(fuses(OTHER_OP));
    assert_false(fuses(NOT_WRITTEN_HERE));
}

/* add(matmul, matmul): the later one takes the earlier one's result. */
static void test_two_matmuls(void **state)
{
    (void)state;
    for (uint32_t swap = 0; swap < 2; swap++) {
        struct plan plan;
        plan_init(&plan, &test_log, 1, 1, 1);
        plan.layer = 0;
        uint32_t x = FAKE_NODE(&plan, &FAKE_NORM, "x", 32, PLAN_NONE, PLAN_NONE);
        uint32_t a = fake_matmul(&plan, 0, "a", x, 32), b = fake_matmul(&plan, 1, "b", x, 32);
        FAKE_NODE(&plan, &FAKE_ADD, "y", 32, 0, swap ? b : a, swap ? a : b);
        place_all(&plan, 1, (const uint32_t[]){1});
        assert_int_equal(fuse(&plan), 1);
        assert_int_equal(plan.nodes[2].src[2], a);
        assert_int_equal(plan.nodes[1].n_src, 2);
        finish(&plan);
    }
}

/* A matmul of one device and an add of the next stay two nodes with the border between them. */
static void test_border(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 2);
    plan.layer = 0;
    uint32_t x = FAKE_NODE(&plan, &FAKE_NORM, "x", 32, PLAN_NONE, PLAN_NONE);
    uint32_t m = fake_matmul(&plan, 0, "m", x, 32);
    plan.layer = 1;
    FAKE_NODE(&plan, &FAKE_ADD, "y", 32, 0, m, x);
    place_all(&plan, 2, (const uint32_t[]){1, 1});
    assert_int_equal(plan.n_nodes, 5);
    assert_int_equal(fuse(&plan), 0);
    finish(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama),      cmocka_unit_test(test_residual_in_place),
        cmocka_unit_test(test_variations), cmocka_unit_test(test_two_matmuls),
        cmocka_unit_test(test_border),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
