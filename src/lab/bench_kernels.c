/* The kernels of ops in the microbenchmarks: default shapes, and the loops over formats, shapes and
 * variants. How one case is measured is below; what a case is, bench_case.c. */
#include "lab/bench_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_TOKENS = 8 }; /* the head's matrix is never run for more */

static const uint32_t all_tokens[] = {1, 2, 4, 8, 32, 512, 2048};
static const uint32_t quick_tokens[] = {1, 8, 512};

/* Matrices of the models: attention, up (and gate), down, head. */
static const struct matrix {
    uint32_t rows, cols;
    bool quick, head;
} matrices[] = {
    {4096, 4096, true, false},   {11008, 4096, true, false},  {4096, 11008, false, false},
    {32000, 4096, false, true}, /* LLaMA 7B */
    {5120, 5120, false, false},  {13824, 5120, false, false}, {5120, 13824, false, false},
    {6656, 6656, false, false},  {17920, 6656, false, false}, {6656, 17920, false, false},
    {8192, 8192, false, false},  {28672, 8192, false, false}, {8192, 28672, false, false},
    {3584, 3584, false, false},  {18944, 3584, false, false}, {3584, 18944, false, false},
    {152064, 3584, false, true}, /* Qwen2.5 7B */
};

/* 7B, 70B, Qwen2.5 7B; a token of 4096 entries, of 512, and a chunk of the prompt. */
static const struct bench_shape attention_shapes[] = {
    {32, 1, 512, 32}, {32, 1, 4096, 32},  {64, 1, 4096, 8},   {28, 1, 4096, 4},
    {32, 8, 512, 32}, {32, 512, 512, 32}, {64, 512, 4096, 8}, {28, 512, 4096, 4},
};
/* Mixtral 8x7B. */
static const struct bench_shape expert_shapes[] = {
    {14336, 1, 4096, 0},    {14336, 8, 4096, 0}, {14336, 64, 4096, 0},  {14336, 512, 4096, 0},
    {14336, 2048, 4096, 0}, {4096, 1, 14336, 0}, {4096, 512, 14336, 0},
};
static const uint32_t norm_cols[] = {4096, 5120, 6656, 8192, 3584};
static const uint32_t rope_heads[] = {32, 40, 52, 64, 28};

static bool same_name(const char *a, const char *b)
{
    while (*a != '\0' && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a++;
        b++;
    }
    return tolower((unsigned char)*a) == tolower((unsigned char)*b);
}

static const char *format_name(uint32_t quant)
{
    static const char *const names[] = {
#define QUANT(id, name, ggml_type) #name,
#include "quant/quants.def"
#undef QUANT
    };
    return names[quant];
}

static uint32_t find_type(const char *name)
{
    uint32_t i = 0;
    while (i < QUANT_COUNT && !same_name(format_name(i), name)) {
        i++;
    }
    return i;
}

/* Number of the type of caches; LAB_KV_TYPES: it is none. */
static uint32_t find_cache_type(const char *name)
{
    uint32_t i = 0;
    while (i < LAB_KV_TYPES && !same_name(plan_elem_name(lab_kv_type(i)), name)) {
        i++;
    }
    return i;
}

const char *bench_type_name(uint32_t index)
{
    if (index < QUANT_COUNT) {
        return format_name(index);
    }
    index -= QUANT_COUNT;
    for (uint32_t i = 0; i < LAB_KV_TYPES; i++) {
        const char *name = plan_elem_name(lab_kv_type(i));
        if (find_type(name) == QUANT_COUNT && index-- == 0) {
            return name;
        }
    }
    return NULL;
}

bool bench_type_known(const char *name)
{
    return find_type(name) < QUANT_COUNT || find_cache_type(name) < LAB_KV_TYPES;
}

enum plan_elem bench_cache_type(const struct bench_device *bd)
{
    const char *asked = bd->params->type;
    uint32_t i = asked != NULL ? find_cache_type(asked) : LAB_KV_TYPES;
    return lab_kv_type(i < LAB_KV_TYPES ? i : 0);
}

static const struct {
    uint32_t group;
    const char *name;
    const struct bench_kind *kind;
} groups[] = {
    {BENCH_NORM, "norm", &bench_kind_norm},
    {BENCH_ROPE, "rope", &bench_kind_rope},
    {BENCH_ATTENTION, "attention", &bench_kind_attention},
    {BENCH_GEMV, "gemv", &bench_kind_matmul},
    {BENCH_GEMM, "gemm", &bench_kind_matmul},
    {BENCH_EXPERTS, "experts", &bench_kind_experts},
};

bool bench_variant_known(uint32_t asked, const char *name)
{
    bool known = strcmp(name, "all") == 0;
    for (uint32_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        known = known || ((asked & groups[i].group) != 0 &&
                          ops_find_variant(ops_find(groups[i].kind->op), name) != NULL);
    }
    return known;
}

void bench_limits_of(const struct bench_device *bd, const char *op, enum quant_id quant,
                     struct bench_limits *out)
{
    const struct bench_ceilings *c = &bd->ceilings;
    bool matrices_help = strncmp(op, "matmul", 6) == 0 || strcmp(op, "attention") == 0;
    *out = (struct bench_limits){c->fma_f32, c->copy, "fma_f32", "copy"};
    if (matrices_help) {
        out->bandwidth = c->read;
        out->bandwidth_name = "read";
    }
    if (matrices_help && quant != QUANT_F32 && c->fma_f16 > out->flops) {
        out->flops = c->fma_f16;
        out->flops_name = "fma_f16";
    }
    if (matrices_help && quant != QUANT_F32 && c->matrix > out->flops) {
        out->flops = c->matrix;
        out->flops_name = "matrix";
    }
    if (bd->params->warm) {
        out->bandwidth = 0; /* what was measured is memory's, not the caches' */
    }
}

/* The kernel that ran multiplies integers. */
static bool reads_bytes(const struct bench_case *c)
{
    const struct ops_variant *v =
        c->used.variant != NULL ? ops_find_variant(ops_find(c->kind->op), c->used.variant) : NULL;
    return v != NULL && v->x == PLAN_S8;
}

static void set_rates(const struct bench_case *c, const struct bench_timing *t,
                      struct bench_row *row)
{
    struct bench_limits limits;
    row->us = t->us;
    row->us_min = t->us_min;
    row->samples = t->samples;
    row->gpu_clock = t->gpu_clock;
    row->flop = c->flop;
    row->bytes = c->bytes;
    row->gflops = c->flop / t->us * 1e-3;
    row->gbs = c->bytes / t->us * 1e-3;
    row->rotated = t->used * (c->in_stride + c->out_bytes) + (c->in_stride == 0 ? c->in_bytes : 0);
    bench_limits_of(c->bd, c->kind->op, c->quant, &limits);
    if (reads_bytes(c) && c->bd->ceilings.int_dot > 0) {
        limits.flops = c->bd->ceilings.int_dot;
        limits.flops_name = "int_dot";
    }
    row->share = bench_roofline(c->flop, c->bytes, t->us, &limits, row->limit, sizeof row->limit);
}

void bench_case_measure(struct bench_case *c, struct bench_row *row, uint32_t samples)
{
    struct bench_timing timing;
    c->bd->log->last[0] = '\0';
    row->share = -1;
    if (!bench_case_create(c)) {
        /* a shape that cannot be is no fault; a device that gave up is */
        bench_row_unrun(c->bd, row, c->why, c->why == NULL && !c->plan.failed);
        return;
    }
    const struct bench_work work = {bench_case_record, c, c->copies};
    bool timed = bench_time(c->bd, &work, samples, &timing);
    snprintf(row->variant, sizeof row->variant, "%s",
             c->used.variant != NULL ? c->used.variant : "");
    if (!timed) {
        bench_row_unrun(c->bd, row, c->used.unfit, c->used.unfit == NULL);
        return;
    }
    if (c->parts != 0) {
        size_t n = strlen(row->variant);
        snprintf(row->variant + n, sizeof row->variant - n, "/%u", c->parts);
    }
    set_rates(c, &timing, row);
    row->passed =
        bench_case_check(c, 0, row->why, sizeof row->why) &&
        (timing.used < 2 || bench_case_check(c, timing.used - 1, row->why, sizeof row->why));
}

static bool measure(struct bench_device *bd, struct bench_case *c, const char *group)
{
    struct bench_row row = bench_row_init(bd, group, c->kind->op);
    bool caches = c->kind == &bench_kind_attention;
    snprintf(row.type, sizeof row.type, "%s",
             caches ? plan_elem_name(bench_cache_type(bd)) : bench_type_name(c->quant));
    if (c->prefs->forced != NULL) {
        snprintf(row.variant, sizeof row.variant, "%s", c->prefs->forced);
    }
    bench_shape_text(&c->shape, row.shape, sizeof row.shape);
    bench_case_measure(c, &row, bd->params->samples);
    bench_case_finish(c);
    return bench_emit(bd, &row);
}

/* The chosen variant, the one asked for, or all that the device supports. */
static bool run_variants(struct bench_device *bd, const struct bench_case *template,
                         const char *group)
{
    const struct op *op = ops_find(template->kind->op);
    const char *asked = bd->params->variant;
    bool all = asked != NULL && strcmp(asked, "all") == 0;
    for (uint32_t i = 0; i < (all ? op->n_variants : 1); i++) {
        struct ops_prefs prefs = bd->prefs;
        struct bench_case c = *template;
        char why[128];
        prefs.forced = all ? op->variants[i].name : asked;
        if (asked != NULL && !all && ops_find_variant(op, asked) == NULL) {
            return true; /* another group's */
        }
        if (all &&
            !ops_variant_supported(&op->variants[i], dev_get_caps(bd->dev), why, sizeof why)) {
            continue;
        }
        c.prefs = &prefs;
        if (!measure(bd, &c, group)) {
            return false;
        }
    }
    return true;
}

static double least_flop(const struct bench_kind *kind, const struct bench_shape *s)
{
    double all = 2.0 * s->m * s->n * s->k;
    return kind == &bench_kind_attention ? 256 * all
           : kind == &bench_kind_matmul  ? all
           : kind == &bench_kind_experts ? 2 * all
                                         : 0;
}

static double least_bytes(const struct bench_case *c)
{
    const struct bench_shape *s = &c->shape;
    return c->kind == &bench_kind_matmul    ? (double)s->m * (double)quant_row_bytes(c->quant, s->k)
           : c->kind == &bench_kind_experts ? 2.0 * s->m * (double)quant_row_bytes(c->quant, s->k)
           : c->kind == &bench_kind_attention ? 0
                                              : 8.0 * s->m * s->n * s->k;
}

/* One default shape, unless it is too large for a CPU device or no time is left. */
static bool run_default(struct bench_device *bd, struct bench_case *c, const char *group)
{
    bool large = bd->most_flop > 0 && (least_flop(c->kind, &c->shape) > bd->most_flop ||
                                       least_bytes(c) > bd->most_bytes);
    if (large || !bench_goes_on(bd)) {
        bd->skipped[large ? 0 : 1]++;
        bd->totals->left_out++;
        return true;
    }
    return run_variants(bd, c, group);
}

static bool run_matrices(struct bench_device *bd, struct bench_case *c, uint32_t group,
                         const char *name)
{
    bool quick = bd->params->quick;
    const uint32_t *tokens = quick ? quick_tokens : all_tokens;
    uint32_t n = quick ? sizeof quick_tokens / sizeof *tokens : sizeof all_tokens / sizeof *tokens;
    for (uint32_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        const struct matrix *m = &matrices[i];
        for (uint32_t t = 0; t < n && (!quick || m->quick); t++) {
            bool few = tokens[t] <= BENCH_FEW_TOKENS;
            c->shape = (struct bench_shape){m->rows, tokens[t], m->cols, 0};
            if (few == (group == BENCH_GEMV) && (!m->head || tokens[t] <= HEAD_TOKENS) &&
                !run_default(bd, c, name)) {
                return false;
            }
        }
    }
    return true;
}

static bool run_small(struct bench_device *bd, struct bench_case *c, uint32_t group,
                      const char *name)
{
    static const uint32_t tokens[] = {1, 8, 512, 2048};
    uint32_t n = sizeof norm_cols / sizeof *norm_cols;
    for (uint32_t i = 0; i < (bd->params->quick ? 1 : n); i++) {
        for (uint32_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            c->shape = group == BENCH_NORM ? (struct bench_shape){1, tokens[t], norm_cols[i], 0}
                                           : (struct bench_shape){rope_heads[i], tokens[t], 128, 0};
            if (!run_default(bd, c, name)) {
                return false;
            }
        }
    }
    return true;
}

static bool run_shapes(struct bench_device *bd, struct bench_case *c, uint32_t group,
                       const char *name)
{
    if (bd->params->shape != NULL) {
        c->shape = *bd->params->shape;
        return run_variants(bd, c, name);
    }
    if (group == BENCH_GEMV || group == BENCH_GEMM) {
        return run_matrices(bd, c, group, name);
    }
    if (group != BENCH_ATTENTION && group != BENCH_EXPERTS) {
        return run_small(bd, c, group, name);
    }
    bool experts = group == BENCH_EXPERTS;
    const struct bench_shape *shapes = experts ? expert_shapes : attention_shapes;
    uint32_t n = (uint32_t)(experts ? sizeof expert_shapes / sizeof *shapes
                                    : sizeof attention_shapes / sizeof *shapes);
    for (uint32_t i = 0; i < n; i += bd->params->quick ? 3 : 1) {
        c->shape = shapes[i];
        if (!run_default(bd, c, name)) {
            return false;
        }
    }
    return true;
}

/* Formats of a group: matmul and experts have all weight formats, attention those of caches, the
 * rest f32. */
bool bench_has_type(const struct bench_device *bd, const struct bench_kind *kind, uint32_t quant)
{
    const char *asked = bd->params->type;
    bool cache_only = asked != NULL && find_type(asked) == QUANT_COUNT;
    uint32_t type = asked != NULL ? find_type(asked) : QUANT_COUNT;
    if (kind == &bench_kind_matmul || kind == &bench_kind_experts) {
        bool quick = bd->params->quick && asked == NULL && bd->params->shape == NULL;
        return !cache_only && (type == QUANT_COUNT || type == quant) &&
               (!quick || quant == QUANT_F16 || quant == QUANT_Q4_K);
    }
    if (kind == &bench_kind_attention) {
        return quant == (type == QUANT_F32 ? QUANT_F32 : QUANT_F16);
    }
    return quant == QUANT_F32;
}

bool bench_kernels(struct bench_device *bd, uint32_t asked)
{
    for (uint32_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (uint32_t q = 0; q < QUANT_COUNT && (asked & groups[i].group) != 0; q++) {
            struct bench_case c = {.bd = bd, .kind = groups[i].kind, .quant = (enum quant_id)q};
            if (bench_has_type(bd, c.kind, q) &&
                !run_shapes(bd, &c, groups[i].group, groups[i].name)) {
                return false;
            }
        }
    }
    return true;
}
