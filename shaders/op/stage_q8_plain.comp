#version 450
#extension GL_GOOGLE_include_directive : require
// Activations as signed bytes with an f32 scale for each 32 of a row; needs nothing optional. An
// invocation takes four columns, eight of them a block.
//
// The block is first scaled by a power of two as in staged.glsl, which brings its largest value into
// [2^13, 2^14): the division is then within the range that Vulkan asks to be exact to 2.5 units in
// the last place.
layout(local_size_x = 128) in;

layout(push_constant) uniform push_block
{
    uint quads; // of 4 columns, of all rows
}
p;

layout(binding = 0) readonly buffer x_block
{
    vec4 at[];
}
x;
layout(binding = 1) writeonly buffer y_block
{
    uint at[]; // four signed bytes
}
y;
layout(binding = 2) writeonly buffer scale_block
{
    uint at[]; // the bits of a float
}
scale;

#include "common/staged.glsl"

const uint INFINITE = 0x7f800000u; // bits: as a key, more than that of any finite value
const uint LEAST = 0x07000000u;    // 2^-113

shared uint keys[128];

uint largest(vec4 v)
{
    uvec4 bits = floatBitsToUint(v) & 0x7fffffffu;
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

void main()
{
    uint lane = gl_LocalInvocationID.x;
    uint quad = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 128u + lane;
    vec4 v = x.at[min(quad, p.quads - 1u)];
    keys[lane] = largest(v);
    barrier();
    uint key = 0u, first = lane & ~7u;
    for (uint i = 0u; i < 8u; i++) {
        key = max(key, keys[first + i]);
    }
    bool usual = key >= LEAST && key < INFINITE;
    uint exponent = staged_exponent(usual ? staged_key(vec4(uintBitsToFloat(key))) : 0u);
    float factor = staged_factor(exponent);
    float most = usual ? uintBitsToFloat(key) * factor : 1.0;
    uint word = 0u, bits = key >= INFINITE ? 0x7fc00000u : 0u;
    if (usual) {
        ivec4 q = ivec4(roundEven(clamp(v * factor * (127.0 / most), -127.0, 127.0))) & 255;
        word = uint(q.x | q.y << 8 | q.z << 16 | q.w << 24);
        bits = floatBitsToUint(most * (1.0 / 127.0) * staged_scale(exponent));
    }
    if (quad < p.quads) {
        y.at[quad] = word;
        if ((lane & 7u) == 0u) {
            scale.at[quad >> 3] = bits;
        }
    }
}
