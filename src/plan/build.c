/* Makes a plan: tensors and nodes in order, looked up where one is enough, and the check that the
 * order is sound. Shapes of operands are checked by the ops, devices given by place.c. */
#include "plan/plan.h"

#include "plan/op.h"

#include <stdio.h>
#include <string.h>

static const struct plan_tensor NO_TENSOR = {.name = "none",
                                             .weight = PLAN_NONE,
                                             .device = PLAN_NONE,
                                             .first = PLAN_NONE,
                                             .last = PLAN_NONE};

void plan_init(struct plan *plan, struct log *log, uint32_t n_tokens, uint32_t n_out,
               uint32_t n_layers)
{
    memset(plan, 0, sizeof *plan);
    plan->log = log;
    plan->n_tokens = n_tokens;
    plan->n_out = n_out;
    plan->n_layers = n_layers;
    plan->layer = PLAN_LAYER_INPUT;
    plan->n_devices = 1;
}

void plan_finish(struct plan *plan)
{
    mem_free(plan->tensors);
    mem_free(plan->nodes);
    memset(plan, 0, sizeof *plan);
}

/* The plan keeps its failure, so that builders need to check only once. */
static uint32_t fail(struct plan *plan)
{
    plan->failed = true;
    return PLAN_NONE;
}

static const struct {
    const char *name;
    uint32_t block, bytes; /* values and bytes of a block */
} ELEMS[] = {
    [PLAN_F32] = {"f32", 1, 4},     [PLAN_F16] = {"f16", 1, 2},     [PLAN_U32] = {"u32", 1, 4},
    [PLAN_QUANT] = {"quant", 1, 1}, [PLAN_Q8_0] = {"q8_0", 32, 34}, [PLAN_Q4_0] = {"q4_0", 32, 18},
};

const char *plan_elem_name(enum plan_elem elem)
{
    return ELEMS[elem].name;
}

uint32_t plan_elem_block(enum plan_elem elem)
{
    return ELEMS[elem].block;
}

bool plan_elem_bytes(enum plan_elem elem, uint64_t n, uint64_t *bytes)
{
    return size_mul(n / ELEMS[elem].block, ELEMS[elem].bytes, bytes);
}

static bool tensor_size(const struct plan_tensor *tensor, uint64_t *bytes)
{
    return tensor->cols % ELEMS[tensor->elem].block == 0 &&
           size_mul(tensor->rows, tensor->cols, bytes) &&
           plan_elem_bytes(tensor->elem, *bytes, bytes);
}

uint64_t plan_tensor_bytes(const struct plan_tensor *tensor)
{
    uint64_t bytes;
    return tensor->elem != PLAN_QUANT && tensor_size(tensor, &bytes) ? bytes : 0;
}

uint32_t plan_add_tensor(struct plan *plan, const struct plan_tensor *tensor)
{
    uint64_t bytes;
    if (plan->failed) {
        return PLAN_NONE;
    }
    if (tensor->rows == 0 || tensor->cols == 0 || !tensor_size(tensor, &bytes)) {
        log_error(plan->log,
                  "plan: tensor %s: size %llu x %llu is empty, no whole blocks or does not fit "
                  "64 bits",
                  tensor->name, (unsigned long long)tensor->rows, (unsigned long long)tensor->cols);
        return fail(plan);
    }
    if (plan->n_tensors >= PLAN_NONE || !mem_grow((void **)&plan->tensors, &plan->cap_tensors,
                                                  plan->n_tensors, sizeof *plan->tensors)) {
        log_error(plan->log, "plan: tensor %s: out of memory after %zu tensors", tensor->name,
                  plan->n_tensors);
        return fail(plan);
    }
    struct plan_tensor *added = &plan->tensors[plan->n_tensors];
    *added = *tensor;
    added->name[sizeof added->name - 1] = '\0';
    if (added->role != PLAN_WEIGHT) {
        added->weight = PLAN_NONE;
    }
    if (added->role != PLAN_KV) {
        added->layer = plan->layer;
    }
    added->device = added->first = added->last = PLAN_NONE;
    added->offset = added->bytes = 0;
    return (uint32_t)plan->n_tensors++;
}

uint32_t plan_add_act(struct plan *plan, const char *name, uint64_t rows, uint64_t cols)
{
    struct plan_tensor tensor = {.role = PLAN_ACT, .elem = PLAN_F32, .rows = rows, .cols = cols};
    if (plan->layer >= 0 && (uint32_t)plan->layer < plan->n_layers) {
        snprintf(tensor.name, sizeof tensor.name, "blk.%d.%s", (int)plan->layer, name);
    } else {
        snprintf(tensor.name, sizeof tensor.name, "%s", name);
    }
    return plan_add_tensor(plan, &tensor);
}

uint32_t plan_get_step(struct plan *plan, uint64_t words)
{
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].role == PLAN_STEP) {
            return plan->failed ? PLAN_NONE : i;
        }
    }
    return plan_add_tensor(
        plan, &(struct plan_tensor){
                  .name = "step", .role = PLAN_STEP, .elem = PLAN_U32, .rows = 1, .cols = words});
}

uint32_t plan_get_weight(struct plan *plan, uint32_t weight, const char *name, enum quant_id quant,
                         uint64_t rows, uint64_t cols)
{
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].role == PLAN_WEIGHT && plan->tensors[i].weight == weight) {
            return plan->failed ? PLAN_NONE : i;
        }
    }
    struct plan_tensor tensor = {.role = PLAN_WEIGHT,
                                 .elem = PLAN_QUANT,
                                 .quant = quant,
                                 .rows = rows,
                                 .cols = cols,
                                 .weight = weight};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    return plan_add_tensor(plan, &tensor);
}

const struct plan_tensor *plan_get_tensor(const struct plan *plan, uint32_t id)
{
    return id < plan->n_tensors ? &plan->tensors[id] : &NO_TENSOR;
}

static const char *node_name(const struct plan_node *node)
{
    return node->op != NULL ? node->op->name : "border";
}

/* Counts, ids and in_place of one node. */
static bool node_is_sound(const struct plan *plan, const struct plan_node *node)
{
    if (node->n_src > PLAN_MAX_SRC || node->n_dst > PLAN_MAX_DST ||
        (node->kind == PLAN_OP) != (node->op != NULL) ||
        (node->in_place != PLAN_NONE && (node->in_place >= node->n_src || node->n_dst == 0)) ||
        (node->kind == PLAN_BORDER && (node->n_src != 1 || node->n_dst != 1))) {
        log_error(plan->log, "plan: node %s: %u sources, %u results, in place %u: not a node",
                  node_name(node), node->n_src, node->n_dst, node->in_place);
        return false;
    }
    for (uint32_t i = 0; i < node->n_src + node->n_dst; i++) {
        bool is_src = i < node->n_src;
        uint32_t id = is_src ? node->src[i] : node->dst[i - node->n_src];
        if (id >= plan->n_tensors && !(is_src && id == PLAN_NONE)) {
            log_error(plan->log, "plan: node %s: %s %u: tensor %u does not exist", node_name(node),
                      is_src ? "source" : "result", is_src ? i : i - node->n_src, id);
            return false;
        }
    }
    return true;
}

uint32_t plan_add_node(struct plan *plan, const struct plan_node *node)
{
    if (plan->failed) {
        return PLAN_NONE;
    }
    if (!node_is_sound(plan, node)) {
        return fail(plan);
    }
    if (plan->n_nodes >= PLAN_NONE ||
        !mem_grow((void **)&plan->nodes, &plan->cap_nodes, plan->n_nodes, sizeof *plan->nodes)) {
        log_error(plan->log, "plan: node %s: out of memory after %zu nodes", node_name(node),
                  plan->n_nodes);
        return fail(plan);
    }
    struct plan_node *added = &plan->nodes[plan->n_nodes];
    *added = *node;
    added->layer = plan->layer;
    added->device = PLAN_NONE;
    added->dead = false;
    return (uint32_t)plan->n_nodes++;
}

/* Tensors that a node of this very plan must write before one reads them. */
static bool is_made_here(const struct plan_tensor *tensor)
{
    return tensor->role == PLAN_ACT || tensor->role == PLAN_LOGITS ||
           tensor->role == PLAN_IDS_OUT || tensor->role == PLAN_SCORES;
}

static bool check_source(const struct plan *plan, size_t n, uint32_t id, const bool *written)
{
    const struct plan_node *node = &plan->nodes[n];
    const struct plan_tensor *tensor = &plan->tensors[id];
    if (is_made_here(tensor) && !written[id]) {
        log_error(plan->log, "plan: node %zu %s reads %s before it is written", n, node_name(node),
                  tensor->name);
        return false;
    }
    if (node->kind == PLAN_OP && node->device != PLAN_NONE && tensor->device != PLAN_NONE &&
        tensor->device != node->device) {
        log_error(plan->log, "plan: node %zu %s on device %u reads %s of device %u", n,
                  node_name(node), node->device, tensor->name, tensor->device);
        return false;
    }
    return true;
}

static bool check_result(const struct plan *plan, size_t n, uint32_t id, bool *written)
{
    const struct plan_node *node = &plan->nodes[n];
    const struct plan_tensor *tensor = &plan->tensors[id];
    if (tensor->role == PLAN_WEIGHT || tensor->role == PLAN_STEP || tensor->role == PLAN_IDS_IN ||
        (is_made_here(tensor) && written[id])) {
        log_error(plan->log, "plan: node %zu %s writes %s, which is %s", n, node_name(node),
                  tensor->name, written[id] ? "written already" : "only read");
        return false;
    }
    if (tensor->device != node->device) {
        log_error(plan->log, "plan: node %zu %s on device %u writes %s of device %u", n,
                  node_name(node), node->device, tensor->name, tensor->device);
        return false;
    }
    written[id] = true;
    return true;
}

static bool check_border(const struct plan *plan, size_t n)
{
    const struct plan_node *node = &plan->nodes[n];
    const struct plan_tensor *src = &plan->tensors[node->src[0]];
    const struct plan_tensor *dst = &plan->tensors[node->dst[0]];
    if (src->role != PLAN_ACT || dst->role != PLAN_ACT || src->rows != dst->rows ||
        src->cols != dst->cols || src->elem != dst->elem) {
        log_error(plan->log, "plan: node %zu border: %s and %s are not activations of one shape", n,
                  src->name, dst->name);
        return false;
    }
    if (src->device >= plan->n_devices || dst->device >= plan->n_devices ||
        src->device + 1 != dst->device) {
        log_error(plan->log, "plan: node %zu border: %s goes from device %u to %u: not neighbours",
                  n, src->name, src->device, dst->device);
        return false;
    }
    return true;
}

static bool check_node(const struct plan *plan, size_t n, bool *written)
{
    const struct plan_node *node = &plan->nodes[n];
    if (!node_is_sound(plan, node)) {
        return false;
    }
    for (uint32_t i = 0; i < node->n_src; i++) {
        if (node->src[i] != PLAN_NONE && !check_source(plan, n, node->src[i], written)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < node->n_dst; i++) {
        if (!check_result(plan, n, node->dst[i], written)) {
            return false;
        }
    }
    return node->kind != PLAN_BORDER || check_border(plan, n);
}

bool plan_check(const struct plan *plan)
{
    bool *written = mem_alloc(plan->n_tensors, sizeof *written);
    if (written == NULL) {
        log_error(plan->log, "plan: out of memory to check %zu tensors", plan->n_tensors);
        return false;
    }
    bool ok = !plan->failed;
    for (size_t n = 0; n < plan->n_nodes && ok; n++) {
        ok = plan->nodes[n].dead || check_node(plan, n, written);
    }
    mem_free(written);
    return ok;
}
