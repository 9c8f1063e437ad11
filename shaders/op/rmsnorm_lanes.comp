#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// One subgroup per row, for CPU devices: four columns a lane, through texel buffers, no barrier.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint S = 8; // subgroup size: 4, 8 or 16

layout(push_constant) uniform push_block
{
    uint cols; // multiple of 4
    uint rows;
    float eps;
} p;

layout(binding = 0) uniform samplerBuffer x;
layout(binding = 1) uniform samplerBuffer w;
layout(binding = 2) writeonly buffer y_block { vec4 v[]; } y;

void main()
{
    uint lane = gl_LocalInvocationID.x;
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint n = p.cols / 4u, base = min(row, p.rows - 1u) * n;
    float sum = 0.0;
    [[dont_unroll]] for (uint i = 0; i < n; i += S) {
        uint c = i + lane;
        vec4 v = texelFetch(x, int(base + min(c, n - 1u)));
        sum += c < n ? dot(v, v) : 0.0;
    }
    [[unroll]] for (uint step = 1u; step < S; step *= 2u) {
        sum += subgroupShuffle(sum, lane ^ step);
    }
    float scale = 1.0 / sqrt(sum / float(p.cols) + p.eps);
    [[dont_unroll]] for (uint i = 0; i < n; i += S) {
        uint c = i + lane;
        if (c < n && row < p.rows) {
            y.v[base + c] = texelFetch(x, int(base + c)) * scale * texelFetch(w, int(c));
        }
    }
}
