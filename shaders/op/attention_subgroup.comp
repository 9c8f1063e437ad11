#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// Attention by subgroups of any device: kv_rows.glsl with q, K and V in storage buffers. HEAD_DIM
// is a multiple of 8.
#include "common/kv_specs.glsl"

layout(binding = 0) readonly buffer Q { vec4 q4[]; };  // [tokens][heads][HEAD_DIM]
layout(binding = 1) readonly buffer K { uvec4 k4[]; }; // [kv_n][slots][HEAD_DIM], see kv_types.h
layout(binding = 2) readonly buffer V { uvec4 v4[]; };
// The same in smaller pieces.
layout(binding = 1) readonly buffer K_pairs { uvec2 k2[]; };
layout(binding = 1) readonly buffer K_words { uint k1[]; };
layout(binding = 2) readonly buffer V_pairs { uvec2 v2[]; };
layout(binding = 2) readonly buffer V_words { uint v1[]; };

#define KV_Q(i) q4[i]
#define KV_K(i) k4[i]
#define KV_V(i) v4[i]
#define KV_K2(i) k2[i]
#define KV_V2(i) v2[i]
#define KV_K1(i) k1[i]
#define KV_V1(i) v1[i]
#define KV_TEAM
#include "common/kv_chunk.glsl"
#include "common/kv_rows.glsl"

void main()
{
    rows_attend();
}
