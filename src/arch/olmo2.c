/* OLMo 2 (OLMo team 2024): norms on the blocks' results only, q and k normalised over all heads.
 * OLMo 3 has a window in three of four layers, which do not scale positions. */
#include "arch/internal.h"

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->qk_norm = ARCH_QK_NORM_FULL;
    hp->norm_before = false;
    hp->norm_after = true;
    hp->window_period = 4;
    hp->rope_base_local = hp->rope_base;
}

const struct arch_family arch_family_olmo2 = {
    .name = "olmo2",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
