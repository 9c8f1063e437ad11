// What the kernels of matmul and matmul_experts on matrix units of subgroup scope share: tiles as in
// matmul_stage.glsl. Subgroups share the tile, each with a matrix of sums in f32 for every M x N of
// its part. The including shader takes each sum.

#include "common/matmul_stage.glsl"

layout(constant_id = 1) const uint S = 32;  // subgroup size; LOCAL is a multiple of it
// ROWS is a multiple of M * ROW_SUBGROUPS, TOKENS of N * TOKEN_SUBGROUPS, COLUMNS of K.
layout(constant_id = 6) const uint M = 16;  // of the device's matrices: M x K times K x N
layout(constant_id = 7) const uint N = 16;
layout(constant_id = 8) const uint K = 16; // a multiple of 8
layout(constant_id = 9) const uint ROW_SUBGROUPS = 2;
// M, N and K again, for types alone: validation layers (1.4.309) misread those that are calculated with.
layout(constant_id = 10) const uint TYPE_M = 16;
layout(constant_id = 11) const uint TYPE_N = 16;
layout(constant_id = 12) const uint TYPE_K = 16;

const uint SUBGROUPS = LOCAL / S;
const uint TOKEN_SUBGROUPS = SUBGROUPS / ROW_SUBGROUPS;
const uint MY_ROWS = ROWS / ROW_SUBGROUPS;
const uint MY_TOKENS = TOKENS / TOKEN_SUBGROUPS;
const uint BY_ROWS = MY_ROWS / M;
const uint BY_TOKENS = MY_TOKENS / N;

#define LEFT  coopmat<float16_t, gl_ScopeSubgroup, TYPE_M, TYPE_K, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, TYPE_K, TYPE_N, gl_MatrixUseB>
#define SUMS  coopmat<float, gl_ScopeSubgroup, TYPE_M, TYPE_N, gl_MatrixUseAccumulator>
SUMS sums[BY_ROWS * BY_TOKENS];

// Row and token as in W_ROW and X_ROW. `store` checks whether they are within bounds; `store_whole`
// takes sums of M rows and N tokens that all are, and is called where may_store_whole says so.
void store(uint row, uint token, float sum);
bool may_store_whole(uint first_row, uint first_token); // of the work group's tile
void store_whole(uint row, uint token, SUMS sum);

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

// Through the subgroup's part of the tile, M * N / 4 units, which nobody else reads any more.
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

// Columns [first_col, end_col): some, and a multiple of COLUMNS.
void multiply(uint first_row, uint first_token, uint first_col, uint end_col)
{
    uint my_row = gl_SubgroupID % ROW_SUBGROUPS * MY_ROWS;
    uint my_token = gl_SubgroupID / ROW_SUBGROUPS * MY_TOKENS;
    [[unroll]] for (uint i = 0; i < BY_ROWS * BY_TOKENS; i++) {
        sums[i] = SUMS(0.0);
    }
    fetch(first_row, first_token, first_col);
    for (uint col = first_col; col < end_col; col += COLUMNS) {
        put(col);
        barrier();
        // A branch of its own: compilers move plain loads down to where they are used.
        if (col + COLUMNS < end_col) {
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
