/* Offsets of activations: random plans (printed seed) never overlap, take no more than the sum and
 * no less than the peak; in-place reuse happens exactly where it may. Lifetimes are counted here
 * anew, so that plan_memory_check is tested too. */
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

static void place_one(struct plan *plan)
{
    struct plan_map map;
    fake_map(&map, 1, &plan->n_layers);
    assert_true(plan_place(plan, &map));
    plan_map_finish(&map);
}

/* ---- random plans ---- */

/* Operands are any activations made before, of any size; some results are in place, some nodes read
 * a tensor twice, some results are never read, some nodes are dead. */
static void make_random(struct plan *plan, uint64_t *seed)
{
    uint32_t n_nodes = 1 + (uint32_t)(hash_next(seed) % 60), made[64], n_made = 0;
    uint32_t reach = 1 + (uint32_t)(hash_next(seed) % 12);
    plan_init(plan, &test_log, 1, 1, 4);
    for (uint32_t n = 0; n < n_nodes; n++) {
        plan->layer = (int32_t)(4 * n / n_nodes);
        struct plan_node node = {.op = &FAKE_ADD, .n_dst = 1, .in_place = PLAN_NONE};
        node.n_src = n_made == 0 ? 0 : (uint32_t)(hash_next(seed) % 4);
        uint64_t cols = 1 + hash_next(seed) % 600;
        for (uint32_t i = 0; i < node.n_src; i++) {
            uint32_t back = (uint32_t)(hash_next(seed) % (n_made < reach ? n_made : reach));
            node.src[i] = made[n_made - 1 - back];
        }
        if (node.n_src != 0 && hash_next(seed) % 2 == 0) {
            node.in_place = (uint32_t)(hash_next(seed) % node.n_src);
            cols = hash_next(seed) % 4 == 0 ? cols : plan->tensors[node.src[node.in_place]].cols;
        }
        char name[16];
        snprintf(name, sizeof name, "t%u", n);
        node.dst[0] = plan_add_act(plan, name, 1, cols);
        assert_int_not_equal(plan_add_node(plan, &node), PLAN_NONE);
        if (n > 0 && hash_next(seed) % 12 == 0) {
            plan->nodes[n].dead = true;
        } else {
            made[n_made++] = node.dst[0];
        }
    }
}

struct life {
    uint32_t first, last;
};

static void count_lives(const struct plan *plan, struct life *lives)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        lives[i] = (struct life){PLAN_NONE, 0};
    }
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        for (uint32_t i = 0; i < node->n_dst && !node->dead; i++) {
            lives[node->dst[i]] = (struct life){n, n};
        }
        for (uint32_t i = 0; i < node->n_src && !node->dead; i++) {
            if (node->src[i] != PLAN_NONE) {
                lives[node->src[i]].last = n;
            }
        }
    }
}

static bool is_live(const struct life *life)
{
    return life->first != PLAN_NONE;
}

/* b is the in-place result of the last reader of a, which reads it nowhere else. */
static bool may_share(const struct plan *plan, const struct life *lives, uint32_t a, uint32_t b)
{
    const struct plan_node *node = &plan->nodes[lives[b].first];
    uint32_t times = 0;
    for (uint32_t i = 0; i < node->n_src; i++) {
        times += node->src[i] == a;
    }
    return node->in_place != PLAN_NONE && node->src[node->in_place] == a && times == 1 &&
           lives[a].last == lives[b].first && plan->tensors[a].cols == plan->tensors[b].cols;
}

static uint32_t check_pairs(const struct plan *plan, const struct life *lives)
{
    uint32_t shared = 0;
    for (uint32_t a = 0; a < plan->n_tensors; a++) {
        for (uint32_t b = 0; b < plan->n_tensors; b++) {
            const struct plan_tensor *x = &plan->tensors[a], *y = &plan->tensors[b];
            bool meet = a != b && is_live(&lives[a]) && is_live(&lives[b]) &&
                        x->device == y->device && lives[a].first <= lives[b].last &&
                        lives[b].first <= lives[a].last && x->offset < y->offset + y->bytes &&
                        y->offset < x->offset + x->bytes;
            if (meet && !may_share(plan, lives, a, b) && !may_share(plan, lives, b, a)) {
                fail_msg("%s and %s overlap", x->name, y->name);
            }
            shared += meet;
        }
    }
    return shared / 2;
}

/* Peak of what is alive at one node, counting an in-place pair once. */
static void check_sizes(const struct plan *plan, const struct life *lives)
{
    for (uint32_t d = 0; d < plan->n_devices; d++) {
        uint64_t sum = 0, peak = 0;
        for (uint32_t n = 0; n < plan->n_nodes; n++) {
            uint64_t now = 0;
            for (uint32_t i = 0; i < plan->n_tensors; i++) {
                /* alive behind node n: its operands that die there do not count */
                bool alive = is_live(&lives[i]) && plan->tensors[i].device == d &&
                             lives[i].first <= n && (lives[i].last > n || lives[i].first == n);
                now += alive ? plan->tensors[i].bytes : 0;
            }
            peak = now > peak ? now : peak;
        }
        for (uint32_t i = 0; i < plan->n_tensors; i++) {
            const struct plan_tensor *tensor = &plan->tensors[i];
            if (is_live(&lives[i]) && tensor->device == d) {
                sum += tensor->bytes;
                assert_int_equal(tensor->offset % PLAN_ALIGN, 0);
                assert_true(tensor->bytes >= tensor->rows * tensor->cols * 4);
                assert_true(tensor->offset + tensor->bytes <= plan->scratch[d]);
            }
        }
        assert_in_range(plan->scratch[d], peak, sum);
    }
}

static void test_random(void **state)
{
    (void)state;
    uint64_t seed = 1123;
    uint32_t shared = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint32_t round = 0; round < 400; round++) {
        struct plan plan;
        struct plan_map map;
        struct life lives[256];
        make_random(&plan, &seed);
        /* One device: any operand may be far back, and borders only join neighbours. */
        fake_map(&map, 1, &plan.n_layers);
        assert_true(plan_place(&plan, &map));
        assert_true(plan_memory(&plan));
        assert_true(plan_memory_check(&plan));
        count_lives(&plan, lives);
        shared += check_pairs(&plan, lives);
        check_sizes(&plan, lives);
        plan_finish(&plan);
        plan_map_finish(&map);
    }
    assert_in_range(shared, 400, 400 * 60);
}

static void test_devices(void **state)
{
    (void)state;
    for (uint32_t devices = 1; devices <= 4; devices++) {
        struct plan plan;
        struct plan_map map;
        struct life *lives;
        fake_llama(&plan, &test_log, 5, 8);
        fake_map(&map, devices,
                 (const uint32_t[][4]){{8}, {3, 5}, {2, 2, 4}, {1, 2, 3, 2}}[devices - 1]);
        assert_true(plan_place(&plan, &map));
        assert_true(plan_memory(&plan));
        assert_true(plan_memory_check(&plan));
        lives = mem_alloc(plan.n_tensors, sizeof *lives);
        count_lives(&plan, lives);
        for (size_t i = 0; i < plan.n_tensors; i++) {
            lives[i].first = plan.tensors[i].role == PLAN_ACT ? lives[i].first : PLAN_NONE;
        }
        check_pairs(&plan, lives);
        check_sizes(&plan, lives);
        mem_free(lives);
        plan_finish(&plan);
        plan_map_finish(&map);
    }
}

/* ---- in place ---- */

/* x -> a -> b = op(a, other), b in place of a unless something forbids it. */
static bool shares(bool read_twice, bool read_later, bool other_size)
{
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 1);
    uint32_t a = FAKE_NODE(&plan, &FAKE_NORM, "a", 64, PLAN_NONE, PLAN_NONE);
    uint32_t b =
        FAKE_NODE(&plan, &FAKE_ADD, "b", other_size ? 32 : 64, 0, a, read_twice ? a : PLAN_NONE);
    if (read_later) {
        FAKE_NODE(&plan, &FAKE_ADD, "c", 64, PLAN_NONE, a, b);
    }
    place_one(&plan);
    assert_true(plan_memory(&plan));
    assert_true(plan_memory_check(&plan));
    bool same = plan.tensors[a].offset == plan.tensors[b].offset;
    assert_true(same || plan.scratch[0] >= 512);
    plan_finish(&plan);
    return same;
}

static void test_in_place(void **state)
{
    (void)state;
    assert_true(shares(false, false, false));
    assert_false(shares(true, false, false));
    assert_false(shares(false, true, false));
    assert_false(shares(false, false, true));
}

/* A chain of in-place nodes is one place. */
static void test_chain(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 1);
    uint32_t x = FAKE_NODE(&plan, &FAKE_NORM, "x", 100, PLAN_NONE, PLAN_NONE);
    for (uint32_t i = 0; i < 10; i++) {
        x = FAKE_NODE(&plan, &FAKE_ROPE, "x", 100, 0, x);
    }
    place_one(&plan);
    assert_true(plan_memory(&plan));
    assert_int_equal(plan.scratch[0], 512);
    assert_true(plan_memory_check(&plan));
    plan_finish(&plan);
}

static void test_check_finds(void **state)
{
    (void)state;
    struct plan plan;
    char line[1024];
    fake_llama(&plan, &test_log, 3, 2);
    place_one(&plan);
    assert_true(plan_memory(&plan));
    uint32_t x = plan.nodes[0].dst[0], h = plan.nodes[1].dst[0];
    uint64_t offset = plan.tensors[h].offset;
    plan.tensors[h].offset = plan.tensors[x].offset;
    assert_false(plan_memory_check(&plan));
    log_get_last(&test_log, line, sizeof line);
    assert_non_null(strstr(line, "x overlap in the scratch of device 0"));
    plan.tensors[h].offset = offset + 4;
    assert_false(plan_memory_check(&plan));
    plan.tensors[h].offset = plan.scratch[0];
    assert_false(plan_memory_check(&plan));
    plan.tensors[h].offset = offset;
    assert_true(plan_memory_check(&plan));
    plan_finish(&plan);
}

/* Sizes near 2^64 are an error, not a small offset. */
static void test_huge(void **state)
{
    (void)state;
    struct plan plan;
    plan_init(&plan, &test_log, 1, 1, 1);
    struct plan_tensor big = {
        .name = "big", .role = PLAN_ACT, .rows = UINT64_C(1) << 31, .cols = UINT64_C(3) << 29};
    struct plan_node node = {.op = &FAKE_NORM, .n_dst = 1, .in_place = PLAN_NONE};
    for (uint32_t i = 0; i < 2; i++) {
        node.dst[0] = plan_add_tensor(&plan, &big);
        plan_add_node(&plan, &node);
    }
    struct plan_node both = {
        .op = &FAKE_ADD, .n_src = 2, .src = {0, 1}, .n_dst = 1, .in_place = PLAN_NONE};
    both.dst[0] = plan_add_act(&plan, "sum", 1, 4);
    plan_add_node(&plan, &both);
    place_one(&plan);
    assert_false(plan_memory(&plan));
    plan_finish(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),   cmocka_unit_test(test_devices),
        cmocka_unit_test(test_in_place), cmocka_unit_test(test_chain),
        cmocka_unit_test(test_huge),     cmocka_unit_test(test_check_finds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
