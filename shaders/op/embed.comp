#version 450
#extension GL_GOOGLE_include_directive : require
// embed: y[t] = row token[t] of one segment of the weight, dequantized. An invocation makes four
// columns of one token; tokens whose row is in another segment are left to its dispatch.
#include "common/step.h"

layout(local_size_x = 64) in;

layout(push_constant) uniform push_block
{
    uvec4 base;      // of each plane, in its units
    uvec4 units;     // per row
    uint lanes_log2; // of the interleave
    uint cols;       // a multiple of 4
    uint rows;       // of the segment
    uint row0;       // of the segment in the weight
    uint tokens;
}
p;

#define W_BASE  p.base
#define W_UNITS p.units

#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_value.glsl"

layout(binding = 1) readonly buffer step_block
{
    uint words[];
}
step_words;
layout(binding = 2) readonly buffer ids_block
{
    uint words[]; // what the device wrote in the last step
}
ids_in;
layout(binding = 3) writeonly buffer y_block
{
    vec4 quads[]; // [token][cols / 4]
}
y;

void main()
{
    uint quads = p.cols >> 2, per_token = (quads + 63) >> 6;
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint t = group / per_token, quad = (group % per_token) * 64 + gl_LocalInvocationID.x;
    if (t >= p.tokens || quad >= quads) {
        return;
    }
    uint token = step_words.words[STEP_HEADER + STEP_TOKEN * step_words.words[STEP_CAP] + t];
    if (token == STEP_TOKEN_CHAINED) {
        token = ids_in.words[t];
    }
    uint row = token - p.row0;
    if (row < p.rows) {
        y.quads[t * quads + quad] = quant_value4(quant_get_row(row), quad);
    }
}
