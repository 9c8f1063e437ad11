// How the entries that a token sees are cut into splits: the first ones get whole parts, those that
// nothing is left for do nothing and write nothing. The includer defines WINDOW.
#include "common/kv_types.h"
#include "common/step.h"

// The first entry that a token with `len` entries sees.
uint kv_first(uint len)
{
    return WINDOW != 0u && len > WINDOW ? len - WINDOW : 0u;
}

// Entries of a split of n: whole blocks, and so many that the split is worth its start.
uint kv_part(uint len, uint n)
{
    uint block = uint(STEP_BLOCK), base = kv_first(len) / block * block;
    uint part = (len - base + n - 1u) / n;
    return max((part + block - 1u) / block * block, uint(KV_PART));
}

// How many of n splits have entries; at least one.
uint kv_splits(uint len, uint n)
{
    uint block = uint(STEP_BLOCK), base = kv_first(len) / block * block, part = kv_part(len, n);
    return n == 1u ? 1u : max((len - base + part - 1u) / part, 1u);
}

// The entries [begin, end) that split j of n of a token with `len` entries sees. Splits begin at
// whole blocks, but for the one that begins with the window.
uvec2 kv_split(uint len, uint j, uint n)
{
    uint first = kv_first(len);
    if (n == 1u) {
        return uvec2(first, len);
    }
    uint block = uint(STEP_BLOCK), base = first / block * block, part = kv_part(len, n);
    uint begin = min(base + j * part, len);
    return uvec2(max(begin, first), min(begin + part, len));
}
