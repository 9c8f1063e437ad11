#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The staged form of each row, one workgroup per row; needs nothing optional.
#include "common/row_shared.glsl"
#include "common/stage.glsl"
