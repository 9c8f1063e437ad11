#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// matmul for many tokens on any device: a group of 256 makes a tile of 64 rows x 64 tokens, 4 x 4
// per invocation; 32 columns of both are dequantized into shared memory at a time (16 KiB).

layout(local_size_x = 256) in;

#include "common/weights_matmul.glsl"
#include "common/weights_buffer.glsl"
#include "format.glsl"
#include "common/weights_value.glsl"

layout(binding = 1) readonly buffer x_block
{
    vec4 quads[]; // [token][cols / 4]
}
x;
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
            uint row = min(first_row + group * 4 + i, p.rows - 1);
            v = quant_value4(quant_get_row(row), at);
        } else {
            uint token = min(first_token + group * 4 + i, p.tokens - 1);
            v = x.quads[token * quads + at];
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

void main()
{
    uint first_row = row_tile() * TILE, first_token = gl_WorkGroupID.x * TILE;
    uint my_rows = gl_LocalInvocationID.x & 15u, my_tokens = gl_LocalInvocationID.x >> 4;
    mat4 acc = mat4(0.0); // acc[token][row]
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
    [[unroll]] for (uint t = 0; t < 4; t++) {
        [[unroll]] for (uint r = 0; r < 4; r++) {
            uint row = first_row + my_rows * 4 + r, token = first_token + my_tokens * 4 + t;
            if (row < p.rows && token < p.tokens) {
                uint at = token * p.stride + p.row0 + row;
                y.at[at] = p.residual != 0 ? acc[t][r] + residual.at[at] : acc[t][r];
            }
        }
    }
}
