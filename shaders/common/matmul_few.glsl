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

void main()
{
    uint first_token = gl_WorkGroupID.x * TOKENS;
    uint token[MAX_TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        token[t] = min(first_token + t, p.tokens - 1);
    }
    uint all = gl_NumWorkGroups.y * gl_NumWorkGroups.z * gl_NumSubgroups * ROWS;
    uint group_row = row_tile() * gl_NumSubgroups * ROWS;
    bool loaded = false;
    for (; group_row < p.rows; group_row += all) {
        quant_row rows[MAX_ROWS];
        uint first_row = group_row + gl_SubgroupID * ROWS;
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            rows[r] = quant_get_row(min(first_row + r, p.rows - 1));
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
