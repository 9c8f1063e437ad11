#version 450
// y = x / sqrt(mean(x^2) + eps) * w, one workgroup per row; needs nothing optional.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup, a power of two

layout(push_constant) uniform push_block
{
    uint cols;
    uint rows;
    float eps;
} p;

layout(binding = 0) readonly buffer x_block { float v[]; } x;
layout(binding = 1) readonly buffer w_block { float v[]; } w;
layout(binding = 2) writeonly buffer y_block { float v[]; } y;

shared float sums[WG];

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Workgroups are folded into y; a spare one reads the last row and writes nothing.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.cols;
    float sum = 0.0;
    for (uint i = lane; i < p.cols; i += WG) {
        float v = x.v[base + i];
        sum += v * v;
    }
    sums[lane] = sum;
#ifndef PLANT_BARRIER
    barrier();
#endif
    for (uint step = WG / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            sums[lane] += sums[lane + step];
        }
#ifndef PLANT_BARRIER
        barrier();
#endif
    }
    float scale = 1.0 / sqrt(sums[0] / float(p.cols) + p.eps);
    if (row < p.rows) {
        for (uint i = lane; i < p.cols; i += WG) {
            y.v[base + i] = x.v[base + i] * scale * w.v[i];
        }
    }
}
