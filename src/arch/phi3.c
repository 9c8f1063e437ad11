/* Phi-3 and Phi-4 (Abdin et al. 2024): fused q, k, v and gate, up; rotary embedding of a part of
 * the head, with factors for long contexts. A window holds in every layer. */
#include "arch/internal.h"

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->fused_qkv = true;
    hp->fused_gate_up = true;
}

const struct arch_family arch_family_phi3 = {
    .name = "phi3",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
