/* Split-k: products on matrix units of so few tokens that their tiles leave a large device idle.
 * The columns are split into parts, each work group sums one part of its tile, and a split_sum node
 * adds the parts in their order, and the residual.
 *
 * How many parts depends on shape, format, capabilities and tuned parameters alone, and on tokens
 * only by the power of two that they are rounded up to: so no plan of fewer tokens needs more
 * scratch than that of the power of two. Products of the head are never split: how many of its
 * tokens count varies, and its rows fill a device. */
#ifndef QUADRIGA_OPS_MATMUL_SPLIT_H
#define QUADRIGA_OPS_MATMUL_SPLIT_H

#include "ops/variant.h"

#define OPS_SPLIT "split" /* the name by which it is switched off, as if a kernel of matmul */

/* Tokens of a product that may be split, and the least to which they are rounded up. */
enum { OPS_SPLIT_LEAST = 32, OPS_SPLIT_MOST = 256 };

/* Something may be split on such a device. */
bool ops_may_split(const struct ops_target *target);

/* Columns of a part of this node's product, a multiple of its tile's; 0: it stays whole. `best`:
 * the variant that ops_matmul_best found for it.
 *
 * Parts are doubled, up to 16, while that brings the number of work groups nearer to 512 and leaves
 * a part 512 columns. On CPU devices there is one. A tuned value (split_sum, "parts") replaces all
 * that. */
uint32_t ops_matmul_part(const struct plan *plan, const struct plan_node *node,
                         const struct ops_variant *best, const struct ops_target *target);

/* Adds a node that leaves the parts of the staged product `node`, and makes of it the one that adds
 * them: it is the caller's to add. False: the plan has failed. */
bool ops_matmul_split(struct plan *plan, struct plan_node *node, uint32_t part);

#endif
