// Q8_0: plane 0: 16-byte units of 16 columns, int8; plane 1: 4-byte units of 64 columns: the f16
// scale of the first 32 columns in the low half, of the second 32 in the high half.
#define QUANT_STEP 16
#define QUANT_HEAD 64
#define QUANT_SIDE 0
#define QUANT_GROUP 32
#define QUANT_OFFSET 0
#define QUANT_INT 1

struct quant_head {
    uint scales;
};
struct quant_words {
    uvec4 w;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W4(row, 1, head));
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
#ifdef W_MAGIC
    uint w = words.w[i] ^ 0x80808080u;
    return vec4(quant_field(w, 0, 8, 128.0), quant_field(w, 8, 8, 128.0),
                quant_field(w, 16, 8, 128.0), quant_field(w, 24, 8, 128.0));
#else
    int w = int(words.w[i]);
    return vec4(float((w << 24) >> 24), float((w << 16) >> 24), float((w << 8) >> 24),
                float(w >> 24));
#endif
}

vec2 quant_scale(quant_head head, uint chunk)
{
    return vec2(unpackHalf2x16(head.scales >> (16u * chunk)).x);
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return vec2(0.0);
}

uint quant_int4(quant_words words, int i)
{
    return words.w[i];
}
