/* Who joins the splits of attention: its kernel, or a dispatch of attn_merge. */
#ifndef QUADRIGA_OPS_ATTN_MERGE_H
#define QUADRIGA_OPS_ATTN_MERGE_H

#include "ops/ops.h"
#include "ops/site.h"

/* One dispatch: partial and step -> result, all of them tensors of the site's plan. */
bool ops_attn_merge_record(const struct op_site *site, uint32_t partial, uint32_t step,
                           uint32_t result, const struct op_attention_attr *attr);

/* The kernel that an attention node with splits gets there can join them by itself. */
bool ops_attention_merges(const struct plan *plan, const struct plan_node *node,
                          const struct ops_target *target);

#endif
