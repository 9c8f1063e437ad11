/* Assumed and measured speeds of a device, and what follows for commands and chunks. */
#include "run/pace.h"

#include "base/mem.h"

#include <stdatomic.h>

enum {
    FEW_TOKENS = 8, /* up to here a step waits for memory */
    TILE = 128,     /* tokens: the largest tile of a kernel */
    FIRST_LEAST = 16,
    FIRST_MOST = 128, /* tokens of the first chunk on a GPU */
};

void pace_init(struct run_pace *pace, bool cpu)
{
    *pace = (struct run_pace){.cpu = cpu,
                              .ns_per_flop = cpu ? 1.0 / 8.0 : 1.0 / 1000.0,
                              .ns_per_byte = cpu ? 1.0 / 4.0 : 1.0 / 200.0,
                              /* a GPU: ops differ in how far they are from what is assumed */
                              .cut_ns = cpu ? RUN_SUBMIT_NS : 0.4 * RUN_SUBMIT_NS};
}

enum pace_kind pace_kind_of(uint32_t n_tokens)
{
    return n_tokens <= FEW_TOKENS ? PACE_STEP : PACE_CHUNK;
}

double pace_assumed_ns(const struct run_pace *pace, const struct op_cost *cost)
{
    double flop = cost->flop * pace->ns_per_flop, bytes = cost->bytes * pace->ns_per_byte;
    return flop > bytes ? flop : bytes;
}

bool pace_is_known(const struct run_pace *pace, enum pace_kind kind)
{
    return atomic_load(&pace->scale[kind]) > 0;
}

double pace_scale(const struct run_pace *pace, enum pace_kind kind)
{
    double scale = atomic_load(&pace->scale[kind]);
    return scale > 0 ? scale : pace->cpu ? 1 : 20; /* 50 GFLOP/s, 10 GB/s */
}

void pace_add(struct run_pace *pace, enum pace_kind kind, double assumed_ns, double ns)
{
    if (!(assumed_ns > 0) || !(ns > 0)) {
        return;
    }
    double seen = ns / assumed_ns, old = atomic_load(&pace->scale[kind]);
    if (pace->cpu) { /* shared with others: single measures say little */
        old = old > 0 ? old : 1;
        atomic_store(&pace->scale[kind], old + 0.25 * (seen - old));
    } else {
        atomic_store(&pace->scale[kind], old > seen ? old + 0.5 * (seen - old) : seen);
    }
}

bool pace_splits(const struct run_pace *pace, double open_ns, double more_ns)
{
    return open_ns + more_ns > pace->cut_ns;
}

uint32_t pace_tokens(const struct run_pace *pace, double flop)
{
    double ns = flop * pace->ns_per_flop * pace_scale(pace, PACE_CHUNK);
    double tokens = ns > 0 ? pace->cut_ns / ns : UINT32_MAX;
    uint32_t most = tokens < 1 ? 1 : tokens < (double)INT32_MAX ? (uint32_t)tokens : INT32_MAX;
    if (pace->cpu || pace_is_known(pace, PACE_CHUNK)) {
        return most;
    }
    most = most < FIRST_MOST ? most / FIRST_LEAST * FIRST_LEAST : FIRST_MOST;
    return most > FIRST_LEAST ? most : FIRST_LEAST;
}

uint32_t pace_full_tiles(uint32_t most)
{
    return most < TILE ? most : most / TILE * TILE;
}

uint32_t pace_chunk_size(uint32_t n, uint32_t most)
{
    uint32_t n_chunks = (uint32_t)size_div_up(n, most);
    uint32_t size = (uint32_t)size_div_up(n, n_chunks != 0 ? n_chunks : 1);
    return n_chunks > 1 && most % TILE == 0 ? (uint32_t)size_round(size, TILE) : size;
}
