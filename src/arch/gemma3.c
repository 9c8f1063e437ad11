/* Gemma 3 (Gemma team 2025): Gemma 2 with normalised q and k instead of soft caps; five layers with
 * a window and rotary embedding of their own to one without. */
#include "arch/internal.h"

#include <math.h>

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->gate = ARCH_GATE_GELU;
    hp->norm_after = true;
    hp->embd_scale = sqrtf((float)hp->n_embd);
    hp->window_period = 6;
    hp->qk_norm = ARCH_QK_NORM_HEAD;
    hp->rope_base_local = 10000;
    if (hp->n_layers == 62) { /* 27B: by the width, not by the head; the file does not say */
        hp->attn_scale = sqrtf((float)hp->n_heads / (float)hp->n_embd);
    }
}

const struct arch_family arch_family_gemma3 = {
    .name = "gemma3",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
