// Q6_K: value = d * sc * (q - 32). Plane 0: 16-byte units of 32 columns, low 4 bits, column 8j + 2k + e
// in bits 4k + 16e of word j; plane 1: 16-byte units of 64 columns, high 2 bits, column 16j + 2k + e
// in bits 2k + 16e of word j; plane 2: 16-byte units of 256 columns: int8 sc of each 16 columns;
// plane 3: 4-byte units of 256 columns: d in the low half.
#define QUANT_STEP 32
#define QUANT_HEAD 256
#define QUANT_SIDE 64
#define QUANT_GROUP 16
#define QUANT_OFFSET 1
#define QUANT_INT 1
#define QUANT_ORDER 1
#define QUANT_SCALED 1
#define QUANT_PAIRS 1
#define QUANT_ZERO 32

struct quant_head {
    uvec4 scales;
    float d;
};
struct quant_words {
    uvec4 low;
    uvec2 high;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W16(row, 2, head), unpackHalf2x16(W4(row, 3, head)).x);
}

uvec4 quant_load_side(quant_row row, uint side)
{
    return W16(row, 1, side);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step), (step & 1u) == 0u ? side.xy : side.zw);
}

uint quant_pair(quant_words words, int i, int k)
{
    uint high = words.high[i >> 1] >> (8 * (i & 1) + 2 * k) & 0x00030003u;
    return (words.low[i] >> (4 * k) & 0x000f000fu) + high * 16u;
}

vec4 quant_raw4(quant_words words, int i)
{
#ifdef W_MAGIC
    uint a = quant_pair(words, i >> 1, 2 * (i & 1)), b = quant_pair(words, i >> 1, 2 * (i & 1) + 1);
    return vec4(quant_field(a, 0, 6, 0.0), quant_field(a, 16, 6, 0.0), quant_field(b, 0, 6, 0.0),
                quant_field(b, 16, 6, 0.0));
#else
    uint low = words.low[i >> 1] >> (8 * (i & 1));
    uint high = words.high[i >> 2] >> (4 * (i & 3));
    return vec4(float(int((low & 15u) | (high << 4 & 48u))),
                float(int((low >> 16 & 15u) | (high >> 12 & 48u))),
                float(int((low >> 4 & 15u) | (high << 2 & 48u))),
                float(int((low >> 20 & 15u) | (high >> 14 & 48u))));
#endif
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
    return -32.0 * quant_scale(head, chunk);
}

// q - 32: no borrow leaves a byte, since its high bit is set meanwhile.
uint quant_int4(quant_words words, int i)
{
    uint low = words.low[i >> 1] >> (8 * (i & 1)), high = words.high[i >> 2] >> (4 * (i & 3));
    uint q = (low & 0xfu) | (low >> 8 & 0xf00u) | (low & 0xf0u) << 12 | (low << 4 & 0xf000000u);
    q |= (high & 3u) << 4 | (high >> 4 & 0x3000u) | (high & 12u) << 18 | (high << 10 & 0x30000000u);
    return (q | 0x80808080u) - 0x20202020u ^ 0x80808080u;
}

uint quant_raw_int4(quant_words words, int i)
{
    uint low = words.low[i >> 1] >> (4 * (i & 1)) & 0x0f0f0f0fu;
    uint high = words.high[i >> 2] >> (8 * (i >> 1 & 1) + 2 * (i & 1));
    return low | (high & 0x00030003u) << 4 | (high & 0x00300030u) << 8;
}
