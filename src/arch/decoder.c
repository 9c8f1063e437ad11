/* The decoder that most families are: embedding, layers of attention and feed-forward, head. What
 * differs between them is a hyper-parameter, which the blocks look at. */
#include "arch/internal.h"

bool arch_decoder_weights(struct arch_table *table)
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
           arch_rope_weights(table);
}

/* Without a head only the KV cache matters, so the last layer ends there. */
void arch_decoder_build(struct arch_wiring *wiring)
{
    struct plan *plan = wiring->plan;
    uint32_t n_layers = plan->n_layers;
    wiring->factors = arch_rope_factors(wiring);
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
