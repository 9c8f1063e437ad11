/* Times of a session by kernel and shape, summed after each step from the timestamps around its
 * commands. Idle time is explained by idle.c from what is noted here. */
#include "run/profile.h"

#include "base/os.h"
#include "ops/ops.h"
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A submission of a part, and when its commands ran by the device's clock. */
struct submission {
    uint32_t device;
    uint64_t begin, end;       /* of the calls that submit */
    uint64_t wait_begin, seen; /* of the wait for it */
    size_t first, n;           /* in `commands` */
};

struct run_profile {
    struct run_profile_row *rows; /* kept by a reset: recordings know their numbers */
    size_t n_rows, cap_rows;
    struct submission *submissions;
    size_t n_submissions, cap_submissions;
    uint64_t (*commands)[2];
    size_t n_commands, cap_commands;
    struct idle_span *phases; /* of the host */
    size_t n_phases, cap_phases;
    uint64_t *stamps; /* of one command */
    size_t cap_stamps;
    bool failed; /* out of memory: what was noted is incomplete */
};

static void drop_recordings(struct run_session *session)
{
    for (uint32_t s = 0; s < RUN_MAX_SLOTS; s++) {
        run_slot_forget(&session->slots[s]);
    }
}

bool run_profile_start(struct run_session *session)
{
    const struct run_model *model = session->model;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        if (dev_get_caps(model->devices[d].dev)->timestamp_bits == 0) {
            log_error(session->log, "device %u (%s) has no timestamps: no profile of its time",
                      model->devices[d].index, dev_get_info(model->devices[d].dev)->name);
            return false;
        }
    }
    run_profile_stop(session);
    session->profile = mem_alloc(1, sizeof *session->profile);
    if (session->profile == NULL) {
        log_error(session->log, "out of memory for a profile");
    }
    return session->profile != NULL;
}

void run_profile_stop(struct run_session *session)
{
    struct run_profile *profile = session->profile;
    drop_recordings(session);
    session->profile = NULL;
    if (profile != NULL) {
        mem_free(profile->rows);
        mem_free(profile->submissions);
        mem_free(profile->commands);
        mem_free(profile->phases);
        mem_free(profile->stamps);
        mem_free(profile);
    }
}

void run_profile_reset(struct run_session *session)
{
    struct run_profile *profile = session->profile;
    if (profile == NULL) {
        return;
    }
    for (size_t i = 0; i < profile->n_rows; i++) {
        struct run_profile_row *row = &profile->rows[i];
        row->calls = row->dispatches = row->ns = 0;
        row->flop = row->bytes = 0;
    }
    profile->n_submissions = profile->n_commands = profile->n_phases = 0;
    profile->failed = false;
}

/* ---- recording ---- */

/* "blk.3.ffn_gate.weight" -> "ffn_gate" */
static void short_name(const char *name, char *out, size_t bytes)
{
    if (strncmp(name, "blk.", 4) == 0) {
        const char *dot = strchr(name + 4, '.');
        name = dot != NULL ? dot + 1 : name;
    }
    snprintf(out, bytes, "%s", name);
    char *end = strstr(out, ".weight");
    if (end != NULL) {
        *end = '\0';
    }
}

/* The matrix that a node multiplies with; NULL: none. */
static const struct plan_tensor *find_matrix(const struct plan *plan, const struct plan_node *node)
{
    for (uint32_t i = 0; i < node->n_src; i++) {
        const struct plan_tensor *tensor = plan_get_tensor(plan, node->src[i]);
        if (tensor->role == PLAN_WEIGHT && tensor->rows > 1) {
            return tensor;
        }
    }
    return NULL;
}

static bool reads_cache(const struct plan *plan, const struct plan_node *node)
{
    bool found = false;
    for (uint32_t i = 0; i < node->n_src; i++) {
        found = found || plan_get_tensor(plan, node->src[i])->role == PLAN_KV;
    }
    return found;
}

/* Of a split product; else 1. */
static uint64_t count_parts(const struct plan *plan, const struct plan_node *node)
{
    struct op_matmul_attr attr;
    memcpy(&attr, node->attr, sizeof attr);
    bool split = strcmp(node->op->name, "matmul") == 0 && attr.part != 0;
    return split ? size_div_up(plan_get_tensor(plan, node->src[0])->cols, attr.part) : 1;
}

static void describe_node(const struct op_site *site, const struct plan_node *node,
                          struct run_profile_row *row)
{
    const struct plan_tensor *dst = plan_get_tensor(site->plan, node->dst[0]);
    const struct plan_tensor *matrix = find_matrix(site->plan, node);
    const struct plan_tensor *sized =
        dst->role == PLAN_KV ? plan_get_tensor(site->plan, node->src[0]) : dst;
    const struct op_used *used = site->used;
    unsigned long long rows = sized->rows, cols = sized->cols;
    snprintf(row->op, sizeof row->op, "%s", node->op->name);
    snprintf(row->variant, sizeof row->variant, "%s",
             used != NULL && used->variant != NULL ? used->variant : "");
    if (matrix != NULL) {
        snprintf(row->format, sizeof row->format, "%s", quant_get(matrix->quant)->name);
        uint64_t parts = count_parts(site->plan, node);
        int n = snprintf(row->shape, sizeof row->shape, "%llux%llux%llu",
                         (unsigned long long)matrix->rows, rows / parts,
                         (unsigned long long)matrix->cols);
        if (parts > 1) {
            snprintf(row->shape + n, sizeof row->shape - (size_t)n, "/%llu",
                     (unsigned long long)parts);
        }
    } else {
        snprintf(row->shape, sizeof row->shape, "%llux%llu", rows, cols);
    }
    short_name(matrix != NULL ? matrix->name : dst->name, row->what, sizeof row->what);
}

/* Adds `what` to a list of names, unless it is there. */
static void add_name(char *list, size_t bytes, const char *what)
{
    size_t n = strlen(what), used = strlen(list);
    for (const char *at = strstr(list, what); at != NULL; at = strstr(at + 1, what)) {
        if ((at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ',')) {
            return;
        }
    }
    if (used + n + 8 < bytes) {
        snprintf(list + used, bytes - used, "%s%s", used != 0 ? ", " : "", what);
    } else if (used + 5 < bytes && strstr(list, "...") == NULL) {
        snprintf(list + used, bytes - used, " ...");
    }
}

/* The row of this kernel and shape; UINT32_MAX: out of memory. */
static uint32_t find_row(struct run_profile *profile, const struct run_profile_row *like)
{
    for (size_t i = 0; i < profile->n_rows; i++) {
        struct run_profile_row *row = &profile->rows[i];
        if (row->device == like->device && row->kind == like->kind &&
            strcmp(row->op, like->op) == 0 && strcmp(row->variant, like->variant) == 0 &&
            strcmp(row->format, like->format) == 0 && strcmp(row->shape, like->shape) == 0) {
            add_name(row->what, sizeof row->what, like->what);
            return (uint32_t)i;
        }
    }
    if (!mem_grow((void **)&profile->rows, &profile->cap_rows, profile->n_rows,
                  sizeof *profile->rows)) {
        return UINT32_MAX;
    }
    profile->rows[profile->n_rows] = *like;
    return (uint32_t)profile->n_rows++;
}

struct run_mark run_profile_mark(const struct run_part *part)
{
    size_t cmd = part->n_cmds - 1;
    return (struct run_mark){.cmd = cmd, .first = dev_cmd_spans(part->cmds[cmd])};
}

bool run_profile_end_mark(struct run_session *session, uint32_t d, struct run_part *part,
                          const struct run_mark *mark, const struct op_site *site,
                          const struct plan_node *node, const char *what)
{
    if (session->profile == NULL) {
        return true;
    }
    struct run_profile_row row = {.device = d,
                                  .kind = node != NULL ? RUN_PROFILE_KERNEL : RUN_PROFILE_COPY};
    struct run_mark done = *mark;
    struct op_cost cost = {0};
    done.n = dev_cmd_spans(part->cmds[mark->cmd]) - mark->first;
    if (node == NULL && done.n == 0) {
        return true; /* memory that both see: nothing to copy */
    }
    if (node == NULL) {
        snprintf(row.op, sizeof row.op, "copy");
        snprintf(row.shape, sizeof row.shape, "%s", what); /* each kind has its row */
    } else {
        describe_node(site, node, &row);
        node->op->cost(site->plan, node, &cost);
        if (!reads_cache(site->plan, node)) { /* how full a cache is, its cost does not know */
            done.flop = cost.flop;
            done.bytes = cost.bytes;
        }
    }
    pthread_mutex_lock(&session->lock);
    done.row = find_row(session->profile, &row);
    pthread_mutex_unlock(&session->lock);
    if (done.row == UINT32_MAX ||
        !mem_grow((void **)&part->marks, &part->cap_marks, part->n_marks, sizeof *part->marks)) {
        log_error(session->log, "out of memory for a profile");
        return false;
    }
    part->marks[part->n_marks++] = done;
    return true;
}

/* ---- steps ---- */

uint64_t run_profile_begin(const struct run_session *session)
{
    return session->profile != NULL || session->trace != NULL ? os_clock_ns() : 0;
}

void run_profile_end(struct run_session *session, enum idle_why why, uint64_t begin)
{
    static const enum run_trace_kind kinds[IDLE_REASONS] = {[IDLE_RECORD] = RUN_TRACE_RECORD,
                                                            [IDLE_PREPARE] = RUN_TRACE_PLAN,
                                                            [IDLE_SAMPLE] = RUN_TRACE_SAMPLE,
                                                            [IDLE_READ] = RUN_TRACE_READ};
    struct run_profile *profile = session->profile;
    uint64_t end = profile != NULL || session->trace != NULL ? os_clock_ns() : 0;
    if (why != IDLE_EXCHANGE) { /* of which a trace knows more */
        run_trace_host(session, kinds[why], begin, end);
    }
    if (profile == NULL) {
        return;
    }
    pthread_mutex_lock(&session->lock);
    if (mem_grow((void **)&profile->phases, &profile->cap_phases, profile->n_phases,
                 sizeof *profile->phases)) {
        profile->phases[profile->n_phases++] = (struct idle_span){begin, end, why};
    } else {
        profile->failed = true;
    }
    pthread_mutex_unlock(&session->lock);
}

/* For one more command of n spans, and one more submission. */
static bool make_room(struct run_profile *profile, uint32_t n, struct log *log)
{
    bool ok = mem_grow((void **)&profile->commands, &profile->cap_commands, profile->n_commands,
                       sizeof *profile->commands) &&
              mem_grow((void **)&profile->submissions, &profile->cap_submissions,
                       profile->n_submissions, sizeof *profile->submissions);
    if (ok && 2 * (size_t)n > profile->cap_stamps) {
        uint64_t *grown = mem_resize(profile->stamps, 2 * (size_t)n, sizeof *grown);
        ok = grown != NULL;
        profile->stamps = ok ? grown : profile->stamps;
        profile->cap_stamps = ok ? 2 * (size_t)n : profile->cap_stamps;
    }
    if (!ok) {
        log_error(log, "out of memory for a profile");
    }
    return ok;
}

static bool read_command(struct run_profile *profile, const struct run_part *part, size_t c,
                         struct log *log)
{
    uint64_t ns[2];
    uint32_t n = dev_cmd_spans(part->cmds[c]);
    if (!dev_cmd_read_timers(part->cmds[c], ns, 2)) {
        return false;
    }
    if (!make_room(profile, n, log)) {
        return false;
    }
    if (n != 0 && !dev_cmd_read_spans(part->cmds[c], profile->stamps)) {
        return false;
    }
    memcpy(profile->commands[profile->n_commands++], ns, sizeof ns);
    for (size_t m = 0; m < part->n_marks; m++) {
        const struct run_mark *mark = &part->marks[m];
        struct run_profile_row *row = &profile->rows[mark->row];
        for (uint32_t i = 0; i < mark->n && mark->cmd == c; i++) {
            const uint64_t *span = &profile->stamps[2 * (size_t)(mark->first + i)];
            row->ns += span[1] > span[0] ? span[1] - span[0] : 0;
        }
        row->calls += mark->cmd == c;
        row->dispatches += mark->cmd == c ? mark->n : 0;
        row->flop += mark->cmd == c ? mark->flop : 0;
        row->bytes += mark->cmd == c ? mark->bytes : 0;
    }
    return true;
}

static bool read_part(struct run_profile *profile, const struct run_slot *slot,
                      const struct run_part *part, uint32_t d, struct log *log)
{
    if (part->n_cmds == 0) {
        return true;
    }
    struct submission submission = {.device = d,
                                    .begin = slot->submit_begin[d],
                                    .end = slot->submit_end[d],
                                    .wait_begin = slot->wait_begin[d],
                                    .seen = slot->wait_end[d],
                                    .first = profile->n_commands,
                                    .n = part->n_cmds};
    for (size_t c = 0; c < part->n_cmds; c++) {
        if (!read_command(profile, part, c, log)) {
            return false;
        }
    }
    profile->submissions[profile->n_submissions++] = submission;
    return true;
}

bool run_profile_step(struct run_session *session, const struct run_slot *slot,
                      const struct run_recording *rec)
{
    struct run_profile *profile = session->profile;
    if (profile == NULL) {
        return true;
    }
    bool ok = true;
    pthread_mutex_lock(&session->lock);
    for (uint32_t d = 0; d < session->model->n_devices && ok; d++) {
        ok = read_part(profile, slot, &rec->part[d], d, session->log);
    }
    pthread_mutex_unlock(&session->lock);
    return ok;
}

/* ---- sums ---- */

/* The host's clock when device `d` began and ended each of its commands, and what is known of the
 * host beside it. */
static bool add_device(const struct run_profile *profile, uint32_t d, struct idle_span *spans,
                       size_t *n)
{
    size_t count = profile->n_submissions, mine = 0;
    struct idle_seen *seen = mem_alloc(count + 1, sizeof *seen);
    int64_t *offset = mem_alloc(count + 1, sizeof *offset);
    bool ok = seen != NULL && offset != NULL;
    for (size_t i = 0; i < count && ok; i++) {
        const struct submission *s = &profile->submissions[i];
        if (s->device == d) {
            seen[mine++] = (struct idle_seen){s->begin, s->seen, profile->commands[s->first][0],
                                              profile->commands[s->first + s->n - 1][1]};
        }
    }
    if (ok) {
        idle_fit_clock(seen, mine, offset);
    }
    mine = 0;
    for (size_t i = 0; i < count && ok; i++) {
        const struct submission *s = &profile->submissions[i];
        if (s->device != d) {
            spans[(*n)++] = (struct idle_span){s->begin, s->seen, IDLE_OTHERS};
            continue;
        }
        uint64_t add = (uint64_t)offset[mine++], begin = 0, end = 0;
        for (size_t c = 0; c < s->n; c++) {
            begin = profile->commands[s->first + c][0] + add;
            end = profile->commands[s->first + c][1] + add;
            spans[(*n)++] = (struct idle_span){begin, end, IDLE_BUSY};
            spans[(*n)++] = (struct idle_span){s->end, begin, IDLE_START};
        }
        spans[(*n)++] = (struct idle_span){s->begin, s->end, IDLE_SUBMIT};
        spans[(*n)++] =
            (struct idle_span){end > s->wait_begin ? end : s->wait_begin, s->seen, IDLE_WAIT};
    }
    mem_free(seen);
    mem_free(offset);
    return ok;
}

static bool sum_device(const struct run_profile *profile, uint32_t d, uint64_t ns[IDLE_REASONS])
{
    size_t n = 0;
    size_t most = 2 * profile->n_commands + 3 * profile->n_submissions + profile->n_phases + 1;
    struct idle_span *spans = mem_alloc(most, sizeof *spans);
    bool ok = spans != NULL && add_device(profile, d, spans, &n);
    for (size_t i = 0; i < profile->n_phases && ok; i++) {
        spans[n++] = profile->phases[i];
    }
    ok = ok && idle_sum(spans, n, ns);
    mem_free(spans);
    return ok;
}

struct out {
    struct run_profile_row *rows;
    size_t n, cap;
};

static void put(struct out *out, const struct run_profile_row *row)
{
    if (out->n < out->cap) {
        out->rows[out->n] = *row;
    }
    out->n++;
}

static int by_time(const void *a, const void *b)
{
    const struct run_profile_row *x = a, *y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return x->ns > y->ns ? -1 : x->ns < y->ns;
}

static void put_device(const struct run_profile *profile, uint32_t d,
                       const uint64_t ns[IDLE_REASONS], struct out *out)
{
    static const char *const names[IDLE_REASONS] = {
        [IDLE_START] = "host: submitted, not begun", [IDLE_SUBMIT] = "host: submit",
        [IDLE_WAIT] = "host: end not seen yet",      [IDLE_OTHERS] = "other devices work",
        [IDLE_EXCHANGE] = "host: exchange",          [IDLE_RECORD] = "host: record",
        [IDLE_PREPARE] = "host: prepare step",       [IDLE_SAMPLE] = "host: sample",
        [IDLE_READ] = "host: read timestamps",
    };
    uint64_t work = 0;
    size_t first = out->n;
    for (size_t i = 0; i < profile->n_rows; i++) {
        const struct run_profile_row *row = &profile->rows[i];
        if (row->device == d && row->calls != 0) {
            work += row->ns;
            put(out, row);
        }
    }
    struct run_profile_row row = {.device = d, .kind = RUN_PROFILE_GAP, .op = "between kernels"};
    row.ns = ns[IDLE_BUSY] > work ? ns[IDLE_BUSY] - work : 0;
    put(out, &row);
    for (int why = IDLE_BUSY + 1; why < IDLE_REASONS; why++) {
        row = (struct run_profile_row){.device = d, .kind = RUN_PROFILE_HOST, .ns = ns[why]};
        snprintf(row.op, sizeof row.op, "%s", names[why]);
        if (row.ns != 0) {
            put(out, &row);
        }
    }
    if (out->n <= out->cap) {
        qsort(out->rows + first, out->n - first, sizeof *out->rows, by_time);
    }
}

bool run_profile_get(struct run_session *session, struct run_profile_row *rows, size_t cap,
                     size_t *count)
{
    const struct run_profile *profile = session->profile;
    struct out out = {.rows = rows, .cap = cap};
    bool ok = profile == NULL || !profile->failed;
    for (uint32_t d = 0; profile != NULL && d < session->model->n_devices && ok; d++) {
        uint64_t ns[IDLE_REASONS];
        ok = sum_device(profile, d, ns);
        if (ok) {
            put_device(profile, d, ns, &out);
        }
    }
    if (!ok) {
        log_error(session->log, "out of memory for a profile");
    }
    *count = out.n;
    return ok;
}
