#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Adds the parts of a product that was split along its columns, in their order, and the residual. Each
// invocation writes what it alone reads, so y may be the residual.
layout(local_size_x = 128) in;
layout(constant_id = 0) const uint PARTS = 2;

layout(push_constant) uniform push_block
{
    uint count;    // values of a part
    uint residual; // 0: there is none
}
p;
layout(binding = 0) readonly buffer parts_block { float at[]; } parts; // [PARTS][count]
layout(binding = 1) readonly buffer residual_block { float at[]; } residual;
layout(binding = 2) writeonly buffer y_block { float at[]; } y;

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint i = group * 128u + gl_LocalInvocationID.x;
    if (i >= p.count) {
        return;
    }
    float sum = parts.at[i];
    [[unroll]] for (uint part = 1; part < PARTS; part++) {
        sum += parts.at[part * p.count + i];
    }
    y.at[i] = p.residual != 0 ? sum + residual.at[i] : sum;
}
