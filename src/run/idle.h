/* What a device waits for while it does nothing: intervals on one clock, each with a reason, and
 * the time that each reason has for itself. Plain arithmetic, without a device. */
#ifndef QUADRIGA_RUN_IDLE_H
#define QUADRIGA_RUN_IDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reasons; where intervals overlap, the time is that of the first. */
enum idle_why {
    IDLE_BUSY,     /* the device works: not idle */
    IDLE_START,    /* submitted, not begun */
    IDLE_SUBMIT,   /* being submitted */
    IDLE_WAIT,     /* done, the host that waits has not seen it */
    IDLE_OTHERS,   /* other devices have work of the same session */
    IDLE_EXCHANGE, /* host copies at borders */
    IDLE_RECORD,   /* commands are recorded */
    IDLE_PREPARE,  /* a step is laid out: tokens, positions, cache slots */
    IDLE_SAMPLE,   /* a token is chosen and turned into text */
    IDLE_READ,     /* timestamps are read */
    IDLE_REASONS
};

struct idle_span {
    uint64_t begin, end; /* ns; an end before the begin counts as empty */
    enum idle_why why;
};

/* ns[why]: time covered by a span of that reason and by none of a reason before it. False: out of
 * memory. */
bool idle_sum(const struct idle_span *spans, size_t n, uint64_t ns[IDLE_REASONS]);

/* One submission as two clocks saw it. The host submitted it before the device began, and saw its
 * end after the device had ended. */
struct idle_seen {
    uint64_t submitted, seen; /* host */
    uint64_t begin, end;      /* device */
};
/* offset[i]: what added to the device's clock gives the host's, around submission i: the middle of
 * what the submissions near it allow. (Clocks drift: those far away say nothing.) */
void idle_fit_clock(const struct idle_seen *seen, size_t n, int64_t *offset);

#endif
