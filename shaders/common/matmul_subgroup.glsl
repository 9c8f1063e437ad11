// What the subgroup kernels of matmul and matmul_experts share: ROWS rows and TOKENS tokens (spec
// constants, at most 4 and 8); the lanes share the columns in fetches of 16 bytes, neighbouring
// lanes neighbouring fetches. Included after weights_dot.glsl.

const uint MAX_ROWS = 4, MAX_TOKENS = 8;

float acc[MAX_ROWS * MAX_TOKENS];

void add_step(quant_row rows[MAX_ROWS], uint token[MAX_TOKENS], dot_step s)
{
    dot_row d[MAX_ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        d[r] = dot_get_row(rows[r], s);
    }
    [[unroll]] for (int i = 0; i < QUANT_STEP / 4; i++) {
        vec4 w[MAX_ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            w[r] = dot_value(d[r], i);
        }
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            vec4 v = dot_x(token[t], s, i);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                acc[r * MAX_TOKENS + t] += dot(w[r], v);
            }
        }
    }
}

void add_columns(quant_row rows[MAX_ROWS], uint token[MAX_TOKENS])
{
    [[unroll]] for (uint i = 0; i < MAX_ROWS * MAX_TOKENS; i++) {
        acc[i] = 0.0;
    }
    uint steps = (p.cols + QUANT_STEP - 1) / QUANT_STEP;
    for (uint s = gl_SubgroupInvocationID; s < steps; s += gl_SubgroupSize) {
        add_step(rows, token, dot_get_step(s));
    }
}

// In every lane.
float sum_of(uint r, uint t)
{
    return subgroupAdd(acc[r * MAX_TOKENS + t]);
}
