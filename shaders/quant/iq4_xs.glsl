// IQ4_XS: value = d * (sc - 32) * one of 16 values. Plane 0: 16-byte units of 32 columns, index of
// column 8j + 4s + k in bits 4s of byte k of word j; plane 1: 4-byte units of 256 columns: d in the
// low half, high bit pairs of sc in the high half; plane 2: 4-byte units of 256 columns: low nibbles
// of sc of each 32 columns.
#include "common/nl4.glsl"

#define QUANT_STEP 32
#define QUANT_HEAD 256
#define QUANT_SIDE 0
#define QUANT_GROUP 32
#define QUANT_OFFSET 0

struct quant_head {
    uint low, high; // high bits of scales above d
};
struct quant_words {
    uvec4 w;
    vec2 table;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W4(row, 2, head), W4(row, 1, head));
}

uvec4 quant_load_side(quant_row row, uint side)
{
    return uvec4(0u);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step), nl4_table());
}

vec4 quant_raw4(quant_words words, int i)
{
    return nl4_values(words.w[i >> 1] >> (4 * (i & 1)) & 0x0f0f0f0fu, words.table);
}

vec2 quant_scale(quant_head head, uint chunk)
{
    uint low = head.low >> (4u * chunk) & 15u, high = head.high >> (16u + 2u * chunk) & 3u;
    return vec2(unpackHalf2x16(head.high).x * float(int(low | high << 4) - 32));
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return vec2(0.0);
}
