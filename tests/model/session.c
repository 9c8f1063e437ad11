/* Sessions through the public interface: several sequences in a step, truncation, chained decode
 * against single steps, cache types, capabilities taken away, stop texts, limits, misuse. */
#include "common.h"
#include "device/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 4096, N = 24 };

static uint32_t *prompt(size_t i, size_t *n)
{
    struct golden golden;
    golden_open(&golden);
    uint32_t *ids = golden_ids(&golden, i, "tokens", n);
    golden_close(&golden);
    return ids;
}

static double difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        assert_true(isfinite(a[i]) && isfinite(b[i]));
    }
    return worst;
}

static uint32_t argmax(const float *row)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < VOCAB; i++) {
        best = row[i] > row[best] ? i : best;
    }
    return best;
}

/* Two prompts alternating token by token in one step give what each gives alone. */
static void sequences_do_not_mix(void **state)
{
    (void)state;
    size_t n[2];
    uint32_t *ids[2] = {prompt(0, &n[0]), prompt(1, &n[1])};
    struct rig rig;
    rig_open(&rig, MODEL_F16, 2, &(struct qd_model_params){.n_seq = 2, .n_batch = 64});
    float *alone[2];
    for (int s = 0; s < 2; s++) {
        alone[s] = rig_logits(&rig, ids[s], n[s], 64);
    }
    assert_int_equal(qd_session_truncate(rig.session, 0, 0), QD_OK);
    uint32_t token[64], pos[64], seq[64], count = 0, at[2] = {0, 0};
    bool want[64];
    while (at[0] < n[0] || at[1] < n[1]) {
        for (uint32_t s = 0; s < 2; s++) {
            if (at[s] < n[s]) {
                token[count] = ids[s][at[s]];
                pos[count] = at[s]++;
                want[count] = true;
                seq[count++] = s;
            }
        }
    }
    struct qd_step step = {.n_tokens = count, .token = token, .pos = pos, .seq = seq, .want = want};
    assert_int_equal(qd_session_step(rig.session, &step), QD_OK);
    for (uint32_t i = 0; i < count; i++) {
        const float *row = qd_session_logits(rig.session, i);
        assert_true(difference(row, alone[seq[i]] + (size_t)pos[i] * VOCAB, VOCAB) < 1e-2);
    }
    assert_int_equal(qd_session_length(rig.session, 0), n[0]);
    assert_int_equal(qd_session_length(rig.session, 1), n[1]);
    for (int s = 0; s < 2; s++) {
        free_numbers(alone[s]);
        free_numbers(ids[s]);
    }
    rig_close(&rig);
}

/* Greedy with two steps in flight against one step at a time. */
static void chained_equals_single_steps(void **state)
{
    (void)state;
    size_t n;
    uint32_t *ids = prompt(2, &n), chained[N];
    struct rig rig;
    rig_open(&rig, MODEL_Q4KM, 1, NULL);
    rig_greedy(&rig, ids, n, N, chained);
    assert_int_equal(qd_session_length(rig.session, 0), n + N - 1);
    assert_int_equal(qd_session_truncate(rig.session, 0, 0), QD_OK);
    struct qd_step first = {.n_tokens = (uint32_t)n, .token = ids};
    assert_int_equal(qd_session_step(rig.session, &first), QD_OK);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t token = argmax(qd_session_logits(rig.session, 0));
        assert_int_equal(token, chained[i]);
        struct qd_step next = {.n_tokens = 1, .token = &token};
        assert_int_equal(qd_session_step(rig.session, &next), QD_OK);
    }
    free_numbers(ids);
    rig_close(&rig);
}

/* After truncation the sequence continues as if the tail had never been there. */
static void truncation_forgets(void **state)
{
    (void)state;
    size_t n;
    uint32_t *ids = prompt(3, &n), clean[N], again[N];
    struct rig rig;
    rig_open(&rig, MODEL_F16, 1, NULL);
    rig_greedy(&rig, ids, n, N, clean);
    assert_int_equal(qd_session_truncate(rig.session, 0, 5), QD_OK);
    assert_int_equal(qd_session_length(rig.session, 0), 5);
    struct qd_step rest = {.n_tokens = (uint32_t)n - 5, .token = ids + 5};
    assert_int_equal(qd_session_step(rig.session, &rest), QD_OK);
    assert_int_equal(argmax(qd_session_logits(rig.session, 0)), clean[0]);
    rig_greedy(&rig, ids, n, N, again);
    assert_memory_equal(clean, again, sizeof clean);
    free_numbers(ids);
    rig_close(&rig);
}

static void cache_types_agree(void **state)
{
    (void)state;
    static const enum qd_type types[][2] = {
        {QD_TYPE_F32, QD_TYPE_F32}, {QD_TYPE_F32, QD_TYPE_F16}, {QD_TYPE_F16, QD_TYPE_F32}};
    size_t n;
    uint32_t *ids = prompt(0, &n);
    struct rig rig;
    rig_open(&rig, MODEL_F16, 1, NULL);
    float *base = rig_logits(&rig, ids, n, 4);
    rig_close(&rig);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        rig_open(&rig, MODEL_F16, 2,
                 &(struct qd_model_params){.type_k = types[i][0], .type_v = types[i][1]});
        float *mine = rig_logits(&rig, ids, n, 4);
        assert_true(difference(mine, base, n * VOCAB) < 0.05);
        free_numbers(mine);
        rig_close(&rig);
    }
    free_numbers(base);
    free_numbers(ids);
}

/* The same text with kernels for lesser devices; what quantizes activations is in act.c. */
static void capabilities_taken_away(void **state)
{
    (void)state;
    static const uint32_t masks[] = {
        DEV_CAP_SUBGROUP, DEV_CAP_CPU, DEV_CAP_TEXEL, DEV_CAP_HOST_IMPORT,
        DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE | DEV_CAP_FP16 | DEV_CAP_INT8 | DEV_CAP_INT16 |
            DEV_CAP_STORAGE8 | DEV_CAP_STORAGE16 | DEV_CAP_INT_DOT | DEV_CAP_COOPMAT |
            DEV_CAP_HOST_IMPORT | DEV_CAP_SUBGROUP_CONTROL | DEV_CAP_CPU | DEV_CAP_TEXEL};
    size_t n;
    uint32_t *ids = prompt(1, &n);
    struct rig rig;
    rig_open(&rig, MODEL_Q4KM, 1, NULL);
    float *base = rig_logits(&rig, ids, n, 64);
    rig_close(&rig);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        rig_open(&rig, MODEL_Q4KM, 2,
                 &(struct qd_model_params){.caps_off = masks[i], .act = QD_ACT_F16});
        float *mine = rig_logits(&rig, ids, n, 64);
        double worst = difference(mine, base, n * VOCAB);
        printf("without %#x: largest difference %.6f\n", masks[i], worst);
        assert_true(worst < 1e-2); /* matrix units round to f16 */
        free_numbers(mine);
        rig_close(&rig);
    }
    free_numbers(base);
    free_numbers(ids);
}

struct said {
    char text[4096];
    size_t bytes;
    int calls, stop_after;
    qd_session *cancel;
};

static bool hear(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct said *said = user;
    (void)token;
    assert_true(said->bytes + bytes < sizeof said->text);
    memcpy(said->text + said->bytes, text, bytes);
    said->bytes += bytes;
    said->text[said->bytes] = '\0';
    said->calls++;
    if (said->cancel != NULL && said->calls == said->stop_after) {
        qd_session_cancel(said->cancel);
    }
    return said->cancel != NULL || said->calls != said->stop_after;
}

static enum qd_status say(struct rig *rig, struct said *said, const char *const *stops,
                          size_t n_stops, int64_t n_predict, float temperature, uint64_t seed,
                          struct qd_generate_result *result)
{
    size_t n;
    uint32_t *ids = prompt(0, &n);
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    enum qd_status status =
        qd_session_generate(rig->session,
                            &(struct qd_generate_params){.prompt = ids,
                                                         .n_prompt = n,
                                                         .n_predict = n_predict,
                                                         .sampling = {.temperature = temperature,
                                                                      .top_k = 40,
                                                                      .top_p = 0.95f,
                                                                      .min_p = 0.05f,
                                                                      .repeat_penalty = 1.1f,
                                                                      .seed = seed},
                                                         .stops = stops,
                                                         .n_stops = n_stops,
                                                         .on_token = hear,
                                                         .user = said},
                            result);
    free_numbers(ids);
    return status;
}

static void stop_texts_are_held_back(void **state)
{
    (void)state;
    struct rig rig;
    struct qd_generate_result result;
    rig_open(&rig, MODEL_F16, 1, NULL);
    struct said all = {0}, cut = {0};
    assert_int_equal(say(&rig, &all, NULL, 0, 40, 0, 0, &result), QD_OK);
    assert_int_equal(result.stop, QD_STOP_LIMIT);
    char stop[16] = {0};
    assert_true(all.bytes > 60);
    memcpy(stop, all.text + 33, sizeof stop - 1);
    const char *stops[] = {"zzzz", stop}, *where = strstr(all.text, stop);
    assert_int_equal(say(&rig, &cut, stops, 2, 40, 0, 0, &result), QD_OK);
    assert_int_equal(result.stop, QD_STOP_TEXT);
    assert_int_equal(cut.bytes, where - all.text);
    assert_memory_equal(cut.text, all.text, cut.bytes);
    struct said early = {.stop_after = 3};
    assert_int_equal(say(&rig, &early, NULL, 0, 40, 0, 0, &result), QD_OK);
    assert_int_equal(result.stop, QD_STOP_CALLBACK);
    assert_int_equal(result.n_generated, 3);
    struct said cancelled = {.stop_after = 4, .cancel = rig.session};
    assert_int_equal(say(&rig, &cancelled, NULL, 0, 40, 0, 0, &result), QD_CANCELLED);
    assert_true(result.n_generated < 40);
    rig_close(&rig);
}

static void same_seed_same_text(void **state)
{
    (void)state;
    struct rig rig;
    struct qd_generate_result result;
    rig_open(&rig, MODEL_F16, 2, NULL);
    struct said a = {0}, b = {0}, c = {0};
    assert_int_equal(say(&rig, &a, NULL, 0, 32, 0.9f, 7, &result), QD_OK);
    assert_int_equal(say(&rig, &b, NULL, 0, 32, 0.9f, 7, &result), QD_OK);
    assert_int_equal(say(&rig, &c, NULL, 0, 32, 0.9f, 8, &result), QD_OK);
    assert_string_equal(a.text, b.text);
    assert_string_not_equal(a.text, c.text);
    rig_close(&rig);
}

static void context_is_a_limit(void **state)
{
    (void)state;
    struct rig rig;
    struct qd_generate_result result;
    rig_open(&rig, MODEL_F16, 1, &(struct qd_model_params){.n_ctx = 20});
    struct said said = {0};
    assert_int_equal(say(&rig, &said, NULL, 0, -1, 0, 0, &result), QD_OK);
    assert_int_equal(result.stop, QD_STOP_CONTEXT);
    assert_int_equal(qd_session_length(rig.session, 0), 20);
    rig_close(&rig);
    rig_open(&rig, MODEL_F16, 1, &(struct qd_model_params){.n_ctx = 5});
    assert_int_equal(say(&rig, &said, NULL, 0, 4, 0, 0, &result), QD_CONTEXT_FULL);
    assert_non_null(strstr(qd_last_error(rig.context), "11 tokens"));
    uint32_t bad = VOCAB, good = 1;
    struct qd_step step = {.n_tokens = 1, .token = &bad};
    assert_int_equal(qd_session_step(rig.session, &step), QD_BAD_ARGUMENT);
    step = (struct qd_step){.n_tokens = 1, .token = &good, .seq = &good};
    assert_int_equal(qd_session_step(rig.session, &step), QD_BAD_ARGUMENT);
    step = (struct qd_step){.n_tokens = 0, .token = &good};
    assert_int_equal(qd_session_step(rig.session, &step), QD_BAD_ARGUMENT);
    assert_int_equal(qd_session_length(rig.session, 0), 0);
    assert_int_equal(qd_session_generate(rig.session, &(struct qd_generate_params){0}, &result),
                     QD_BAD_ARGUMENT);
    rig_close(&rig);
}

static void dummies_do_not_depend_on_the_split(void **state)
{
    (void)state;
    static const char *const types[] = {"f16", "q8_0", "q4_k_m", "f32"};
    static const uint32_t text[] = {1, 17, 300, 5, 99};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char spec[128];
        snprintf(spec, sizeof spec,
                 "layers=4,dim=256,heads=8,kv_heads=2,ffn=512,vocab=4096,type=%s", types[i]);
        struct rig rig;
        rig_open(&rig, NULL, 1, &(struct qd_model_params){.dummy = spec});
        float *one = rig_logits(&rig, text, 5, 5);
        rig_close(&rig);
        rig_open(&rig, NULL, 4, &(struct qd_model_params){.dummy = spec});
        float *four = rig_logits(&rig, text, 5, 5);
        assert_memory_equal(one, four, 5 * VOCAB * sizeof *one);
        assert_true(difference(one, one + VOCAB, VOCAB) > 0);
        free_numbers(one);
        free_numbers(four);
        rig_close(&rig);
    }
}

/* The context that is named where a longer one does not fit, is right: free memory moves while the
 * test runs, so not to the last token. */
static void advice_is_true(void **state)
{
    (void)state;
    qd_context *context;
    qd_model *model;
    assert_int_equal(qd_context_create(NULL, &context, NULL, 0), QD_OK);
    struct qd_model_params params = {
        .path = MODEL_F16, .n_ctx = 1 << 24, .n_devices = 1, .depth = QD_DEPTH_PLAN};
    assert_int_equal(qd_model_load(context, &params, &model), QD_OUT_OF_MEMORY);
    const char *advice = strstr(qd_last_error(context), "would fit: a context of ");
    assert_non_null(advice);
    unsigned n;
    assert_int_equal(sscanf(advice, "would fit: a context of %u tokens (-c", &n), 1);
    params.n_ctx = n / 2;
    assert_int_equal(qd_model_load(context, &params, &model), QD_OK);
    qd_model_destroy(&model);
    params.n_ctx = n * 2;
    assert_int_equal(qd_model_load(context, &params, &model), QD_OUT_OF_MEMORY);
    qd_context_destroy(&context);
}

static void misuse_is_refused(void **state)
{
    (void)state;
    qd_context *context;
    qd_model *model;
    assert_int_equal(qd_context_create(NULL, &context, NULL, 0), QD_OK);
    struct qd_model_params params = {.path = QD_SOURCE_DIR "/no-such-file.gguf"};
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_FILE);
    assert_null(model);
    assert_non_null(strstr(qd_last_error(context), "no-such-file.gguf"));
    params = (struct qd_model_params){.path = MODEL_F16, .n_devices = 1, .devices = {99}};
    assert_int_equal(qd_model_load(context, &params, &model), QD_NO_DEVICE);
    params = (struct qd_model_params){.path = MODEL_F16, .n_devices = 5};
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    params = (struct qd_model_params){
        .path = MODEL_F16, .n_devices = 1, .n_tensor_split = 2, .tensor_split = {1, 1}};
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    params = (struct qd_model_params){.path = MODEL_F16, .dummy = "7b"};
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    params = (struct qd_model_params){.dummy = "layers=banana"};
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    params = (struct qd_model_params){.path = MODEL_F16, .disable = "fp16,nonsense"};
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    assert_non_null(strstr(qd_last_error(context), "disable: 'nonsense' is neither"));
    params =
        (struct qd_model_params){.path = MODEL_F16, .disable = "plain", .depth = QD_DEPTH_PLAN};
    assert_int_equal(qd_model_load(context, &params, &model), QD_ERROR);
    assert_non_null(strstr(qd_last_error(context), "is switched off"));
    params = (struct qd_model_params){
        .dummy = "65b:f32", .n_devices = 1, .n_ctx = 1 << 20, .depth = QD_DEPTH_PLAN};
    assert_int_equal(qd_model_load(context, &params, &model), QD_OUT_OF_MEMORY);
    assert_non_null(strstr(qd_last_error(context), "; would fit: "));
    params = (struct qd_model_params){.path = MODEL_F16, .depth = QD_DEPTH_PLAN};
    assert_int_equal(qd_model_load(context, &params, &model), QD_OK);
    assert_non_null(strstr(qd_model_plan(model, true), "layers"));
    qd_session *session;
    assert_int_equal(qd_session_create(model, &session), QD_BAD_ARGUMENT);
    qd_model_destroy(&model);
    qd_context_destroy(&context);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_do_not_mix),
        cmocka_unit_test(chained_equals_single_steps),
        cmocka_unit_test(truncation_forgets),
        cmocka_unit_test(cache_types_agree),
        cmocka_unit_test(capabilities_taken_away),
        cmocka_unit_test(stop_texts_are_held_back),
        cmocka_unit_test(same_seed_same_text),
        cmocka_unit_test(context_is_a_limit),
        cmocka_unit_test(dummies_do_not_depend_on_the_split),
        cmocka_unit_test(advice_is_true),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
