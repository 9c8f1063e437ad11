/* Rigs and the golden file. */
#include "common.h"

#include "base/log.h"
#include "gguf_make.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rig_has_device(void)
{
    qd_context *context;
    char error[512];
    if (qd_context_create(NULL, &context, error, sizeof error) != QD_OK) {
        printf("skipped: %s\n", error);
        return false;
    }
    qd_context_destroy(&context);
    return true;
}

static void print_line(void *user, enum qd_log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

void rig_open(struct rig *rig, const char *path, uint32_t n_devices,
              const struct qd_model_params *params)
{
    memset(rig, 0, sizeof *rig);
    struct qd_model_params mine = params != NULL ? *params : (struct qd_model_params){0};
    mine.path = mine.dummy == NULL ? path : NULL;
    mine.n_devices = n_devices;
    char error[512];
    enum qd_status status =
        qd_context_create(&(struct qd_context_params){.log = print_line, .log_level = QD_LOG_WARN},
                          &rig->context, error, sizeof error);
    assert_int_equal(status, QD_OK);
    assert_int_equal(qd_model_load(rig->context, &mine, &rig->model), QD_OK);
    assert_int_equal(qd_session_create(rig->model, &rig->session), QD_OK);
}

void rig_close(struct rig *rig)
{
    qd_session_destroy(&rig->session);
    qd_model_destroy(&rig->model);
    assert_int_equal(qd_validation_messages(rig->context), 0);
    qd_context_destroy(&rig->context);
}

void golden_open(struct golden *golden)
{
    json_error_t error;
    golden->root = json_load_file(QD_SOURCE_DIR "/models/classics-13m.json", 0, &error);
    assert_non_null(golden->root);
    golden->n = json_array_size(golden->root);
    assert_true(golden->n > 0);
}

void golden_close(struct golden *golden)
{
    json_decref(golden->root);
}

static json_t *field(const struct golden *golden, size_t i, const char *name, size_t *count)
{
    json_t *array = json_object_get(json_array_get(golden->root, i), name);
    assert_true(json_is_array(array));
    *count = json_array_size(array);
    return array;
}

uint32_t *golden_ids(const struct golden *golden, size_t i, const char *name, size_t *count)
{
    json_t *array = field(golden, i, name, count);
    uint32_t *out = malloc((*count + 1) * sizeof *out);
    assert_non_null(out);
    for (size_t k = 0; k < *count; k++) {
        out[k] = (uint32_t)json_integer_value(json_array_get(array, k));
    }
    return out;
}

double *golden_reals(const struct golden *golden, size_t i, const char *name, size_t *count)
{
    json_t *array = field(golden, i, name, count);
    double *out = malloc((*count + 1) * sizeof *out);
    assert_non_null(out);
    for (size_t k = 0; k < *count; k++) {
        out[k] = json_number_value(json_array_get(array, k));
    }
    return out;
}

void free_numbers(void *numbers)
{
    free(numbers);
}

struct taken {
    uint32_t *out;
    uint32_t n, cap;
};

static bool take(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct taken *taken = user;
    (void)text;
    (void)bytes;
    if (token != UINT32_MAX) {
        assert_true(taken->n < taken->cap);
        taken->out[taken->n++] = token;
    }
    return true;
}

void rig_greedy(struct rig *rig, const uint32_t *prompt, size_t n_prompt, uint32_t n, uint32_t *out)
{
    struct taken taken = {.out = out, .cap = n};
    struct qd_generate_result result;
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    assert_int_equal(qd_session_generate(rig->session,
                                         &(struct qd_generate_params){.prompt = prompt,
                                                                      .n_prompt = n_prompt,
                                                                      .n_predict = n,
                                                                      .on_token = take,
                                                                      .user = &taken},
                                         &result),
                     QD_OK);
    assert_int_equal(taken.n, n);
    assert_int_equal(result.n_generated, n);
}

float *rig_logits(struct rig *rig, const uint32_t *tokens, size_t n, uint32_t chunk)
{
    struct qd_model_info info;
    qd_model_get_info(rig->model, &info);
    float *out = malloc(n * info.n_vocab * sizeof *out);
    bool *want = malloc(n * sizeof *want);
    assert_true(out != NULL && want != NULL);
    memset(want, 1, n * sizeof *want);
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    for (size_t at = 0; at < n; at += chunk) {
        uint32_t count = n - at < chunk ? (uint32_t)(n - at) : chunk;
        struct qd_step step = {.n_tokens = count, .token = tokens + at, .want = want};
        assert_int_equal(qd_session_step(rig->session, &step), QD_OK);
        for (uint32_t i = 0; i < count; i++) {
            const float *row = qd_session_logits(rig->session, i);
            assert_non_null(row);
            memcpy(out + (at + i) * info.n_vocab, row, info.n_vocab * sizeof *out);
        }
        assert_null(qd_session_logits(rig->session, count));
    }
    free(want);
    return out;
}

double logits_log_sum(const float *row, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(row[i]));
        top = fmax(top, row[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp(row[i] - top);
    }
    return top + log(sum);
}

double logits_divergence(const float *base, const float *row, size_t n)
{
    double base_sum = logits_log_sum(base, n), row_sum = logits_log_sum(row, n), kl = 0;
    for (size_t i = 0; i < n; i++) {
        double p = base[i] - base_sum, q = row[i] - row_sum;
        kl += exp(p) * (p - q);
    }
    return kl;
}

double logits_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    return worst;
}

void rig_make_file(const struct gguf_make_params *params, const char *path)
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    assert_true(gguf_make_file(params, path, &log));
    log_finish(&log);
}
