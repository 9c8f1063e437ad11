/* Prompts: assigns KV slots, cuts a prompt into chunks and keeps as many in flight
 * as there are slots. With several devices each chunk in flight has a carrier thread; with one, the
 * next chunk is recorded and submitted while the last one runs. A first chunk on devices that were
 * not measured runs alone. */
#include "run/run.h"

#include "base/os.h"

#include <string.h>

/* Tokens [first, end) of the arrays in chunks of `size`, the last one shorter. */
struct job {
    struct run_session *session;
    const struct run_arrays *arrays;
    uint32_t first, end, size, n_chunks;
    bool want_last;
    atomic_bool failed;
};

/* Carries the chunks c with c % n == mine, and those with c % n >= extra, each in slot c % n. */
struct carrier {
    struct job *job;
    uint32_t n, mine, extra;
    pthread_t thread;
};

/* The first token of a chunk. */
static uint32_t chunk_begin(const struct job *job, uint32_t chunk)
{
    return chunk < job->n_chunks ? job->first + chunk * job->size : job->end;
}

static struct run_batch chunk_batch(const struct job *job, uint32_t chunk, uint32_t *last)
{
    const struct run_arrays *a = job->arrays;
    uint32_t begin = chunk_begin(job, chunk), end = chunk_begin(job, chunk + 1);
    *last = end - begin - 1;
    struct run_batch batch = {.n_tokens = end - begin,
                              .n_out = chunk + 1 == job->n_chunks && job->want_last ? 1 : 0,
                              .token = a->token + begin,
                              .pos = a->pos + begin,
                              .seq = a->seq + begin,
                              .slot = {a->slot[KV_GLOBAL] + begin, a->slot[KV_LOCAL] + begin},
                              .len = a->len + begin,
                              .out = last};
    if (chunk == 0) { /* appending its first token took the sequence's end out of a shared block */
        run_batch_copies(&batch, &job->session->kv);
    }
    return batch;
}

static struct run_recording *record(struct run_session *session, struct run_slot *slot,
                                    const struct run_batch *batch)
{
    struct run_shape shape = run_batch_shape(session->model, batch);
    return run_record(session, slot, &shape);
}

static void *carry(void *arg)
{
    struct carrier *carrier = arg;
    struct job *job = carrier->job;
    struct run_session *session = job->session;
    for (uint32_t c = 0; c < job->n_chunks; c++) {
        uint32_t owner = c % carrier->n, last;
        if (owner != carrier->mine && owner < carrier->extra) {
            continue;
        }
        struct run_slot *slot = &session->slots[owner];
        struct run_batch batch = chunk_batch(job, c, &last);
        bool skip = atomic_load(&job->failed) || atomic_load(&session->cancel);
        struct run_recording *rec = skip ? NULL : record(session, slot, &batch);
        if (rec == NULL) {
            atomic_store(&job->failed, true);
            run_step_pass(session, c);
            continue;
        }
        bool begun = run_step_begin(session, slot, rec, &batch, c);
        bool ended = run_step_end(session, slot, rec);
        if (!begun || !ended) {
            atomic_store(&job->failed, true);
        }
    }
    return NULL;
}

static void run_carriers(struct job *job, uint32_t n)
{
    struct carrier carriers[RUN_MAX_SLOTS];
    memset(job->session->turn, 0, sizeof job->session->turn);
    uint32_t started = 1; /* this thread is carrier 0 */
    for (uint32_t i = 0; i < n; i++) {
        carriers[i] = (struct carrier){.job = job, .n = n, .mine = i, .extra = n};
    }
    while (started < n &&
           pthread_create(&carriers[started].thread, NULL, carry, &carriers[started]) == 0) {
        started++;
    }
    carriers[0].extra = started; /* threads that could not be had: their chunks are ours */
    carry(&carriers[0]);
    for (uint32_t i = 1; i < started; i++) {
        pthread_join(carriers[i].thread, NULL);
    }
}

/* One device: chunk c is recorded and submitted while chunk c - 1 runs. */
static void run_single(struct job *job)
{
    struct run_session *session = job->session;
    struct run_recording *pending = NULL;
    struct run_slot *pending_slot = NULL;
    for (uint32_t c = 0; c < job->n_chunks && !atomic_load(&session->cancel); c++) {
        uint32_t last;
        struct run_slot *slot = &session->slots[c % 2];
        struct run_batch batch = chunk_batch(job, c, &last);
        struct run_recording *rec = record(session, slot, &batch);
        bool ok = rec != NULL && run_step_begin(session, slot, rec, &batch, UINT64_MAX);
        if (pending != NULL) {
            ok = run_step_end(session, pending_slot, pending) && ok;
        }
        pending = rec;
        pending_slot = slot;
        if (!ok) {
            atomic_store(&job->failed, true);
            break;
        }
    }
    if (pending != NULL && !run_step_end(session, pending_slot, pending)) {
        atomic_store(&job->failed, true);
    }
}

static void take_results(struct run_session *session, struct run_slot *slot, uint32_t n_out)
{
    session->n_logits = n_out;
    session->logits = n_out != 0 ? dev_buf_map(slot->logits_host) : NULL;
}

static uint32_t slot_of_chunk(const struct run_session *session, const struct job *job, uint32_t c)
{
    uint32_t n =
        job->n_chunks < session->model->n_flight ? job->n_chunks : session->model->n_flight;
    return session->model->n_devices == 1 ? c % 2 : c % n;
}

static enum run_status run_job(struct run_session *session, struct job *job, uint32_t *id)
{
    uint32_t n =
        job->n_chunks < session->model->n_flight ? job->n_chunks : session->model->n_flight;
    session->n_logits = session->n_scores = 0;
    if (session->model->n_devices == 1) {
        run_single(job);
    } else {
        run_carriers(job, n);
    }
    if (atomic_load(&session->cancel)) {
        return RUN_CANCELLED;
    }
    if (atomic_load(&job->failed)) {
        return run_session_failure(session);
    }
    struct run_slot *slot = &session->slots[slot_of_chunk(session, job, job->n_chunks - 1)];
    take_results(session, slot, job->want_last ? 1 : 0);
    if (id != NULL && job->want_last) {
        *id = *(const uint32_t *)dev_buf_map(slot->ids);
    }
    return RUN_OK;
}

/* Slots of all chunks. A chunk begins while those before it are still in flight, as many as there
 * are run slots; until then local layers keep what these see. */
static enum run_status append_chunks(struct run_session *session, struct run_arrays *arrays,
                                     const uint32_t *tokens, uint32_t seq, const struct job *job)
{
    uint32_t n_flight = session->model->n_flight, i = job->first;
    uint32_t old = session->kv.length[seq] - job->first; /* before the first of all tokens */
    for (uint32_t c = 0; c < job->n_chunks; c++) {
        uint32_t oldest = c < n_flight ? 0 : c - n_flight + 1;
        kv_settle(&session->kv, seq, old + chunk_begin(job, oldest));
        for (; i < chunk_begin(job, c + 1); i++) {
            enum run_status status = run_append(session, arrays, i, tokens[i], seq, NULL);
            if (status != RUN_OK) {
                return status;
            }
        }
    }
    return RUN_OK;
}

/* Refuses what can be refused while the sequence is still as it was. */
static enum run_status check_prompt(const struct run_session *session, uint32_t seq,
                                    const uint32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!run_check_token(session, n, i, tokens[i], seq)) {
            return RUN_BAD_ARGUMENT;
        }
    }
    return n > kv_group_room(&session->kv, KV_GLOBAL, seq) ? run_say_full(session, seq) : RUN_OK;
}

static bool is_measured(const struct run_model *model)
{
    bool known = true;
    for (uint32_t d = 0; d < model->n_devices; d++) {
        const struct run_pace *pace = &model->devices[d].pace;
        known = known && (pace->cpu || pace_is_known(pace, PACE_CHUNK));
    }
    return known;
}

/* The chunks from token `first` on: all, or one to be measured. */
static struct job next_job(struct run_session *session, const struct run_arrays *arrays,
                           uint32_t first, uint32_t seq, bool want_last)
{
    uint32_t left = arrays->n - first, end = session->kv.length[seq] + left;
    uint32_t most = run_batch_now(session->model, arrays->n, end);
    uint32_t n = is_measured(session->model) || left < most ? left : most;
    struct job job = {.session = session,
                      .arrays = arrays,
                      .first = first,
                      .end = first + n,
                      .size = pace_chunk_size(n, most),
                      .want_last = want_last && n == left};
    job.n_chunks = (uint32_t)size_div_up(n, job.size);
    atomic_init(&job.failed, false);
    return job;
}

enum run_status run_prefill(struct run_session *session, uint32_t seq, const uint32_t *tokens,
                            uint32_t n, bool want_last, uint32_t *id)
{
    struct run_arrays arrays;
    uint64_t begin = os_clock_ns();
    enum run_status status = n == 0 ? RUN_BAD_ARGUMENT : check_prompt(session, seq, tokens, n);
    if (status != RUN_OK || !run_arrays_init(&arrays, n, session->log)) {
        return status != RUN_OK ? status : RUN_OUT_OF_MEMORY;
    }
    uint32_t old = session->kv.length[seq];
    bool copied = false;
    for (uint32_t done = 0; done < n && status == RUN_OK;) {
        uint64_t now = os_clock_ns();
        struct job job = next_job(session, &arrays, done, seq, want_last);
        run_settle_all(session);
        status = append_chunks(session, &arrays, tokens, seq, &job);
        run_profile_end(session, IDLE_PREPARE, now);
        copied = copied || session->kv.group[KV_GLOBAL].n_copies != 0 ||
                 session->kv.group[KV_LOCAL].n_copies != 0;
        if (status == RUN_OK) {
            status = run_job(session, &job, id);
        }
        kv_copied(&session->kv);
        done = job.end;
    }
    uint32_t keep = copied ? 0 : old; /* what was to be copied may not have been */
    if (status != RUN_OK && kv_truncate(&session->kv, seq, keep) != old) {
        log_info(session->log,
                 "sequence %u is empty: its %u entries left the window, or were shared, before the "
                 "prompt failed",
                 seq, old);
    }
    mem_free(arrays.memory);
    session->stats.prefill_tokens += status == RUN_OK ? n : 0;
    session->stats.prefill_ns += os_clock_ns() - begin;
    return status;
}
