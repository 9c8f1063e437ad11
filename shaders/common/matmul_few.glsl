// The main of matmul's kernels for few tokens (matmul_shared.glsl or matmul_few_int.glsl before it):
// a subgroup owns ROWS rows and TOKENS tokens. Subgroups of any size: they stride over the rows.

layout(binding = 2) buffer y_block
{
    float at[];
}
y;
layout(binding = 3) readonly buffer residual_block
{
    float at[];
}
residual;

void store(uint first_row, uint first_token)
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        float scale = norm_scale(t);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            float sum = sum_of(r, t) * scale;
            uint out_row = first_row + r, out_token = first_token + t;
            if (out_row < p.rows && out_token < p.tokens && subgroupElect()) {
                uint at = out_token * p.stride + p.row0 + out_row;
                y.at[at] = p.residual != 0 ? sum + residual.at[at] : sum;
            }
        }
    }
}

#define OUT_ROWS   ROWS
#define OUT_ROW(r) (r)
#include "common/few_main.glsl"
