/* Of the files src/ops/fuse*.c alone. */
#ifndef QUADRIGA_OPS_FUSE_INTERNAL_H
#define QUADRIGA_OPS_FUSE_INTERNAL_H

#include "ops/fuse.h"

/* Who writes a tensor and how often it is read, by nodes that are not dead. */
struct fuse_use {
    uint32_t writer, n_readers;
};

struct fuse {
    struct plan *plan;
    struct fuse_use *uses; /* [plan->n_tensors]; a fusion keeps them right for those after it */
    const struct op *op;   /* what it makes; NULL: that of a node */
    const struct ops_target *targets; /* NULL: nothing is known of the devices */
};

bool fuse_is_op(const struct plan_node *node, const char *name);
/* The node that writes the tensor when `reader` alone reads it, on its device and in its layer;
 * PLAN_NONE: there is no such node. */
uint32_t fuse_find_writer(const struct fuse *f, uint32_t tensor, const struct plan_node *reader);

/* Each looks at one node, the last of those that become one. True: they did. */
bool fuse_residual(struct fuse *f, uint32_t node);
bool fuse_rope_append(struct fuse *f, uint32_t node);
bool fuse_matmul_gate(struct fuse *f, uint32_t node);
/* The norm is looked at; those that read it follow it. */
bool fuse_norm_matmul(struct fuse *f, uint32_t node);
bool fuse_attn_merge(struct fuse *f, uint32_t node);
bool fuse_norm_stage(struct fuse *f, uint32_t node);
bool fuse_gate_stage(struct fuse *f, uint32_t node);

#endif
