// F32: 16-byte units of 4 columns.
#define QUANT_STEP 4
#define QUANT_WIDE 1 // more exponents than f16
#include "common/floats.glsl"

vec4 quant_raw4(quant_words words, int i)
{
    return uintBitsToFloat(words.w);
}
