#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Writes the K and V rows of every token to its slot of the caches: one invocation per pair of
// values, or per block where a cache is quantized. A slot outside the cache is not written.
#include "common/kv_types.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HEAD_DIM = 64;
layout(constant_id = 2) const uint K_TYPE = KV_F16;
layout(constant_id = 3) const uint V_TYPE = KV_F16;
layout(constant_id = 11) const uint LOCAL = 0; // group of the caches (step.h)

layout(push_constant) uniform push_block
{
    uint kv_heads; // of k and v
    uint kv0, kv_n; // first KV head of this cache segment, and how many
    uint slots;
};

layout(binding = 0) readonly buffer K { uint k1[]; }; // f32 [tokens][kv_heads][HEAD_DIM]
layout(binding = 1) readonly buffer V { uint v1[]; };
layout(binding = 2) readonly buffer Steps { uint step_words[]; };
layout(binding = 3) buffer K_cache { uint k_cache[]; }; // [kv_n][slots][HEAD_DIM], see kv_types.h
layout(binding = 4) buffer V_cache { uint v_cache[]; };

#include "common/kv_step.glsl"
#include "common/kv_half.glsl"
#include "common/kv_quant.glsl"

const bool BY_BLOCK = K_TYPE >= KV_Q8_0 || V_TYPE >= KV_Q8_0;
const uint UNIT = BY_BLOCK ? KV_BLOCK : 2; // values of an invocation

// Four bytes or eight nibbles of a block.
uint quants_of(uint type, uint x[KV_BLOCK], uint word, float inverse)
{
    uint packed = 0u;
    [[unroll]] for (uint i = 0; i < 8; i++) {
        if (type == KV_Q4_0) {
            packed |= kv_q4(x[word * 8 + i], inverse) << i * 4;
        } else if (i < 4) {
            packed |= kv_q8(x[word * 4 + i], inverse) << i * 8;
        }
    }
    return packed;
}

// `to` is the number of a block's first value in the cache. The halves of a word of scales belong
// to two blocks, of which another invocation may write the other one now.
#define STORE_BLOCK(TYPE, x, cache, to)                                                            \
    if (TYPE >= KV_Q8_0) {                                                                         \
        kv_block_parts parts = kv_scale_of(TYPE, x);                                               \
        uint per_word = TYPE == KV_Q8_0 ? 4 : 8, block = (to) / KV_BLOCK, at = (block & 1u) * 16;  \
        [[unroll]] for (uint w = 0; w < KV_BLOCK / (TYPE == KV_Q8_0 ? 4 : 8); w++) {               \
            cache[(to) / per_word + w] = quants_of(TYPE, x, w, parts.inverse);                     \
        }                                                                                          \
        uint scales = kv_n * slots * (HEAD_DIM / per_word) + block / 2;                            \
        atomicAnd(cache[scales], 0xffff0000u >> at);                                               \
        atomicOr(cache[scales], parts.scale << at);                                                \
    } else {                                                                                       \
        [[unroll]] for (uint p = 0; p < KV_BLOCK / 2; p++) {                                       \
            STORE_PAIR(TYPE, uvec2(x[p * 2], x[p * 2 + 1]), cache, (to) / 2 + p)                   \
        }                                                                                          \
    }

#define STORE_PAIR(TYPE, pair, cache, to)                                                          \
    if (TYPE == KV_F32) {                                                                          \
        cache[(to) * 2] = (pair).x;                                                                \
        cache[(to) * 2 + 1] = (pair).y;                                                            \
    } else {                                                                                       \
        cache[to] = kv_pack(pair);                                                                 \
    }

void main()
{
    uint i = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
    uint slot = kv_slot(token);
    if (i >= kv_n * (HEAD_DIM / UNIT) || slot >= slots) {
        return;
    }
    uint head = i / (HEAD_DIM / UNIT), part = i % (HEAD_DIM / UNIT);
    uint from = (token * kv_heads + kv0 + head) * HEAD_DIM + part * UNIT;
    uint to = (head * slots + slot) * HEAD_DIM + part * UNIT;
    if (BY_BLOCK) {
        uint k[KV_BLOCK], v[KV_BLOCK];
        [[unroll]] for (uint n = 0; n < KV_BLOCK; n++) {
            k[n] = k1[from + n];
            v[n] = v1[from + n];
        }
        STORE_BLOCK(K_TYPE, k, k_cache, to)
        STORE_BLOCK(V_TYPE, v, v_cache, to)
    } else {
        STORE_PAIR(K_TYPE, uvec2(k1[from], k1[from + 1]), k_cache, to / 2)
        STORE_PAIR(V_TYPE, uvec2(v1[from], v1[from + 1]), v_cache, to / 2)
    }
}
