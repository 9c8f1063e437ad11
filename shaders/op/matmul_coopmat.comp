#version 450
//! needs: GL_KHR_cooperative_matrix
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// matmul for many tokens on matrix units of subgroup scope: matmul_coopmat.glsl.

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
#include "common/matmul_coopmat.glsl"
#include "common/matmul_part.glsl"

void store(uint row, uint token, float sum)
{
    if (row < p.rows && token < p.tokens) {
        uint at = result_at(row, token);
        sum = sum * sum_factor() * scale.at[token];
        y.at[at] = p.residual != 0 ? sum + residual.at[at] : sum;
    }
}

bool may_store_whole(uint first_row, uint first_token)
{
    return first_row + ROWS <= p.rows && first_token + TOKENS <= p.tokens;
}

void store_whole(uint row, uint token, SUMS sum)
{
    SUMS other;
    coopMatLoad(other, scale.at, token, 0, gl_CooperativeMatrixLayoutRowMajor); // one for all rows
    sum = sum * sum_factor() * other;
    uint at = result_at(row, token);
    if (p.residual != 0) {
        coopMatLoad(other, residual.at, at, p.stride, gl_CooperativeMatrixLayoutColumnMajor);
        sum = sum + other;
    }
    coopMatStore(sum, y.at, at, p.stride, gl_CooperativeMatrixLayoutColumnMajor);
}

void main()
{
    multiply(row_tile() * ROWS, token_begin(), col_begin(), col_end());
}
