/* The last rewrite of a placed plan before memory: operands in the form that the kernels of each
 * device read. */
#ifndef QUADRIGA_OPS_LOWER_H
#define QUADRIGA_OPS_LOWER_H

#include "ops/variant.h"

/* targets: [plan->n_devices]. For each matmul whose best variant on its device reads staged or
 * quantized activations, adds a `stage` or `stage_q8` node (one per activation and device, right
 * before its first such reader) and makes the matmul read that. Nodes that want f32 stay as they
 * are. A product that is split (ops/matmul_split.h) becomes two nodes. False: logged, the plan has
 * failed. */
bool ops_lower(struct plan *plan, const struct ops_target *targets);

#endif
