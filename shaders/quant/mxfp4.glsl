// MXFP4: value = 2^(e - 128) * v. Plane 0: 16-byte units of 32 columns, rank of v, -7..7, of column
// 8j + 4s + k in bits 4s of byte k of word j; plane 1: 4-byte units of 128 columns: e of each 32.
#define QUANT_STEP 32
#define QUANT_HEAD 128
#define QUANT_SIDE 0
#define QUANT_GROUP 32
#define QUANT_OFFSET 0

struct quant_head {
    uint exponents;
};

struct quant_words {
    uvec4 w;
};

uvec4 quant_load_side(quant_row row, uint side)
{
    return uvec4(0u);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step));
}

// 0, 1, 2, 3, 4, 6, 8 and 12 by their rank, with its sign: within 0.43 before it is rounded.
vec4 get_values(vec4 rank)
{
    return roundEven(rank * (0.7115 + 0.01923 * rank * rank));
}

vec4 quant_raw4(quant_words words, int i)
{
    uint w = words.w[i >> 1] >> (4 * (i & 1)) & 0x0f0f0f0fu;
#ifdef W_SHUFFLE
    if (S >= 8) {
        float rank = float(int(gl_SubgroupInvocationID & 7u));
        return w_lookup16(get_values(vec4(rank, rank - 8.0, 0.0, 0.0)).xy, w);
    }
#endif
    return get_values(quant_bytes4(w ^ 0x08080808u) - 8.0);
}

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(W4(row, 1, head));
}

vec2 quant_scale(quant_head head, uint chunk)
{
    uint e = head.exponents >> (8u * chunk) & 255u;
    return vec2(uintBitsToFloat(e < 2u ? 0x00200000u << e : (e - 1u) << 23));
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return vec2(0.0);
}
