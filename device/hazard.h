/* Byte ranges read and written since the last barrier, and whether a new access must wait.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_DEVICE_HAZARD_H
#define QUADRIGA_DEVICE_HAZARD_H

#include "device/device.h"

struct span {
    const struct dev_buf *buf;
    uint64_t begin, end;
    enum dev_access access;
};

struct hazard {
    struct span *spans;
    size_t n, cap;
};

/* True when `next` reads what was written, or writes what was read or written. */
bool hazard_hits(const struct hazard *hazard, const struct span *next);
bool hazard_add(struct hazard *hazard, const struct span *span); /* false: out of memory */
void hazard_clear(struct hazard *hazard);
void hazard_finish(struct hazard *hazard);

#endif
