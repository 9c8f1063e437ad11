/* Prompts and single steps: assigns KV slots, cuts a prompt into chunks and keeps as many in flight
 * as there are slots. With several devices each chunk in flight has a carrier thread; with one, the
 * next chunk is recorded and submitted while the last one runs. A first chunk on devices that were
 * not measured runs alone. */
#include "run/run.h"

#include "base/os.h"

#include <string.h>

/* Arrays of all tokens of a call; chunks are ranges of it. */
struct arrays {
    uint32_t *memory;
    uint32_t *token, *pos, *seq, *slot[KV_GROUPS], *len, *out;
    uint32_t n;
};

static bool arrays_init(struct arrays *arrays, uint32_t n, struct log *log)
{
    arrays->memory = mem_alloc((size_t)n * 7, sizeof(uint32_t));
    if (arrays->memory == NULL) {
        log_error(log, "out of memory for a step of %u tokens", n);
        return false;
    }
    uint32_t **column[] = {
        &arrays->token,          &arrays->pos, &arrays->seq, &arrays->slot[KV_GLOBAL],
        &arrays->slot[KV_LOCAL], &arrays->len, &arrays->out};
    for (uint32_t i = 0; i < 7; i++) {
        *column[i] = arrays->memory + (size_t)i * n;
    }
    arrays->n = n;
    return true;
}

/* Everything that can be said against a token before entries are appended. */
static enum run_status check_token(const struct run_session *session, uint32_t n, uint32_t i,
                                   uint32_t token, uint32_t seq)
{
    const struct run_model *model = session->model;
    if (token < model->arch.hp.n_vocab && seq < model->n_seq) {
        return RUN_OK;
    }
    log_error(session->log, "token %u of %u: id %u (of %u), sequence %u (of %u): out of range", i,
              n, token, model->arch.hp.n_vocab, seq, model->n_seq);
    return RUN_BAD_ARGUMENT;
}

static enum run_status say_full(const struct run_session *session, uint32_t seq)
{
    log_error(session->log, "sequence %u: the context of %u tokens is full", seq,
              session->model->n_ctx);
    return RUN_CONTEXT_FULL;
}

static enum run_status append(struct run_session *session, struct arrays *arrays, uint32_t i,
                              uint32_t token, uint32_t seq, const uint32_t *pos)
{
    uint32_t entry = session->kv.length[seq], slot[KV_GROUPS];
    if (!kv_append(&session->kv, seq, slot)) {
        return say_full(session, seq);
    }
    for (uint32_t g = 0; g < KV_GROUPS; g++) {
        arrays->slot[g][i] = slot[g];
    }
    arrays->token[i] = token;
    arrays->seq[i] = seq;
    arrays->pos[i] = pos != NULL ? *pos : entry;
    arrays->len[i] = entry + 1;
    return RUN_OK;
}

/* Tokens [first, end) of the arrays in chunks of `size`, the last one shorter. */
struct job {
    struct run_session *session;
    const struct arrays *arrays;
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
    const struct arrays *a = job->arrays;
    uint32_t begin = chunk_begin(job, chunk), end = chunk_begin(job, chunk + 1);
    *last = end - begin - 1;
    return (struct run_batch){.n_tokens = end - begin,
                              .n_out = chunk + 1 == job->n_chunks && job->want_last ? 1 : 0,
                              .token = a->token + begin,
                              .pos = a->pos + begin,
                              .seq = a->seq + begin,
                              .slot = {a->slot[KV_GLOBAL] + begin, a->slot[KV_LOCAL] + begin},
                              .len = a->len + begin,
                              .out = last};
}

static struct run_recording *pick_recording(struct run_slot *slot, const struct run_batch *batch)
{
    return batch->n_tokens == 1 && batch->n_out == 1 ? &slot->decode : &slot->chunk;
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
        struct run_recording *rec = pick_recording(slot, &batch);
        bool skip = atomic_load(&job->failed) || atomic_load(&session->cancel);
        if (skip || !run_record(session, slot, rec, batch.n_tokens, batch.n_out)) {
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
        struct run_recording *rec = pick_recording(slot, &batch);
        bool ok = run_record(session, slot, rec, batch.n_tokens, batch.n_out) &&
                  run_step_begin(session, slot, rec, &batch, UINT64_MAX);
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
    session->n_logits = 0;
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

/* Between calls nothing is in flight. */
static void settle_all(struct run_session *session)
{
    for (uint32_t s = 0; s < session->kv.n_seq; s++) {
        kv_settle(&session->kv, s, session->kv.length[s]);
    }
}

/* Slots of all chunks. A chunk begins while those before it are still in flight, as many as there
 * are run slots; until then local layers keep what these see. */
static enum run_status append_chunks(struct run_session *session, struct arrays *arrays,
                                     const uint32_t *tokens, uint32_t seq, const struct job *job)
{
    uint32_t n_flight = session->model->n_flight, i = job->first;
    uint32_t old = session->kv.length[seq] - job->first; /* before the first of all tokens */
    for (uint32_t c = 0; c < job->n_chunks; c++) {
        uint32_t oldest = c < n_flight ? 0 : c - n_flight + 1;
        kv_settle(&session->kv, seq, old + chunk_begin(job, oldest));
        for (; i < chunk_begin(job, c + 1); i++) {
            enum run_status status = append(session, arrays, i, tokens[i], seq, NULL);
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
        enum run_status status = check_token(session, n, i, tokens[i], seq);
        if (status != RUN_OK) {
            return status;
        }
    }
    return n > kv_group_room(&session->kv, KV_GLOBAL, seq) ? say_full(session, seq) : RUN_OK;
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
static struct job next_job(struct run_session *session, const struct arrays *arrays, uint32_t first,
                           uint32_t seq, bool want_last)
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
    struct arrays arrays;
    uint64_t begin = os_clock_ns();
    enum run_status status = n == 0 ? RUN_BAD_ARGUMENT : check_prompt(session, seq, tokens, n);
    if (status != RUN_OK || !arrays_init(&arrays, n, session->log)) {
        return status != RUN_OK ? status : RUN_OUT_OF_MEMORY;
    }
    uint32_t old = session->kv.length[seq];
    for (uint32_t done = 0; done < n && status == RUN_OK;) {
        uint64_t now = os_clock_ns();
        struct job job = next_job(session, &arrays, done, seq, want_last);
        settle_all(session);
        status = append_chunks(session, &arrays, tokens, seq, &job);
        run_profile_end(session, IDLE_PREPARE, now);
        if (status == RUN_OK) {
            status = run_job(session, &job, id);
        }
        done = job.end;
    }
    if (status != RUN_OK && kv_truncate(&session->kv, seq, old) != old) {
        log_info(session->log,
                 "sequence %u is empty: its %u entries left the window before the prompt failed",
                 seq, old);
    }
    mem_free(arrays.memory);
    session->stats.prefill_tokens += status == RUN_OK ? n : 0;
    session->stats.prefill_ns += os_clock_ns() - begin;
    return status;
}

static enum run_status run_one(struct run_session *session, const struct run_batch *batch)
{
    struct run_slot *slot = &session->slots[0];
    struct run_recording *rec = pick_recording(slot, batch);
    if (!run_session_reserve_logits(session, batch->n_out) ||
        !run_record(session, slot, rec, batch->n_tokens, batch->n_out)) {
        return run_session_failure(session);
    }
    bool begun = run_step_begin(session, slot, rec, batch, UINT64_MAX);
    bool ended = run_step_end(session, slot, rec);
    if (!begun || !ended) {
        return run_session_failure(session);
    }
    take_results(session, slot, batch->n_out);
    return RUN_OK;
}

enum run_status run_step(struct run_session *session, uint32_t n, const uint32_t *tokens,
                         const uint32_t *pos, const uint32_t *seq, const bool *want)
{
    const struct run_model *model = session->model;
    if (n == 0 || n > model->n_batch) {
        log_error(session->log, "a step of %u tokens: 1 to %u are possible", n, model->n_batch);
        return RUN_BAD_ARGUMENT;
    }
    struct arrays arrays;
    uint64_t begin = os_clock_ns();
    uint32_t *old = mem_alloc(session->kv.n_seq, sizeof *old);
    if (old == NULL || !arrays_init(&arrays, n, session->log)) {
        mem_free(old);
        return RUN_OUT_OF_MEMORY;
    }
    memcpy(old, session->kv.length, session->kv.n_seq * sizeof *old);
    enum run_status status = RUN_OK;
    struct run_batch batch = {.n_tokens = n,
                              .token = arrays.token,
                              .pos = arrays.pos,
                              .seq = arrays.seq,
                              .slot = {arrays.slot[KV_GLOBAL], arrays.slot[KV_LOCAL]},
                              .len = arrays.len,
                              .out = arrays.out};
    settle_all(session);
    for (uint32_t i = 0; i < n && status == RUN_OK; i++) {
        uint32_t s = seq != NULL ? seq[i] : 0;
        status = check_token(session, n, i, tokens[i], s);
        if (status == RUN_OK) {
            status = append(session, &arrays, i, tokens[i], s, pos != NULL ? &pos[i] : NULL);
        }
        if (want != NULL ? want[i] : i + 1 == n) {
            arrays.out[batch.n_out++] = i;
        }
    }
    if (status == RUN_OK && batch.n_out > model->max_out) {
        log_error(session->log, "logits of %u tokens: at most %u a step", batch.n_out,
                  model->max_out);
        status = RUN_BAD_ARGUMENT;
    }
    session->n_logits = 0;
    run_profile_end(session, IDLE_PREPARE, begin);
    if (status == RUN_OK) {
        status = run_one(session, &batch);
    }
    for (uint32_t s = 0; s < session->kv.n_seq && status != RUN_OK; s++) {
        kv_truncate(&session->kv, s, old[s]);
    }
    uint64_t ns = os_clock_ns() - begin;
    session->stats.step_ns += ns;
    mem_free(arrays.memory);
    mem_free(old);
    return status;
}
