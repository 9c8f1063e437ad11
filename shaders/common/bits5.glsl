// Raw values of 5 bits, for formats with plane 0: 16-byte units of 32 columns, low 4 bits, column
// 8j + 4s + k in bits 4s of byte k of word j; plane 1: 16-byte units of 128 columns, high bit, column
// 32j + 4s + k in bit s of byte k of word j.
#define QUANT_STEP 32
#define QUANT_SIDE 128
#define QUANT_GROUP 32
#define QUANT_OFFSET 1
#define QUANT_INT 2
#define QUANT_MIDDLE 16

struct quant_words {
    uvec4 low;
    uint high;
};

uvec4 quant_load_side(quant_row row, uint side)
{
    return W16(row, 1, side);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step), W_SIDE(row, 1, step, side));
}

uint quant_int4(quant_words words, int i)
{
    uint low = words.low[i >> 1] >> (4 * (i & 1)) & 0x0f0f0f0fu;
    uint high = words.high >> i & 0x01010101u;
    return low | high << 4;
}

vec4 quant_raw4(quant_words words, int i)
{
    return quant_bytes4(quant_int4(words, i));
}
