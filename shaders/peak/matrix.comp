#version 450
//! needs: GL_KHR_cooperative_matrix
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
/* Products of float16 matrices added to float32 ones, in the registers of a subgroup: 8 chains. All
 * elements of A are a, of B b; with a = b = 1 a step adds K to every element. */
#include "peak/push.glsl"

layout(constant_id = 1) const uint M = 16;
layout(constant_id = 2) const uint N = 16;
layout(constant_id = 3) const uint K = 16;
layout(constant_id = 4) const uint SUBGROUP = 32;

layout(binding = 0) writeonly buffer result_block { float v[]; } result;

#define SUMS coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define EIGHT                                                                                      \
    x0 = coopMatMulAdd(a, b, x0);                                                                  \
    x1 = coopMatMulAdd(a, b, x1);                                                                  \
    x2 = coopMatMulAdd(a, b, x2);                                                                  \
    x3 = coopMatMulAdd(a, b, x3);                                                                  \
    x4 = coopMatMulAdd(a, b, x4);                                                                  \
    x5 = coopMatMulAdd(a, b, x5);                                                                  \
    x6 = coopMatMulAdd(a, b, x6);                                                                  \
    x7 = coopMatMulAdd(a, b, x7);

void main()
{
    coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a =
        coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>(float16_t(push.a));
    coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b =
        coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>(float16_t(push.b));
    SUMS x0 = SUMS(0.0), x1 = SUMS(1.0), x2 = SUMS(2.0), x3 = SUMS(3.0);
    SUMS x4 = SUMS(4.0), x5 = SUMS(5.0), x6 = SUMS(6.0), x7 = SUMS(7.0);
    for (uint i = 0; i < push.repeat; i++) {
        TIMES4(EIGHT)
    }
    x0 = (x0 + x1) + (x2 + x3) + (x4 + x5) + (x6 + x7);
    uint subgroup = gl_WorkGroupID.x * (gl_WorkGroupSize.x / SUBGROUP) +
                    gl_LocalInvocationID.x / SUBGROUP;
    coopMatStore(x0, result.v, subgroup * M * N, N, gl_CooperativeMatrixLayoutRowMajor);
}
