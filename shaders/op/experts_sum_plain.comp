#version 450
// y[t] = sum over the experts of token t, in their order, of weight * x[t * used + j].
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint cols;
    uint tokens;
    uint used;
} p;
layout(binding = 0) readonly buffer x_block { float v[]; } x;
layout(binding = 1) readonly buffer weights_block { float v[]; } weights;
layout(binding = 2) writeonly buffer y_block { float v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    for (uint k = 0u; k < 4u; k++) {
        uint i = group * 256u + k * 64u + gl_LocalInvocationID.x;
        uint token = i / p.cols, col = i % p.cols;
        if (token < p.tokens) {
            float sum = 0.0;
            for (uint j = 0u; j < p.used; j++) {
                uint pair = token * p.used + j;
                sum += weights.v[pair] * x.v[pair * p.cols + col];
            }
            y.v[i] = sum;
        }
    }
}
