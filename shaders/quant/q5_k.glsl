// Q5_K: value = d * sc * q - dmin * m. Planes 0 and 1: q as in bits5.glsl; plane 2: 16-byte units of 256
// columns: bytes 0..7 sc, 8..15 m of each 32 columns; plane 3: 4-byte units of 256 columns: d in the low
// half, dmin in the high half.
#define QUANT_HEAD 256
#define QUANT_SCALED 1
#include "common/bits5.glsl"

struct quant_head {
    uvec4 scales;
    uint d;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, 2, head), W4(row, 3, head));
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
