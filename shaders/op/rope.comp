#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Rotary embedding (rope.glsl). One invocation owns pair i of one token in every head, so the angle
// is made once.
#include "common/step.h"
layout(local_size_x = 32) in;

layout(push_constant) uniform push_block
{
    uint heads;
    uint head_dim;
    uint dims;
    uint half_split;
    uint tokens;
    uint use_factors;
    float ratio_hi; // base^(-2/dims) as a sum of two floats
    float ratio_lo;
    float scale_hi;
    float scale_lo;
    float magnitude; // of what is rotated
} p;

layout(binding = 0) readonly buffer x_block { float v[]; } x;
layout(binding = 1) readonly buffer step_block { uint words[]; } steps;
layout(binding = 2) readonly buffer factor_block { float v[]; } factors;
layout(binding = 3) writeonly buffer y_block { float v[]; } y;

#include "common/rope.glsl"

void main()
{
    uint id = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 32u +
              gl_LocalInvocationID.x;
    uint pairs = (p.head_dim + 1u) / 2u, rotated = p.dims / 2u;
    uint t = id / pairs, i = id % pairs;
    if (t >= p.tokens) {
        return;
    }
    uint row = t * p.heads * p.head_dim;
    if (i >= rotated) { // columns beyond dims pass through
        for (uint h = 0; h < p.heads; h++) {
            uint c = row + h * p.head_dim + 2u * i;
            y.v[c] = x.v[c];
            y.v[c + 1u] = x.v[c + 1u];
        }
        return;
    }
    vec2 power = rope_power(i, vec2(p.scale_hi, p.scale_lo), vec2(p.ratio_hi, p.ratio_lo));
    if (p.use_factors != 0u) {
        power = divide(power, factors.v[i]);
    }
    uint position = steps.words[STEP_HEADER + STEP_POS * steps.words[STEP_CAP] + t];
    vec2 turn = rope_turn(position, power, p.magnitude);
    uint first = p.half_split != 0u ? i : 2u * i;
    uint second = p.half_split != 0u ? i + rotated : first + 1u;
    for (uint h = 0; h < p.heads; h++) {
        uint base = row + h * p.head_dim;
        vec2 turned = rope_rotate(vec2(x.v[base + first], x.v[base + second]), turn);
        y.v[base + first] = turned.x;
        y.v[base + second] = turned.y;
    }
}
