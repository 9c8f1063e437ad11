// Q5_K: value = d * sc * q - dmin * m. Plane 0: 16-byte units of 32 columns, low 4 bits, column
// 8j + 4s + k in bits 4s of byte k of word j; plane 1: 16-byte units of 128 columns, high bit, column
// 32j + 4s + k in bit s of byte k of word j; plane 2: 16-byte units of 256 columns: bytes 0..7 sc,
// 8..15 m of each 32 columns; plane 3: 4-byte units of 256 columns: d in the low half, dmin in the
// high half.
#define QUANT_STEP 32
#define QUANT_HEAD 256
#define QUANT_SIDE 128
#define QUANT_GROUP 32
#define QUANT_OFFSET 1
#define QUANT_INT 2
#define QUANT_SCALED 1
#define QUANT_MIDDLE 16

struct quant_head {
    uvec4 scales;
    uint d;
};
struct quant_words {
    uvec4 low;
    uint high;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, 2, head), W4(row, 3, head));
}

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

vec2 quant_scale(quant_head head, uint chunk)
{
    uint w = chunk < 4u ? head.scales.x : head.scales.y;
    return vec2(unpackHalf2x16(head.d).x * float(int(w >> (8u * (chunk & 3u)) & 63u)));
}

vec2 quant_offset(quant_head head, uint chunk)
{
    uint w = chunk < 4u ? head.scales.z : head.scales.w;
    return vec2(-unpackHalf2x16(head.d).y * float(int(w >> (8u * (chunk & 3u)) & 63u)));
}
