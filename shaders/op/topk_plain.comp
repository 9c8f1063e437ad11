#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The k largest finite logits of a row, by radix selection: digit by digit, from the top, lanes count
// how many of the logits that agree with all digits so far have each value of the next one, until
// what is taken from the last count is all of it. Of equal logits the lowest columns come first, so
// the digits of the column, inverted, are behind those of the logit. Then all that are at least that
// large are gathered, and put where their rank says.
// One workgroup per row.
#include "common/float_key.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint WG = 128; // size of the workgroup
layout(push_constant) uniform push_block
{
    uint cols;
    uint rows;
    uint k; // at most MOST
} p;
// Of each row: bits of k logits, then their columns; -infinity and NONE where there are fewer.
layout(binding = 0) readonly buffer x_block { uint v[]; } x;
layout(binding = 1) writeonly buffer top_block { uint v[]; } tops;

const uint MOST = 512u, NONE = 0xffffffffu, LOWEST = 0xff800000u;
const uint BINS = 256u, GROUPS = 16u, DIGITS = 8u; // four of the logit's key, four of the column
const uint RANK_STEP = 4u;                                // divides MOST
const uint LOADS = 8u;

shared uint counts[BINS];
shared uint sums[GROUPS];
shared uint keys[MOST];
shared uint columns[MOST];
shared uint found;
shared uvec3 chosen; // digit, how many are above it, how many have it

bool gathers = false;
uint digit = 0u;             // number of the one that is counted
uvec2 prefix = uvec2(0u);    // digits so far, of the key and of the inverted column
uvec2 least = uvec2(0u);     // what is gathered

void see(uint bits, uint column)
{
    uint key = (bits & 0x7fffffffu) < 0x7f800000u ? float_key(bits) : 0u, rest = ~column;
    if (gathers) {
        if (key > least.x || (key == least.x && rest >= least.y)) {
            uint at = atomicAdd(found, 1u);
            keys[at] = key;
            columns[at] = column;
        }
        return;
    }
    bool in_key = digit < 4u;
    uint word = in_key ? key : rest, shift = 24u - 8u * (digit & 3u);
    bool agrees = digit == 0u || (word >> (shift & 31u) >> 8u) == (in_key ? prefix.x : prefix.y);
    if (key != 0u && agrees && (in_key || key == prefix.x)) {
        atomicAdd(counts[(word >> shift) & 0xffu], 1u);
    }
}

// The lane's columns; several loads are on their way, since one row's group is alone on the device.
void see_all(uint lane, uint row)
{
    uint base = row * p.cols;
    [[dont_unroll]] for (uint i = lane; i < p.cols; i += LOADS * WG) {
        uint bits[LOADS];
        [[unroll]] for (uint k = 0u; k < LOADS; k++) {
            bits[k] = x.v[base + min(i + k * WG, p.cols - 1u)];
        }
        [[unroll]] for (uint k = 0u; k < LOADS; k++) {
            uint column = i + k * WG;
            see(column < p.cols ? bits[k] : LOWEST, column);
        }
    }
}

// Lane 0: from the largest digit down to that in which the `need`-th is.
void choose(uint need)
{
    uint above = 0u, group = GROUPS - 1u;
    while (group > 0u && above + sums[group] < need) {
        above += sums[group--];
    }
    uint first = group * (BINS / GROUPS), bin = first + BINS / GROUPS - 1u;
    while (bin > first && above + counts[bin] < need) {
        above += counts[bin--];
    }
    chosen = uvec3(bin, above, counts[bin]);
}

// Sets `least`.
void select(uint lane, uint row)
{
    uint need = p.k;
    bool more = true;
    for (digit = 0u; digit < DIGITS && more; digit++) {
        for (uint i = lane; i < BINS; i += WG) {
            counts[i] = 0u;
        }
        barrier();
        see_all(lane, row);
        barrier();
        for (uint i = lane; i < GROUPS; i += WG) {
            uint sum = 0u;
            [[unroll]] for (uint b = 0u; b < BINS / GROUPS; b++) {
                sum += counts[i * (BINS / GROUPS) + b];
            }
            sums[i] = sum;
        }
        barrier();
        if (lane == 0u) {
            choose(need);
        }
        barrier();
        need -= chosen.y; // fewer than k finite ones: all that there are are above and in digit 0
        more = chosen.z > need;
        uint shift = 24u - 8u * (digit & 3u);
        if (digit < 4u) {
            prefix.x = prefix.x << 8u | chosen.x;
            least.x = prefix.x << shift;
        } else {
            prefix.y = prefix.y << 8u | chosen.x;
            least.y = prefix.y << shift;
        }
    }
    least.x = max(least.x, 1u); // 0 is no finite number
}

void put(uint lane, uint row)
{
    uint base = row * 2u * p.k;
    [[dont_unroll]] for (uint i = lane; i < p.k; i += WG) {
        uint key = keys[min(i, MOST - 1u)], column = columns[min(i, MOST - 1u)];
        uint rank = 0u;
        [[dont_unroll]] for (uint j = 0u; j < found; j += RANK_STEP) {
            [[unroll]] for (uint o = 0u; o < RANK_STEP; o++) {
                bool better = keys[j + o] > key || (keys[j + o] == key && columns[j + o] < column);
                rank += better && j + o < found ? 1u : 0u;
            }
        }
        bool there = i < found;
        rank = there ? rank : i;
        tops.v[base + rank] = there ? floatBitsToUint(key_value(key)) : LOWEST;
        tops.v[base + p.k + rank] = there ? column : NONE;
    }
}

void main()
{
    uint lane = gl_LocalInvocationID.x;
    // Workgroups are folded into y; a spare one reads the last row and writes nothing.
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint own = min(row, p.rows - 1u);
    if (lane == 0u) {
        found = 0u;
    }
    select(lane, own);
    gathers = true;
    see_all(lane, own);
    barrier();
    if (row < p.rows) {
        put(lane, row);
    }
}
