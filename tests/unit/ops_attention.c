/* Attention's builder, and what the op tests cannot say: a token's result does not depend, to the
 * bit, on which other tokens are in the step. Needs a driver for that; skipped without one. */
#include "ops/ops.h"

#include "base/half.h"
#include "base/hash.h"
#include "ops/variant.h"
#include "shaders/common/kv_types.h"
#include "shaders/common/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEADS = 4, KV_HEADS = 2, DIMS = 32, BLOCKS = 16, SEQUENCES = 3, TOKENS = 96 };
enum { SLOTS = SEQUENCES * BLOCKS * STEP_BLOCK, ROW = HEADS * DIMS };

static const struct op_attention_attr ATTR = {.heads = HEADS,
                                              .kv_heads = KV_HEADS,
                                              .head_dim = DIMS,
                                              .slots = SLOTS,
                                              .splits = 1,
                                              .scale = 0.25f};

static uint32_t add_cache(struct plan *plan, const struct op_attention_attr *attr, bool is_value)
{
    return plan_add_tensor(plan,
                           &(struct plan_tensor){.name = "cache",
                                                 .role = PLAN_KV,
                                                 .elem = PLAN_F16,
                                                 .rows = attr->kv_heads,
                                                 .cols = (uint64_t)attr->slots * attr->head_dim,
                                                 .is_value = is_value});
}

struct ids {
    uint32_t q, k, v, step, result;
};

static uint32_t count_words(uint32_t tokens)
{
    return STEP_HEADER + STEP_ARRAYS * tokens + SEQUENCES * BLOCKS + tokens * HEADS;
}

static struct ids build_as(struct plan *plan, struct log *log, uint32_t tokens, bool merged,
                           const struct op_attention_attr *attr)
{
    struct ids ids;
    plan_init(plan, log, tokens, 0, 1);
    ids.q = plan_add_act(plan, "q", tokens, ROW);
    ids.k = add_cache(plan, &ATTR, false);
    ids.v = add_cache(plan, &ATTR, true);
    ids.step = plan_get_step(plan, count_words(tokens));
    ids.result =
        (merged ? op_attention_merged : op_attention)(plan, ids.q, ids.k, ids.v, ids.step, attr);
    return ids;
}

static struct ids build(struct plan *plan, struct log *log, uint32_t tokens,
                        const struct op_attention_attr *attr)
{
    return build_as(plan, log, tokens, false, attr);
}

static void test_refusals(void **state)
{
    (void)state;
    struct op_attention_attr bad[11];
    for (size_t i = 0; i < 11; i++) {
        bad[i] = ATTR;
    }
    bad[0].head_dim = 31;
    bad[1].head_dim = OP_MAX_HEAD_DIM + 2;
    bad[2].kv_heads = 3;
    bad[3].kv_heads = 0;
    bad[4].splits = 0;
    bad[5].splits = OP_MAX_SPLITS + 1;
    bad[6].slots = SLOTS - 1;
    bad[7].slots = SLOTS + STEP_BLOCK;
    bad[8].group = 2;
    bad[9].softcap = -1;
    bad[10].softcap = NAN;
    for (size_t i = 0; i < 11; i++) {
        struct log log;
        struct plan plan;
        log_init(&log, NULL, NULL, LOG_ERROR);
        struct ids ids = build(&plan, &log, 4, &bad[i]);
        assert_int_equal(ids.result, PLAN_NONE);
        assert_true(plan.failed);
        assert_ptr_equal(strstr(log.last, "attention: q"), log.last);
        assert_null(strchr(log.last, '\n'));
        plan_finish(&plan);
        log_finish(&log);
    }
}

static void test_append_refusals(void **state)
{
    (void)state;
    const struct op_kv_append_attr bad[] = {{KV_HEADS, DIMS - 1, SLOTS, 0},
                                            {KV_HEADS + 1, DIMS, SLOTS, 0},
                                            {KV_HEADS, DIMS, SLOTS + 32, 0},
                                            {KV_HEADS, DIMS, SLOTS, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct log log;
        struct plan plan;
        log_init(&log, NULL, NULL, LOG_ERROR);
        plan_init(&plan, &log, 4, 0, 1);
        uint32_t k = plan_add_act(&plan, "k", 4, KV_HEADS * DIMS);
        uint32_t v = plan_add_act(&plan, "v", 4, KV_HEADS * DIMS);
        uint32_t k_cache = add_cache(&plan, &ATTR, false), v_cache = add_cache(&plan, &ATTR, true);
        op_kv_append(&plan, k, v, k_cache, v_cache, plan_get_step(&plan, 64), &bad[i]);
        assert_true(plan.failed);
        assert_ptr_equal(strstr(log.last, "kv_append: k"), log.last);
        plan_finish(&plan);
        log_finish(&log);
    }
}

static void test_copy_refusals(void **state)
{
    (void)state;
    const struct op_kv_copy_attr bad[] = {{KV_HEADS, DIMS - 1, SLOTS, 0, 1},
                                          {KV_HEADS + 1, DIMS, SLOTS, 0, 1},
                                          {0, DIMS, SLOTS, 0, 1},
                                          {KV_HEADS, DIMS, SLOTS + 32, 0, 1},
                                          {KV_HEADS, DIMS, SLOTS, 2, 1},
                                          {KV_HEADS, DIMS, SLOTS, 0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct log log;
        struct plan plan;
        log_init(&log, NULL, NULL, LOG_ERROR);
        plan_init(&plan, &log, 4, 0, 1);
        uint32_t k_cache = add_cache(&plan, &ATTR, false), v_cache = add_cache(&plan, &ATTR, true);
        op_kv_copy(&plan, k_cache, v_cache, plan_get_step(&plan, 64), &bad[i]);
        assert_true(plan.failed);
        assert_ptr_equal(strstr(log.last, "kv_copy: cache"), log.last);
        plan_finish(&plan);
        log_finish(&log);
    }
}

static void test_nodes(void **state)
{
    (void)state;
    struct log log;
    struct plan plan;
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct ids ids = build(&plan, &log, 4, &ATTR);
    assert_int_equal(plan.n_nodes, 1);
    assert_true(plan.tensors[ids.result].rows == 4 && plan.tensors[ids.result].cols == ROW);
    plan_finish(&plan);
    struct op_attention_attr attr = ATTR;
    attr.splits = 5;
    ids = build(&plan, &log, 4, &attr);
    assert_int_equal(plan.n_nodes, 2);
    const struct plan_tensor *partial = &plan.tensors[plan.nodes[0].dst[0]];
    assert_true(partial->rows == 4 * HEADS * 5 && partial->cols == DIMS + 2);
    assert_true(plan.tensors[ids.result].rows == 4 && plan.tensors[ids.result].cols == ROW);
    plan_finish(&plan);
    ids = build_as(&plan, &log, 4, true, &attr);
    assert_int_equal(plan.n_nodes, 1);
    assert_int_equal(plan.nodes[0].dst[0], ids.result);
    partial = &plan.tensors[plan.nodes[0].dst[1]];
    assert_true(partial->rows == 4 * HEADS * 5 && partial->cols == DIMS + 2);
    plan_finish(&plan);
    attr.splits = 1;
    ids = build_as(&plan, &log, 4, true, &attr);
    assert_true(plan.failed && ids.result == PLAN_NONE);
    assert_non_null(strstr(log.last, "one split leaves nothing to join"));
    plan_finish(&plan);
    log_finish(&log);
}

/* Splits of steps: many where KV heads are few, none that the context has no part for. */
static void test_splits(void **state)
{
    (void)state;
    assert_int_equal(op_attention_splits(32, 32768, 1), 16);
    assert_int_equal(op_attention_splits(32, 32768, 3), 4);
    assert_int_equal(op_attention_splits(32, 32768, 4), 4);
    assert_int_equal(op_attention_splits(32, 32768, 5), 2);
    assert_int_equal(op_attention_splits(1, 32768, 1), OP_MAX_SPLITS);
    assert_int_equal(op_attention_splits(1, 4 * KV_PART, 1), 4);
    assert_int_equal(op_attention_splits(1, 4 * KV_PART + 1, 1), 5);
    assert_int_equal(op_attention_splits(8, 1, 1), 2);
    assert_int_equal(op_attention_splits(UINT32_MAX, UINT32_MAX, 16), 2);
    assert_int_equal(op_attention_splits(1, 32768, 17), 16);
    assert_int_equal(op_attention_splits(8, 32768, OP_MOST_STREAMS), 2);
}

/* ---- on a device ---- */

struct inputs {
    float q[TOKENS * ROW];
    uint16_t k[KV_HEADS * SLOTS * DIMS], v[KV_HEADS * SLOTS * DIMS];
    uint32_t seq[TOKENS], len[TOKENS], table[SEQUENCES * BLOCKS];
};

static void print_line(void *user, enum log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

static void fill(struct inputs *in)
{
    uint64_t rng = 11;
    uint32_t seen[SEQUENCES] = {0};
    for (size_t i = 0; i < TOKENS * ROW; i++) {
        in->q[i] = (float)(hash_uniform(&rng) * 8 - 4);
    }
    for (size_t i = 0; i < KV_HEADS * SLOTS * DIMS; i++) {
        in->k[i] = half_from_float((float)(hash_uniform(&rng) * 2 - 1));
        in->v[i] = half_from_float((float)(hash_uniform(&rng) * 2 - 1));
    }
    for (uint32_t t = 0; t < TOKENS; t++) {
        in->seq[t] = t < TOKENS / 3 ? 0 : (uint32_t)(hash_next(&rng) % SEQUENCES);
        in->len[t] = ++seen[in->seq[t]];
    }
    for (uint32_t i = 0; i < SEQUENCES * BLOCKS; i++) {
        in->table[i] = (i * 5 + 3) % (SEQUENCES * BLOCKS);
    }
}

static struct dev_buf *upload(struct dev *dev, const void *data, uint64_t bytes)
{
    struct dev_buf *buf =
        dev_buf_create(dev, &(struct dev_buf_params){.name = "test", .bytes = bytes});
    assert_non_null(buf);
    assert_true(dev_upload(dev, buf, 0, data, bytes));
    return buf;
}

enum { WORDS = STEP_HEADER + STEP_ARRAYS * TOKENS + SEQUENCES * BLOCKS + TOKENS * HEADS };

static void set_words(uint32_t *words, const struct inputs *in, uint32_t first, uint32_t n)
{
    uint32_t *arrays = words + STEP_HEADER;
    memset(words, 0, WORDS * sizeof *words);
    words[STEP_N_TOKENS] = words[STEP_CAP] = n;
    words[STEP_BLOCKS] = BLOCKS;
    words[STEP_N_SEQ] = SEQUENCES;
    words[STEP_TICKETS] = count_words(n) - n * HEADS;
    memcpy(arrays + STEP_SEQ * n, in->seq + first, n * sizeof *words);
    memcpy(arrays + STEP_LEN * n, in->len + first, n * sizeof *words);
    memcpy(arrays + STEP_ARRAYS * n, in->table, sizeof in->table);
}

static struct dev_cmd *record_nodes(struct dev *dev, const struct plan *plan,
                                    const struct op_place *places)
{
    struct dev_cmd *cmd = dev_cmd_create(dev);
    struct op_site site = {
        .dev = dev, .cmd = cmd, .plan = plan, .places = places, .log = dev_get_log(dev)};
    assert_non_null(cmd);
    assert_true(dev_cmd_begin(cmd));
    for (size_t i = 0; i < plan->n_nodes; i++) {
        assert_true(plan->nodes[i].op->record(&site, &plan->nodes[i]));
    }
    assert_true(dev_cmd_end(cmd));
    return cmd;
}

/* Results of tokens [first, first + n), computed as one step, twice: the step buffer is left as it
 * was. */
static void run_chunk(struct dev *dev, const struct inputs *in, uint32_t first, uint32_t n,
                      const struct op_attention_attr *attr, bool merged, float *out)
{
    struct plan plan;
    struct ids ids = build_as(&plan, dev_get_log(dev), n, merged, attr);
    assert_false(plan.failed);
    static uint32_t words[WORDS], after[WORDS];
    set_words(words, in, first, n);
    uint32_t partial = attr->splits > 1 ? plan.nodes[0].dst[merged ? 1 : 0] : ids.result;
    uint64_t partial_bytes = plan_tensor_bytes(plan_get_tensor(&plan, partial));
    void *zeros = mem_alloc((size_t)partial_bytes, 1);
    assert_non_null(zeros);
    uint64_t bytes = (uint64_t)n * ROW * sizeof(float);
    struct op_segment segments[] = {
        {.buf = upload(dev, in->q + (size_t)first * ROW, bytes), .bytes = bytes},
        {.buf = upload(dev, in->k, sizeof in->k), .bytes = sizeof in->k, .rows = KV_HEADS},
        {.buf = upload(dev, in->v, sizeof in->v), .bytes = sizeof in->v, .rows = KV_HEADS},
        {.buf = upload(dev, words, sizeof words), .bytes = sizeof words},
        {.buf = upload(dev, zeros, partial_bytes), .bytes = partial_bytes},
        {.buf = upload(dev, in->q, bytes), .bytes = bytes},
    };
    struct op_place places[6];
    const uint32_t tensor[6] = {ids.q, ids.k, ids.v, ids.step, partial, ids.result};
    for (uint32_t i = 0; i < 6; i++) {
        places[tensor[i]] = (struct op_place){.n_segments = 1, .segments = &segments[i]};
    }
    struct dev_cmd *cmd = record_nodes(dev, &plan, places);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(dev_wait(dev, dev_submit(dev, cmd)));
        assert_true(dev_download(dev, segments[3].buf, 0, after, sizeof after));
        assert_memory_equal(after, words, sizeof after);
    }
    assert_true(dev_download(dev, segments[5].buf, 0, out + (size_t)first * ROW, bytes));
    dev_cmd_destroy(cmd);
    mem_free(zeros);
    for (uint32_t i = 0; i < 6; i++) {
        dev_buf_destroy(segments[i].buf);
    }
    plan_finish(&plan);
}

static void check_device(struct dev *dev, const struct inputs *in)
{
    static const uint32_t CHUNKS[] = {1, 7, 20, 64};
    float *whole = mem_alloc(TOKENS * ROW, sizeof *whole);
    float *parts = mem_alloc(TOKENS * ROW, sizeof *parts);
    assert_true(whole != NULL && parts != NULL);
    run_chunk(dev, in, 0, TOKENS, &ATTR, false, whole);
    for (size_t c = 0; c < sizeof CHUNKS / sizeof *CHUNKS; c++) {
        memset(parts, 0xff, TOKENS * ROW * sizeof *parts);
        for (uint32_t first = 0; first < TOKENS; first += CHUNKS[c]) {
            uint32_t left = TOKENS - first;
            run_chunk(dev, in, first, left < CHUNKS[c] ? left : CHUNKS[c], &ATTR, false, parts);
        }
        assert_memory_equal(parts, whole, TOKENS * ROW * sizeof *parts);
    }
    mem_free(whole);
    mem_free(parts);
}

/* Joined by the kernel or by a node of its own, and however long the contexts: the same bits. */
static void check_merged(struct dev *dev, const struct inputs *in)
{
    enum { N = 6 };
    struct inputs *other = mem_alloc(1, sizeof *other);
    float apart[N * ROW], joined[N * ROW];
    struct op_attention_attr attr = ATTR;
    assert_non_null(other);
    *other = *in;
    for (uint32_t t = 0; t < N; t++) {
        other->len[t] = (uint32_t[]){1, KV_PART, KV_PART + 1, 3 * KV_PART, 400, 512}[t];
    }
    for (attr.splits = 2; attr.splits <= 8; attr.splits += 3) {
        run_chunk(dev, other, 0, N, &attr, false, apart);
        run_chunk(dev, other, 0, N, &attr, true, joined);
        assert_memory_equal(apart, joined, sizeof apart);
    }
    mem_free(other);
}

static void each_device(void (*check)(struct dev *dev, const struct inputs *in))
{
    struct log log;
    log_init(&log, print_line, NULL, LOG_WARN);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){.log = &log});
    if (inst == NULL) {
        log_finish(&log);
        skip();
    }
    struct inputs *in = mem_alloc(1, sizeof *in);
    assert_non_null(in);
    fill(in);
    /* Matrix units are for many tokens only, and round. */
    static const uint32_t OFF[] = {DEV_CAP_COOPMAT, DEV_CAP_COOPMAT | DEV_CAP_TEXEL,
                                   DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE};
    for (uint32_t d = 0; d < dev_instance_count(inst); d++) {
        for (size_t i = 0; i < 3 && dev_instance_info(inst, d)->usable; i++) {
            struct dev *dev =
                dev_open(inst, &(struct dev_open_params){.index = d, .caps_off = OFF[i]});
            assert_non_null(dev);
            check(dev, in);
            dev_close(dev);
        }
    }
    mem_free(in);
    assert_int_equal(dev_instance_messages(inst), 0);
    dev_instance_destroy(inst);
    log_finish(&log);
}

static void test_chunks(void **state)
{
    (void)state;
    each_device(check_device);
}

static void test_merged(void **state)
{
    (void)state;
    each_device(check_merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_append_refusals),
        cmocka_unit_test(test_copy_refusals), cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_splits),        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
