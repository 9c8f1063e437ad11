/* Runs a case on a device: buffers with guard bands, upload, recording by the ops, download. What
 * is right is judged in compare.c. */
#include "lab/internal.h"

#include "base/half.h"
#include "base/os.h"
#include "ops/variant.h"

#include <stdio.h>
#include <string.h>

enum {
    ALIGN = 256,       /* guard bands are at least so large */
    SEGMENT_STEP = 64, /* rows of a weight's segment are a multiple of it */
    MAX_SEGMENTS = 4,
    ROUNDS = 8, /* of a timing */
};

/* Some rows of a tensor in a buffer of their own: guard, data, guard. */
struct part {
    struct dev_buf *buf;
    uint8_t *image; /* what was uploaded */
    uint64_t data_bytes, bind_bytes, guard, total;
    struct quant_layout layout;
    uint64_t row0, rows;
};

struct home {
    struct part parts[MAX_SEGMENTS];
    uint32_t n_parts;
    struct op_segment segments[MAX_SEGMENTS];
};

struct bench {
    struct lab *lab;
    const struct lab_run_params *params;
    struct arena arena;
    struct home *homes; /* [n_tensors] */
    struct op_place *places;
    struct dev_cmd *cmd;
    struct op_used used; /* by the last node */
};

static uint64_t segment_rows(const struct plan_tensor *tensor)
{
    if (tensor->role == PLAN_WEIGHT && tensor->rows > SEGMENT_STEP) {
        return size_round(size_div_up(tensor->rows, 3), SEGMENT_STEP);
    }
    if (tensor->role == PLAN_KV && tensor->rows > 1) {
        return size_div_up(tensor->rows, 3);
    }
    return tensor->rows;
}

bool lab_can_segment(const struct lab *lab)
{
    for (size_t i = 0; i < lab->plan.n_tensors; i++) {
        if (segment_rows(&lab->plan.tensors[i]) != lab->plan.tensors[i].rows) {
            return true;
        }
    }
    return false;
}

bool lab_can_interleave(const struct lab *lab, const struct dev *dev)
{
    bool weights = false;
    for (size_t i = 0; i < lab->plan.n_tensors; i++) {
        weights =
            weights || (lab->plan.tensors[i].role == PLAN_WEIGHT && lab->plan.tensors[i].rows > 1);
    }
    return weights && ops_weight_lanes(dev_get_caps(dev), NULL) > 1;
}

/* The source whose memory the result of this node may take; PLAN_NONE: none. */
static uint32_t in_place_source(const struct plan *plan, const struct plan_node *node)
{
    if (node->in_place == PLAN_NONE || node->src[node->in_place] == PLAN_NONE) {
        return PLAN_NONE;
    }
    const struct plan_tensor *src = &plan->tensors[node->src[node->in_place]];
    const struct plan_tensor *dst = &plan->tensors[node->dst[0]];
    bool same = src->role == PLAN_ACT && plan_tensor_bytes(src) == plan_tensor_bytes(dst);
    for (uint32_t i = 0; i < node->n_src && same; i++) {
        same = i == node->in_place || node->src[i] != node->src[node->in_place];
    }
    return same ? node->src[node->in_place] : PLAN_NONE;
}

bool lab_can_in_place(const struct lab *lab)
{
    for (size_t i = 0; i < lab->plan.n_nodes; i++) {
        if (in_place_source(&lab->plan, &lab->plan.nodes[i]) != PLAN_NONE) {
            return true;
        }
    }
    return false;
}

static void fill_words(uint8_t *out, uint64_t bytes, uint32_t word)
{
    uint64_t i = 0;
    for (; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(out + i, &word, sizeof word);
    }
    memcpy(out + i, &word, (size_t)(bytes - i));
}

/* Rows of a weight as the device wants them. */
static bool pack(struct bench *b, const struct lab_data *data, const struct part *part,
                 uint8_t *out)
{
    const struct quant_layout *layout = &part->layout;
    uint8_t *planes[QUANT_PLANES];
    for (uint32_t p = 0; p < QUANT_PLANES; p++) {
        uint64_t offset, bytes;
        quant_pack_range(layout, 0, layout->rows, p, &offset, &bytes);
        planes[p] = bytes != 0 ? out + offset : NULL;
    }
    uint8_t *scratch = arena_alloc(&b->arena, (size_t)quant_pack_scratch(layout), 1);
    if (scratch == NULL) {
        return false;
    }
    quant_pack_rows(layout, 0, layout->rows,
                    data->blocks + part->row0 * quant_row_bytes(layout->id, layout->cols), planes,
                    scratch);
    return true;
}

static bool fill_image(struct bench *b, const struct plan_tensor *tensor,
                       const struct lab_data *data, const struct part *part)
{
    uint8_t *out = part->image + part->guard;
    uint64_t first = part->row0 * tensor->cols, n = part->rows * tensor->cols;
    fill_words(part->image, part->total, LAB_GUARD);
    if (data->blocks != NULL) {
        memset(out, 0, (size_t)part->data_bytes); /* between planes */
        return pack(b, data, part, out);
    }
    if (data->words != NULL) {
        memcpy(out, data->words, (size_t)part->data_bytes);
    } else if (data->values == NULL) {
        fill_words(out, part->data_bytes, LAB_POISON);
    } else if (tensor->elem == PLAN_F16) {
        for (uint64_t i = 0; i < n; i++) {
            uint16_t half = half_from_float(data->values[first + i]);
            memcpy(out + 2 * i, &half, sizeof half);
        }
    } else if (tensor->elem == PLAN_S8) {
        for (uint64_t i = 0; i < n; i++) {
            out[i] = (uint8_t)(int8_t)data->values[first + i];
        }
    } else if (plan_elem_block(tensor->elem) > 1) {
        lab_kv_pack(tensor->elem, data->values + first, n, out);
    } else {
        memcpy(out, data->values + first, (size_t)part->data_bytes);
    }
    return true;
}

/* Sizes of one part. What is bound goes beyond the last element, since drivers may drop writes
 * behind a binding; weights are bound as they are. */
static bool size_part(struct bench *b, const struct plan_tensor *tensor, struct part *part)
{
    const struct dev_caps *caps = dev_get_caps(b->params->dev);
    uint32_t lanes = tensor->rows == 1
                         ? 1
                         : ops_weight_lanes(caps, b->params->interleave ? NULL : b->params->prefs);
    if (tensor->elem == PLAN_QUANT) {
        if (!quant_layout_init(&part->layout, tensor->quant, part->rows, tensor->cols, lanes)) {
            log_error(b->lab->log, "lab: weight %s has no layout", tensor->name);
            return false;
        }
        part->data_bytes = part->layout.bytes;
    } else {
        part->data_bytes = plan_tensor_bytes(tensor) / tensor->rows * part->rows;
    }
    part->bind_bytes = part->data_bytes;
    if (tensor->elem != PLAN_QUANT) {
        part->bind_bytes = size_round(part->data_bytes + 1, PLAN_ALIGN);
    }
    part->guard = caps->offset_align > ALIGN ? caps->offset_align : ALIGN;
    part->total = part->guard + size_round(part->data_bytes, ALIGN) + part->guard;
    return true;
}

static bool create_part(struct bench *b, uint32_t id, struct part *part)
{
    const struct plan_tensor *tensor = &b->lab->plan.tensors[id];
    struct lab_data *data = lab_data_get(b->lab, id);
    if (data == NULL || !size_part(b, tensor, part)) {
        return false;
    }
    part->buf = dev_buf_create(b->params->dev, &(struct dev_buf_params){.name = tensor->name,
                                                                        .bytes = part->total,
                                                                        .mem = DEV_MEM_DEVICE});
    if (part->buf == NULL || b->params->record_only) {
        return part->buf != NULL;
    }
    part->image = arena_alloc(&b->arena, (size_t)part->total, 1);
    if (part->image == NULL || !fill_image(b, tensor, data, part)) {
        log_error(b->lab->log, "lab: out of memory for %s", tensor->name);
        return false;
    }
    return dev_upload(b->params->dev, part->buf, 0, part->image, part->total);
}

static bool create_home(struct bench *b, uint32_t id)
{
    const struct plan_tensor *tensor = &b->lab->plan.tensors[id];
    struct home *home = &b->homes[id];
    uint64_t rows = b->params->segments ? segment_rows(tensor) : tensor->rows;
    for (uint64_t row0 = 0; row0 < tensor->rows; row0 += rows) {
        struct part *part = &home->parts[home->n_parts];
        part->row0 = row0;
        part->rows = tensor->rows - row0 < rows ? tensor->rows - row0 : rows;
        home->n_parts++;
        if (!create_part(b, id, part)) {
            return false;
        }
        home->segments[home->n_parts - 1] = (struct op_segment){
            .buf = part->buf,
            .offset = part->guard,
            .bytes = part->bind_bytes,
            .row0 = part->row0,
            .rows = part->rows,
            .layout = tensor->elem == PLAN_QUANT ? &part->layout : NULL,
        };
    }
    b->places[id] = (struct op_place){.n_segments = home->n_parts, .segments = home->segments};
    const struct lab_data *data = &b->lab->data[id];
    if (data->blocks != NULL) {
        b->places[id].top =
            quant_top_exponent(tensor->quant, data->blocks,
                               tensor->rows * quant_row_bytes(tensor->quant, tensor->cols));
    }
    return true;
}

/* The plan's nodes, `copies` times. */
static bool record(struct bench *b, uint32_t copies)
{
    const struct plan *plan = &b->lab->plan;
    const struct op_site site = {.dev = b->params->dev,
                                 .cmd = b->cmd,
                                 .plan = plan,
                                 .places = b->places,
                                 .log = b->lab->log,
                                 .prefs = b->params->prefs,
                                 .used = &b->used};
    if (!dev_cmd_begin(b->cmd)) {
        return false;
    }
    for (size_t i = 0; i < plan->n_nodes * copies; i++) {
        const struct plan_node *node = &plan->nodes[i % plan->n_nodes];
        if (!node->op->record(&site, node)) {
            if (b->used.unfit != NULL) {
                return false;
            }
            log_error(b->lab->log, "lab: node %zu (%s) could not be recorded", i, node->op->name);
            return false;
        }
    }
    return dev_cmd_end(b->cmd);
}

static bool submit(struct bench *b)
{
    uint64_t value = dev_submit(b->params->dev, b->cmd);
    return value != 0 && dev_wait(b->params->dev, value);
}

/* Best of some submissions that hold the nodes many times. */
static bool time_runs(struct bench *b, double *ns)
{
    if (!record(b, b->params->repeat)) {
        return false;
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t begin = os_clock_ns();
        if (!submit(b)) {
            return false;
        }
        double one = (double)(os_clock_ns() - begin) / b->params->repeat;
        *ns = i == 0 || one < *ns ? one : *ns;
    }
    return true;
}

/* Words that differ between what was uploaded and what is there, in [from, to). */
static uint64_t count_changed(const struct part *part, const uint8_t *found, uint64_t from,
                              uint64_t to)
{
    uint64_t n = 0;
    if (memcmp(part->image + from, found + from, (size_t)(to - from)) == 0) {
        return 0;
    }
    for (uint64_t i = from; i < to; i += 4) {
        uint64_t bytes = to - i < 4 ? to - i : 4;
        n += memcmp(part->image + i, found + i, (size_t)bytes) != 0 ? 1 : 0;
    }
    return n;
}

static void check_outside(const struct plan_tensor *tensor, const struct part *part,
                          const uint8_t *found, bool only_read, struct lab_result *result)
{
    uint64_t end = part->guard + part->data_bytes;
    uint64_t before = count_changed(part, found, 0, part->guard);
    uint64_t after = count_changed(part, found, end, part->total);
    uint64_t inside = only_read ? count_changed(part, found, part->guard, end) : 0;
    result->outside += before + after + inside;
    if (before + after + inside != 0 && result->first[0] == '\0') {
        snprintf(result->first, sizeof result->first,
                 "%s: %llu words before it, %llu behind it and %llu of an input were written",
                 tensor->name, (unsigned long long)before, (unsigned long long)after,
                 (unsigned long long)inside);
    }
}

/* One tensor as it came back; quantized ones as the floats they stand for. */
static bool download(struct bench *b, uint32_t id, const struct plan_tensor *tensor, uint8_t *whole,
                     struct lab_result *result)
{
    const struct lab_data *data = lab_data_get(b->lab, id);
    const struct home *home = &b->homes[id];
    bool given = data->values != NULL || data->words != NULL;
    bool blocks = plan_elem_block(tensor->elem) > 1;
    for (uint32_t i = 0; i < home->n_parts; i++) {
        const struct part *part = &home->parts[i];
        uint64_t n = part->rows * tensor->cols;
        uint8_t *found = arena_alloc(&b->arena, (size_t)part->total, 1);
        if (found == NULL || !dev_download(b->params->dev, part->buf, 0, found, part->total)) {
            return false;
        }
        check_outside(tensor, part, found, given && data->value == NULL, result);
        if (blocks) {
            lab_kv_unpack(tensor->elem, found + part->guard, n, (float *)(void *)whole);
        } else if (tensor->elem != PLAN_QUANT) {
            memcpy(whole, found + part->guard, (size_t)part->data_bytes);
        }
        whole += blocks ? n * sizeof(float) : tensor->elem != PLAN_QUANT ? part->data_bytes : 0;
    }
    return true;
}

/* The kernel that ran rounds operands to float16, or activations to 8 bits. */
static bool rounds_operands(const struct bench *b)
{
    const struct plan *plan = &b->lab->plan;
    const struct ops_variant *v =
        ops_find_variant(plan->nodes[plan->n_nodes - 1].op, b->used.variant);
    return v != NULL && (v->halves || v->quantizes);
}

/* Downloads every tensor; results go to the judge. */
static bool check(struct bench *b, struct lab_result *result, struct lab_sums *sums)
{
    const struct plan *plan = &b->lab->plan;
    for (uint32_t id = 0; id < plan->n_tensors; id++) {
        struct plan_tensor tensor = plan->tensors[id];
        const struct lab_data *data = lab_data_get(b->lab, id);
        uint64_t bytes = plan_elem_block(tensor.elem) > 1
                             ? tensor.rows * tensor.cols * sizeof(float)
                             : plan_tensor_bytes(&tensor);
        uint8_t *whole = arena_alloc(&b->arena, (size_t)bytes + 4, 1);
        if (data == NULL || whole == NULL || !download(b, id, &tensor, whole, result)) {
            return false;
        }
        if (data->value != NULL && b->homes[id].n_parts != 0) {
            struct lab_data wanted = *data;
            tensor.elem = plan_elem_block(tensor.elem) > 1 ? PLAN_F32 : tensor.elem;
            if (wanted.half != NULL && rounds_operands(b)) {
                wanted.bound = wanted.half;
            }
            lab_compare(&tensor, &wanted, (const uint32_t *)(const void *)whole, result, sums);
        }
    }
    return true;
}

static bool create_homes(struct bench *b)
{
    const struct plan *plan = &b->lab->plan;
    b->homes = arena_alloc(&b->arena, plan->n_tensors, sizeof *b->homes);
    b->places = arena_alloc(&b->arena, plan->n_tensors, sizeof *b->places);
    if (b->homes == NULL || b->places == NULL) {
        log_error(b->lab->log, "lab: out of memory for %zu tensors", plan->n_tensors);
        return false;
    }
    for (uint32_t id = 0; id < plan->n_tensors; id++) {
        if (!create_home(b, id)) {
            return false;
        }
    }
    return true;
}

/* Swaps the home of a result with that of the source whose memory its node may take. The source is
 * read from there too; the result's own home keeps its poison, which check() asks of it. */
static void share_places(struct bench *b)
{
    const struct plan *plan = &b->lab->plan;
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        uint32_t src = in_place_source(plan, node);
        if (src != PLAN_NONE) {
            struct home *from = &b->homes[src], *to = &b->homes[node->dst[0]];
            struct home spare = *to;
            *to = *from;
            *from = spare;
            b->places[src] = (struct op_place){.n_segments = to->n_parts, .segments = to->segments};
            b->places[node->dst[0]] = b->places[src];
        }
    }
}

static void bench_finish(struct bench *b)
{
    dev_cmd_destroy(b->cmd);
    for (size_t id = 0; b->homes != NULL && id < b->lab->plan.n_tensors; id++) {
        for (uint32_t i = 0; i < b->homes[id].n_parts; i++) {
            dev_buf_destroy(b->homes[id].parts[i].buf);
        }
    }
    arena_finish(&b->arena);
}

/* The forced variant reads activations of another type than some node has: no buffers are needed
 * to say so. */
static const char *find_unfit(const struct lab *lab, const struct lab_run_params *params)
{
    const char *forced = params->prefs != NULL ? params->prefs->forced : NULL;
    for (size_t i = 0; i < lab->plan.n_nodes && forced != NULL; i++) {
        const struct plan_node *node = &lab->plan.nodes[i];
        const struct ops_variant *v = ops_find_variant(node->op, forced);
        if (v != NULL && v->x != ops_node_x(&lab->plan, node)) {
            return ops_other_x(v->x);
        }
    }
    return NULL;
}

bool lab_run(struct lab *lab, const struct lab_run_params *params, struct lab_result *result)
{
    struct bench b = {.lab = lab, .params = params};
    struct lab_sums sums = {0, 0};
    bool f16 = false, ok = false;
    memset(result, 0, sizeof *result);
    result->unfit = find_unfit(lab, params);
    if (result->unfit != NULL) {
        return true;
    }
    arena_init(&b.arena);
    b.cmd = dev_cmd_create(params->dev);
    if (b.cmd == NULL || !create_homes(&b)) {
        goto fail;
    }
    if (params->in_place) {
        share_places(&b);
    }
    bool recorded = record(&b, 1);
    result->variant = b.used.variant;
    result->unfit = b.used.unfit;
    if (b.used.unfit != NULL) {
        ok = true;
        goto fail;
    }
    if (!recorded || !submit(&b) || (!params->record_only && !check(&b, result, &sums)) ||
        (params->repeat != 0 && !time_runs(&b, &result->ns))) {
        goto fail;
    }
    for (size_t i = 0; i < lab->plan.n_nodes; i++) {
        struct op_cost cost = {0, 0};
        lab->plan.nodes[i].op->cost(&lab->plan, &lab->plan.nodes[i], &cost);
        result->flop += cost.flop;
        result->bytes += cost.bytes;
    }
    for (uint32_t id = 0; id < lab->plan.n_tensors; id++) {
        f16 = f16 || (lab->data[id].value != NULL && lab->plan.tensors[id].elem == PLAN_F16);
    }
    double limit = f16 ? 1e-6 : lab->c.op->nmse > 0 ? lab->c.op->nmse : 1e-10;
    limit = lab->nmse > 0 ? lab->nmse : limit;
    if (rounds_operands(&b)) {
        limit = lab->nmse_half > 0 ? lab->nmse_half : 1e-6;
    }
    if (!params->record_only) {
        lab_judge(result, &sums, limit);
    }
    ok = true;
fail:
    bench_finish(&b);
    return ok;
}
