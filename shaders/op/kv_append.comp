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
#include "common/kv_store.glsl"

const bool BY_BLOCK = K_TYPE >= KV_Q8_0 || V_TYPE >= KV_Q8_0;
const uint UNIT = BY_BLOCK ? KV_BLOCK : 2; // values of an invocation

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
