/* Which parts of [0, bytes) are free: best fit, neighbours merged. Knows nothing of memory.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_DEVICE_RANGES_H
#define QUADRIGA_DEVICE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t begin, end;
};

struct ranges {
    struct range *free; /* sorted, never touching each other */
    size_t n, cap;
    size_t taken; /* live takes; at most taken + 1 free ranges exist */
};

bool ranges_init(struct ranges *ranges, uint64_t bytes);
void ranges_finish(struct ranges *ranges);
/* False when nothing fits (or out of memory). `align` is not 0. */
bool ranges_take(struct ranges *ranges, uint64_t bytes, uint64_t align, uint64_t *offset);
/* Exactly what was taken; cannot fail. */
void ranges_give(struct ranges *ranges, uint64_t offset, uint64_t bytes);

#endif
