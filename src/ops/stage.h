/* What builders of ops with staged results share. */
#ifndef QUADRIGA_OPS_STAGE_H
#define QUADRIGA_OPS_STAGE_H

#include "ops/ops.h"

/* The tile parameters of kernels of one workgroup per row (ops_loop_kernel). */
#define STAGE_TUNABLES                                                                             \
    {                                                                                              \
        {                                                                                          \
            "local",                                                                               \
            {                                                                                      \
                64, 128, 256, 512                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* Adds a node whose results are the staged form of an activation [rows][cols] of this name. `node`
 * has op, sources and attributes. */
struct op_staged ops_add_staged(struct plan *plan, struct plan_node *node, const char *name,
                                uint64_t rows, uint64_t cols);

#endif
