#version 450
/* Multiply-adds in registers: 8 chains an invocation, 16 with MORE; as fma() or as written. With
 * a = b = 1 every step adds 1, exactly. */
#include "peak/push.glsl"

layout(constant_id = 1) const uint MORE = 0;
layout(constant_id = 2) const uint USE_FMA = 0;

layout(binding = 0) writeonly buffer result_block { float v[]; } result;

#define STEP(x) x = USE_FMA != 0 ? fma(x, a, b) : x * a + b;
#define EIGHT(x) STEP(x##0) STEP(x##1) STEP(x##2) STEP(x##3) STEP(x##4) STEP(x##5) STEP(x##6) STEP(x##7)
#define SUM(x) ((x##0 + x##1) + (x##2 + x##3) + (x##4 + x##5) + (x##6 + x##7))

void main()
{
    float a = push.a, b = push.b, first = float(gl_GlobalInvocationID.x % 64);
    float x0 = first, x1 = first + 1, x2 = first + 2, x3 = first + 3;
    float x4 = first + 4, x5 = first + 5, x6 = first + 6, x7 = first + 7;
    float y0 = first, y1 = first + 1, y2 = first + 2, y3 = first + 3;
    float y4 = first + 4, y5 = first + 5, y6 = first + 6, y7 = first + 7;
    if (MORE != 0) {
        for (uint i = 0; i < push.repeat; i++) {
            TIMES16(EIGHT(x) EIGHT(y))
        }
    } else {
        for (uint i = 0; i < push.repeat; i++) {
            TIMES16(EIGHT(x))
        }
    }
    result.v[gl_GlobalInvocationID.x] = SUM(x) + (MORE != 0 ? SUM(y) : 0.0);
}
