#version 450
//! needs: GL_KHR_cooperative_matrix
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// matmul_experts for many pairs of an expert on matrix units of subgroup scope, as
// matmul_coopmat.comp: a group makes ROWS rows of the expert, TOKENS pairs at a time.

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
#include "common/matmul_coopmat.glsl"

void store(uint row, uint entry, float sum)
{
    if (row < part.rows && entry < part.end) {
        uint pair = expert_pair(entry);
        y.at[pair * p.rows + part.out_row + row] = sum * sum_factor() * scale.at[pair / p.share];
    }
}

// Pairs of an expert lie anywhere.
bool may_store_whole(uint first_row, uint first_entry)
{
    return false;
}

void store_whole(uint row, uint entry, SUMS sum)
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
        barrier(); // the sums of a slower subgroup lie in the tile
    }
}
