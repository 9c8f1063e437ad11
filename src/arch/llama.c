/* LLaMA and models of its shape, Mistral among them (Touvron et al. 2023): RMSNorm before each
 * block, rotary embedding of interleaved pairs (GGUF permutes the rows of q and k for that),
 * grouped KV heads, SwiGLU. */
#include "arch/internal.h"

const struct arch_family arch_family_llama = {
    .name = "llama",
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
