#version 450
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
/* Multiply-adds of pairs of halves: 8 chains an invocation. With a = -1 and b = 1 a step turns x
 * into 1 - x; the number of steps, 15 a loop, is odd when the loops are. */
#include "peak/push.glsl"

layout(binding = 0) writeonly buffer result_block { float v[]; } result;

#define EIGHT                                                                                      \
    x0 = fma(x0, a, b);                                                                            \
    x1 = fma(x1, a, b);                                                                            \
    x2 = fma(x2, a, b);                                                                            \
    x3 = fma(x3, a, b);                                                                            \
    x4 = fma(x4, a, b);                                                                            \
    x5 = fma(x5, a, b);                                                                            \
    x6 = fma(x6, a, b);                                                                            \
    x7 = fma(x7, a, b);

void main()
{
    f16vec2 a = f16vec2(push.a), b = f16vec2(push.b);
    float first = float(gl_GlobalInvocationID.x % 64);
    f16vec2 x0 = f16vec2(first, first + 1), x1 = x0 + f16vec2(2), x2 = x0 + f16vec2(4);
    f16vec2 x3 = x0 + f16vec2(6), x4 = x0 + f16vec2(8), x5 = x0 + f16vec2(10);
    f16vec2 x6 = x0 + f16vec2(12), x7 = x0 + f16vec2(14);
    for (uint i = 0; i < push.repeat; i++) {
        TIMES4(EIGHT) TIMES4(EIGHT) TIMES4(EIGHT) EIGHT EIGHT EIGHT
    }
    vec2 sum = (vec2(x0) + vec2(x1)) + (vec2(x2) + vec2(x3)) + (vec2(x4) + vec2(x5)) +
               (vec2(x6) + vec2(x7));
    result.v[gl_GlobalInvocationID.x] = sum.x + sum.y;
}
