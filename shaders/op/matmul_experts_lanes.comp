#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// matmul_experts for CPU devices, as matmul_lanes.comp: lanes are rows of the expert, TOKENS pairs
// at a time. A row's address is the lane's own, so that an expert may begin anywhere in a group of
// interleaved rows.

layout(local_size_x_id = 0) in;            // a multiple of S
layout(constant_id = 1) const uint S = 8;  // subgroup size and interleave: 4, 8 or 16
layout(constant_id = 2) const uint ROWS = 4;   // 4 or 8
layout(constant_id = 3) const uint TOKENS = 1; // at most 8
layout(constant_id = 4) const uint QUADS = 0;  // 1: rows and row0 are multiples of 4

#include "common/experts.glsl"
#include "common/lanes_weights.glsl"
#include "format.glsl"

layout(binding = 1) uniform samplerBuffer x;
layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;
layout(binding = 2) writeonly buffer y_quads_block
{
    vec4 at[];
}
y_quads;

#undef PLANT_ARITHMETIC // planted in matmul alone
#include "common/matmul_lanes.glsl"

void store(expert_part part, uint t, uint first_row, uint pair)
{
    if (QUADS != 0) {
        [[unroll]] for (uint r = 0; r < ROWS; r += 4) {
            vec4 sum = gather_quad(r, t);
            uint row = first_row + r * S + gl_SubgroupInvocationID * 4;
            if (row < part.rows) {
                y_quads.at[(pair * p.rows + part.out_row + row) >> 2] = sum;
            }
        }
    } else {
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint row = first_row + r * S + gl_SubgroupInvocationID;
            if (row < part.rows) {
                y.at[pair * p.rows + part.out_row + row] = sum_of(r, t);
            }
        }
    }
}

void main()
{
    expert_part part = expert_get_part();
    uint subgroup = row_tile() * (gl_WorkGroupSize.x / S) + gl_LocalInvocationID.x / S;
    uint first_row = subgroup * (ROWS * S);
    if (first_row >= part.rows) {
        return;
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        uint at = min(first_row + r * S + gl_SubgroupInvocationID, part.rows - 1);
        row[r] = quant_get_row(part.row + at);
    }
    [[dont_unroll]] for (uint i = part.begin; i < part.end; i += TOKENS) {
        uint pair[MAX];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            pair[t] = expert_pair(min(i + t, part.end - 1));
            x_at[t] = pair[t] / p.share * (p.cols >> 2);
        }
        clear_sums();
        add_columns();
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            if (i + t < part.end) {
                store(part, t, first_row, pair[t]);
            }
        }
    }
}
