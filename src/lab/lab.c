/* Cases and their inputs: random values rounded to what a device will hold, the step buffer with
 * its scattered blocks, and room for what is expected. Running is in run.c, judging in compare.c;
 * what an op computes is known only by the op's own file. */
#include "lab/internal.h"

#include "base/half.h"
#include "base/hash.h"
#include "shaders/common/step.h"

#include <stdio.h>
#include <string.h>

enum {
    STEP_SPARE = 5, /* the stride of the arrays is larger than the number of tokens */
    TICKETS = 512   /* at least tokens x heads of the cases with splits */
};

const struct lab_op *lab_find(const char *name)
{
    uint32_t count;
    const struct lab_op *const *list = lab_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i]->name, name) == 0) {
            return list[i];
        }
    }
    return NULL;
}

static bool quant_fits(const struct lab_op *op, uint32_t shape, uint32_t quant)
{
    return op->shapes[shape][op->quant_dim] % quant_get((enum quant_id)quant)->block_cols == 0;
}

/* What a format changes in a kernel is how values are made; tails of tiles and of rows depend on
 * the size of its block. So the first format of each size takes every shape that fits, and of those
 * the others take every third, each of three successive formats another one: tables of shapes have
 * like ones in threes. */
static bool takes(const struct lab_op *op, uint32_t shape, uint32_t quant)
{
    uint32_t turn = 0, nth = 0;
    for (uint32_t q = 0; q < quant; q++) {
        turn += quant_get(q)->block_cols == quant_get(quant)->block_cols ? 1 : 0;
    }
    for (uint32_t s = 0; s < shape; s++) {
        nth += quant_fits(op, s, quant) ? 1 : 0;
    }
    return quant_fits(op, shape, quant) && (turn == 0 || (nth + turn) % 3 == 0);
}

enum plan_elem lab_kv_type(uint32_t i)
{
    static const enum plan_elem types[LAB_KV_TYPES] = {PLAN_F16, PLAN_F32, PLAN_Q8_0, PLAN_Q4_0};
    return types[i];
}

/* Walks the cases up to number `index`; returns how many there are when index is not reached. */
static uint32_t walk(const struct lab_op *op, uint32_t index, struct lab_case *out)
{
    uint32_t n = 0, n_quant = (op->vary & LAB_BY_QUANT) != 0 ? QUANT_COUNT : 1;
    uint32_t n_kv = (op->vary & LAB_BY_KV) != 0 ? LAB_KV_TYPES : 1;
    for (uint32_t s = 0; s < op->n_shapes; s++) {
        for (uint32_t q = 0; q < n_quant; q++) {
            if (n_quant != 1 && !takes(op, s, q)) {
                continue;
            }
            for (uint32_t kv = 0; kv < n_kv; kv++) {
                if (n_kv != 1 && !op->kv_fits(op->shapes[s], lab_kv_type(kv))) {
                    continue;
                }
                if (n == index) {
                    out->dims = op->shapes[s];
                    out->quant = (enum quant_id)q;
                    out->kv_elem = lab_kv_type(kv);
                    return n;
                }
                n++;
            }
        }
    }
    return n;
}

uint32_t lab_case_count(const struct lab_op *op)
{
    return walk(op, UINT32_MAX, NULL);
}

struct lab_case lab_case_get(const struct lab_op *op, uint32_t index, uint64_t seed)
{
    uint64_t state = seed + index;
    struct lab_case c = {.op = op, .seed = hash_next(&state)};
    walk(op, index, &c);
    return c;
}

void lab_case_text(const struct lab_case *c, char *out, size_t out_bytes)
{
    size_t n = (size_t)snprintf(out, out_bytes, "%s", c->op->name);
    for (uint32_t i = 0; i < LAB_DIMS && n < out_bytes && c->op->dims[i] != NULL; i++) {
        n += (size_t)snprintf(out + n, out_bytes - n, " %s=%u", c->op->dims[i], c->dims[i]);
    }
    if ((c->op->vary & LAB_BY_QUANT) != 0 && n < out_bytes) {
        n += (size_t)snprintf(out + n, out_bytes - n, " %s", quant_get(c->quant)->name);
    }
    if ((c->op->vary & LAB_BY_KV) != 0 && n < out_bytes) {
        n += (size_t)snprintf(out + n, out_bytes - n, " kv=%s", plan_elem_name(c->kv_elem));
    }
    if (n < out_bytes) {
        snprintf(out + n, out_bytes - n, " seed=0x%llx", (unsigned long long)c->seed);
    }
}

struct lab *lab_create(const struct lab_case *c, struct log *log)
{
    struct lab *lab = mem_alloc(1, sizeof *lab);
    if (lab == NULL) {
        log_error(log, "lab: %s: out of memory", c->op->name);
        return NULL;
    }
    lab->c = *c;
    lab->log = log;
    lab->rng = c->seed;
    lab->step = PLAN_NONE;
    arena_init(&lab->arena);
    lab_tokens(lab, 1, 1);
    if (!c->op->make(lab) || lab->plan.failed || lab->plan.n_nodes == 0) {
        char text[256];
        lab_case_text(c, text, sizeof text);
        log_error(log, "lab: cannot make the case %s", text);
        lab_destroy(lab);
        return NULL;
    }
    /* Place: everything on device 0. */
    for (size_t i = 0; i < lab->plan.n_nodes; i++) {
        lab->plan.nodes[i].device = 0;
    }
    return lab;
}

void lab_destroy(struct lab *lab)
{
    if (lab == NULL) {
        return;
    }
    plan_finish(&lab->plan);
    arena_finish(&lab->arena);
    mem_free(lab->data);
    mem_free(lab);
}

struct plan *lab_plan(struct lab *lab)
{
    return &lab->plan;
}

uint32_t lab_dim(const struct lab *lab, uint32_t i)
{
    return lab->c.dims[i];
}

enum quant_id lab_quant(const struct lab *lab)
{
    return lab->c.quant;
}

enum plan_elem lab_kv_elem(const struct lab *lab)
{
    return lab->c.kv_elem;
}

enum plan_elem lab_kv_other(const struct lab *lab, bool cross)
{
    switch (lab->c.kv_elem) {
    case PLAN_F16:
        return cross ? PLAN_Q8_0 : PLAN_F32;
    case PLAN_F32:
        return cross ? PLAN_Q4_0 : PLAN_F16;
    case PLAN_Q8_0:
        return cross ? PLAN_F16 : PLAN_Q4_0;
    default:
        return cross ? PLAN_F16 : PLAN_Q8_0;
    }
}

uint64_t *lab_rng(struct lab *lab)
{
    return &lab->rng;
}

struct log *lab_log(struct lab *lab)
{
    return lab->log;
}

void lab_set_nmse(struct lab *lab, double limit)
{
    lab->nmse = limit;
}

void lab_set_nmse_half(struct lab *lab, double limit)
{
    lab->nmse_half = limit;
}

void lab_tokens(struct lab *lab, uint32_t n_tokens, uint32_t n_out)
{
    if (lab->has_plan) {
        plan_finish(&lab->plan);
    }
    plan_init(&lab->plan, lab->log, n_tokens, n_out, 1);
    lab->plan.layer = 0;
    lab->has_plan = true;
}

struct lab_data *lab_data_get(struct lab *lab, uint32_t id)
{
    size_t n = lab->plan.n_tensors;
    if (id >= n || lab->plan.failed) {
        return NULL;
    }
    if (n > lab->n_data) {
        struct lab_data *data = mem_resize(lab->data, n, sizeof *data);
        if (data == NULL) {
            log_error(lab->log, "lab: out of memory for %zu tensors", n);
            lab->plan.failed = true;
            return NULL;
        }
        memset(data + lab->n_data, 0, (n - lab->n_data) * sizeof *data);
        lab->data = data;
        lab->n_data = n;
    }
    return &lab->data[id];
}

/* rows * cols elements, zeroed; NULL after a failure. */
static void *alloc(struct lab *lab, uint64_t rows, uint64_t cols, size_t size)
{
    uint64_t count, bytes;
    void *out = NULL;
    if (size_mul(rows, cols, &count) && size_mul(count, size, &bytes) && bytes <= SIZE_MAX) {
        out = arena_alloc(&lab->arena, (size_t)count, size);
    }
    if (out == NULL) {
        log_error(lab->log, "lab: out of memory for %llu x %llu values", (unsigned long long)rows,
                  (unsigned long long)cols);
        lab->plan.failed = true;
    }
    return out;
}

static float *alloc_random(struct lab *lab, uint64_t rows, uint64_t cols, float lo, float hi)
{
    float *values = alloc(lab, rows, cols, sizeof *values);
    for (uint64_t i = 0; values != NULL && i < rows * cols; i++) {
        values[i] = lo + (hi - lo) * (float)hash_uniform(&lab->rng);
    }
    return values;
}

static uint32_t set_values(struct lab *lab, uint32_t id, float *values)
{
    struct lab_data *data = lab_data_get(lab, id);
    if (data == NULL || values == NULL) {
        return PLAN_NONE;
    }
    data->values = values;
    return id;
}

uint32_t lab_act(struct lab *lab, const char *name, uint64_t rows, uint64_t cols, float lo,
                 float hi)
{
    uint32_t id = plan_add_act(&lab->plan, name, rows, cols);
    return id == PLAN_NONE ? id : set_values(lab, id, alloc_random(lab, rows, cols, lo, hi));
}

uint32_t lab_act_f16(struct lab *lab, const char *name, uint64_t rows, uint64_t cols, float lo,
                     float hi)
{
    uint32_t id = lab_act(lab, name, rows, cols, lo, hi);
    if (id != PLAN_NONE) {
        float *values = lab_values(lab, id);
        lab->plan.tensors[id].elem = PLAN_F16;
        for (uint64_t i = 0; i < rows * cols; i++) {
            values[i] = half_to_float(half_from_float(values[i]));
        }
    }
    return id;
}

uint32_t lab_weight(struct lab *lab, const char *name, enum quant_id quant, uint64_t rows,
                    uint64_t cols, float lo, float hi)
{
    const struct quant_format *format = quant_get(quant);
    uint32_t id =
        plan_get_weight(&lab->plan, (uint32_t)lab->plan.n_tensors, name, quant, rows, cols);
    if (id == PLAN_NONE) {
        return id;
    }
    if (cols % format->block_cols != 0) {
        log_error(lab->log, "lab: weight %s: %llu columns are no whole blocks of %s", name,
                  (unsigned long long)cols, format->name);
        lab->plan.failed = true;
        return PLAN_NONE;
    }
    float *values = alloc_random(lab, rows, cols, lo, hi);
    uint8_t *blocks = alloc(lab, rows, quant_row_bytes(quant, cols), 1);
    if (values == NULL || blocks == NULL || set_values(lab, id, values) == PLAN_NONE) {
        return PLAN_NONE;
    }
    format->encode(values, blocks, (size_t)(rows * cols));
    format->decode(blocks, values, (size_t)(rows * cols));
    lab->data[id].blocks = blocks;
    return id;
}

uint32_t lab_kv(struct lab *lab, const char *name, enum plan_elem elem, bool is_value,
                uint32_t kv_heads, uint32_t slots, uint32_t head_dim, float lo, float hi)
{
    struct plan_tensor tensor = {.role = PLAN_KV,
                                 .elem = elem,
                                 .rows = kv_heads,
                                 .cols = (uint64_t)slots * head_dim,
                                 .layer = 0,
                                 .is_value = is_value};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    uint32_t id = plan_add_tensor(&lab->plan, &tensor);
    if (id == PLAN_NONE) {
        return id;
    }
    float *values = alloc_random(lab, tensor.rows, tensor.cols, lo, hi);
    if (values != NULL) {
        lab_kv_round(elem, values, tensor.rows * tensor.cols);
    }
    return set_values(lab, id, values);
}

static uint32_t add_words(struct lab *lab, uint32_t id, uint64_t n)
{
    struct lab_data *data = lab_data_get(lab, id);
    uint32_t *words = data != NULL ? alloc(lab, n, 1, sizeof *words) : NULL;
    if (words == NULL) {
        return PLAN_NONE;
    }
    data->words = words;
    return id;
}

uint32_t lab_ids_in(struct lab *lab, uint32_t n)
{
    uint32_t id = plan_add_tensor(
        &lab->plan,
        &(struct plan_tensor){
            .name = "ids_in", .role = PLAN_IDS_IN, .elem = PLAN_U32, .rows = 1, .cols = n});
    return add_words(lab, id, n);
}

static void shuffle(struct lab *lab, uint32_t *table, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)(hash_next(&lab->rng) % (i + 1));
        table[i] = table[at];
        table[at] = i;
    }
}

uint32_t lab_step(struct lab *lab, uint32_t n_seq, uint32_t blocks)
{
    return lab_step_with_copies(lab, n_seq, blocks, 0);
}

uint32_t lab_step_with_copies(struct lab *lab, uint32_t n_seq, uint32_t blocks, uint32_t copies)
{
    uint32_t cap = lab->plan.n_tokens + STEP_SPARE, n_table = n_seq * blocks;
    uint64_t pairs = STEP_HEADER + (uint64_t)(STEP_ARRAYS + 1) * cap + 2 * (uint64_t)n_table;
    uint64_t tickets = pairs;
    pairs += TICKETS;
    uint64_t n = pairs + 4 * (uint64_t)copies;
    uint32_t id = add_words(lab, plan_get_step(&lab->plan, n), n);
    if (id == PLAN_NONE) {
        return id;
    }
    lab->step = id;
    lab->step_cap = cap;
    lab->blocks = blocks;
    uint32_t *words = lab->data[id].words;
    words[STEP_N_TOKENS] = lab->plan.n_tokens;
    words[STEP_N_OUT] = lab->plan.n_out;
    words[STEP_CAP] = cap;
    words[STEP_BLOCKS] = blocks;
    words[STEP_N_SEQ] = n_seq;
    words[STEP_TICKETS] = (uint32_t)tickets;
    words[STEP_COPIES] = (uint32_t)pairs;
    words[STEP_COPY_CAP] = copies;
    /* Arrays beyond the tokens hold numbers that must not be used. */
    for (uint32_t i = 0; i < STEP_ARRAYS * cap; i++) {
        words[STEP_HEADER + i] = i % cap < lab->plan.n_tokens ? 0 : LAB_GUARD;
    }
    uint32_t *table = words + STEP_HEADER + STEP_ARRAYS * cap;
    shuffle(lab, table, n_table);
    shuffle(lab, table + n_table + cap, n_table);
    return id;
}

void lab_step_local(struct lab *lab)
{
    lab->local = true;
}

uint32_t *lab_step_copies(struct lab *lab, uint32_t n)
{
    if (lab->plan.failed || lab->step == PLAN_NONE) {
        return NULL;
    }
    uint32_t *words = lab->data[lab->step].words, group = lab->local ? 1 : 0;
    words[STEP_N_COPIES + group] = n;
    return words + words[STEP_COPIES] + (size_t)group * 2 * words[STEP_COPY_CAP];
}

/* Where slots and table of the local group begin, in words behind the global table's begin. */
static uint32_t local_offset(const struct lab *lab)
{
    return lab->data[lab->step].words[STEP_N_SEQ] * lab->blocks;
}

uint32_t *lab_step_array(struct lab *lab, uint32_t array)
{
    uint32_t *arrays = lab->data[lab->step].words + STEP_HEADER;
    bool local = lab->local && array == STEP_SLOT;
    return arrays +
           (local ? STEP_ARRAYS * lab->step_cap + local_offset(lab) : array * lab->step_cap);
}

uint32_t lab_step_slot(const struct lab *lab, uint32_t seq, uint32_t i)
{
    const uint32_t *table = lab->data[lab->step].words + STEP_HEADER + STEP_ARRAYS * lab->step_cap;
    table += lab->local ? local_offset(lab) + lab->step_cap : 0;
    return table[seq * lab->blocks + i / STEP_BLOCK] * STEP_BLOCK + i % STEP_BLOCK;
}

float *lab_values(struct lab *lab, uint32_t id)
{
    return lab->data[id].values;
}

uint32_t *lab_words(struct lab *lab, uint32_t id)
{
    return lab->data[id].words;
}

struct lab_expect lab_expect(struct lab *lab, uint32_t id)
{
    struct lab_data *data = lab_data_get(lab, id);
    if (data == NULL) {
        return (struct lab_expect){NULL, NULL};
    }
    const struct plan_tensor *tensor = &lab->plan.tensors[id];
    double *value = alloc(lab, tensor->rows, tensor->cols, sizeof *value);
    double *bound = alloc(lab, tensor->rows, tensor->cols, sizeof *bound);
    data = &lab->data[id];
    for (uint64_t i = 0; value != NULL && data->values != NULL && i < tensor->rows * tensor->cols;
         i++) {
        value[i] = data->values[i];
    }
    if (bound == NULL) {
        value = NULL;
    }
    data->value = value;
    data->bound = bound;
    return (struct lab_expect){value, value != NULL ? bound : NULL};
}

double *lab_expect_half(struct lab *lab, uint32_t id)
{
    if (lab_data_get(lab, id) == NULL) {
        return NULL;
    }
    const struct plan_tensor *tensor = &lab->plan.tensors[id];
    lab->data[id].half = alloc(lab, tensor->rows, tensor->cols, sizeof(double));
    return lab->data[id].half;
}
