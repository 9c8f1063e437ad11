/* Placement: how layers are cut over devices (by bytes, by -ts, unequal memory, too few layers, too
 * little memory), and the border nodes that follow from it. */
#include "plan_fake.h"

#include "base/hash.h"

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

static void expect_log(const char *part)
{
    char line[1024];
    log_get_last(&test_log, line, sizeof line);
    if (strstr(line, part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", line, part);
    }
}

enum { MAX_LAYERS = 128 };

/* Layers of 10 bytes, embedding and head of `ends` bytes. */
static struct plan_place_params make_params(uint64_t *bytes, uint32_t n_layers, uint64_t ends,
                                            uint32_t n_devices, uint64_t free_bytes)
{
    struct plan_place_params params = {.n_devices = n_devices,
                                       .split = PLAN_SPLIT_LAYER,
                                       .n_layers = n_layers,
                                       .layer_bytes = bytes};
    for (uint32_t l = 0; l < n_layers; l++) {
        bytes[l + 1] = 10;
    }
    bytes[0] = bytes[n_layers + 1] = ends;
    for (uint32_t d = 0; d < n_devices; d++) {
        params.free_bytes[d] = free_bytes;
    }
    return params;
}

static void expect_layers(const struct plan_place_params *params, const uint32_t *want)
{
    struct plan_map map;
    assert_true(plan_map_init(&map, params, &test_log));
    uint32_t count[PLAN_MAX_DEVICES] = {0}, last = 0;
    for (uint32_t l = 0; l < params->n_layers; l++) {
        assert_true(map.device[l + 1] >= last && map.device[l + 1] < params->n_devices);
        last = map.device[l + 1];
        count[last]++;
    }
    assert_int_equal(map.device[0], 0);
    assert_int_equal(map.device[params->n_layers + 1], last);
    for (uint32_t d = 0; d < params->n_devices; d++) {
        if (count[d] != want[d]) {
            fail_msg("layers %u,%u,%u,%u, device %u should have %u", count[0], count[1], count[2],
                     count[3], d, want[d]);
        }
    }
    plan_map_finish(&map);
}

static void test_even(void **state)
{
    (void)state;
    static const uint32_t CASES[][6] = {
        /* layers, devices, layers of each */
        {12, 4, 3, 3, 3, 3}, {12, 3, 4, 4, 4, 0},     {12, 2, 6, 6, 0, 0}, {12, 1, 12, 0, 0, 0},
        {13, 4, 4, 3, 3, 3}, {60, 4, 15, 15, 15, 15}, {5, 4, 2, 1, 1, 1},  {4, 4, 1, 1, 1, 1},
        {3, 4, 1, 1, 1, 0},  {2, 4, 1, 1, 0, 0},      {1, 4, 1, 0, 0, 0},
    };
    uint64_t bytes[MAX_LAYERS + 2];
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct plan_place_params params = make_params(bytes, CASES[i][0], 40, CASES[i][1], 10000);
        expect_layers(&params, &CASES[i][2]);
    }
}

static void test_none(void **state)
{
    (void)state;
    uint64_t bytes[MAX_LAYERS + 2];
    struct plan_place_params params = make_params(bytes, 12, 5, 4, 1000);
    params.split = PLAN_SPLIT_NONE;
    expect_layers(&params, (const uint32_t[]){12, 0, 0, 0});
    params.free_bytes[0] = 129;
    struct plan_map map;
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("device [0]: the model does not fit: embedding, layers 0-11, head");
    params.free_bytes[0] = 130;
    expect_layers(&params, (const uint32_t[]){12, 0, 0, 0});
}

static void test_shares(void **state)
{
    (void)state;
    uint64_t bytes[MAX_LAYERS + 2];
    struct plan_place_params params = make_params(bytes, 12, 5, 4, 1000);
    /* il / 13 against 0.375, 0.5, 0.75: as llama.cpp's upper_bound gives it */
    static const double SHARES[][4] = {{3, 1, 2, 2}, {1, 1, 1, 1}, {30, 10, 20, 20},
                                       {1, 0, 0, 0}, {0, 0, 0, 1}, {0.1, 0, 0.1, 0}};
    static const uint32_t WANT[][4] = {{5, 2, 3, 2}, {4, 3, 3, 2}, {5, 2, 3, 2},
                                       {9, 1, 1, 1}, {1, 1, 1, 9}, {7, 1, 3, 1}};
    for (size_t i = 0; i < sizeof SHARES / sizeof SHARES[0]; i++) {
        memcpy(params.share, SHARES[i], sizeof params.share);
        expect_layers(&params, WANT[i]);
    }
}

static void test_bad_shares(void **state)
{
    (void)state;
    uint64_t bytes[MAX_LAYERS + 2];
    struct plan_place_params params = make_params(bytes, 12, 5, 4, 1000);
    struct plan_map map;
    params.share[2] = -1;
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("tensor split: share 2 is -1");
    params.share[2] = 0.0 / (params.share[0] + 0.0);
    assert_false(plan_map_init(&map, &params, &test_log));
    params.share[2] = 0;
    params.n_devices = PLAN_MAX_DEVICES + 1;
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("5 devices, must be 1 to 4");
}

static void test_unequal(void **state)
{
    (void)state;
    uint64_t bytes[MAX_LAYERS + 2];
    struct plan_place_params params = make_params(bytes, 16, 5, 4, 1000);
    memcpy(params.free_bytes, (uint64_t[]){400, 100, 200, 100}, sizeof params.free_bytes);
    expect_layers(&params, (const uint32_t[]){8, 2, 4, 2});
    params = make_params(bytes, 12, 5, 4, 1000);
    /* a small device still gets one */
    memcpy(params.free_bytes, (uint64_t[]){1000, 10, 1000, 1000}, sizeof params.free_bytes);
    expect_layers(&params, (const uint32_t[]){4, 1, 4, 3});
    /* layers of different size: bytes are balanced, not numbers */
    params = make_params(bytes, 12, 5, 2, 1000);
    for (uint32_t l = 0; l < 4; l++) {
        bytes[l + 1] = 20;
    }
    expect_layers(&params, (const uint32_t[]){4, 8});
}

/* A big embedding or head pushes layers away, as few as it must. */
static void test_ends(void **state)
{
    (void)state;
    uint64_t bytes[MAX_LAYERS + 2];
    struct plan_place_params params = make_params(bytes, 12, 0, 4, 50);
    bytes[0] = 40;
    expect_layers(&params, (const uint32_t[]){1, 4, 4, 3});
    bytes[0] = 0;
    bytes[13] = 40;
    expect_layers(&params, (const uint32_t[]){4, 4, 3, 1});
    bytes[0] = 41;
    struct plan_map map;
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("MiB are free");
}

static void advise(void *user, struct str *out)
{
    str_printf(out, "%s", (const char *)user);
}

static void test_does_not_fit(void **state)
{
    (void)state;
    uint64_t bytes[MAX_LAYERS + 2];
    struct plan_place_params params = make_params(bytes, 12, 5, 2, UINT64_C(3) << 20);
    struct plan_map map;
    for (uint32_t l = 0; l < 12; l++) {
        bytes[l + 1] = 1 << 20;
    }
    params.free_bytes[1] = UINT64_C(4) << 20;
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("device [1]: the model does not fit: layers 5-11, head take 7.0 MiB");
    expect_log("4.0 MiB are free");
    params.advise = advise;
    params.advise_user = "less";
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("4.0 MiB are free; would fit: less");
    bytes[3] = UINT64_MAX;
    assert_false(plan_map_init(&map, &params, &test_log));
    /* -ts is kept, also where another cut would fit */
    params = make_params(bytes, 12, 5, 2, 100);
    params.share[0] = 100;
    params.share[1] = 1;
    assert_false(plan_map_init(&map, &params, &test_log));
    expect_log("device [0]: the model does not fit: embedding, layers 0-10 take");
}

/* Whatever is possible is found: against a search through all cuts. */
static bool any_cut_fits(const struct plan_place_params *params)
{
    const uint64_t *bytes = params->layer_bytes;
    uint32_t n = params->n_layers;
    for (uint32_t a = 1; a < n - 1; a++) {
        for (uint32_t b = a + 1; b < n; b++) {
            uint64_t sum[3] = {bytes[0], 0, bytes[n + 1]};
            for (uint32_t l = 0; l < n; l++) {
                sum[l < a ? 0 : l < b ? 1 : 2] += bytes[l + 1];
            }
            if (sum[0] <= params->free_bytes[0] && sum[1] <= params->free_bytes[1] &&
                sum[2] <= params->free_bytes[2]) {
                return true;
            }
        }
    }
    return false;
}

static void test_search(void **state)
{
    (void)state;
    uint64_t seed = 20261123, bytes[MAX_LAYERS + 2];
    uint32_t fits = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t n = 3 + (uint32_t)(hash_next(&seed) % 8);
        struct plan_place_params params = make_params(bytes, n, 0, 3, 0);
        uint64_t sum = 0;
        for (uint32_t l = 0; l < n + 2; l++) {
            bytes[l] = hash_next(&seed) % 30;
            sum += bytes[l];
        }
        for (uint32_t d = 0; d < 3; d++) {
            params.free_bytes[d] = sum / 6 + hash_next(&seed) % (sum / 2 + 1);
        }
        struct plan_map map;
        bool found = plan_map_init(&map, &params, &test_log);
        assert_int_equal(found, any_cut_fits(&params));
        fits += found;
        plan_map_finish(&map);
    }
    assert_in_range(fits, 200, 1800);
}

/* ---- borders ---- */

static uint32_t count_borders(const struct plan *plan)
{
    uint32_t count = 0;
    for (size_t n = 0; n < plan->n_nodes; n++) {
        count += plan->nodes[n].kind == PLAN_BORDER;
    }
    return count;
}

static void test_borders(void **state)
{
    (void)state;
    static const uint32_t LAYERS[][4] = {{4, 0, 0, 0}, {1, 3, 0, 0}, {2, 1, 1, 0}, {1, 1, 1, 1}};
    for (uint32_t used = 1; used <= 4; used++) {
        struct plan plan;
        struct plan_map map;
        fake_llama(&plan, &test_log, 2, 4);
        size_t before = plan.n_nodes;
        fake_map(&map, used, LAYERS[used - 1]);
        assert_true(plan_place(&plan, &map));
        assert_int_equal(plan.n_devices, used);
        assert_int_equal(count_borders(&plan), used - 1);
        assert_int_equal(plan.n_nodes, before + used - 1);
        for (size_t n = 0; n < plan.n_nodes; n++) {
            const struct plan_node *node = &plan.nodes[n];
            assert_int_equal(node->device, map.device[node->layer + 1]);
            if (node->kind == PLAN_BORDER) { /* right before its first reader */
                assert_int_equal(plan.nodes[n + 1].src[0], node->dst[0]);
                assert_int_equal(plan.nodes[n + 1].device, node->device);
                assert_int_equal(plan.tensors[node->src[0]].device + 1, node->device);
            }
        }
        plan_finish(&plan);
        plan_map_finish(&map);
    }
}

/* The residual is read twice on the new device: one border, both redirected. */
static void test_one_border_per_tensor(void **state)
{
    (void)state;
    struct plan plan;
    struct plan_map map;
    fake_llama(&plan, &test_log, 1, 2);
    fake_map(&map, 2, (const uint32_t[]){1, 1});
    assert_true(plan_place(&plan, &map));
    uint32_t border = PLAN_NONE, readers = 0;
    for (uint32_t n = 0; n < plan.n_nodes; n++) {
        border = plan.nodes[n].kind == PLAN_BORDER ? n : border;
    }
    assert_int_not_equal(border, PLAN_NONE);
    const struct plan_node *node = &plan.nodes[border];
    for (uint32_t n = border + 1; n < plan.n_nodes; n++) {
        for (uint32_t i = 0; i < plan.nodes[n].n_src; i++) {
            readers += plan.nodes[n].src[i] == node->dst[0];
            assert_int_not_equal(plan.nodes[n].src[i], node->src[0]);
        }
    }
    assert_int_equal(readers, 2);
    assert_string_equal(plan.tensors[node->dst[0]].name, "blk.0.sum2@1");
    plan_finish(&plan);
    plan_map_finish(&map);
}

/* An activation that skips a device cannot be carried by a layer split. */
static void test_skipped_device(void **state)
{
    (void)state;
    struct plan plan;
    struct plan_map map;
    fake_llama(&plan, &test_log, 1, 3);
    uint32_t embedded = plan.nodes[0].dst[0];
    for (size_t n = 0; n < plan.n_nodes; n++) {
        if (plan.nodes[n].layer == 2 && plan.nodes[n].op == &FAKE_ADD) {
            plan.nodes[n].src[1] = embedded;
        }
    }
    fake_map(&map, 3, (const uint32_t[]){1, 1, 1});
    assert_false(plan_place(&plan, &map));
    expect_log("goes from device 0 to 2: not neighbours");
    plan_finish(&plan);
    plan_map_finish(&map);
}

static void test_wrong_map(void **state)
{
    (void)state;
    struct plan plan;
    struct plan_map map;
    fake_llama(&plan, &test_log, 1, 3);
    fake_map(&map, 2, (const uint32_t[]){1, 1});
    assert_false(plan_place(&plan, &map));
    expect_log("a map of 2 layers for a plan of 3");
    plan_finish(&plan);
    plan_map_finish(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even),           cmocka_unit_test(test_none),
        cmocka_unit_test(test_shares),         cmocka_unit_test(test_bad_shares),
        cmocka_unit_test(test_unequal),        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_does_not_fit),   cmocka_unit_test(test_search),
        cmocka_unit_test(test_borders),        cmocka_unit_test(test_one_border_per_tensor),
        cmocka_unit_test(test_skipped_device), cmocka_unit_test(test_wrong_map),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
