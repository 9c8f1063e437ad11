// A team: all subgroups of a workgroup, an even number of them, work on the entries of one tile.
// Where the includer defines KV_MERGE, the team that is the last one to end joins the partial
// results of all splits, in the order of the splits.

// What each subgroup has: [TEAM][ROWS][maximum, sum, HEAD_DIM values].
shared float team_part[TEAM / 2u * 2u * ROWS * (HEAD_DIM + 2u) + 1u];

#ifdef KV_MERGE
#define TEAM_STORE(at, x) partial[at] = x
#define TEAM_ALONE(used)  (used == 1u)
#define TEAM_WHOLE        merged
#else
#define TEAM_STORE(at, x) result[at] = x
#define TEAM_ALONE(used)  false
#define TEAM_WHOLE        result
#endif

void team_store(uint row, uint j, uint d, float top, float sum, float value)
{
    uint at = (row * SPLITS + j) * (HEAD_DIM + 2u);
    TEAM_STORE(at + 2u + d, value);
    if (d == 0u) {
        TEAM_STORE(at, top);
        TEAM_STORE(at + 1u, sum);
    }
}

// Joins what the subgroups have and writes it, in the order of the subgroups.
void team_write(uint token0, uint head0, uint j, uint used)
{
    barrier();
    for (uint i = gl_LocalInvocationID.x; i < ROWS * HEAD_DIM; i += gl_WorkGroupSize.x) {
        uint r = i / HEAD_DIM, d = i % HEAD_DIM, token = token0 + r / TILE_HEADS;
        uint row = token * heads + head0 + r % TILE_HEADS;
        float top = MASKED;
        precise float sum = 0.0, value = 0.0;
        [[unroll]] for (uint m = 0; m < TEAM; m++) {
            top = max(top, team_part[(m * ROWS + r) * (HEAD_DIM + 2u)]);
        }
        [[unroll]] for (uint m = 0; m < TEAM; m++) {
            uint from = (m * ROWS + r) * (HEAD_DIM + 2u);
            float l = team_part[from + 1u];
            float fade = l == 0.0 ? 0.0 : exp2(team_part[from] - top); // 0: without entries
            sum += fade * l;
            value += fade * team_part[from + 2u + d];
        }
        if (token < tokens && (SPLITS == 1u || TEAM_ALONE(used))) {
            TEAM_WHOLE[row * HEAD_DIM + d] = sum == 0.0 ? 0.0 : value / sum;
        } else if (token < tokens) {
            team_store(row, j, d, top, sum, value);
        }
    }
}

#ifdef KV_MERGE
#define KV_PARTIAL(i) partial[i]
#include "common/kv_merge.glsl"

shared bool team_last;

// After the partial of this split is written, by teams that have one. Nobody waits for another: who
// finds that all others are there has the rest to do, and leaves the ticket as it was.
void team_merge(uint token, uint head0, uint used)
{
    if (used == 1u) {
        return;
    }
    memoryBarrierBuffer(); // what this invocation wrote of the partial, before the barrier
    barrier();
    if (gl_LocalInvocationID.x == 0u) {
        memoryBarrierBuffer(); // what all of them wrote, before the ticket
        uint ticket = step_words[STEP_TICKETS] + token * heads + head0;
        team_last = atomicAdd(tickets[ticket], 1u) == used - 1u;
        if (team_last) {
            tickets[ticket] = 0u;
        }
        memoryBarrierBuffer(); // the ticket, before the barrier
    }
    barrier();
    if (!team_last) {
        return;
    }
    memoryBarrierBuffer(); // the barrier, before the partials of the others
    for (uint i = gl_LocalInvocationID.x; i < TILE_HEADS * HEAD_DIM; i += gl_WorkGroupSize.x) {
        uint row = token * heads + head0 + i / HEAD_DIM, d = i % HEAD_DIM;
        merged[row * HEAD_DIM + d] = kv_merge(row * SPLITS * (HEAD_DIM + 2u), d, used);
    }
}
#define TEAM_MERGE(token, head0, used) team_merge(token, head0, used)
#else
#define TEAM_MERGE(token, head0, used)
#endif
