// Attention by one subgroup, without shared memory or barriers: the body of attention_lanes.comp
// and attention_subgroup.comp, which bring the loads of kv_chunk.glsl.
//
// A row is one query head of one token. P lanes share a position; each holds NC chunks (8 dims) of
// its K and V and of every row's q and result, so a subgroup of S lanes works on R = S / P
// positions at a time, UNROLL times per block. Every group of P lanes keeps its own running maximum
// and sum (Milakov & Gimelshein 2018); the groups are joined once, at the end. Tokens of different
// sequences in one tile are passed over one after the other. What a row becomes depends on its own
// entries alone: blocks that others see leave it as it is (as long as V is finite).
// Shuffles stand outside of branches that lanes take differently.

layout(constant_id = 14) const uint TEAM = 1; // subgroups that share the entries of a tile

const uint NC = HEAD_DIM / 8 / P;       // chunks per lane
const uint NV = NC * 8;                 // values per lane and row
const uint R = S / P;                   // positions at a time
const uint ROWS = TILE_HEADS * TILE_TOKENS;
const uint BLOCK = R * UNROLL;          // divides STEP_BLOCK
const uint D = P < UNROLL ? P : UNROLL; // lanes that share the weights of a block
const uint UL = UNROLL / D;             // weights of one of them
const float MASKED = -1e30;

#ifdef KV_TEAM
#include "common/kv_team.glsl"

// K and V of a block are asked for together, before either is used, where registers hold them.
const uint HELD = UNROLL * NC;
const bool HOLD = HELD <= 8u && K_TYPE != KV_F32 && V_TYPE != KV_F32;
#define ROWS_K(chunk, i, x)                                                                        \
    if (HOLD) {                                                                                    \
        kv_held(K_TYPE, k_held[i], chunk, x);                                                      \
    } else {                                                                                       \
        kv_load_k(chunk, x);                                                                       \
    }
#define ROWS_V(chunk, i, x)                                                                        \
    if (HOLD) {                                                                                    \
        kv_held(V_TYPE, v_held[i], chunk, x);                                                      \
    } else {                                                                                       \
        kv_load_v(chunk, x);                                                                       \
    }
#else
#define ROWS_K(chunk, i, x) kv_load_k(chunk, x)
#define ROWS_V(chunk, i, x) kv_load_v(chunk, x)
#endif

float rows_q[ROWS * NV], rows_acc[ROWS * NV], rows_m[ROWS], rows_l[ROWS];
// A token sees [rows_begin, rows_end) in this pass; rows_begin counts only with a window.
uint rows_begin[TILE_TOKENS], rows_end[TILE_TOKENS];

// Sums over the lanes that differ in the bits below `to` and not below `from` (powers of two). Not
// a loop: Mesa leaves every loop around one that doubles its counter rolled up.
float rows_add(float x, uint from, uint to)
{
    x = from <= 1u && to > 1u ? x + subgroupShuffleXor(x, 1u) : x;
    x = from <= 2u && to > 2u ? x + subgroupShuffleXor(x, 2u) : x;
    x = from <= 4u && to > 4u ? x + subgroupShuffleXor(x, 4u) : x;
    x = from <= 8u && to > 8u ? x + subgroupShuffleXor(x, 8u) : x;
    x = from <= 16u && to > 16u ? x + subgroupShuffleXor(x, 16u) : x;
    return from <= 32u && to > 32u ? x + subgroupShuffleXor(x, 32u) : x;
}

float rows_max(float x, uint from, uint to)
{
    x = from <= 1u && to > 1u ? max(x, subgroupShuffleXor(x, 1u)) : x;
    x = from <= 2u && to > 2u ? max(x, subgroupShuffleXor(x, 2u)) : x;
    x = from <= 4u && to > 4u ? max(x, subgroupShuffleXor(x, 4u)) : x;
    x = from <= 8u && to > 8u ? max(x, subgroupShuffleXor(x, 8u)) : x;
    x = from <= 16u && to > 16u ? max(x, subgroupShuffleXor(x, 16u)) : x;
    return from <= 32u && to > 32u ? max(x, subgroupShuffleXor(x, 32u)) : x;
}

// Adds the values of the lane across `bit`; each of the two keeps `keep` of 2 * keep sums.
void rows_fold(inout float x[UNROLL], uint keep, uint bit, uint lane)
{
    bool upper = (lane & bit) != 0u;
    [[unroll]] for (uint i = 0; i < UNROLL / 2; i++) {
        if (i < keep) {
            float mine = upper ? x[i + keep] : x[i];
            float other = upper ? x[i] : x[i + keep];
            x[i] = mine + subgroupShuffleXor(other, bit);
        }
    }
}

// Partial products of row r over the lanes of a position -> weights. Lane part % D holds those of
// positions part % D * UL and on. Updates maximum, sum and result so far.
void rows_weigh(uint r, inout float x[UNROLL], uint e0, uint lane)
{
    if (D > 4u) {
        rows_fold(x, UNROLL * 4 / D, 4u, lane);
    }
    if (D > 2u) {
        rows_fold(x, UNROLL * 2 / D, 2u, lane);
    }
    if (D > 1u) {
        rows_fold(x, UNROLL / D, 1u, lane);
    }
    uint first = e0 + lane % D * UL * R + lane / P;
    uint begin = rows_begin[r / TILE_HEADS], end = rows_end[r / TILE_HEADS];
    float top = rows_m[r];
    [[unroll]] for (uint u = 0; u < UL; u++) {
        float score = rows_add(x[u], D, P);
        score = SOFTCAP != 0u ? kv_cap(score) : score;
        bool seen = first + u * R < end && (WINDOW == 0u || first + u * R >= begin);
        x[u] = seen ? score : MASKED;
        top = max(top, x[u]);
    }
    top = rows_max(top, 1u, D);
    float fade = top == rows_m[r] ? 1.0 : exp2(rows_m[r] - top);
    float sum = rows_l[r] * fade;
    [[unroll]] for (uint u = 0; u < UL; u++) {
        bool seen = first + u * R < end && (WINDOW == 0u || first + u * R >= begin);
        x[u] = seen ? exp2(x[u] - top) : 0.0;
        sum += x[u];
    }
    rows_m[r] = top;
    rows_l[r] = sum;
    [[unroll]] for (uint i = 0; i < NV; i++) {
        rows_acc[r * NV + i] *= fade;
    }
}

// Entries [e0, e0 + BLOCK) of the sequence whose table row is given; `last` is the last entry that
// any row sees: what lies behind it may be garbage and is never read.
void rows_block(uint e0, uint last, uint table, uint head_slot, uint lane)
{
    uint slot0 = head_slot + step_words[table + e0 / STEP_BLOCK] * STEP_BLOCK + e0 % STEP_BLOCK;
    uint part = lane % P, lane_pos = lane / P;
    float s[ROWS * UNROLL];
    [[unroll]] for (uint i = 0; i < ROWS * UNROLL; i++) {
        s[i] = 0.0;
    }
#ifdef KV_TEAM
    uvec4 k_held[HELD], v_held[HELD];
    if (HOLD) {
        [[unroll]] for (uint i = 0; i < HELD; i++) {
            uint slot = slot0 + min(i / NC * R + lane_pos, last - e0);
            k_held[i] = kv_hold_k(slot * (HEAD_DIM / 8) + i % NC * P + part);
        }
        [[unroll]] for (uint i = 0; i < HELD; i++) {
            uint slot = slot0 + min(i / NC * R + lane_pos, last - e0);
            v_held[i] = kv_hold_v(slot * (HEAD_DIM / 8) + i % NC * P + part);
        }
    }
#endif
    [[unroll]] for (uint u = 0; u < UNROLL; u++) {
        uint slot = slot0 + min(u * R + lane_pos, last - e0);
        [[unroll]] for (uint c = 0; c < NC; c++) {
            float k[8];
            ROWS_K(slot * (HEAD_DIM / 8) + c * P + part, u * NC + c, k);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                [[unroll]] for (uint i = 0; i < 8; i++) {
                    s[r * UNROLL + u] += k[i] * rows_q[r * NV + c * 8 + i];
                }
            }
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        float x[UNROLL];
        [[unroll]] for (uint u = 0; u < UNROLL; u++) {
            x[u] = s[r * UNROLL + u];
        }
        rows_weigh(r, x, e0, lane);
        [[unroll]] for (uint u = 0; u < UNROLL; u++) {
            s[r * UNROLL + u] =
                D > 1u ? subgroupShuffle(x[u % UL], (lane & ~(D - 1u)) | u / UL) : x[u];
        }
    }
    [[unroll]] for (uint c = 0; c < NC; c++) {
        [[unroll]] for (uint u = 0; u < UNROLL; u++) {
            uint slot = slot0 + min(u * R + lane_pos, last - e0);
            float v[8];
            ROWS_V(slot * (HEAD_DIM / 8) + c * P + part, u * NC + c, v);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                [[unroll]] for (uint i = 0; i < 8; i++) {
                    rows_acc[r * NV + c * 8 + i] += s[r * UNROLL + u] * v[i];
                }
            }
        }
    }
}

// Adds the other half-subgroup's values: each lane keeps `keep` of 2 * keep values, those of its
// bit; one shuffle per value kept.
void rows_halve(inout float x[NV], uint keep, uint bit, uint lane)
{
    bool upper = (lane & bit) != 0u;
    [[unroll]] for (uint i = 0; i < NV / 2; i++) {
        if (i < keep) {
            float mine = upper ? x[i + keep] : x[i];
            float other = upper ? x[i] : x[i + keep];
            x[i] = mine + subgroupShuffleXor(other, bit);
        }
    }
}

// Joins the groups of lanes and writes row r: normalised to o, or as the partial of split j, or as
// what this subgroup has for its team.
void rows_write(uint r, uint token, uint head, uint j, uint lane, bool real)
{
    float top = rows_max(rows_m[r], P, S);
    float fade = top == rows_m[r] ? 1.0 : exp2(rows_m[r] - top);
    float l = rows_add(rows_add(rows_l[r] * fade, 1u, D), P, S);
    float x[NV];
    [[unroll]] for (uint i = 0; i < NV; i++) {
        x[i] = rows_acc[r * NV + i] * fade;
    }
    if (R >= 2) {
        rows_halve(x, NV / 2, P, lane);
    }
    if (R >= 4) {
        rows_halve(x, NV / 4, P * 2, lane);
    }
    if (R >= 8) {
        rows_halve(x, NV / 8, P * 4, lane);
    }
    if (R > 8) {
        [[unroll]] for (uint i = 0; i < NV / 8; i++) {
            x[i] = rows_add(x[i], P * 8, S);
        }
    }
    uint part = lane % P, lane_pos = lane / P;
    uint left = NV / min(R, 8u);
    uint first = (R >= 2 ? (lane_pos & 1u) * (NV / 2) : 0u) +
                 (R >= 4 ? (lane_pos >> 1 & 1u) * (NV / 4) : 0u) +
                 (R >= 8 ? (lane_pos >> 2 & 1u) * (NV / 8) : 0u);
#ifdef KV_TEAM
    if (TEAM > 1u) {
        uint to = (gl_SubgroupID * ROWS + r) * (HEAD_DIM + 2u);
        if (lane == 0u) {
            team_part[to] = top;
            team_part[to + 1u] = l;
        }
        if (lane_pos < 8u) {
            [[unroll]] for (uint i = 0; i < NV; i++) {
                if (i < left) {
                    uint v = first + i;
                    team_part[to + 2u + (v / 8u * P + part) * 8u + v % 8u] = x[i];
                }
            }
        }
        return;
    }
#endif
    uint at;
    float unit = 1.0;
    if (SPLITS == 1u) {
        at = (token * heads + head) * HEAD_DIM;
        unit = l > 0.0 ? 1.0 / l : 0.0;
    } else {
        at = ((token * heads + head) * SPLITS + j) * (HEAD_DIM + 2);
        if (real && lane == 0u) {
            result[at] = top;
            result[at + 1u] = l;
        }
        at += 2u;
    }
    if (real && lane_pos < 8u) {
        [[unroll]] for (uint i = 0; i < NV; i++) {
            if (i < left) {
                uint v = first + i;
                result[at + (v / 8u * P + part) * 8u + v % 8u] = x[i] * unit;
            }
        }
    }
}

// Number of this subgroup in its team.
uint rows_member()
{
    return TEAM > 1u ? gl_SubgroupID : 0u;
}

// One pass over the entries that the tokens of sequence seq[pass] in this tile see. Tokens of other
// sequences, and of one that had its pass, see nothing.
void rows_pass(uint pass, uint token0, uint seq[TILE_TOKENS], uvec2 range[TILE_TOKENS],
               uint head_slot, uint lane)
{
    uint now = TILE_TOKENS == 1u ? seq[0] : kv_step(STEP_SEQ, min(token0 + pass, tokens - 1u));
    uint begin = WINDOW == 0u ? range[0].x : ~0u, end = 0u;
    bool done = false;
    [[unroll]] for (uint t = 0; t < TILE_TOKENS; t++) {
        bool same = seq[t] == now;
        done = done || (same && t < pass);
        rows_begin[t] = range[t].x;
        rows_end[t] = same ? range[t].y : 0u;
        begin = WINDOW != 0u && same ? min(begin, range[t].x) : begin;
        end = max(end, rows_end[t]);
    }
    end = done ? 0u : end;
    begin = WINDOW != 0u ? begin / BLOCK * BLOCK : begin;
    uint table = kv_table(now);
    [[dont_unroll]] for (uint e0 = begin + rows_member() * BLOCK; e0 < end; e0 += TEAM * BLOCK) {
        rows_block(e0, end - 1u, table, head_slot, lane);
    }
}

// Everything that one subgroup does. An item is a head tile of the segment; the subgroups beyond
// the last one repeat it and write nothing. A team has one item, and its subgroups take turns at
// the blocks of entries.
void rows_attend()
{
    uint lane = gl_SubgroupInvocationID;
    uint j = gl_WorkGroupID.y, token0 = gl_WorkGroupID.z * TILE_TOKENS;
    uint items = kv_n * (GROUP / TILE_HEADS);
    uint item = TEAM > 1u ? gl_WorkGroupID.x
                          : gl_WorkGroupID.x * (gl_WorkGroupSize.x / S) + gl_SubgroupID;
    bool real = item < items;
    item = min(item, items - 1u);
    uint kv = item / (GROUP / TILE_HEADS);
    uint head0 = kv0 * GROUP + item * TILE_HEADS;
    uint used = SPLITS > 1u ? kv_splits(kv_step(STEP_LEN, token0), SPLITS) : 1u;
    if (j >= used) {
        return; // the splits of one token
    }
    uint seq[TILE_TOKENS];
    uvec2 range[TILE_TOKENS];
    [[unroll]] for (uint t = 0; t < TILE_TOKENS; t++) {
        uint token = min(token0 + t, tokens - 1u);
        seq[t] = kv_step(STEP_SEQ, token);
        range[t] = kv_split(kv_step(STEP_LEN, token), j, SPLITS);
        [[unroll]] for (uint h = 0; h < TILE_HEADS; h++) {
            uint r = t * TILE_HEADS + h;
            rows_m[r] = MASKED;
            rows_l[r] = 0.0;
            uint at = (token * heads + head0 + h) * (HEAD_DIM / 8) + lane % P;
            [[unroll]] for (uint c = 0; c < NC; c++) {
                float q[8];
                kv_load_q(at + c * P, q);
                [[unroll]] for (uint i = 0; i < 8; i++) {
                    rows_q[r * NV + c * 8 + i] = q[i] * scale_log2;
                    rows_acc[r * NV + c * 8 + i] = 0.0;
                }
            }
        }
    }
    if (TILE_TOKENS == 1u) {
        rows_pass(0u, token0, seq, range, kv * slots, lane);
    } else {
        [[dont_unroll]] for (uint pass = 0; pass < TILE_TOKENS; pass++) {
            rows_pass(pass, token0, seq, range, kv * slots, lane);
        }
    }
    [[unroll]] for (uint t = 0; t < TILE_TOKENS; t++) {
        [[unroll]] for (uint h = 0; h < TILE_HEADS; h++) {
            rows_write(t * TILE_HEADS + h, token0 + t, head0 + h, j, lane,
                       real && token0 + t < tokens);
        }
    }
#ifdef KV_TEAM
    if (TEAM > 1u) {
        team_write(token0, head0, j, used);
        TEAM_MERGE(token0, head0, used);
    }
#endif
}
