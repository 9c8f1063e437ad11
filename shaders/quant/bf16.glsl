// BF16: 16-byte units of 8 columns, two to a word, the lower column in the low half.
#define QUANT_STEP 8
#define QUANT_HEAD 32
#define QUANT_SIDE 0
#define QUANT_GROUP 0
#define QUANT_OFFSET 0

struct quant_head {
    uint unused;
};
struct quant_words {
    uvec4 w;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(0u);
}

uvec4 quant_load_side(quant_row row, uint side)
{
    return uvec4(0u);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step));
}

vec4 quant_raw4(quant_words words, int i)
{
    uvec2 w = uvec2(words.w[2 * i], words.w[2 * i + 1]);
    return uintBitsToFloat(uvec4(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));
}

vec2 quant_scale(quant_head head, uint chunk)
{
    return vec2(1.0);
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return vec2(0.0);
}
