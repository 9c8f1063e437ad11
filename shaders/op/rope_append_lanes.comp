#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// For CPU devices: nothing is shared, no barrier. An invocation takes, in some heads of one token, the
// pairs of q and the UNIT values of k and v that go with a set of turns. Where halves are pairs
// those are two units, the second one dims / 2 behind the first, which is a multiple of UNIT.
#include "common/rope_append.glsl"

const uint TURNS = HALF != 0u ? UNIT : UNIT / 2;

vec2 turns[TURNS];

#define TURN(c) turns[HALF != 0u ? (c) % UNIT : (c) % UNIT / 2u]
#include "common/rope_append_store.glsl"

// Pairs first.. of q, UNIT of them or half as many.
void turn_heads(uint token, uint part, uint first, bool two)
{
    uint pairs = two ? UNIT : UNIT / 2u;
    for (uint h = q0 + q_n * part / parts; h < q0 + q_n * (part + 1u) / parts; h++) {
        if (BY_BLOCK) {
            [[dont_unroll]] for (uint n = 0u; n < pairs; n++) {
                turn_q(token, h, first + n, turns[n]);
            }
        } else {
            turn_q(token, h, first, turns[0]);
            if (HALF != 0u && two) {
                turn_q(token, h, first + 1u, turns[TURNS - 1u]);
            }
        }
    }
}

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint i = group * WG + gl_LocalInvocationID.x;
    uint apart = HALF != 0u ? dims / 2u / UNIT : 0u; // in units
    uint sets = UNITS - apart, token = i / (sets * parts), part = i / sets % parts, set = i % sets;
    if (token >= tokens) {
        return;
    }
    bool two = set < apart;
    uint unit = HALF != 0u && !two ? set + apart : set;
    uint first = two ? set * UNIT : unit * (UNIT / 2u); // pair
    uint position = kv_step(STEP_POS, token), slot = kv_slot(token);
    if (BY_BLOCK) {
        [[dont_unroll]] for (uint n = 0u; n < TURNS; n++) {
            turns[n] = make_turn(position, first + n);
        }
    } else {
        turns[0] = make_turn(position, first);
        if (HALF != 0u) {
            turns[TURNS - 1u] = make_turn(position, first + 1u);
        }
    }
    turn_heads(token, part, first, two);
    if (slot < slots) {
        uint units = two ? 2u : 1u, end = kv_n * (part + 1u) / parts;
        for (uint n = kv_n * part / parts * units; n < end * units; n++) {
            append(token, slot, n / units, unit + n % units * apart);
        }
    }
}
