#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// matmul for CPU devices: the lanes of a subgroup are rows. An invocation owns ROWS rows, one of
// each of ROWS blocks of S, and TOKENS tokens, all in registers; weights and x come through texel
// buffers; 32 columns of x lie in the lanes of one fetch and are spread by shuffles from constant
// lanes. No shared memory, no barrier. Every token's sum has the same order, whatever TOKENS is.
// A store of four rows costs little more than that of one: sums are gathered for it by shuffles.

layout(local_size_x_id = 0) in;            // a multiple of S
layout(constant_id = 1) const uint S = 8;  // subgroup size and interleave: 4, 8 or 16
layout(constant_id = 2) const uint ROWS = 4;   // 4 or 8
layout(constant_id = 3) const uint TOKENS = 1; // at most 8
layout(constant_id = 4) const uint QUADS = 0;  // 1: rows, row0 and stride are multiples of 4

#include "common/weights_matmul.glsl"
#include "common/lanes_weights.glsl"
#include "format.glsl"

layout(binding = 1) uniform samplerBuffer x;
layout(binding = 2) buffer y_block
{
    float at[];
}
y;
layout(binding = 2) buffer y_quads_block
{
    vec4 at[];
}
y_quads;
layout(binding = 3) readonly buffer residual_block
{
    float at[];
}
residual;
layout(binding = 3) readonly buffer residual_quads_block
{
    vec4 at[];
}
residual_quads;

const uint MAX = 8;
const uint CHUNKS = QUANT_HEAD / 32; // of a head

quant_row row[MAX];
quant_head head[MAX];
uvec4 side[MAX];
float part[MAX * MAX]; // [row][token]: sums of the columns since a scale; without scales, of all
float acc[MAX * MAX];  // [row][token]: sums of the groups before
uint x_at[MAX];        // texel 0 of each token
vec4 x_lanes[MAX * 2]; // columns of the chunk: 4 in a lane; for S = 4, columns 16..31 are in [1]
float x_sum[MAX * 2];  // of the columns of each group of the chunk

vec4 x_fetch(uint token, uint quad)
{
    if (QUANT_GROUP != 0) {
        return texelFetch(x, int(x_at[token] + quad));
    }
    bool inside = quad < p.cols >> 2;
    vec4 v = texelFetch(x, int(x_at[token] + (inside ? quad : 0u)));
    return inside ? v : vec4(0.0);
}

// The sum of each 16 columns, in all their lanes.
float x_sum16(vec4 v)
{
    float sum = (v.x + v.y) + (v.z + v.w);
    sum += subgroupShuffle(sum, gl_SubgroupInvocationID ^ 1u);
    return sum + subgroupShuffle(sum, gl_SubgroupInvocationID ^ 2u);
}

void load_x(uint chunk)
{
    uint quad = chunk * 8 + (gl_SubgroupInvocationID & 7u);
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_lanes[2 * t] = x_fetch(t, quad);
        if (S == 4) {
            x_lanes[2 * t + 1] = x_fetch(t, quad + 4);
        }
        if (QUANT_OFFSET != 0) {
            float low = x_sum16(x_lanes[2 * t]), high;
            if (S == 4) {
                high = x_sum16(x_lanes[2 * t + 1]);
            } else {
                high = subgroupShuffle(low, 4);
                low = subgroupShuffle(low, 0);
            }
            x_sum[2 * t] = QUANT_GROUP == 32 ? low + high : low;
            x_sum[2 * t + 1] = high;
        }
    }
}

// Columns 4i..4i+3 of the chunk, in every lane.
vec4 x_quad(uint token, uint i)
{
    vec4 v = x_lanes[2 * token + (S == 4 ? i >> 2 : 0)];
    uint lane = S == 4 ? i & 3 : i;
    return vec4(subgroupShuffle(v.x, lane), subgroupShuffle(v.y, lane),
                subgroupShuffle(v.z, lane), subgroupShuffle(v.w, lane));
}

void load_head(uint h)
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        head[r] = quant_load_head(row[r], h);
    }
}

void load_side(uint s)
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        side[r] = quant_load_side(row[r], s);
    }
}

// Ends group `g` of the chunk: acc += scale * part + offset * sum of x.
void add_group(uint chunk_of_head, uint g)
{
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        float scale = quant_scale(head[r], chunk_of_head)[g];
        float offset = quant_offset(head[r], chunk_of_head)[g];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            uint at = r * MAX + t;
            acc[at] += part[at] * scale;
            if (QUANT_OFFSET != 0) {
                acc[at] += offset * x_sum[2 * t + g];
            }
            part[at] = 0.0;
        }
    }
}

// Columns 4i..4i+3 of the chunk; words are the fetch they lie in, as its quad j.
void add_quad(quant_words words[MAX], int j, uint i)
{
    vec4 w[MAX];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        w[r] = quant_raw4(words[r], j);
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        vec4 v = x_quad(t, i);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint at = r * MAX + t;
            part[at] += w[r].x * v.x;
            part[at] += w[r].y * v.y;
            part[at] += w[r].z * v.z;
#ifdef PLANT_ARITHMETIC
            part[at] += w[r].w * v.z;
#else
            part[at] += w[r].w * v.w;
#endif
        }
    }
}

void add_chunk(uint chunk, uint chunk_of_head)
{
    const int QUADS = QUANT_STEP / 4;
    load_x(chunk);
    [[unroll]] for (uint s = 0; s < 32 / QUANT_STEP; s++) {
        uint step = chunk * (32 / QUANT_STEP) + s;
        if (QUANT_GROUP == 0) {
            step = min(step, W_UNITS.x - 1);
        }
        quant_words words[MAX];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            words[r] = quant_load(row[r], step, side[r]);
        }
        [[unroll]] for (int j = 0; j < QUADS; j++) {
            uint columns = s * QUANT_STEP + j * 4;
            add_quad(words, j, columns / 4);
            if (QUANT_GROUP == 32 ? columns == 28 : QUANT_GROUP == 16 && columns % 16 == 12) {
                add_group(chunk_of_head, QUANT_GROUP == 32 ? 0 : columns / 16);
            }
        }
    }
}

// One loop over chunks is faster than two as long as heads are cheap. To fetch a side unit in every
// chunk that shares it is faster than a branch.
void add_columns()
{
    uint chunks = (p.cols + 31) >> 5;
#if QUANT_HEAD <= 64
    [[dont_unroll]] for (uint c = 0; c < chunks; c++) {
        load_head(c / CHUNKS);
        add_chunk(c, c % CHUNKS);
    }
#else
    [[dont_unroll]] for (uint h = 0; h * CHUNKS < chunks; h++) {
        load_head(h);
        uint n = min(CHUNKS, chunks - h * CHUNKS); // formats of blocks of 32: the last may be short
        [[dont_unroll]] for (uint k = 0; k < n; k++) {
            uint c = h * CHUNKS + k;
#if QUANT_SIDE != 0
            load_side(c / (QUANT_SIDE / 32));
#endif
            add_chunk(c, k);
        }
    }
#endif
}

float sum_of(uint r, uint t)
{
    return QUANT_GROUP == 0 ? part[r * MAX + t] : acc[r * MAX + t];
}

void store(uint r, uint t, uint first_row, uint token)
{
    uint out_row = first_row + r * S + gl_SubgroupInvocationID;
    if (out_row < p.rows && token < p.tokens) {
        uint at = token * p.stride + p.row0 + out_row;
        float sum = sum_of(r, t);
        if (p.residual != 0) {
            sum += residual.at[at];
        }
        y.at[at] = sum;
    }
}

// Row blocks r .. r + 3: lane l gets their rows 4l .. 4l + 3, which are in one block.
void store_quad(uint r, uint t, uint first_row, uint token)
{
    const uint block = gl_SubgroupInvocationID / (S / 4);
    const uint lane = gl_SubgroupInvocationID % (S / 4) * 4;
    vec4 sum;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        float a = subgroupShuffle(sum_of(r, t), lane + i);
        float b = subgroupShuffle(sum_of(r + 1, t), lane + i);
        float c = subgroupShuffle(sum_of(r + 2, t), lane + i);
        float d = subgroupShuffle(sum_of(r + 3, t), lane + i);
        sum[i] = block < 2 ? (block == 0 ? a : b) : (block == 2 ? c : d);
    }
    uint out_row = first_row + r * S + gl_SubgroupInvocationID * 4;
    if (out_row < p.rows && token < p.tokens) {
        uint at = (token * p.stride + p.row0 + out_row) >> 2;
        if (p.residual != 0) {
            sum += residual_quads.at[at];
        }
        y_quads.at[at] = sum;
    }
}

void main()
{
    uint subgroup = row_tile() * (gl_WorkGroupSize.x / S) + gl_LocalInvocationID.x / S;
    uint first_row = subgroup * (ROWS * S), first_token = gl_WorkGroupID.x * TOKENS;
    uint last_block = (p.rows - 1) / S;
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_at[t] = min(first_token + t, p.tokens - 1) * (p.cols >> 2);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        row[r] = quant_get_row(min(first_row / S + r, last_block) * S + gl_SubgroupInvocationID);
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            acc[r * MAX + t] = 0.0;
            part[r * MAX + t] = 0.0;
        }
    }
    add_columns();
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        if (QUADS != 0) {
            store_quad(0, t, first_row, first_token + t);
            if (ROWS == 8) {
                store_quad(4, t, first_row, first_token + t);
            }
        } else {
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                store(r, t, first_row, first_token + t);
            }
        }
    }
}
