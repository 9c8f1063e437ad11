// The main of matmul_gate's kernels: as matmul_few.glsl, for ROWS / 2 rows of each weight.
#include "common/gelu.glsl"
#include "common/silu.glsl"

layout(constant_id = 17) const uint GELU = 0;
layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;

void store(uint first_row, uint first_token)
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        float scale = norm_scale(t);
        [[unroll]] for (uint r = 0; r < ROWS / 2; r++) {
            vec4 gate = vec4(sum_of(r, t) * scale);
            float up = sum_of(r + ROWS / 2, t) * scale;
            uint out_row = first_row + r, out_token = first_token + t;
            if (out_row < p.rows && out_token < p.tokens && subgroupElect()) {
                float by = GELU != 0u ? gelu_gate(gate).x : silu_gate(gate).x;
                y.at[out_token * p.stride + p.row0 + out_row] = by * up;
            }
        }
    }
}

#define OUT_ROWS   (ROWS / 2)
#define OUT_ROW(r) ((r) % (ROWS / 2))
#include "common/few_main.glsl"
