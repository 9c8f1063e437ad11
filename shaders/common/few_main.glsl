// The main of matmul's and matmul_gate's kernels for few tokens. A subgroup makes OUT_ROWS rows of
// the result; its row r of weights is row OUT_ROW(r) of these. Work groups take rows in turns: x stays
// where all of it has room.
void store(uint first_row, uint first_token);

void main()
{
    uint first_token = gl_WorkGroupID.x * TOKENS;
    uint token[MAX_TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        token[t] = min(first_token + t, p.tokens - 1);
    }
    uint all = gl_NumWorkGroups.y * gl_NumWorkGroups.z * gl_NumSubgroups * OUT_ROWS;
    uint group_row = row_tile() * gl_NumSubgroups * OUT_ROWS;
    bool loaded = false;
    for (; group_row < p.rows; group_row += all) {
        quant_row rows[MAX_ROWS];
        uint first_row = group_row + gl_SubgroupID * OUT_ROWS;
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            rows[r] = quant_get_row(min(first_row + OUT_ROW(r), p.rows - 1));
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
