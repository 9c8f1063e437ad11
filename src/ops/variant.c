/* Choice of kernels, and the bind of a simple tensor. The list of ops is generated
 * (cmake/ops.cmake). */
#include "ops/variant.h"

#include <string.h>

const struct ops_variant *ops_variant_pick(const struct ops_variant *table, uint32_t count,
                                           const struct dev_caps *caps, uint32_t tokens,
                                           const char *forced)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct ops_variant *v = &table[i];
        bool fits = (caps->has & v->needs) == v->needs;
        fits = fits && (v->min_subgroup == 0 || caps->subgroup_size >= v->min_subgroup);
        fits = fits && (v->max_subgroup == 0 || caps->subgroup_size <= v->max_subgroup);
        fits = fits && (v->min_tokens == 0 || tokens >= v->min_tokens);
        fits = fits && (v->max_tokens == 0 || tokens <= v->max_tokens);
        if (fits && (forced == NULL || strcmp(forced, v->name) == 0)) {
            return v;
        }
    }
    return NULL;
}

uint32_t ops_weight_lanes(const struct dev_caps *caps)
{
    uint32_t needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL, size = caps->subgroup_size;
    bool lanes = (caps->has & needs) == needs && (size == 4 || size == 8 || size == 16);
    return lanes ? size : 1;
}

struct dev_bind ops_bind(const struct op_site *site, uint32_t tensor, enum dev_access access)
{
    const struct op_segment *segment = &site->places[tensor].segments[0];
    return (struct dev_bind){
        .buf = segment->buf, .offset = segment->offset, .bytes = segment->bytes, .access = access};
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
