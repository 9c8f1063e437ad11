/* What recording an op refuses, with one line that says why, and what it cuts into several
 * dispatches: over tests/fake_vk.c, with limits and places that no real device of ours has. */
#include "fake_vk.h"

#include "ops/fill.h"
#include "ops/ops.h"
#include "ops/variant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define TENSORS 16

struct fix {
    struct fake_vk fake;
    struct log log;
    uint32_t errors;
    struct dev_instance *inst;
    struct dev *dev;
    struct dev_cmd *cmd;
    struct dev_buf *buf; /* of everything */
    struct plan plan;
    struct op_segment segments[TENSORS];
    struct op_place places[TENSORS];
    struct quant_layout layout;
    struct op_site site;
};

static void count(void *user, enum log_level level, const char *line)
{
    (void)line;
    ((struct fix *)user)->errors += level == LOG_ERROR;
}

static void start(struct fix *f, uint32_t max_storage_range, uint32_t n_tokens)
{
    memset(f, 0, sizeof *f);
    log_init(&f->log, count, f, LOG_ERROR);
    f->fake.gpus[0] = fake_vk_gpu(0);
    f->fake.gpus[0].max_storage_range = max_storage_range;
    f->fake.n_gpus = 1;
    fake_vk_begin(&f->fake);
    f->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &f->log, .get_proc = fake_vk_get_proc()});
    assert_non_null(f->inst);
    f->dev = dev_open(f->inst, &(struct dev_open_params){0});
    assert_non_null(f->dev);
    f->buf = dev_buf_create(f->dev, &(struct dev_buf_params){.name = "all", .bytes = 16u << 20});
    f->cmd = dev_cmd_create(f->dev);
    assert_true(f->buf != NULL && f->cmd != NULL && dev_cmd_begin(f->cmd));
    plan_init(&f->plan, &f->log, n_tokens, 0, 1);
    f->plan.layer = 0;
    f->site = (struct op_site){
        .dev = f->dev, .cmd = f->cmd, .plan = &f->plan, .places = f->places, .log = &f->log};
}

static void stop(struct fix *f)
{
    plan_finish(&f->plan);
    dev_cmd_destroy(f->cmd);
    dev_buf_destroy(f->buf);
    dev_close(f->dev);
    dev_instance_destroy(f->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&f->log);
}

/* Every tensor of the plan in one segment of its own in the buffer. */
static void place_all(struct fix *f)
{
    uint64_t at = 0;
    assert_false(f->plan.failed);
    assert_true(f->plan.n_tensors <= TENSORS);
    for (uint32_t i = 0; i < f->plan.n_tensors; i++) {
        const struct plan_tensor *t = &f->plan.tensors[i];
        struct op_segment *s = &f->segments[i];
        *s = (struct op_segment){.buf = f->buf, .offset = at, .rows = t->rows};
        if (t->elem == PLAN_QUANT) {
            assert_true(quant_layout_init(&f->layout, t->quant, t->rows, t->cols, 1));
            s->layout = &f->layout;
            s->bytes = f->layout.bytes;
        } else {
            s->bytes = plan_tensor_bytes(t);
        }
        at += size_round(s->bytes, PLAN_ALIGN);
        f->places[i] = (struct op_place){.n_segments = 1, .segments = s};
    }
    assert_true(at <= dev_buf_bytes(f->buf));
}

static bool record_last(struct fix *f)
{
    const struct plan_node *node = &f->plan.nodes[f->plan.n_nodes - 1];
    return node->op->record(&f->site, node);
}

/* The last node is refused with one line that holds this text. */
static void refused(struct fix *f, const char *text)
{
    f->errors = 0;
    assert_false(record_last(f));
    assert_int_equal(f->errors, 1);
    if (strstr(f->log.last, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->log.last, text);
    }
}

static void build_matmul(struct fix *f, uint64_t rows, uint64_t cols)
{
    uint32_t w = plan_get_weight(&f->plan, 0, "w", QUANT_F32, rows, cols);
    uint32_t x = plan_add_act(&f->plan, "x", f->plan.n_tokens, cols);
    op_matmul(&f->plan, "y", w, x);
    place_all(f);
}

static void matmul_is_cut_into_batches(void **state)
{
    (void)state;
    static struct fix f;
    start(&f, 512u << 10, 200); /* 128 tokens of 1024 floats */
    build_matmul(&f, 64, 1024);
    assert_true(record_last(&f));
    assert_int_equal(dev_cmd_count(f.cmd), 2);
    assert_true(dev_cmd_end(f.cmd));
    stop(&f);
    start(&f, 128u << 10, 200); /* 32 tokens: less than the step of a batch */
    build_matmul(&f, 16, 1024);
    refused(&f, "matmul: 64 tokens of w [16][1024] exceed the device's largest binding, 131072");
    stop(&f);
}

static void no_kernel_is_left(void **state)
{
    (void)state;
    static struct fix f;
    struct ops_prefs prefs = {0};
    start(&f, 1u << 27, 3);
    build_matmul(&f, 16, 64);
    f.site.prefs = &prefs;
    const struct op *matmul = ops_find("matmul");
    for (uint32_t v = 0; v < matmul->n_variants; v++) {
        assert_true(record_last(&f));
        assert_true(
            ops_prefs_add_off(&prefs, v % 2 != 0 ? "matmul" : NULL, matmul->variants[v].name));
    }
    refused(&f, "matmul: device 0 (Fake GPU): ");
    ops_prefs_finish(&prefs);
    prefs.forced = "turbo";
    refused(&f, "matmul/turbo: device 0 (Fake GPU): the op has no such variant");
    stop(&f);
}

/* K and V caches in different pieces: the loader never makes such. */
static void refuse_pieces(struct fix *f, uint32_t k, uint32_t v, const char *op)
{
    char text[96];
    f->places[v].n_segments = 0;
    snprintf(text, sizeof text, "%s: layer 0: K cache in 1 segments, V cache in 0", op);
    refused(f, text);
    f->places[k].n_segments = 0;
    snprintf(text, sizeof text, "%s: layer 0: K cache in 0 segments, V cache in 0", op);
    refused(f, text);
    f->places[k].n_segments = f->places[v].n_segments = 1;
    f->segments[v].row0 = 1;
    snprintf(text, sizeof text, "%s: layer 0: segment 0 holds other heads of K than of V", op);
    refused(f, text);
    f->segments[v].row0 = 0;
    assert_true(record_last(f));
}

static void caches_are_cut_alike(void **state)
{
    (void)state;
    static struct fix f;
    enum { HEADS = 2, SLOTS = 64, DIM = 32, TOKENS = 3 };
    start(&f, 1u << 27, TOKENS);
    uint32_t cache[2];
    for (uint32_t i = 0; i < 2; i++) {
        cache[i] = plan_add_tensor(&f.plan, &(struct plan_tensor){.name = "cache",
                                                                  .role = PLAN_KV,
                                                                  .elem = PLAN_F32,
                                                                  .is_value = i == 1,
                                                                  .rows = HEADS,
                                                                  .cols = SLOTS * DIM});
    }
    uint32_t step = plan_get_step(&f.plan, 256);
    uint32_t k = plan_add_act(&f.plan, "k", TOKENS, HEADS * DIM);
    uint32_t v = plan_add_act(&f.plan, "v", TOKENS, HEADS * DIM);
    const struct op_kv_append_attr append = {.kv_heads = HEADS, .head_dim = DIM, .slots = SLOTS};
    op_kv_append(&f.plan, k, v, cache[0], cache[1], step, &append);
    place_all(&f);
    refuse_pieces(&f, cache[0], cache[1], "kv_append");
    const struct op_kv_copy_attr copy = {
        .kv_heads = HEADS, .head_dim = DIM, .slots = SLOTS, .copies = 4};
    op_kv_copy(&f.plan, cache[0], cache[1], step, &copy);
    place_all(&f);
    refuse_pieces(&f, cache[0], cache[1], "kv_copy");
    const struct op_attention_attr attention = {.heads = HEADS,
                                                .kv_heads = HEADS,
                                                .head_dim = DIM,
                                                .slots = SLOTS,
                                                .splits = 1,
                                                .scale = 0.2f};
    op_attention(&f.plan, k, cache[0], cache[1], step, &attention);
    place_all(&f);
    refuse_pieces(&f, cache[0], cache[1], "attention");
    stop(&f);
}

static void fill_says_why(void **state)
{
    (void)state;
    static struct fix f;
    struct quant_layout layout;
    start(&f, 1u << 27, 1);
    assert_true(quant_layout_init(&layout, QUANT_F32, 64, 64, 1));
    if (!ops_fill_weight(f.dev, f.cmd, f.buf, 0, &layout, 0, 1, &f.log)) {
        fail_msg("%s", f.log.last);
    }
    assert_false(ops_fill_weight(f.dev, f.cmd, f.buf, 0, &layout, UINT32_MAX - 8, 1, &f.log));
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.log.last, "fill: 64 rows from 4294967287, 16384 bytes, are too many"));
    stop(&f);
    start(&f, 1u << 27, 1);
    f.fake.calls = 0;
    f.fake.only = "vkCreateComputePipelines";
    f.fake.fail_at = 1;
    f.fake.fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    assert_false(ops_fill_weight(f.dev, f.cmd, f.buf, 0, &layout, 0, 1, &f.log));
    assert_int_equal(f.errors, 1);
    assert_non_null(strstr(f.log.last, "fill: VK_ERROR_OUT_OF_DEVICE_MEMORY"));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_is_cut_into_batches),
        cmocka_unit_test(no_kernel_is_left),
        cmocka_unit_test(caches_are_cut_alike),
        cmocka_unit_test(fill_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
