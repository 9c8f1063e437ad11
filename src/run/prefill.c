/* What tokens become a step: places in the caches, arrays. Single steps, and prompts: cut into
 * chunks that go through the pipeline. A first chunk on devices that were not measured runs
 * alone. */
#include "run/run.h"

#include "base/os.h"

#include <string.h>

bool run_arrays_init(struct run_arrays *arrays, const struct run_session *session, uint32_t n)
{
    uint64_t words = 7 * (uint64_t)n + session->kv.n_seq;
    arrays->memory = words <= SIZE_MAX ? mem_alloc((size_t)words, sizeof(uint32_t)) : NULL;
    if (arrays->memory == NULL) {
        log_error(session->log, "out of memory for a step of %u tokens", n);
        return false;
    }
    uint32_t **column[] = {
        &arrays->token,          &arrays->pos, &arrays->seq, &arrays->slot[KV_GLOBAL],
        &arrays->slot[KV_LOCAL], &arrays->len, &arrays->out, &arrays->old};
    for (uint32_t i = 0; i < 8; i++) {
        *column[i] = arrays->memory + (size_t)i * n;
    }
    return true;
}

void run_arrays_finish(struct run_arrays *arrays)
{
    mem_free(arrays->memory);
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

static enum run_status append(struct run_session *session, struct run_arrays *arrays, uint32_t i,
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

/* Devices run steps in order: what steps before this one append has been computed when its tokens
 * look for it, and blocks that left their window can be written. */
static void settle_all(struct run_session *session)
{
    for (uint32_t s = 0; s < session->kv.n_seq; s++) {
        kv_settle(&session->kv, s, session->kv.length[s]);
    }
}

/* The sequences have the lengths again that they had before the step. */
static void take_back(struct run_session *session, const struct run_arrays *arrays)
{
    for (uint32_t s = 0; s < session->kv.n_seq; s++) {
        kv_truncate(&session->kv, s, arrays->old[s]);
    }
}

static enum run_status append_all(struct run_session *session, struct run_arrays *arrays,
                                  const struct run_input *in, struct run_batch *batch)
{
    for (uint32_t i = 0; i < in->n_tokens; i++) {
        uint32_t seq = in->seq != NULL ? in->seq[i] : in->only_seq;
        enum run_status status = check_token(session, in->n_tokens, i, in->token[i], seq);
        if (status == RUN_OK) {
            status =
                append(session, arrays, i, in->token[i], seq, in->pos != NULL ? &in->pos[i] : NULL);
        }
        if (status != RUN_OK) {
            return status;
        }
        if (!in->no_results && (in->want != NULL ? in->want[i] : i + 1 == in->n_tokens)) {
            arrays->out[batch->n_out++] = i;
        }
    }
    if (batch->n_out > session->model->max_out) {
        log_error(session->log, "logits of %u tokens: at most %u a step", batch->n_out,
                  session->model->max_out);
        return RUN_BAD_ARGUMENT;
    }
    return RUN_OK;
}

enum run_status run_arrays_fill(struct run_session *session, struct run_arrays *arrays,
                                const struct run_input *input, struct run_batch *batch)
{
    const struct run_model *model = session->model;
    if (input->n_tokens == 0 || input->n_tokens > model->n_batch) {
        log_error(session->log, "a step of %u tokens: 1 to %u are possible", input->n_tokens,
                  model->n_batch);
        return RUN_BAD_ARGUMENT;
    }
    *batch = (struct run_batch){.n_tokens = input->n_tokens,
                                .token = arrays->token,
                                .pos = arrays->pos,
                                .seq = arrays->seq,
                                .slot = {arrays->slot[KV_GLOBAL], arrays->slot[KV_LOCAL]},
                                .len = arrays->len,
                                .out = arrays->out};
    memcpy(arrays->old, session->kv.length, session->kv.n_seq * sizeof *arrays->old);
    settle_all(session);
    enum run_status status = append_all(session, arrays, input, batch);
    if (status != RUN_OK) {
        take_back(session, arrays);
    }
    return status;
}

struct run_recording *run_pick_recording(struct run_slot *slot, const struct run_batch *batch)
{
    return batch->n_tokens == 1 && batch->n_out == 1 ? &slot->decode : &slot->chunk;
}

static void take_results(struct run_session *session, struct run_slot *slot, uint32_t n_out)
{
    session->n_logits = n_out;
    session->logits = n_out != 0 ? dev_buf_map(slot->logits_host) : NULL;
}

/* ---- prompts ---- */

/* Tokens [at, end) of a prompt in chunks of `size`, the last one shorter. */
struct prompt {
    struct run_session *session;
    const uint32_t *tokens;
    uint32_t n, seq, at, end, size;
    bool want_last;
    uint32_t *id;
};

static bool next_chunk(void *user, struct run_input *input)
{
    struct prompt *p = user;
    uint32_t left = p->end - p->at, n = left < p->size ? left : p->size;
    *input = (struct run_input){.n_tokens = n,
                                .token = p->tokens + p->at,
                                .only_seq = p->seq,
                                .no_results = p->at + n < p->n || !p->want_last};
    p->at += n;
    return n != 0;
}

static bool take_chunk(void *user, uint64_t index, struct run_slot *slot, uint32_t n)
{
    struct prompt *p = user;
    (void)index;
    take_results(p->session, slot, n);
    if (n != 0 && p->id != NULL) {
        *p->id = *(const uint32_t *)dev_buf_map(slot->ids);
    }
    return true;
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

/* The tokens from here on: all, or a chunk to be measured. */
static void cut(struct prompt *p)
{
    const struct run_session *session = p->session;
    uint32_t left = p->n - p->at, end = session->kv.length[p->seq] + left;
    uint32_t most = run_batch_now(session->model, p->n, end);
    uint32_t n = is_measured(session->model) || left < most ? left : most;
    p->end = p->at + n;
    p->size = pace_chunk_size(n, most);
}

enum run_status run_prefill(struct run_session *session, uint32_t seq, const uint32_t *tokens,
                            uint32_t n, bool want_last, uint32_t *id)
{
    uint64_t begin = os_clock_ns();
    enum run_status status = n == 0 ? RUN_BAD_ARGUMENT : check_prompt(session, seq, tokens, n);
    if (status != RUN_OK) {
        return status;
    }
    uint32_t old = session->kv.length[seq];
    struct prompt prompt = {
        .session = session, .tokens = tokens, .n = n, .seq = seq, .want_last = want_last, .id = id};
    const struct run_source source = {.next = next_chunk, .done = take_chunk, .user = &prompt};
    session->n_logits = 0;
    while (prompt.at < n && status == RUN_OK) {
        cut(&prompt);
        status = run_pipeline(session, &source);
    }
    if (status != RUN_OK && kv_truncate(&session->kv, seq, old) != old) {
        log_info(session->log,
                 "sequence %u is empty: its %u entries left the window before the prompt failed",
                 seq, old);
    }
    session->stats.prefill_tokens += status == RUN_OK ? n : 0;
    session->stats.prefill_ns += os_clock_ns() - begin;
    return status;
}

/* ---- single steps ---- */

static enum run_status run_one(struct run_session *session, const struct run_batch *batch)
{
    struct run_slot *slot = &session->slots[0];
    struct run_recording *rec = run_pick_recording(slot, batch);
    if (!run_session_reserve_logits(session, batch->n_out) ||
        !run_record(session, slot, rec, batch->n_tokens, batch->n_out)) {
        return run_session_failure(session);
    }
    bool begun = run_step_begin(session, slot, rec, batch);
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
    const struct run_input input = {
        .n_tokens = n, .token = tokens, .pos = pos, .seq = seq, .want = want};
    struct run_arrays arrays;
    struct run_batch batch;
    uint64_t begin = os_clock_ns();
    if (!run_arrays_init(&arrays, session, session->model->n_batch)) {
        return RUN_OUT_OF_MEMORY;
    }
    run_trace_tick(session);
    enum run_status status = run_arrays_fill(session, &arrays, &input, &batch);
    session->n_logits = 0;
    run_profile_end(session, IDLE_PREPARE, begin);
    if (status == RUN_OK) {
        status = run_one(session, &batch);
        if (status != RUN_OK) {
            take_back(session, &arrays);
        }
    }
    session->stats.step_ns += os_clock_ns() - begin;
    run_arrays_finish(&arrays);
    return status;
}
