#version 450
//! needs: GL_NV_cooperative_matrix2
//! env: vulkan1.3
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// matmul_experts for many pairs of an expert on matrices of flexible dimensions, as
// matmul_coopmat2.comp: a group makes ROWS rows of the expert, TOKENS pairs at a time.

#define W_NARROW 1
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
#include "common/matmul_coopmat2.glsl"

float finish(uint row, uint entry, float sum)
{
    return entry < part.end ? sum * sum_factor() * scale.at[expert_pair(entry) / p.share] : sum;
}

void store(uint row, uint entry, float result)
{
    if (row < part.rows && entry < part.end) {
        y.at[expert_pair(entry) * p.rows + part.out_row + row] = result;
    }
}

// Pairs of an expert lie anywhere.
bool may_store_whole(uint first_row, uint first_entry)
{
    return false;
}

void store_whole(uint first_row, uint first_entry, SUMS results)
{
}

void main()
{
    uint first_row = row_tile() * ROWS;
    part = expert_get_part();
    if (first_row >= part.rows) {
        return;
    }
    for (uint first = part.begin; first < part.end; first += TOKENS) {
        multiply(first_row, first, 0u, p.cols);
    }
}
