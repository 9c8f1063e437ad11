#version 450
#extension GL_GOOGLE_include_directive : require
// Writes the K and V rows of every token to its slot of the caches: one invocation per pair of
// values. A slot outside the cache is not written.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HEAD_DIM = 64;
layout(constant_id = 2) const uint K_F32 = 0;
layout(constant_id = 3) const uint V_F32 = 0;
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
layout(binding = 3) writeonly buffer K_cache { uint k_cache[]; }; // [kv_n][slots][HEAD_DIM]
layout(binding = 4) writeonly buffer V_cache { uint v_cache[]; };

#include "common/kv_step.glsl"
#include "common/kv_half.glsl"

void main()
{
    uint i = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
    uint slot = kv_slot(token);
    if (i >= kv_n * (HEAD_DIM / 2) || slot >= slots) {
        return;
    }
    uint head = i / (HEAD_DIM / 2), pair = i % (HEAD_DIM / 2);
    uint from = (token * kv_heads + kv0 + head) * HEAD_DIM + pair * 2;
    uint to = (head * slots + slot) * (HEAD_DIM / 2) + pair;
    uvec2 k = uvec2(k1[from], k1[from + 1]), v = uvec2(v1[from], v1[from + 1]);
    if (K_F32 != 0) {
        k_cache[to * 2] = k.x;
        k_cache[to * 2 + 1] = k.y;
    } else {
        k_cache[to] = kv_pack(k);
    }
    if (V_F32 != 0) {
        v_cache[to * 2] = v.x;
        v_cache[to * 2 + 1] = v.y;
    } else {
        v_cache[to] = kv_pack(v);
    }
}
