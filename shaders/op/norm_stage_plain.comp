#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The staged form of x / sqrt(mean(x^2) + eps) * w, one workgroup per row; needs nothing optional.
#include "common/row_shared.glsl"
#include "common/norm_stage.glsl"
