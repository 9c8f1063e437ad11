// Q3_K: value = d * sc * (q - 4). Plane 0: 16-byte units of 64 columns, low 2 bits, column
// 16j + 4s + k in bits 2s of byte k of word j; plane 1: 4-byte units of 32 columns, high bit, column
// 4s + k in bit s of byte k; plane 2: 16-byte units of 256 columns: int8 sc of each 16 columns;
// plane 3: 4-byte units of 256 columns: d in the low half.
#define QUANT_STEP 32
#define QUANT_HEAD 256
#define QUANT_SIDE 64
#define QUANT_GROUP 16
#define QUANT_OFFSET 1
#define QUANT_INT 2
#define QUANT_SCALED 1
#define QUANT_MIDDLE 4

struct quant_head {
    uvec4 scales;
    float d;
};
struct quant_words {
    uvec2 low;
    uint high;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, 2, head), unpackHalf2x16(W4(row, 3, head)).x);
}

uvec4 quant_load_side(quant_row row, uint side)
{
    return W16(row, 0, side);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words((step & 1u) == 0u ? side.xy : side.zw, W4(row, 1, step));
}

uint quant_int4(quant_words words, int i)
{
    uint low = words.low[i >> 2] >> (2 * (i & 3)) & 0x03030303u;
    uint high = words.high >> i & 0x01010101u;
    return low | high << 2;
}

vec4 quant_raw4(quant_words words, int i)
{
    return quant_bytes4(quant_int4(words, i));
}

vec2 quant_scale(quant_head head, uint chunk)
{
    uint a = (chunk & 2u) == 0u ? head.scales.x : head.scales.y;
    uint b = (chunk & 2u) == 0u ? head.scales.z : head.scales.w;
    int w = int((chunk < 4u ? a : b) << (16u * (1u - (chunk & 1u))));
    return head.d * vec2(float((w << 8) >> 24), float(w >> 24));
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return -4.0 * quant_scale(head, chunk);
}
