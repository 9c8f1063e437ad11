/* The model level: what the demo model computes on each device against a stored reference, on each
 * pair of devices against each other, and split over all of them. Only the public interface. */
#include "cli/compat.h"
#include "cli/json.h"
#include "cli/memory.h"

#include <math.h>
#include <string.h>

#define LOGIT_BOUND 0.05
#define SUM_BOUND   0.02

/* What a model said on one set of devices. */
struct outcome {
    bool done, ok; /* done and not ok: why */
    char why[256];
    uint32_t n_vocab;
    float *logits;    /* [positions of all prompts][n_vocab] */
    uint32_t *greedy; /* of all prompts */
};

struct figures {
    double logits, sums; /* largest difference; sums below 0: not compared */
    uint32_t greedy, equal;
};

static uint32_t count_positions(const struct compat *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->reference.n_cases; i++) {
        n += c->reference.cases[i].n;
    }
    return n;
}

static uint32_t count_greedy(const struct compat *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->reference.n_cases; i++) {
        n += c->reference.cases[i].n_greedy;
    }
    return n;
}

struct taken {
    uint32_t *out, n, cap;
};

static bool take(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct taken *taken = user;
    (void)text, (void)bytes;
    if (token != UINT32_MAX && taken->n < taken->cap) {
        taken->out[taken->n++] = token;
    }
    return true;
}

static enum qd_status run_prompt(qd_session *session, const struct compat_case *one,
                                 const struct qd_model_info *info, float *logits)
{
    enum qd_status status = qd_session_truncate(session, 0, 0);
    bool *want = cli_alloc(one->n, sizeof *want);
    if (want == NULL) {
        return QD_OUT_OF_MEMORY;
    }
    memset(want, 1, one->n * sizeof *want);
    for (uint32_t at = 0; status == QD_OK && at < one->n; at += info->n_batch) {
        uint32_t n = one->n - at < info->n_batch ? one->n - at : info->n_batch;
        status = qd_session_step(
            session, &(struct qd_step){.n_tokens = n, .token = one->tokens + at, .want = want});
        for (uint32_t i = 0; status == QD_OK && i < n; i++) {
            const float *row = qd_session_logits(session, i);
            if (row == NULL) {
                status = QD_ERROR;
                break;
            }
            memcpy(logits + (size_t)(at + i) * info->n_vocab, row, info->n_vocab * sizeof *row);
        }
    }
    cli_free(want);
    return status;
}

static enum qd_status run_greedy(qd_session *session, const struct compat_case *one, uint32_t *out)
{
    struct taken taken = {.out = out, .cap = one->n_greedy};
    struct qd_generate_result result;
    enum qd_status status = qd_session_truncate(session, 0, 0);
    if (status == QD_OK) {
        status = qd_session_generate(session,
                                     &(struct qd_generate_params){.prompt = one->tokens,
                                                                  .n_prompt = one->n,
                                                                  .n_predict = one->n_greedy,
                                                                  .on_token = take,
                                                                  .user = &taken},
                                     &result);
    }
    for (uint32_t i = taken.n; i < taken.cap; i++) {
        out[i] = UINT32_MAX; /* an early end is a difference */
    }
    return status;
}

static enum qd_status run_cases(const struct compat *c, qd_model *model, qd_session *session,
                                struct outcome *out)
{
    struct qd_model_info info;
    qd_model_get_info(model, &info);
    out->n_vocab = info.n_vocab;
    out->logits = cli_alloc((size_t)count_positions(c) * info.n_vocab, sizeof *out->logits);
    out->greedy = cli_alloc(count_greedy(c), sizeof *out->greedy);
    if (out->logits == NULL || out->greedy == NULL) {
        return QD_OUT_OF_MEMORY;
    }
    enum qd_status status = QD_OK;
    size_t position = 0, greedy = 0;
    for (uint32_t i = 0; status == QD_OK && i < c->reference.n_cases; i++) {
        const struct compat_case *one = &c->reference.cases[i];
        status = run_prompt(session, one, &info, out->logits + position * info.n_vocab);
        if (status == QD_OK) {
            status = run_greedy(session, one, out->greedy + greedy);
        }
        position += one->n;
        greedy += one->n_greedy;
    }
    return status;
}

/* False: interrupted. */
static bool run_model(struct compat *c, const uint32_t *devices, uint32_t n, struct outcome *out)
{
    qd_model *model = NULL;
    qd_session *session = NULL;
    uint32_t messages = qd_validation_messages(c->context);
    struct cli_progress progress = {.interrupt = c->interrupt, .shown_ns = UINT64_MAX / 2};
    struct qd_model_params params = {.path = c->model_path,
                                     .n_devices = n,
                                     .n_ctx = 256,
                                     .disable = c->options->disable,
                                     .progress = cli_progress_step,
                                     .progress_user = &progress};
    memcpy(params.devices, devices, n * sizeof *devices);
    enum qd_status status = qd_model_load(c->context, &params, &model);
    status = status == QD_OK ? qd_session_create(model, &session) : status;
    if (status == QD_OK) {
        cli_interrupt_watch(c->interrupt, session);
        status = run_cases(c, model, session, out);
        cli_interrupt_watch(c->interrupt, NULL);
    }
    cli_progress_end(&progress);
    out->done = true;
    out->ok = status == QD_OK && qd_validation_messages(c->context) == messages;
    if (status != QD_OK) {
        const char *reason = qd_last_error(c->context);
        snprintf(out->why, sizeof out->why, "%s: %s",
                 status == QD_DEVICE_LOST     ? "device lost"
                 : status == QD_OUT_OF_MEMORY ? "out of memory"
                                              : "could not be run",
                 *reason != '\0' ? reason : qd_status_text(status));
    } else if (!out->ok) {
        snprintf(out->why, sizeof out->why, "validation: %s", qd_last_error(c->context));
    }
    qd_session_destroy(&session);
    qd_model_destroy(&model);
    return cli_interrupted(c->interrupt) == 0;
}

static void free_outcome(struct outcome *out)
{
    cli_free(out->logits);
    cli_free(out->greedy);
    *out = (struct outcome){0};
}

static double log_sum_exp(const float *row, uint32_t n)
{
    double most = row[0], sum = 0;
    for (uint32_t i = 1; i < n; i++) {
        most = row[i] > most ? row[i] : most;
    }
    for (uint32_t i = 0; i < n; i++) {
        sum += exp(row[i] - most);
    }
    return most + log(sum);
}

/* As fmax, but a difference that is no number stays one. */
static double worse(double a, double b)
{
    return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}

static bool has_reference(const struct compat *c)
{
    return c->reference.n_cases != 0 && c->reference.cases[0].last != NULL;
}

static bool compare_reference(const struct compat *c, const struct outcome *a, struct figures *f,
                              char *why, size_t bytes)
{
    size_t position = 0, greedy = 0;
    *f = (struct figures){0};
    for (uint32_t i = 0; i < c->reference.n_cases; i++) {
        const struct compat_case *one = &c->reference.cases[i];
        if (one->last != NULL && one->n_last != a->n_vocab) {
            snprintf(why, bytes, "the reference has %u logits, the model %u", one->n_last,
                     a->n_vocab);
            return false;
        }
        for (uint32_t t = 0; t < one->n_sums; t++) {
            const float *row = a->logits + (position + t) * a->n_vocab;
            f->sums = worse(f->sums, fabs(log_sum_exp(row, a->n_vocab) - one->sums[t]));
        }
        const float *last = a->logits + (position + one->n - 1) * a->n_vocab;
        for (uint32_t k = 0; one->last != NULL && k < a->n_vocab; k++) {
            f->logits = worse(f->logits, fabs((double)last[k] - one->last[k]));
        }
        for (uint32_t k = 0; k < one->n_greedy; k++) {
            f->equal += a->greedy[greedy + k] == one->greedy[k] ? 1 : 0;
        }
        position += one->n;
        greedy += one->n_greedy;
        f->greedy += one->n_greedy;
    }
    return true;
}

static void compare_outcomes(const struct compat *c, const struct outcome *a,
                             const struct outcome *b, struct figures *f)
{
    *f = (struct figures){.sums = -1, .greedy = count_greedy(c)};
    for (size_t k = 0; k < (size_t)count_positions(c) * a->n_vocab; k++) {
        f->logits = worse(f->logits, fabs((double)a->logits[k] - (double)b->logits[k]));
    }
    for (uint32_t k = 0; k < f->greedy; k++) {
        f->equal += a->greedy[k] == b->greedy[k] ? 1 : 0;
    }
}

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *figures_json(const struct figures *f, const char *against)
{
    json_t *out = json_object();
    cli_json_add(out, "against", cli_json_text(against));
    cli_json_add(out, "logit_difference", real(f->logits));
    cli_json_add(out, "logit_bound", json_real(LOGIT_BOUND));
    if (f->sums >= 0 || isnan(f->sums)) {
        cli_json_add(out, "logsumexp_difference", real(f->sums));
        cli_json_add(out, "logsumexp_bound", json_real(SUM_BOUND));
    }
    cli_json_add(out, "greedy_tokens", json_integer(f->greedy));
    cli_json_add(out, "greedy_equal", json_integer(f->equal));
    return out;
}

/* Why the figures are a failure; "" when they are none. */
static void judge(const struct figures *f, char *why, size_t bytes)
{
    why[0] = '\0';
    if (!(f->logits <= LOGIT_BOUND)) {
        snprintf(why, bytes, "a logit differs by %.4g, allowed are %g", f->logits, LOGIT_BOUND);
    } else if (!(f->sums <= SUM_BOUND)) {
        snprintf(why, bytes, "logsumexp differs by %.4g, allowed are %g", f->sums, SUM_BOUND);
    } else if (f->equal != f->greedy) {
        snprintf(why, bytes, "%u of %u greedy tokens are equal", f->equal, f->greedy);
    }
}

/* A row without a result, of these devices. */
static json_t *make_row(const struct compat *c, const char *kind, char joint,
                        const uint32_t *devices, uint32_t n)
{
    char variant[64];
    int at = snprintf(variant, sizeof variant, "%s ", kind);
    json_t *row = json_object(), *list = json_array();
    for (uint32_t i = 0; i < n; i++) {
        at += snprintf(variant + at, sizeof variant - (size_t)at, i == 0 ? "%.0s%u" : "%s%u",
                       (const char[]){joint, '\0'}, devices[i]);
        json_array_append_new(list, json_integer(devices[i]));
    }
    cli_json_add(row, "device", json_integer(devices[0]));
    cli_json_add(row, "devices", list);
    cli_json_add(row, "op", json_string("model"));
    cli_json_add(row, "variant", json_string(variant));
    json_t *shape = json_object();
    cli_json_add(shape, "prompts", json_integer(c->reference.n_cases));
    cli_json_add(shape, "positions", json_integer(count_positions(c)));
    cli_json_add(shape, "greedy", json_integer(count_greedy(c)));
    cli_json_add(row, "format", json_null());
    cli_json_add(row, "kv", json_string("f16"));
    cli_json_add(row, "shape", c->reference.n_cases != 0 ? shape : json_null());
    if (c->reference.n_cases == 0) {
        json_decref(shape);
    }
    cli_json_add(row, "way", json_string("plain"));
    return row;
}

/* Ends the row and hands it over. Without figures it is what `status` and `why` say. */
static bool end_row(struct compat *c, json_t *row, const char *status, const char *why,
                    const struct figures *f, const char *against)
{
    char fault[256];
    bool judged = f != NULL;
    if (judged) {
        judge(f, fault, sizeof fault);
        why = fault;
        status = *fault == '\0' ? "pass" : "fail";
    }
    cli_json_add(row, "status", json_string(status));
    cli_json_add(row, "why", cli_json_text(why));
    cli_json_add(row, "nmse", json_null());
    cli_json_add(row, "worst_error", judged ? real(f->logits) : json_null());
    cli_json_add(row, "worst_ratio",
                 judged ? real(worse(f->logits / LOGIT_BOUND, f->sums / SUM_BOUND)) : json_null());
    cli_json_add(row, "counts", json_null());
    cli_json_add(row, "figures", judged ? figures_json(f, against) : json_null());
    return compat_add(c, row);
}

static bool is_known(const struct compat *c, json_t *row)
{
    bool known = compat_journal_find(&c->journal, row) != NULL;
    if (known) {
        json_decref(row);
    }
    return known;
}

/* An outcome against the reference; without one against that of `first`, or against nothing. */
static bool add_outcome(struct compat *c, json_t *row, const struct outcome *out,
                        const struct outcome *first)
{
    struct figures f;
    char why[256];
    if (!out->ok) {
        return end_row(c, row, "fail", out->why, NULL, NULL);
    }
    if (has_reference(c)) {
        bool fits = compare_reference(c, out, &f, why, sizeof why);
        return end_row(c, row, "fail", why, fits ? &f : NULL, c->reference_path);
    }
    if (first != NULL && first->ok) {
        compare_outcomes(c, out, first, &f);
        return end_row(c, row, "", "", &f, "the first device");
    }
    snprintf(why, sizeof why, "no reference of %.100s: it is given by --reference", c->model);
    return end_row(c, row, "skip", why, NULL, NULL);
}

static bool ensure(struct compat *c, uint32_t i, struct outcome *outcomes)
{
    return outcomes[i].done || run_model(c, &c->devices[i], 1, &outcomes[i]);
}

static bool is_usable(const struct compat *c, uint32_t i)
{
    return json_is_true(json_object_get(json_array_get(c->facts, i), "usable"));
}

static bool run_singles(struct compat *c, struct outcome *outcomes)
{
    for (uint32_t i = 0; i < c->n_devices; i++) {
        json_t *row = make_row(c, "device", ',', &c->devices[i], 1);
        if (!is_usable(c, i) || is_known(c, row)) {
            if (!is_usable(c, i)) {
                json_decref(row);
            }
            continue;
        }
        if (!ensure(c, i, outcomes)) {
            json_decref(row);
            return false;
        }
        if (!add_outcome(c, row, &outcomes[i], NULL)) {
            return false;
        }
    }
    return true;
}

static bool run_pair(struct compat *c, uint32_t a, uint32_t b, struct outcome *outcomes)
{
    const uint32_t pair[2] = {c->devices[a], c->devices[b]};
    json_t *row = make_row(c, "devices", ',', pair, 2);
    struct figures f;
    char why[64], against[32];
    if (is_known(c, row)) {
        return true;
    }
    if (!ensure(c, a, outcomes) || !ensure(c, b, outcomes)) {
        json_decref(row);
        return false;
    }
    if (!outcomes[a].ok || !outcomes[b].ok) {
        snprintf(why, sizeof why, "device %u has no logits", c->devices[outcomes[a].ok ? b : a]);
        return end_row(c, row, "skip", why, NULL, NULL);
    }
    snprintf(against, sizeof against, "device %u", c->devices[b]);
    compare_outcomes(c, &outcomes[a], &outcomes[b], &f);
    return end_row(c, row, "", "", &f, against);
}

static bool run_pairs(struct compat *c, struct outcome *outcomes)
{
    for (uint32_t a = 0; a < c->n_devices; a++) {
        for (uint32_t b = a + 1; b < c->n_devices; b++) {
            if (is_usable(c, a) && is_usable(c, b) && !run_pair(c, a, b, outcomes)) {
                return false;
            }
        }
    }
    return true;
}

static bool run_split(struct compat *c, struct outcome *outcomes)
{
    uint32_t devices[QD_MAX_DEVICES], n = 0, usable = 0, first = 0;
    struct outcome split = {0};
    for (uint32_t i = c->n_devices; i-- > 0;) {
        usable += is_usable(c, i) ? 1 : 0;
        first = is_usable(c, i) ? i : first;
    }
    for (uint32_t i = 0; i < c->n_devices && n < QD_MAX_DEVICES; i++) {
        if (is_usable(c, i)) {
            devices[n++] = c->devices[i];
        }
    }
    if (n < 2) {
        return true;
    }
    json_t *row = make_row(c, "split", '+', devices, n);
    if (is_known(c, row)) {
        return true;
    }
    if (usable > n) {
        cli_json_add(row, "note", json_string("the first four devices"));
    }
    if ((!has_reference(c) && !ensure(c, first, outcomes)) || !run_model(c, devices, n, &split)) {
        free_outcome(&split);
        json_decref(row);
        return false;
    }
    bool ok = add_outcome(c, row, &split, &outcomes[first]);
    free_outcome(&split);
    return ok;
}

/* Prompts for a model without a reference. */
static bool make_prompts(struct compat *c)
{
    static const char text[] = "It was a dark and stormy night, and";
    qd_model *model = NULL;
    size_t n = 0;
    struct compat_case *one = cli_alloc(1, sizeof *one);
    if (one == NULL) {
        return false;
    }
    c->reference = (struct compat_reference){.cases = one, .n_cases = 1};
    one->tokens = cli_alloc(sizeof text, sizeof *one->tokens);
    one->n_greedy = c->options->quick ? 8 : 96;
    enum qd_status status = qd_model_load(
        c->context, &(struct qd_model_params){.path = c->model_path, .depth = QD_DEPTH_VOCAB},
        &model);
    if (status == QD_OK && one->tokens != NULL) {
        status =
            qd_tokenize(model, text, sizeof text - 1, true, false, one->tokens, sizeof text, &n);
    }
    qd_model_destroy(&model);
    one->n = n < sizeof text ? (uint32_t)n : sizeof text;
    if (status != QD_OK) {
        cli_error_status(c->context, status);
    }
    return status == QD_OK && one->tokens != NULL && one->n != 0;
}

static void skip_all(struct compat *c)
{
    char why[256];
    snprintf(why, sizeof why, "no model: models/%s was found neither here nor beside the program",
             COMPAT_MODEL);
    for (uint32_t i = 0; i < c->n_devices; i++) {
        json_t *row = make_row(c, "device", ',', &c->devices[i], 1);
        if (!is_known(c, row) && !end_row(c, row, "skip", why, NULL, NULL)) {
            return;
        }
    }
}

void compat_model_run(struct compat *c)
{
    if (c->model_path[0] == '\0') {
        skip_all(c);
        return;
    }
    if (c->reference.n_cases == 0 && !make_prompts(c)) {
        c->code = CLI_FAILED;
        return;
    }
    struct outcome *outcomes = cli_alloc(c->n_devices, sizeof *outcomes);
    if (outcomes == NULL) {
        c->code = CLI_FAILED;
        return;
    }
    bool ok = run_singles(c, outcomes) && run_pairs(c, outcomes) && run_split(c, outcomes);
    if (!ok && c->code == CLI_DONE) {
        c->code = CLI_SIGNAL + cli_interrupted(c->interrupt);
    }
    for (uint32_t i = 0; i < c->n_devices; i++) {
        free_outcome(&outcomes[i]);
    }
    cli_free(outcomes);
}
