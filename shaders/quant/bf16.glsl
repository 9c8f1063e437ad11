// BF16: 16-byte units of 8 columns, two to a word, the lower column in the low half.
#define QUANT_STEP 8
#define QUANT_WIDE 1 // more exponents than f16
#include "common/floats.glsl"

vec4 quant_raw4(quant_words words, int i)
{
    uvec2 w = uvec2(words.w[2 * i], words.w[2 * i + 1]);
    return uintBitsToFloat(uvec4(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));
}
