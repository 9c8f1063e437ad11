// Which logits may win: numbers that are finite and not banned. On bits, see float_key.
#include "common/float_key.glsl"
layout(push_constant) uniform push_block
{
    uint cols; // lanes: a multiple of 4
    uint rows;
    uint n_banned;
    uint banned[8]; // columns that never win; behind n_banned: none
} p;

const uint ARGMAX_NONE = 0xffffffffu;

// Larger for a larger logit; 0 for what never wins. No loop: llvmpipe ends a shader's loops after
// 65,535 rounds of all of them together.
uint argmax_key(uint bits, uint column)
{
    bool wins = (bits & 0x7fffffffu) < 0x7f800000u;
    if (p.n_banned != 0u) {
        [[unroll]] for (uint k = 0u; k < 8u; k++) {
            wins = wins && column != p.banned[k];
        }
    }
    return wins ? float_key(bits) : 0u;
}
