#version 450
//! needs: GL_NV_cooperative_matrix2
//! env: vulkan1.3
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// matmul for many tokens on matrices of flexible dimensions: matmul_coopmat2.glsl.

#define W_NARROW 1
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
#include "common/matmul_coopmat2.glsl"
#include "common/matmul_part.glsl"

float finish(uint row, uint token, float sum)
{
    if (row < p.rows && token < p.tokens) {
        sum = sum * sum_factor() * scale.at[token];
        sum = p.residual != 0 ? sum + residual.at[result_at(row, token)] : sum;
    }
    return sum;
}

void store(uint row, uint token, float result)
{
    if (row < p.rows && token < p.tokens) {
        y.at[result_at(row, token)] = result;
    }
}

bool may_store_whole(uint first_row, uint first_token)
{
    return first_row + ROWS <= p.rows && first_token + TOKENS <= p.tokens;
}

void store_whole(uint first_row, uint first_token, SUMS results)
{
    coopMatStore(results, y.at, result_at(first_row, first_token), p.stride,
                 gl_CooperativeMatrixLayoutColumnMajor);
}

void main()
{
    multiply(row_tile() * ROWS, token_begin(), col_begin(), col_end());
}
