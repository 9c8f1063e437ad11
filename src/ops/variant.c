/* Choice of kernels by capability, preference and shape, and the bind of a simple tensor. The list
 * of ops is generated (cmake/found.cmake); what preferences hold is kept in prefs.c. */
#include "ops/variant.h"

#include <stdio.h>
#include <string.h>

static bool has_caps(const struct ops_variant *v, const struct dev_caps *caps)
{
    return (caps->has & v->needs) == v->needs &&
           (v->min_subgroup == 0 || caps->subgroup_size >= v->min_subgroup) &&
           (v->max_subgroup == 0 || caps->subgroup_size <= v->max_subgroup);
}

/* A variant stays without shaders where this build's compiler did not know its extensions. */
static bool is_built(const struct ops_variant *v)
{
    bool built = v->shader != NULL;
    for (uint32_t q = 0; q < QUANT_COUNT && v->by_quant != NULL && !built; q++) {
        built = v->by_quant[q] != NULL;
    }
    return built;
}

static bool has_kernel(const struct ops_variant *v, uint32_t quant)
{
    return v->by_quant != NULL ? quant < QUANT_COUNT && v->by_quant[quant] != NULL : is_built(v);
}

static bool fits_tokens(const struct ops_variant *v, uint64_t tokens)
{
    return (v->min_tokens == 0 || tokens >= v->min_tokens) &&
           (v->max_tokens == 0 || tokens <= v->max_tokens);
}

static bool suits(const struct ops_variant *v, const struct dev_caps *caps)
{
    return !v->gpu || (caps->has & DEV_CAP_CPU) == 0;
}

/* Why a row is left out; NULL: it may be taken. Token limits are the caller's. */
static const char *refusal(const struct ops_variant *v, uint32_t row, const struct dev_caps *caps,
                           const struct ops_prefs *prefs, const struct ops_need *need)
{
    if (!has_caps(v, caps)) {
        return "the device lacks a capability";
    }
    if (v->x != need->x && !need->any_x) {
        return ops_other_x(v->x);
    }
    if (v->x == PLAN_S8 && need->any_x && (prefs == NULL || !prefs->act_q8)) {
        return "nobody asked for quantized activations";
    }
    if (v->quantizes && prefs != NULL && prefs->act_exact) {
        return "activations shall not be quantized";
    }
    if (!has_kernel(v, need->quant)) {
        return "there is no kernel for this format";
    }
    return need->unfit[row];
}

/* Why no row is left: of those that cannot run the shape, what the last says, the most general. */
static const char *why_none(const struct ops_need *need)
{
    const char *why = "no kernel is left";
    for (uint32_t i = 0; i < need->op->n_variants; i++) {
        why = need->unfit[i] != NULL ? need->unfit[i] : why;
    }
    return why;
}

/* The first row that may be taken; one that was measured to be faster goes before it. */
static const struct ops_variant *find_row(const struct ops_need *need, const struct dev_caps *caps,
                                          const struct ops_prefs *prefs, bool any_tokens)
{
    const struct op *op = need->op;
    const struct ops_variant *best = NULL;
    uint32_t class = ops_token_class(need->tokens);
    for (uint32_t i = 0; i < op->n_variants; i++) {
        const struct ops_variant *v = &op->variants[i];
        if (refusal(v, i, caps, prefs, need) == NULL &&
            (any_tokens || (fits_tokens(v, need->tokens) && suits(v, caps))) &&
            !ops_prefs_is_off(prefs, op->name, v->name)) {
            if (v->rival && ops_prefs_is_first(prefs, op->name, v->name, need->quant, class)) {
                return v;
            }
            best = best != NULL ? best : v;
        }
    }
    return best;
}

const struct ops_variant *ops_variant_choose(const struct ops_need *need,
                                             const struct dev_caps *caps,
                                             const struct ops_prefs *prefs, const char **why)
{
    *why = NULL;
    if (prefs != NULL && prefs->forced != NULL) {
        const struct ops_variant *v = ops_find_variant(need->op, prefs->forced);
        *why = v == NULL ? "the op has no such variant"
                         : refusal(v, ops_variant_index(need->op, v), caps, prefs, need);
        return *why == NULL ? v : NULL;
    }
    const struct ops_variant *v = find_row(need, caps, prefs, false);
    v = v != NULL ? v : find_row(need, caps, prefs, true); /* the best one is switched off */
    if (v == NULL && need->x != PLAN_F32) {
        *why = "no kernel is left that reads staged activations";
    } else if (v == NULL) {
        *why = why_none(need);
    }
    return v;
}

const struct ops_variant *ops_variant_pick(const struct op_site *site, const struct ops_need *need)
{
    const char *why;
    const struct ops_variant *v =
        ops_variant_choose(need, dev_get_caps(site->dev), site->prefs, &why);
    if (site->used != NULL) {
        site->used->variant = v != NULL ? v->name : site->used->variant;
    }
    if (v != NULL) {
        return v;
    }
    bool forced = site->prefs != NULL && site->prefs->forced != NULL;
    if ((forced || need->fused || need->x != PLAN_F32) && site->used != NULL) {
        site->used->unfit = why;
    } else {
        log_error(site->log, "%s%s%s: device %u (%s): %s", need->op->name, forced ? "/" : "",
                  forced ? site->prefs->forced : "", dev_get_info(site->dev)->index,
                  dev_get_info(site->dev)->name, why);
    }
    return NULL;
}

enum plan_elem ops_node_x(const struct plan *plan, const struct plan_node *node)
{
    for (uint32_t i = 0; i < node->n_src; i++) {
        const struct plan_tensor *src = plan_get_tensor(plan, node->src[i]);
        if (src->role == PLAN_ACT && (src->elem == PLAN_F16 || src->elem == PLAN_S8)) {
            return src->elem;
        }
    }
    return PLAN_F32;
}

const char *ops_other_x(enum plan_elem x)
{
    return x == PLAN_F16  ? "it reads staged activations"
           : x == PLAN_S8 ? "it reads quantized activations"
                          : "it reads activations in f32";
}

uint32_t ops_variant_index(const struct op *op, const struct ops_variant *variant)
{
    return (uint32_t)(variant - op->variants);
}

bool ops_variant_supported(const struct ops_variant *variant, const struct dev_caps *caps,
                           char *why, size_t why_bytes)
{
    uint32_t missing = variant->needs & ~caps->has;
    size_t n = 0;
    why[0] = '\0';
    for (uint32_t bit = 0; bit < 32; bit++) {
        if ((missing >> bit & 1u) != 0 && n < why_bytes) {
            n += (size_t)snprintf(why + n, why_bytes - n, "%s%s", n != 0 ? ", " : "",
                                  dev_cap_name(1u << bit));
        }
    }
    bool built = is_built(variant);
    if (missing == 0 && !built) {
        snprintf(why, why_bytes, "not in this build, whose glslc is too old");
    } else if (missing == 0 && !has_caps(variant, caps) && variant->max_subgroup == 0) {
        snprintf(why, why_bytes, "subgroup size %u, not at least %u", caps->subgroup_size,
                 variant->min_subgroup);
    } else if (missing == 0 && !has_caps(variant, caps)) {
        snprintf(why, why_bytes, "subgroup size %u, not %u to %u", caps->subgroup_size,
                 variant->min_subgroup, variant->max_subgroup);
    }
    return built && has_caps(variant, caps);
}

uint32_t ops_weight_lanes(const struct dev_caps *caps, const struct ops_prefs *prefs)
{
    const struct op *matmul = ops_find("matmul");
    const struct ops_variant *v = ops_find_variant(matmul, "lanes");
    bool lanes = v != NULL && has_caps(v, caps) && !ops_prefs_is_off(prefs, "matmul", "lanes");
    if (prefs != NULL && prefs->forced != NULL) {
        lanes = lanes && strcmp(prefs->forced, "lanes") == 0;
    }
    uint32_t size = caps->subgroup_size;
    return lanes && (size & (size - 1)) == 0 ? size : 1;
}

struct dev_bind ops_bind(const struct op_site *site, uint32_t tensor, enum dev_access access)
{
    const struct op_segment *segment = &site->places[tensor].segments[0];
    return (struct dev_bind){
        .buf = segment->buf, .offset = segment->offset, .bytes = segment->bytes, .access = access};
}

struct dev_bind ops_bind_rows(const struct op_site *site, uint32_t tensor, enum dev_access access,
                              uint64_t row0, uint64_t rows)
{
    const struct plan_tensor *t = plan_get_tensor(site->plan, tensor);
    uint64_t row_bytes = plan_tensor_bytes(t) / t->rows;
    struct dev_bind bind = ops_bind(site, tensor, access);
    bind.offset += row0 * row_bytes;
    bind.bytes = rows * row_bytes;
    return bind;
}

const struct op *ops_find(const char *name)
{
    uint32_t count;
    const struct op *const *list = ops_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i]->name, name) == 0) {
            return list[i];
        }
    }
    return NULL;
}

const struct ops_variant *ops_find_variant(const struct op *op, const char *name)
{
    for (uint32_t i = 0; op != NULL && i < op->n_variants; i++) {
        if (strcmp(op->variants[i].name, name) == 0) {
            return &op->variants[i];
        }
    }
    return NULL;
}
