/* LLaMA and models of its shape (Touvron et al. 2023): RMSNorm before each block, rotary embedding
 * of interleaved pairs (GGUF permutes the rows of q and k for that), grouped KV heads, SwiGLU. */
#include "arch/internal.h"

static bool llama_weights(struct arch_table *table)
{
    if (!arch_table_read_vocab(table, "token_embd.weight", "output.weight")) {
        return false;
    }
    const struct arch_hparams *hp = &table->model->hp;
    int32_t head = (int32_t)hp->n_layers;
    if (!arch_table_add(table, ARCH_MATRIX, "token_embd.weight", PLAN_LAYER_INPUT, hp->n_vocab,
                        hp->n_embd)) {
        return false;
    }
    for (int32_t layer = 0; layer < head; layer++) {
        if (!arch_block_weights(table, layer)) {
            return false;
        }
    }
    return arch_table_add(table, ARCH_VECTOR, "output_norm.weight", head, 1, hp->n_embd) &&
           (hp->tied_embedding ||
            arch_table_add(table, ARCH_MATRIX, "output.weight", head, hp->n_vocab, hp->n_embd)) &&
           (!arch_table_has(table, "rope_freqs.weight") ||
            arch_table_add(table, ARCH_FACTORS, "rope_freqs.weight", PLAN_LAYER_INPUT, 1,
                           hp->rope_dims / 2));
}

/* Without a head only the KV cache matters, so the last layer ends there. */
static void llama_build(struct arch_wiring *wiring)
{
    struct plan *plan = wiring->plan;
    uint32_t n_layers = plan->n_layers;
    if (arch_wire_has(wiring, "rope_freqs.weight")) {
        wiring->factors = arch_wire_weight(wiring, "rope_freqs.weight", PLAN_LAYER_INPUT);
    }
    wiring->cursor = 0;
    uint32_t x = arch_block_embed(wiring);
    for (uint32_t layer = 0; layer < n_layers; layer++) {
        plan->layer = (int32_t)layer;
        if (layer + 1 == n_layers && wiring->params->n_out == 0) {
            arch_block_kv(wiring, x, layer);
            return;
        }
        x = arch_block_attention(wiring, x, layer);
        x = arch_block_ffn(wiring, x, layer);
    }
    plan->layer = (int32_t)n_layers;
    arch_block_head(wiring, x);
}

const struct arch_family arch_family_llama = {
    .name = "llama",
    .rope_half_split = false,
    .weights = llama_weights,
    .build = llama_build,
};
