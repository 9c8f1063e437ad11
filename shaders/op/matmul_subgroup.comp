#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
// matmul for few tokens on GPUs: a subgroup owns ROWS rows and TOKENS tokens; its lanes share the
// columns in fetches of 16 bytes, neighbouring lanes neighbouring fetches. Subgroups of any size:
// they stride over the tiles of rows.

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint ROWS = 2;   // at most 4
layout(constant_id = 3) const uint TOKENS = 1; // at most 8

#include "common/weights_matmul.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_dot.glsl"

layout(binding = 2) buffer y_block
{
    float at[];
}
y;
layout(binding = 3) readonly buffer residual_block
{
    float at[];
}
residual;

#include "common/matmul_subgroup.glsl"

void multiply(uint first_row, uint first_token)
{
    quant_row rows[MAX_ROWS];
    uint token[MAX_TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        token[t] = min(first_token + t, p.tokens - 1);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        rows[r] = quant_get_row(min(first_row + r, p.rows - 1));
    }
    add_columns(rows, token);
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            float sum = sum_of(r, t);
            uint out_row = first_row + r, out_token = first_token + t;
            if (out_row < p.rows && out_token < p.tokens && subgroupElect()) {
                uint at = out_token * p.stride + p.row0 + out_row;
                y.at[at] = p.residual != 0 ? sum + residual.at[at] : sum;
            }
        }
    }
}

void main()
{
    uint first = row_tile() * gl_NumSubgroups + gl_SubgroupID;
    uint all = gl_NumWorkGroups.y * gl_NumWorkGroups.z * gl_NumSubgroups;
    for (uint tile = first; tile * ROWS < p.rows; tile += all) {
        multiply(tile * ROWS, gl_WorkGroupID.x * TOKENS);
    }
}
