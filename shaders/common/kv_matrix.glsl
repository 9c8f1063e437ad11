// Attention by matrix units: the body of attention_coopmat*.comp. A workgroup takes a tile of rows,
// each one query head of one token; heads that share K and V are rows of one tile. Each of its
// subgroups holds STRIPS times M rows: their q, sums, weights and results stay in matrices, and the
// workgroup puts one block of entries after the other into shared memory as float16.
//
// How matrices lie in registers is not known, but accumulators all lie alike. So a row's maximum M
// is kept as a matrix of equal columns, and a block whose scores are no more than SLACK above it
// becomes weights element by element: exp2(s - M), at most 2^SLACK. Only where some score is higher
// does the maximum go through shared memory and are sums and results rescaled; that is rare. The
// sums of weights are kept by column and added up at the end. KV_WEIGHTS(w, from, to, tile) makes
// left operands of a strip's weights.
//
// Tokens of different sequences in one tile are passed over one after the other. Entries that no
// token of the pass sees are zero in shared memory, whatever the cache holds.

layout(constant_id = 14) const uint M = 16;      // the device's shape of matrices
layout(constant_id = 15) const uint N = 16;
layout(constant_id = 16) const uint K = 16;
layout(constant_id = 17) const uint STRIPS = 1;  // of M rows, of a subgroup
layout(constant_id = 18) const uint BLOCK = 64;  // entries at a time
layout(constant_id = 19) const uint STAGES = 2;  // 2: the next block is loaded meanwhile
// M, N and K again, for types alone: validation layers (1.4.309) misread those that are calculated with.
layout(constant_id = 20) const uint TYPE_M = 16;
layout(constant_id = 21) const uint TYPE_N = 16;
layout(constant_id = 22) const uint TYPE_K = 16;
// 1: all subgroups of a workgroup come to the same barriers, those of a subgroup too. Then what is
// skipped by each for itself elsewhere is skipped by all or by none.
layout(constant_id = 23) const uint JOINT = 0;

layout(binding = 0) readonly buffer Q { vec4 q4[]; };  // [tokens][heads][HEAD_DIM]
layout(binding = 1) readonly buffer K_cache { uvec4 k4[]; }; // [kv_n][slots][HEAD_DIM]: kv_types.h
layout(binding = 2) readonly buffer V_cache { uvec4 v4[]; };
// The same in smaller pieces, the result in larger ones.
layout(binding = 1) readonly buffer K_pairs { uvec2 k2[]; };
layout(binding = 1) readonly buffer K_words { uint k1[]; };
layout(binding = 2) readonly buffer V_pairs { uvec2 v2[]; };
layout(binding = 2) readonly buffer V_words { uint v1[]; };
layout(binding = 4) writeonly buffer Result_quads { vec4 result4[]; };

#define KV_Q(i) q4[i]
#define KV_K(i) k4[i]
#define KV_V(i) v4[i]
#define KV_K2(i) k2[i]
#define KV_V2(i) v2[i]
#define KV_K1(i) k1[i]
#define KV_V1(i) v1[i]
#include "common/kv_chunk.glsl"

const uint WG = gl_WorkGroupSize.x;
const uint SUBGROUPS = WG / S;
const uint CHUNKS = HEAD_DIM / 8;             // 16 bytes of float16
const uint LINE = CHUNKS | 1u;                // odd: rows begin in different banks
const uint STAGED = 2 * BLOCK > SUBGROUPS * M ? 2 * BLOCK : SUBGROUPS * M;
const uint MINE = (BLOCK * CHUNKS + WG - 1) / WG;
const uint Q_MINE = (M * CHUNKS + S - 1) / S;
const uint SLAB = BLOCK < 32 ? BLOCK : 32;    // columns of weights in the subgroup's own tile
const uint TILE_LINE = (SLAB / 8 > N / 4 ? SLAB / 8 : N / 4) | 1u;
const uint BN = BLOCK / N, BK = BLOCK / K, DN = HEAD_DIM / N, DK = HEAD_DIM / K;
// Lanes that share a row of a tile, rows of a lane, and four columns at a time of a lane's row.
const uint LANES = S <= M ? 1 : S / M > N / 4 ? N / 4 : S / M;
const uint LANE_ROWS = S >= M ? 1 : M / S;
const uint QUADS = N / 4 / LANES;

const float UNSEEN = -3e38, LOWEST = -1e30; // a hidden score; the maximum of none
const float SLACK = 8.0;

#define LEFT  coopmat<float16_t, gl_ScopeSubgroup, TYPE_M, TYPE_K, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, TYPE_K, TYPE_N, gl_MatrixUseB>
#define SUMS  coopmat<float, gl_ScopeSubgroup, TYPE_M, TYPE_N, gl_MatrixUseAccumulator>
#define HALVES coopmat<float16_t, gl_ScopeSubgroup, TYPE_M, TYPE_N, gl_MatrixUseAccumulator>
#define ROW gl_CooperativeMatrixLayoutRowMajor
#define COLUMN gl_CooperativeMatrixLayoutColumnMajor

shared uvec4 staged[STAGED * LINE];                   // K, then V; at first q
shared uvec4 tiles[SUBGROUPS * M * TILE_LINE];        // of each subgroup its own
shared uint tile_seq[TILE_TOKENS], tile_len[TILE_TOKENS];
shared uint pass_seq, pass_begin, pass_end;

LEFT q[STRIPS * DK];
LEFT weights[STRIPS * BK];
SUMS scores[STRIPS * BN];
SUMS sums[STRIPS * DN];   // the result before the division
SUMS tops[STRIPS];        // maximum of the row, in units of ln 2; equal columns
SUMS totals[STRIPS];      // of weights, by column
float row_top[STRIPS * LANE_ROWS]; // as in tops, of the lane's rows
float unit[STRIPS];       // score = product * unit
uvec4 taken[MINE];        // on their way from a cache to shared memory

#include "common/kv_matrix_stage.glsl"

uint lane_row(uint j)
{
    return gl_SubgroupInvocationID / LANES + j * S;
}

// Where four columns of a lane's row lie in the subgroup's tile.
uint lane_quad(uint j, uint quad)
{
    return (gl_SubgroupID * M + lane_row(j)) * TILE_LINE +
           gl_SubgroupInvocationID % LANES * QUADS + quad;
}

float lane_column(uint quad)
{
    return float((gl_SubgroupInvocationID % LANES * QUADS + quad) * 4u);
}

// Over the lanes that share a row.
float row_max(float x)
{
    x = LANES > 1u ? max(x, subgroupShuffleXor(x, 1u)) : x;
    x = LANES > 2u ? max(x, subgroupShuffleXor(x, 2u)) : x;
    return LANES > 4u ? max(x, subgroupShuffleXor(x, 4u)) : x;
}

float row_add(float x)
{
    x = LANES > 1u ? x + subgroupShuffleXor(x, 1u) : x;
    x = LANES > 2u ? x + subgroupShuffleXor(x, 2u) : x;
    return LANES > 4u ? x + subgroupShuffleXor(x, 4u) : x;
}

// A matrix whose rows are value[j] - step * column.
void spread(float value[LANE_ROWS], float step, out SUMS x)
{
    [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
        [[unroll]] for (uint quad = 0; quad < QUADS; quad++) {
            if (lane_row(j) < M) {
                vec4 at = vec4(lane_column(quad)) + vec4(0.0, 1.0, 2.0, 3.0);
                tiles[lane_quad(j, quad)] = floatBitsToUint(vec4(value[j]) - at * step);
            }
        }
    }
    subgroupBarrier();
    coopMatLoad(x, tiles, gl_SubgroupID * M * TILE_LINE, TILE_LINE, ROW);
    subgroupBarrier();
}

// Maximum, or sum, over the columns of x.
void gather(SUMS x, bool add, out float value[LANE_ROWS])
{
    coopMatStore(x, tiles, gl_SubgroupID * M * TILE_LINE, TILE_LINE, ROW);
    subgroupBarrier();
    [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
        float sum = 0.0, top = UNSEEN;
        [[unroll]] for (uint quad = 0; quad < QUADS; quad++) {
            if (lane_row(j) < M) {
                vec4 v = uintBitsToFloat(tiles[lane_quad(j, quad)]);
                sum += (v.x + v.y) + (v.z + v.w);
                top = max(max(top, max(v.x, v.y)), max(v.z, v.w));
            }
        }
        value[j] = add ? row_add(sum) : row_max(top);
    }
    subgroupBarrier();
}

// What the tokens of the rows of strip s see in this pass: [begin, end), relative to e0.
void row_limits(uint s, uint e0, uint now, out float begin[LANE_ROWS], out float end[LANE_ROWS])
{
    [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
        uint t = min(strip_row(s) + lane_row(j), TILE_TOKENS * TILE_HEADS - 1u) / TILE_HEADS;
        uvec2 range = kv_split(tile_seq[t] == now ? tile_len[t] : 0u, 0u, 1u);
        begin[j] = float(int(range.x) - int(e0));
        end[j] = float(int(range.y) - int(e0));
    }
}

void hide(uint s, uint e0, uint now)
{
    float begin[LANE_ROWS], end[LANE_ROWS];
    row_limits(s, e0, now, begin, end);
    SUMS left; // of the entries that are seen, counted from the column
    spread(end, 1.0, left);
    [[unroll]] for (uint n = 0; n < BN; n++) {
        [[unroll]] for (uint i = 0; i < left.length(); i++) {
            float x = scores[s * BN + n][i];
            scores[s * BN + n][i] = left[i] > float(n * N) ? x : UNSEEN;
        }
    }
    if (WINDOW != 0u) {
        SUMS early;
        spread(begin, 1.0, early);
        [[unroll]] for (uint n = 0; n < BN; n++) {
            [[unroll]] for (uint i = 0; i < early.length(); i++) {
                float x = scores[s * BN + n][i];
                scores[s * BN + n][i] = early[i] <= float(n * N) ? x : UNSEEN;
            }
        }
    }
}

// Raises the maxima of strip s to those of this block.
void raise(uint s, SUMS highest, float to_log2)
{
    float top[LANE_ROWS];
    gather(highest, false, top);
    [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
        row_top[s * LANE_ROWS + j] = max(row_top[s * LANE_ROWS + j], top[j] * to_log2);
        top[j] = row_top[s * LANE_ROWS + j];
    }
    SUMS now, fade;
    spread(top, 0.0, now);
    [[unroll]] for (uint i = 0; i < now.length(); i++) {
        fade[i] = exp2(tops[s][i] - now[i]);
    }
    tops[s] = now;
    totals[s] = totals[s] * fade;
    [[unroll]] for (uint n = 0; n < DN; n++) {
        sums[s * DN + n] = sums[s * DN + n] * fade;
    }
}

// Scores of strip s -> weights.
void weigh(uint s, uint e0, uint now, bool masked)
{
    float to_log2 = SOFTCAP != 0u ? 1.0 : unit[s];
    if (SOFTCAP != 0u) {
        [[unroll]] for (uint n = 0; n < BN; n++) {
            [[unroll]] for (uint i = 0; i < tops[s].length(); i++) {
                scores[s * BN + n][i] = kv_cap(scores[s * BN + n][i] * unit[s]);
            }
        }
    }
    if (masked) {
        hide(s, e0, now);
    }
    SUMS highest = scores[s * BN];
    bool higher = false;
    [[unroll]] for (uint i = 0; i < tops[s].length(); i++) {
        [[unroll]] for (uint n = 1; n < BN; n++) {
            highest[i] = max(highest[i], scores[s * BN + n][i]);
        }
        higher = higher || highest[i] * to_log2 > tops[s][i] + SLACK;
    }
    if (JOINT != 0u || subgroupAny(higher)) {
        raise(s, highest, to_log2);
    }
    [[unroll]] for (uint n = 0; n < BN; n++) {
        [[unroll]] for (uint i = 0; i < tops[s].length(); i++) {
            float w = exp2(scores[s * BN + n][i] * to_log2 - tops[s][i]);
            scores[s * BN + n][i] = w;
            totals[s][i] += w;
        }
    }
    KV_WEIGHTS(s)
}

// Products of the rows of this subgroup with the block's K, then weights.
void score_block(uint e0, uint now, bool masked)
{
    [[unroll]] for (uint i = 0; i < STRIPS * BN; i++) {
        scores[i] = SUMS(0.0);
    }
    [[unroll]] for (uint k = 0; k < DK; k++) {
        [[unroll]] for (uint n = 0; n < BN; n++) {
            RIGHT entries;
            coopMatLoad(entries, staged, n * N * LINE + k * (K / 8), LINE, COLUMN);
            [[unroll]] for (uint s = 0; s < STRIPS; s++) {
                scores[s * BN + n] = coopMatMulAdd(q[s * DK + k], entries, scores[s * BN + n]);
            }
        }
    }
    [[unroll]] for (uint s = 0; s < STRIPS; s++) {
        weigh(s, e0, now, masked);
    }
}

void sum_block()
{
    [[unroll]] for (uint k = 0; k < BK; k++) {
        [[unroll]] for (uint n = 0; n < DN; n++) {
            RIGHT values;
            coopMatLoad(values, staged, (BLOCK + k * K) * LINE + n * (N / 8), LINE, ROW);
            [[unroll]] for (uint s = 0; s < STRIPS; s++) {
                sums[s * DN + n] = coopMatMulAdd(weights[s * BK + k], values, sums[s * DN + n]);
            }
        }
    }
}

// What the rows of this subgroup (JOINT: of the tile) see in this pass: x: first entry of any, y: end
// of any; z: first of all, w: end of all.
uvec4 seen_by_rows(uint now)
{
    uvec4 seen = uvec4(~0u, 0u, 0u, ~0u);
    uint first = JOINT != 0u ? 0u : strip_row(0u), n = (JOINT != 0u ? SUBGROUPS : 1u) * STRIPS * M;
    for (uint r = gl_SubgroupInvocationID; r < n; r += S) {
        uint row = first + r, t = row / TILE_HEADS;
        if (row < TILE_TOKENS * TILE_HEADS && tile_seq[t] != ~0u) {
            uvec2 range = kv_split(tile_seq[t] == now ? tile_len[t] : 0u, 0u, 1u);
            bool any = range.y != 0u;
            seen.x = any ? min(seen.x, range.x) : seen.x;
            seen.y = max(seen.y, range.y);
            seen.z = max(seen.z, range.x);
            seen.w = min(seen.w, range.y);
        }
    }
    return uvec4(subgroupMin(seen.x), subgroupMax(seen.y), subgroupMax(seen.z),
                 subgroupMin(seen.w));
}

// One pass over the entries that tokens of sequence `now` in this tile see.
void attend_pass(uint now, uint head_slot)
{
    uint first = pass_begin, end = pass_end, table = kv_table(now);
    uvec4 seen = seen_by_rows(now);
    uint e0 = first / BLOCK * BLOCK;
    if (STAGES > 1u) {
        take_k(e0, first, end, table, head_slot);
        put_taken(0u);
        barrier();
    }
    [[dont_unroll]] for (; e0 < end; e0 += BLOCK) {
        bool visible = e0 < seen.y && e0 + BLOCK > seen.x;
        bool masked = e0 < seen.z || e0 + BLOCK > seen.w;
        if (STAGES > 1u) {
            take_v(e0, first, end, table, head_slot);
        } else {
            take_k(e0, first, end, table, head_slot);
            put_taken(0u);
            take_v(e0, first, end, table, head_slot);
            put_taken(BLOCK);
            barrier();
        }
        if (visible) {
            score_block(e0, now, masked);
        }
        if (STAGES > 1u) {
            put_taken(BLOCK);
            barrier(); // K is not needed any more, V is there
            take_k(e0 + BLOCK, first, end, table, head_slot);
        }
        if (visible) {
            sum_block();
        }
        if (STAGES > 1u) {
            put_taken(0u);
        }
        barrier();
    }
}

void write_strip(uint s, uint token0, uint head0)
{
    float total[LANE_ROWS];
    gather(totals[s], true, total);
    [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
        total[j] = total[j] > 0.0 ? 1.0 / total[j] : 0.0;
    }
    SUMS inverse;
    spread(total, 0.0, inverse);
    [[unroll]] for (uint n = 0; n < DN; n++) {
        SUMS x = sums[s * DN + n] * inverse;
        coopMatStore(x, tiles, gl_SubgroupID * M * TILE_LINE, TILE_LINE, ROW);
        subgroupBarrier();
        [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
            uint row = strip_row(s) + lane_row(j), token = token0 + row / TILE_HEADS;
            if (lane_row(j) < M && row < TILE_TOKENS * TILE_HEADS && token < tokens) {
                uint at = (token * heads + head0 + row % TILE_HEADS) * (HEAD_DIM / 4) + n * (N / 4);
                [[unroll]] for (uint quad = 0; quad < QUADS; quad++) {
                    result4[at + gl_SubgroupInvocationID % LANES * QUADS + quad] =
                        uintBitsToFloat(tiles[lane_quad(j, quad)]);
                }
            }
        }
        subgroupBarrier();
    }
}

void matrix_attend()
{
    uint kv = gl_WorkGroupID.x / (GROUP / TILE_HEADS);
    uint head0 = kv0 * GROUP + gl_WorkGroupID.x * TILE_HEADS;
    uint token0 = (gl_NumWorkGroups.z - 1u - gl_WorkGroupID.z) * TILE_TOKENS; // long ones first
    for (uint t = gl_LocalInvocationID.x; t < TILE_TOKENS; t += WG) {
        bool real = token0 + t < tokens;
        tile_seq[t] = real ? kv_step(STEP_SEQ, token0 + t) : ~0u;
        tile_len[t] = real ? kv_step(STEP_LEN, token0 + t) : 0u;
    }
    [[unroll]] for (uint s = 0; s < STRIPS; s++) {
        load_q(s, token0, head0);
        tops[s] = SUMS(LOWEST);
        totals[s] = SUMS(0.0);
        [[unroll]] for (uint j = 0; j < LANE_ROWS; j++) {
            row_top[s * LANE_ROWS + j] = LOWEST;
        }
        [[unroll]] for (uint n = 0; n < DN; n++) {
            sums[s * DN + n] = SUMS(0.0);
        }
    }
    uint now = next_sequence(0u);
    [[dont_unroll]] while (now != ~0u) {
        attend_pass(now, kv * slots);
        now = next_sequence(now + 1u);
    }
    [[unroll]] for (uint s = 0; s < STRIPS; s++) {
        write_strip(s, token0, head0);
    }
}
