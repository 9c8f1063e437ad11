/* Capabilities + shape -> kernel. Each op has a table of variants, best first; a row names the
 * capabilities it needs. Never a vendor. */
#ifndef QUADRIGA_OPS_VARIANT_H
#define QUADRIGA_OPS_VARIANT_H

#include "device/device.h"
#include "plan/op.h"

struct ops_variant {
    const char *name;                    /* "lanes", "subgroup", "plain" */
    uint32_t needs;                      /* enum dev_cap bits */
    uint32_t min_subgroup, max_subgroup; /* 0: any */
    uint32_t min_tokens, max_tokens;     /* 0: any; tokens (rows) of the node */
    /* One shader, or one per weight format ([QUANT_COUNT], NULL entries: not made). */
    const struct dev_shader *shader;
    const struct dev_shader *const *by_quant;
};

/* First row whose needs are met; NULL when there is none. `forced` (may be NULL) names the only
 * variant allowed: tests and microbenchmarks use it. */
const struct ops_variant *ops_variant_pick(const struct ops_variant *table, uint32_t count,
                                           const struct dev_caps *caps, uint32_t tokens,
                                           const char *forced);

/* Row interleave R of weights on a device: the subgroup size where the lanes kernels run (a CPU
 * device with shuffles, texel buffers and 4, 8 or 16 lanes), else 1. */
uint32_t ops_weight_lanes(const struct dev_caps *caps);

/* The bind of a one-segment tensor. */
struct dev_bind ops_bind(const struct op_site *site, uint32_t tensor, enum dev_access access);

/* Of the words of every shader in this build: what the cache of pipelines is keyed by. */
uint64_t ops_shader_hash(void);

/* Table of all ops, by name; generated from the files in src/ops. NULL when not there. */
const struct op *ops_find(const char *name);
const struct op *const *ops_list(uint32_t *count);

#endif
