// What the kernels of matmul and matmul_experts on matrix units share: a work group makes a tile of
// ROWS rows x TOKENS tokens, COLUMNS columns at a time. Weights of any format are rounded to f16 on
// their way into shared memory; x is staged (staged.glsl) and comes as it is. Subgroups share the
// tile, each with a matrix of sums in f32 for every M x N of its part. The next columns are on their
// way into registers, as they lie in memory, while the present ones are multiplied.
//
// Weights with more exponents than f16 are multiplied by a power of two on the way, 2^(p.w_exponent - 127),
// which brings the largest of them into [2^13, 2^14), and sums by its inverse.
//
// The including shader has p.cols, a multiple of COLUMNS, the weights and "format.glsl", says which
// row of the weight and of x are row and token i, within bounds (W_ROW(i), X_ROW(i)), and takes each
// sum.

layout(local_size_x_id = 0) in;             // a multiple of S
layout(constant_id = 1) const uint S = 32;  // subgroup size
layout(constant_id = 2) const uint ROWS = 64;   // a multiple of M * ROW_SUBGROUPS
layout(constant_id = 3) const uint TOKENS = 64; // a multiple of N * TOKEN_SUBGROUPS
layout(constant_id = 5) const uint COLUMNS = 32; // a multiple of 32 and of K
layout(constant_id = 6) const uint M = 16;       // of the device's matrices: M x K times K x N
layout(constant_id = 7) const uint N = 16;
layout(constant_id = 8) const uint K = 16; // a multiple of 8
layout(constant_id = 9) const uint ROW_SUBGROUPS = 2;
// M, N and K again, for types alone: validation layers (1.4.309) misread those that are calculated with.
layout(constant_id = 10) const uint TYPE_M = 16;
layout(constant_id = 11) const uint TYPE_N = 16;
layout(constant_id = 12) const uint TYPE_K = 16;

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
const uint SUBGROUPS = LOCAL / S;
const uint TOKEN_SUBGROUPS = SUBGROUPS / ROW_SUBGROUPS;
const uint MY_ROWS = ROWS / ROW_SUBGROUPS;
const uint MY_TOKENS = TOKENS / TOKEN_SUBGROUPS;
const uint BY_ROWS = MY_ROWS / M;
const uint BY_TOKENS = MY_TOKENS / N;

// Both tiles in units of eight f16: rows of weights, then tokens. A row takes an odd number of units,
// so that eight rows lie in different banks. Behind the last columns, each subgroup takes M * N / 4
// units for sums.
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

#define LEFT  coopmat<float16_t, gl_ScopeSubgroup, TYPE_M, TYPE_K, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, TYPE_K, TYPE_N, gl_MatrixUseB>
#define SUMS  coopmat<float, gl_ScopeSubgroup, TYPE_M, TYPE_N, gl_MatrixUseAccumulator>
SUMS sums[BY_ROWS * BY_TOKENS];

// What sums are multiplied by, beside the scale of the token.
float sum_factor()
{
#ifdef QUANT_WIDE
    return uintBitsToFloat(254u - p.w_exponent << 23);
#else
    return 1.0;
#endif
}

// Row and token as in W_ROW and X_ROW. `store` checks whether they are within bounds; `store_whole`
// takes sums of M rows and N tokens that all are, and is called where may_store_whole says so.
void store(uint row, uint token, float sum);
bool may_store_whole(uint first_row, uint first_token); // of the work group's tile
void store_whole(uint row, uint token, SUMS sum);

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
#endif
        if (is_item(i, ROWS * W_STEPS)) {
            [[unroll]] for (uint u = 0; u < W_COLS / 8; u++) {
                uint half_chunk = (col >> 4 & 1u) + u / 2u;
                tile[to + u] = uvec4(w_quad(n, 2 * u, by, offset, half_chunk),
                                     w_quad(n, 2 * u + 1, by, offset, half_chunk));
            }
        }
    }
    [[unroll]] for (uint n = 0; n < X_ITEMS; n++) {
        uint i = n * LOCAL + gl_LocalInvocationID.x;
        if (is_item(i, TOKENS * UNITS)) {
            tile[X_TILE + i / UNITS * STRIDE + i % UNITS] = x_words[n];
        }
    }
}

void add_products(uint my_row, uint my_token)
{
    [[unroll]] for (uint k = 0; k < UNITS; k += K / 8) {
        LEFT left[BY_ROWS];
        RIGHT right[BY_TOKENS];
        [[unroll]] for (uint r = 0; r < BY_ROWS; r++) {
            coopMatLoad(left[r], tile, (my_row + r * M) * STRIDE + k, STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
        }
        [[unroll]] for (uint t = 0; t < BY_TOKENS; t++) {
            coopMatLoad(right[t], tile, X_TILE + (my_token + t * N) * STRIDE + k, STRIDE,
                        gl_CooperativeMatrixLayoutColumnMajor);
        }
        [[unroll]] for (uint r = 0; r < BY_ROWS; r++) {
            [[unroll]] for (uint t = 0; t < BY_TOKENS; t++) {
                sums[r * BY_TOKENS + t] =
                    coopMatMulAdd(left[r], right[t], sums[r * BY_TOKENS + t]);
            }
        }
    }
}

// Through the subgroup's part of the tile, which nobody else reads any more.
void store_sums(uint first_row, uint first_token)
{
    uint mine = gl_SubgroupID * (M * N / 4);
    [[unroll]] for (uint r = 0; r < BY_ROWS; r++) {
        [[unroll]] for (uint t = 0; t < BY_TOKENS; t++) {
            coopMatStore(sums[r * BY_TOKENS + t], tile, mine, M / 4,
                         gl_CooperativeMatrixLayoutColumnMajor);
            subgroupMemoryBarrierShared();
            subgroupBarrier();
            // Unrolled, as everything around it must be for sums to stay in registers.
            [[unroll]] for (uint n = 0; n < (M * N + S - 1) / S; n++) {
                uint i = n * S + gl_SubgroupInvocationID;
                float sum = uintBitsToFloat(tile[mine + i / 4][i % 4]);
                if (M * N % S == 0 || i < M * N) {
                    store(first_row + r * M + i % M, first_token + t * N + i / M, sum);
                }
            }
            subgroupMemoryBarrierShared();
            subgroupBarrier();
        }
    }
}

void multiply(uint first_row, uint first_token)
{
    uint my_row = gl_SubgroupID % ROW_SUBGROUPS * MY_ROWS;
    uint my_token = gl_SubgroupID / ROW_SUBGROUPS * MY_TOKENS;
    [[unroll]] for (uint i = 0; i < BY_ROWS * BY_TOKENS; i++) {
        sums[i] = SUMS(0.0);
    }
    fetch(first_row, first_token, 0u);
    for (uint col = 0; col < p.cols; col += COLUMNS) {
        put(col);
        barrier();
        // A branch of its own: compilers move plain loads down to where they are used.
        if (col + COLUMNS < p.cols) {
            fetch(first_row, first_token, col + COLUMNS);
        }
        add_products(my_row, my_token);
        barrier();
    }
    if (may_store_whole(first_row, first_token)) {
        [[unroll]] for (uint r = 0; r < BY_ROWS; r++) {
            [[unroll]] for (uint t = 0; t < BY_TOKENS; t++) {
                store_whole(first_row + my_row + r * M, first_token + my_token + t * N,
                            sums[r * BY_TOKENS + t]);
            }
        }
    } else {
        store_sums(first_row + my_row, first_token + my_token);
    }
}
