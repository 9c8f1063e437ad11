/* What devices and threads did, event by event, on the host's clock. Device times come from the
 * timestamps that every command has anyway; how their clocks stand to the host's is looked up in
 * between (dev_calibrate).
 *
 * Owned by the session; NULL in it: off, and every call here does nothing. Thread rule: notes come
 * from any of the session's threads, its lock is taken inside; the rest while nothing is in flight,
 * on the caller's thread. */
#ifndef QUADRIGA_RUN_TRACE_H
#define QUADRIGA_RUN_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_trace;
struct run_session;
struct run_slot;
struct run_recording;

/* Values as in include/quadriga.h. */
enum run_trace_kind {
    RUN_TRACE_WORK,    /* of a device: a submission */
    RUN_TRACE_PUBLISH, /* a border leaves a device */
    RUN_TRACE_FETCH,   /* a border comes to a device */
    RUN_TRACE_PLAN,    /* of a thread, from here on */
    RUN_TRACE_RECORD,
    RUN_TRACE_SUBMIT,
    RUN_TRACE_WAIT,
    RUN_TRACE_SAMPLE,
    RUN_TRACE_READ,
};

struct run_trace_event {
    enum run_trace_kind kind;
    uint32_t device, thread;
    uint64_t step;             /* UINT64_MAX: of none */
    uint64_t begin_ns, end_ns; /* os_clock_ns */
    uint32_t part, n_parts;    /* of the step on that device */
    uint32_t n_tokens, n_out;  /* of the step */
    uint32_t first_layer, n_layers;
    uint64_t bytes; /* of a border */
    bool copied;    /* by the host */
};

/* How the clock of a device was joined with the host's. */
struct run_trace_clock {
    bool has_timestamps; /* else its events are what the host saw: from submission to end */
    bool calibrated;     /* else bracketed by submissions */
    uint64_t error_ns;   /* the largest that was seen */
};

bool run_trace_start(struct run_session *session); /* false: out of memory, logged */
void run_trace_stop(struct run_session *session);
/* Before steps: joins the clocks anew when that was long ago. */
void run_trace_tick(struct run_session *session);

void run_trace_host(struct run_session *session, enum run_trace_kind kind, uint64_t begin,
                    uint64_t end);
/* Of a slot's step; only kind, device, thread, times, bytes and copied of the event count. */
void run_trace_note(struct run_session *session, const struct run_slot *slot,
                    const struct run_recording *rec, const struct run_trace_event *event);
/* After a step was waited for. */
void run_trace_step(struct run_session *session, const struct run_slot *slot,
                    const struct run_recording *rec);

/* Up to `cap` events, in the order in which they were noted: those of one device's work in the
 * order of the steps. False: some are missing, out of memory (logged). */
bool run_trace_get(struct run_session *session, struct run_trace_event *events, size_t cap,
                   size_t *count);
void run_trace_get_clock(const struct run_session *session, uint32_t d,
                         struct run_trace_clock *out);

#endif
