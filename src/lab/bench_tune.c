/* Finds tile parameters by measurement. For each kernel that the engine would choose, with its
 * format and class of token counts, every combination of the variant's tunables runs on one case;
 * the fastest right one then has to beat the default in turns, by more than noise, over the shapes
 * of a layer together. Then rows of the table that may be faster than the chosen one (rival) run
 * against it, as tuned, in the same way. Runs wait for each other, as they do in a model: tiles
 * that are best where many runs overlap can be too large for one alone. What is kept goes into the
 * device's profile. */
#include "lab/bench_internal.h"

#include "base/os.h"
#include "ops/profile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SWEEP_SAMPLES = 3, DUEL_ROUNDS = 5, MAX_SHAPES = 3 };
#define NOISE 0.03 /* what two runs of the same may differ by */

/* One kernel in one format and class. */
struct search {
    struct bench_device *bd;
    struct bench_case c;
    const struct ops_variant *variant;
    struct ops_prefs plain, trial; /* without tile parameters; with one candidate */
    struct ops_tuned candidate, best;
    struct bench_tuned row;
};

static uint32_t count_tunables(const struct ops_variant *variant)
{
    uint32_t n = 0;
    while (n < OPS_MAX_TUNABLES && variant->tunables[n].name != NULL) {
        n++;
    }
    return n;
}

/* Candidate number `index` of the product; false beyond the last. */
static bool pick_values(const struct ops_variant *variant, uint32_t index, uint32_t *values)
{
    uint32_t n = count_tunables(variant);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count = 0;
        while (count < OPS_MAX_VALUES && variant->tunables[i].values[count] != 0) {
            count++;
        }
        values[i] = variant->tunables[i].values[index % count];
        index /= count;
    }
    return n != 0 && index == 0;
}

static void values_text(const struct search *s, const struct ops_tuned *tuned, char *out,
                        size_t out_bytes)
{
    size_t used = 0;
    for (uint32_t i = 0; i < count_tunables(s->variant) && used < out_bytes; i++) {
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%s=%u", i == 0 ? "" : " ",
                                 s->variant->tunables[i].name, tuned->values[i]);
    }
    if (tuned->first && used < out_bytes) {
        snprintf(out + used, out_bytes - used, " first");
    }
}

/* Microseconds of the case with these preferences; below 0: it did not run. */
static double time_with(struct search *s, const struct ops_prefs *prefs, uint32_t samples)
{
    struct bench_timing timing;
    const struct bench_work work = {bench_case_record, &s->c, s->c.copies};
    s->c.prefs = prefs;
    return bench_time(s->bd, &work, samples, &timing) ? timing.us_min : -1;
}

static void note_failure(struct search *s, const char *why)
{
    char text[96];
    if (s->row.failed++ == 0) {
        values_text(s, &s->candidate, text, sizeof text);
        snprintf(s->row.why, sizeof s->row.why, "%.60s: %.96s", text, why);
    }
}

static void use_candidate(struct search *s, const struct ops_tuned *tuned)
{
    s->candidate = *tuned;
    s->trial = s->plain;
    s->trial.tuned = &s->candidate;
    s->trial.n_tuned = 1;
}

/* The fastest of all right candidates. */
static void sweep(struct search *s)
{
    struct ops_tuned tuned = s->best;
    for (uint32_t i = 0; pick_values(s->variant, i, tuned.values); i++) {
        char why[160] = "";
        use_candidate(s, &tuned);
        s->row.tried++;
        double us = bench_case_poison(&s->c) ? time_with(s, &s->trial, SWEEP_SAMPLES) : -1;
        if (us < 0) {
            log_get_last(s->bd->log, why, sizeof why);
            note_failure(s, why);
        } else if (!bench_case_check(&s->c, 0, why, sizeof why)) {
            note_failure(s, why);
        } else if (s->row.best_us <= 0 || us < s->row.best_us) {
            s->row.best_us = us;
            s->best = tuned;
        }
        if (dev_is_lost(s->bd->dev)) {
            return;
        }
    }
}

/* Default and best in turns, so that a change of the machine's speed hits both; the least time of
 * each counts, for what else the machine does only adds. */
static bool duel_round(struct search *s)
{
    double theirs = INFINITY, ours = INFINITY;
    for (uint32_t i = 0; i < DUEL_ROUNDS; i++) {
        double plain = time_with(s, &s->plain, SWEEP_SAMPLES);
        double trial = time_with(s, &s->trial, SWEEP_SAMPLES);
        if (plain < 0 || trial < 0) {
            return false;
        }
        theirs = fmin(theirs, plain);
        ours = fmin(ours, trial);
    }
    s->row.default_us += theirs;
    s->row.best_us += ours;
    return true;
}

/* Over all the shapes: what wins on one and loses on another is no gain. The case of the search is
 * the first of them, and is taken away here. */
static bool duel(struct search *s, const struct bench_shape *shapes, uint32_t n)
{
    use_candidate(s, &s->best);
    s->row.default_us = s->row.best_us = 0;
    bool ok = duel_round(s);
    for (uint32_t i = 1; i < n && ok; i++) {
        struct bench_case next = {.bd = s->bd,
                                  .kind = s->c.kind,
                                  .shape = shapes[i],
                                  .quant = s->c.quant,
                                  .serial = true};
        bench_case_finish(&s->c);
        s->c = next;
        s->c.prefs = &s->plain;
        ok = bench_case_create(&s->c) && duel_round(s);
    }
    double least = s->bd->params->least_gain;
    return ok && s->row.best_us < s->row.default_us * (1 - (least != 0 ? least : NOISE));
}

/* What was known for this kernel, format and class. */
static void forget(struct search *s)
{
    struct ops_prefs *prefs = &s->bd->prefs;
    for (size_t i = 0; i < prefs->n_tuned; i++) {
        const struct ops_tuned *t = &prefs->tuned[i];
        if (strcmp(t->op, s->best.op) == 0 && strcmp(t->variant, s->best.variant) == 0 &&
            t->quant == s->best.quant && t->class == s->best.class) {
            prefs->tuned[i--] = prefs->tuned[--prefs->n_tuned];
        }
    }
}

static void describe(struct search *s, uint32_t class, uint32_t n_shapes)
{
    const struct bench_kind *kind = s->c.kind;
    bool formats = kind == &bench_kind_matmul || kind == &bench_kind_experts;
    s->row.device = s->bd->index;
    s->best.class = class;
    s->best.quant = formats ? (uint32_t)s->c.quant : QUANT_COUNT;
    snprintf(s->best.op, sizeof s->best.op, "%s", kind->op);
    snprintf(s->row.op, sizeof s->row.op, "%s", kind->op);
    snprintf(s->row.type, sizeof s->row.type, "%s", formats ? bench_type_name(s->c.quant) : "");
    snprintf(s->row.tokens, sizeof s->row.tokens, "%s", ops_token_class_name(class));
    bench_shape_text(&s->c.shape, s->row.shape, sizeof s->row.shape);
    size_t used = strlen(s->row.shape);
    if (n_shapes > 1) {
        snprintf(s->row.shape + used, sizeof s->row.shape - used, " + %u", n_shapes - 1);
    }
}

/* The variant is the one that the engine takes for this case. */
static bool find_variant(struct search *s)
{
    s->plain = s->bd->prefs;
    s->plain.tuned = NULL;
    s->plain.n_tuned = s->plain.cap_tuned = 0;
    s->c.prefs = &s->plain;
    if (!bench_case_create(&s->c) || time_with(s, &s->plain, 1) < 0) {
        if (s->c.why != NULL) {
            snprintf(s->row.why, sizeof s->row.why, "%s", s->c.why);
        } else {
            log_get_last(s->bd->log, s->row.why, sizeof s->row.why);
        }
        return false;
    }
    s->variant = ops_find_variant(ops_find(s->c.kind->op), s->c.used.variant);
    return s->variant != NULL;
}

/* Shapes for a kind and class, the usual one first: of matmul those of a layer (rows, tokens,
 * columns), small on a CPU device. Returns how many. */
static uint32_t shapes_of(const struct bench_device *bd, const struct bench_kind *kind,
                          uint32_t class, struct bench_shape out[MAX_SHAPES])
{
    static const uint32_t tokens[OPS_TOKEN_CLASSES] = {1, 8, 32, 512, 2048};
    uint32_t n = bd->cpu && tokens[class] > 128 ? 128 : tokens[class];
    if (kind == &bench_kind_matmul) {
        const struct bench_shape gpu[MAX_SHAPES] = {
            {4096, n, 4096, 0}, {11008, n, 4096, 0}, {4096, n, 11008, 0}};
        const struct bench_shape cpu[MAX_SHAPES] = {
            {1024, n, 2048, 0}, {2048, n, 1024, 0}, {1024, n, 1024, 0}};
        memcpy(out, bd->cpu ? cpu : gpu, sizeof gpu);
        return MAX_SHAPES;
    }
    if (kind == &bench_kind_experts) { /* as many that an expert has of them this class */
        static const uint32_t pairs[OPS_TOKEN_CLASSES] = {1, 16, 128, 512, 4096};
        out[0] = bd->cpu ? (struct bench_shape){512, pairs[class], 1024, 0}
                         : (struct bench_shape){14336, pairs[class], 4096, 0};
        out[1] = bd->cpu ? (struct bench_shape){1024, pairs[class], 512, 0}
                         : (struct bench_shape){4096, pairs[class], 14336, 0};
        return 2;
    }
    if (kind == &bench_kind_attention) {
        out[0] =
            bd->cpu ? (struct bench_shape){8, n, 256, 0} : (struct bench_shape){32, n, 2048, 0};
        return 1;
    }
    out[0] = (struct bench_shape){1, n, 4096, 0};
    return 1;
}

/* One kind in one format and class, and who hears of it. */
struct tuning {
    struct bench_device *bd;
    const struct bench_kind *kind;
    uint32_t quant, class, n_shapes;
    struct bench_shape shapes[MAX_SHAPES];
    bench_tuned_fn *tuned;
    bool ok; /* what was found could be kept */
};

static void name_variant(struct search *s, const struct ops_variant *variant)
{
    s->variant = variant;
    snprintf(s->best.variant, sizeof s->best.variant, "%s", variant->name);
    snprintf(s->row.variant, sizeof s->row.variant, "%s", variant->name);
}

static struct search begin_search(const struct tuning *t)
{
    struct search s = {.bd = t->bd,
                       .c = {.bd = t->bd,
                             .kind = t->kind,
                             .shape = t->shapes[0],
                             .quant = (enum quant_id)t->quant,
                             .serial = true}};
    describe(&s, t->class, t->n_shapes);
    return s;
}

/* The best of the variant's candidates, kept where it beats the default. */
static void choose(struct tuning *t, struct search *s)
{
    sweep(s);
    if (s->row.best_us > 0) {
        s->row.kept = duel(s, t->shapes, t->n_shapes);
        values_text(s, &s->best, s->row.values, sizeof s->row.values);
        forget(s);
        t->ok = (!s->row.kept || ops_prefs_add_tuned(&s->bd->prefs, &s->best)) && t->ok;
    }
}

/* False: no more. */
static bool end_search(struct tuning *t, struct search *s, bool failed)
{
    struct bench_totals *totals = t->bd->totals;
    totals->rows++;
    totals->failed += s->row.failed != 0 || failed ? 1 : 0;
    bool goes_on = t->tuned(t->bd->params->user, &s->row);
    totals->stopped = totals->stopped || !goes_on;
    bench_case_finish(&s->c);
    return goes_on && !dev_is_lost(t->bd->dev);
}

/* A row that may be faster than the chosen one, which is the default here. */
static bool tune_rival(struct tuning *t, const struct ops_variant *rival)
{
    struct search s = begin_search(t);
    char why[128];
    name_variant(&s, rival);
    forget(&s);
    s.best.first = true;
    s.plain = t->bd->prefs;
    s.c.prefs = &s.plain;
    pick_values(rival, 0, s.best.values);
    use_candidate(&s, &s.best);
    bool fits = ops_variant_supported(rival, dev_get_caps(t->bd->dev), why, sizeof why) &&
                bench_case_create(&s.c) && time_with(&s, &s.trial, 1) >= 0 &&
                strcmp(s.c.used.variant, rival->name) == 0;
    if (!fits) {
        bench_case_finish(&s.c);
        return !dev_is_lost(t->bd->dev);
    }
    choose(t, &s);
    return end_search(t, &s, false);
}

static bool tune_one(struct tuning *t)
{
    const struct op *op = ops_find(t->kind->op);
    t->n_shapes = shapes_of(t->bd, t->kind, t->class, t->shapes);
    struct search s = begin_search(t);
    bool found = find_variant(&s), goes_on = true;
    const struct ops_variant *chosen = s.variant;
    if (found && count_tunables(chosen) == 0) {
        bench_case_finish(&s.c); /* nothing to choose */
    } else {
        if (found) {
            name_variant(&s, chosen);
            choose(t, &s);
        }
        goes_on = end_search(t, &s, !found);
    }
    for (uint32_t i = 0; found && goes_on && i < op->n_variants; i++) {
        const struct ops_variant *v = &op->variants[i];
        goes_on = !v->rival || v <= chosen || v->x != chosen->x || tune_rival(t, v);
    }
    return goes_on;
}

static bool tune_kind(struct bench_device *bd, const struct bench_kind *kind, uint32_t classes,
                      bench_tuned_fn *tuned, bool *ok)
{
    for (uint32_t q = 0; q < QUANT_COUNT; q++) {
        for (uint32_t class = 0; class < OPS_TOKEN_CLASSES && bench_has_type(bd, kind, q);
             class ++) {
            /* Of CPU devices, whose chunks are small, the last but one serves the last too. */
            if ((classes >> class & 1u) == 0 || (bd->cpu && class == OPS_TOKEN_CLASSES - 1)) {
                continue;
            }
            if (!bench_goes_on(bd)) {
                bd->totals->left_out++;
            } else {
                struct tuning t = {
                    .bd = bd, .kind = kind, .quant = q, .class = class, .tuned = tuned, .ok = true};
                bool goes_on = tune_one(&t);
                *ok = t.ok && *ok;
                if (!goes_on) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* Classes as bits. */
enum { FEW_TOKENS = 3, ALL_TOKENS = (1 << OPS_TOKEN_CLASSES) - 1 };

static bool tune_device(struct bench_device *bd, bench_tuned_fn *tuned)
{
    uint32_t groups = bd->params->groups, classes = 0, left = bd->totals->left_out;
    uint32_t rows = bd->totals->rows;
    bool ok = true;
    classes |= (groups & BENCH_GEMV) != 0 ? FEW_TOKENS : 0;
    classes |= (groups & BENCH_GEMM) != 0 ? ALL_TOKENS & ~FEW_TOKENS : 0;
    bool goes_on = tune_kind(bd, &bench_kind_matmul, classes, tuned, &ok);
    if (goes_on && (groups & BENCH_EXPERTS) != 0) {
        goes_on = tune_kind(bd, &bench_kind_experts, ALL_TOKENS, tuned, &ok);
    }
    if (goes_on && (groups & BENCH_ATTENTION) != 0) {
        goes_on = tune_kind(bd, &bench_kind_attention, ALL_TOKENS, tuned, &ok);
    }
    if (goes_on && (groups & BENCH_NORM) != 0) {
        tune_kind(bd, &bench_kind_norm, ALL_TOKENS, tuned, &ok);
    }
    if (bd->totals->rows == rows && goes_on) {
        bench_note(bd, "device %u: the kernels that are chosen here have no tile parameters",
                   bd->index);
    }
    left = bd->totals->left_out - left;
    if (left != 0) {
        bench_note(bd, "device %u: %u kernels were not tuned: no time left (--time-limit)",
                   bd->index, left);
    }
    return ops_profile_save(&bd->prefs, bd->folder, dev_get_info(bd->dev), bd->log) && ok;
}

bool bench_tune(const struct bench_params *params, bench_tuned_fn *tuned,
                struct bench_totals *totals, char *why, size_t why_bytes)
{
    struct log log;
    *totals = (struct bench_totals){0};
    log_init(&log, params->log, params->log_user, LOG_WARN);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){.log = &log});
    bool ok = inst != NULL;
    uint64_t begin = os_clock_ns();
    for (uint32_t i = 0; ok && i < params->n_devices && !totals->stopped; i++) {
        struct bench_device bd;
        ok = bench_device_open(&bd, inst, params->devices[i], params, totals, &log);
        if (ok && bd.folder[0] == '\0') {
            log_error(&log, "tuning needs the folder of the caches, and there is none");
            ok = false;
        }
        double part = params->seconds * 1e9 * (i + 1) / params->n_devices;
        bd.end_ns = params->seconds > 0 ? begin + (uint64_t)part : 0;
        ok = ok && tune_device(&bd, tuned);
        bench_device_close(&bd);
    }
    if (!ok) {
        log_get_last(&log, why, why_bytes);
    }
    bench_end(inst, &log, totals);
    return ok;
}
