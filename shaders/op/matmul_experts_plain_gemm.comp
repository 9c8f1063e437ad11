#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// matmul_experts for many pairs of an expert on any device, as matmul_plain_gemm.comp: a group makes
// 64 rows of the expert, 64 pairs at a time.

layout(local_size_x = 256) in;

#include "common/experts.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_value.glsl"

layout(binding = 1) readonly buffer x_block
{
    vec4 quads[]; // [token or pair][cols / 4]
}
x;
layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;

expert_part part;

#define W_ROW(i) (part.row + min(i, part.rows - 1))
#define X_ROW(i) (expert_pair(min(i, part.end - 1)) / p.share)
#include "common/matmul_gemm.glsl"

void main()
{
    uint first_row = row_tile() * TILE;
    uint my_rows = gl_LocalInvocationID.x & 15u, my_pairs = gl_LocalInvocationID.x >> 4;
    part = expert_get_part();
    if (first_row >= part.rows) {
        return;
    }
    for (uint first = part.begin; first < part.end; first += TILE) {
        mat4 acc = multiply(first_row, first);
        [[unroll]] for (uint t = 0; t < 4; t++) {
            uint i = first + my_pairs * 4 + t;
            uint at = expert_pair(min(i, part.end - 1)) * p.rows + part.out_row;
            [[unroll]] for (uint r = 0; r < 4; r++) {
                uint row = first_row + my_rows * 4 + r;
                if (row < part.rows && i < part.end) {
                    y.at[at + row] = acc[t][r];
                }
            }
        }
    }
}
