#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
// matmul_gate on GPUs, in f32: matmul_shared.glsl.

#define W_MAGIC p.magic

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint ROWS = 2;   // 2 or 4: half of them of each weight
layout(constant_id = 3) const uint TOKENS = 1; // at most 8

#include "common/weights_matmul.glsl"
#include "common/weights_pair.glsl"
#include "format.glsl"
#include "common/weights_dot.glsl"
#include "common/norm_x.glsl"
#include "common/matmul_shared.glsl"
#include "common/matmul_gate.glsl"
