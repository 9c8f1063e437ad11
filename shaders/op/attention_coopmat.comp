#version 450
//! needs: GL_KHR_cooperative_matrix
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// Attention by matrix units: kv_matrix.glsl. Weights become operands by way of shared memory.
#include "common/kv_specs.glsl"

// SLAB columns of the weights of strip s at a time.
#define KV_WEIGHTS(s)                                                                              \
    [[unroll]] for (uint slab = 0; slab < BLOCK / SLAB; slab++) {                                  \
        [[unroll]] for (uint n = 0; n < SLAB / N; n++) {                                           \
            HALVES half_weights = HALVES(scores[s * BN + slab * (SLAB / N) + n]);                  \
            coopMatStore(half_weights, tiles, gl_SubgroupID * M * TILE_LINE + n * (N / 8),         \
                         TILE_LINE, ROW);                                                          \
        }                                                                                          \
        subgroupBarrier();                                                                         \
        [[unroll]] for (uint k = 0; k < SLAB / K; k++) {                                           \
            coopMatLoad(weights[s * BK + slab * (SLAB / K) + k], tiles,                            \
                        gl_SubgroupID * M * TILE_LINE + k * (K / 8), TILE_LINE, ROW);              \
        }                                                                                          \
        subgroupBarrier();                                                                         \
    }

#include "common/kv_matrix.glsl"

void main()
{
    matrix_attend();
}
