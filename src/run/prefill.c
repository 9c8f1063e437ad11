/* Prompts: cut into chunks that go through the pipeline. A first chunk on devices that were not
 * measured runs alone. */
#include "run/run.h"

#include "base/os.h"

#include <string.h>

/* Tokens [at, end) of a prompt in chunks of `size`, the last one shorter. */
struct prompt {
    struct run_session *session;
    const uint32_t *tokens;
    uint32_t n, seq, at, end, size;
    bool want_last;
};

static bool next_chunk(void *user, struct run_tokens *tokens)
{
    struct prompt *p = user;
    uint32_t left = p->end - p->at, n = left < p->size ? left : p->size;
    *tokens = (struct run_tokens){.n = n,
                                  .token = p->tokens + p->at,
                                  .only_seq = p->seq,
                                  .no_results = p->at + n < p->n || !p->want_last};
    p->at += n;
    return n != 0;
}

static bool take_chunk(void *user, uint64_t index, struct run_slot *slot, uint32_t n, bool scores)
{
    struct prompt *p = user;
    (void)index;
    (void)scores; /* nobody asked for some */
    p->session->n_logits = n;
    p->session->logits = n != 0 ? dev_buf_map(slot->logits_host) : NULL;
    return true;
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
                            uint32_t n, bool want_last)
{
    uint64_t begin = os_clock_ns();
    enum run_status status = n == 0 ? RUN_BAD_ARGUMENT : check_prompt(session, seq, tokens, n);
    if (status != RUN_OK) {
        return status;
    }
    uint32_t old = session->kv.length[seq];
    struct prompt prompt = {
        .session = session, .tokens = tokens, .n = n, .seq = seq, .want_last = want_last};
    const struct run_source source = {.next = next_chunk, .done = take_chunk, .user = &prompt};
    session->n_logits = session->n_scores = 0;
    while (prompt.at < n && status == RUN_OK) {
        cut(&prompt);
        status = run_pipeline(session, &source);
    }
    bool lost = status != RUN_OK && status != RUN_CANCELLED && status != RUN_CONTEXT_FULL;
    uint32_t keep = lost && session->kv.n_seq > 1 ? 0 : old; /* copies may not have been made */
    if (status != RUN_OK && kv_truncate(&session->kv, seq, keep) != old) {
        log_info(session->log,
                 "sequence %u is empty: its %u entries left the window, or may have been shared, "
                 "before the prompt failed",
                 seq, old);
    }
    session->stats.prefill_tokens += status == RUN_OK ? n : 0;
    session->stats.prefill_ns += os_clock_ns() - begin;
    return status;
}
