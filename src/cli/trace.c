/* A process per device, with its work and its exchanges as threads, and one of the host, whose
 * threads are those of the engine. Times are microseconds from the first event on. Metadata says
 * how well the clocks are joined; so does a line on standard error. */
#include "cli/trace.h"

#include "cli/json.h"
#include "cli/memory.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOST = QD_MAX_DEVICES, TID_WORK = 0, TID_EXCHANGE = 1 };

static bool fail(const struct cli_trace *trace)
{
    cli_error("%s: cannot be written: %s", trace->path, strerror(errno));
    return false;
}

bool cli_trace_open(struct cli_trace *trace, const char *path)
{
    struct stat info;
    *trace = (struct cli_trace){.path = path};
    if (path == NULL) {
        return true;
    }
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) { /* rename would replace a device */
        cli_error("%s: cannot be written: not a regular file", path);
        return false;
    }
    size_t bytes = strlen(path) + 32;
    trace->temporary = cli_alloc(bytes, 1);
    if (trace->temporary == NULL) {
        return false;
    }
    snprintf(trace->temporary, bytes, "%s.%ld.tmp", path, (long)getpid());
    int fd = open(trace->temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    trace->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (trace->file == NULL) {
        fail(trace);
        cli_free(trace->temporary);
        *trace = (struct cli_trace){0};
    }
    return trace->file != NULL;
}

/* One entry of the list; `value` is given away. */
static bool put(FILE *file, json_t *value, bool *first)
{
    bool ok = value != NULL && fputs(*first ? "\n" : ",\n", file) >= 0 &&
              json_dumpf(value, file, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0;
    *first = false;
    json_decref(value);
    return ok;
}

static bool put_name(FILE *file, bool *first, const char *what, uint32_t pid, uint32_t tid,
                     const char *name)
{
    json_t *args = json_object(), *out = json_object();
    cli_json_add(args, "name", cli_json_text(name));
    cli_json_add(out, "ph", json_string("M"));
    cli_json_add(out, "name", json_string(what));
    cli_json_add(out, "pid", json_integer(pid));
    cli_json_add(out, "tid", json_integer(tid));
    cli_json_add(out, "args", args);
    return put(file, out, first);
}

static bool put_names(FILE *file, bool *first, qd_context *context,
                      const struct qd_model_info *info)
{
    char name[320];
    bool ok = put_name(file, first, "process_name", HOST, 0, "host") &&
              put_name(file, first, "thread_name", HOST, 0, "caller");
    for (uint32_t d = 0; d < info->n_devices && ok; d++) {
        struct qd_device_info device;
        qd_device_get(context, info->device_index[d], &device);
        snprintf(name, sizeof name, "[%u] device %u: %s", d, device.index, device.name);
        ok = put_name(file, first, "process_name", d, 0, name) &&
             put_name(file, first, "thread_name", d, TID_WORK, "work") &&
             put_name(file, first, "thread_name", d, TID_EXCHANGE, "exchange");
        snprintf(name, sizeof name, "hands over to [%u]", d);
        ok = ok && (d == 0 || put_name(file, first, "thread_name", HOST, d, name));
    }
    return ok;
}

static void name_event(const struct qd_trace_event *e, char *out, size_t bytes)
{
    static const char *const names[] = {
        [QD_TRACE_WORK] = "step",           [QD_TRACE_PUBLISH] = "publish",
        [QD_TRACE_FETCH] = "fetch",         [QD_TRACE_PLAN] = "plan",
        [QD_TRACE_RECORD] = "record",       [QD_TRACE_SUBMIT] = "submit",
        [QD_TRACE_WAIT] = "wait for",       [QD_TRACE_SAMPLE] = "sample",
        [QD_TRACE_READ] = "read timestamps"};
    size_t n = (size_t)snprintf(out, bytes, "%s", names[e->kind]);
    if (e->kind == QD_TRACE_SUBMIT || e->kind == QD_TRACE_WAIT) {
        n += (size_t)snprintf(out + n, bytes - n, " [%u]", e->device);
    }
    if (e->step != UINT64_MAX) {
        n += (size_t)snprintf(out + n, bytes - n, " %" PRIu64, e->step);
    }
    if (e->kind == QD_TRACE_WORK) {
        n += (size_t)snprintf(out + n, bytes - n, ": %u tokens, layers %u-%u", e->n_tokens,
                              e->first_layer,
                              e->first_layer + (e->n_layers != 0 ? e->n_layers - 1 : 0));
    }
    if (e->n_parts > 1) {
        snprintf(out + n, bytes - n, ", part %u of %u", e->part + 1, e->n_parts);
    }
}

static json_t *event_args(const struct qd_trace_event *e)
{
    json_t *args = json_object();
    if (e->step != UINT64_MAX) {
        cli_json_add(args, "step", cli_json_uint(e->step));
        cli_json_add(args, "tokens", json_integer(e->n_tokens));
    }
    if (e->kind == QD_TRACE_WORK) {
        cli_json_add(args, "part", json_integer(e->part));
        cli_json_add(args, "parts", json_integer(e->n_parts));
        cli_json_add(args, "results", json_integer(e->n_out));
        cli_json_add(args, "first_layer", json_integer(e->first_layer));
        cli_json_add(args, "layers", json_integer(e->n_layers));
    }
    if (e->kind == QD_TRACE_PUBLISH || e->kind == QD_TRACE_FETCH) {
        cli_json_add(args, "bytes", cli_json_uint(e->bytes));
        cli_json_add(args, "copied", json_boolean(e->copied));
    }
    return args;
}

static bool put_event(FILE *file, const struct qd_trace_event *e, uint64_t zero, bool *first)
{
    static const char *const kinds[] = {
        [QD_TRACE_WORK] = "work", [QD_TRACE_PUBLISH] = "exchange", [QD_TRACE_FETCH] = "exchange",
        [QD_TRACE_PLAN] = "host", [QD_TRACE_RECORD] = "host",      [QD_TRACE_SUBMIT] = "host",
        [QD_TRACE_WAIT] = "wait", [QD_TRACE_SAMPLE] = "host",      [QD_TRACE_READ] = "host"};
    char name[128];
    bool of_device = e->kind <= QD_TRACE_FETCH;
    name_event(e, name, sizeof name);
    json_t *out = json_object();
    cli_json_add(out, "ph", json_string("X"));
    cli_json_add(out, "name", json_string(name));
    cli_json_add(out, "cat", json_string(kinds[e->kind]));
    cli_json_add(out, "pid", json_integer(of_device ? e->device : HOST));
    cli_json_add(out, "tid",
                 json_integer(!of_device                 ? e->thread
                              : e->kind == QD_TRACE_WORK ? (uint32_t)TID_WORK
                                                         : (uint32_t)TID_EXCHANGE));
    /* an event may begin before the first one by the error of the clocks */
    cli_json_add(out, "ts", json_real((double)(int64_t)(e->begin_ns - zero) / 1e3));
    cli_json_add(out, "dur", json_real((double)(e->end_ns - e->begin_ns) / 1e3));
    cli_json_add(out, "args", event_args(e));
    return put(file, out, first);
}

/* How well the clocks are joined, and the sums of the session, to be compared with the events. */
static json_t *describe(qd_session *session, const struct qd_model_info *info)
{
    json_t *out = json_object(), *devices = json_array();
    struct qd_stats stats;
    qd_session_get_stats(session, &stats);
    for (uint32_t d = 0; d < info->n_devices; d++) {
        struct qd_trace_clock clock;
        qd_session_get_trace_clock(session, d, &clock);
        const char *how = !clock.has_timestamps ? "host"
                          : clock.calibrated    ? "calibrated"
                                                : "bracketed";
        json_t *device = json_object();
        cli_json_add(device, "clock", json_string(how));
        cli_json_add(device, "clock_error_ns", cli_json_uint(clock.error_ns));
        cli_json_add(device, "busy_ns", cli_json_uint(stats.device_busy_ns[d]));
        json_array_append_new(devices, device);
        fprintf(stderr, "trace: [%u] clock %s, to %.1f us\n", d, how, (double)clock.error_ns / 1e3);
    }
    cli_json_add(out, "version", json_string(qd_version()));
    cli_json_add(out, "devices", devices);
    return out;
}

static bool write_events(FILE *file, qd_context *context, qd_model *model, qd_session *session,
                         const struct qd_trace_event *events, size_t n)
{
    struct qd_model_info info;
    qd_model_get_info(model, &info);
    bool first = true;
    uint64_t zero = n != 0 ? events[0].begin_ns : 0;
    for (size_t i = 0; i < n; i++) {
        zero = events[i].begin_ns < zero ? events[i].begin_ns : zero;
    }
    bool ok = fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", file) >= 0 &&
              put_names(file, &first, context, &info);
    for (size_t i = 0; i < n && ok; i++) {
        ok = put_event(file, &events[i], zero, &first);
    }
    json_t *about = describe(session, &info);
    ok = ok && fputs("\n],\"otherData\":", file) >= 0 &&
         json_dumpf(about, file, JSON_COMPACT) == 0 && fputs("}\n", file) >= 0;
    json_decref(about);
    return ok;
}

static bool write_trace(struct cli_trace *trace, qd_context *context, qd_model *model,
                        qd_session *session)
{
    size_t n = 0;
    enum qd_status status = qd_session_get_trace(session, NULL, 0, &n);
    struct qd_trace_event *events = cli_alloc(n, sizeof *events);
    if (events == NULL) {
        return false;
    }
    if (status == QD_OK) {
        status = qd_session_get_trace(session, events, n, &n);
    }
    bool ok = status == QD_OK;
    if (!ok) {
        cli_error_status(context, status);
    } else if (!write_events(trace->file, context, model, session, events, n) ||
               fflush(trace->file) != 0) {
        ok = fail(trace);
    }
    cli_free(events);
    return ok;
}

bool cli_trace_close(struct cli_trace *trace, qd_context *context, qd_model *model,
                     qd_session *session)
{
    if (trace->file == NULL) {
        return true;
    }
    bool ok = session == NULL || write_trace(trace, context, model, session);
    if (fclose(trace->file) != 0 && ok && session != NULL) {
        ok = fail(trace);
    }
    if (ok && session != NULL && rename(trace->temporary, trace->path) != 0) {
        ok = fail(trace);
    }
    if (!ok || session == NULL) {
        unlink(trace->temporary);
    }
    cli_free(trace->temporary);
    *trace = (struct cli_trace){0};
    return ok;
}
