/* Mixture of experts: the keys and weights of its blocks, and the nodes they add. A router scores
 * the experts for each token; the best few do the feed-forward block, and their results are added
 * with the weights of the router (Shazeer et al. 2017; Jiang et al. 2024). How the work is grouped
 * is the ops' matter. */
#include "arch/internal.h"

#include "ops/ops.h"

#include <stdio.h>

enum { GATING_SOFTMAX = 1 };

/* ---- keys ---- */

static bool refuse(const struct arch_reader *reader, const char *field, const char *value)
{
    log_error(reader->log, "%s: key %s.%s: is %s: not supported", gguf_path(reader->file),
              reader->family, field, value);
    return false;
}

/* What would change the result. */
static bool refuse_features(const struct arch_reader *reader)
{
    static const struct {
        const char *field;
        uint32_t plain; /* a number other than 0 that means nothing, too */
    } FIELDS[] = {{"expert_shared_count", 0},       {"expert_shared_feed_forward_length", 0},
                  {"expert_group_count", 1},        {"leading_dense_block_count", 0},
                  {"interleave_moe_layer_step", 1}, {"expert_gating_func", GATING_SOFTMAX}};
    char value[32];
    float scale = 1.0f;
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        uint32_t n = 0;
        if (arch_read_u32(reader, FIELDS[i].field, &n) == GGUF_BAD) {
            return false;
        }
        if (n != 0 && n != FIELDS[i].plain) {
            snprintf(value, sizeof value, "%" PRIu32, n);
            return refuse(reader, FIELDS[i].field, value);
        }
    }
    if (arch_read_f32(reader, "expert_weights_scale", &scale) == GGUF_BAD) {
        return false;
    }
    if (scale != 0.0f && scale != 1.0f) {
        snprintf(value, sizeof value, "%g", (double)scale);
        return refuse(reader, "expert_weights_scale", value);
    }
    return true;
}

bool arch_moe_read(const struct arch_reader *reader, struct arch_hparams *hp)
{
    const char *const *fields = reader->where->fields;
    if (arch_read_u32(reader, fields[ARCH_EXPERTS], &hp->n_experts) == GGUF_BAD ||
        arch_read_u32(reader, fields[ARCH_EXPERTS_USED], &hp->n_experts_used) == GGUF_BAD) {
        return false;
    }
    if (hp->n_experts == 0 && hp->n_experts_used != 0) {
        log_error(reader->log, "%s: key %s.%s: is %" PRIu32 ", but there are no experts",
                  gguf_path(reader->file), reader->family, fields[ARCH_EXPERTS_USED],
                  hp->n_experts_used);
        return false;
    }
    if (hp->n_experts == 0) {
        return true;
    }
    hp->n_ff_expert = hp->n_ff;
    hp->experts_normalise = true;
    return arch_read_u32(reader, fields[ARCH_FF_EXPERT], &hp->n_ff_expert) != GGUF_BAD &&
           arch_read_bool(reader, "expert_weights_norm", &hp->experts_normalise) != GGUF_BAD &&
           refuse_features(reader);
}

/* ---- weights ---- */

/* Files of the first weeks of Mixtral have blk.0.ffn_gate.0.weight and so on. */
static bool refuse_single_experts(const struct arch_table *table, int32_t layer)
{
    if (!arch_table_has_of(table, "blk.%d.ffn_gate.0.weight", layer)) {
        return true;
    }
    log_error(
        table->log,
        "%s: tensor blk.%d.ffn_gate.0.weight: one tensor per expert is not supported: convert "
        "the model again",
        gguf_path(table->file), (int)layer);
    return false;
}

bool arch_moe_weights(struct arch_table *table, int32_t layer)
{
    const struct arch_hparams *hp = &table->model->hp;
    uint64_t embd = hp->n_embd, ff = hp->n_ff_expert;
    return refuse_single_experts(table, layer) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.ffn_gate_inp.weight", layer, hp->n_experts,
                          embd) &&
           arch_table_add(table, ARCH_STACK, "blk.%d.ffn_gate_exps.weight", layer, ff, embd) &&
           arch_table_add(table, ARCH_STACK, "blk.%d.ffn_up_exps.weight", layer, ff, embd) &&
           arch_table_add(table, ARCH_STACK, "blk.%d.ffn_down_exps.weight", layer, embd, ff);
}

/* ---- nodes ---- */

static uint32_t add_experts(struct arch_wiring *wiring, uint32_t x, uint32_t ids,
                            const char *result, const char *name, uint32_t layer)
{
    uint32_t w = arch_wire_weight(wiring, name, (int32_t)layer);
    return wiring->plan->failed
               ? PLAN_NONE
               : op_matmul_experts(wiring->plan, result, w, x, ids, wiring->model->hp.n_experts);
}

uint32_t arch_block_moe(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    struct plan *plan = wiring->plan;
    const struct op_router_attr attr = {.used = hp->n_experts_used,
                                        .normalise = hp->experts_normalise ? 1 : 0};
    uint32_t w = arch_wire_weight(wiring, "blk.%d.ffn_gate_inp.weight", (int32_t)layer);
    uint32_t logits = plan->failed ? PLAN_NONE : op_matmul(plan, "router", w, x);
    if (plan->failed) {
        return PLAN_NONE;
    }
    struct op_routes routes = op_router(plan, logits, &attr);
    uint32_t gate =
        add_experts(wiring, x, routes.ids, "gate", "blk.%d.ffn_gate_exps.weight", layer);
    uint32_t up = add_experts(wiring, x, routes.ids, "up", "blk.%d.ffn_up_exps.weight", layer);
    if (plan->failed) {
        return PLAN_NONE;
    }
    bool gelu = hp->gate == ARCH_GATE_GELU;
    uint32_t h = gelu ? op_geglu(plan, gate, up) : op_swiglu(plan, gate, up);
    h = add_experts(wiring, h, routes.ids, "down", "blk.%d.ffn_down_exps.weight", layer);
    return plan->failed ? PLAN_NONE : op_experts_sum(plan, h, routes.weights);
}
