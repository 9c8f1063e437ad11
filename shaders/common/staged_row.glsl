// The staged form of a row (staged.glsl) by a workgroup: the includer defines WG, its size, a power
// of two.
#include "common/staged.glsl"

shared uint row_keys[WG];

// Exponent of the row's scale, from the largest key of each invocation. All of them call it, once.
uint row_exponent(uint lane, uint key)
{
    row_keys[lane] = key;
    barrier();
    for (uint step = WG / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            row_keys[lane] = max(row_keys[lane], row_keys[lane + step]);
        }
        barrier();
    }
    return staged_exponent(row_keys[0]);
}
