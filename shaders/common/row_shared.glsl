// The workgroup of a row, and what all its invocations make of their parts, by shared memory alone.
// All of them call these, each once.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup, a power of two

shared uint row_keys[WG];
shared float row_sums[WG];

uint row_max(uint key)
{
    uint lane = gl_LocalInvocationID.x;
    row_keys[lane] = key;
    barrier();
    for (uint step = WG / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            row_keys[lane] = max(row_keys[lane], row_keys[lane + step]);
        }
        barrier();
    }
    return row_keys[0];
}

float row_sum(float sum)
{
    uint lane = gl_LocalInvocationID.x;
    row_sums[lane] = sum;
    barrier();
    for (uint step = WG / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            row_sums[lane] += row_sums[lane + step];
        }
        barrier();
    }
    return row_sums[0];
}
