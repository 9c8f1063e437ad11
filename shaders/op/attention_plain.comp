#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Attention on any device and for any even HEAD_DIM: one workgroup per head tile, split and token,
// with shared memory and no subgroup operations. TILE_HEADS * HEAD_DIM is at most 1024.
#include "common/kv_specs.glsl"

layout(binding = 0) readonly buffer Q { vec2 q2[]; };  // [tokens][heads][HEAD_DIM]
layout(binding = 1) readonly buffer K { uint k1[]; };  // [kv_n][slots][HEAD_DIM], see kv_types.h
layout(binding = 2) readonly buffer V { uint v1[]; };

const uint WG = gl_WorkGroupSize.x;
const uint PAIRS = HEAD_DIM / 2;
const uint ALL = TILE_HEADS * PAIRS;        // pairs of values of the tile
const uint MINE = (ALL + WG - 1) / WG;      // of one invocation
const uint BLOCK = STEP_BLOCK;
const float MASKED = -1e30;

shared vec2 tile_q[ALL];
shared float tile_p[TILE_HEADS * BLOCK];    // scores, then weights
shared float tile_top[TILE_HEADS], tile_sum[TILE_HEADS], tile_fade[TILE_HEADS];

// The scale of a pair lies in word scale_word of the cache.
uint scale_word(uint type, uint pair)
{
    return kv_n * slots * (HEAD_DIM / (type == KV_Q8_0 ? 4 : 8)) + pair / KV_BLOCK;
}

// A pair out of the word that holds it and the word of its scale.
vec2 unpack(uint type, uint word, uint scales, uint pair)
{
    vec2 halves = unpackHalf2x16(scales);
    float d = pair / (KV_BLOCK / 2) % 2 == 0u ? halves.x : halves.y;
    if (type == KV_Q8_0) {
        int at = int(pair % 2) * 16;
        return vec2(bitfieldExtract(int(word), at, 8), bitfieldExtract(int(word), at + 8, 8)) * d;
    }
    uint bits = word >> pair % 4 * 8;
    return vec2(int(bits & 15u) - 8, int(bits >> 4 & 15u) - 8) * d;
}

vec2 load_k(uint pair)
{
    if (K_TYPE == KV_F32) {
        return vec2(uintBitsToFloat(k1[pair * 2]), uintBitsToFloat(k1[pair * 2 + 1]));
    } else if (K_TYPE == KV_F16) {
        return unpackHalf2x16(k1[pair]);
    }
    return unpack(K_TYPE, k1[pair / (K_TYPE == KV_Q8_0 ? 2 : 4)], k1[scale_word(K_TYPE, pair)],
                  pair);
}

vec2 load_v(uint pair)
{
    if (V_TYPE == KV_F32) {
        return vec2(uintBitsToFloat(v1[pair * 2]), uintBitsToFloat(v1[pair * 2 + 1]));
    } else if (V_TYPE == KV_F16) {
        return unpackHalf2x16(v1[pair]);
    }
    return unpack(V_TYPE, v1[pair / (V_TYPE == KV_Q8_0 ? 2 : 4)], v1[scale_word(V_TYPE, pair)],
                  pair);
}

// Running maximum and sum of head h; its scores [from, count) become weights.
void weigh(uint h, uint from, uint count)
{
    float before = tile_top[h], top = before;
    for (uint e = from; e < count; e++) {
        top = max(top, tile_p[h * BLOCK + e]);
    }
    float fade = top == before ? 1.0 : exp2(before - top);
    float sum = tile_sum[h] * fade;
    for (uint e = from; e < count; e++) {
        float w = exp2(tile_p[h * BLOCK + e] - top);
        tile_p[h * BLOCK + e] = w;
        sum += w;
    }
    tile_top[h] = top;
    tile_sum[h] = sum;
    tile_fade[h] = fade;
}

void main()
{
    uint id = gl_LocalInvocationID.x, j = gl_WorkGroupID.y, token = gl_WorkGroupID.z;
    uint kv = gl_WorkGroupID.x / (GROUP / TILE_HEADS);
    uint head0 = kv0 * GROUP + gl_WorkGroupID.x * TILE_HEADS;
    uvec2 range = kv_split(kv_step(STEP_LEN, token), j, SPLITS);
    if (SPLITS > 1u && j >= kv_splits(kv_step(STEP_LEN, token), SPLITS)) {
        return;
    }
    uint table = kv_table(kv_step(STEP_SEQ, token));
    vec2 acc[MINE];
    [[unroll]] for (uint n = 0; n < MINE; n++) {
        acc[n] = vec2(0.0);
    }
    for (uint i = id; i < ALL; i += WG) {
        tile_q[i] = q2[(token * heads + head0) * PAIRS + i] * scale_log2;
    }
    for (uint h = id; h < TILE_HEADS; h += WG) {
        tile_top[h] = MASKED;
        tile_sum[h] = 0.0;
    }
    barrier();
    uint e0 = WINDOW != 0u ? range.x / BLOCK * BLOCK : range.x; // a whole block, or the end
    for (; e0 < range.y; e0 += BLOCK) {
        uint from = WINDOW != 0u ? max(range.x, e0) - e0 : 0u, count = min(BLOCK, range.y - e0);
        uint row0 = (kv * slots + step_words[table + e0 / BLOCK] * BLOCK) * PAIRS;
        for (uint i = id; i < TILE_HEADS * BLOCK; i += WG) {
            uint h = i / BLOCK, e = i % BLOCK;
            if (e >= from && e < count) {
                float s = 0.0;
                for (uint c = 0; c < PAIRS; c++) {
                    vec2 a = load_k(row0 + e * PAIRS + c), b = tile_q[h * PAIRS + c];
                    s += a.x * b.x;
                    s += a.y * b.y;
                }
                tile_p[i] = SOFTCAP != 0u ? kv_cap(s) : s;
            }
        }
        barrier();
        for (uint h = id; h < TILE_HEADS; h += WG) {
            weigh(h, from, count);
        }
        barrier();
        [[unroll]] for (uint n = 0; n < MINE; n++) {
            uint i = min(id + n * WG, ALL - 1);
            uint h = i / PAIRS;
            acc[n] *= tile_fade[h];
            for (uint e = from; e < count; e++) {
                acc[n] += tile_p[h * BLOCK + e] * load_v(row0 + e * PAIRS + i % PAIRS);
            }
        }
        barrier();
    }
    [[unroll]] for (uint n = 0; n < MINE; n++) {
        uint i = id + n * WG;
        if (i < ALL) {
            uint h = i / PAIRS, at = token * heads + head0 + h;
            float sum = tile_sum[h];
            float unit = SPLITS > 1u ? 1.0 : sum > 0.0 ? 1.0 / sum : 0.0;
            at = SPLITS > 1u ? (at * SPLITS + j) * (HEAD_DIM + 2) + 2 : at * HEAD_DIM;
            result[at + i % PAIRS * 2] = acc[n].x * unit;
            result[at + i % PAIRS * 2 + 1] = acc[n].y * unit;
            if (SPLITS > 1u && i % PAIRS == 0u) {
                result[at - 2] = tile_top[h];
                result[at - 1] = sum;
            }
        }
    }
}
