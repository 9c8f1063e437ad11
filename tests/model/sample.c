/* How decode chooses tokens: steps that are submitted before the last token was read, on any number
 * of devices; end tokens that are passed over on the device, and the largest logits found there. */
#include "base/os.h"
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VOCAB = 4096, N = 24 };

static uint32_t *prompt(size_t i, size_t *n)
{
    struct golden golden;
    golden_open(&golden);
    uint32_t *ids = golden_ids(&golden, i, "tokens", n);
    golden_close(&golden);
    return ids;
}

struct seen {
    uint64_t ns[N]; /* when each token came */
    uint32_t token[N], n;
};

static bool see(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct seen *seen = user;
    (void)text;
    (void)bytes;
    if (token != UINT32_MAX) {
        assert_true(seen->n < N);
        seen->token[seen->n] = token;
        seen->ns[seen->n++] = os_clock_ns();
    }
    return true;
}

/* When the first device was given each step, [most]; returns how many there were. */
static uint32_t submissions(const struct rig *rig, uint64_t *ns, uint32_t most)
{
    size_t n;
    uint32_t count = 0;
    assert_int_equal(qd_session_get_trace(rig->session, NULL, 0, &n), QD_OK);
    struct qd_trace_event *events = malloc((n + 1) * sizeof *events);
    assert_non_null(events);
    assert_int_equal(qd_session_get_trace(rig->session, events, n, &n), QD_OK);
    for (size_t i = 0; i < n; i++) {
        if (events[i].kind == QD_TRACE_SUBMIT && events[i].device == 0) {
            assert_true(count < most);
            ns[count++] = events[i].end_ns;
        }
    }
    free(events);
    return count;
}

/* Generates N tokens; returns how many steps the first device was given before the caller saw the
 * token that they read. */
static uint32_t count_ahead(struct rig *rig, struct qd_generate_params *params, struct seen *seen)
{
    uint64_t ns[N + 1];
    uint32_t ahead = 0;
    struct qd_generate_result result;
    *seen = (struct seen){0};
    params->on_token = see;
    params->user = seen;
    params->n_predict = N;
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    assert_int_equal(qd_session_trace(rig->session, true), QD_OK);
    assert_int_equal(qd_session_generate(rig->session, params, &result), QD_OK);
    assert_int_equal(seen->n, N);
    assert_int_equal(submissions(rig, ns, N + 1), N); /* the prompt, and all tokens but the last */
    for (uint32_t i = 0; i + 1 < N; i++) {
        ahead += ns[i + 1] < seen->ns[i] ? 1 : 0;
    }
    return ahead;
}

/* Steps go to the first device before the token that they begin with was read, on any number of
 * devices. The first token is the prompt's, which the host chooses. */
static void steps_are_submitted_ahead(void **state)
{
    (void)state;
    size_t n;
    uint32_t *ids = prompt(2, &n), one[N];
    for (uint32_t devices = 1; devices <= 4; devices++) {
        struct rig rig;
        struct seen seen;
        struct qd_generate_params params = {.prompt = ids, .n_prompt = n};
        rig_open(&rig, MODEL_Q4KM, devices, NULL);
        assert_int_equal(count_ahead(&rig, &params, &seen), N - 2);
        if (devices == 1) {
            memcpy(one, seen.token, sizeof one);
        }
        assert_memory_equal(seen.token, one, sizeof one);
        assert_int_equal(qd_session_length(rig.session, 0), n + N - 1);
        rig_close(&rig);
    }
    free_numbers(ids);
}

/* A copy of the model in which this token ends a text. */
static void make_ending(const char *path, uint32_t end)
{
    static const char key[] = "tokenizer.ggml.eos_token_id";
    FILE *in = fopen(MODEL_Q4KM, "rb"), *out = fopen(path, "wb");
    assert_true(in != NULL && out != NULL);
    static char data[16 << 20];
    size_t bytes = fread(data, 1, sizeof data, in), at = 0;
    while (at < bytes && memcmp(data + at, key, sizeof key - 1) != 0) {
        at++;
    }
    assert_true(bytes < sizeof data && at + sizeof key + 8 < bytes);
    memcpy(data + at + sizeof key - 1 + 4, &end, 4); /* behind its type */
    assert_int_equal(fwrite(data, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

static uint32_t largest_but(const float *row, uint32_t banned)
{
    uint32_t best = banned == 0 ? 1 : 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        best = i != banned && row[i] > row[best] ? i : best;
    }
    return best;
}

/* An end token ends the text, whatever was submitted ahead; with ignore_eos the devices pass over
 * it, to what the host would choose. */
static void end_tokens(void **state)
{
    (void)state;
    enum { AT = 5 };
    char path[512];
    snprintf(path, sizeof path, "%s/model_sample_%ld.gguf", QD_BINARY_DIR, (long)getpid());
    size_t n;
    uint32_t *ids = prompt(2, &n), plain[N], host[N];
    struct rig rig;
    rig_open(&rig, MODEL_Q4KM, 1, NULL);
    rig_greedy(&rig, ids, n, N, plain);
    uint32_t end = plain[AT], first = 0;
    assert_int_equal(qd_session_truncate(rig.session, 0, 0), QD_OK);
    struct qd_step step = {.n_tokens = (uint32_t)n, .token = ids};
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
        host[i] = largest_but(qd_session_logits(rig.session, 0), end);
        step = (struct qd_step){.n_tokens = 1, .token = &host[i]};
    }
    rig_close(&rig);
    while (plain[first] != end) {
        first++;
    }
    make_ending(path, end);
    for (uint32_t devices = 1; devices <= 3; devices++) {
        struct seen seen = {0};
        struct qd_generate_result result;
        struct qd_generate_params params = {
            .prompt = ids, .n_prompt = n, .n_predict = -1, .on_token = see, .user = &seen};
        rig_open(&rig, path, devices, NULL);
        assert_int_equal(qd_session_generate(rig.session, &params, &result), QD_OK);
        assert_int_equal(result.stop, QD_STOP_END_TOKEN);
        assert_int_equal(seen.n, first);
        assert_int_equal(qd_session_length(rig.session, 0), n + first);
        params.ignore_eos = true;
        assert_int_equal(count_ahead(&rig, &params, &seen), N - 2);
        assert_memory_equal(seen.token, host, sizeof host);
        rig_close(&rig);
    }
    assert_int_equal(remove(path), 0);
    free_numbers(ids);
}

/* The same tokens with the largest logits found on the device as with all of them on the host, on
 * one device and two. CPU devices are taken for GPUs: else nothing would have to come back. */
static void top_k(void **state)
{
    (void)state;
    static const struct qd_sampling kinds[] = {
        {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .seed = 3},
        {.temperature = 1.5f, .top_k = 3, .seed = 4},
        {.temperature = 1.0f, .top_k = 40, .repeat_penalty = 1.3f, .seed = 5},
        {.repeat_penalty = 1.3f},
        {.temperature = 1.0f, .top_k = 400, .seed = 6}, /* more than there are: all of them */
    };
    static const char *const disable[] = {"cpu,topk/plain", "cpu", "cpu"};
    uint32_t ids[] = {7, 42, 300}, first[5][N];
    for (uint32_t r = 0; r < 3; r++) {
        struct qd_model_params model = {.dummy = "layers=2,dim=32,heads=2,ffn=64,vocab=388,ctx=64",
                                        .disable = disable[r]};
        struct rig rig;
        rig_open(&rig, NULL, r < 2 ? 1 : 2, &model);
        for (uint32_t i = 0; i < 5; i++) {
            struct seen seen = {0};
            struct qd_generate_result result;
            struct qd_generate_params params = {.prompt = ids,
                                                .n_prompt = 3,
                                                .n_predict = N,
                                                .sampling = kinds[i],
                                                .on_token = see,
                                                .user = &seen};
            assert_int_equal(qd_session_truncate(rig.session, 0, 0), QD_OK);
            assert_int_equal(qd_session_generate(rig.session, &params, &result), QD_OK);
            assert_int_equal(seen.n, N);
            if (r == 0) {
                memcpy(first[i], seen.token, sizeof first[i]);
            }
            assert_memory_equal(seen.token, first[i], sizeof first[i]);
            bool host = qd_session_logits(rig.session, 0) != NULL;
            assert_int_equal(host, r == 0 || i == 4);
        }
        rig_close(&rig);
    }
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_submitted_ahead),
        cmocka_unit_test(end_tokens),
        cmocka_unit_test(top_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
