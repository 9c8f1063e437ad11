/* Granite 3 (Granite team 2024): a LLaMA with four factors, which are keys of the file. */
#include "arch/internal.h"

const struct arch_family arch_family_granite = {
    .name = "granite",
    .weights = arch_decoder_weights,
    .build = arch_decoder_build,
};
