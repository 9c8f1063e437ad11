// RMSNorm of x in the matmuls that read it: y = W (x g) / sqrt(mean(x^2) + eps). x is weighed on its way
// into shared memory, where each work group meets all of it and so knows its squares; the root is
// taken of sums. Included after weights_dot.glsl.
#define X_NORM

layout(constant_id = 16) const uint NORM = 0; // 1: there is one
layout(binding = 4) readonly buffer norm_block
{
    vec4 quads[]; // [cols / 4]
}
norm;

const uint NORM_TOKENS = 8, NORM_SUBGROUPS = 64; // of a work group, at most
shared float norm_sums[NORM_TOKENS * NORM_SUBGROUPS];

float norm_squares[NORM_TOKENS]; // of what this invocation brought

void norm_clear()
{
    [[unroll]] for (uint t = 0; t < NORM_TOKENS; t++) {
        norm_squares[t] = 0.0;
    }
}

// Quad `at` of token t.
vec4 norm_weigh(uint t, vec4 v, uint at)
{
    if (NORM == 0u) {
        return v;
    }
    norm_squares[t] += dot(v, v);
    return v * norm.quads[at];
}

// What all invocations brought so far, to be read behind a barrier.
void norm_share()
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        if (NORM != 0u) {
            float sum = subgroupAdd(norm_squares[t]);
            if (subgroupElect()) {
                norm_sums[t * NORM_SUBGROUPS + gl_SubgroupID] = sum;
            }
        }
    }
}

// What the sums of token t are multiplied with.
float norm_scale(uint t)
{
    if (NORM == 0u) {
        return 1.0;
    }
    float sum = 0.0;
    for (uint i = 0; i < gl_NumSubgroups; i++) {
        sum += norm_sums[t * NORM_SUBGROUPS + i];
    }
    return 1.0 / sqrt(sum / float(p.cols) + p.eps);
}
