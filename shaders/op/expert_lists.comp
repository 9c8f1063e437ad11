#version 450
// Pairs by expert: lists = [experts + 1] first entries, then the pairs of each expert in order. A
// work group makes the entries of one expert: each invocation counts a run of pairs, and all add up
// the counts of those before it.
layout(local_size_x = 64) in;
layout(push_constant) uniform push_block
{
    uint pairs;
    uint experts;
} p;
layout(binding = 0) readonly buffer ids_block { uint v[]; } ids;
layout(binding = 1) writeonly buffer lists_block { uint v[]; } lists;

const uint SIZE = 64;

shared uint less[SIZE];
shared uint same[SIZE];

uint get(uint pair)
{
    return min(ids.v[pair], p.experts - 1u);
}

void main()
{
    uint expert = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint lane = gl_LocalInvocationID.x, run = (p.pairs + SIZE - 1u) / SIZE;
    uint begin = min(lane * run, p.pairs), end = min(begin + run, p.pairs);
    uint n_less = 0u, n_same = 0u;
    for (uint i = begin; i < end; i++) {
        uint id = get(i);
        n_less += id < expert ? 1u : 0u;
        n_same += id == expert ? 1u : 0u;
    }
    less[lane] = n_less;
    same[lane] = n_same;
    barrier();
    uint first = 0u, at = 0u;
    for (uint i = 0u; i < SIZE; i++) {
        first += less[i];
        at += i < lane ? same[i] : 0u;
    }
    if (expert >= p.experts) {
        return;
    }
    if (lane == 0u) {
        lists.v[expert] = first;
    }
    if (lane == 0u && expert == p.experts - 1u) {
        lists.v[p.experts] = p.pairs;
    }
    at += p.experts + 1u + first;
    for (uint i = begin; i < end; i++) {
        if (get(i) == expert) {
            lists.v[at++] = i;
        }
    }
}
