/* Fusions: rewrites of a placed plan that save passes over memory and dispatches. Each can be
 * switched off by name (`--disable fuse/residual`), and then the plan computes the same, within
 * what rounding allows. */
#ifndef QUADRIGA_OPS_FUSE_H
#define QUADRIGA_OPS_FUSE_H

#include "ops/variant.h"

enum ops_fuse_when {
    OPS_FUSE_PLACED, /* before ops_lower */
    OPS_FUSE_LOWERED /* behind it: what has to do with staged activations */
};

struct ops_fusion {
    const char *name, *purpose;
    enum ops_fuse_when when;
};

/* The table, in the order in which they are applied. NULL behind the last. */
const struct ops_fusion *ops_fusion_get(uint32_t index);

/* Applies the fusions of `when` that the devices allow: not switched off, and a kernel of what it
 * makes is left. targets: [plan->n_devices]; NULL: all are allowed. Nodes are joined only on one
 * device, in one layer, where nobody else reads what lies between them; none crosses a border.
 * Nodes become dead or change their op and operands, their order stays. Returns how many
 * times it did; where memory is out, which is logged, the plan stays right. */
uint32_t ops_fuse(struct plan *plan, const struct ops_target *targets, enum ops_fuse_when when);

#endif
