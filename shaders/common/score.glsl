// What the kernels of score share: the largest logit, the terms of the sum, the end.
#include "common/step.h"

#define SCORE_NAN 0x7fc00000u
#define SCORE_RUN 16u // terms of a partial sum

layout(push_constant) uniform push_block
{
    uint cols;
    uint rows;
} p;

// In the order of the floats; NaN is above all of them.
uint score_key(uint bits)
{
    uint magnitude = bits & 0x7fffffffu;
    uint key = bits != magnitude ? 0x80000000u - magnitude : 0x80000000u + magnitude;
    return magnitude > 0x7f800000u ? 0xffffffffu : key;
}

// Is there a largest logit that is a number? Else the row has no probabilities.
bool score_is_number(uint top)
{
    return top > 0x80000000u - 0x7f800000u && top < 0x80000000u + 0x7f800000u;
}

float score_value(uint top)
{
    uint bits = top < 0x80000000u ? (0x80000000u - top) | 0x80000000u : top - 0x80000000u;
    return score_is_number(top) ? uintBitsToFloat(bits) : 0.0;
}

float score_term(uint bits, float most)
{
    return bits == 0xff800000u ? 0.0 : exp(uintBitsToFloat(bits) - most);
}

uint score_result(uint bits, uint top, float sum)
{
    float score = uintBitsToFloat(bits) - score_value(top) - log(sum);
    return !score_is_number(top) ? SCORE_NAN : bits == 0xff800000u ? bits : floatBitsToUint(score);
}
