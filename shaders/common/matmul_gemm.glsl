// What the GEMM kernels of matmul and matmul_experts share: a tile of 64 rows x 64 tokens, 4 x 4 per
// invocation of 256; 32 columns of both are dequantized into shared memory at a time (16 KiB). The
// including shader has p.cols, the weights, "format.glsl" with weights_value.glsl, the binding x,
// and says which row of the weight and of x are row and token i, within bounds: W_ROW(i), X_ROW(i).

const uint TILE = 64, COLS = 32;

shared vec4 w_tile[COLS * TILE / 4]; // [column][row / 4]
shared vec4 x_tile[COLS * TILE / 4]; // [column][token / 4]

// Two quads of columns of four rows and of four tokens, transposed on the way.
void load(uint first_row, uint first_token, uint first_quad)
{
    uint quads = p.cols >> 2, group = gl_LocalInvocationID.x & 15u;
    uint quad = gl_LocalInvocationID.x >> 4 & 7u;
    bool inside = first_quad + quad < quads;
    uint at = inside ? first_quad + quad : 0u;
    bool weights_side = gl_LocalInvocationID.x < 128;
    mat4 m;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        vec4 v;
        if (weights_side) {
            v = quant_value4(quant_get_row(W_ROW(first_row + group * 4 + i)), at);
        } else {
            v = x.quads[X_ROW(first_token + group * 4 + i) * quads + at];
        }
        m[i] = inside ? v : vec4(0.0);
    }
    m = transpose(m);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        uint to = (quad * 4 + i) * (TILE / 4) + group;
        if (weights_side) {
            w_tile[to] = m[i];
        } else {
            x_tile[to] = m[i];
        }
    }
}

// acc[token][row]: the 4 x 4 sums of this invocation.
mat4 multiply(uint first_row, uint first_token)
{
    uint my_rows = gl_LocalInvocationID.x & 15u, my_tokens = gl_LocalInvocationID.x >> 4;
    mat4 acc = mat4(0.0);
    for (uint quad = 0; quad < p.cols >> 2; quad += COLS / 4) {
        load(first_row, first_token, quad);
        barrier();
        for (uint k = 0; k < COLS; k++) {
            vec4 w = w_tile[k * (TILE / 4) + my_rows], v = x_tile[k * (TILE / 4) + my_tokens];
            acc[0] += w * v.x;
            acc[1] += w * v.y;
            acc[2] += w * v.z;
            acc[3] += w * v.w;
        }
        barrier();
    }
    return acc;
}
