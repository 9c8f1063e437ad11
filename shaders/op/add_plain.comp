#version 450
// y = a + b; each invocation writes what it alone reads, so y may be a or b.
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint count; // values
    uint cols;  // of b where it is one row for all of a's rows; 0: b is as large as a
} p;
layout(binding = 0) readonly buffer a_block { float v[]; } a;
layout(binding = 1) readonly buffer b_block { float v[]; } b;
layout(binding = 2) writeonly buffer y_block { float v[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint first = group * 256u + gl_LocalInvocationID.x;
    for (uint j = 0u; j < 4u; j++) {
        uint i = first + j * 64u;
        if (i < p.count) {
            uint k = p.cols != 0u ? i % p.cols : i;
            y.v[i] = a.v[i] + b.v[k];
        }
    }
}
