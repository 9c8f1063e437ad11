/* The table of fusions and the pass over a plan. What each of them looks for is in a file of its
 * own. Nodes only become dead or change: their order stays. Whether operand and result may share
 * memory is left to plan/memory.c. */
#include "ops/fuse_internal.h"

#include <string.h>

struct entry {
    struct ops_fusion fusion;
    bool (*apply)(struct fuse *f, uint32_t node);
    const char *op; /* that it makes; NULL: one that is there */
};

static const struct entry TABLE[] = {
    {{"residual", "the residual sum in the matmul before it", OPS_FUSE_PLACED},
     fuse_residual,
     NULL},
    {{"rope_append", "rotary embedding of q and k with the KV append", OPS_FUSE_PLACED},
     fuse_rope_append,
     "rope_append"},
    {{"matmul_gate", "the gated activation in the two matmuls before it, for few tokens",
      OPS_FUSE_PLACED},
     fuse_matmul_gate,
     NULL},
    {{"norm_matmul", "the norm in the matmuls that read it, for few tokens", OPS_FUSE_PLACED},
     fuse_norm_matmul,
     NULL},
    {{"attn_merge", "the joining of splits in the attention before it", OPS_FUSE_PLACED},
     fuse_attn_merge,
     NULL},
    {{"norm_stage", "the norm and the staged form of its result", OPS_FUSE_LOWERED},
     fuse_norm_stage,
     "norm_stage"},
    {{"gate_stage", "the gated activation and the staged form of its result", OPS_FUSE_LOWERED},
     fuse_gate_stage,
     "gate_stage"},
};

enum { N_FUSIONS = sizeof TABLE / sizeof *TABLE };

const struct ops_fusion *ops_fusion_get(uint32_t index)
{
    return index < N_FUSIONS ? &TABLE[index].fusion : NULL;
}

static struct fuse_use *count_uses(const struct plan *plan)
{
    struct fuse_use *uses = mem_alloc(plan->n_tensors, sizeof *uses);
    if (uses == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < plan->n_tensors; i++) {
        uses[i].writer = PLAN_NONE;
    }
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        for (uint32_t i = 0; i < node->n_src && !node->dead; i++) {
            if (node->src[i] != PLAN_NONE) {
                uses[node->src[i]].n_readers++;
            }
        }
        for (uint32_t i = 0; i < node->n_dst && !node->dead; i++) {
            uses[node->dst[i]].writer = n;
        }
    }
    return uses;
}

bool fuse_is_op(const struct plan_node *node, const char *name)
{
    return node->kind == PLAN_OP && !node->dead && strcmp(node->op->name, name) == 0;
}

uint32_t fuse_find_writer(const struct fuse *f, uint32_t tensor, const struct plan_node *reader)
{
    if (tensor == PLAN_NONE || f->uses[tensor].writer == PLAN_NONE ||
        f->uses[tensor].n_readers != 1 || f->plan->tensors[tensor].role != PLAN_ACT) {
        return PLAN_NONE;
    }
    const struct plan_node *writer = &f->plan->nodes[f->uses[tensor].writer];
    bool same_place = writer->device == reader->device && writer->layer == reader->layer;
    return same_place ? f->uses[tensor].writer : PLAN_NONE;
}

/* A kernel of `op` runs there; all that these ops bind may be storage buffers. */
static bool has_kernel(const struct plan *plan, const struct op *op,
                       const struct ops_target *target)
{
    const struct ops_need need = {.op = op, .tokens = plan->n_tokens, .quant = QUANT_COUNT};
    const char *why;
    const struct ops_variant *v = ops_variant_choose(&need, target->caps, target->prefs, &why);
    return v != NULL && v->shader->n_bindings <= target->caps->max_storage_buffers;
}

static bool is_allowed(const struct plan *plan, const struct entry *entry, const struct op *op,
                       const struct ops_target *target)
{
    return !ops_prefs_is_off(target->prefs, OPS_FUSE, entry->fusion.name) &&
           (op == NULL || has_kernel(plan, op, target));
}

static uint32_t apply(struct plan *plan, const struct entry *entry,
                      const struct ops_target *targets)
{
    bool allowed[PLAN_MAX_DEVICES];
    struct fuse f = {
        .plan = plan, .op = entry->op != NULL ? ops_find(entry->op) : NULL, .targets = targets};
    uint32_t fused = 0;
    for (uint32_t d = 0; d < PLAN_MAX_DEVICES; d++) {
        allowed[d] =
            targets == NULL || (d < plan->n_devices && is_allowed(plan, entry, f.op, &targets[d]));
    }
    f.uses = count_uses(plan);
    if (f.uses == NULL) {
        log_warn(plan->log, "fuse: out of memory, the plan stays as it is");
        return 0;
    }
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const struct plan_node *node = &plan->nodes[n];
        if (!node->dead && node->device < PLAN_MAX_DEVICES && allowed[node->device]) {
            fused += entry->apply(&f, n) ? 1 : 0;
        }
    }
    mem_free(f.uses);
    return fused;
}

uint32_t ops_fuse(struct plan *plan, const struct ops_target *targets, enum ops_fuse_when when)
{
    uint32_t fused = 0;
    for (uint32_t i = 0; i < N_FUSIONS && !plan->failed; i++) {
        fused += TABLE[i].fusion.when == when ? apply(plan, &TABLE[i], targets) : 0;
    }
    return fused;
}
