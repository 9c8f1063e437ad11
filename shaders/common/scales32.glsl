// Scales of blocks of 32 columns, for formats that define, before they include this file,
// SCALES_PLANE, a plane of 16-byte units of
//
//   SCALES_MIN 0   256 columns: the f16 scale of each block
//   SCALES_MIN 1   128 columns: a word for each block, f16 scale low, f16 minimum high
//
// and SCALES_ZERO, the raw value that means 0 where there are no minima. Defined here: QUANT_HEAD,
// quant_head, quant_load_head, quant_scale, quant_offset. A head is a unit where that costs no more
// than a word.
#ifdef W_WIDE
#if SCALES_MIN == 0
#define QUANT_HEAD 256
#else
#define QUANT_HEAD 128
#endif

struct quant_head {
    uvec4 words;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, SCALES_PLANE, head));
}

uint scales_word(quant_head head, uint i)
{
    uvec2 pair = i < 2u ? head.words.xy : head.words.zw;
    return (i & 1u) == 0u ? pair.x : pair.y;
}
#else
#if SCALES_MIN == 0
#define QUANT_HEAD 64
#else
#define QUANT_HEAD 32
#endif

struct quant_head {
    uint word;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W4_OF_16(row, SCALES_PLANE, head));
}

uint scales_word(quant_head head, uint i)
{
    return head.word;
}
#endif

#if SCALES_MIN == 0
vec2 quant_scale(quant_head head, uint chunk)
{
    return vec2(unpackHalf2x16(scales_word(head, chunk >> 1) >> (16u * (chunk & 1u))).x);
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return -SCALES_ZERO * quant_scale(head, chunk);
}
#else
vec2 quant_scale(quant_head head, uint chunk)
{
    return vec2(unpackHalf2x16(scales_word(head, chunk)).x);
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return vec2(unpackHalf2x16(scales_word(head, chunk)).y);
}
#endif
