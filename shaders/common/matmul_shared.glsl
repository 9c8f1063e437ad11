// What the kernels of matmul, matmul_gate and matmul_experts with x in shared memory have alike: ROWS rows and TOKENS
// tokens (spec constants, at most 4 and 8) to a subgroup; its lanes share the columns in fetches of
// 16 bytes, neighbouring lanes neighbouring fetches, UNROLL of them at a time. x comes through shared
// memory, X_COLUMNS columns at a time, which all subgroups of the work group read: lanes that are a
// fetch apart would read as many lines of a cache as they are. Included after weights_dot.glsl and, where x may be
// normalised, norm_x.glsl.

#include "common/few_sizes.glsl"

const uint X_UNROLL = 4;
const uint QUADS = QUANT_STEP / 4, FETCHES = X_COLUMNS / QUANT_STEP;
// Quad i of fetch s of a token lies at i * PITCH + s: what neighbouring lanes read is together, and
// the 8 quads that are stored at a time lie in different banks.
const uint PITCH = (FETCHES + 7) / 8 * 8 + 8 / QUADS;

shared vec4 x_quads[TOKENS * QUADS * PITCH];

// Columns [first, first + X_COLUMNS) of the tokens into shared memory, zeros behind the last one.
void load_x(uint token[MAX_TOKENS], uint first)
{
    uint row = p.cols >> 2, begin = first >> 2;
    for (uint q0 = gl_LocalInvocationID.x; q0 < X_COLUMNS / 4; q0 += X_UNROLL * gl_WorkGroupSize.x) {
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            vec4 v[X_UNROLL];
            [[unroll]] for (uint k = 0; k < X_UNROLL; k++) {
                uint q = begin + q0 + k * gl_WorkGroupSize.x;
                v[k] = x.quads[token[t] * row + min(q, row - 1u)];
            }
            [[unroll]] for (uint k = 0; k < X_UNROLL; k++) {
                uint q = q0 + k * gl_WorkGroupSize.x;
                bool inside = q < X_COLUMNS / 4 && begin + q < row;
                v[k] = inside ? v[k] : vec4(0.0);
#ifdef X_NORM
                v[k] = norm_weigh(t, v[k], min(begin + q, row - 1u));
#endif
                if (q < X_COLUMNS / 4) {
                    x_quads[(t * QUADS + q % QUADS) * PITCH + q / QUADS] = v[k];
                }
            }
        }
    }
#ifdef X_NORM
    norm_share();
#endif
}

// One fetch of each row. Sums of raw values first: one scale and one offset for all of a group.
void add_fetch(dot_row d[MAX_UNROLL * MAX_ROWS], uint u, uint at)
{
    const int GROUPS = QUANT_GROUP == 16 ? 2 : 1, GROUP_QUADS = QUANT_STEP / 4 / GROUPS;
    [[unroll]] for (int g = 0; g < GROUPS; g++) {
        float part[MAX_ROWS * MAX_TOKENS], x_sum[MAX_TOKENS];
        [[unroll]] for (int i = g * GROUP_QUADS; i < (g + 1) * GROUP_QUADS; i++) {
            vec4 w[MAX_ROWS];
            bool first = i == g * GROUP_QUADS;
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                w[r] = quant_raw4(d[u * MAX_ROWS + r].words, i);
            }
            [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                vec4 v = x_quads[(t * QUADS + i) * PITCH + at];
                [[unroll]] for (uint r = 0; r < ROWS; r++) {
                    float sum = dot(w[r], v);
                    part[r * MAX_TOKENS + t] = first ? sum : part[r * MAX_TOKENS + t] + sum;
                }
#if QUANT_OFFSET != 0
                float sum = (v.x + v.y) + (v.z + v.w);
                x_sum[t] = first ? sum : x_sum[t] + sum;
#endif
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            [[unroll]] for (uint t = 0; t < TOKENS; t++) {
                float sum = part[r * MAX_TOKENS + t];
#if QUANT_GROUP != 0
                sum *= d[u * MAX_ROWS + r].scale[g];
#endif
#if QUANT_OFFSET != 0
                sum += d[u * MAX_ROWS + r].offset[g] * x_sum[t];
#endif
                acc[r * MAX_TOKENS + t] += sum;
            }
        }
    }
}

#define FEW_ROW            dot_row
#define FEW_GET(row, step) dot_get_row(row, dot_get_step(step))
#include "common/few_columns.glsl"
