// The main of matmul_experts' kernels for few tokens, as matmul_few.glsl: a subgroup owns ROWS rows of
// the expert and takes TOKENS pairs at a time.

layout(binding = 2) writeonly buffer y_block
{
    float at[];
}
y;

void multiply(expert_part part, uint first_row)
{
    quant_row rows[MAX_ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        rows[r] = quant_get_row(part.row + min(first_row + r, part.rows - 1));
    }
    for (uint i = part.begin; i < part.end; i += TOKENS) {
        uint pair[MAX_TOKENS], token[MAX_TOKENS];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            pair[t] = expert_pair(min(i + t, part.end - 1));
            token[t] = pair[t] / p.share;
        }
        clear_sums();
        for (uint first = 0; first < p.cols; first += X_COLUMNS) {
            add_columns(rows, token, first, true);
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                float sum = sum_of(r, t);
                if (first_row + r < part.rows && i + t < part.end && subgroupElect()) {
                    y.at[pair[t] * p.rows + part.out_row + first_row + r] = sum;
                }
            }
        }
    }
}

void main()
{
    expert_part part = expert_get_part();
    uint all = gl_NumWorkGroups.y * gl_NumWorkGroups.z * gl_NumSubgroups * ROWS;
    uint group_row = row_tile() * gl_NumSubgroups * ROWS;
    for (; group_row < part.rows; group_row += all) {
        multiply(part, group_row + gl_SubgroupID * ROWS);
    }
}
