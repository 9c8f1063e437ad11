// The body of gate_stage_*.comp, behind row_shared.glsl or row_subgroup.glsl.
layout(constant_id = 2) const uint GELU = 0; // 0: silu

layout(push_constant) uniform push_block
{
    uint quads; // of 4 columns, of a row
    uint rows;
}
p;

layout(binding = 0) readonly buffer gate_block
{
    vec4 at[];
}
gate;
layout(binding = 1) readonly buffer up_block
{
    vec4 at[];
}
up;
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

#include "common/gelu.glsl"
#include "common/silu.glsl"
#include "common/staged.glsl"

const uint KEPT = 8; // quads that an invocation keeps; the others it makes again

vec4 gated(uint i)
{
    vec4 g = gate.at[i];
    return (GELU != 0u ? gelu_gate(g) : silu_gate(g)) * up.at[i];
}

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Workgroups are folded into y; a spare one reads the last row and writes nothing.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.quads, key = 0u;
    vec4 kept[KEPT];
    [[unroll]] for (uint k = 0u; k < KEPT; k++) {
        uint i = lane + k * WG;
        kept[k] = vec4(0.0);
        if (i < p.quads) {
            kept[k] = gated(base + i);
        }
        key = max(key, staged_key(kept[k]));
    }
    for (uint i = lane + KEPT * WG; i < p.quads; i += WG) {
        key = max(key, staged_key(gated(base + i)));
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
        y.at[base + i] = staged_pack(gated(base + i), factor);
    }
    if (lane == 0u) {
        scale.at[row] = staged_scale(exponent);
    }
}
