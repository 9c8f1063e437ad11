#version 450
// fill: one plane of a weight image from a counter-based generator (src/ops/fill.h). An invocation
// writes four words. Every word depends only on seed, plane, row and its number in the row.

layout(local_size_x = 64) in;

layout(push_constant) uniform push_block
{
    uint seed_low, seed_high;
    uint plane;
    uint first;     // of the plane, in 16 bytes of the image
    uint words;     // of the plane
    uint unit_log2; // words of a unit: 0 or 2
    uint units;     // per row
    uint lanes_log2;
    uint rows; // those after them are padding: zero
    uint row0; // of the first row in the tensor
    uint mask, bits;
}
p;

layout(binding = 0) writeonly buffer image_block
{
    uvec4 quads[];
}
image;

// The finalizer of MurmurHash3 (Appleby).
uint mix_bits(uint h)
{
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return h ^ (h >> 16);
}

uint make_word(uint i)
{
    uint unit = i >> p.unit_log2;
    uint group = unit >> p.lanes_log2, lane = unit & ((1u << p.lanes_log2) - 1u);
    uint row = ((group / p.units) << p.lanes_log2) + lane;
    uint word = ((group % p.units) << p.unit_log2) + (i & ((1u << p.unit_log2) - 1u));
    if (i >= p.words || row >= p.rows) {
        return 0u;
    }
    uint h = mix_bits(p.seed_low ^ (p.plane * 0x9e3779b9u));
    h = mix_bits(h ^ p.seed_high);
    h = mix_bits(h ^ (p.row0 + row));
    h = mix_bits(h ^ word);
    return (h & p.mask) | p.bits;
}

void main()
{
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint quad = group * 64 + gl_LocalInvocationID.x, word = quad * 4;
    if (word < p.words) {
        image.quads[p.first + quad] = uvec4(make_word(word), make_word(word + 1),
                                            make_word(word + 2), make_word(word + 3));
    }
}
