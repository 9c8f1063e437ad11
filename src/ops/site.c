/* The parts that builders and recorders of ops share. */
#include "ops/site.h"

#include "shaders/common/kv_types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LOOP_LEAST = 64, LOOP_MOST = 512, LOOP_ITEMS = 8 };

void ops_fold(const struct dev_caps *caps, uint32_t dim, uint64_t count, uint32_t groups[3])
{
    uint64_t most = caps->max_workgroup_count[dim];
    uint64_t rows = size_div_up(count, most);
    groups[dim] = (uint32_t)size_div_up(count, rows != 0 ? rows : 1);
    groups[dim + 1] = (uint32_t)rows;
}

struct dev_kernel *ops_lanes_kernel(struct dev *dev, const struct dev_shader *shader)
{
    uint32_t size = dev_get_caps(dev)->subgroup_size;
    return dev_kernel_get(dev, &(struct dev_kernel_params){.shader = shader,
                                                           .n_specs = 2,
                                                           .specs = {{0, size}, {1, size}},
                                                           .subgroup_size = size});
}

uint32_t ops_most_local(const struct dev_caps *caps, bool by_subgroups)
{
    uint32_t most = caps->max_workgroup_invocations < caps->max_workgroup_size[0]
                        ? caps->max_workgroup_invocations
                        : caps->max_workgroup_size[0];
    uint32_t subgroups = by_subgroups ? caps->max_workgroup_subgroups : 0;
    return subgroups != 0 && subgroups < most / caps->subgroup_size
               ? subgroups * caps->subgroup_size
               : most;
}

static uint32_t loop_size(uint32_t most, uint64_t items)
{
    uint32_t size = LOOP_LEAST;
    while (size < LOOP_MOST && 2 * size <= most && (uint64_t)size * LOOP_ITEMS < items) {
        size *= 2;
    }
    return size;
}

struct dev_kernel_params ops_loop_params(const struct op_site *site, const struct plan_node *node,
                                         const struct ops_variant *variant, uint64_t tokens,
                                         uint64_t items)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    const struct ops_need need = {.op = node->op, .tokens = tokens, .quant = QUANT_COUNT};
    uint32_t most = ops_most_local(caps, variant->shader->uses_subgroup), tuned[OPS_MAX_TUNABLES];
    uint32_t size = loop_size(most, items);
    if (ops_tuned_get(site->prefs, &need, variant, tuned) && tuned[0] <= most) {
        size = tuned[0];
    }
    return (struct dev_kernel_params){
        .shader = variant->shader, .n_specs = 2, .specs = {{0, size}, {1, size}}};
}

struct dev_kernel *ops_loop_kernel(const struct op_site *site, const struct plan_node *node,
                                   const struct ops_variant *variant, uint64_t tokens,
                                   uint64_t items)
{
    const struct dev_kernel_params params = ops_loop_params(site, node, variant, tokens, items);
    return dev_kernel_get(site->dev, &params);
}

struct dev_kernel *ops_row_kernel(const struct op_site *site, const struct plan_node *node,
                                  const struct ops_variant *v, const struct plan_tensor *x)
{
    enum { WIDEST = 1024, ITEMS = 8 };
    const struct dev_caps *caps = dev_get_caps(site->dev);
    const struct ops_need need = {.op = node->op, .tokens = x->rows, .quant = QUANT_COUNT};
    struct dev_kernel_params params = ops_loop_params(site, node, v, x->rows, x->cols);
    uint32_t size = params.specs[0].value, tuned[OPS_MAX_TUNABLES];
    uint32_t most = ops_most_local(caps, v->shader->uses_subgroup);
    while (2 * size <= WIDEST && 2 * size <= most && (uint64_t)size * ITEMS < x->cols) {
        size *= 2;
    }
    if (!ops_tuned_get(site->prefs, &need, v, tuned)) {
        params.specs[0].value = params.specs[1].value = size;
    }
    return dev_kernel_get(site->dev, &params);
}

const struct ops_variant *ops_pick_texel(const struct op_site *site, const struct plan_node *node,
                                         const struct plan_tensor *x)
{
    struct ops_need need = {.op = node->op, .tokens = x->rows, .quant = QUANT_COUNT};
    if (!ops_is_texel(x, dev_get_caps(site->dev))) {
        for (uint32_t i = 0; i < node->op->n_variants; i++) {
            if (strcmp(node->op->variants[i].name, "lanes") == 0) {
                need.unfit[i] = "the tensor cannot be read as texels of four columns";
            }
        }
    }
    return ops_variant_pick(site, &need);
}

const struct ops_variant *ops_pick_any(const struct op_site *site, const struct plan_node *node)
{
    const struct ops_need need = {
        .op = node->op, .tokens = site->plan->n_tokens, .quant = QUANT_COUNT};
    return ops_variant_pick(site, &need);
}

void ops_add_spec(struct dev_kernel_params *params, uint32_t id, uint32_t value)
{
    params->specs[params->n_specs].id = id;
    params->specs[params->n_specs++].value = value;
}

struct dev_kernel *ops_fixed_kernel(struct dev *dev, const struct dev_shader *shader)
{
    return dev_kernel_get(dev, &(struct dev_kernel_params){.shader = shader});
}

uint32_t ops_add_result(struct plan *plan, struct plan_node *node, const char *name, uint64_t rows,
                        uint64_t cols)
{
    node->kind = PLAN_OP;
    node->n_dst = 1;
    node->dst[0] = plan_add_act(plan, name, rows, cols);
    return plan_add_node(plan, node) != PLAN_NONE ? node->dst[0] : PLAN_NONE;
}

uint32_t ops_add_output(struct plan *plan, struct plan_node *node, const char *name,
                        const struct plan_tensor *what)
{
    struct plan_tensor tensor = *what;
    tensor.weight = tensor.device = PLAN_NONE;
    tensor.layer = plan->layer;
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    node->kind = PLAN_OP;
    node->n_dst = 1;
    node->in_place = PLAN_NONE;
    node->dst[0] = plan_add_tensor(plan, &tensor);
    return plan_add_node(plan, node) != PLAN_NONE ? node->dst[0] : PLAN_NONE;
}

uint32_t ops_add_words(struct plan *plan, const char *name, uint64_t rows, uint64_t cols)
{
    uint32_t id = plan_add_act(plan, name, rows, cols);
    if (id != PLAN_NONE) {
        plan->tensors[id].elem = PLAN_U32;
    }
    return id;
}

uint32_t ops_refuse(struct plan *plan, const char *op, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_error(plan->log, "%s: %s", op, text);
    plan->failed = true;
    return PLAN_NONE;
}

const struct plan_tensor *ops_operand(struct plan *plan, const char *op, const char *what,
                                      uint32_t id, enum plan_elem elem)
{
    if (plan->failed) {
        return NULL;
    }
    if (id >= plan->n_tensors) {
        ops_refuse(plan, op, "%s is missing", what);
        return NULL;
    }
    const struct plan_tensor *tensor = plan_get_tensor(plan, id);
    if (tensor->elem != elem) {
        ops_refuse(plan, op, "%s (%s) has the wrong element type", what, tensor->name);
        return NULL;
    }
    uint64_t count;
    if (elem != PLAN_QUANT &&
        (!size_mul(tensor->rows, tensor->cols, &count) || count > INT32_MAX)) {
        ops_refuse(plan, op, "%s (%s) of %llu x %llu is too large for 32-bit indices", what,
                   tensor->name, (unsigned long long)tensor->rows,
                   (unsigned long long)tensor->cols);
        return NULL;
    }
    return tensor;
}

bool ops_is_texel(const struct plan_tensor *tensor, const struct dev_caps *caps)
{
    return tensor->cols % 4 == 0 && tensor->rows * (tensor->cols / 4) <= caps->max_texel_elements;
}

bool ops_record(const struct op_site *site, const struct ops_dispatch *dispatch)
{
    struct dev_dispatch out = {.kernel = dispatch->kernel,
                               .n_binds = dispatch->n,
                               .push = dispatch->push,
                               .push_bytes = dispatch->push_bytes,
                               .label = dispatch->label};
    if (dispatch->kernel == NULL || dispatch->groups == 0) {
        return dispatch->kernel != NULL;
    }
    for (uint32_t i = 0; i < dispatch->n; i++) {
        out.binds[i] = ops_bind(site, dispatch->tensors[i], dispatch->access[i]);
    }
    ops_fold(dev_get_caps(site->dev), 0, dispatch->groups, out.groups);
    out.groups[2] = 1;
    return dev_cmd_dispatch(site->cmd, &out);
}

double ops_bytes(const struct plan *plan, uint32_t tensor)
{
    return (double)plan_tensor_bytes(plan_get_tensor(plan, tensor));
}

bool ops_is_cache(const struct plan_tensor *tensor, uint32_t head_dim)
{
    return tensor->role == PLAN_KV && tensor->elem != PLAN_U32 && tensor->elem != PLAN_QUANT &&
           head_dim % plan_elem_block(tensor->elem) == 0;
}

uint32_t ops_cache_type(enum plan_elem elem)
{
    return elem == PLAN_F32    ? KV_F32
           : elem == PLAN_Q8_0 ? KV_Q8_0
           : elem == PLAN_Q4_0 ? KV_Q4_0
                               : KV_F16;
}

bool ops_cache_fits(const struct plan_tensor *cache, uint32_t kv_heads, uint32_t head_dim,
                    uint32_t slots)
{
    return cache->rows == kv_heads && cache->cols == (uint64_t)slots * head_dim &&
           ops_is_cache(cache, head_dim);
}

uint32_t ops_cache_unit(const struct plan *plan, uint32_t k_cache, uint32_t v_cache)
{
    uint32_t k_block = plan_elem_block(plan->tensors[k_cache].elem);
    uint32_t v_block = plan_elem_block(plan->tensors[v_cache].elem);
    return k_block + v_block > 2 ? KV_BLOCK : 2;
}

bool ops_same_segments(const struct op_site *site, const struct plan_node *node, uint32_t k_cache,
                       uint32_t v_cache)
{
    const struct op_place *k = &site->places[k_cache], *v = &site->places[v_cache];
    if (k->n_segments == 0 || k->n_segments != v->n_segments) {
        log_error(site->log, "%s: layer %d: K cache in %u segments, V cache in %u", node->op->name,
                  (int)node->layer, k->n_segments, v->n_segments);
        return false;
    }
    for (uint32_t s = 0; s < k->n_segments; s++) {
        if (k->segments[s].row0 != v->segments[s].row0 ||
            k->segments[s].rows != v->segments[s].rows) {
            log_error(site->log, "%s: layer %d: segment %u holds other heads of K than of V",
                      node->op->name, (int)node->layer, s);
            return false;
        }
    }
    return true;
}

struct dev_bind ops_bind_cache(const struct op_site *site, uint32_t cache, uint32_t segment)
{
    const struct op_segment *s = &site->places[cache].segments[segment];
    bool blocks = plan_elem_block(site->plan->tensors[cache].elem) > 1;
    return (struct dev_bind){s->buf, s->offset, s->bytes, blocks ? DEV_READ_WRITE : DEV_WRITE};
}

uint32_t ops_add_pair(struct plan *plan, const struct op *op, const char *name, uint32_t a,
                      uint32_t b)
{
    const struct plan_tensor *first = ops_operand(plan, op->name, "a", a, PLAN_F32);
    const struct plan_tensor *second = ops_operand(plan, op->name, "b", b, PLAN_F32);
    if (first == NULL || second == NULL) {
        return PLAN_NONE;
    }
    if (first->rows != second->rows || first->cols != second->cols) {
        return ops_refuse(plan, op->name, "%s is %llu x %llu, %s is %llu x %llu", first->name,
                          (unsigned long long)first->rows, (unsigned long long)first->cols,
                          second->name, (unsigned long long)second->rows,
                          (unsigned long long)second->cols);
    }
    struct plan_node node = {.op = op, .n_src = 2, .src = {a, b}, .in_place = 0};
    return ops_add_result(plan, &node, name, first->rows, first->cols);
}
