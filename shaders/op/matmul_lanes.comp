#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// matmul for CPU devices: the lanes of a subgroup are rows. An invocation owns ROWS rows, one of
// each of ROWS blocks of S, and TOKENS tokens, all in registers; weights and x come through texel
// buffers; 32 columns of x lie in the lanes of one fetch and are spread by shuffles from constant
// lanes. No shared memory, no barrier. Every token's sum has the same order, whatever TOKENS is.
// A store of four rows costs little more than that of one: sums are gathered for it by shuffles.

layout(local_size_x_id = 0) in;            // a multiple of S
layout(constant_id = 1) const uint S = 8;  // subgroup size and interleave: 4, 8 or 16
layout(constant_id = 2) const uint ROWS = 4;   // 4 or 8
layout(constant_id = 3) const uint TOKENS = 1; // at most 8
layout(constant_id = 4) const uint QUADS = 0;  // 1: rows, row0 and stride are multiples of 4

#include "common/weights_matmul.glsl"
#include "common/lanes_weights.glsl"
#include "format.glsl"

layout(binding = 1) uniform samplerBuffer x;
layout(binding = 2) buffer y_block
{
    float at[];
}
y;
layout(binding = 2) buffer y_quads_block
{
    vec4 at[];
}
y_quads;
layout(binding = 3) readonly buffer residual_block
{
    float at[];
}
residual;
layout(binding = 3) readonly buffer residual_quads_block
{
    vec4 at[];
}
residual_quads;

#include "common/matmul_lanes.glsl"

void store(uint r, uint t, uint first_row, uint token)
{
    uint out_row = first_row + r * S + gl_SubgroupInvocationID;
    if (out_row < p.rows && token < p.tokens) {
        uint at = token * p.stride + p.row0 + out_row;
        float sum = sum_of(r, t);
        if (p.residual != 0) {
            sum += residual.at[at];
        }
        y.at[at] = sum;
    }
}

void store_quad(uint r, uint t, uint first_row, uint token)
{
    vec4 sum = gather_quad(r, t);
    uint out_row = first_row + r * S + gl_SubgroupInvocationID * 4;
    if (out_row < p.rows && token < p.tokens) {
        uint at = (token * p.stride + p.row0 + out_row) >> 2;
        if (p.residual != 0) {
            sum += residual_quads.at[at];
        }
        y_quads.at[at] = sum;
    }
}

void main()
{
    uint subgroup = row_tile() * (gl_WorkGroupSize.x / S) + gl_LocalInvocationID.x / S;
    uint first_row = subgroup * (ROWS * S), first_token = gl_WorkGroupID.x * TOKENS;
    uint last_block = (p.rows - 1) / S;
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_at[t] = min(first_token + t, p.tokens - 1) * (p.cols >> 2);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        row[r] = quant_get_row(min(first_row / S + r, last_block) * S + gl_SubgroupInvocationID);
    }
    clear_sums();
    add_columns();
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        if (QUADS != 0) {
            store_quad(0, t, first_row, first_token + t);
            if (ROWS == 8) {
                store_quad(4, t, first_row, first_token + t);
            }
        } else {
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                store(r, t, first_row, first_token + t);
            }
        }
    }
}
