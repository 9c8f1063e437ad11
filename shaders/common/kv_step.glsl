// Reading the step buffer (step.h) in attention and KV append. The includer declares `step_words`.
#include "common/step.h"

uint kv_step(uint array, uint token)
{
    return step_words[STEP_HEADER + array * step_words[STEP_CAP] + token];
}

// Where the block table row of a sequence begins.
uint kv_table(uint seq)
{
    return STEP_HEADER + STEP_ARRAYS * step_words[STEP_CAP] + seq * step_words[STEP_BLOCKS];
}

// The entries [begin, end) that split j of n of a token sees.
uvec2 kv_split(uint len, uint j, uint n)
{
    if (n == 1u) {
        return uvec2(0u, len);
    }
    uint part = (len + n - 1u) / n;
    part = (part + uint(STEP_BLOCK) - 1u) / uint(STEP_BLOCK) * uint(STEP_BLOCK);
    uint begin = min(j * part, len);
    return uvec2(begin, min(begin + part, len));
}
