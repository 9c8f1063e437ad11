// Q4_K: value = d * sc * q - dmin * m. Plane 0: 16-byte units of 32 columns, column 8j + 2k + e in
// bits 4k + 16e of word j; plane 1: 16-byte units of 256 columns: bytes 0..7 sc, 8..15 m of each 32 columns;
// plane 2: 4-byte units of 256 columns: d in the low half, dmin in the high half.
#define QUANT_STEP 32
#define QUANT_HEAD 256
#define QUANT_SIDE 0
#define QUANT_GROUP 32
#define QUANT_OFFSET 1
#define QUANT_INT 2
#define QUANT_ORDER 1
#define QUANT_SCALED 1
#define QUANT_PAIRS 1
#define QUANT_ZERO 0
#define QUANT_MIDDLE 8

struct quant_head {
    uvec4 scales;
    vec2 d;
};
struct quant_words {
    uvec4 w;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, 1, head), unpackHalf2x16(W4(row, 2, head)));
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
    uint w = words.w[i >> 1] >> (8 * (i & 1));
    return vec4(quant_field(w, 0, 4, 0.0), quant_field(w, 16, 4, 0.0), quant_field(w, 4, 4, 0.0),
                quant_field(w, 20, 4, 0.0));
}

vec2 quant_scale(quant_head head, uint chunk)
{
    uint w = chunk < 4u ? head.scales.x : head.scales.y;
    return vec2(head.d.x * float(int(w >> (8u * (chunk & 3u)) & 63u)));
}

vec2 quant_offset(quant_head head, uint chunk)
{
    uint w = chunk < 4u ? head.scales.z : head.scales.w;
    return vec2(-head.d.y * float(int(w >> (8u * (chunk & 3u)) & 63u)));
}

uint quant_int4(quant_words words, int i)
{
    uint w = words.w[i >> 1] >> (8 * (i & 1));
    return (w & 0xfu) | (w >> 8 & 0xf00u) | (w & 0xf0u) << 12 | (w << 4 & 0xf000000u);
}

uint quant_pair(quant_words words, int i, int k)
{
    return words.w[i] >> (4 * k) & 0x000f000fu;
}

uint quant_raw_int4(quant_words words, int i)
{
    return words.w[i >> 1] >> (4 * (i & 1)) & 0x0f0f0f0fu;
}
