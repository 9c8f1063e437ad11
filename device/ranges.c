/* The free list of one slab: a sorted array. Room for the worst case of giving back is reserved
 * when a range is taken, so giving back never allocates. */
#include "device/ranges.h"

#include "base/mem.h"

#include <string.h>

bool ranges_init(struct ranges *ranges, uint64_t bytes)
{
    *ranges = (struct ranges){.cap = 4};
    ranges->free = mem_alloc(ranges->cap, sizeof *ranges->free);
    if (ranges->free == NULL) {
        return false;
    }
    ranges->free[0] = (struct range){0, bytes};
    ranges->n = 1;
    return true;
}

void ranges_finish(struct ranges *ranges)
{
    mem_free(ranges->free);
    *ranges = (struct ranges){0};
}

static void insert(struct ranges *ranges, size_t at, struct range range)
{
    memmove(ranges->free + at + 1, ranges->free + at, (ranges->n - at) * sizeof *ranges->free);
    ranges->free[at] = range;
    ranges->n++;
}

static void erase(struct ranges *ranges, size_t at)
{
    ranges->n--;
    memmove(ranges->free + at, ranges->free + at + 1, (ranges->n - at) * sizeof *ranges->free);
}

bool ranges_take(struct ranges *ranges, uint64_t bytes, uint64_t align, uint64_t *offset)
{
    size_t best = SIZE_MAX;
    uint64_t best_size = UINT64_MAX;
    for (size_t i = 0; i < ranges->n; i++) {
        struct range r = ranges->free[i];
        uint64_t begin = size_round(r.begin, align);
        if (begin >= r.begin && begin < r.end && r.end - begin >= bytes &&
            r.end - r.begin < best_size) {
            best = i;
            best_size = r.end - r.begin;
        }
    }
    if (best == SIZE_MAX || bytes == 0) {
        return false;
    }
    /* one more take means at most taken + 2 free ranges */
    while (ranges->cap < ranges->taken + 2) {
        if (!mem_grow((void **)&ranges->free, &ranges->cap, ranges->cap, sizeof *ranges->free)) {
            return false;
        }
    }
    struct range r = ranges->free[best];
    uint64_t begin = size_round(r.begin, align), end = begin + bytes;
    erase(ranges, best);
    if (end < r.end) {
        insert(ranges, best, (struct range){end, r.end});
    }
    if (r.begin < begin) {
        insert(ranges, best, (struct range){r.begin, begin});
    }
    ranges->taken++;
    *offset = begin;
    return true;
}

void ranges_give(struct ranges *ranges, uint64_t offset, uint64_t bytes)
{
    size_t at = 0;
    while (at < ranges->n && ranges->free[at].begin < offset) {
        at++;
    }
    bool left = at > 0 && ranges->free[at - 1].end == offset;
    bool right = at < ranges->n && ranges->free[at].begin == offset + bytes;
    if (left && right) {
        ranges->free[at - 1].end = ranges->free[at].end;
        erase(ranges, at);
    } else if (left) {
        ranges->free[at - 1].end += bytes;
    } else if (right) {
        ranges->free[at].begin = offset;
    } else {
        insert(ranges, at, (struct range){offset, offset + bytes});
    }
    ranges->taken--;
}
