// What kv_matrix.glsl brings into shared memory: q, blocks of K and V, and which sequence is next.

// The first row of strip s of this subgroup in the tile.
uint strip_row(uint s)
{
    return (gl_SubgroupID * STRIPS + s) * M;
}

uint pack_chunk(float x, float y)
{
    return packHalf2x16(clamp(vec2(x, y), vec2(-65504.0), vec2(65504.0)));
}

uvec4 pack_chunk(float x[8])
{
    return uvec4(pack_chunk(x[0], x[1]), pack_chunk(x[2], x[3]), pack_chunk(x[4], x[5]),
                 pack_chunk(x[6], x[7]));
}

float size_of(vec4 x)
{
    vec4 a = abs(x);
    a = mix(vec4(0.0), a, lessThan(a, vec4(3e38))); // neither infinity nor NaN
    return max(max(a.x, a.y), max(a.z, a.w));
}

// q of strip s as left operands, times a power of two that brings the largest to about 2^14: no
// float16 overflows, and q that are numbers of float16 stay what they are.
void load_q(uint s, uint token0, uint head0)
{
    vec4 low[Q_MINE], high[Q_MINE];
    float size = 0.0;
    [[unroll]] for (uint n = 0; n < Q_MINE; n++) {
        uint i = gl_SubgroupInvocationID + n * S, row = strip_row(s) + i / CHUNKS;
        uint token = token0 + row / TILE_HEADS, head = head0 + row % TILE_HEADS;
        low[n] = high[n] = vec4(0.0);
        if (i < M * CHUNKS && row < TILE_TOKENS * TILE_HEADS && token < tokens) {
            uint at = ((token * heads + head) * CHUNKS + i % CHUNKS) * 2u;
            low[n] = q4[at];
            high[n] = q4[at + 1u];
        }
        size = max(size, max(size_of(low[n]), size_of(high[n])));
    }
    uint exponent = clamp(267u - (floatBitsToUint(subgroupMax(size)) >> 23), 2u, 252u);
    float factor = uintBitsToFloat(exponent << 23);
    unit[s] = uintBitsToFloat(254u - exponent << 23) * scale_log2;
    uint base = gl_SubgroupID * M * LINE;
    [[unroll]] for (uint n = 0; n < Q_MINE; n++) {
        uint i = gl_SubgroupInvocationID + n * S;
        if (i < M * CHUNKS) {
            float x[8];
            kv_floats(low[n] * factor, high[n] * factor, x);
            staged[base + i / CHUNKS * LINE + i % CHUNKS] = pack_chunk(x);
        }
    }
    subgroupBarrier();
    [[unroll]] for (uint k = 0; k < DK; k++) {
        coopMatLoad(q[s * DK + k], staged, base + k * (K / 8), LINE, ROW);
    }
    subgroupBarrier();
}

// The 16 bytes of chunk i of a block, of entries that some token sees.
#define TAKE(TYPE, cache, load)                                                                    \
    [[unroll]] for (uint n = 0; n < MINE; n++) {                                                   \
        uint i = gl_LocalInvocationID.x + n * WG, e = e0 + i / CHUNKS;                             \
        taken[n] = uvec4(0u);                                                                      \
        if (i < BLOCK * CHUNKS && e >= first && e < end) {                                         \
            uint slot = step_words[table + e / STEP_BLOCK] * STEP_BLOCK + e % STEP_BLOCK;          \
            uint chunk = (head_slot + slot) * CHUNKS + i % CHUNKS;                                 \
            if (TYPE == KV_F16) {                                                                  \
                taken[n] = cache[chunk];                                                           \
            } else {                                                                               \
                float x[8];                                                                        \
                load(chunk, x);                                                                    \
                taken[n] = pack_chunk(x);                                                          \
            }                                                                                      \
        }                                                                                          \
    }

void take_k(uint e0, uint first, uint end, uint table, uint head_slot)
{
    TAKE(K_TYPE, k4, kv_load_k)
}

void take_v(uint e0, uint first, uint end, uint table, uint head_slot)
{
    TAKE(V_TYPE, v4, kv_load_v)
}

// Into shared memory, from entry `base` on.
void put_taken(uint base)
{
    [[unroll]] for (uint n = 0; n < MINE; n++) {
        uint i = gl_LocalInvocationID.x + n * WG;
        if (i < BLOCK * CHUNKS) {
            staged[(base + i / CHUNKS) * LINE + i % CHUNKS] = taken[n];
        }
    }
}

// The lowest sequence from `least` on of which the tile has a token, ~0 where there is none, and
// what its tokens see. By all invocations together.
uint next_sequence(uint least)
{
    barrier();
    if (gl_LocalInvocationID.x == 0u) {
        pass_seq = ~0u;
        pass_begin = ~0u;
        pass_end = 0u;
    }
    barrier();
    for (uint t = gl_LocalInvocationID.x; t < TILE_TOKENS; t += WG) {
        if (tile_seq[t] >= least) {
            atomicMin(pass_seq, tile_seq[t]);
        }
    }
    barrier();
    uint now = pass_seq;
    for (uint t = gl_LocalInvocationID.x; t < TILE_TOKENS; t += WG) {
        if (tile_seq[t] == now && now != ~0u) {
            uvec2 range = kv_split(tile_len[t], 0u, 1u);
            atomicMin(pass_begin, range.x);
            atomicMax(pass_end, range.y);
        }
    }
    barrier();
    return now;
}
