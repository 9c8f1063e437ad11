/* Sessions: steps, generation, statistics. */
#include "api/objects.h"

#include "base/os.h"

#include <stddef.h>
#include <string.h>

enum qd_status qd_session_create(qd_model *model, qd_session **out)
{
    *out = NULL;
    qd_session *session = mem_alloc(1, sizeof *session);
    if (session == NULL) {
        log_error(&model->context->log, "out of memory for a session");
        return QD_OUT_OF_MEMORY;
    }
    enum run_status status = run_session_init(&session->run, &model->run);
    if (status != RUN_OK) {
        mem_free(session);
        return (enum qd_status)status;
    }
    session->model = model;
    *out = session;
    return QD_OK;
}

void qd_session_destroy(qd_session **session)
{
    if (session == NULL || *session == NULL) {
        return;
    }
    run_session_finish(&(*session)->run);
    mem_free(*session);
    *session = NULL;
}

_Static_assert(sizeof(struct qd_fork) == sizeof(struct run_fork) &&
                   offsetof(struct qd_fork, before) == offsetof(struct run_fork, before) &&
                   offsetof(struct qd_fork, from) == offsetof(struct run_fork, from) &&
                   offsetof(struct qd_fork, to) == offsetof(struct run_fork, to),
               "forks of a step");

/* `forks` of the caller's, at least one more than the step's. False: said. */
static bool take_step(const struct qd_step *step, struct run_fork **forks, size_t *cap,
                      struct run_tokens *out, struct log *log)
{
    if (step->token == NULL || (step->forks == NULL && step->n_forks != 0)) {
        log_error(log, "a step without %s", step->token == NULL ? "tokens" : "forks");
        return false;
    }
    if (step->n_forks > *cap) {
        struct run_fork *grown = mem_resize(*forks, step->n_forks, sizeof *grown);
        if (grown == NULL) {
            log_error(log, "out of memory for %u forks", step->n_forks);
            return false;
        }
        *forks = grown;
        *cap = step->n_forks;
    }
    if (step->n_forks != 0) {
        memcpy(*forks, step->forks, step->n_forks * sizeof **forks);
    }
    *out = (struct run_tokens){.n = step->n_tokens,
                               .token = step->token,
                               .pos = step->pos,
                               .seq = step->seq,
                               .want = step->want,
                               .target = step->target,
                               .forks = *forks,
                               .n_forks = step->n_forks};
    return true;
}

enum qd_status qd_session_step(qd_session *session, const struct qd_step *step)
{
    struct run_fork *forks = NULL;
    size_t cap = 0;
    struct run_tokens tokens;
    bool ok = take_step(step, &forks, &cap, &tokens, session->run.log);
    enum qd_status status = ok ? (enum qd_status)run_step(&session->run, &tokens) : QD_BAD_ARGUMENT;
    mem_free(forks);
    return status;
}

struct runner {
    struct run_session *session;
    const struct qd_run_params *params;
    struct run_fork *forks;
    size_t cap_forks;
    bool bad; /* a step that is none */
};

static bool next_step(void *user, struct run_tokens *tokens)
{
    struct runner *runner = user;
    struct qd_step step = {0};
    if (!runner->params->next(runner->params->user, &step)) {
        return false;
    }
    runner->bad =
        !take_step(&step, &runner->forks, &runner->cap_forks, tokens, runner->session->log);
    return !runner->bad;
}

static bool step_done(void *user, uint64_t index, struct run_slot *slot, uint32_t n, bool scores)
{
    const struct qd_run_params *params = ((struct runner *)user)->params;
    const float *results = n != 0 ? dev_buf_map(scores ? slot->scores : slot->logits_host) : NULL;
    return params->done == NULL || params->done(params->user, index, results, n);
}

enum qd_status qd_session_run(qd_session *session, const struct qd_run_params *params)
{
    struct run_session *run = &session->run;
    struct runner runner = {.session = run, .params = params};
    const struct run_source source = {
        .next = next_step, .done = step_done, .user = &runner, .depth = params->depth};
    uint64_t begin = os_clock_ns();
    run->n_logits = run->n_scores = 0;
    atomic_store(&run->cancel, false);
    enum run_status status = run_pipeline(run, &source);
    bool lost = status == RUN_DEVICE_LOST || status == RUN_ERROR || status == RUN_OUT_OF_MEMORY;
    for (uint32_t s = 0; s < run->kv.n_seq && lost; s++) {
        kv_truncate(&run->kv, s, 0);
    }
    run->stats.step_ns += os_clock_ns() - begin;
    mem_free(runner.forks);
    return status == RUN_OK && runner.bad ? QD_BAD_ARGUMENT : (enum qd_status)status;
}

const float *qd_session_scores(qd_session *session, uint32_t *count)
{
    const struct run_session *run = &session->run;
    if (count != NULL) {
        *count = run->n_scores;
    }
    return run->n_scores != 0 ? run->scores : NULL;
}

enum qd_status qd_session_fork(qd_session *session, uint32_t from, uint32_t to, uint32_t length)
{
    const struct run_fork fork = {.from = from, .to = to, .length = length};
    return (enum qd_status)run_fork(&session->run, &fork);
}

const float *qd_session_logits(qd_session *session, uint32_t i)
{
    const struct run_session *run = &session->run;
    return run->logits != NULL && i < run->n_logits
               ? run->logits + (size_t)i * run->model->arch.hp.n_vocab
               : NULL;
}

enum qd_status qd_session_truncate(qd_session *session, uint32_t seq, uint32_t length)
{
    if (seq >= session->run.kv.n_seq) {
        log_error(session->run.log, "sequence %u: there are %u", seq, session->run.kv.n_seq);
        return QD_BAD_ARGUMENT;
    }
    kv_truncate(&session->run.kv, seq, length);
    return QD_OK;
}

uint32_t qd_session_length(const qd_session *session, uint32_t seq)
{
    return seq < session->run.kv.n_seq ? session->run.kv.length[seq] : 0;
}

void qd_session_cancel(qd_session *session)
{
    run_session_cancel(&session->run);
}

_Static_assert((int)QD_STOP_LIMIT == RUN_STOP_LIMIT && (int)QD_STOP_END_TOKEN == RUN_STOP_END &&
                   (int)QD_STOP_TEXT == RUN_STOP_TEXT && (int)QD_STOP_CONTEXT == RUN_STOP_CONTEXT &&
                   (int)QD_STOP_CALLBACK == RUN_STOP_CALLBACK,
               "reasons to stop");

enum qd_status qd_session_generate(qd_session *session, const struct qd_generate_params *params,
                                   struct qd_generate_result *result)
{
    const struct qd_sampling *s = &params->sampling;
    struct run_generate_params run = {
        .prompt = params->prompt,
        .n_prompt = params->n_prompt,
        .n_predict = params->n_predict,
        .sampling = {.temperature = s->temperature,
                     .top_k = s->top_k,
                     .top_p = s->top_p > 0 ? s->top_p : 1.0f,
                     .min_p = s->min_p,
                     .repeat_penalty = s->repeat_penalty > 0 ? s->repeat_penalty : 1.0f,
                     .repeat_last = 64,
                     .seed = s->seed},
        .stops = params->stops,
        .n_stops = params->n_stops,
        .ignore_eos = params->ignore_eos,
        .on_token = params->on_token,
        .user = params->user,
        .on_logits = params->on_logits,
    };
    if (params->prompt == NULL && params->n_prompt != 0) {
        log_error(session->run.log, "a prompt of %zu tokens without its ids", params->n_prompt);
        return QD_BAD_ARGUMENT;
    }
    struct qd_generate_result none;
    result = result != NULL ? result : &none;
    enum run_stop stop;
    enum run_status status = run_generate(&session->run, &run, &result->n_generated, &stop);
    result->stop = (enum qd_stop)stop;
    return (enum qd_status)status;
}

void qd_session_get_stats(const qd_session *session, struct qd_stats *out)
{
    const struct run_stats *s = &session->run.stats;
    const struct run_model *model = session->run.model;
    *out = (struct qd_stats){
        .load_ns = model->load_ns + session->run.init_ns,
        .prefill_tokens = s->prefill_tokens,
        .prefill_ns = s->prefill_ns,
        .decode_tokens = s->decode_tokens,
        .decode_ns = s->decode_ns,
        .first_token_ns = s->first_token_ns,
        .steps = s->steps,
        .exchanges = s->exchanges,
        .exchanged_bytes = s->exchanged_bytes,
        .decode_exchanges = s->decode_exchanges,
        .decode_exchanged_bytes = s->decode_exchanged_bytes,
        .step_ns = s->step_ns,
        .host_peak_bytes = os_peak_rss(),
        .submissions = s->submissions,
    };
    for (uint32_t d = 0; d < model->n_devices; d++) {
        out->device_busy_ns[d] = s->busy_ns[d];
        out->device_peak_bytes[d] = dev_get_peak(model->devices[d].dev);
    }
}

void qd_session_reset_stats(qd_session *session)
{
    memset(&session->run.stats, 0, sizeof session->run.stats);
    run_profile_reset(&session->run);
}

enum qd_status qd_session_profile(qd_session *session, bool on)
{
    if (on) {
        return run_profile_start(&session->run) ? QD_OK : QD_ERROR;
    }
    run_profile_stop(&session->run);
    return QD_OK;
}

_Static_assert((int)QD_PROFILE_KERNEL == RUN_PROFILE_KERNEL &&
                   (int)QD_PROFILE_COPY == RUN_PROFILE_COPY &&
                   (int)QD_PROFILE_GAP == RUN_PROFILE_GAP &&
                   (int)QD_PROFILE_HOST == RUN_PROFILE_HOST &&
                   sizeof(struct qd_profile_row) == sizeof(struct run_profile_row),
               "rows of a profile");

enum qd_status qd_session_get_profile(qd_session *session, struct qd_profile_row *rows, size_t cap,
                                      size_t *count)
{
    struct run_profile_row *run = mem_alloc(cap + 1, sizeof *run);
    bool ok = run != NULL && run_profile_get(&session->run, run, cap, count);
    for (size_t i = 0; ok && i < *count && i < cap; i++) {
        const struct run_profile_row *r = &run[i];
        rows[i] = (struct qd_profile_row){.device = r->device,
                                          .kind = (enum qd_profile_kind)r->kind,
                                          .calls = r->calls,
                                          .dispatches = r->dispatches,
                                          .ns = r->ns,
                                          .flop = r->flop,
                                          .bytes = r->bytes};
        memcpy(rows[i].op, r->op, sizeof r->op);
        memcpy(rows[i].variant, r->variant, sizeof r->variant);
        memcpy(rows[i].format, r->format, sizeof r->format);
        memcpy(rows[i].shape, r->shape, sizeof r->shape);
        memcpy(rows[i].what, r->what, sizeof r->what);
    }
    *count = ok ? *count : 0;
    mem_free(run);
    return ok ? QD_OK : QD_OUT_OF_MEMORY;
}
