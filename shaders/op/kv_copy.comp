#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Copies entries of the caches from slot to slot, as the step's pairs say: one invocation per pair
// of values, or per block where a cache is quantized, of every so many pairs of slots. Bits are not
// changed. A pair with a slot outside the cache is left out. No source is a destination.
#include "common/kv_types.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HEAD_DIM = 64;
layout(constant_id = 2) const uint K_TYPE = KV_F16;
layout(constant_id = 3) const uint V_TYPE = KV_F16;
layout(constant_id = 11) const uint LOCAL = 0; // group of the caches (step.h)

layout(push_constant) uniform push_block
{
    uint kv_n;  // KV heads of this cache segment
    uint slots;
};

layout(binding = 0) readonly buffer Steps { uint step_words[]; };
layout(binding = 1) buffer K_cache { uint k_cache[]; }; // [kv_n][slots][HEAD_DIM], see kv_types.h
layout(binding = 2) buffer V_cache { uint v_cache[]; };

#include "common/step.h"

const uint UNIT = K_TYPE >= KV_Q8_0 || V_TYPE >= KV_Q8_0 ? KV_BLOCK : 2; // values of an invocation

uint words_of(uint type) // of UNIT values
{
    return type == KV_F32 ? UNIT : type == KV_F16 ? UNIT / 2 : type == KV_Q8_0 ? UNIT / 4 : UNIT / 8;
}

// `from` and `to` are numbers of values. The halves of a word of scales belong to two blocks, of
// which another invocation may write the other one now.
#define COPY_UNIT(TYPE, cache, from, to)                                                           \
    {                                                                                              \
        uint n = words_of(TYPE), source = (from) / UNIT * n, target = (to) / UNIT * n;             \
        for (uint w = 0; w < n; w++) {                                                             \
            cache[target + w] = cache[source + w];                                                 \
        }                                                                                          \
        if (TYPE >= KV_Q8_0) {                                                                     \
            uint scales = kv_n * slots * (HEAD_DIM / KV_BLOCK) * n, block = (to) / KV_BLOCK;       \
            uint word = atomicOr(cache[scales + (from) / KV_BLOCK / 2], 0u);                       \
            uint scale = word >> ((from) / KV_BLOCK & 1u) * 16 & 0xffffu;                          \
            atomicAnd(cache[scales + block / 2], 0xffff0000u >> (block & 1u) * 16);                \
            atomicOr(cache[scales + block / 2], scale << (block & 1u) * 16);                       \
        }                                                                                          \
    }

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= kv_n * (HEAD_DIM / UNIT)) {
        return;
    }
    uint head = i / (HEAD_DIM / UNIT), part = i % (HEAD_DIM / UNIT);
    uint cap = step_words[STEP_COPY_CAP], pairs = min(step_words[STEP_N_COPIES + LOCAL], cap);
    uint first = step_words[STEP_COPIES] + LOCAL * 2 * cap;
    for (uint pair = gl_WorkGroupID.y; pair < pairs; pair += gl_NumWorkGroups.y) {
        uint source = step_words[first + pair], target = step_words[first + cap + pair];
        if (source < slots && target < slots) {
            uint from = (head * slots + source) * HEAD_DIM + part * UNIT;
            uint to = (head * slots + target) * HEAD_DIM + part * UNIT;
            COPY_UNIT(K_TYPE, k_cache, from, to)
            COPY_UNIT(V_TYPE, v_cache, from, to)
        }
    }
}
