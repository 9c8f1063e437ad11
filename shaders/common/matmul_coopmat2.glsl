// What the kernels of matmul and matmul_experts on matrices of flexible dimensions share: tiles as in
// matmul_stage.glsl, of which the whole work group makes one product. SCOPE is that of the matrices:
// the work group's, or, where a device has no such matrices, a subgroup's, with one subgroup to a work
// group. The including shader makes a result of each sum, and takes it. A device may do that twice for
// an element, and results may lie where a source does: so first all are made, then all are taken.

#include "common/matmul_stage.glsl"

// ROWS, TOKENS and COLUMNS again, for types alone, as in matmul_coopmat.glsl.
layout(constant_id = 10) const uint TYPE_M = 64;
layout(constant_id = 11) const uint TYPE_N = 64;
layout(constant_id = 12) const uint TYPE_K = 32;
layout(constant_id = 13) const int SCOPE = gl_ScopeSubgroup;

#define LEFT  coopmat<float16_t, SCOPE, TYPE_M, TYPE_K, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, SCOPE, TYPE_K, TYPE_N, gl_MatrixUseB>
#define SUMS  coopmat<float, SCOPE, TYPE_M, TYPE_N, gl_MatrixUseAccumulator>

// Row and token as in W_ROW and X_ROW. `finish` and `store` check whether they are within bounds;
// `store_whole` takes all of a tile of which every element is, and is called where may_store_whole
// says so.
float finish(uint row, uint token, float sum);
void store(uint row, uint token, float result);
bool may_store_whole(uint first_row, uint first_token);
void store_whole(uint first_row, uint first_token, SUMS results);

float finish_element(const in uint row, const in uint token, const in float sum,
                     const in uint first_row, const in uint first_token)
{
    return finish(first_row + row, first_token + token, sum);
}

float store_element(const in uint row, const in uint token, const in float result,
                    const in uint first_row, const in uint first_token)
{
    store(first_row + row, first_token + token, result);
    return result;
}

// Columns [first_col, end_col): some, and a multiple of COLUMNS.
void multiply(uint first_row, uint first_token, uint first_col, uint end_col)
{
    SUMS sums = SUMS(0.0);
    fetch(first_row, first_token, first_col);
    for (uint col = first_col; col < end_col; col += COLUMNS) {
        put(col);
        barrier();
        // A branch of its own: compilers move plain loads down to where they are used.
        if (col + COLUMNS < end_col) {
            fetch(first_row, first_token, col + COLUMNS);
        }
        LEFT left;
        RIGHT right;
        coopMatLoad(left, tile, 0u, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(right, tile, X_TILE, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
        sums = coopMatMulAdd(left, right, sums);
        barrier();
    }
    coopMatPerElementNV(sums, sums, finish_element, first_row, first_token);
    barrier();
    if (may_store_whole(first_row, first_token)) {
        store_whole(first_row, first_token, sums);
    } else {
        coopMatPerElementNV(sums, sums, store_element, first_row, first_token);
    }
}
