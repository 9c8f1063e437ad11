// Q5_0: value = scale * (q - 16). Planes 0 and 1: q as in bits5.glsl; plane 2: 16-byte units of 256
// columns: f16 scale of each 32.
#define SCALES_PLANE 2
#define SCALES_MIN 0
#define SCALES_ZERO 16.0
#include "common/bits5.glsl"
#include "common/scales32.glsl"
