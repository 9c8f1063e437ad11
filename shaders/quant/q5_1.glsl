// Q5_1: value = scale * q + minimum. Planes 0 and 1: q as in bits5.glsl; plane 2: 16-byte units of 128
// columns: f16 scale and minimum of each 32.
#define SCALES_PLANE 2
#define SCALES_MIN 1
#include "common/bits5.glsl"
#include "common/scales32.glsl"
