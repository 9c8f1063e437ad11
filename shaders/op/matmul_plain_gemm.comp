#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// matmul for many tokens on any device: a group of 256 makes a tile of 64 rows x 64 tokens, 4 x 4
// per invocation; 32 columns of both are dequantized into shared memory at a time (16 KiB).

layout(local_size_x = 256) in;

#include "common/weights_matmul.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_value.glsl"

layout(binding = 1) readonly buffer x_block
{
    vec4 quads[]; // [token][cols / 4]
}
x;
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

#define W_ROW(i) min(i, p.rows - 1)
#define X_ROW(i) min(i, p.tokens - 1)
#include "common/matmul_gemm.glsl"

void main()
{
    uint first_row = row_tile() * TILE, first_token = gl_WorkGroupID.x * TILE;
    uint my_rows = gl_LocalInvocationID.x & 15u, my_tokens = gl_LocalInvocationID.x >> 4;
    mat4 acc = multiply(first_row, first_token);
    [[unroll]] for (uint t = 0; t < 4; t++) {
        [[unroll]] for (uint r = 0; r < 4; r++) {
            uint row = first_row + my_rows * 4 + r, token = first_token + my_tokens * 4 + t;
            if (row < p.rows && token < p.tokens) {
                uint at = token * p.stride + p.row0 + row;
                y.at[at] = p.residual != 0 ? acc[t][r] + residual.at[at] : acc[t][r];
            }
        }
    }
}
