#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Joins the partial results of those of attention's splits that have entries, in their order: one
// invocation per value of the result.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HEAD_DIM = 64;
layout(constant_id = 2) const uint SPLITS = 2;
layout(constant_id = 3) const uint WINDOW = 0; // as attention's
layout(constant_id = 4) const uint LOCAL = 0;

layout(push_constant) uniform push_block
{
    uint heads;
};

// [tokens][heads][SPLITS][maximum (of scores / ln 2), sum, HEAD_DIM values]
layout(binding = 0) readonly buffer Partial { float partial[]; };
layout(binding = 1) writeonly buffer Result { float result[]; }; // [tokens][heads][HEAD_DIM]
layout(binding = 2) readonly buffer Steps { uint step_words[]; };

#include "common/kv_split.glsl"
#include "common/kv_step.glsl"
#define KV_PARTIAL(i) partial[i]
#include "common/kv_merge.glsl"

void main()
{
    uint i = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
    if (i >= heads * HEAD_DIM) {
        return;
    }
    uint row = token * heads + i / HEAD_DIM, dim = i % HEAD_DIM;
    uint at = row * SPLITS * (HEAD_DIM + 2);
    uint used = kv_splits(kv_step(STEP_LEN, token), SPLITS);
    result[row * HEAD_DIM + dim] = kv_merge(at, dim, used);
}
