// The same as row_shared.glsl by subgroups of any size, with one barrier or none: each brings its
// part to shared memory, then each makes the whole of all parts. They need not be full, nor as wide
// as the device says: parts are divided among the lanes that are there.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup, a power of two

shared uint row_keys[WG]; // one for each subgroup, at most as many as invocations
shared float row_sums[WG];

uint row_max(uint key)
{
    key = subgroupMax(key);
    if (gl_NumSubgroups > 1u) {
        if (subgroupElect()) {
            row_keys[gl_SubgroupID] = key;
        }
        barrier();
        uvec4 here = subgroupBallot(true);
        uint lanes = subgroupBallotBitCount(here);
        for (uint i = subgroupBallotExclusiveBitCount(here); i < gl_NumSubgroups; i += lanes) {
            key = max(key, row_keys[i]);
        }
        key = subgroupMax(key);
    }
    return key;
}

float row_sum(float sum)
{
    sum = subgroupAdd(sum);
    if (gl_NumSubgroups > 1u) {
        if (subgroupElect()) {
            row_sums[gl_SubgroupID] = sum;
        }
        barrier();
        sum = 0.0;
        uvec4 here = subgroupBallot(true);
        uint lanes = subgroupBallotBitCount(here);
        for (uint i = subgroupBallotExclusiveBitCount(here); i < gl_NumSubgroups; i += lanes) {
            sum += row_sums[i];
        }
        sum = subgroupAdd(sum);
    }
    return sum;
}
