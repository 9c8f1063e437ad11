#version 450
//! needs: GL_KHR_cooperative_matrix
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
/* Products of matrices of signed bytes added to int32 ones, as matrix.comp: two A times four B give
 * eight chains; elements are -1, 0 and 1. In every step A is added a matrix of the number a = 0, so
 * that a compiler does not keep the products. */
#include "peak/push.glsl"

layout(constant_id = 1) const uint M = 16;
layout(constant_id = 2) const uint N = 16;
layout(constant_id = 3) const uint K = 16;
layout(constant_id = 4) const uint SUBGROUP = 32;

layout(binding = 0) writeonly buffer result_block { int v[]; } result;

shared int8_t tile_a[2 * M * K];
shared int8_t tile_b[4 * K * N];

#define LEFT  coopmat<int8_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define RIGHT coopmat<int8_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>
#define SUMS  coopmat<int, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define LOAD(matrix, tile, number, rows, cols)                                                     \
    coopMatLoad(matrix, tile, number * rows * cols, cols, gl_CooperativeMatrixLayoutRowMajor);
#define EIGHT                                                                                      \
    x0 = coopMatMulAdd(a0, b0, x0);                                                                \
    x1 = coopMatMulAdd(a0, b1, x1);                                                                \
    x2 = coopMatMulAdd(a0, b2, x2);                                                                \
    x3 = coopMatMulAdd(a0, b3, x3);                                                                \
    x4 = coopMatMulAdd(a1, b0, x4);                                                                \
    x5 = coopMatMulAdd(a1, b1, x5);                                                                \
    x6 = coopMatMulAdd(a1, b2, x6);                                                                \
    x7 = coopMatMulAdd(a1, b3, x7);                                                                \
    a0 = a0 + zero;                                                                                \
    a1 = a1 + zero;

void main()
{
    for (uint i = gl_LocalInvocationID.x; i < 2 * M * K; i += gl_WorkGroupSize.x) {
        tile_a[i] = int8_t(int(i * 7 % 3) - 1);
    }
    for (uint i = gl_LocalInvocationID.x; i < 4 * K * N; i += gl_WorkGroupSize.x) {
        tile_b[i] = int8_t(int((i / N + i % N * 2 + i / (K * N)) % 3) - 1);
    }
    barrier();
    LEFT a0, a1;
    RIGHT b0, b1, b2, b3;
    LOAD(a0, tile_a, 0, M, K)
    LOAD(a1, tile_a, 1, M, K)
    LOAD(b0, tile_b, 0, K, N)
    LOAD(b1, tile_b, 1, K, N)
    LOAD(b2, tile_b, 2, K, N)
    LOAD(b3, tile_b, 3, K, N)
    LEFT zero = LEFT(int8_t(floatBitsToInt(push.a)));
    SUMS x0 = SUMS(0), x1 = SUMS(1), x2 = SUMS(2), x3 = SUMS(3);
    SUMS x4 = SUMS(4), x5 = SUMS(5), x6 = SUMS(6), x7 = SUMS(7);
    for (uint i = 0; i < push.repeat; i++) {
        TIMES4(EIGHT)
    }
    x0 = (x0 + x1) + (x2 + x3) + (x4 + x5) + (x6 + x7);
    uint subgroup = gl_WorkGroupID.x * (gl_WorkGroupSize.x / SUBGROUP) +
                    gl_LocalInvocationID.x / SUBGROUP;
    coopMatStore(x0, result.v, subgroup * M * N, N, gl_CooperativeMatrixLayoutRowMajor);
}
