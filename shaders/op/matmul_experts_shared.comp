#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
// matmul_experts for GPUs where experts have few pairs each, in f32: matmul_shared.glsl.

#define W_MAGIC p.magic

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint ROWS = 2;   // at most 4
layout(constant_id = 3) const uint TOKENS = 1; // at most 8

#include "common/experts.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_dot.glsl"
#include "common/matmul_shared.glsl"
#include "common/experts_few.glsl"
