// What the kernels for few tokens on integer dot products share: as matmul_shared.glsl, but x is
// quantized on its way into shared memory, 32 columns at a time as stage_q8 does it: one f32 scale,
// the largest magnitude / 127, and signed bytes. Products of a block are added in integers. Formats
// whose values have an offset need the sums of x, of 16 columns each. Eight neighbouring invocations
// make a block, so subgroups have eight or more.
//
// The including shader has p.cols, a multiple of 32, the weights and "format.glsl" of any format that
// has scales, and norm_x.glsl.

layout(binding = 1) readonly buffer x_block
{
    vec4 quads[]; // [token][cols / 4]
}
x;

#ifndef QUANT_INT // raw values are whole numbers in the range of a byte
#define QUANT_INT (1 + QUANT_OFFSET)
uint quant_int4(quant_words words, int i)
{
    ivec4 v = ivec4(quant_raw4(words, i)) & 255;
    return uint(v.x | v.y << 8 | v.z << 16 | v.w << 24);
}
#endif

// Raw bytes in their own order, or the integers, in words of four columns; FEW_OFFSET: formats whose
// offset is not in them.
#ifdef QUANT_ORDER
#define FEW_OFFSET         QUANT_OFFSET
#define FEW_INT4(words, i) quant_raw_int4(words, i)
#else
#define FEW_OFFSET         (QUANT_INT == 2)
#define FEW_INT4(words, i) quant_int4(words, i)
#define QUANT_ORDER        0
#endif

#include "common/few_sizes.glsl"

const uint X_UNROLL = TOKENS >= 2 ? 1 : 2; // quads of each token on their way: more were slower
const uint UNITS = QUANT_STEP / 16, FETCHES = X_COLUMNS / QUANT_STEP; // units of 16 columns
// Unit i of fetch s of a token lies at i * PITCH + s: what neighbouring lanes read is together.
const uint PITCH = FETCHES + 1;

shared uvec4 x_units[TOKENS * UNITS * PITCH];
shared vec4 x_scales[TOKENS * (X_COLUMNS / 32)]; // scale, scale * sums of the first and last 16

// The bytes of a quad and of its neighbour's -> word `half` of the eight in the format's order.
uint arrange(uint bytes, uint half_)
{
#if QUANT_ORDER == 1
    uint low = (bytes & 255u) | (bytes & 0xff00u) << 8;
    uint high = (bytes >> 16 & 255u) | (bytes >> 8 & 0xff0000u);
    uint keep = half_ == 0u ? low : high, got = subgroupShuffleXor(half_ == 0u ? high : low, 1u);
    return half_ == 0u ? keep | got << 8 : got | keep << 8;
#else
    return bytes;
#endif
}

// Eight invocations with the quads of a block: the bytes of this one, and what x_scales holds.
uint quantize(vec4 v, out vec4 by)
{
    vec4 a = abs(v);
    float top = max(max(a.x, a.y), max(a.z, a.w));
    top = max(top, subgroupShuffleXor(top, 1u));
    top = max(top, subgroupShuffleXor(top, 2u));
    top = max(top, subgroupShuffleXor(top, 4u));
    float scale = top / 127.0, one = top > 0.0 ? 127.0 / top : 0.0;
    ivec4 q = ivec4(roundEven(clamp(v * one, -127.0, 127.0)));
    int sum = (q.x + q.y) + (q.z + q.w);
    sum += subgroupShuffleXor(sum, 1u);
    sum += subgroupShuffleXor(sum, 2u);
    int other = subgroupShuffleXor(sum, 4u);
    by = vec4(scale, scale * float(sum), scale * float(other), 0.0); // right in the first of them
    q &= 255;
    return arrange(uint(q.x | q.y << 8 | q.z << 16 | q.w << 24), gl_SubgroupInvocationID & 1u);
}

// Columns [first, first + X_COLUMNS) of the tokens into shared memory, zeros behind the last one.
void load_x(uint token[MAX_TOKENS], uint first)
{
    uint row = p.cols >> 2, begin = first >> 2;
    for (uint q0 = gl_LocalInvocationID.x; q0 < X_COLUMNS / 4; q0 += X_UNROLL * gl_WorkGroupSize.x) {
        vec4 all[MAX_TOKENS];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            [[unroll]] for (uint k = 0; k < X_UNROLL; k++) {
                uint q = begin + q0 + k * gl_WorkGroupSize.x;
                all[t * X_UNROLL + k] = x.quads[token[t] * row + min(q, row - 1u)];
            }
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            [[unroll]] for (uint k = 0; k < X_UNROLL; k++) {
                uint q = q0 + k * gl_WorkGroupSize.x;
                bool is_there = q < X_COLUMNS / 4 && begin + q < row;
                vec4 v = is_there ? all[t * X_UNROLL + k] : vec4(0.0);
#ifdef X_NORM
                v = norm_weigh(t, v, min(begin + q, row - 1u));
#endif
                vec4 by;
                uint bytes = quantize(v, by);
                if (q < X_COLUMNS / 4) {
                    uint unit = q / 4u;
                    x_units[(t * UNITS + unit % UNITS) * PITCH + unit / UNITS][q % 4u] = bytes;
                    if (q % 8u == 0u) {
                        x_scales[t * (X_COLUMNS / 32) + q / 8u] = by;
                    }
                }
            }
        }
    }
#ifdef X_NORM
    norm_share();
#endif
}

// What one fetch of a row is.
struct few_row {
    quant_words words;
    vec2 scale, offset; // of its first and last 16 columns
};

few_row few_get_row(quant_row row, uint step)
{
    few_row d;
    uint chunk = step * QUANT_STEP / 32;
    uvec4 side = uvec4(0);
#if QUANT_SIDE != 0
    side = quant_load_side(row, chunk / (QUANT_SIDE / 32));
#endif
    d.words = quant_load(row, step, side);
    quant_head head = quant_load_head(row, chunk / (QUANT_HEAD / 32));
    d.scale = quant_scale(head, chunk % (QUANT_HEAD / 32));
#if FEW_OFFSET
    d.offset = quant_offset(head, chunk % (QUANT_HEAD / 32));
#endif
    return d;
}

int dot_unit(uint w[4], uvec4 v)
{
    int sum = dotPacked4x8EXT(int(w[0]), int(v.x));
    sum += dotPacked4x8EXT(int(w[1]), int(v.y));
    sum += dotPacked4x8EXT(int(w[2]), int(v.z));
    return sum + dotPacked4x8EXT(int(w[3]), int(v.w));
}

// One fetch of each row; `at`: its number among those in shared memory.
void add_fetch(few_row d[MAX_UNROLL * MAX_ROWS], uint u, uint at)
{
    const uint WORDS = QUANT_STEP / 4;
    uint w[MAX_ROWS * WORDS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        [[unroll]] for (int i = 0; i < QUANT_STEP / 4; i++) {
            w[r * WORDS + i] = FEW_INT4(d[u * MAX_ROWS + r].words, i);
        }
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        vec4 by = x_scales[t * (X_COLUMNS / 32) + at * QUANT_STEP / 32];
        uvec4 v[UNITS];
        [[unroll]] for (uint i = 0; i < UNITS; i++) {
            v[i] = x_units[(t * UNITS + i) * PITCH + at];
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec2 scale = d[u * MAX_ROWS + r].scale;
            int sums[UNITS];
            [[unroll]] for (uint i = 0; i < UNITS; i++) {
                uint at4 = r * WORDS + 4 * i;
                sums[i] = dot_unit(uint[4](w[at4], w[at4 + 1], w[at4 + 2], w[at4 + 3]), v[i]);
            }
#if QUANT_STEP == 16
            float sum = scale.x * by.x * float(sums[0]);
#elif QUANT_GROUP == 16
            float sum = by.x * (scale.x * float(sums[0]) + scale.y * float(sums[1]));
#else
            float sum = scale.x * by.x * float(sums[0] + sums[1]);
#endif
#if FEW_OFFSET
#if QUANT_GROUP == 16
            sum += dot(d[u * MAX_ROWS + r].offset, by.yz);
#else
            sum += d[u * MAX_ROWS + r].offset.x * (by.y + by.z);
#endif
#endif
            acc[r * MAX_TOKENS + t] += sum;
        }
    }
}

#define FEW_ROW            few_row
#define FEW_GET(row, step) few_get_row(row, step)
#include "common/few_columns.glsl"
