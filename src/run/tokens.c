/* Steps of any tokens of any sequences: checks them, forks sequences, assigns KV slots, runs one.
 */
#include "run/run.h"

#include "base/os.h"

#include <string.h>

/* Rows of scores come in groups, so that steps of n tokens have few shapes: at most 8 from 256
 * tokens on. The spare rows take less than 1 % of a step of a large model. */
static uint32_t group_rows(uint32_t n_tokens)
{
    uint32_t rows = 32;
    while (rows < n_tokens / 8) {
        rows *= 2;
    }
    return rows;
}

bool run_arrays_init(struct run_arrays *arrays, uint32_t n, struct log *log)
{
    uint32_t **column[] = {
        &arrays->token,          &arrays->pos, &arrays->seq, &arrays->slot[KV_GLOBAL],
        &arrays->slot[KV_LOCAL], &arrays->len, &arrays->out, &arrays->target};
    enum { COLUMNS = sizeof column / sizeof *column };
    arrays->memory = mem_alloc((size_t)n * COLUMNS, sizeof(uint32_t));
    if (arrays->memory == NULL) {
        log_error(log, "out of memory for a step of %u tokens", n);
        return false;
    }
    for (uint32_t i = 0; i < COLUMNS; i++) {
        *column[i] = arrays->memory + (size_t)i * n;
    }
    arrays->n = n;
    return true;
}

bool run_check_token(const struct run_session *session, uint32_t n, uint32_t i, uint32_t token,
                     uint32_t seq)
{
    const struct run_model *model = session->model;
    if (token < model->arch.hp.n_vocab && seq < model->n_seq) {
        return true;
    }
    log_error(session->log, "token %u of %u: id %u (of %u), sequence %u (of %u): out of range", i,
              n, token, model->arch.hp.n_vocab, seq, model->n_seq);
    return false;
}

enum run_status run_say_full(const struct run_session *session, uint32_t seq)
{
    const struct run_model *model = session->model;
    if (session->kv.length[seq] < model->n_ctx && model->n_seq > 1) {
        log_error(session->log, "sequence %u of %u tokens: the KV cache of %u tokens is full", seq,
                  session->kv.length[seq], model->n_kv);
    } else {
        log_error(session->log, "sequence %u: the context of %u tokens is full", seq, model->n_ctx);
    }
    return RUN_CONTEXT_FULL;
}

enum run_status run_append(struct run_session *session, struct run_arrays *arrays, uint32_t i,
                           uint32_t token, uint32_t seq, const uint32_t *pos)
{
    uint32_t entry = session->kv.length[seq], slot[KV_GROUPS];
    if (!kv_append(&session->kv, seq, slot)) {
        return run_say_full(session, seq);
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

void run_settle_all(struct run_session *session)
{
    for (uint32_t s = 0; s < session->kv.n_seq; s++) {
        kv_settle(&session->kv, s, session->kv.length[s]);
    }
}

/* ---- forks ---- */

enum run_status run_fork(struct run_session *session, const struct run_fork *fork)
{
    struct kv *kv = &session->kv;
    if (fork->from >= kv->n_seq || fork->to >= kv->n_seq || fork->from == fork->to) {
        log_error(session->log,
                  "fork of sequence %u to %u: there are %u, and they must be different ones",
                  fork->from, fork->to, kv->n_seq);
        return RUN_BAD_ARGUMENT;
    }
    if (fork->length > kv->length[fork->from]) {
        log_error(session->log, "fork of %u tokens of sequence %u, which has %u", fork->length,
                  fork->from, kv->length[fork->from]);
        return RUN_BAD_ARGUMENT;
    }
    if (!kv_fork(kv, fork->from, fork->to, fork->length)) {
        log_error(session->log,
                  "fork of %u tokens of sequence %u: some that the next one would see have left "
                  "the window of %u",
                  fork->length, fork->from, session->model->arch.hp.window);
        return RUN_BAD_ARGUMENT;
    }
    return RUN_OK;
}

static uint32_t seq_of(const struct run_tokens *tokens, uint32_t i)
{
    return tokens->seq != NULL ? tokens->seq[i] : tokens->only_seq;
}

/* Number i of the step, at its place. */
static enum run_status fork_in_step(struct run_session *session, const struct run_tokens *tokens,
                                    uint32_t i)
{
    const struct run_fork *fork = &tokens->forks[i];
    for (uint32_t t = 0; t < fork->before; t++) {
        if (seq_of(tokens, t) == fork->to) {
            log_error(session->log, "fork %u of a step to sequence %u, of which it has token %u", i,
                      fork->to, t);
            return RUN_BAD_ARGUMENT;
        }
    }
    return run_fork(session, fork);
}

/* ---- a step ---- */

static bool is_wanted(const struct run_tokens *tokens, uint32_t i)
{
    return !tokens->no_results && (tokens->want != NULL ? tokens->want[i] : i + 1 == tokens->n);
}

static bool check_count(const struct run_session *session, uint32_t n)
{
    uint32_t most = session->model->n_batch;
    if (n == 0 || n > most) {
        log_error(session->log, "a step of %u tokens: 1 to %u are possible", n, most);
    }
    return n != 0 && n <= most;
}

/* What can be said before anything changes. */
static bool check(const struct run_session *session, const struct run_tokens *tokens)
{
    const struct run_model *model = session->model;
    uint32_t n_out = 0, n_vocab = model->arch.hp.n_vocab;
    for (uint32_t i = 0; i < tokens->n; i++) {
        bool wanted = is_wanted(tokens, i);
        if (!run_check_token(session, tokens->n, i, tokens->token[i], seq_of(tokens, i))) {
            return false;
        }
        if (wanted && tokens->target != NULL && tokens->target[i] >= n_vocab) {
            log_error(session->log, "token %u of %u: target %u: the vocabulary has %u", i,
                      tokens->n, tokens->target[i], n_vocab);
            return false;
        }
        n_out += wanted ? 1 : 0;
    }
    for (uint32_t f = 0; f < tokens->n_forks; f++) {
        uint32_t before = tokens->forks[f].before;
        if (before >= tokens->n || (f != 0 && before < tokens->forks[f - 1].before)) {
            log_error(session->log,
                      "fork %u of a step of %u tokens, before token %u: out of range, or of order",
                      f, tokens->n, before);
            return false;
        }
    }
    if (n_out > model->max_out) {
        log_error(session->log, "%s of %u tokens: at most %u a step",
                  tokens->target != NULL ? "scores" : "logits", n_out, model->max_out);
    }
    return n_out <= model->max_out;
}

static enum run_status append_all(struct run_session *session, const struct run_tokens *tokens,
                                  struct run_arrays *arrays)
{
    enum run_status status = RUN_OK;
    uint32_t fork = 0;
    for (uint32_t i = 0; i < tokens->n && status == RUN_OK; i++) {
        while (fork < tokens->n_forks && tokens->forks[fork].before == i && status == RUN_OK) {
            status = fork_in_step(session, tokens, fork++);
        }
        if (status == RUN_OK) {
            status = run_append(session, arrays, i, tokens->token[i], seq_of(tokens, i),
                                tokens->pos != NULL ? &tokens->pos[i] : NULL);
        }
    }
    return status;
}

/* Rows of results: those wanted, and of scores as many more as make the group full. */
static uint32_t choose_rows(const struct run_session *session, const struct run_tokens *tokens,
                            struct run_arrays *arrays, uint32_t *n_out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < tokens->n; i++) {
        if (is_wanted(tokens, i)) {
            arrays->out[n] = i;
            arrays->target[n++] = tokens->target != NULL ? tokens->target[i] : 0;
        }
    }
    *n_out = n;
    uint32_t most = tokens->n < session->model->max_out ? tokens->n : session->model->max_out;
    uint32_t full = (uint32_t)size_round(n, group_rows(tokens->n));
    full = full < most ? full : most;
    for (; tokens->target != NULL && n != 0 && n < full; n++) {
        arrays->out[n] = arrays->out[0];
        arrays->target[n] = arrays->target[0];
    }
    return n;
}

enum run_status run_tokens_plan(struct run_session *session, const struct run_tokens *tokens,
                                struct run_arrays *arrays, struct run_batch *batch, uint32_t *n_out)
{
    if (!check_count(session, tokens->n) || !check(session, tokens)) {
        return RUN_BAD_ARGUMENT;
    }
    kv_save(&session->kv);
    enum run_status status = append_all(session, tokens, arrays);
    if (status != RUN_OK) {
        kv_restore(&session->kv);
        return status;
    }
    *batch = (struct run_batch){.n_tokens = tokens->n,
                                .token = arrays->token,
                                .pos = arrays->pos,
                                .seq = arrays->seq,
                                .slot = {arrays->slot[KV_GLOBAL], arrays->slot[KV_LOCAL]},
                                .len = arrays->len,
                                .out = arrays->out,
                                .target = tokens->target != NULL ? arrays->target : NULL};
    batch->n_out = choose_rows(session, tokens, arrays, n_out);
    run_batch_copies(batch, &session->kv);
    return RUN_OK;
}

static void take_results(struct run_session *session, struct run_slot *slot, bool scores,
                         uint32_t n_out)
{
    session->n_logits = scores ? 0 : n_out;
    session->logits = session->n_logits != 0 ? dev_buf_map(slot->logits_host) : NULL;
    session->n_scores = scores ? n_out : 0;
    session->scores = session->n_scores != 0 ? dev_buf_map(slot->scores) : NULL;
}

/* *begun: the devices may have worked on it. */
static enum run_status run_one(struct run_session *session, const struct run_batch *batch,
                               bool *begun)
{
    struct run_slot *slot = &session->slots[0];
    struct run_shape shape = run_batch_shape(session->model, batch);
    bool room = shape.scores ? run_session_reserve_scores(session, batch->n_out)
                             : run_session_reserve_logits(session, batch->n_out);
    struct run_recording *rec = room ? run_record(session, slot, &shape) : NULL;
    if (rec == NULL) {
        return run_session_failure(session);
    }
    *begun = true;
    bool ok = run_step_begin(session, slot, rec, batch);
    ok = run_step_end(session, slot, rec) && ok;
    return ok ? RUN_OK : run_session_failure(session);
}

/* After a device failed: what forks and copies have to do with may have been overwritten, or never
 * written. */
static void undo(struct run_session *session, const struct run_tokens *tokens, bool shared)
{
    struct kv *kv = &session->kv;
    for (uint32_t s = 0; s < kv->n_seq && !shared; s++) {
        kv_truncate(kv, s, kv_saved_length(kv, s));
    }
    for (uint32_t i = 0; i < tokens->n && shared; i++) {
        kv_truncate(kv, seq_of(tokens, i), 0);
    }
    for (uint32_t f = 0; f < tokens->n_forks; f++) {
        kv_truncate(kv, tokens->forks[f].to, 0);
    }
}

enum run_status run_step(struct run_session *session, const struct run_tokens *tokens)
{
    struct run_arrays arrays;
    struct run_batch batch;
    uint64_t begin = os_clock_ns();
    if (!check_count(session, tokens->n)) {
        return RUN_BAD_ARGUMENT;
    }
    if (!run_arrays_init(&arrays, tokens->n, session->log)) {
        return RUN_OUT_OF_MEMORY;
    }
    run_trace_tick(session);
    run_settle_all(session);
    session->n_logits = session->n_scores = 0;
    uint32_t n_out = 0;
    enum run_status status = run_tokens_plan(session, tokens, &arrays, &batch, &n_out);
    run_profile_end(session, IDLE_PREPARE, begin);
    if (status == RUN_OK) {
        bool shared =
            tokens->n_forks != 0 || batch.n_copies[KV_GLOBAL] != 0 || batch.n_copies[KV_LOCAL] != 0;
        bool begun = false;
        status = run_one(session, &batch, &begun);
        kv_copied(&session->kv);
        if (status == RUN_OK) {
            take_results(session, &session->slots[0], tokens->target != NULL, n_out);
        } else if (begun) {
            undo(session, tokens, shared);
        } else {
            kv_restore(&session->kv);
        }
    }
    session->stats.step_ns += os_clock_ns() - begin;
    mem_free(arrays.memory);
    return status;
}
