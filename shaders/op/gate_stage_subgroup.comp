#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
// The staged form of silu(gate) * up or gelu(gate) * up, one workgroup
// per row, whose subgroups bring it together.
#include "common/row_subgroup.glsl"
#include "common/gate_stage.glsl"
