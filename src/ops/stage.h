/* What builders of ops with staged results share. */
#ifndef QUADRIGA_OPS_STAGE_H
#define QUADRIGA_OPS_STAGE_H

#include "ops/ops.h"

/* The kernels of an op of that kind, one workgroup per row (ops_loop_kernel). */
#define STAGE_LOCAL                                                                                \
    "local",                                                                                       \
    {                                                                                              \
        64, 128, 256, 512                                                                          \
    }
#define STAGE_VARIANTS(subgroup_shader, plain_shader)                                              \
    {                                                                                              \
        {.name = "subgroup",                                                                       \
         .needs = DEV_CAP_SUBGROUP,                                                                \
         .min_subgroup = 4,                                                                        \
         .shader = (subgroup_shader),                                                              \
         .tunables = {{STAGE_LOCAL}}},                                                             \
            {.name = "plain", .shader = (plain_shader), .tunables = {{STAGE_LOCAL}}},              \
    }

/* Adds a node whose results are the staged form of an activation [rows][cols] of this name. `node`
 * has op, sources and attributes. */
struct op_staged ops_add_staged(struct plan *plan, struct plan_node *node, const char *name,
                                uint64_t rows, uint64_t cols);

#endif
