/* Builders of the small ops: shapes that do not fit are refused with one line that names the op;
 * the registry and the choice of variants. */
#include "ops/ops.h"

#include "ops/site.h"
#include "ops/weight.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 3, COLS = 8, STEP_WORDS = 64 };

struct fix {
    struct log log;
    struct plan plan;
    uint32_t lines;
    uint32_t x, other, step, weight, short_weight, half_weight;
};

static void count_line(void *user, enum log_level level, const char *line)
{
    (void)line;
    ((struct fix *)user)->lines += level == LOG_ERROR ? 1 : 0;
}

static int start(void **state)
{
    static struct fix f;
    memset(&f, 0, sizeof f);
    log_init(&f.log, count_line, &f, LOG_DEBUG);
    plan_init(&f.plan, &f.log, ROWS, 2, 1);
    f.plan.layer = 0;
    f.x = plan_add_act(&f.plan, "x", ROWS, COLS);
    f.other = plan_add_act(&f.plan, "other", ROWS, COLS + 1);
    f.step = plan_get_step(&f.plan, STEP_WORDS);
    f.weight = plan_get_weight(&f.plan, 0, "w", QUANT_F32, 1, COLS);
    f.short_weight = plan_get_weight(&f.plan, 1, "short", QUANT_F32, 1, COLS - 1);
    f.half_weight = plan_get_weight(&f.plan, 2, "half", QUANT_F16, 1, COLS);
    assert_false(f.plan.failed);
    *state = &f;
    return 0;
}

static int stop(void **state)
{
    struct fix *f = *state;
    plan_finish(&f->plan);
    log_finish(&f->log);
    return 0;
}

/* The last builder refused: one line with this text; the plan goes on. */
static void refused(struct fix *f, uint32_t id, const char *text)
{
    assert_int_equal(id, PLAN_NONE);
    assert_true(f->plan.failed);
    assert_int_equal(f->lines, 1);
    if (strstr(f->log.last, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->log.last, text);
    }
    f->plan.failed = false;
    f->lines = 0;
}

static void test_pairs(void **state)
{
    struct fix *f = *state;
    refused(f, op_add(&f->plan, f->x, f->other), "add: blk.0.x is 3 x 8, blk.0.other is 3 x 9");
    refused(f, op_add(&f->plan, f->x, PLAN_NONE), "add: b is missing");
    refused(f, op_add(&f->plan, f->step, f->x), "add: a (step) has the wrong element type");
    refused(f, op_geglu(&f->plan, f->x, f->other), "geglu: blk.0.x is 3 x 8");
    refused(f, op_swiglu(&f->plan, f->other, f->x), "swiglu: blk.0.other is 3 x 9");
    uint32_t y = op_add(&f->plan, f->x, f->x);
    assert_int_not_equal(y, PLAN_NONE);
    assert_int_equal(plan_get_tensor(&f->plan, y)->cols, COLS);
}

static void test_bias(void **state)
{
    struct fix *f = *state;
    refused(f, op_add(&f->plan, f->x, f->short_weight),
            "add: b (short) has the wrong element type");
    refused(f, op_add(&f->plan, f->x, f->half_weight), "add: b (half) has the wrong element type");
    uint32_t y = op_add(&f->plan, f->x, f->weight);
    assert_int_equal(plan_get_tensor(&f->plan, y)->rows, ROWS);
    uint32_t row = plan_add_act(&f->plan, "row", 1, COLS);
    assert_int_not_equal(op_add(&f->plan, f->x, row), PLAN_NONE);
    refused(f, op_add(&f->plan, row, f->x), "add: blk.0.row is 1 x 8, blk.0.x is 3 x 8");
    refused(f, op_add(&f->plan, f->step, f->weight), "add: a (step) has the wrong element type");
}

static void test_scale(void **state)
{
    struct fix *f = *state;
    refused(f, op_scale(&f->plan, PLAN_NONE, 1, 0), "scale: x is missing");
    refused(f, op_scale(&f->plan, f->x, INFINITY, 0), "scale: blk.0.x: scale inf");
    refused(f, op_scale(&f->plan, f->x, 1, -30), "scale: blk.0.x: scale 1, soft cap -30");
    uint32_t y = op_scale(&f->plan, f->x, 0.5f, 30);
    assert_int_equal(plan_get_tensor(&f->plan, y)->cols, COLS);
}

static void test_quantized(void **state)
{
    struct fix *f = *state;
    uint32_t wide = plan_add_act(&f->plan, "wide", ROWS, 64);
    uint32_t w = plan_get_weight(&f->plan, 3, "w8", QUANT_Q8_0, 5, 64);
    refused(f, op_stage_q8(&f->plan, f->x).x,
            "stage_q8: blk.0.x [3][8]: columns must be a multiple of 32");
    refused(f, op_stage_q8(&f->plan, PLAN_NONE).scale, "stage_q8: x is missing");
    struct op_staged half = op_stage(&f->plan, wide), bytes = op_stage_q8(&f->plan, wide);
    assert_false(f->plan.failed);
    assert_int_equal(plan_tensor_bytes(plan_get_tensor(&f->plan, bytes.x)), ROWS * 64);
    assert_int_equal(plan_get_tensor(&f->plan, bytes.scale)->cols, 2);
    assert_int_not_equal(op_matmul_staged(&f->plan, "y", w, half), PLAN_NONE);
    assert_int_not_equal(op_matmul_staged(&f->plan, "y", w, bytes), PLAN_NONE);
    refused(f, op_matmul_staged(&f->plan, "y", w, (struct op_staged){half.x, bytes.scale}),
            "matmul: scale blk.0.wide:scales is not [3][1] as x blk.0.wide:f16 asks");
    refused(f, op_matmul_staged(&f->plan, "y", w, (struct op_staged){bytes.x, half.scale}),
            "matmul: scale blk.0.wide:scale is not [3][2] as x blk.0.wide:s8 asks");
    refused(f, op_matmul_staged(&f->plan, "y", w, (struct op_staged){wide, half.scale}),
            "matmul: x (blk.0.wide) has the wrong element type");
}

static void test_rmsnorm(void **state)
{
    struct fix *f = *state;
    refused(f, op_rmsnorm(&f->plan, f->x, f->short_weight, 1e-5f), "rmsnorm: weight short");
    refused(f, op_rmsnorm(&f->plan, f->x, f->half_weight, 1e-5f), "rmsnorm: weight half");
    refused(f, op_rmsnorm(&f->plan, f->x, f->x, 1e-5f), "rmsnorm: weight (blk.0.x)");
    assert_int_not_equal(op_rmsnorm(&f->plan, f->x, f->weight, 1e-5f), PLAN_NONE);
    uint32_t heads = plan_add_act(&f->plan, "heads", ROWS, 3 * COLS);
    uint32_t y = op_rmsnorm(&f->plan, heads, f->weight, 1e-5f);
    assert_int_equal(plan_get_tensor(&f->plan, y)->cols, 3 * COLS);
}

static void test_staged(void **state)
{
    struct fix *f = *state;
    uint32_t odd = plan_add_act(&f->plan, "odd", ROWS, COLS - 2);
    uint32_t narrow = plan_get_weight(&f->plan, 3, "narrow", QUANT_F32, 1, COLS - 2);
    uint32_t part = plan_get_weight(&f->plan, 4, "part", QUANT_F32, 1, COLS / 2);
    refused(f, op_stage(&f->plan, odd).x, "stage: blk.0.odd [3][6]: columns");
    refused(f, op_norm_stage(&f->plan, odd, narrow, 1e-5f).x, "norm_stage: norm [3][6]: columns");
    refused(f, op_norm_stage(&f->plan, f->x, part, 1e-5f).x, "norm_stage: weight part is not F32");
    refused(f, op_norm_stage(&f->plan, f->x, f->half_weight, 1e-5f).x, "norm_stage: weight half");
    refused(f, op_norm_stage(&f->plan, f->x, f->x, 1e-5f).x, "norm_stage: weight (blk.0.x) has");
    refused(f, op_gate_stage(&f->plan, f->x, f->other, false).x, "gate_stage: blk.0.x is 3 x 8");
    refused(f, op_gate_stage(&f->plan, odd, odd, true).x, "gate_stage: glu [3][6]: columns");
    refused(f, op_gate_stage(&f->plan, f->x, f->step, true).x, "gate_stage: up (step) has");
    assert_int_not_equal(op_norm_stage(&f->plan, f->x, f->weight, 1e-5f).x, PLAN_NONE);
    assert_int_not_equal(op_gate_stage(&f->plan, f->x, f->x, true).scale, PLAN_NONE);
}

static void test_rope_append(void **state)
{
    struct fix *f = *state;
    const struct op_rope_append_attr good = {
        .rope = {.heads = 2, .head_dim = 4, .dims = 4, .base = 1e4f, .scale = 1, .magnitude = 1},
        .append = {.kv_heads = 2, .head_dim = 4, .slots = 32}};
    struct op_rope_append_attr many = good, few = good, group = good, dim = good;
    struct plan_tensor cache = {
        .name = "cache", .role = PLAN_KV, .elem = PLAN_F16, .rows = 2, .cols = 32 * 4, .layer = 0};
    uint32_t caches[2], tall = plan_add_act(&f->plan, "tall", ROWS + 1, COLS);
    for (uint32_t i = 0; i < 2; i++) {
        cache.is_value = i != 0;
        caches[i] = plan_add_tensor(&f->plan, &cache);
    }
    const uint32_t qkv[] = {f->x, f->x, f->x}, bad_v[] = {f->x, f->x, f->other};
    const uint32_t bad_q[] = {tall, f->x, f->x};
    many.rope.heads = 3;
    few.append.kv_heads = 1;
    group.append.group = 2;
    dim.append.head_dim = 2;
    dim.append.kv_heads = 4;
    struct plan *p = &f->plan;
    refused(f, op_rope_append(p, qkv, caches, f->step, PLAN_NONE, &many), "rope_append: blk.0.x");
    refused(f, op_rope_append(p, qkv, caches, f->step, PLAN_NONE, &few), "rope_append: blk.0.x");
    refused(f, op_rope_append(p, qkv, caches, f->step, PLAN_NONE, &group),
            "rope_append: blk.0.x: cache group 2");
    refused(f, op_rope_append(p, qkv, caches, f->step, PLAN_NONE, &dim), "rope_append: blk.0.x");
    refused(f, op_rope_append(p, bad_v, caches, f->step, PLAN_NONE, &good), "rope_append: blk.0.x");
    refused(f, op_rope_append(p, bad_q, caches, f->step, PLAN_NONE, &good),
            "rope_append: blk.0.tall: 4 rows");
    refused(f, op_rope_append(p, qkv, caches, f->x, PLAN_NONE, &good), "rope_append: step");
    assert_int_not_equal(op_rope_append(p, qkv, caches, f->step, PLAN_NONE, &good), PLAN_NONE);
}

static void test_rope(void **state)
{
    struct fix *f = *state;
    const struct op_rope_attr good = {
        .heads = 2, .head_dim = 4, .dims = 4, .base = 1e4f, .scale = 1, .magnitude = 1};
    struct op_rope_attr odd = good, many = good, wide = good, flat = good, none = good;
    odd.dims = 3;
    many.heads = 3;
    wide.dims = 6;
    flat.base = 0;
    none.magnitude = 0;
    refused(f, op_rope(&f->plan, f->x, f->step, PLAN_NONE, &odd), "rope: blk.0.x");
    refused(f, op_rope(&f->plan, f->x, f->step, PLAN_NONE, &many), "rope: blk.0.x");
    refused(f, op_rope(&f->plan, f->x, f->step, PLAN_NONE, &wide), "rope: blk.0.x");
    refused(f, op_rope(&f->plan, f->x, f->step, PLAN_NONE, &flat), "rope: base 0");
    refused(f, op_rope(&f->plan, f->x, f->step, PLAN_NONE, &none),
            "rope: base 10000, scale 1, mag");
    refused(f, op_rope(&f->plan, f->x, f->step, f->weight, &good), "rope: w is not F32 [2]");
    refused(f, op_rope(&f->plan, f->x, f->x, PLAN_NONE, &good), "rope: step (blk.0.x)");
    assert_int_not_equal(op_rope(&f->plan, f->x, f->step, PLAN_NONE, &good), PLAN_NONE);
}

static void test_weights(void **state)
{
    struct fix *f = *state;
    uint32_t ids = plan_add_tensor(
        &f->plan,
        &(struct plan_tensor){
            .name = "ids_in", .role = PLAN_IDS_IN, .elem = PLAN_U32, .rows = 1, .cols = ROWS});
    refused(f, op_embed(&f->plan, f->short_weight, f->step, ids),
            "embed: weight short [1][7]: col");
    refused(f, op_embed(&f->plan, f->x, f->step, ids), "embed: weight (blk.0.x) has the wrong");
    refused(f, op_embed(&f->plan, f->weight, PLAN_NONE, ids), "embed: step is missing");
    refused(f, op_matmul(&f->plan, "y", f->short_weight, f->x),
            "matmul: weight short [1][7] does not fit x blk.0.x [3][8]");
    uint32_t odd = plan_add_act(&f->plan, "odd", ROWS, COLS - 1);
    refused(f, op_matmul(&f->plan, "y", f->short_weight, odd), "columns must be a multiple of 4");
    refused(f, op_matmul(&f->plan, "y", PLAN_NONE, f->x), "matmul: weight is missing");
    const struct op_attention_attr attr = {.heads = 2, .splits = 2, .head_dim = COLS - 2};
    refused(f, op_attn_merge(&f->plan, f->x, f->step, &attr),
            "attn_merge: blk.0.x 3 x 8 is not 2 heads");
    refused(f, op_attn_merge(&f->plan, PLAN_NONE, f->step, &attr), "attn_merge: ");
}

static void test_head(void **state)
{
    struct fix *f = *state;
    uint32_t y = op_rows(&f->plan, f->x, f->step);
    assert_int_equal(plan_get_tensor(&f->plan, y)->rows, 2);
    op_logits(&f->plan, y);
    assert_int_equal(plan_get_tensor(&f->plan, y)->role, PLAN_LOGITS);
    struct op_argmax_attr attr = {.n_banned = OP_MAX_BANNED};
    uint32_t ids = op_argmax(&f->plan, y, &attr);
    assert_int_equal(plan_get_tensor(&f->plan, ids)->role, PLAN_IDS_OUT);
    assert_int_equal(plan_get_tensor(&f->plan, ids)->cols, 2);
    refused(f, op_argmax(&f->plan, f->step, &attr), "argmax: logits (step)");
    attr.n_banned++;
    refused(f, op_argmax(&f->plan, y, &attr), "argmax: 9 tokens of ");
    uint32_t tops = op_topk(&f->plan, y, 40);
    assert_int_equal(plan_get_tensor(&f->plan, tops)->role, PLAN_IDS_OUT);
    assert_int_equal(plan_get_tensor(&f->plan, tops)->rows, 2);
    assert_int_equal(plan_get_tensor(&f->plan, tops)->cols, 80);
    refused(f, op_topk(&f->plan, f->step, 1), "topk: logits (step)");
    refused(f, op_topk(&f->plan, y, 0), "topk: the largest 0 of ");
    refused(f, op_topk(&f->plan, y, OP_MAX_TOP + 1), "topk: the largest 513 of ");
    uint32_t scores = op_score(&f->plan, y, f->step);
    assert_int_equal(plan_get_tensor(&f->plan, scores)->role, PLAN_SCORES);
    assert_int_equal(plan_get_tensor(&f->plan, scores)->rows, 2);
    assert_int_equal(plan_get_tensor(&f->plan, scores)->cols, 1);
    refused(f, op_score(&f->plan, f->step, f->step), "score: logits (step)");
    refused(f, op_score(&f->plan, y, f->x), "score: step (blk.0.x)");
    f->plan.n_out = 0;
    refused(f, op_rows(&f->plan, f->x, f->step), "rows: no rows");
}

static void test_too_large(void **state)
{
    struct fix *f = *state;
    uint32_t a = plan_add_act(&f->plan, "large", 1u << 16, 1u << 15);
    refused(f, op_add(&f->plan, a, a), "too large for 32-bit indices");
}

/* A plan that has failed takes nothing more, silently. */
static void test_failed(void **state)
{
    struct fix *f = *state;
    f->plan.failed = true;
    size_t nodes = f->plan.n_nodes;
    assert_int_equal(op_add(&f->plan, f->x, f->x), PLAN_NONE);
    assert_int_equal(op_rmsnorm(&f->plan, f->x, f->weight, 1e-5f), PLAN_NONE);
    assert_int_equal(op_argmax(&f->plan, f->x, &(struct op_argmax_attr){0}), PLAN_NONE);
    op_logits(&f->plan, f->x);
    assert_int_equal(plan_get_tensor(&f->plan, f->x)->role, PLAN_ACT);
    assert_int_equal(f->plan.n_nodes, nodes);
    assert_int_equal(f->lines, 0);
}

static void test_registry(void **state)
{
    (void)state;
    static const char *const names[] = {"add",       "argmax", "attention", "embed",
                                        "kv_append", "matmul", "rmsnorm",   "rope",
                                        "rows",      "swiglu", "geglu",     "scale"};
    uint32_t n;
    const struct op *const *list = ops_list(&n);
    for (uint32_t i = 0; i < n; i++) {
        assert_ptr_equal(ops_find(list[i]->name), list[i]);
        assert_non_null(list[i]->purpose);
        assert_non_null(list[i]->cost);
        assert_non_null(list[i]->record);
    }
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(ops_find(names[i]));
    }
    assert_null(ops_find("no such op"));
}

static void test_pick(void **state)
{
    (void)state;
    const struct dev_shader shader = {.name = "toy"};
    const struct ops_variant table[] = {
        {.name = "a",
         .needs = DEV_CAP_CPU | DEV_CAP_TEXEL,
         .min_subgroup = 4,
         .max_subgroup = 16,
         .shader = &shader},
        {.name = "b", .needs = DEV_CAP_SUBGROUP, .max_tokens = 4, .shader = &shader},
        {.name = "c", .min_tokens = 2, .shader = &shader},
    };
    struct dev_caps caps = {.has = DEV_CAP_CPU | DEV_CAP_TEXEL | DEV_CAP_SUBGROUP,
                            .subgroup_size = 8};
    const struct op op = {.name = "toy", .variants = table, .n_variants = 3};
    struct ops_need need = {.op = &op, .tokens = 1, .quant = QUANT_COUNT};
    struct ops_prefs prefs = {0};
    const char *why;
    assert_ptr_equal(ops_variant_choose(&need, &caps, NULL, &why), &table[0]);
    prefs.forced = "c"; /* runs outside its best numbers of tokens too */
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[2]);
    need.unfit[2] = "too odd";
    assert_null(ops_variant_choose(&need, &caps, &prefs, &why));
    assert_string_equal(why, "too odd");
    prefs.forced = "z";
    assert_null(ops_variant_choose(&need, &caps, &prefs, &why));
    assert_string_equal(why, "the op has no such variant");
    prefs.forced = NULL;
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[0]);
    need.unfit[2] = NULL;
    caps.subgroup_size = 32;
    need.tokens = 4;
    assert_ptr_equal(ops_variant_choose(&need, &caps, NULL, &why), &table[1]);
    need.tokens = 5;
    assert_ptr_equal(ops_variant_choose(&need, &caps, NULL, &why), &table[2]);
    assert_true(ops_prefs_add_off(&prefs, "toy", "c") && ops_prefs_add_off(&prefs, "toy", "c"));
    assert_int_equal(prefs.n_off, 1);
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[1]);
    assert_true(ops_prefs_add_off(&prefs, NULL, "b"));
    assert_null(ops_variant_choose(&need, &caps, &prefs, &why));
    assert_string_equal(why, "no kernel is left");
    ops_prefs_finish(&prefs);
    char text[64];
    assert_false(ops_variant_supported(&table[0], &caps, text, sizeof text));
    assert_string_equal(text, "subgroup size 32, not 4 to 16");
    caps.has = 0;
    assert_false(ops_variant_supported(&table[0], &caps, text, sizeof text));
    assert_string_equal(text, "cpu, texel");
    assert_true(ops_variant_supported(&table[2], &caps, text, sizeof text));
    need.tokens = 1;
    need.unfit[2] = "too odd";
    assert_null(ops_variant_choose(&need, &caps, NULL, &why));
}

/* A row below, which was measured to be faster in one format and class. */
static void test_pick_rival(void **state)
{
    (void)state;
    const struct dev_shader shader = {.name = "toy"};
    const struct ops_variant table[] = {
        {.name = "a", .min_tokens = 2, .shader = &shader},
        {.name = "b", .min_tokens = 2, .shader = &shader, .rival = true},
        {.name = "c", .shader = &shader},
    };
    const struct dev_caps caps = {.subgroup_size = 32};
    const struct op op = {.name = "toy", .variants = table, .n_variants = 3};
    struct ops_need need = {.op = &op, .tokens = 100, .quant = QUANT_F16};
    struct ops_prefs prefs = {0};
    struct ops_tuned tuned = {.op = "toy", .variant = "b", .quant = QUANT_F16, .class = 3};
    const char *why;
    assert_true(ops_prefs_add_tuned(&prefs, &tuned));
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[0]);
    tuned.first = true;
    assert_true(ops_prefs_add_tuned(&prefs, &tuned));
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[1]);
    assert_ptr_equal(ops_variant_choose(&need, &caps, NULL, &why), &table[0]);
    need.tokens = 64;
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[0]);
    need.tokens = 100;
    need.quant = QUANT_Q8_0;
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[0]);
    need.quant = QUANT_F16;
    need.unfit[1] = "too odd";
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[0]);
    need.unfit[1] = NULL;
    assert_true(ops_prefs_add_off(&prefs, "toy", "b"));
    assert_ptr_equal(ops_variant_choose(&need, &caps, &prefs, &why), &table[0]);
    ops_prefs_finish(&prefs);
}

/* Tuned values are taken for their op, variant, format and class alone, and only candidates. */
static void test_tuned(void **state)
{
    (void)state;
    const struct ops_variant table[] = {
        {.name = "a", .tunables = {{"rows", {1, 2, 4}}, {"local", {32, 64}}}}, {.name = "b"}};
    const struct op op = {.name = "toy", .variants = table, .n_variants = 2};
    struct ops_prefs prefs = {0};
    struct ops_tuned tuned = {
        .op = "toy", .variant = "a", .quant = QUANT_COUNT, .class = 1, .values = {4, 32}};
    assert_true(ops_prefs_add_tuned(&prefs, &tuned));
    tuned.values[0] = 2;
    assert_true(ops_prefs_add_tuned(&prefs, &tuned));
    assert_int_equal(prefs.n_tuned, 1);
    struct ops_need need = {.op = &op, .tokens = 8, .quant = QUANT_COUNT};
    uint32_t values[OPS_MAX_TUNABLES] = {7, 7, 7, 7};
    assert_false(ops_tuned_get(NULL, &need, &table[0], values));
    assert_true(ops_tuned_get(&prefs, &need, &table[0], values));
    assert_true(values[0] == 2 && values[1] == 32 && values[2] == 7);
    need.tokens = 9;
    assert_false(ops_tuned_get(&prefs, &need, &table[0], values));
    need.tokens = 2;
    assert_false(ops_tuned_get(&prefs, &need, &table[1], values));
    prefs.tuned[0].values[1] = 48; /* no candidate */
    values[0] = 7;
    assert_false(ops_tuned_get(&prefs, &need, &table[0], values));
    assert_int_equal(values[0], 7);
    ops_prefs_finish(&prefs);
    assert_true(ops_token_class(1) == 0 && ops_token_class(2) == 1 && ops_token_class(64) == 2 &&
                ops_token_class(65) == 3 && ops_token_class(512) == 3 && ops_token_class(513) == 4);
}

static void test_lanes_and_fold(void **state)
{
    (void)state;
    struct dev_caps caps = {.has = DEV_CAP_CPU | DEV_CAP_TEXEL | DEV_CAP_SHUFFLE,
                            .subgroup_size = 8,
                            .max_workgroup_count = {INT32_MAX, 65535, 65535}};
    assert_int_equal(ops_weight_lanes(&caps, NULL), 8);
    caps.subgroup_size = 32;
    assert_int_equal(ops_weight_lanes(&caps, NULL), 1);
    caps.subgroup_size = 8;
    caps.has &= ~(uint32_t)DEV_CAP_TEXEL;
    assert_int_equal(ops_weight_lanes(&caps, NULL), 1);
    static const uint64_t counts[] = {1, 65535, 65536, 131071, 10000000};
    for (uint32_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (uint32_t dim = 0; dim < 2; dim++) { /* the limits differ: one GPU's are such */
            uint32_t groups[3] = {7, 7, 7}, *g = &groups[dim];
            ops_fold(&caps, dim, counts[i], groups);
            assert_true(g[0] >= 1 && g[0] <= caps.max_workgroup_count[dim] && g[1] <= 65535);
            assert_true((uint64_t)g[0] * g[1] >= counts[i]);
            assert_true((uint64_t)g[0] * g[1] - counts[i] < g[1]);
            assert_int_equal(groups[2 - 2 * dim], 7);
        }
    }
}

/* The largest weight times the factor lies in [2^13, 2^14) where factor and inverse are normal. */
static void test_weight_exponent(void **state)
{
    (void)state;
    assert_int_equal(ops_weight_exponent(&(struct op_place){.top = 0}), 127);
    for (uint32_t top = 1; top < 255; top++) {
        uint32_t exponent = ops_weight_exponent(&(struct op_place){.top = top});
        assert_in_range(exponent, 1, 253);
        double scaled = ldexp(1, (int)top - 127 + (int)exponent - 127);
        assert_true(top < 14 ? scaled < 0x1p13 : scaled == 0x1p13);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pairs, start, stop),
        cmocka_unit_test_setup_teardown(test_bias, start, stop),
        cmocka_unit_test_setup_teardown(test_scale, start, stop),
        cmocka_unit_test_setup_teardown(test_quantized, start, stop),
        cmocka_unit_test_setup_teardown(test_rmsnorm, start, stop),
        cmocka_unit_test_setup_teardown(test_staged, start, stop),
        cmocka_unit_test_setup_teardown(test_rope_append, start, stop),
        cmocka_unit_test_setup_teardown(test_rope, start, stop),
        cmocka_unit_test_setup_teardown(test_weights, start, stop),
        cmocka_unit_test_setup_teardown(test_head, start, stop),
        cmocka_unit_test_setup_teardown(test_too_large, start, stop),
        cmocka_unit_test_setup_teardown(test_failed, start, stop),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_pick),
        cmocka_unit_test(test_pick_rival),
        cmocka_unit_test(test_tuned),
        cmocka_unit_test(test_lanes_and_fold),
        cmocka_unit_test(test_weight_exponent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
