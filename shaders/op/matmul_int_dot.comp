#version 450
//! needs: GL_EXT_integer_dot_product
//! not for: f32 f16 bf16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_integer_dot_product : require
// matmul for many tokens on integer dot products, of quantized activations (stage_q8):
// matmul_int_dot.glsl.

layout(local_size_x = 256) in;

#include "common/weights_matmul.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"

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
#include "common/matmul_int_dot.glsl"

void main()
{
    uint first_row = row_tile() * TILE, first_token = gl_WorkGroupID.x * TILE;
    mat4 acc = multiply(first_row, first_token);
    [[unroll]] for (uint t = 0; t < 4; t++) {
        [[unroll]] for (uint r = 0; r < 4; r++) {
            uint row = first_row + my_row(r), token = first_token + my_token(t);
            if (row < p.rows && token < p.tokens) {
                uint at = token * p.stride + p.row0 + row;
                y.at[at] = p.residual != 0 ? acc[t][r] + residual.at[at] : acc[t][r];
            }
        }
    }
}
