// The push block of all kernels of the op matmul_experts, and what a work group makes of it. The
// weight is [experts * rows][cols]; a dispatch has one segment of it, which may begin and end inside
// an expert. Pair i is entry i of ids: token i / used and its expert; y has a row for each pair, x
// one for each `share` pairs.
//
// Work groups: x is an expert of the segment, with the pairs that the list (expert_lists) gives it,
// or, where `grouped` is 0, a pair, with the expert of its id; y and z fold the tile of rows.
layout(push_constant) uniform push_block
{
    uvec4 base;      // of each plane, in its units
    uvec4 units;     // per row
    uint lanes_log2; // of the interleave
    uint cols;       // a multiple of 4
    uint rows;       // of an expert
    uint row0;       // of the segment in the weight
    uint n_rows;     // of the segment
    uint experts;
    uint share;
    uint pair0;  // of the batch: x and y are bound from there on
    uint pairs;  // of the batch
    uint all;    // pairs of all batches
    uint grouped;
    uint w_exponent; // kernels on matrix units: see matmul_coopmat.glsl
    uint magic;      // 2^23 as bits of a float, see weights.glsl
}
p;

#define W_BASE  p.base
#define W_UNITS p.units

layout(binding = 3) readonly buffer pairs_block
{
    uint at[]; // grouped: [experts + 1] first entries of each expert, [all] pairs; else ids[all]
}
pairs;

uint row_tile()
{
    return gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y;
}

// What this work group has to do: rows of one expert that are in the segment, and entries [begin,
// end) for expert_pair(). Nothing: rows or entries are none.
struct expert_part {
    uint row;     // the first one, in the segment
    uint rows;
    uint out_row; // the first one, in the expert
    uint begin, end;
};

// First entry in [begin, end) whose pair is at least `pair`; pairs of an expert ascend.
uint expert_find(uint begin, uint end, uint pair)
{
    while (begin < end) {
        uint middle = (begin + end) / 2;
        if (pairs.at[p.experts + 1 + middle] < pair) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

expert_part expert_get_part()
{
    expert_part part;
    uint expert;
    if (p.grouped != 0) {
        expert = min(p.row0 / p.rows + gl_WorkGroupID.x, p.experts - 1);
        part.begin = pairs.at[expert];
        part.end = pairs.at[expert + 1];
        if (p.pairs != p.all) {
            part.begin = expert_find(part.begin, part.end, p.pair0);
            part.end = expert_find(part.begin, part.end, p.pair0 + p.pairs);
        }
    } else {
        expert = min(pairs.at[p.pair0 + gl_WorkGroupID.x], p.experts - 1);
        part.begin = gl_WorkGroupID.x;
        part.end = part.begin + 1;
    }
    uint first = max(expert * p.rows, p.row0);
    uint end = min((expert + 1) * p.rows, p.row0 + p.n_rows);
    part.rows = end > first ? end - first : 0;
    part.row = first - p.row0;
    part.out_row = first - expert * p.rows;
    return part;
}

// Of the batch: row of y.
uint expert_pair(uint entry)
{
    return p.grouped != 0 ? pairs.at[p.experts + 1 + entry] - p.pair0 : entry;
}
