/* Sliding windows and capped scores, from the file's keys to the nodes of a plan and the bytes of
 * its caches. */
/* with: fixture */
#include "arch/arch.h"

#include "base/mem.h"
#include "gguf_make.h"
#include "ops/ops.h"
#include "plan/op.h"
#include "shaders/common/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LAYERS = 6, CTX = 256 };

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

struct made {
    struct arch_model model;
    struct gguf_file *file;
    uint8_t *data;
};

static bool make(struct made *made, const uint32_t *window, const struct gguf_make_kv *pattern)
{
    const struct gguf_make_kv kvs[] = {{.key = "llama.attention.sliding_window",
                                        .omit = window == NULL,
                                        .type = GGUF_U32,
                                        .value = window,
                                        .bytes = 4},
                                       pattern != NULL ? *pattern : (struct gguf_make_kv){0},
                                       {0}};
    struct gguf_make_params params = gguf_make_defaults();
    size_t bytes;
    params.layers = LAYERS;
    params.ctx = CTX;
    params.kvs = kvs;
    made->data = gguf_make(&params, &bytes);
    assert_non_null(made->data);
    made->file = gguf_open_memory("tiny", made->data, bytes, &test_log);
    assert_non_null(made->file);
    return arch_model_read(&made->model, made->file, &test_log);
}

static void made_finish(struct made *made)
{
    arch_model_finish(&made->model);
    gguf_close(made->file);
    mem_free(made->data);
}

static struct gguf_make_kv pattern_kv(enum gguf_type type, const void *value, size_t bytes)
{
    return (struct gguf_make_kv){.key = "llama.attention.sliding_window_pattern",
                                 .type = type,
                                 .value = value,
                                 .bytes = bytes};
}

/* An array as in the file: type of the elements, count, elements. */
static struct gguf_make_kv list_kv(uint8_t bytes[12 + LAYERS + 1], const char *list, uint8_t elem)
{
    uint64_t n = strlen(list);
    memset(bytes, 0, 12);
    bytes[0] = elem;
    bytes[4] = (uint8_t)n;
    for (size_t i = 0; i < n; i++) {
        bytes[12 + i] = list[i] == 'L' ? 1 : 0;
    }
    return pattern_kv(GGUF_ARRAY, bytes, 12 + n);
}

static void expect_layers(const struct arch_hparams *hp, const char *want)
{
    char have[LAYERS + 1] = {0};
    uint32_t n = 0;
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        have[layer] = arch_is_local(hp, layer) ? 'L' : 'G';
        n += arch_is_local(hp, layer) ? 1 : 0;
    }
    assert_string_equal(have, want);
    assert_int_equal(arch_local_layers(hp), n);
}

static void test_keys(void **state)
{
    (void)state;
    const struct {
        uint32_t window, period; /* UINT32_MAX: no such key */
        const char *want;
    } cases[] = {
        {UINT32_MAX, UINT32_MAX, "GGGGGG"},
        {0, UINT32_MAX, "GGGGGG"},
        {48, UINT32_MAX, "LLLLLL"},
        {CTX - 1, UINT32_MAX, "LLLLLL"},
        {CTX, UINT32_MAX, "GGGGGG"},
        {48, 0, "LLLLLL"},
        {48, 1, "GGGGGG"},
        {48, 2, "LGLGLG"},
        {48, 6, "LLLLLG"},
        {48, 7, "LLLLLL"},
        {CTX, 2, "LGLGLG"},
        {UINT32_MAX, 2, "GGGGGG"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made made;
        struct gguf_make_kv pattern = pattern_kv(GGUF_U32, &cases[i].period, 4);
        assert_true(make(&made, cases[i].window != UINT32_MAX ? &cases[i].window : NULL,
                         cases[i].period != UINT32_MAX ? &pattern : NULL));
        expect_layers(&made.model.hp, cases[i].want);
        bool some = strchr(cases[i].want, 'L') != NULL;
        assert_int_equal(made.model.hp.window, some ? cases[i].window : 0);
        assert_true(made.model.hp.attn_softcap == 0);
        made_finish(&made);
    }
}

static void test_lists(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"LLLLLL", "GGGGGG", "LGLGLG", "LLGLLG", "LLLLGL", "LLLLLG"};
    static const struct {
        const char *list, *part;
        uint8_t elem;
    } BAD[] = {
        {"GLLLLL", "do not repeat regularly", GGUF_BOOL},
        {"LGLLGL", "do not repeat regularly", GGUF_BOOL},
        {"LGLGL", "has 5 entries, must be one for each of 6 layers", GGUF_BOOL},
        {"LGLGLG", "llama.attention.sliding_window_pattern", GGUF_U8},
    };
    uint8_t bytes[12 + LAYERS + 1];
    uint32_t window = 48;
    struct made made;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct gguf_make_kv kv = list_kv(bytes, GOOD[i], GGUF_BOOL);
        assert_true(make(&made, &window, &kv));
        expect_layers(&made.model.hp, GOOD[i]);
        made_finish(&made);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char line[1024];
        struct gguf_make_kv kv = list_kv(bytes, BAD[i].list, BAD[i].elem);
        assert_false(make(&made, &window, &kv));
        log_get_last(&test_log, line, sizeof line);
        if (strstr(line, BAD[i].part) == NULL || strncmp(line, "tiny: key", 9) != 0) {
            fail_msg("%s: \"%s\" does not contain \"%s\"", BAD[i].list, line, BAD[i].part);
        }
        made_finish(&made);
    }
    const char text[] = {1, 0, 0, 0, 0, 0, 0, 0, 'x'};
    struct gguf_make_kv kv = pattern_kv(GGUF_STRING, text, sizeof text);
    assert_false(make(&made, &window, &kv));
    made_finish(&made);
    float real = 4;
    kv = (struct gguf_make_kv){
        .key = "llama.attention.sliding_window", .type = GGUF_F32, .value = &real, .bytes = 4};
    assert_false(make(&made, NULL, &kv));
    made_finish(&made);
}

/* Caches, attention and KV append of each layer are of its group. */
static void test_plan(void **state)
{
    (void)state;
    uint32_t window = 48, period = 3, n_attention = 0, n_append = 0;
    struct gguf_make_kv pattern = pattern_kv(GGUF_U32, &period, 4);
    struct made made;
    struct plan plan;
    assert_true(make(&made, &window, &pattern));
    made.model.hp.attn_softcap = 50;
    struct arch_build_params params = {.n_tokens = 4,
                                       .n_out = 1,
                                       .n_slots = 256,
                                       .n_slots_local = 96,
                                       .step_words = 64,
                                       .k_type = PLAN_F16,
                                       .v_type = PLAN_F32,
                                       .attn_splits = 1};
    plan_init(&plan, &test_log, 4, 1, LAYERS);
    assert_true(arch_build(&made.model, &plan, &params));
    assert_true(plan_check(&plan));
    for (size_t n = 0; n < plan.n_nodes; n++) {
        const struct plan_node *node = &plan.nodes[n];
        bool local = node->layer % 3 != 2;
        if (strcmp(node->op->name, "attention") == 0) {
            struct op_attention_attr attr;
            memcpy(&attr, node->attr, sizeof attr);
            assert_int_equal(attr.window, local ? 48 : 0);
            assert_int_equal(attr.group, local ? 1 : 0);
            assert_int_equal(attr.slots, local ? 96 : 256);
            assert_true(attr.softcap == 50);
            assert_int_equal(plan.tensors[node->src[1]].cols, (local ? 96 : 256) * 16);
            n_attention++;
        } else if (strcmp(node->op->name, "kv_append") == 0) {
            struct op_kv_append_attr attr;
            memcpy(&attr, node->attr, sizeof attr);
            assert_int_equal(attr.group, local ? 1 : 0);
            assert_int_equal(attr.slots, local ? 96 : 256);
            n_append++;
        }
    }
    assert_int_equal(n_attention, LAYERS);
    assert_int_equal(n_append, LAYERS);
    plan_finish(&plan);
    params.n_slots_local = 0; /* missing: an op refuses it */
    plan_init(&plan, &test_log, 4, 1, LAYERS);
    assert_false(arch_build(&made.model, &plan, &params));
    plan_finish(&plan);
    made_finish(&made);
}

static void test_sums(void **state)
{
    (void)state;
    uint32_t window = 48, period = 3;
    struct gguf_make_kv pattern = pattern_kv(GGUF_U32, &period, 4);
    struct made made;
    assert_true(make(&made, &window, &pattern));
    struct arch_build_params params = {
        .n_slots = 256, .n_slots_local = 96, .k_type = PLAN_F16, .v_type = PLAN_F32};
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        uint32_t slots = layer % 3 != 2 ? 96 : 256;
        assert_int_equal(arch_kv_bytes(&made.model, layer, &params), slots * 2 * 16 * (2 + 4));
    }
    double base = arch_flop(&made.model, 0);
    assert_true(arch_flop(&made.model, 40) == base + 4.0 * 64 * LAYERS * 40);
    assert_true(arch_flop(&made.model, 100) == base + 4.0 * 64 * (4 * 48 + 2 * 100));
    made_finish(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
