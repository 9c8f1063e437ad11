/* Blocks that families share: the weights they need and the nodes they add. What differs between
 * families is a hyper-parameter. Shapes are checked by the ops. */
#include "arch/internal.h"

#include "ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool arch_block_weights(struct arch_table *table, int32_t layer)
{
    const struct arch_hparams *hp = &table->model->hp;
    uint64_t embd = hp->n_embd, ff = hp->n_ff;
    uint64_t q = (uint64_t)hp->n_heads * hp->head_dim, kv = (uint64_t)hp->n_kv_heads * hp->head_dim;
    return arch_table_add(table, ARCH_VECTOR, "blk.%d.attn_norm.weight", layer, 1, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.attn_q.weight", layer, q, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.attn_k.weight", layer, kv, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.attn_v.weight", layer, kv, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.attn_output.weight", layer, embd, q) &&
           arch_table_add(table, ARCH_VECTOR, "blk.%d.ffn_norm.weight", layer, 1, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.ffn_gate.weight", layer, ff, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.ffn_up.weight", layer, ff, embd) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.ffn_down.weight", layer, embd, ff);
}

/* Index of a weight; the search begins behind the last one found, as wiring goes in table order. */
static size_t find_weight(struct arch_wiring *wiring, const char *name)
{
    const struct arch_model *model = wiring->model;
    for (size_t i = 0; i < model->n_weights; i++) {
        size_t w = (wiring->cursor + i) % model->n_weights;
        if (strcmp(model->weights[w].name, name) == 0) {
            wiring->cursor = w + 1;
            return w;
        }
    }
    return model->n_weights;
}

bool arch_wire_has(const struct arch_wiring *wiring, const char *name)
{
    for (size_t w = 0; w < wiring->model->n_weights; w++) {
        if (strcmp(wiring->model->weights[w].name, name) == 0) {
            return true;
        }
    }
    return false;
}

uint32_t arch_wire_weight(struct arch_wiring *wiring, const char *name, int32_t layer)
{
    struct plan *plan = wiring->plan;
    char full[48];
    arch_weight_name(full, name, layer);
    if (plan->failed) {
        return PLAN_NONE;
    }
    size_t w = find_weight(wiring, full);
    if (w == wiring->model->n_weights) {
        log_error(plan->log, "build: the model has no weight %s", full);
        plan->failed = true;
        return PLAN_NONE;
    }
    const struct arch_weight *weight = &wiring->model->weights[w];
    return plan_get_weight(plan, (uint32_t)w, weight->name, weight->quant, weight->rows,
                           weight->cols);
}

uint32_t arch_block_embed(struct arch_wiring *wiring)
{
    struct plan *plan = wiring->plan;
    uint32_t table = arch_wire_weight(wiring, "token_embd.weight", PLAN_LAYER_INPUT);
    struct plan_tensor ids = {.name = "ids_in",
                              .role = PLAN_IDS_IN,
                              .elem = PLAN_U32,
                              .rows = 1,
                              .cols = wiring->params->n_tokens};
    uint32_t ids_in = plan_add_tensor(plan, &ids);
    return plan->failed ? PLAN_NONE : op_embed(plan, table, wiring->step, ids_in);
}

static uint32_t add_norm(struct arch_wiring *wiring, uint32_t x, const char *name, int32_t layer)
{
    uint32_t w = arch_wire_weight(wiring, name, layer);
    return wiring->plan->failed ? PLAN_NONE
                                : op_rmsnorm(wiring->plan, x, w, wiring->model->hp.rms_eps);
}

static uint32_t add_matmul(struct arch_wiring *wiring, uint32_t x, const char *result,
                           const char *name, int32_t layer)
{
    uint32_t w = arch_wire_weight(wiring, name, layer);
    return wiring->plan->failed ? PLAN_NONE : op_matmul(wiring->plan, result, w, x);
}

static uint32_t add_rope(struct arch_wiring *wiring, uint32_t x, uint32_t heads)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    struct op_rope_attr attr = {.heads = heads,
                                .head_dim = hp->head_dim,
                                .dims = hp->rope_dims,
                                .half_split = hp->rope_half_split ? 1 : 0,
                                .base = hp->rope_base,
                                .scale = 1.0f / hp->rope_factor};
    return wiring->plan->failed ? PLAN_NONE
                                : op_rope(wiring->plan, x, wiring->step, wiring->factors, &attr);
}

/* Of one layer's caches. */
static uint32_t count_slots(const struct arch_wiring *wiring, uint32_t layer)
{
    return arch_is_local(&wiring->model->hp, layer) ? wiring->params->n_slots_local
                                                    : wiring->params->n_slots;
}

static uint32_t add_cache(struct arch_wiring *wiring, uint32_t layer, bool is_value)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    struct plan_tensor cache = {
        .role = PLAN_KV,
        .elem = is_value ? wiring->params->v_type : wiring->params->k_type,
        .rows = hp->n_kv_heads,
        .cols = (uint64_t)count_slots(wiring, layer) * hp->head_dim,
        .layer = (int32_t)layer,
        .is_value = is_value,
    };
    snprintf(cache.name, sizeof cache.name, "blk.%u.cache_%c", layer, is_value ? 'v' : 'k');
    return plan_add_tensor(wiring->plan, &cache);
}

/* K and V of the tokens at `normed`, into the caches. */
static void add_kv(struct arch_wiring *wiring, uint32_t normed, uint32_t layer, uint32_t *k_cache,
                   uint32_t *v_cache)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    uint32_t k = add_matmul(wiring, normed, "k", "blk.%d.attn_k.weight", (int32_t)layer);
    uint32_t v = add_matmul(wiring, normed, "v", "blk.%d.attn_v.weight", (int32_t)layer);
    k = add_rope(wiring, k, hp->n_kv_heads);
    *k_cache = add_cache(wiring, layer, false);
    *v_cache = add_cache(wiring, layer, true);
    struct op_kv_append_attr attr = {.kv_heads = hp->n_kv_heads,
                                     .head_dim = hp->head_dim,
                                     .slots = count_slots(wiring, layer),
                                     .group = arch_is_local(hp, layer)};
    if (!wiring->plan->failed) {
        op_kv_append(wiring->plan, k, v, *k_cache, *v_cache, wiring->step, &attr);
    }
}

void arch_block_kv(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    uint32_t k_cache, v_cache;
    uint32_t normed = add_norm(wiring, x, "blk.%d.attn_norm.weight", (int32_t)layer);
    add_kv(wiring, normed, layer, &k_cache, &v_cache);
}

uint32_t arch_block_attention(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    struct plan *plan = wiring->plan;
    uint32_t k_cache, v_cache;
    uint32_t normed = add_norm(wiring, x, "blk.%d.attn_norm.weight", (int32_t)layer);
    uint32_t q = add_matmul(wiring, normed, "q", "blk.%d.attn_q.weight", (int32_t)layer);
    q = add_rope(wiring, q, hp->n_heads);
    add_kv(wiring, normed, layer, &k_cache, &v_cache);
    struct op_attention_attr attr = {.heads = hp->n_heads,
                                     .kv_heads = hp->n_kv_heads,
                                     .head_dim = hp->head_dim,
                                     .slots = count_slots(wiring, layer),
                                     .splits = wiring->params->attn_splits,
                                     .scale = 1.0f / sqrtf((float)hp->head_dim),
                                     .softcap = hp->attn_softcap,
                                     .window = arch_is_local(hp, layer) ? hp->window : 0,
                                     .group = arch_is_local(hp, layer)};
    if (plan->failed) {
        return PLAN_NONE;
    }
    uint32_t o = op_attention(plan, q, k_cache, v_cache, wiring->step, &attr);
    o = add_matmul(wiring, o, "attn_proj", "blk.%d.attn_output.weight", (int32_t)layer);
    return plan->failed ? PLAN_NONE : op_add(plan, o, x);
}

uint32_t arch_block_ffn(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    struct plan *plan = wiring->plan;
    uint32_t normed = add_norm(wiring, x, "blk.%d.ffn_norm.weight", (int32_t)layer);
    uint32_t gate = add_matmul(wiring, normed, "gate", "blk.%d.ffn_gate.weight", (int32_t)layer);
    uint32_t up = add_matmul(wiring, normed, "up", "blk.%d.ffn_up.weight", (int32_t)layer);
    uint32_t h = plan->failed ? PLAN_NONE : op_swiglu(plan, gate, up);
    h = add_matmul(wiring, h, "down", "blk.%d.ffn_down.weight", (int32_t)layer);
    return plan->failed ? PLAN_NONE : op_add(plan, h, x);
}

void arch_block_head(struct arch_wiring *wiring, uint32_t x)
{
    const struct arch_build_params *params = wiring->params;
    struct plan *plan = wiring->plan;
    int32_t layer = (int32_t)wiring->model->hp.n_layers;
    bool all = params->n_tokens == 1 && params->n_out == 1;
    if (!all && !plan->failed) {
        x = op_rows(plan, x, wiring->step);
    }
    x = plan->failed ? PLAN_NONE : add_norm(wiring, x, "output_norm.weight", layer);
    bool tied = wiring->model->hp.tied_embedding;
    x = add_matmul(wiring, x, "logits", tied ? "token_embd.weight" : "output.weight", layer);
    if (!plan->failed) {
        op_logits(plan, x);
    }
    if (!plan->failed && params->argmax) {
        op_argmax(plan, x);
    }
}
