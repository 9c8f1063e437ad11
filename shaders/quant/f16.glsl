// F16: 16-byte units of 8 columns, two to a word, the lower column in the low half.
#define QUANT_STEP 8
#define QUANT_HALF 1 // words are pairs of f16
#include "common/floats.glsl"

vec4 quant_raw4(quant_words words, int i)
{
    return vec4(unpackHalf2x16(words.w[2 * i]), unpackHalf2x16(words.w[2 * i + 1]));
}
