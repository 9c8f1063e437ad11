/* Prompt in, tokens out: prefill, the decode loop (greedy: the next step is submitted before the
 * last is read), sampling, stop texts. Tokenizing is the caller's. */
#include "run/run.h"

#include "base/os.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

#include <string.h>

struct generator {
    struct run_session *session;
    const struct run_generate_params *params;
    struct sampler *sampler;
    struct text_stream *stream; /* NULL without a vocabulary */
    struct str held;            /* text that may be the beginning of a stop text */
    uint32_t n_generated;
    enum run_stop stop;
    bool stopped;
    struct run_shape shape; /* of a step of one token */
    uint64_t begin_ns;
};

/* Position of the first stop text in `text`, or bytes when there is none. */
static size_t find_stop(const struct run_generate_params *params, const char *text, size_t bytes)
{
    size_t first = bytes;
    for (size_t s = 0; s < params->n_stops; s++) {
        size_t n = strlen(params->stops[s]);
        for (size_t i = 0; n != 0 && i + n <= bytes && i < first; i++) {
            if (memcmp(text + i, params->stops[s], n) == 0) {
                first = i;
            }
        }
    }
    return first;
}

/* Length of the longest end of `text` that begins a stop text. */
static size_t held_back(const struct run_generate_params *params, const char *text, size_t bytes)
{
    size_t most = 0;
    for (size_t s = 0; s < params->n_stops; s++) {
        size_t n = strlen(params->stops[s]);
        for (size_t k = n > bytes + 1 ? bytes : n - (n != 0); k > most; k--) {
            if (memcmp(text + bytes - k, params->stops[s], k) == 0) {
                most = k;
            }
        }
    }
    return most;
}

static void deliver(struct generator *g, uint32_t token, const char *text, size_t bytes)
{
    if (g->params->on_token != NULL && !g->params->on_token(g->params->user, token, text, bytes)) {
        g->stopped = true;
        g->stop = RUN_STOP_CALLBACK;
    }
}

/* Passes on what is certain not to be part of a stop text. */
static bool add_text(struct generator *g, uint32_t token, const char *text, size_t bytes)
{
    str_add(&g->held, text, bytes);
    if (g->held.failed) {
        log_error(g->session->log, "out of memory for the generated text");
        return false;
    }
    const char *all = str_get(&g->held);
    size_t found = find_stop(g->params, all, g->held.bytes);
    size_t out = found;
    if (found < g->held.bytes) {
        g->stopped = true;
        g->stop = RUN_STOP_TEXT;
    } else {
        out = g->held.bytes - held_back(g->params, all, g->held.bytes);
    }
    enum run_stop stop = g->stop;
    bool stopped = g->stopped;
    char saved = '\0';
    if (g->held.text != NULL) {
        saved = g->held.text[out];
        g->held.text[out] = '\0';
    }
    deliver(g, token, str_get(&g->held), out);
    if (stopped) {
        g->stop = stop;
    }
    if (g->held.text != NULL) {
        g->held.text[out] = saved;
        memmove(g->held.text, g->held.text + out, g->held.bytes - out + 1);
        g->held.bytes -= out;
    }
    return true;
}

static bool handle_token(struct generator *g, uint32_t token)
{
    const struct run_model *model = g->session->model;
    if (g->n_generated == 0) {
        g->session->stats.first_token_ns = os_clock_ns() - g->begin_ns;
    }
    sampler_add(g->sampler, token);
    if (model->vocab != NULL && !g->params->ignore_eos && vocab_is_end(model->vocab, token)) {
        g->stopped = true;
        g->stop = RUN_STOP_END;
        return true;
    }
    g->n_generated++;
    size_t bytes = 0;
    const char *text = "";
    if (g->stream != NULL) {
        text = text_stream_add(g->stream, token, &bytes);
    }
    if (text == NULL || !add_text(g, token, text, bytes)) {
        return false;
    }
    if (!g->stopped && g->params->n_predict >= 0 && g->n_generated >= g->params->n_predict) {
        g->stopped = true;
        g->stop = RUN_STOP_LIMIT;
    }
    return true;
}

/* One new token: end tokens, text, limits. False: out of memory. */
static bool take_token(struct generator *g, uint32_t token)
{
    uint64_t begin = run_profile_begin(g->session);
    bool ok = handle_token(g, token);
    run_profile_end(g->session, IDLE_SAMPLE, begin);
    return ok;
}

/* Room for the next token; `in_flight`: that before it is not computed yet. */
static bool has_room(struct run_session *session, bool in_flight)
{
    kv_settle(&session->kv, 0, session->kv.length[0] - (in_flight ? 1 : 0));
    return kv_room(&session->kv, 0) != 0;
}

static bool context_full(struct generator *g)
{
    if (has_room(g->session, false)) {
        return false;
    }
    g->stopped = true;
    g->stop = RUN_STOP_CONTEXT;
    return true;
}

/* Plans the step of one token, or of the one that the other slot's argmax is still computing, and
 * writes it into the slot. NULL: nothing was planned. */
static struct run_recording *plan_token(struct generator *g, struct run_slot *slot, uint32_t token)
{
    struct run_session *session = g->session;
    struct kv *kv = &session->kv;
    uint32_t entry = kv->length[0], place[KV_GROUPS], seq = 0, len = entry + 1, out = 0;
    struct run_recording *rec = run_record(session, slot, &g->shape);
    if (rec == NULL || !kv_append(kv, 0, place)) {
        return NULL;
    }
    struct run_batch batch = {.n_tokens = 1,
                              .n_out = 1,
                              .token = &token,
                              .pos = &entry,
                              .seq = &seq,
                              .slot = {&place[KV_GLOBAL], &place[KV_LOCAL]},
                              .len = &len,
                              .out = &out};
    run_step_write(session, slot, rec, &batch);
    return rec;
}

static bool send_token(struct generator *g, struct run_slot *slot, struct run_recording *rec)
{
    return run_step_submit(g->session, slot, rec, 0, 0) && run_step_go_on(g->session, slot, rec);
}

static bool may_go_on(const struct generator *g)
{
    return g->params->n_predict < 0 || g->n_generated + 1 < g->params->n_predict;
}

static bool no_choice(struct generator *g)
{
    log_error(g->session->log, "no finite logit to choose from");
    return false;
}

/* The step in `slot` is done: its token is taken, while the first device has the next one. */
static bool take_chained(struct generator *g, struct run_slot *slot)
{
    bool ok = run_step_end(g->session, slot, &slot->chained);
    if (ok) {
        uint32_t token = *(const uint32_t *)dev_buf_map(slot->ids);
        ok = token != UINT32_MAX ? take_token(g, token) : no_choice(g);
    }
    if (atomic_load(&g->session->cancel)) {
        g->stopped = true;
    }
    return ok;
}

/* Greedy: the devices choose the next token, and the first one has the step after it before the
 * host looks at it. Two steps are planned at a time. */
static enum run_status decode_chained(struct generator *g, uint32_t token)
{
    struct run_session *session = g->session;
    uint32_t at = 0;
    if (context_full(g)) {
        return RUN_OK;
    }
    session->n_logits = 0; /* those of the prompt are not the last step's */
    session->logits = NULL;
    struct run_recording *begun = plan_token(g, &session->slots[0], token);
    bool ok = begun != NULL && send_token(g, &session->slots[0], begun);
    while (ok && !g->stopped) {
        struct run_slot *slot = &session->slots[at], *next = &session->slots[at ^ 1];
        struct run_recording *rec = NULL;
        bool more = may_go_on(g) && has_room(session, true);
        if (more) {
            rec = plan_token(g, next, STEP_TOKEN_CHAINED);
            ok = rec != NULL && run_step_chain(session, slot, &slot->chained, next, rec);
        }
        ok = take_chained(g, slot) && ok;
        if (rec != NULL && (g->stopped || !ok)) { /* the step ahead is not wanted */
            ok = run_step_drop(session, next, rec) && ok;
            kv_truncate(&session->kv, 0, session->kv.length[0] - 1);
        } else if (rec != NULL) {
            ok = run_step_go_on(session, next, rec);
        } else if (ok && !g->stopped) {
            context_full(g);
        }
        at ^= 1;
    }
    for (uint32_t s = 0; s < 2 && !ok; s++) { /* nothing stays in flight */
        run_step_wait(session, &session->slots[s], &session->slots[s].chained);
    }
    return ok ? RUN_OK : run_session_failure(session);
}

/* From the largest logits that `slot` has (NULL: from the session's logits). */
static bool pick(struct generator *g, const struct run_slot *slot, uint32_t *token)
{
    struct run_session *session = g->session;
    uint64_t begin = run_profile_begin(session);
    bool ok = slot != NULL
                  ? sampler_pick_top(g->sampler, dev_buf_map(slot->ids), g->shape.top, token)
                  : sampler_pick(g->sampler, session->logits, token);
    run_profile_end(session, IDLE_SAMPLE, begin);
    return ok || no_choice(g);
}

static enum run_status decode_plain(struct generator *g, uint32_t token)
{
    struct run_session *session = g->session;
    struct run_slot *slot = &session->slots[0];
    bool top = g->shape.top != 0;
    while (!g->stopped && !context_full(g)) {
        if (atomic_load(&session->cancel)) {
            return RUN_CANCELLED;
        }
        struct run_recording *rec = plan_token(g, slot, token);
        if (rec == NULL || !send_token(g, slot, rec) || !run_step_end(session, slot, rec)) {
            return run_session_failure(session);
        }
        session->logits = top ? NULL : dev_buf_map(slot->logits_host);
        session->n_logits = top ? 0 : 1;
        if (!pick(g, top ? slot : NULL, &token) || !take_token(g, token)) {
            return RUN_ERROR;
        }
    }
    return RUN_OK;
}

/* Every position's logits, chunk by chunk. */
static enum run_status prefill_with_logits(struct generator *g)
{
    struct run_session *session = g->session;
    const struct run_generate_params *params = g->params;
    const struct run_model *model = session->model;
    uint64_t begin = os_clock_ns();
    bool *want = mem_alloc(model->n_batch, sizeof *want);
    if (want == NULL) {
        return RUN_OUT_OF_MEMORY;
    }
    memset(want, 1, model->n_batch * sizeof *want);
    enum run_status status = RUN_OK;
    uint32_t n = (uint32_t)params->n_prompt;
    for (uint32_t first = 0, end; first < n && status == RUN_OK; first = end) {
        uint32_t most = run_batch_now(model, n, session->kv.length[0] + n - first);
        most = most < model->max_out ? most : model->max_out;
        end = first + pace_chunk_size(n - first, most);
        status = atomic_load(&session->cancel)
                     ? RUN_CANCELLED
                     : run_step(session, &(struct run_tokens){.n = end - first,
                                                              .token = params->prompt + first,
                                                              .want = want});
        if (status == RUN_OK &&
            !params->on_logits(params->user, first, end - first, session->logits)) {
            status = RUN_CANCELLED;
        }
        if (status == RUN_OK) {
            session->logits += (size_t)(end - first - 1) * model->arch.hp.n_vocab;
        }
    }
    mem_free(want);
    session->stats.prefill_tokens += n;
    session->stats.prefill_ns += os_clock_ns() - begin;
    return status;
}

/* What steps of one token give back: the id of the next where the device chooses it (true), the
 * largest logits where those are enough, else all of them. */
static bool choose_shape(struct generator *g)
{
    const struct run_model *model = g->session->model;
    bool no_end = g->params->ignore_eos && model->n_ends != 0;
    g->shape = (struct run_shape){.n_tokens = 1, .n_out = 1};
    if (!sampler_is_greedy(g->sampler) || (no_end && model->n_ends > OP_MAX_BANNED)) {
        uint32_t top = sampler_top(g->sampler);
        g->shape.top = top <= OP_MAX_TOP && run_prefs_top(model) ? top : 0;
        return false;
    }
    g->shape.ids = true;
    g->shape.no_end = no_end;
    return true;
}

static enum run_status run(struct generator *g)
{
    struct run_session *session = g->session;
    const struct run_generate_params *params = g->params;
    struct run_stats *stats = &session->stats;
    uint32_t token = 0;
    enum run_status status = params->on_logits != NULL
                                 ? prefill_with_logits(g)
                                 : run_prefill(session, 0, params->prompt,
                                               (uint32_t)params->n_prompt, params->n_predict != 0);
    if (status != RUN_OK || params->n_predict == 0) {
        return status;
    }
    uint64_t begin = os_clock_ns();
    uint32_t before = g->n_generated;
    if (!pick(g, NULL, &token) || !take_token(g, token)) {
        return RUN_ERROR;
    }
    if (!g->stopped) {
        status = choose_shape(g) ? decode_chained(g, token) : decode_plain(g, token);
        stats->decode_tokens += g->n_generated - before - 1;
        stats->decode_ns += os_clock_ns() - begin;
    }
    return atomic_load(&session->cancel) && status == RUN_OK ? RUN_CANCELLED : status;
}

static bool start(struct generator *g)
{
    const struct run_model *model = g->session->model;
    const struct run_generate_params *params = g->params;
    g->sampler = sampler_create(&params->sampling, model->arch.hp.n_vocab);
    if (model->vocab != NULL) {
        g->stream = text_stream_create(model->vocab, false);
    }
    if (g->sampler == NULL || (model->vocab != NULL && g->stream == NULL)) {
        log_error(g->session->log, "out of memory for the sampler");
        return false;
    }
    for (size_t i = 0; i < params->n_prompt; i++) {
        sampler_add(g->sampler, params->prompt[i]);
    }
    for (uint32_t i = 0; params->ignore_eos && i < model->n_ends; i++) {
        if (!sampler_ban(g->sampler, model->ends[i])) {
            return false;
        }
    }
    return true;
}

/* Text still held back when generation ends without a stop text. */
static void flush_text(struct generator *g)
{
    if (g->stop == RUN_STOP_TEXT || g->stop == RUN_STOP_CALLBACK) {
        return;
    }
    size_t bytes = 0;
    const char *rest = g->stream != NULL ? text_stream_end(g->stream, &bytes) : NULL;
    if (rest != NULL) {
        str_add(&g->held, rest, bytes);
    }
    size_t n = g->held.failed ? 0 : find_stop(g->params, str_get(&g->held), g->held.bytes);
    if (n != 0 && g->params->on_token != NULL) {
        g->held.text[n] = '\0';
        g->params->on_token(g->params->user, UINT32_MAX, g->held.text, n);
    }
}

enum run_status run_generate(struct run_session *session, const struct run_generate_params *params,
                             uint32_t *n_generated, enum run_stop *stop)
{
    const struct run_model *model = session->model;
    *n_generated = 0;
    *stop = RUN_STOP_LIMIT;
    uint32_t have = session->kv.length[0];
    uint32_t room = model->n_ctx > have ? model->n_ctx - have : 0;
    if (params->n_prompt == 0) {
        log_error(session->log, "the prompt is empty");
        return RUN_BAD_ARGUMENT;
    }
    if (params->n_prompt > room) {
        log_error(session->log, "the prompt has %zu tokens, the context has room for %u of %u",
                  params->n_prompt, room, model->n_ctx);
        return RUN_CONTEXT_FULL;
    }
    uint64_t step_ns = session->stats.step_ns;
    struct generator g = {.session = session, .params = params, .begin_ns = os_clock_ns()};
    str_init(&g.held);
    atomic_store(&session->cancel, false);
    bool started = start(&g);
    run_profile_end(session, IDLE_SAMPLE, g.begin_ns);
    enum run_status status = started ? run(&g) : RUN_OUT_OF_MEMORY;
    if (status == RUN_OK || status == RUN_CANCELLED) {
        flush_text(&g);
    }
    session->stats.step_ns = step_ns + os_clock_ns() - g.begin_ns;
    *n_generated = g.n_generated;
    *stop = g.stop;
    sampler_destroy(g.sampler);
    text_stream_destroy(g.stream);
    str_finish(&g.held);
    return status;
}
