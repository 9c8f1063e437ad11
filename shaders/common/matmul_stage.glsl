// How the kernels of matmul and matmul_experts on matrix units bring their operands into shared
// memory: a work group makes a tile of ROWS rows x TOKENS tokens, COLUMNS columns at a time. Weights
// of any format are rounded to f16 on their way; x is staged (staged.glsl) and comes as it is. The
// next columns are on their way into registers, as they lie in memory, while the present ones are
// multiplied.
//
// Weights with more exponents than f16, and scales that are no f16 numbers, are multiplied by a power
// of two on the way, 2^(p.w_exponent - 127), which brings the largest weight to about 2^14, and sums
// by its inverse.
//
// Of formats with ints, two at a time are made f16 and scaled as such: f16(1024 + n) is 0x6400 | n.
// Where their bytes come by fours, the pairs are not of neighbours: then columns are in another order
// in the tiles (SHUFFLED), of weights and x alike.
//
// The including shader has p.cols, a multiple of COLUMNS, the weights and "format.glsl", and says
// which row of the weight and of x are row and token i, within bounds (W_ROW(i), X_ROW(i)).

// The default is what validation layers (1.4.309) take for the size of SPIR-V 1.6.
layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 2) const uint ROWS = 64;
layout(constant_id = 3) const uint TOKENS = 64;
layout(constant_id = 5) const uint COLUMNS = 32; // a multiple of 32

layout(binding = 1) readonly buffer x_block
{
    uvec4 eights[]; // [token][cols / 8] of f16
}
x;
layout(binding = 4) readonly buffer scale_block
{
    float at[]; // [token]
}
scale;

const uint LOCAL = gl_WorkGroupSize.x;

// Both tiles in units of eight f16: rows of weights, then tokens. A row takes an odd number of units,
// so that eight rows lie in different banks.
const uint UNITS = COLUMNS / 8;
const uint STRIDE = UNITS + 1;
const uint X_TILE = ROWS * STRIDE;
shared uvec4 tile[(ROWS + TOKENS) * STRIDE];

// What an invocation brings into the tiles: of the weights, one fetch at a time, or two where a fetch
// is half a unit.
const uint LOADS = QUANT_STEP < 8 ? 8 / QUANT_STEP : 1;
const uint W_COLS = QUANT_STEP * LOADS;
const uint W_STEPS = COLUMNS / W_COLS;
const uint W_ITEMS = (ROWS * W_STEPS + LOCAL - 1) / LOCAL;
const uint X_ITEMS = (TOKENS * UNITS + LOCAL - 1) / LOCAL;
quant_words w_words[W_ITEMS * LOADS];
#if QUANT_GROUP != 0
quant_head w_head[W_ITEMS];
#endif
uvec4 x_words[X_ITEMS];

#if defined(QUANT_WIDE) || defined(QUANT_SCALED)
#define SCALED 1
#endif

#if defined(QUANT_PAIRS)
#define PAIRS 1
#elif defined(QUANT_INT)
#define PAIRS 1
#define SHUFFLED 1 // columns (0, 2), (1, 3), (4, 6), (5, 7) of eight
#define QUANT_ZERO (QUANT_INT == 1 ? 128 : 0)

uint quant_pair(quant_words words, int i, int k)
{
    uint four = quant_int4(words, 2 * i + (k >> 1)) >> (8 * (k & 1)) & 0x00ff00ffu;
    return QUANT_INT == 1 ? four ^ 0x00800080u : four;
}
#endif

// What is taken from a pair: ints about 0 keep what the rounding of scales makes of them small.
#if defined(PAIRS) && QUANT_INT == 2
#define PAIR_ZERO (QUANT_ZERO + QUANT_MIDDLE)
#elif defined(PAIRS)
#define PAIR_ZERO QUANT_ZERO
#endif

// What sums are multiplied by, beside the scale of the token.
float sum_factor()
{
#ifdef SCALED
    return uintBitsToFloat(254u - p.w_exponent << 23);
#else
    return 1.0;
#endif
}

// Items beyond the end of a tile repeat the last one and are not put there.
bool is_item(uint i, uint count)
{
    return count % LOCAL == 0 || i < count;
}

uint get_item(uint n, uint count)
{
    uint i = n * LOCAL + gl_LocalInvocationID.x;
    return count % LOCAL == 0 ? i : min(i, count - 1);
}

void fetch(uint first_row, uint first_token, uint first_col)
{
    [[unroll]] for (uint n = 0; n < W_ITEMS; n++) {
        uint i = get_item(n, ROWS * W_STEPS);
        uint col = first_col + i % W_STEPS * W_COLS, chunk = col >> 5;
        quant_row row = quant_get_row(W_ROW(first_row + i / W_STEPS));
        uvec4 side = uvec4(0u);
#if QUANT_SIDE != 0
        side = quant_load_side(row, chunk / (QUANT_SIDE / 32));
#endif
        [[unroll]] for (uint l = 0; l < LOADS; l++) {
            w_words[n * LOADS + l] = quant_load(row, col / QUANT_STEP + l, side);
        }
#if QUANT_GROUP != 0
        w_head[n] = quant_load_head(row, chunk / (QUANT_HEAD / 32));
#endif
    }
    [[unroll]] for (uint n = 0; n < X_ITEMS; n++) {
        uint i = get_item(n, TOKENS * UNITS);
        x_words[n] =
            x.eights[X_ROW(first_token + i / UNITS) * (p.cols >> 3) + (first_col >> 3) + i % UNITS];
    }
}

#ifdef PAIRS
// Eight columns of item n, from column 8q of it, as f16 in the order of the tiles.
uvec4 w_eight(uint n, uint q, vec2 by, vec2 offset, uint half_chunk)
{
    const uint PER_LOAD = QUANT_STEP / 8;
    f16vec2 s = f16vec2(by[half_chunk]), o = f16vec2(offset[half_chunk]);
    uvec4 eight;
    [[unroll]] for (int k = 0; k < 4; k++) {
        uint pair = quant_pair(w_words[n * LOADS + q / PER_LOAD], int(q % PER_LOAD), k);
        f16vec2 v = unpackFloat2x16(pair | 0x64006400u) - float16_t(1024 + PAIR_ZERO);
        eight[k] = packFloat2x16(QUANT_INT == 1 ? v * s : v * s + o);
    }
    return eight;
}

uvec4 x_eight(uvec4 w)
{
    return uvec4((w.xz & 0xffffu) | w.yw << 16, w.xz >> 16 | (w.yw & 0xffff0000u)).xzyw;
}
#elif defined(QUANT_HALF)
uvec4 w_eight(uint n, uint q, vec2 by, vec2 offset, uint half_chunk)
{
    return w_words[n].w;
}
#else
// Four columns of item n, from column 4q of it, rounded to f16.
uvec2 w_quad(uint n, uint q, vec2 by, vec2 offset, uint half_chunk)
{
    const uint PER_LOAD = QUANT_STEP / 4;
    vec4 v = quant_raw4(w_words[n * LOADS + q / PER_LOAD], int(q % PER_LOAD));
#if QUANT_GROUP != 0
    v = v * by[half_chunk];
#endif
#if QUANT_OFFSET != 0
    v += offset[half_chunk];
#endif
#ifdef QUANT_WIDE
    v *= uintBitsToFloat(p.w_exponent << 23);
#endif
    return uvec2(packFloat2x16(f16vec2(v.xy)), packFloat2x16(f16vec2(v.zw)));
}

uvec4 w_eight(uint n, uint q, vec2 by, vec2 offset, uint half_chunk)
{
    return uvec4(w_quad(n, 2 * q, by, offset, half_chunk),
                 w_quad(n, 2 * q + 1, by, offset, half_chunk));
}
#endif

void put(uint first_col)
{
    [[unroll]] for (uint n = 0; n < W_ITEMS; n++) {
        uint i = n * LOCAL + gl_LocalInvocationID.x;
        uint to = i / W_STEPS * STRIDE + i % W_STEPS * (W_COLS / 8);
        uint col = first_col + i % W_STEPS * W_COLS;
        vec2 by = vec2(1.0), offset = vec2(0.0);
#if QUANT_GROUP != 0
        uint chunk = (col >> 5) % (QUANT_HEAD / 32);
        by = quant_scale(w_head[n], chunk);
        offset = quant_offset(w_head[n], chunk);
#if defined(PAIRS) && QUANT_INT == 2
        offset += float(QUANT_MIDDLE) * by;
#endif
#ifdef SCALED
        float factor = uintBitsToFloat(p.w_exponent << 23);
        by *= factor;
        offset *= factor;
#endif
#endif
        if (is_item(i, ROWS * W_STEPS)) {
            [[unroll]] for (uint u = 0; u < W_COLS / 8; u++) {
                uint half_chunk = (col >> 4 & 1u) + u / 2u;
                tile[to + u] = w_eight(n, u, by, offset, half_chunk);
            }
        }
    }
    [[unroll]] for (uint n = 0; n < X_ITEMS; n++) {
        uint i = n * LOCAL + gl_LocalInvocationID.x;
        if (is_item(i, TOKENS * UNITS)) {
#ifdef SHUFFLED
            x_words[n] = x_eight(x_words[n]);
#endif
            tile[X_TILE + i / UNITS * STRIDE + i % UNITS] = x_words[n];
        }
    }
}
