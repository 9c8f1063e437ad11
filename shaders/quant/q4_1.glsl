// Q4_1: value = scale * q + minimum. Plane 0: 16-byte units of 32 columns, q of column 8j + 4s + k in
// bits 4s of byte k of word j; plane 1: 16-byte units of 128 columns: f16 scale and minimum of each
// 32.
#define QUANT_STEP 32
#define QUANT_SIDE 0
#define QUANT_GROUP 32
#define QUANT_OFFSET 1
#define QUANT_INT 2
#define QUANT_MIDDLE 8
#define SCALES_PLANE 1
#define SCALES_MIN 1
#include "common/scales32.glsl"

struct quant_words {
    uvec4 w;
};

uvec4 quant_load_side(quant_row row, uint side)
{
    return uvec4(0u);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step));
}

uint quant_int4(quant_words words, int i)
{
    return words.w[i >> 1] >> (4 * (i & 1)) & 0x0f0f0f0fu;
}

vec4 quant_raw4(quant_words words, int i)
{
    return quant_bytes4(quant_int4(words, i));
}
