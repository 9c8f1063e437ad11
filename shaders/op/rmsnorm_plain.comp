#version 450
// y = x / sqrt(mean(x^2) + eps) * w, one workgroup per row; needs nothing optional.
layout(local_size_x = 128) in;

layout(push_constant) uniform push_block
{
    uint cols;
    uint rows;
    float eps;
} p;

layout(binding = 0) readonly buffer x_block { float x[]; };
layout(binding = 1) readonly buffer w_block { float w[]; };
layout(binding = 2) buffer y_block { float y[]; };

shared float sums[128];

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Rows beyond 65535 are folded into y; a spare workgroup repeats the last row's reads only.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    bool real = row < p.rows;
    uint base = min(row, p.rows - 1u) * p.cols;
    float sum = 0.0;
    for (uint i = lane; i < p.cols; i += 128u) {
        float v = x[base + i];
        sum += v * v;
    }
    sums[lane] = sum;
    barrier();
    for (uint step = 64u; step > 0u; step /= 2u) {
        if (lane < step) {
            sums[lane] += sums[lane + step];
        }
        barrier();
    }
    float scale = 1.0 / sqrt(sums[0] / float(p.cols) + p.eps);
    if (real) {
        for (uint i = lane; i < p.cols; i += 128u) {
            y[base + i] = x[base + i] * scale * w[i];
        }
    }
}
