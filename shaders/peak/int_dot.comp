#version 450
//! needs: GL_EXT_integer_dot_product
#extension GL_EXT_integer_dot_product : require
/* Dot products of four signed bytes, added to 32 bits: 8 chains an invocation. Each step needs the
 * last one's sum: x = dot(bytes of x, bytes of 0x01ff0302) + x. */
#include "peak/push.glsl"

layout(binding = 0) writeonly buffer result_block { int v[]; } result;

#define STEP(x) x = dotPacked4x8EXT(x, c) + x;
#define EIGHT STEP(x0) STEP(x1) STEP(x2) STEP(x3) STEP(x4) STEP(x5) STEP(x6) STEP(x7)

void main()
{
    int c = floatBitsToInt(push.a), first = int(gl_GlobalInvocationID.x % 64);
    int x0 = first, x1 = first + 1, x2 = first + 2, x3 = first + 3;
    int x4 = first + 4, x5 = first + 5, x6 = first + 6, x7 = first + 7;
    for (uint i = 0; i < push.repeat; i++) {
        TIMES16(EIGHT)
    }
    result.v[gl_GlobalInvocationID.x] = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7;
}
