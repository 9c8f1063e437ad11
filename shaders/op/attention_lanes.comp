#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// Attention on CPU devices: kv_rows.glsl with q, K and V read through texel buffers, which is what
// software drivers read fastest. HEAD_DIM is a multiple of 8.
#include "common/kv_specs.glsl"

layout(binding = 0) uniform samplerBuffer q;  // [tokens][heads][HEAD_DIM]
layout(binding = 1) uniform usamplerBuffer k; // [kv_n][slots][HEAD_DIM], see kv_types.h
layout(binding = 2) uniform usamplerBuffer v;

#define KV_Q(i) texelFetch(q, int(i))
#define KV_K(i) texelFetch(k, int(i))
#define KV_V(i) texelFetch(v, int(i))
#define KV_K2(i) kv_pair_of(KV_K((i) >> 1), i)
#define KV_V2(i) kv_pair_of(KV_V((i) >> 1), i)
#define KV_K1(i) kv_word_of(KV_K((i) >> 2), i)
#define KV_V1(i) kv_word_of(KV_V((i) >> 2), i)

uvec2 kv_pair_of(uvec4 texel, uint i)
{
    return (i & 1u) == 0u ? texel.xy : texel.zw;
}

uint kv_word_of(uvec4 texel, uint i)
{
    uvec2 pair = (i & 2u) == 0u ? texel.xy : texel.zw;
    return (i & 1u) == 0u ? pair.x : pair.y;
}

#include "common/kv_chunk.glsl"
#include "common/kv_rows.glsl"

void main()
{
    rows_attend();
}
