#version 450
#extension GL_GOOGLE_include_directive : require
// score[i] = x[i][target[i]] - log(sum of exp(x[i])), one workgroup per row of logits. Infinities
// and NaN are looked at as bits, so that no compiler may think them away.
#include "common/score.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup, a power of two
layout(binding = 0) readonly buffer x_block { uint v[]; } x;
layout(binding = 1) readonly buffer step_block { uint words[]; } steps;
layout(binding = 2) writeonly buffer scores_block { uint v[]; } scores;

shared uint keys[WG];
shared float sums[WG];

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Workgroups are folded into y; a spare one reads the last row and writes nothing.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint own = min(row, p.rows - 1u), base = own * p.cols, top = 0u;
    for (uint i = lane; i < p.cols; i += WG) {
        top = max(top, score_key(x.v[base + i]));
    }
    keys[lane] = top;
    barrier();
    for (uint s = WG / 2u; s > 0u; s /= 2u) {
        if (lane < s) {
            keys[lane] = max(keys[lane], keys[lane + s]);
        }
        barrier();
    }
    top = keys[0];
    float most = score_value(top), sum = 0.0;
    for (uint i = lane; i < p.cols; i += SCORE_RUN * WG) {
        float part = 0.0; // long sums lose more than short ones
        for (uint c = i; c < min(i + SCORE_RUN * WG, p.cols); c += WG) {
            part += score_term(x.v[base + c], most);
        }
        sum += part;
    }
    sums[lane] = sum;
    barrier();
    for (uint s = WG / 2u; s > 0u; s /= 2u) {
        if (lane < s) {
            sums[lane] += sums[lane + s];
        }
        barrier();
    }
    if (lane == 0u && row < p.rows) {
        uint target = steps.words[STEP_HEADER + STEP_TARGET * steps.words[STEP_CAP] + row];
        uint bits = x.v[base + min(target, p.cols - 1u)];
        scores.v[row] = target < p.cols ? score_result(bits, top, sums[0]) : SCORE_NAN;
    }
}
