#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// One subgroup per token, for CPU devices: four experts a lane, through a texel buffer, no barrier.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint S = 8; // subgroup size: 4, 8 or 16

#include "common/router.glsl"

layout(binding = 0) uniform usamplerBuffer x;
layout(binding = 1) writeonly buffer ids_block { uint v[]; } ids;
layout(binding = 2) buffer weights_block { uint v[]; } weights;

// The first choice behind `last`, in all lanes.
choice find_next(uint base, choice last)
{
    choice best = NO_CHOICE;
    [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < p.cols / 4u; i += S) {
        uvec4 bits = texelFetch(x, int(base + i));
        [[unroll]] for (uint k = 0u; k < 4u; k++) {
            choice c = choice(float_key(bits[k]), 4u * i + k);
            if (is_before(last, c) && is_before(c, best)) {
                best = c;
            }
        }
    }
    [[unroll]] for (uint step = 1u; step < S; step *= 2u) {
        uint lane = gl_SubgroupInvocationID ^ step;
        choice c = choice(subgroupShuffle(best.key, lane), subgroupShuffle(best.expert, lane));
        if (is_before(c, best)) {
            best = c;
        }
    }
    return best;
}

// Of all experts: sum of exp(logit - most); `bad`: one of them is NaN.
float sum_all(uint base, float most, inout bool bad)
{
    float sum = 0.0;
    uint nan = 0u;
    [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < p.cols / 4u; i += S) {
        uvec4 bits = texelFetch(x, int(base + i));
        [[unroll]] for (uint k = 0u; k < 4u; k++) {
            nan |= float_key(bits[k]) == 0u ? 1u : 0u;
            sum += exp(uintBitsToFloat(bits[k]) - most);
        }
    }
    [[unroll]] for (uint step = 1u; step < S; step *= 2u) {
        sum += subgroupShuffle(sum, gl_SubgroupInvocationID ^ step);
        nan |= subgroupShuffle(nan, gl_SubgroupInvocationID ^ step);
    }
    bad = bad || nan != 0u;
    return sum;
}

void main()
{
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * (p.cols / 4u);
    bool writes = gl_SubgroupInvocationID == 0u && row < p.rows;
    choice c = find_next(base, BEFORE_ALL);
    float most = key_value(c.key), sum = 0.0;
    bool bad = is_infinite(c.key);
    float all = sum_all(base, most, bad);
    [[dont_unroll]] for (uint k = 0u; k < p.used; k++) {
        float e = exp(key_value(c.key) - most);
        sum += e;
        if (writes) {
            ids.v[row * p.used + k] = min(c.expert, p.cols - 1u);
            weights.v[row * p.used + k] = floatBitsToUint(e);
        }
        c = find_next(base, c);
    }
    sum = p.normalise != 0u ? sum : all;
    for (uint k = 0u; k < p.used && writes; k++) {
        float w = uintBitsToFloat(weights.v[row * p.used + k]) / sum;
        weights.v[row * p.used + k] = bad ? NAN_BITS : floatBitsToUint(w);
    }
}
