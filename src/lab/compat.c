/* The sweep: which rows there are, in which order, and what becomes of a device that fails. A case
 * is made once and run by all variants of its op; running and judging are lab.h's. */
#include "lab/compat.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_VARIANTS = 16,
    MAX_LOSSES = 3, /* in a row, then the device is left alone */
    QUICK_PLAIN = 3,
    QUICK_TRIES = 8, /* cases of a format, in search of ways that the first ones do not have */
};

enum way { INTERLEAVE, SEGMENTS, IN_PLACE, PLAIN, WAYS };

/* Error lines while a case runs. */
struct capture {
    log_fn *fn;
    void *user;
    char first[200];
};

struct sweep {
    const struct lab_sweep_params *params;
    struct capture capture;
    uint32_t index;       /* of the device */
    struct dev *dev;      /* NULL: not open now */
    struct dev_caps caps; /* after the mask; of its first opening */
    bool gone;
    char gone_why[256];
    uint32_t losses; /* in a row */
    bool stopped, failed;
};

/* One op on one device. */
struct round {
    const struct lab_op *op;
    const struct op *def;
    bool active[MAX_VARIANTS]; /* cases are run */
    /* quick, of the format at hand */
    uint32_t plain[MAX_VARIANTS];
    bool seen[MAX_VARIANTS][WAYS];
};

static void keep_line(void *user, enum log_level level, const char *line)
{
    struct capture *capture = user;
    if (level == LOG_ERROR && capture->first[0] == '\0') {
        snprintf(capture->first, sizeof capture->first, "%s", line);
    } else if (level != LOG_ERROR && capture->fn != NULL) {
        capture->fn(capture->user, level, line);
    }
}

static void capture_begin(struct sweep *s)
{
    struct log *log = s->params->log;
    pthread_mutex_lock(&log->lock);
    s->capture = (struct capture){.fn = log->fn, .user = log->user};
    log->fn = keep_line;
    log->user = &s->capture;
    pthread_mutex_unlock(&log->lock);
}

static void capture_end(struct sweep *s)
{
    struct log *log = s->params->log;
    pthread_mutex_lock(&log->lock);
    log->fn = s->capture.fn;
    log->user = s->capture.user;
    pthread_mutex_unlock(&log->lock);
}

static bool is_memory(const char *line)
{
    return strstr(line, "OUT_OF_DEVICE_MEMORY") != NULL ||
           strstr(line, "OUT_OF_HOST_MEMORY") != NULL || strstr(line, "out of memory") != NULL ||
           strstr(line, "left of the budget") != NULL;
}

static void open_device(struct sweep *s)
{
    bool again = s->caps.max_workgroup_invocations != 0;
    capture_begin(s);
    s->dev = dev_open(s->params->inst, &(struct dev_open_params){.index = s->index,
                                                                 .caps_off = s->params->caps_off});
    capture_end(s);
    if (s->dev == NULL) {
        s->gone = true;
        snprintf(s->gone_why, sizeof s->gone_why, "%s: %s",
                 again ? "device lost earlier and not opened again" : "cannot be opened",
                 s->capture.first);
        /* what it can do is still known, but for the mask */
        s->caps = again ? s->caps : dev_instance_info(s->params->inst, s->index)->caps;
    } else {
        s->caps = *dev_get_caps(s->dev);
    }
}

static void close_device(struct sweep *s)
{
    capture_begin(s);
    dev_close(s->dev);
    capture_end(s);
    s->dev = NULL;
}

static bool is_wanted(const struct sweep *s, struct lab_row *row)
{
    return s->params->wanted == NULL || s->params->wanted(s->params->user, row);
}

static void hand_over(struct sweep *s, const struct lab_row *row)
{
    s->stopped = s->stopped || !s->params->on_row(s->params->user, row);
}

/* The variant has no (more) cases on this device. */
static void add_cell(struct sweep *s, const struct round *r, uint32_t v, enum lab_status status,
                     const char *why)
{
    struct lab_row row = {
        .device = s->index, .op = r->op, .variant = &r->def->variants[v], .status = status};
    row.c.op = r->op;
    snprintf(row.why, sizeof row.why, "%s", why);
    if (is_wanted(s, &row)) {
        hand_over(s, &row);
    }
}

/* Nothing came of a run. */
static void judge_error(struct sweep *s, struct lab_row *row)
{
    const char *line = s->capture.first[0] != '\0' ? s->capture.first : "no reason was logged";
    bool lost = dev_is_lost(s->dev) || strstr(line, "did not finish within") != NULL;
    row->status = LAB_FAIL;
    snprintf(row->why, sizeof row->why, "%s: %s",
             lost              ? "device lost"
             : is_memory(line) ? "out of memory"
                               : "could not be run",
             line);
    close_device(s);
    s->losses = lost ? s->losses + 1 : 0;
    if (s->losses == MAX_LOSSES) {
        s->gone = true;
        snprintf(s->gone_why, sizeof s->gone_why, "device lost earlier, %d times in a row",
                 MAX_LOSSES);
    }
}

static void judge_result(struct sweep *s, struct lab_row *row)
{
    const struct lab_result *result = &row->result;
    s->losses = 0;
    row->status = LAB_FAIL;
    if (result->unfit != NULL) {
        row->status = LAB_SKIP;
        snprintf(row->why, sizeof row->why, "%s", result->unfit);
    } else if (strcmp(result->variant, row->variant->name) != 0) {
        snprintf(row->why, sizeof row->why, "%s ran in its place", result->variant);
    } else if (!result->passed) {
        snprintf(row->why, sizeof row->why, "%s", result->first);
    } else if (strncmp(s->capture.first, "validation:", 11) == 0) {
        snprintf(row->why, sizeof row->why, "%s", s->capture.first);
    } else {
        row->status = LAB_PASS;
    }
}

static void run_row(struct sweep *s, struct lab *lab, struct lab_row *row)
{
    const struct ops_prefs prefs = {.forced = row->variant->name};
    const struct lab_run_params params = {.dev = s->dev,
                                          .in_place = row->in_place,
                                          .segments = row->segments,
                                          .interleave = row->interleave,
                                          .prefs = &prefs};
    capture_begin(s);
    bool ran = lab_run(lab, &params, &row->result);
    capture_end(s);
    if (ran) {
        judge_result(s, row);
    } else {
        judge_error(s, row);
    }
    hand_over(s, row);
}

static bool is_possible(const struct sweep *s, const struct lab *lab, const struct lab_row *row)
{
    const struct ops_prefs prefs = {.forced = row->variant->name};
    return (!row->in_place || lab_can_in_place(lab)) && (!row->segments || lab_can_segment(lab)) &&
           (!row->interleave ||
            (ops_weight_lanes(&s->caps, &prefs) == 1 && lab_can_interleave(lab, s->dev)));
}

static struct lab_row make_row(const struct sweep *s, const struct round *r, uint32_t v,
                               const struct lab_case *c, enum way way)
{
    return (struct lab_row){.device = s->index,
                            .op = r->op,
                            .variant = &r->def->variants[v],
                            .c = *c,
                            .in_place = way == IN_PLACE,
                            .segments = way == SEGMENTS,
                            .interleave = way == INTERLEAVE};
}

/* A quick sweep has what it wants of this variant in this way. */
static bool has_enough(const struct sweep *s, const struct round *r, uint32_t v, enum way way)
{
    return s->params->quick && (way == PLAIN ? r->plain[v] >= QUICK_PLAIN : r->seen[v][way]);
}

static void note(struct round *r, uint32_t v, enum way way, enum lab_status status)
{
    if (status != LAB_SKIP) {
        r->plain[v] += way == PLAIN ? 1 : 0;
        r->seen[v][way] = true;
    }
}

/* The ways of a case by one variant. `lab` is made when it is first needed. False: the case
 * cannot be made, host memory is out. */
static void run_ways(struct sweep *s, struct round *r, uint32_t v, const struct lab_case *c,
                     struct lab **lab)
{
    struct lab_row plain = make_row(s, r, v, c, PLAIN);
    bool is_left = is_wanted(s, &plain);
    for (enum way way = INTERLEAVE; way < WAYS && !s->stopped; way++) {
        struct lab_row row = make_row(s, r, v, c, way);
        if (has_enough(s, r, v, way)) {
            continue;
        }
        if (!is_wanted(s, &row)) {
            note(r, v, way, row.status);
            continue;
        }
        if (!is_left) {
            continue;
        }
        if (s->dev == NULL && !s->gone) {
            open_device(s);
        }
        if (*lab == NULL) {
            capture_begin(s);
            *lab = lab_create(c, s->params->log);
            capture_end(s);
        }
        if (s->gone) {
            return;
        }
        if (*lab == NULL) {
            row.status = LAB_FAIL;
            snprintf(row.why, sizeof row.why, "could not be run: %s", s->capture.first);
            hand_over(s, &row);
        } else if (is_possible(s, *lab, &row)) {
            run_row(s, *lab, &row);
        } else {
            continue;
        }
        note(r, v, way, row.status);
    }
}

static bool needs_more(const struct sweep *s, const struct round *r, uint32_t tries)
{
    bool more = !s->params->quick;
    for (uint32_t v = 0; v < r->def->n_variants && !more; v++) {
        for (enum way way = INTERLEAVE; way < WAYS && r->active[v]; way++) {
            more = more || (!has_enough(s, r, v, way) && (way == PLAIN || tries < QUICK_TRIES));
        }
    }
    return more;
}

static void run_format(struct sweep *s, struct round *r, const uint32_t *order, uint32_t n)
{
    memset(r->plain, 0, sizeof r->plain);
    memset(r->seen, 0, sizeof r->seen);
    for (uint32_t i = 0; i < n && !s->stopped && !s->gone && needs_more(s, r, i); i++) {
        const struct lab_case c = lab_case_get(r->op, order[i], s->params->seed);
        struct lab *lab = NULL;
        for (uint32_t v = 0; v < r->def->n_variants && !s->stopped && !s->gone; v++) {
            const struct ops_variant *variant = &r->def->variants[v];
            bool has_kernel = variant->by_quant == NULL || variant->by_quant[c.quant] != NULL;
            if (r->active[v] && has_kernel) {
                run_ways(s, r, v, &c, &lab);
            }
        }
        lab_destroy(lab);
    }
}

static void run_cases(struct sweep *s, struct round *r)
{
    uint32_t n_quant = (r->op->vary & LAB_BY_QUANT) != 0 ? QUANT_COUNT : 1;
    uint32_t n_kv = (r->op->vary & LAB_BY_KV) != 0 ? LAB_KV_TYPES : 1;
    uint32_t *order = mem_alloc(lab_case_count(r->op), sizeof *order);
    if (order == NULL) {
        log_error(s->params->log, "lab: out of memory for the cases of %s", r->op->name);
        s->failed = true;
        return;
    }
    for (uint32_t q = 0; q < n_quant; q++) {
        for (uint32_t kv = 0; kv < n_kv && !s->stopped && !s->gone; kv++) {
            uint32_t n =
                lab_case_order(r->op, (enum quant_id)q, lab_kv_type(kv), s->params->quick, order);
            run_format(s, r, order, n);
        }
    }
    mem_free(order);
}

static bool is_named(const char *filter, const char *name)
{
    return filter == NULL || strcmp(filter, name) == 0;
}

static void run_op(struct sweep *s, const struct lab_op *op)
{
    struct round r = {.op = op, .def = ops_find(op->name)};
    char why[128];
    bool any = false;
    for (uint32_t v = 0; r.def != NULL && v < r.def->n_variants && v < MAX_VARIANTS; v++) {
        const struct ops_variant *variant = &r.def->variants[v];
        struct lab_row cell = {.device = s->index, .op = op, .variant = variant, .c = {.op = op}};
        if (!is_named(s->params->variant, variant->name) || !is_wanted(s, &cell) || s->stopped) {
            continue;
        }
        if (ops_prefs_is_off(s->params->prefs, op->name, variant->name)) {
            add_cell(s, &r, v, LAB_SKIP, "switched off");
            continue;
        }
        if (!ops_variant_supported(variant, &s->caps, why + 6, sizeof why - 6)) {
            bool is_cap = (variant->needs & ~s->caps.has) != 0;
            add_cell(s, &r, v, LAB_SKIP, is_cap ? memcpy(why, "needs ", 6) : why + 6);
            continue;
        }
        r.active[v] = any = true;
    }
    if (any && !s->gone && !s->stopped) {
        run_cases(s, &r);
    }
    for (uint32_t v = 0; s->gone && v < MAX_VARIANTS && !s->stopped; v++) {
        if (r.active[v]) {
            add_cell(s, &r, v, LAB_FAIL, s->gone_why);
        }
    }
}

static void run_device(struct sweep *s, uint32_t index)
{
    uint32_t n_ops;
    const struct lab_op *const *ops = lab_list(&n_ops);
    s->index = index;
    s->gone = false;
    s->losses = 0;
    memset(&s->caps, 0, sizeof s->caps);
    open_device(s);
    for (uint32_t i = 0; i < n_ops && !s->stopped && !s->failed; i++) {
        if (is_named(s->params->op, ops[i]->name)) {
            run_op(s, ops[i]);
        }
    }
    close_device(s);
}

/* The filter lets some variant through; else logged. */
static bool check_filter(const struct lab_sweep_params *params)
{
    uint32_t n_ops, n = 0;
    const struct lab_op *const *ops = lab_list(&n_ops);
    for (uint32_t i = 0; i < n_ops; i++) {
        const struct op *def = ops_find(ops[i]->name);
        for (uint32_t v = 0; def != NULL && v < def->n_variants; v++) {
            n += is_named(params->op, ops[i]->name) &&
                 is_named(params->variant, def->variants[v].name);
        }
    }
    if (n == 0) {
        log_error(params->log, "lab: there is no op %s with a variant %s",
                  params->op != NULL ? params->op : "at all",
                  params->variant != NULL ? params->variant : "at all");
    }
    return n != 0;
}

bool lab_sweep(const struct lab_sweep_params *params)
{
    struct sweep s = {.params = params};
    if (!check_filter(params)) {
        return false;
    }
    for (uint32_t i = 0; i < params->n_devices && !s.stopped && !s.failed; i++) {
        if (params->devices[i] < dev_instance_count(params->inst) &&
            dev_instance_info(params->inst, params->devices[i])->usable) {
            run_device(&s, params->devices[i]);
        }
    }
    return !s.stopped && !s.failed;
}
