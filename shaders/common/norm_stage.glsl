// The body of norm_stage_*.comp, behind row_shared.glsl or row_subgroup.glsl.
layout(push_constant) uniform push_block
{
    uint quads; // of 4 columns, of a row
    uint rows;
    float eps;
}
p;

layout(binding = 0) readonly buffer x_block
{
    vec4 at[];
}
x;
layout(binding = 1) readonly buffer w_block
{
    vec4 at[];
}
w;
layout(binding = 2) writeonly buffer y_block
{
    uvec2 at[]; // four f16 values
}
y;
layout(binding = 3) writeonly buffer scale_block
{
    float at[];
}
scale;

#include "common/staged.glsl"

const uint KEPT = 4; // quads that an invocation keeps; the others it reads again

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Workgroups are folded into y; a spare one reads the last row and writes nothing.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.quads, key = 0u;
    vec4 kept[KEPT];
    float sum = 0.0;
    [[unroll]] for (uint k = 0u; k < KEPT; k++) {
        uint i = lane + k * WG;
        kept[k] = i < p.quads ? x.at[base + min(i, p.quads - 1u)] : vec4(0.0);
        sum += dot(kept[k], kept[k]);
    }
    for (uint i = lane + KEPT * WG; i < p.quads; i += WG) {
        vec4 v = x.at[base + i];
        sum += dot(v, v);
    }
    float root = 1.0 / sqrt(row_sum(sum) / float(p.quads * 4u) + p.eps);
    [[unroll]] for (uint k = 0u; k < KEPT; k++) {
        kept[k] = kept[k] * root * w.at[min(lane + k * WG, p.quads - 1u)];
        key = max(key, staged_key(lane + k * WG < p.quads ? kept[k] : vec4(0.0)));
    }
    for (uint i = lane + KEPT * WG; i < p.quads; i += WG) {
        key = max(key, staged_key(x.at[base + i] * root * w.at[i]));
    }
    uint exponent = staged_exponent(row_max(key));
    float factor = staged_factor(exponent);
    if (row >= p.rows) {
        return;
    }
    [[unroll]] for (uint k = 0u; k < KEPT; k++) {
        uint i = lane + k * WG;
        if (i < p.quads) {
            y.at[base + i] = staged_pack(kept[k], factor);
        }
    }
    for (uint i = lane + KEPT * WG; i < p.quads; i += WG) {
        y.at[base + i] = staged_pack(x.at[base + i] * root * w.at[i], factor);
    }
    if (lane == 0u) {
        scale.at[row] = staged_scale(exponent);
    }
}
