/* Events of a session in an array, and moments at which two clocks were read together. Times of
 * devices are kept as they are and put on the host's clock when somebody asks: between two moments
 * a clock is taken to drift evenly. */
#include "run/trace.h"

#include "base/os.h"
#include "run/run.h"

#include <string.h>

#define TICK_NS 1000000000u /* between two looks at the clocks */

struct run_trace {
    struct run_trace_event *events; /* those of `by_device` have the device's times */
    bool *by_device;
    size_t n, cap, cap_by_device;
    struct clock {
        struct dev_moment *moments;
        size_t n, cap;
    } clocks[DEV_MAX_OPEN];
    uint64_t looked_ns;
    bool failed; /* out of memory: events are missing */
};

/* Nothing is in flight. A device that has no timestamps, or fails, has no moment more. */
static void look(struct run_session *session)
{
    struct run_trace *trace = session->trace;
    for (uint32_t d = 0; d < session->model->n_devices; d++) {
        struct clock *clock = &trace->clocks[d];
        struct dev_moment moment;
        if (!dev_calibrate(session->model->devices[d].dev, &moment)) {
            continue;
        }
        if (mem_grow((void **)&clock->moments, &clock->cap, clock->n, sizeof *clock->moments)) {
            clock->moments[clock->n++] = moment;
        } else {
            trace->failed = true;
        }
    }
    trace->looked_ns = os_clock_ns();
}

bool run_trace_start(struct run_session *session)
{
    run_trace_stop(session);
    session->trace = mem_alloc(1, sizeof *session->trace);
    if (session->trace == NULL) {
        log_error(session->log, "out of memory for a trace");
        return false;
    }
    look(session);
    return true;
}

void run_trace_stop(struct run_session *session)
{
    struct run_trace *trace = session->trace;
    session->trace = NULL;
    if (trace == NULL) {
        return;
    }
    for (uint32_t d = 0; d < DEV_MAX_OPEN; d++) {
        mem_free(trace->clocks[d].moments);
    }
    mem_free(trace->events);
    mem_free(trace->by_device);
    mem_free(trace);
}

void run_trace_tick(struct run_session *session)
{
    if (session->trace != NULL && os_clock_ns() - session->trace->looked_ns > TICK_NS) {
        look(session);
    }
}

static void add(struct run_session *session, const struct run_trace_event *event, bool by_device)
{
    struct run_trace *trace = session->trace;
    pthread_mutex_lock(&session->lock);
    if (mem_grow((void **)&trace->events, &trace->cap, trace->n, sizeof *trace->events) &&
        mem_grow((void **)&trace->by_device, &trace->cap_by_device, trace->n,
                 sizeof *trace->by_device)) {
        trace->events[trace->n] = *event;
        trace->by_device[trace->n++] = by_device;
    } else {
        trace->failed = true;
    }
    pthread_mutex_unlock(&session->lock);
}

void run_trace_host(struct run_session *session, enum run_trace_kind kind, uint64_t begin,
                    uint64_t end)
{
    if (session->trace != NULL) {
        const struct run_trace_event event = {
            .kind = kind, .step = UINT64_MAX, .begin_ns = begin, .end_ns = end};
        add(session, &event, false);
    }
}

static void note(struct run_session *session, const struct run_slot *slot,
                 const struct run_recording *rec, const struct run_trace_event *event,
                 bool by_device)
{
    struct run_trace_event full = *event;
    full.step = slot->index;
    full.n_tokens = rec->shape.n_tokens;
    full.n_out = rec->shape.n_out;
    full.first_layer = session->model->devices[event->device].first_layer;
    full.n_layers = session->model->devices[event->device].n_layers;
    add(session, &full, by_device);
}

void run_trace_note(struct run_session *session, const struct run_slot *slot,
                    const struct run_recording *rec, const struct run_trace_event *event)
{
    if (session->trace != NULL) {
        note(session, slot, rec, event, false);
    }
}

void run_trace_step(struct run_session *session, const struct run_slot *slot,
                    const struct run_recording *rec)
{
    for (uint32_t d = 0; d < session->model->n_devices && session->trace != NULL; d++) {
        const struct run_part *part = &rec->part[d];
        bool stamped = session->trace->clocks[d].n != 0;
        size_t n = stamped ? part->n_cmds : part->n_cmds != 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t ns[2] = {slot->submit_begin[d], slot->wait_end[d]};
            if (stamped && !dev_cmd_read_timers(part->cmds[i], ns, 2)) {
                break;
            }
            const struct run_trace_event event = {.kind = RUN_TRACE_WORK,
                                                  .device = d,
                                                  .part = (uint32_t)i,
                                                  .n_parts = (uint32_t)n,
                                                  .begin_ns = ns[0],
                                                  .end_ns = ns[1] > ns[0] ? ns[1] : ns[0]};
            note(session, slot, rec, &event, stamped);
        }
    }
}

/* `at` of a device on the host's clock. */
static uint64_t to_host(const struct clock *clock, uint64_t at)
{
    size_t next = 0; /* the first moment behind it */
    while (next < clock->n && clock->moments[next].device_ns <= at) {
        next++;
    }
    const struct dev_moment *a = &clock->moments[next != 0 ? next - 1 : 0];
    const struct dev_moment *b = &clock->moments[next < clock->n ? next : clock->n - 1];
    int64_t from_a = (int64_t)(at - a->device_ns);
    uint64_t host = a->host_ns + (uint64_t)from_a;
    if (a == b || b->device_ns == a->device_ns) {
        return host;
    }
    int64_t drift = (int64_t)(b->host_ns - a->host_ns) - (int64_t)(b->device_ns - a->device_ns);
    return host + (uint64_t)(int64_t)((double)drift * (double)from_a /
                                      (double)(b->device_ns - a->device_ns));
}

bool run_trace_get(struct run_session *session, struct run_trace_event *events, size_t cap,
                   size_t *count)
{
    struct run_trace *trace = session->trace;
    *count = trace != NULL ? trace->n : 0;
    if (trace == NULL || cap == 0) {
        return true;
    }
    look(session);
    for (size_t i = 0; i < trace->n && i < cap; i++) {
        events[i] = trace->events[i];
        if (trace->by_device[i]) {
            const struct clock *clock = &trace->clocks[events[i].device];
            events[i].begin_ns = to_host(clock, events[i].begin_ns);
            events[i].end_ns = to_host(clock, events[i].end_ns);
        }
    }
    if (trace->failed) {
        log_error(session->log, "out of memory for a trace: events are missing");
    }
    return !trace->failed;
}

void run_trace_get_clock(const struct run_session *session, uint32_t d, struct run_trace_clock *out)
{
    *out = (struct run_trace_clock){0};
    if (session->trace == NULL || d >= session->model->n_devices) {
        return;
    }
    const struct clock *clock = &session->trace->clocks[d];
    out->has_timestamps = clock->n != 0;
    out->calibrated = out->has_timestamps &&
                      (dev_get_caps(session->model->devices[d].dev)->has & DEV_CAP_CALIBRATED) != 0;
    for (size_t i = 0; i < clock->n; i++) {
        out->error_ns =
            clock->moments[i].error_ns > out->error_ns ? clock->moments[i].error_ns : out->error_ns;
    }
}
