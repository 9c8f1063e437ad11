/* Oracle and shapes of attention, splits and their joining included. Entries that no token sees are
 * NaN, so that reading one shows; those that lie in one block with the first that is seen may be
 * loaded, and are large. */
#include "lab/lab.h"

#include "base/hash.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <math.h>

enum { TOKENS, HEADS, KV_HEADS, HEAD_DIM, LEN, SPLITS, SEQUENCES, MODE, WINDOW };
enum {
    MIXED = 1,    /* V cache of the other element type */
    LARGE = 2,    /* scores of about +-1e4 */
    WOVEN = 4,    /* neighbouring tokens belong to different sequences */
    CAPPED = 8,   /* scores are capped */
    LOCAL = 16,   /* the caches are those of local layers */
    BLOCKS = 32,  /* quantized caches too: drivers compile for long, so not all shapes */
    MERGED = 128, /* the splits are joined by the same node */
    CROSS = 64,   /* V cache of a type of the other kind: quantized or not */
};

static const uint32_t SHAPES[][LAB_DIMS] = {
    /* decode */
    {1, 8, 4, 32, 1, 1, 1, 0},
    {1, 8, 4, 32, 257, 1, 1, BLOCKS},
    {1, 4, 4, 64, 2, 2, 1, 0},
    {1, 4, 1, 64, 100, 5, 1, MIXED | BLOCKS},
    {1, 8, 1, 128, 257, 8, 1, BLOCKS},
    {1, 2, 2, 80, 33, 1, 1, MIXED},
    {1, 6, 2, 96, 257, 2, 1, 0},
    {1, 16, 1, 32, 31, 1, 1, LARGE},
    {1, 4, 2, 256, 32, 5, 1, LARGE | MIXED | BLOCKS},
    {1, 3, 1, 100, 100, 2, 1, 0},
    {1, 2, 1, 2, 33, 1, 1, 0},
    {1, 2, 1, 72, 33, 2, 1, 0},
    {3, 8, 4, 32, 100, 8, 3, WOVEN},
    {5, 4, 2, 64, 33, 5, 2, WOVEN | MIXED},
    {1, 8, 4, 32, 257, 1, 1, 0, 16},
    {1, 4, 1, 64, 100, 5, 1, MIXED | CAPPED, 33},
    {1, 8, 1, 128, 257, 8, 1, LOCAL, 100},
    {1, 2, 1, 2, 100, 1, 1, LOCAL, 1},
    {5, 4, 2, 64, 300, 5, 2, WOVEN | CAPPED | LOCAL, 96},
    {1, 8, 2, 96, 65, 1, 1, CROSS | BLOCKS},
    {1, 8, 2, 64, 700, 16, 1, CAPPED | BLOCKS},
    {2, 4, 4, 128, 1500, 8, 1, 0},
    {3, 4, 2, 64, 900, 6, 2, WOVEN | LOCAL, 500},
    {1, 8, 2, 64, 700, 16, 1, MERGED | BLOCKS},
    {2, 4, 4, 128, 1500, 8, 1, MERGED},
    {3, 4, 2, 64, 900, 6, 2, MERGED | WOVEN | LOCAL | CAPPED, 500},
    {1, 6, 2, 96, 31, 64, 1, MERGED},
    {2, 2, 1, 256, 4200, 32, 2, MERGED},
    {20, 4, 2, 64, 100, 2, 20, MERGED | WOVEN}, /* streams */
    /* prefill */
    {7, 4, 4, 80, 31, 1, 1, 0},
    {32, 8, 4, 32, 32, 1, 1, 0},
    {33, 8, 4, 32, 100, 1, 1, MIXED | BLOCKS},
    {40, 4, 4, 128, 257, 1, 2, BLOCKS},
    {37, 8, 4, 32, 100, 1, 3, WOVEN},
    {35, 8, 1, 64, 33, 1, 4, 0},
    {17, 4, 2, 256, 31, 1, 2, WOVEN},
    {20, 6, 2, 96, 100, 1, 3, LARGE | WOVEN | BLOCKS},
    {18, 2, 1, 100, 33, 1, 2, MIXED},
    {64, 8, 8, 64, 64, 1, 1, 0},
    {33, 8, 4, 32, 100, 1, 1, MIXED, 20},
    {37, 8, 4, 32, 150, 1, 3, WOVEN | CAPPED | LOCAL, 48},
    {64, 8, 8, 64, 64, 1, 1, CAPPED, 100},
    {18, 2, 1, 100, 90, 1, 2, MIXED | LOCAL, 31},
    {21, 8, 4, 32, 33, 1, 1, CROSS | BLOCKS},
};

#define CAP 2.0 /* of capped scores */

/* One head of one token. What is counted, to first order:
 *     score in units of ln 2: (dims + 4) u sum |q k|, for its sum and the scaled q;
 *     capping it: no more than that, and 32 u of the result for three quotients of 2.5 ulp and two
 *     short sums;
 *     a weight: that, u |x| for x = score - maximum, (3 + 2 |x|) ulp = 2 u (3 + 2 |x|) for exp2
 *     (Vulkan, precision of SPIR-V instructions), and as much for each block's rescaling, whose x
 *     add up to no more than twice |x| of the weight;
 *     sums over the entries and the blocks: (len + 2 blocks + 4) u, above and below the line. */
struct head {
    const float *q, *k, *v; /* k, v: those of the KV head */
    const struct lab *lab;
    uint32_t seq, first, len, dims; /* entries [first, len) are seen */
    double scale, cap;              /* cap 0: none */
    double score_half, value_half;  /* bounds of what float16 operands add, of a unit: the score's
                                       for q and K, the result's for V */
};

/* With operands rounded to float16 (`half` instead of `error`): the score's bound grows by 2^-10 of
 * sum |q k| for each operand that is no number of float16, those of weights by the same for
 * themselves, and those below 2^-14 of the largest are off by 2^-24 of it. */
static void weigh(const struct head *head, double *weight, double *error, double *half)
{
    double top = -INFINITY, sum = 0;
    for (uint32_t e = head->first; e < head->len; e++) {
        const float *k = head->k + (size_t)lab_step_slot(head->lab, head->seq, e) * head->dims;
        double dot = 0, size = 0;
        for (uint32_t d = 0; d < head->dims; d++) {
            dot += (double)head->q[d] * (double)k[d];
            size += fabs((double)head->q[d] * (double)k[d]);
        }
        weight[e] = dot * head->scale;
        error[e] = (head->dims + 4) * LAB_U * size * head->scale;
        half[e] = head->score_half * size * head->scale;
        if (head->cap > 0) {
            weight[e] = head->cap * tanh(weight[e] / head->cap);
            error[e] += 32 * LAB_U * fabs(weight[e]);
        }
        top = fmax(top, weight[e]);
    }
    uint32_t blocks = head->len / 4 + 8; /* the smallest block has 4 entries */
    for (uint32_t e = head->first; e < head->len; e++) {
        double x = (top - weight[e]) / log(2.0);
        double power = error[e] + LAB_U * x + 3 * 2 * LAB_U * (3 + 2 * x);
        error[e] = expm1(power) + 7 * blocks * LAB_U;
        half[e] = expm1(power + half[e]) + 7 * blocks * LAB_U + LAB_HALF;
        weight[e] = exp(weight[e] - top);
        sum += weight[e];
    }
    for (uint32_t e = head->first; e < head->len; e++) {
        weight[e] /= sum;
    }
}

/* Scratch for one head. */
struct scratch {
    double *weight, *error, *half; /* [len] */
};

static void attend(const struct head *head, const struct scratch *s, double *value, double *bound,
                   double *half)
{
    weigh(head, s->weight, s->error, s->half);
    double mean = 0, mean_half = 0;
    for (uint32_t e = head->first; e < head->len; e++) {
        mean += s->weight[e] * s->error[e];
        mean_half += s->weight[e] * s->half[e];
    }
    for (uint32_t d = 0; d < head->dims; d++) {
        double size = 0, all = 0, off = 0, off_half = 0;
        for (uint32_t e = head->first; e < head->len; e++) {
            size_t slot = lab_step_slot(head->lab, head->seq, e);
            double v = (double)head->v[slot * head->dims + d], term = s->weight[e] * v;
            value[d] += term;
            size += fabs(term);
            all += fabs(v);
            off += fabs(term) * s->error[e];
            off_half += fabs(term) * s->half[e];
        }
        uint32_t terms = head->len + 2 * (head->len / 4 + 8) + 4;
        double sums = 2 * terms * LAB_U * size + 1e-30;
        bound[d] = off + mean * size + sums;
        half[d] = off_half + mean_half * size + head->value_half * size + 0x1p-24 * all + sums;
    }
}

static uint32_t first_seen(const struct lab *lab, uint32_t len)
{
    uint32_t window = lab_dim(lab, WINDOW);
    return window != 0 && len > window ? len - window : 0;
}

/* What rounding the values of an input to float16 changes at most. */
static double half_of(struct lab *lab, uint32_t id)
{
    const struct plan_tensor *tensor = plan_get_tensor(lab_plan(lab), id);
    return tensor->elem == PLAN_F16 ? 0 : LAB_HALF;
}

static void expect(struct lab *lab, uint32_t ids[4], uint32_t slots, double scale)
{
    struct lab_expect out = lab_expect(lab, ids[3]);
    const float *q = lab_values(lab, ids[0]), *k = lab_values(lab, ids[1]);
    const float *v = lab_values(lab, ids[2]);
    const uint32_t *seq = lab_step_array(lab, STEP_SEQ), *len = lab_step_array(lab, STEP_LEN);
    size_t longest = lab_dim(lab, LEN);
    double *scratch = mem_alloc(longest * 3, sizeof *scratch), *half = lab_expect_half(lab, ids[3]);
    if (out.value == NULL || q == NULL || k == NULL || v == NULL || half == NULL ||
        scratch == NULL) {
        lab_plan(lab)->failed = true;
        mem_free(scratch);
        return;
    }
    size_t heads = lab_dim(lab, HEADS), group = heads / lab_dim(lab, KV_HEADS);
    size_t dims = lab_dim(lab, HEAD_DIM);
    const struct scratch room = {scratch, scratch + longest, scratch + 2 * longest};
    for (size_t t = 0; t < lab_dim(lab, TOKENS); t++) {
        for (size_t h = 0; h < heads; h++) {
            size_t at = (t * heads + h) * dims;
            struct head head = {.q = q + at,
                                .k = k + h / group * slots * dims,
                                .v = v + h / group * slots * dims,
                                .lab = lab,
                                .seq = seq[t],
                                .first = first_seen(lab, len[t]),
                                .len = len[t],
                                .dims = (uint32_t)dims,
                                .scale = scale,
                                .cap = (lab_dim(lab, MODE) & CAPPED) != 0 ? CAP : 0,
                                .score_half = half_of(lab, ids[0]) + half_of(lab, ids[1]),
                                .value_half = half_of(lab, ids[2])};
            attend(&head, &room, out.value + at, out.bound + at, half + at);
        }
    }
    mem_free(scratch);
}

/* Tokens of a sequence are its last ones, in order; sequences differ in length. */
static void set_tokens(struct lab *lab, uint32_t n_seq, uint32_t *seq, uint32_t *len)
{
    uint32_t tokens = lab_dim(lab, TOKENS), longest = lab_dim(lab, LEN);
    for (uint32_t t = 0; t < tokens; t++) {
        seq[t] = (lab_dim(lab, MODE) & WOVEN) != 0 ? t % n_seq : t * n_seq / tokens;
    }
    for (uint32_t t = 0; t < tokens; t++) {
        uint32_t later = 0, whole = longest > 13 * seq[t] ? longest - 13 * seq[t] : 1;
        for (uint32_t i = t + 1; i < tokens; i++) {
            later += seq[i] == seq[t] ? 1 : 0;
        }
        len[t] = whole > later ? whole - later : 1;
    }
}

static void set_entry(struct lab *lab, float *values, uint32_t slots, uint32_t slot, float value)
{
    size_t dims = lab_dim(lab, HEAD_DIM);
    for (size_t h = 0; h < lab_dim(lab, KV_HEADS); h++) {
        float *row = values + (h * slots + slot) * dims;
        for (size_t d = 0; d < dims; d++) {
            row[d] = value;
        }
    }
}

static void poison_unseen(struct lab *lab, uint32_t cache, uint32_t slots, uint32_t blocks)
{
    float *values = lab_values(lab, cache);
    const uint32_t *seq = lab_step_array(lab, STEP_SEQ), *len = lab_step_array(lab, STEP_LEN);
    for (uint32_t s = 0; s < lab_dim(lab, SEQUENCES) && values != NULL; s++) {
        uint32_t first = UINT32_MAX, end = 0;
        for (uint32_t t = 0; t < lab_dim(lab, TOKENS); t++) {
            uint32_t from = first_seen(lab, len[t]);
            first = seq[t] == s && from < first ? from : first;
            end = seq[t] == s && len[t] > end ? len[t] : end;
        }
        first = first < end ? first : 0;
        for (uint32_t e = 0; e < blocks * STEP_BLOCK; e++) {
            if (e >= end || e < first / STEP_BLOCK * STEP_BLOCK) {
                set_entry(lab, values, slots, lab_step_slot(lab, s, e), NAN);
            } else if (e < first) {
                set_entry(lab, values, slots, lab_step_slot(lab, s, e), 3e4f);
            }
        }
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), dims = lab_dim(lab, HEAD_DIM);
    uint32_t kv_heads = lab_dim(lab, KV_HEADS), n_seq = lab_dim(lab, SEQUENCES);
    uint32_t blocks = lab_dim(lab, LEN) / STEP_BLOCK + 2, slots = n_seq * blocks * STEP_BLOCK;
    uint32_t mode = lab_dim(lab, MODE);
    float size = (mode & LARGE) != 0 ? 3e4f : (mode & CAPPED) != 0 ? 16.0f : 2.0f;
    enum plan_elem k_elem = lab_kv_elem(lab), v_elem = k_elem;
    if ((mode & (MIXED | CROSS)) != 0) {
        v_elem = lab_kv_other(lab, (mode & CROSS) != 0);
    }
    struct op_attention_attr attr = {.heads = lab_dim(lab, HEADS),
                                     .kv_heads = kv_heads,
                                     .head_dim = dims,
                                     .slots = slots,
                                     .splits = lab_dim(lab, SPLITS),
                                     .scale = 1.0f / sqrtf((float)dims),
                                     .softcap = (mode & CAPPED) != 0 ? (float)CAP : 0,
                                     .window = lab_dim(lab, WINDOW),
                                     .group = (mode & LOCAL) != 0 ? 1 : 0};
    lab_tokens(lab, tokens, 0);
    uint32_t ids[4];
    ids[0] = lab_act(lab, "q", tokens, (uint64_t)attr.heads * dims, -size, size);
    ids[1] = lab_kv(lab, "k_cache", k_elem, false, kv_heads, slots, dims, -1.0f, 1.0f);
    ids[2] = lab_kv(lab, "v_cache", v_elem, true, kv_heads, slots, dims, -1.0f, 1.0f);
    uint32_t step = lab_step(lab, n_seq, blocks);
    uint32_t *seq = lab_step_array(lab, STEP_SEQ), *len = lab_step_array(lab, STEP_LEN);
    if (seq == NULL || len == NULL) {
        return false;
    }
    if (attr.group != 0) {
        lab_step_local(lab);
    }
    set_tokens(lab, n_seq, seq, len);
    if ((mode & LARGE) != 0) {
        lab_set_nmse(lab, 1e-6); /* scores have errors of 1e-3, and some of the largest are close */
        lab_set_nmse_half(lab, 0.1); /* of a thousand with q in float16: others may win */
    }
    poison_unseen(lab, ids[1], slots, blocks);
    poison_unseen(lab, ids[2], slots, blocks);
    ids[3] = (mode & MERGED) != 0
                 ? op_attention_merged(lab_plan(lab), ids[0], ids[1], ids[2], step, &attr)
                 : op_attention(lab_plan(lab), ids[0], ids[1], ids[2], step, &attr);
    expect(lab, ids, slots, (double)attr.scale);
    return !lab_plan(lab)->failed;
}

static bool kv_fits(const uint32_t *dims, enum plan_elem elem)
{
    return plan_elem_block(elem) == 1 || (dims[MODE] & BLOCKS) != 0;
}

const struct lab_op lab_op_attention = {
    .name = "attention",
    .dims = {"tokens", "heads", "kv_heads", "head_dim", "len", "splits", "sequences", "mode",
             "window"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_KV,
    .kv_fits = kv_fits,
    .nmse = 1e-11,
    .make = make,
};
