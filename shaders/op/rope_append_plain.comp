#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// A workgroup takes some heads of one token and makes the turns first; needs nothing optional.
#include "common/rope_append.glsl"

shared vec2 turns[PAIRS];

#define TURN(c) turns[min(pair_of(c), PAIRS - 1u)]
#include "common/rope_append_store.glsl"

void main()
{
    uint lane = gl_LocalInvocationID.x, part = gl_WorkGroupID.x;
    uint token = gl_WorkGroupID.y, position = kv_step(STEP_POS, token), slot = kv_slot(token);
    for (uint i = lane; i < dims / 2u; i += WG) {
        turns[i] = make_turn(position, i);
    }
    barrier();
    uint begin = q_n * part / parts, n = q_n * (part + 1u) / parts - begin;
    for (uint i = lane; i < n * PAIRS; i += WG) {
        turn_q(token, q0 + begin + i / PAIRS, i % PAIRS, turns[i % PAIRS]);
    }
    begin = kv_n * part / parts;
    n = slot < slots ? kv_n * (part + 1u) / parts - begin : 0u;
    for (uint i = lane; i < n * UNITS; i += WG) {
        append(token, slot, begin + i / UNITS, i % UNITS);
    }
}
