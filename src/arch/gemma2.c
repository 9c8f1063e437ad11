/* Gemma 2 (Gemma team 2024): norms before and behind both blocks (with their 1 added in the file),
 * GELU, scaled embedding, soft caps, a window in every second layer. The embedding's factor is not
 * rounded to the file's type, as with transformers in F32. */
#include "arch/internal.h"

#include <math.h>

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->gate = ARCH_GATE_GELU;
    hp->norm_after = true;
    hp->embd_scale = sqrtf((float)hp->n_embd);
    hp->window = 4096;
    hp->window_period = 2;
    hp->attn_softcap = 50;
    hp->final_softcap = 30;
    if (hp->n_layers == 46) { /* 27B: by the width, not by the head; the file does not say */
        hp->attn_scale = sqrtf((float)hp->n_heads / (float)hp->n_embd);
    }
}

const struct arch_family arch_family_gemma2 = {
    .name = "gemma2",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
