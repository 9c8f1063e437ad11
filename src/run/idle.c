/* Sums of overlapping intervals by reason, and the offset between two clocks. */
#include "run/idle.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { NEAR = 8 }; /* submissions before and after one that bound its offset */

struct edge {
    uint64_t at;
    int why, step; /* step: +1 begins, -1 ends */
};

static int compare(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

bool idle_sum(const struct idle_span *spans, size_t n, uint64_t ns[IDLE_REASONS])
{
    memset(ns, 0, IDLE_REASONS * sizeof *ns);
    struct edge *edges = mem_alloc(2 * n + 1, sizeof *edges);
    if (edges == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].begin < spans[i].end) {
            edges[count++] = (struct edge){spans[i].begin, (int)spans[i].why, 1};
            edges[count++] = (struct edge){spans[i].end, (int)spans[i].why, -1};
        }
    }
    qsort(edges, count, sizeof *edges, compare);
    int open[IDLE_REASONS] = {0};
    for (size_t i = 0; i + 1 < count; i++) {
        open[edges[i].why] += edges[i].step;
        for (int why = 0; why < IDLE_REASONS; why++) {
            if (open[why] > 0) {
                ns[why] += edges[i + 1].at - edges[i].at;
                break;
            }
        }
    }
    mem_free(edges);
    return true;
}

void idle_fit_clock(const struct idle_seen *seen, size_t n, int64_t *offset)
{
    for (size_t i = 0; i < n; i++) {
        int64_t low = INT64_MIN, high = INT64_MAX;
        for (size_t k = i > NEAR ? i - NEAR : 0; k < n && k <= i + NEAR; k++) {
            int64_t least = (int64_t)(seen[k].submitted - seen[k].begin);
            int64_t most = (int64_t)(seen[k].seen - seen[k].end);
            low = least > low ? least : low;
            high = most < high ? most : high;
        }
        offset[i] =
            low + (high - low) / 2; /* drift may have crossed them: the middle all the same */
    }
}
