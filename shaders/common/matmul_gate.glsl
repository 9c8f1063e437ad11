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

void main()
{
    uint first_token = gl_WorkGroupID.x * TOKENS;
    uint token[MAX_TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        token[t] = min(first_token + t, p.tokens - 1);
    }
    uint all = gl_NumWorkGroups.y * gl_NumWorkGroups.z * gl_NumSubgroups * (ROWS / 2);
    uint group_row = row_tile() * gl_NumSubgroups * (ROWS / 2);
    bool loaded = false;
    for (; group_row < p.rows; group_row += all) {
        quant_row rows[MAX_ROWS];
        uint first_row = group_row + gl_SubgroupID * (ROWS / 2);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            rows[r] = quant_get_row(min(first_row + r % (ROWS / 2), p.rows - 1));
        }
        clear_sums();
        for (uint first = 0; first < p.cols; first += X_COLUMNS) {
            if (first == 0u && !loaded) {
                norm_clear();
            }
            add_columns(rows, token, first, !loaded);
        }
        loaded = X_COLUMNS >= p.cols;
        store(first_row, first_token);
    }
}
