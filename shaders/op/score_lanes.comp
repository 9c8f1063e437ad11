#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// One subgroup per row, for CPU devices: four columns a lane, through a texel buffer, no barrier.
#include "common/score.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint S = 8; // subgroup size: 4, 8 or 16
layout(binding = 0) uniform usamplerBuffer x;
layout(binding = 1) readonly buffer step_block { uint words[]; } steps;
layout(binding = 2) writeonly buffer scores_block { uint v[]; } scores;

uint find_top(uint base)
{
    uvec4 tops = uvec4(0u);
    [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < p.cols / 4u; i += S) {
        uvec4 bits = texelFetch(x, int(base + i));
        [[unroll]] for (uint k = 0u; k < 4u; k++) {
            tops[k] = max(tops[k], score_key(bits[k]));
        }
    }
    uint top = max(max(tops.x, tops.y), max(tops.z, tops.w));
    [[unroll]] for (uint step = 1u; step < S; step *= 2u) {
        top = max(top, subgroupShuffle(top, gl_SubgroupInvocationID ^ step));
    }
    return top;
}

float sum_all(uint base, float most)
{
    vec4 sums = vec4(0.0);
    uint n = p.cols / 4u;
    [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < n; i += SCORE_RUN * S) {
        vec4 part = vec4(0.0); // long sums lose more than short ones
        [[dont_unroll]] for (uint c = i; c < min(i + SCORE_RUN * S, n); c += S) {
            uvec4 bits = texelFetch(x, int(base + c));
            [[unroll]] for (uint k = 0u; k < 4u; k++) {
                part[k] += score_term(bits[k], most);
            }
        }
        sums += part;
    }
    float sum = sums.x + sums.y + (sums.z + sums.w);
    [[unroll]] for (uint step = 1u; step < S; step *= 2u) {
        sum += subgroupShuffle(sum, gl_SubgroupInvocationID ^ step);
    }
    return sum;
}

void main()
{
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * (p.cols / 4u);
    uint top = find_top(base);
    float sum = sum_all(base, score_value(top));
    if (gl_SubgroupInvocationID == 0u && row < p.rows) {
        uint target = steps.words[STEP_HEADER + STEP_TARGET * steps.words[STEP_CAP] + row];
        uint own = min(target, p.cols - 1u);
        uint bits = texelFetch(x, int(base + own / 4u))[own % 4u];
        scores.v[row] = target < p.cols ? score_result(bits, top, sum) : SCORE_NAN;
    }
}
