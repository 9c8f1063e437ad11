/* A case of a kernel's microbenchmark: the plan of one op, its inputs made on the device by the
 * generator of dummy weights (so that the host can make any row of them again), copies of all
 * buffers side by side in one block of memory, recording. Judging is bench_check.c's. */
#include "lab/bench_internal.h"

#include "base/hash.h"
#include "lab/internal.h"
#include "ops/fill.h"

#include <stdio.h>
#include <string.h>

enum { ROW_STEP = 64, FILL_BYTES = 64 << 20 };

static uint64_t largest_part(const struct bench_case *c)
{
    return dev_get_caps(c->bd->dev)->max_binding_bytes / 2;
}

/* Rows of a weight's segments, as the engine cuts them: none above half of a binding. */
static bool segment_rows(struct bench_case *c, const struct plan_tensor *tensor, uint32_t lanes,
                         uint64_t *rows)
{
    struct quant_layout layout;
    uint64_t n = tensor->rows, limit = largest_part(c);
    while (quant_layout_init(&layout, tensor->quant, n, tensor->cols, lanes)) {
        if (layout.bytes <= limit) {
            *rows = n;
            return true;
        }
        if (n <= ROW_STEP) {
            break;
        }
        uint64_t fewer = size_round(size_div_up(n, size_div_up(layout.bytes, limit)), ROW_STEP);
        n = fewer < n ? fewer : (n - 1) / ROW_STEP * ROW_STEP;
    }
    c->why = "a row of the weight is too long for the device's bindings";
    return false;
}

static bool size_weight(struct bench_case *c, const struct plan_tensor *tensor,
                        struct bench_tensor *t)
{
    uint32_t lanes = tensor->rows == 1 ? 1 : ops_weight_lanes(dev_get_caps(c->bd->dev), c->prefs);
    uint64_t rows;
    if (!segment_rows(c, tensor, lanes, &rows)) {
        return false;
    }
    t->n_segments = (uint32_t)size_div_up(tensor->rows, rows);
    t->segments = arena_alloc(&c->arena, t->n_segments, sizeof *t->segments);
    struct quant_layout *layouts = arena_alloc(&c->arena, t->n_segments, sizeof *layouts);
    if (t->segments == NULL || layouts == NULL) {
        c->why = "out of memory";
        return false;
    }
    for (uint32_t i = 0; i < t->n_segments; i++) {
        uint64_t row0 = i * rows, n = tensor->rows - row0 < rows ? tensor->rows - row0 : rows;
        if (!quant_layout_init(&layouts[i], tensor->quant, n, tensor->cols, lanes)) {
            return false;
        }
        t->segments[i] = (struct op_segment){.offset = t->bytes,
                                             .bytes = layouts[i].bytes,
                                             .row0 = row0,
                                             .rows = n,
                                             .layout = &layouts[i]};
        t->bytes += layouts[i].bytes;
    }
    return true;
}

static bool size_plain(struct bench_case *c, const struct plan_tensor *tensor,
                       struct bench_tensor *t)
{
    uint64_t bytes = plan_tensor_bytes(tensor);
    t->segments = arena_alloc(&c->arena, 1, sizeof *t->segments);
    if (bytes == 0 || t->segments == NULL) {
        c->why = bytes == 0 ? "sizes beyond 64 bits" : "out of memory";
        return false;
    }
    t->n_segments = 1;
    t->bytes = size_round(bytes, PLAN_ALIGN);
    t->segments[0] = (struct op_segment){.bytes = bytes, .rows = tensor->rows};
    return true;
}

static void describe_fill(const struct bench_case *c, const struct plan_tensor *tensor,
                          struct bench_tensor *t)
{
    t->rows = tensor->rows;
    t->cols = tensor->cols;
    t->quant = tensor->elem == PLAN_QUANT ? tensor->quant
               : tensor->elem == PLAN_F16 ? QUANT_F16
                                          : QUANT_F32;
    if (tensor->cols == 1) { /* one after the other, as one row */
        t->rows = 1;
        t->cols = tensor->rows;
    }
    if (tensor->role == PLAN_KV) {
        t->rows = tensor->rows * (tensor->cols / c->head_dim);
        t->cols = c->head_dim;
    }
}

/* Inputs lie in one region, results (and what lies between nodes) in another. */
static bool lay_out(struct bench_case *c)
{
    const struct plan *plan = &c->plan;
    if (plan->n_tensors > BENCH_MAX_TENSORS) {
        c->why = "too many tensors";
        return false;
    }
    for (size_t i = 0; i < plan->n_nodes; i++) {
        for (uint32_t d = 0; d < plan->nodes[i].n_dst; d++) {
            c->tensors[plan->nodes[i].dst[d]].made = true;
        }
    }
    uint64_t state = c->bd->params->seed;
    for (uint32_t id = 0; id < plan->n_tensors; id++) {
        const struct plan_tensor *tensor = &plan->tensors[id];
        struct bench_tensor *t = &c->tensors[id];
        t->seed = hash_next(&state);
        describe_fill(c, tensor, t);
        if (!(tensor->elem == PLAN_QUANT ? size_weight(c, tensor, t) : size_plain(c, tensor, t))) {
            return false;
        }
        uint64_t *region = t->made ? &c->out_bytes : &c->in_bytes;
        t->at = *region;
        if (!size_add(*region, t->bytes, region)) {
            c->why = "sizes beyond 64 bits";
            return false;
        }
    }
    return true;
}

/* As many copies as rotate through enough memory; with --warm only the results have copies. */
static bool choose_copies(struct bench_case *c)
{
    uint64_t most = bench_memory_most(c->bd), one;
    bool warm = c->bd->params->warm;
    if (!size_add(c->in_bytes, c->out_bytes, &one) || one > most) {
        c->why = "does not fit the device's memory";
        return false;
    }
    uint64_t want = warm ? BENCH_MAX_RUNS : size_div_up(c->bd->rotate, one) + 1;
    uint64_t fit = warm ? (most - c->in_bytes) / c->out_bytes : most / one;
    if (warm && fit * c->out_bytes > c->bd->rotate) {
        fit = c->bd->rotate / c->out_bytes + 1 < fit ? c->bd->rotate / c->out_bytes + 1 : fit;
    }
    want = want < fit ? want : fit;
    c->copies = want < BENCH_MAX_COPIES ? (uint32_t)want : BENCH_MAX_COPIES;
    c->in_stride = warm ? 0 : c->in_bytes;
    c->out_at = warm ? c->in_bytes : c->in_bytes * c->copies;
    c->buf = bench_memory(c->bd, c->out_at + c->out_bytes * c->copies);
    c->why = c->buf == NULL ? "the device has no memory for it" : NULL;
    return c->buf != NULL;
}

/* Rows of floats or halves, row after row, in pieces that a dispatch can bind. */
static bool fill_rows(struct bench_case *c, struct dev_cmd *cmd, const struct bench_tensor *t)
{
    uint64_t row_bytes = quant_row_bytes(t->quant, t->cols);
    uint64_t limit = largest_part(c) < FILL_BYTES ? largest_part(c) : FILL_BYTES;
    uint64_t step = limit / row_bytes / ROW_STEP * ROW_STEP;
    step = step != 0 ? step : t->rows;
    for (uint64_t row = 0; row < t->rows; row += step) {
        struct quant_layout layout;
        uint64_t n = t->rows - row < step ? t->rows - row : step;
        if (!quant_layout_init(&layout, t->quant, n, t->cols, 1) ||
            !ops_fill_weight(c->bd->dev, cmd, c->buf, t->at + row * row_bytes, &layout, row,
                             t->seed, c->bd->log)) {
            return false;
        }
    }
    return true;
}

static bool fill_input(struct bench_case *c, struct dev_cmd *cmd, uint32_t id)
{
    const struct bench_tensor *t = &c->tensors[id];
    if (c->plan.tensors[id].elem != PLAN_QUANT) {
        return fill_rows(c, cmd, t);
    }
    for (uint32_t i = 0; i < t->n_segments; i++) {
        const struct op_segment *s = &t->segments[i];
        if (!ops_fill_weight(c->bd->dev, cmd, c->buf, t->at + s->offset, s->layout, s->row0,
                             t->seed, c->bd->log)) {
            return false;
        }
    }
    return true;
}

static bool record_fill(void *user, struct dev_cmd *cmd)
{
    struct bench_case *c = user;
    for (uint32_t id = 0; id < c->plan.n_tensors; id++) {
        enum plan_elem elem = c->plan.tensors[id].elem;
        if (!c->tensors[id].made && elem != PLAN_U32 && plan_elem_block(elem) == 1 &&
            !fill_input(c, cmd, id)) {
            return false;
        }
    }
    return true;
}

/* The first copy's inputs to all others, twice as many at a time. */
static bool record_copies(void *user, struct dev_cmd *cmd)
{
    struct bench_case *c = user;
    for (uint64_t done = 1; c->in_stride != 0 && done < c->copies; done *= 2) {
        uint64_t n = c->copies - done < done ? c->copies - done : done;
        if (!dev_cmd_copy(cmd, c->buf, done * c->in_stride, c->buf, 0, n * c->in_stride)) {
            return false;
        }
    }
    return true;
}

static bool upload_inputs(struct bench_case *c)
{
    for (uint32_t id = 0; id < c->plan.n_tensors; id++) {
        const struct plan_tensor *tensor = &c->plan.tensors[id];
        if (plan_elem_block(tensor->elem) > 1 && !bench_cache_upload(c, id)) {
            return false;
        }
        if (!c->tensors[id].made && tensor->elem == PLAN_U32 &&
            !dev_upload(c->bd->dev, c->buf, c->tensors[id].at,
                        c->words[id] != NULL ? c->words[id] : c->step_words,
                        plan_tensor_bytes(tensor))) {
            return false;
        }
    }
    return true;
}

static bool record_poison(void *user, struct dev_cmd *cmd)
{
    struct bench_case *c = user;
    return dev_cmd_fill(cmd, c->buf, c->out_at, c->out_bytes * c->copies, LAB_POISON);
}

bool bench_case_poison(struct bench_case *c)
{
    return bench_once(c->bd, record_poison, c);
}

bool bench_case_create(struct bench_case *c)
{
    arena_init(&c->arena);
    if (!c->kind->make(c) || c->plan.failed) {
        return false;
    }
    for (size_t i = 0; i < c->plan.n_nodes; i++) {
        c->plan.nodes[i].device = 0;
    }
    for (size_t i = 0; i < c->plan.n_nodes && c->flop + c->bytes == 0; i++) {
        struct op_cost cost = {0, 0};
        c->plan.nodes[i].op->cost(&c->plan, &c->plan.nodes[i], &cost);
        c->flop += cost.flop;
        c->bytes += cost.bytes;
    }
    return lay_out(c) && choose_copies(c) && bench_once(c->bd, record_fill, c) &&
           upload_inputs(c) && bench_once(c->bd, record_copies, c) && bench_case_poison(c);
}

void bench_case_finish(struct bench_case *c)
{
    plan_finish(&c->plan);
    arena_finish(&c->arena);
}

/* Where the tensors of one copy lie. */
struct placement {
    struct op_place places[BENCH_MAX_TENSORS];
    struct op_segment *segments[BENCH_MAX_TENSORS];
};

static void move_to(const struct bench_case *c, uint32_t copy, struct placement *p)
{
    for (uint32_t id = 0; id < c->plan.n_tensors; id++) {
        const struct bench_tensor *t = &c->tensors[id];
        uint64_t base = t->at + (t->made ? c->out_at + copy * c->out_bytes : copy * c->in_stride);
        for (uint32_t i = 0; i < t->n_segments; i++) {
            p->segments[id][i] = t->segments[i];
            p->segments[id][i].buf = c->buf;
            p->segments[id][i].offset += base;
        }
        p->places[id] = (struct op_place){t->n_segments, p->segments[id]};
    }
}

static bool record_runs(struct bench_case *c, struct placement *p, struct dev_cmd *cmd,
                        uint32_t first, uint32_t n)
{
    struct op_used other;
    for (size_t i = 0; i < c->plan.n_nodes; i++) {
        const struct plan_node *node = &c->plan.nodes[i];
        bool main = i == 0; /* nodes behind it (the joining of splits) are not what is forced */
        const struct op_site site = {.dev = c->bd->dev,
                                     .cmd = cmd,
                                     .plan = &c->plan,
                                     .places = p->places,
                                     .log = c->bd->log,
                                     .prefs = main ? c->prefs : &c->bd->prefs,
                                     .used = main ? &c->used : &other};
        for (uint32_t run = 0; run < n; run++) {
            move_to(c, (first + run) % c->copies, p);
            if ((c->serial && run != 0 && !dev_cmd_barrier(cmd)) ||
                !node->op->record(&site, node)) {
                return false;
            }
        }
    }
    return true;
}

/* Node by node, so that runs of several nodes need one barrier per node, not per run. */
bool bench_case_record(void *user, struct dev_cmd *cmd, uint32_t first, uint32_t n)
{
    struct bench_case *c = user;
    struct placement p;
    struct arena arena;
    arena_init(&arena);
    bool ok = true;
    for (uint32_t id = 0; ok && id < c->plan.n_tensors; id++) {
        p.segments[id] = arena_alloc(&arena, c->tensors[id].n_segments, sizeof *p.segments[id]);
        ok = p.segments[id] != NULL;
    }
    if (!ok) {
        log_error(c->bd->log, "microbench: out of memory for segments");
    }
    ok = ok && record_runs(c, &p, cmd, first, n);
    arena_finish(&arena);
    return ok;
}
