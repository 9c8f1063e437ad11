#version 450
#extension GL_GOOGLE_include_directive : require
// y[i] = x[step.out[i]].
#include "common/step.h"
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint cols;
    uint rows; // of x
    uint n_out;
} p;
layout(binding = 0) readonly buffer x_block { float v[]; } x;
layout(binding = 1) readonly buffer step_block { uint words[]; } steps;
layout(binding = 2) writeonly buffer y_block { float v[]; } y;

void main()
{
    uint i = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    if (i >= p.n_out) {
        return;
    }
    uint cap = steps.words[STEP_CAP];
    uint row = min(steps.words[STEP_HEADER + STEP_OUT * cap + i], p.rows - 1u);
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += 64u) {
        y.v[i * p.cols + c] = x.v[row * p.cols + c];
    }
}
