/* Traces of a session. */
#include "api/objects.h"

enum qd_status qd_session_trace(qd_session *session, bool on)
{
    if (on) {
        return run_trace_start(&session->run) ? QD_OK : QD_OUT_OF_MEMORY;
    }
    run_trace_stop(&session->run);
    return QD_OK;
}

_Static_assert((int)QD_TRACE_WORK == RUN_TRACE_WORK && (int)QD_TRACE_PUBLISH == RUN_TRACE_PUBLISH &&
                   (int)QD_TRACE_FETCH == RUN_TRACE_FETCH && (int)QD_TRACE_PLAN == RUN_TRACE_PLAN &&
                   (int)QD_TRACE_RECORD == RUN_TRACE_RECORD &&
                   (int)QD_TRACE_SUBMIT == RUN_TRACE_SUBMIT &&
                   (int)QD_TRACE_WAIT == RUN_TRACE_WAIT &&
                   (int)QD_TRACE_SAMPLE == RUN_TRACE_SAMPLE && (int)QD_TRACE_READ == RUN_TRACE_READ,
               "kinds of events");

enum qd_status qd_session_get_trace(qd_session *session, struct qd_trace_event *events, size_t cap,
                                    size_t *count)
{
    struct run_trace_event *run = mem_alloc(cap + 1, sizeof *run);
    if (run == NULL) {
        log_error(session->run.log, "out of memory for %zu events of a trace", cap);
        *count = 0;
        return QD_OUT_OF_MEMORY;
    }
    bool ok = run_trace_get(&session->run, run, cap, count);
    for (size_t i = 0; i < *count && i < cap; i++) {
        const struct run_trace_event *r = &run[i];
        events[i] = (struct qd_trace_event){.kind = (enum qd_trace_kind)r->kind,
                                            .device = r->device,
                                            .thread = r->thread,
                                            .step = r->step,
                                            .begin_ns = r->begin_ns,
                                            .end_ns = r->end_ns,
                                            .part = r->part,
                                            .n_parts = r->n_parts,
                                            .n_tokens = r->n_tokens,
                                            .n_out = r->n_out,
                                            .first_layer = r->first_layer,
                                            .n_layers = r->n_layers,
                                            .bytes = r->bytes,
                                            .copied = r->copied};
    }
    mem_free(run);
    return ok ? QD_OK : QD_OUT_OF_MEMORY;
}

void qd_session_get_trace_clock(const qd_session *session, uint32_t device,
                                struct qd_trace_clock *out)
{
    struct run_trace_clock clock;
    run_trace_get_clock(&session->run, device, &clock);
    *out = (struct qd_trace_clock){clock.has_timestamps, clock.calibrated, clock.error_ns};
}
