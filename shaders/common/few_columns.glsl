// The loop over the columns of the kernels for few tokens. Before it: few_sizes.glsl, FEW_ROW, what one
// fetch of a row is, FEW_GET(row, step), which gets it, and
//
//   load_x(token, first)   brings columns [first, first + X_COLUMNS) of the tokens into shared memory
//   add_fetch(d, u, at)    adds fetch u of each row, whose x is that of fetch `at` there

// UNROLL fetches of each row, every gl_SubgroupSize-th, from `s` of the `n` whose x is in shared
// memory; these begin at fetch `first` of the row.
void get_fetches(quant_row rows[MAX_ROWS], uint first, uint s, uint n,
                 out FEW_ROW d[MAX_UNROLL * MAX_ROWS])
{
    [[unroll]] for (uint u = 0; u < UNROLL; u++) {
        uint step = first + min(s + u * gl_SubgroupSize, n - 1u);
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            W_OF_ROW(r);
            d[u * MAX_ROWS + r] = FEW_GET(rows[r], step);
        }
    }
}

// The columns from `first` on whose x is in shared memory or, before that, is brought there (`load`):
// then weights are on their way meanwhile.
void add_columns(quant_row rows[MAX_ROWS], uint token[MAX_TOKENS], uint first, bool load)
{
    uint n = (min(X_COLUMNS, p.cols - first) + QUANT_STEP - 1) / QUANT_STEP;
    uint begin = first / QUANT_STEP, s = gl_SubgroupInvocationID;
    FEW_ROW d[MAX_UNROLL * MAX_ROWS];
    get_fetches(rows, begin, s, n, d);
    if (load) {
        barrier();
        load_x(token, first);
        barrier();
    }
    for (; s < n; s += UNROLL * gl_SubgroupSize) {
        FEW_ROW next[MAX_UNROLL * MAX_ROWS];
        if (s + UNROLL * gl_SubgroupSize < n) {
            get_fetches(rows, begin, s + UNROLL * gl_SubgroupSize, n, next);
        }
        [[unroll]] for (uint u = 0; u < UNROLL; u++) {
            if (s + u * gl_SubgroupSize < n) {
                add_fetch(d, u, s + u * gl_SubgroupSize);
            }
        }
        d = next;
    }
}

void clear_sums()
{
    [[unroll]] for (uint i = 0; i < MAX_ROWS * MAX_TOKENS; i++) {
        acc[i] = 0.0;
    }
}

// In every lane.
float sum_of(uint r, uint t)
{
    return subgroupAdd(acc[r * MAX_TOKENS + t]);
}
