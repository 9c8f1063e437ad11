#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
// matmul_experts for GPUs where experts have few pairs each, as matmul_subgroup.comp: a subgroup
// owns ROWS rows of the expert and takes TOKENS pairs at a time.

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint ROWS = 2;   // at most 4
layout(constant_id = 3) const uint TOKENS = 1; // at most 8

#include "common/experts.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_dot.glsl"

layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;

#include "common/matmul_subgroup.glsl"

void multiply(expert_part part, uint first_row)
{
    quant_row rows[MAX_ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        rows[r] = quant_get_row(part.row + min(first_row + r, part.rows - 1));
    }
    for (uint i = part.begin; i < part.end; i += TOKENS) {
        uint pair[MAX_TOKENS], token[MAX_TOKENS];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            pair[t] = expert_pair(min(i + t, part.end - 1));
            token[t] = pair[t] / p.share;
        }
        add_columns(rows, token);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                float sum = sum_of(r, t);
                if (first_row + r < part.rows && i + t < part.end && subgroupElect()) {
                    y.at[pair[t] * p.rows + part.out_row + first_row + r] = sum;
                }
            }
        }
    }
}

void main()
{
    expert_part part = expert_get_part();
    uint first = row_tile() * gl_NumSubgroups + gl_SubgroupID;
    uint all = gl_NumWorkGroups.y * gl_NumWorkGroups.z * gl_NumSubgroups;
    for (uint tile = first; tile * ROWS < part.rows; tile += all) {
        multiply(part, tile * ROWS);
    }
}
