// Rotary embedding of q and k (rope.glsl), and the rows of k and v to the slots of the caches: what
// rope.comp and kv_append.comp do, bit by bit. The body of rope_append*.comp. A slot outside the
// cache is not written.
#include "common/kv_types.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HEAD_DIM = 64;
layout(constant_id = 2) const uint K_TYPE = KV_F16;
layout(constant_id = 3) const uint V_TYPE = KV_F16;
layout(constant_id = 4) const uint HALF = 0;   // half_split of rope.comp
layout(constant_id = 11) const uint LOCAL = 0; // group of the caches (step.h)

layout(push_constant) uniform push_block
{
    uint heads, kv_heads; // of q, of k and v
    uint q0, q_n;         // first head of q that goes with this cache segment, and how many
    uint kv0, kv_n;       // first KV head of the segment, and how many
    uint slots;
    uint tokens, parts; // among so many are the heads of a token shared
    uint dims, use_factors; // from here on as in rope.comp
    float ratio_hi, ratio_lo;
    float scale_hi, scale_lo;
    float magnitude;
};

layout(binding = 0) readonly buffer Q { float q1[]; }; // f32 [tokens][heads][HEAD_DIM]
layout(binding = 1) readonly buffer K { float k1[]; }; // f32 [tokens][kv_heads][HEAD_DIM]
layout(binding = 2) readonly buffer V { uint v1[]; };
layout(binding = 3) readonly buffer Steps { uint step_words[]; };
layout(binding = 4) readonly buffer Factors { float factors[]; };
layout(binding = 5) writeonly buffer Turned { float turned[]; }; // as q; may be q
layout(binding = 6) buffer K_cache { uint k_cache[]; }; // [kv_n][slots][HEAD_DIM], see kv_types.h
layout(binding = 7) buffer V_cache { uint v_cache[]; };

#include "common/kv_step.glsl"
#include "common/kv_store.glsl"
#include "common/rope.glsl"

const bool BY_BLOCK = K_TYPE >= KV_Q8_0 || V_TYPE >= KV_Q8_0;
const uint UNIT = BY_BLOCK ? KV_BLOCK : 2; // values that an invocation stores at a time
const uint WG = gl_WorkGroupSize.x;
const uint PAIRS = HEAD_DIM / 2;
const uint UNITS = HEAD_DIM / UNIT;

// Of pair i; of those that are not turned some number.
vec2 make_turn(uint position, uint i)
{
    vec2 power = rope_power(i, vec2(scale_hi, scale_lo), vec2(ratio_hi, ratio_lo));
    if (use_factors != 0u) {
        power = divide(power, factors[min(i, dims / 2u - 1u)]);
    }
    return rope_turn(position, power, magnitude);
}

// Number of the pair that value c is of.
uint pair_of(uint c)
{
    return HALF == 0u ? c / 2u : c < dims / 2u ? c : c - dims / 2u;
}

// Each pair is read and written by one invocation alone.
void turn_q(uint token, uint head, uint i, vec2 turn)
{
    uint base = (token * heads + head) * HEAD_DIM, rotated = dims / 2u;
    bool far = HALF != 0u && i < rotated;
    uint first = base + (far ? i : 2u * i), second = far ? first + rotated : first + 1u;
    vec2 pair = vec2(q1[first], q1[second]);
    pair = i < rotated ? rope_rotate(pair, turn) : pair;
    turned[first] = pair.x;
    turned[second] = pair.y;
}

// Value c of the head of k that begins at `base`, where the halves of the first `dims` are pairs.
float turned_half(uint base, uint c, vec2 turn)
{
    if (c >= dims) {
        return k1[base + c];
    }
    uint apart = dims / 2u;
    bool behind = c >= apart;
    uint first = base + (behind ? c - apart : c);
    vec2 pair = rope_rotate(vec2(k1[first], k1[first + apart]), turn);
    return behind ? pair.y : pair.x;
}

// Values c and c + 1, c even; the turns of both, which are one where neighbours are pairs.
uvec2 turned_k(uint base, uint c, vec2 turn, vec2 next)
{
    vec2 k;
    if (HALF != 0u) {
        k = vec2(turned_half(base, c, turn), turned_half(base, c + 1u, next));
    } else {
        k = vec2(k1[base + c], k1[base + c + 1u]);
        k = c < dims ? rope_rotate(k, turn) : k;
    }
    return floatBitsToUint(k);
}
