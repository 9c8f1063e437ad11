#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// matmul for few tokens on any device: the 64 invocations of a group share the columns of ROWS
// rows; their sums meet in shared memory.

layout(local_size_x = 64) in;
layout(constant_id = 3) const uint TOKENS = 1; // at most 4

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

#include "common/matmul_gemv.glsl"

void store(uint first_row, uint first_token)
{
    uint r = gl_LocalInvocationID.x / MAX_TOKENS, t = gl_LocalInvocationID.x % MAX_TOKENS;
    uint row = first_row + r, token = first_token + t;
    if (r < ROWS && t < TOKENS && row < p.rows && token < p.tokens) {
        float sum = sum_of(r, t);
        uint at = token * p.stride + p.row0 + row;
        y.at[at] = p.residual != 0 ? sum + residual.at[at] : sum;
    }
}

void main()
{
    uint first_row = row_tile() * ROWS, first_token = gl_WorkGroupID.x * TOKENS;
    quant_row rows[ROWS];
    uint token[MAX_TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        token[t] = min(first_token + t, p.tokens - 1);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        rows[r] = quant_get_row(min(first_row + r, p.rows - 1));
    }
    multiply(rows, token);
    barrier();
    store(first_row, first_token);
}
