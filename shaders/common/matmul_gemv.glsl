// What the plain GEMV kernels of matmul and matmul_experts share: the 64 invocations of a group share
// the columns of ROWS rows and TOKENS tokens (a spec constant, at most 4); their sums meet in shared
// memory. Included after weights_dot.glsl.

const uint SIZE = 64, ROWS = 4, MAX_TOKENS = 4;

shared float sums[ROWS * MAX_TOKENS * SIZE]; // [row][token][invocation]

void add_step(quant_row rows[ROWS], uint token[MAX_TOKENS], dot_step s,
              inout float acc[ROWS * MAX_TOKENS])
{
    dot_row d[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        d[r] = dot_get_row(rows[r], s);
    }
    [[unroll]] for (int i = 0; i < QUANT_STEP / 4; i++) {
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            vec4 v = dot_x(token[t], s, i);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                acc[r * MAX_TOKENS + t] += dot(dot_value(d[r], i), v);
            }
        }
    }
}

// The sums of all invocations' columns into `sums`; ends before the barrier.
void multiply(quant_row rows[ROWS], uint token[MAX_TOKENS])
{
    float acc[ROWS * MAX_TOKENS];
    [[unroll]] for (uint i = 0; i < ROWS * MAX_TOKENS; i++) {
        acc[i] = 0.0;
    }
    uint steps = (p.cols + QUANT_STEP - 1) / QUANT_STEP;
    for (uint s = gl_LocalInvocationID.x; s < steps; s += SIZE) {
        add_step(rows, token, dot_get_step(s), acc);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            sums[(r * MAX_TOKENS + t) * SIZE + gl_LocalInvocationID.x] = acc[r * MAX_TOKENS + t];
        }
    }
}

// After the barrier.
float sum_of(uint r, uint t)
{
    float sum = 0.0;
    for (uint i = 0; i < SIZE; i++) {
        sum += sums[(r * MAX_TOKENS + t) * SIZE + i];
    }
    return sum;
}
