#version 450
#extension GL_GOOGLE_include_directive : require
// ids[t] = the experts with the largest logits of token t, in their order; weights[t] = their softmax.
// One work group per token.
layout(local_size_x = 64) in;

#include "common/router.glsl"

layout(binding = 0) readonly buffer x_block { uint v[]; } x;
layout(binding = 1) writeonly buffer ids_block { uint v[]; } ids;
layout(binding = 2) buffer weights_block { uint v[]; } weights;

const uint SIZE = 64;

shared choice choices[SIZE];
shared float sums[SIZE];
shared uint nans[SIZE];

// The first choice behind `last`, in all invocations.
choice find_next(uint base, choice last)
{
    uint lane = gl_LocalInvocationID.x;
    choice best = NO_CHOICE;
    for (uint i = lane; i < p.cols; i += SIZE) {
        choice c = choice(float_key(x.v[base + i]), i);
        if (is_before(last, c) && is_before(c, best)) {
            best = c;
        }
    }
    choices[lane] = best;
    barrier();
    for (uint s = SIZE / 2u; s > 0u; s /= 2u) {
        if (lane < s && is_before(choices[lane + s], choices[lane])) {
            choices[lane] = choices[lane + s];
        }
        barrier();
    }
    best = choices[0];
    barrier();
    return best;
}

// Of all experts: sum of exp(logit - most); `bad`: one of them is NaN.
float sum_all(uint base, float most, inout bool bad)
{
    uint lane = gl_LocalInvocationID.x;
    float sum = 0.0;
    uint nan = 0u;
    for (uint i = lane; i < p.cols; i += SIZE) {
        uint bits = x.v[base + i];
        nan |= float_key(bits) == 0u ? 1u : 0u;
        sum += exp(uintBitsToFloat(bits) - most);
    }
    sums[lane] = sum;
    nans[lane] = nan;
    barrier();
    for (uint s = SIZE / 2u; s > 0u; s /= 2u) {
        if (lane < s) {
            sums[lane] += sums[lane + s];
            nans[lane] |= nans[lane + s];
        }
        barrier();
    }
    bad = bad || nans[0] != 0u;
    return sums[0];
}

void main()
{
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.cols;
    bool writes = gl_LocalInvocationID.x == 0u && row < p.rows;
    choice c = find_next(base, BEFORE_ALL);
    float most = key_value(c.key), sum = 0.0;
    bool bad = is_infinite(c.key);
    float all = sum_all(base, most, bad);
    for (uint k = 0u; k < p.used; k++) {
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
