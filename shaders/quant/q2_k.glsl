// Q2_K: value = d * sc * q - dmin * m. Plane 0: 16-byte units of 64 columns, column 16j + 4s + k in
// bits 2s of byte k of word j; plane 1: 16-byte units of 256 columns: a byte for each 16 columns, sc
// in its low nibble, m in its high one; plane 2: 4-byte units of 256 columns: d in the low half,
// dmin in the high half.
#define QUANT_STEP 32
#define QUANT_HEAD 256
#define QUANT_SIDE 64
#define QUANT_GROUP 16
#define QUANT_OFFSET 1
#define QUANT_INT 2
#define QUANT_SCALED 1
#define QUANT_MIDDLE 2

struct quant_head {
    uvec4 scales;
    vec2 d;
};
struct quant_words {
    uvec2 w;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, 1, head), unpackHalf2x16(W4(row, 2, head)));
}

uvec4 quant_load_side(quant_row row, uint side)
{
    return W16(row, 0, side);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words((step & 1u) == 0u ? side.xy : side.zw);
}

uint quant_int4(quant_words words, int i)
{
    return words.w[i >> 2] >> (2 * (i & 3)) & 0x03030303u;
}

vec4 quant_raw4(quant_words words, int i)
{
    return quant_bytes4(quant_int4(words, i));
}

// The bytes of both groups of a chunk.
uint quant_scale_bytes(quant_head head, uint chunk)
{
    uint a = (chunk & 2u) == 0u ? head.scales.x : head.scales.y;
    uint b = (chunk & 2u) == 0u ? head.scales.z : head.scales.w;
    return (chunk < 4u ? a : b) >> (16u * (chunk & 1u));
}

vec2 quant_scale(quant_head head, uint chunk)
{
    uint w = quant_scale_bytes(head, chunk);
    return head.d.x * vec2(float(int(w & 15u)), float(int(w >> 8 & 15u)));
}

vec2 quant_offset(quant_head head, uint chunk)
{
    uint w = quant_scale_bytes(head, chunk);
    return -head.d.y * vec2(float(int(w >> 4 & 15u)), float(int(w >> 12 & 15u)));
}
