/* Qwen3 (Yang et al. 2025): each head of q and k is normalised. */
#include "arch/internal.h"

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->qk_norm = ARCH_QK_NORM_HEAD;
}

const struct arch_family arch_family_qwen3 = {
    .name = "qwen3",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
