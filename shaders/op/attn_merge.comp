#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Joins the partial results of attention's splits, in the order of the splits: one invocation per
// value of the result.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint HEAD_DIM = 64;
layout(constant_id = 2) const uint SPLITS = 2;

layout(push_constant) uniform push_block
{
    uint heads;
};

// [tokens][heads][SPLITS][maximum (of scores / ln 2), sum, HEAD_DIM values]
layout(binding = 0) readonly buffer Partial { float partial[]; };
layout(binding = 1) writeonly buffer Result { float result[]; }; // [tokens][heads][HEAD_DIM]

void main()
{
    uint i = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
    if (i >= heads * HEAD_DIM) {
        return;
    }
    uint row = token * heads + i / HEAD_DIM, dim = i % HEAD_DIM;
    uint at = row * SPLITS * (HEAD_DIM + 2);
    float top = partial[at];
    for (uint j = 1; j < SPLITS; j++) {
        top = max(top, partial[at + j * (HEAD_DIM + 2)]);
    }
    float sum = 0.0, value = 0.0;
    for (uint j = 0; j < SPLITS; j++) {
        uint from = at + j * (HEAD_DIM + 2);
        float l = partial[from + 1];
        float fade = l == 0.0 ? 0.0 : exp2(partial[from] - top); // 0: an empty split
        sum += fade * l;
        value += fade * partial[from + 2 + dim];
    }
    result[row * HEAD_DIM + dim] = sum == 0.0 ? 0.0 : value / sum;
}
