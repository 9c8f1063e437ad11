// Reading the step buffer (step.h) in attention and KV append. The includer declares `step_words`
// and the constant LOCAL: 0, or 1 for caches of local layers.
#include "common/step.h"

uint kv_step(uint array, uint token)
{
    return step_words[STEP_HEADER + array * step_words[STEP_CAP] + token];
}

// Where the block tables begin: number LOCAL of them.
uint kv_tables()
{
    uint cap = step_words[STEP_CAP], global = STEP_HEADER + STEP_ARRAYS * cap;
    return LOCAL != 0u ? global + step_words[STEP_N_SEQ] * step_words[STEP_BLOCKS] + cap : global;
}

// Where the block table row of a sequence begins.
uint kv_table(uint seq)
{
    return kv_tables() + seq * step_words[STEP_BLOCKS];
}

// Where the K and V of a token go.
uint kv_slot(uint token)
{
    return LOCAL != 0u ? step_words[kv_tables() - step_words[STEP_CAP] + token]
                       : kv_step(STEP_SLOT, token);
}
