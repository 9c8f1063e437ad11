#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// matmul_experts for few pairs of an expert on any device, as matmul_plain_gemv.comp: a group makes
// four rows of the expert, TOKENS pairs at a time.

layout(local_size_x = 64) in;
layout(constant_id = 3) const uint TOKENS = 1; // at most 4

#include "common/experts.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_dot.glsl"

layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;

#include "common/matmul_gemv.glsl"

void store(expert_part part, uint first_row, uint i)
{
    uint r = gl_LocalInvocationID.x / MAX_TOKENS, t = gl_LocalInvocationID.x % MAX_TOKENS;
    if (r < ROWS && t < TOKENS && first_row + r < part.rows && i + t < part.end) {
        y.at[expert_pair(i + t) * p.rows + part.out_row + first_row + r] = sum_of(r, t);
    }
}

void main()
{
    expert_part part = expert_get_part();
    uint first_row = row_tile() * ROWS;
    quant_row rows[ROWS];
    if (first_row >= part.rows) {
        return;
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        rows[r] = quant_get_row(part.row + min(first_row + r, part.rows - 1));
    }
    for (uint i = part.begin; i < part.end; i += TOKENS) {
        uint token[MAX_TOKENS];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            token[t] = expert_pair(min(i + t, part.end - 1)) / p.share;
        }
        multiply(rows, token);
        barrier();
        store(part, first_row, i);
        barrier();
    }
}
