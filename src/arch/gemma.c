/* Gemma (Gemma team 2024): GELU and a scaled embedding; norms have their 1 added in the file. The
 * embedding's factor is not rounded to the file's type, as with transformers in F32. */
#include "arch/internal.h"

#include <math.h>

static void set_defaults(struct arch_hparams *hp)
{
    hp->rope_half_split = true;
    hp->gate = ARCH_GATE_GELU;
    hp->embd_scale = sqrtf((float)hp->n_embd);
}

const struct arch_family arch_family_gemma = {
    .name = "gemma",
    .defaults = set_defaults,
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
