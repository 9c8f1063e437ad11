#version 450
//! needs: GL_EXT_integer_dot_product
//! not for: f32 f16 bf16
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_integer_dot_product : require
// matmul_experts for many pairs of an expert on integer dot products, as matmul_int_dot.comp: a group
// makes 64 rows of the expert, 64 pairs at a time.

layout(local_size_x = 256) in;

#include "common/experts.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"

layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;

expert_part part;

#define W_ROW(i) (part.row + min(i, part.rows - 1))
#define X_ROW(i) (expert_pair(min(i, part.end - 1)) / p.share)
#include "common/matmul_int_dot.glsl"

void main()
{
    uint first_row = row_tile() * TILE;
    part = expert_get_part();
    if (first_row >= part.rows) {
        return;
    }
    for (uint first = part.begin; first < part.end; first += TILE) {
        mat4 acc = multiply(first_row, first);
        [[unroll]] for (uint t = 0; t < 4; t++) {
            uint i = first + my_token(t);
            uint at = expert_pair(min(i, part.end - 1)) * p.rows + part.out_row;
            [[unroll]] for (uint r = 0; r < 4; r++) {
                uint row = first_row + my_row(r);
                if (row < part.rows && i < part.end) {
                    y.at[at + row] = acc[t][r];
                }
            }
        }
    }
}
