/* Blocks that families share: the weights they need and the nodes they add. What differs between
 * families is a hyper-parameter. Shapes are checked by the ops. */
#include "arch/internal.h"

#include "ops/ops.h"
#include "shaders/common/step.h"

#include <stdio.h>
#include <string.h>

/* ---- weights ---- */

static bool add_vector(struct arch_table *table, const char *name, int32_t layer, uint64_t cols)
{
    return arch_table_add(table, ARCH_VECTOR, name, layer, 1, cols);
}

/* A bias stands right behind its matrix, where add_linear looks for it. */
static bool add_bias(struct arch_table *table, const char *name, int32_t layer, uint64_t cols,
                     bool must)
{
    return (!must && !arch_table_has_of(table, name, layer)) ||
           add_vector(table, name, layer, cols);
}

static bool add_qkv(struct arch_table *table, int32_t layer)
{
    const struct arch_hparams *hp = &table->model->hp;
    uint64_t embd = hp->n_embd, q = (uint64_t)hp->n_heads * hp->head_dim;
    uint64_t kv = (uint64_t)hp->n_kv_heads * hp->head_dim;
    const struct {
        const char *weight, *bias;
        uint64_t row0, rows;
    } parts[] = {{"blk.%d.attn_q.weight", "blk.%d.attn_q.bias", 0, q},
                 {"blk.%d.attn_k.weight", "blk.%d.attn_k.bias", q, kv},
                 {"blk.%d.attn_v.weight", "blk.%d.attn_v.bias", q + kv, kv}};
    for (size_t i = 0; i < 3; i++) {
        const struct arch_rows fused = {"blk.%d.attn_qkv.weight", parts[i].row0, q + 2 * kv};
        const struct arch_rows own = {parts[i].weight, 0, parts[i].rows};
        if (!arch_table_add_rows(table, hp->fused_qkv ? &fused : &own, parts[i].weight, layer,
                                 parts[i].rows, embd) ||
            !add_bias(table, parts[i].bias, layer, parts[i].rows, hp->qkv_bias)) {
            return false;
        }
    }
    bool full = hp->qk_norm == ARCH_QK_NORM_FULL;
    return hp->qk_norm == ARCH_QK_NORM_NONE ||
           (add_vector(table, "blk.%d.attn_q_norm.weight", layer, full ? q : hp->head_dim) &&
            add_vector(table, "blk.%d.attn_k_norm.weight", layer, full ? kv : hp->head_dim));
}

static bool attention_weights(struct arch_table *table, int32_t layer)
{
    const struct arch_hparams *hp = &table->model->hp;
    uint64_t embd = hp->n_embd, q = (uint64_t)hp->n_heads * hp->head_dim;
    return (!hp->norm_before || add_vector(table, "blk.%d.attn_norm.weight", layer, embd)) &&
           add_qkv(table, layer) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.attn_output.weight", layer, embd, q) &&
           add_bias(table, "blk.%d.attn_output.bias", layer, embd, false) &&
           (!hp->norm_after || add_vector(table, "blk.%d.post_attention_norm.weight", layer, embd));
}

static bool ffn_weights(struct arch_table *table, int32_t layer)
{
    const struct arch_hparams *hp = &table->model->hp;
    uint64_t embd = hp->n_embd, ff = hp->n_ff, all = hp->fused_gate_up ? 2 * ff : ff;
    const struct arch_rows gate = {
        hp->fused_gate_up ? "blk.%d.ffn_up.weight" : "blk.%d.ffn_gate.weight", 0, all};
    const struct arch_rows up = {"blk.%d.ffn_up.weight", all - ff, all};
    if (hp->n_experts != 0) {
        return (!hp->norm_before || add_vector(table, "blk.%d.ffn_norm.weight", layer, embd)) &&
               arch_moe_weights(table, layer) &&
               (!hp->norm_after || add_vector(table, "blk.%d.post_ffw_norm.weight", layer, embd));
    }
    return (!hp->norm_before || add_vector(table, "blk.%d.ffn_norm.weight", layer, embd)) &&
           arch_table_add_rows(table, &gate, "blk.%d.ffn_gate.weight", layer, ff, embd) &&
           add_bias(table, "blk.%d.ffn_gate.bias", layer, ff, false) &&
           arch_table_add_rows(table, &up, "blk.%d.ffn_up.weight", layer, ff, embd) &&
           add_bias(table, "blk.%d.ffn_up.bias", layer, ff, false) &&
           arch_table_add(table, ARCH_MATRIX, "blk.%d.ffn_down.weight", layer, embd, ff) &&
           add_bias(table, "blk.%d.ffn_down.bias", layer, embd, false) &&
           (!hp->norm_after || add_vector(table, "blk.%d.post_ffw_norm.weight", layer, embd));
}

bool arch_block_weights(struct arch_table *table, int32_t layer)
{
    return attention_weights(table, layer) && ffn_weights(table, layer);
}

/* ---- wiring ---- */

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

static uint32_t add_scale(struct arch_wiring *wiring, uint32_t x, float scale, float softcap)
{
    if (wiring->plan->failed || (scale == 1 && softcap == 0)) {
        return x;
    }
    return op_scale(wiring->plan, x, scale, softcap);
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
    uint32_t x = plan->failed ? PLAN_NONE : op_embed(plan, table, wiring->step, ids_in);
    return add_scale(wiring, x, wiring->model->hp.embd_scale, 0);
}

static uint32_t add_norm(struct arch_wiring *wiring, uint32_t x, const char *name, int32_t layer)
{
    uint32_t w = arch_wire_weight(wiring, name, layer);
    return wiring->plan->failed ? PLAN_NONE
                                : op_rmsnorm(wiring->plan, x, w, wiring->model->hp.rms_eps);
}

/* Is this the weight right behind the last one? */
static bool is_next(const struct arch_wiring *wiring, const char *name)
{
    return wiring->cursor < wiring->model->n_weights &&
           strcmp(wiring->model->weights[wiring->cursor].name, name) == 0;
}

/* "<stem>.weight" times x, plus "<stem>.bias" where the model has that. */
static uint32_t add_linear(struct arch_wiring *wiring, uint32_t x, const char *result,
                           const char *stem, int32_t layer)
{
    char name[48], bias[48], full[48];
    snprintf(name, sizeof name, "%s.weight", stem);
    snprintf(bias, sizeof bias, "%s.bias", stem);
    arch_weight_name(full, bias, layer);
    uint32_t w = arch_wire_weight(wiring, name, layer);
    uint32_t y = wiring->plan->failed ? PLAN_NONE : op_matmul(wiring->plan, result, w, x);
    if (wiring->plan->failed || !is_next(wiring, full)) {
        return y;
    }
    w = arch_wire_weight(wiring, bias, layer);
    return wiring->plan->failed ? PLAN_NONE : op_add(wiring->plan, y, w);
}

/* x + what a block made of it. `norm` names the norm of that, where the model has one. */
static uint32_t add_residual(struct arch_wiring *wiring, uint32_t x, uint32_t y, const char *norm,
                             uint32_t layer)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    if (hp->norm_after) {
        y = add_norm(wiring, y, norm, (int32_t)layer);
    }
    y = add_scale(wiring, y, hp->residual_scale, 0);
    return wiring->plan->failed ? PLAN_NONE : op_add(wiring->plan, y, x);
}

static uint32_t norm_before(struct arch_wiring *wiring, uint32_t x, const char *name,
                            uint32_t layer)
{
    return wiring->model->hp.norm_before ? add_norm(wiring, x, name, (int32_t)layer) : x;
}

/* Norm, where the model has one, and rotary embedding of q or k. */
static uint32_t add_turned(struct arch_wiring *wiring, uint32_t x, uint32_t heads, const char *norm,
                           uint32_t layer)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    struct op_rope_attr attr = {.heads = heads,
                                .head_dim = hp->head_dim,
                                .dims = hp->rope_dims,
                                .half_split = hp->rope_half_split ? 1 : 0,
                                .base = hp->rope_base,
                                .scale = 1.0f,
                                .magnitude = hp->rope_magnitude};
    uint32_t factors = wiring->factors;
    if (hp->rope_scaling == ARCH_ROPE_LINEAR) {
        attr.scale = 1.0f / hp->rope_factor;
    }
    if (arch_is_local(hp, layer) && hp->rope_base_local != 0) {
        attr.base = hp->rope_base_local;
        attr.scale = attr.magnitude = 1.0f;
        factors = PLAN_NONE;
    }
    if (hp->qk_norm != ARCH_QK_NORM_NONE) {
        x = add_norm(wiring, x, norm, (int32_t)layer);
    }
    return wiring->plan->failed ? PLAN_NONE
                                : op_rope(wiring->plan, x, wiring->step, factors, &attr);
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

/* K and V of the tokens at `normed`, into the caches; then, in steps with copies, the entries that
 * sequences get in blocks of their own, which may be of this very step. */
static void add_kv(struct arch_wiring *wiring, uint32_t normed, uint32_t layer, uint32_t *k_cache,
                   uint32_t *v_cache)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    uint32_t k = add_linear(wiring, normed, "k", "blk.%d.attn_k", (int32_t)layer);
    uint32_t v = add_linear(wiring, normed, "v", "blk.%d.attn_v", (int32_t)layer);
    k = add_turned(wiring, k, hp->n_kv_heads, "blk.%d.attn_k_norm.weight", layer);
    *k_cache = add_cache(wiring, layer, false);
    *v_cache = add_cache(wiring, layer, true);
    struct op_kv_append_attr attr = {.kv_heads = hp->n_kv_heads,
                                     .head_dim = hp->head_dim,
                                     .slots = count_slots(wiring, layer),
                                     .group = arch_is_local(hp, layer)};
    if (!wiring->plan->failed) {
        op_kv_append(wiring->plan, k, v, *k_cache, *v_cache, wiring->step, &attr);
    }
    if (!wiring->plan->failed && wiring->params->copies != 0) {
        op_kv_copy(wiring->plan, *k_cache, *v_cache, wiring->step,
                   &(struct op_kv_copy_attr){.kv_heads = attr.kv_heads,
                                             .head_dim = attr.head_dim,
                                             .slots = attr.slots,
                                             .group = attr.group,
                                             .copies = wiring->params->copies});
    }
}

void arch_block_kv(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    uint32_t k_cache, v_cache;
    x = norm_before(wiring, x, "blk.%d.attn_norm.weight", layer);
    add_kv(wiring, x, layer, &k_cache, &v_cache);
}

/* No more than the window of a local layer has work for. */
static uint32_t count_splits(const struct arch_wiring *wiring, uint32_t layer)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    uint32_t splits = wiring->params->attn_splits;
    if (arch_is_local(hp, layer)) {
        uint32_t most = op_attention_parts(hp->window + STEP_BLOCK - 1);
        splits = splits < most ? splits : most;
    }
    return splits;
}

uint32_t arch_block_attention(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    struct plan *plan = wiring->plan;
    uint32_t k_cache, v_cache;
    uint32_t normed = norm_before(wiring, x, "blk.%d.attn_norm.weight", layer);
    uint32_t q = add_linear(wiring, normed, "q", "blk.%d.attn_q", (int32_t)layer);
    q = add_turned(wiring, q, hp->n_heads, "blk.%d.attn_q_norm.weight", layer);
    add_kv(wiring, normed, layer, &k_cache, &v_cache);
    struct op_attention_attr attr = {.heads = hp->n_heads,
                                     .kv_heads = hp->n_kv_heads,
                                     .head_dim = hp->head_dim,
                                     .slots = count_slots(wiring, layer),
                                     .splits = count_splits(wiring, layer),
                                     .scale = hp->attn_scale,
                                     .softcap = hp->attn_softcap,
                                     .window = arch_is_local(hp, layer) ? hp->window : 0,
                                     .group = arch_is_local(hp, layer)};
    if (plan->failed) {
        return PLAN_NONE;
    }
    uint32_t o = op_attention(plan, q, k_cache, v_cache, wiring->step, &attr);
    o = add_linear(wiring, o, "attn_proj", "blk.%d.attn_output", (int32_t)layer);
    return add_residual(wiring, x, o, "blk.%d.post_attention_norm.weight", layer);
}

uint32_t arch_block_ffn(struct arch_wiring *wiring, uint32_t x, uint32_t layer)
{
    struct plan *plan = wiring->plan;
    uint32_t normed = norm_before(wiring, x, "blk.%d.ffn_norm.weight", layer);
    if (wiring->model->hp.n_experts != 0) {
        uint32_t y = arch_block_moe(wiring, normed, layer);
        return add_residual(wiring, x, y, "blk.%d.post_ffw_norm.weight", layer);
    }
    uint32_t gate = add_linear(wiring, normed, "gate", "blk.%d.ffn_gate", (int32_t)layer);
    uint32_t up = add_linear(wiring, normed, "up", "blk.%d.ffn_up", (int32_t)layer);
    if (plan->failed) {
        return PLAN_NONE;
    }
    bool gelu = wiring->model->hp.gate == ARCH_GATE_GELU;
    uint32_t h = gelu ? op_geglu(plan, gate, up) : op_swiglu(plan, gate, up);
    h = add_linear(wiring, h, "down", "blk.%d.ffn_down", (int32_t)layer);
    return add_residual(wiring, x, h, "blk.%d.post_ffw_norm.weight", layer);
}

void arch_block_head(struct arch_wiring *wiring, uint32_t x)
{
    const struct arch_hparams *hp = &wiring->model->hp;
    const struct arch_build_params *params = wiring->params;
    struct plan *plan = wiring->plan;
    int32_t layer = (int32_t)hp->n_layers;
    bool all = params->n_tokens == 1 && params->n_out == 1;
    if (!all && !plan->failed) {
        x = op_rows(plan, x, wiring->step);
    }
    x = plan->failed ? PLAN_NONE : add_norm(wiring, x, "output_norm.weight", layer);
    x = add_scale(wiring, x, hp->logit_scale, 0); /* here, where there are fewer columns */
    x = add_linear(wiring, x, "logits", hp->tied_embedding ? "token_embd" : "output", layer);
    x = add_scale(wiring, x, 1, hp->final_softcap);
    if (!plan->failed) {
        op_logits(plan, x);
    }
    if (!plan->failed && params->argmax) {
        struct op_argmax_attr attr = {.n_banned = params->n_banned};
        for (uint32_t i = 0; i < params->n_banned && i < OP_MAX_BANNED; i++) {
            attr.banned[i] = params->banned[i];
        }
        op_argmax(plan, x, &attr);
    }
    if (!plan->failed && params->top != 0) {
        op_topk(plan, x, params->top);
    }
    if (!plan->failed && params->scores) {
        op_score(plan, x, wiring->step);
    }
}
