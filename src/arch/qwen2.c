/* Qwen2 and 2.5 (Yang et al. 2024): biases of q, k and v, half-split rotary embedding. */
#include "arch/internal.h"

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->qkv_bias = true;
}

const struct arch_family arch_family_qwen2 = {
    .name = "qwen2",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
