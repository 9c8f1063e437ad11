#version 450
// ids[i] = index of the largest value of row i; lowest index on ties, NaN never wins. One workgroup
// per row.
layout(local_size_x = 128) in;
layout(push_constant) uniform push_block
{
    uint cols;
    uint rows;
} p;
layout(binding = 0) readonly buffer x_block { float x[]; };
layout(binding = 1) writeonly buffer ids_block { uint ids[]; };

shared float values[128];
shared uint indices[128];

void main()
{
    uint lane = gl_LocalInvocationID.x;
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint base = min(row, p.rows - 1u) * p.cols;
    float best = 0.0;
    uint index = 0xffffffffu;
    for (uint i = lane; i < p.cols; i += 128u) {
        float v = x[base + i];
        // A comparison with NaN is false; the first number is taken whatever it is.
        if (v > best || (index == 0xffffffffu && v == v)) {
            best = v;
            index = i;
        }
    }
    values[lane] = best;
    indices[lane] = index;
    barrier();
    for (uint s = 64u; s > 0u; s /= 2u) {
        if (lane < s) {
            float other = values[lane + s];
            uint at = indices[lane + s];
            bool none = indices[lane] == 0xffffffffu;
            if (at != 0xffffffffu && (none || other > values[lane] ||
                                      (other == values[lane] && at < indices[lane]))) {
                values[lane] = other;
                indices[lane] = at;
            }
        }
        barrier();
    }
    if (lane == 0u && row < p.rows) {
        ids[row] = indices[0] == 0xffffffffu ? 0u : indices[0];
    }
}
