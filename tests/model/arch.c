/* Architectures against transformers: each case of arch_cases.json is a small random model, remade
 * here (arch_gen.h), whose logits the reference computed. F32 weights and cache within 1e-4 of the
 * largest logit, in one chunk, in chunks of 7, token by token; what is generated is what the logits
 * say; four devices like one, bit by bit; weights in a format like the same weights as F32; an F16
 * cache where the case has one.
 *
 *     test_model_arch FAMILY [N]        its cases, or the first N of them
 *     test_model_arch cases FAMILY...   no driver: every case is of one of the families, and its
 *                                       weights are those of arch_make.py
 */
#include "common.h"

#include "arch_gen.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOLERANCE 1e-4 /* of the largest logit */
#define CASES     QD_SOURCE_DIR "/tests/model/arch_cases.json"

enum { MAX_CASES = 32, N_GREEDY = 6 };

/* A case, and its model as a file. */
struct subject {
    const json_t *json;
    const char *name;
    char path[256];
    uint32_t *tokens;
    uint32_t n_tokens, n_vocab;
};

static const char *text_of(const json_t *json, const char *field)
{
    const char *text = json_string_value(json_object_get(json, field));
    assert_non_null(text);
    return text;
}

static uint32_t number_of(const json_t *json, const char *field)
{
    return (uint32_t)json_integer_value(json_object_get(json, field));
}

static double real_at(const json_t *json, const char *field, size_t i)
{
    return json_number_value(json_array_get(json_object_get(json, field), i));
}

static void check_weights(const json_t *json, uint64_t checksum)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016" PRIx64, checksum);
    assert_string_equal(hex, text_of(json, "checksum"));
}

static void subject_write(const struct subject *subject, const struct arch_gen_params *params)
{
    size_t bytes;
    uint64_t checksum;
    uint8_t *data = arch_gen(subject->json, params, &bytes, &checksum);
    assert_non_null(data);
    check_weights(subject->json, checksum);
    FILE *file = fopen(subject->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    mem_free(data);
}

static int subject_open(void **state)
{
    struct subject *subject = *state;
    const json_t *json = subject->json;
    subject->name = text_of(json, "name");
    subject->tokens = arch_gen_tokens(json);
    subject->n_tokens = number_of(json, "n_tokens");
    subject->n_vocab = number_of(json, "n_vocab");
    snprintf(subject->path, sizeof subject->path, "%s/%s-%ld.gguf", QD_BINARY_DIR, subject->name,
             (long)getpid());
    return subject->tokens != NULL && subject->n_tokens > N_GREEDY ? 0 : -1;
}

static int subject_close(void **state)
{
    struct subject *subject = *state;
    unlink(subject->path);
    mem_free(subject->tokens);
    return 0;
}

static void subject_load(const struct subject *subject, struct rig *rig, uint32_t n_devices,
                         enum qd_type cache, uint32_t n_batch)
{
    rig_open(rig, subject->path, n_devices,
             &(struct qd_model_params){.n_ctx = number_of(subject->json, "n_ctx"),
                                       .n_batch = n_batch,
                                       .type_k = cache,
                                       .type_v = cache});
}

/* Logits of all positions, out of one step. */
static float *run(const struct subject *subject, enum qd_type cache)
{
    struct rig rig;
    subject_load(subject, &rig, 1, cache, subject->n_tokens);
    float *out = rig_logits(&rig, subject->tokens, subject->n_tokens, subject->n_tokens);
    rig_close(&rig);
    return out;
}

/* ---- comparisons, relative to the largest logit ---- */

static double largest_of(const float *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(x[i]));
        most = fmax(most, fabs((double)x[i]));
    }
    return most;
}

static double compare(const struct subject *subject, const float *a, const float *b)
{
    size_t n = (size_t)subject->n_tokens * subject->n_vocab;
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    }
    return worst / fmax(largest_of(a, n), largest_of(b, n));
}

/* Against the reference: the ids that the case keeps, the largest logit, and, for all others,
 * logsumexp. *first, where not NULL: the first position that is too far off; starts as n_tokens.
 */
static double differs(const struct subject *subject, const float *mine, uint32_t *first)
{
    const json_t *at = json_object_get(subject->json, "positions");
    size_t n = json_array_size(at);
    double worst = 0, largest = 0;
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        size_t pos = (size_t)json_integer_value(json_array_get(at, i));
        assert_true(pos < subject->n_tokens);
        const float *row = mine + pos * subject->n_vocab;
        const json_t *logits = json_array_get(json_object_get(subject->json, "logits"), i);
        size_t n_ids = json_array_size(logits);
        assert_true(n_ids > 0);
        double most = real_at(subject->json, "largest", i);
        for (size_t k = 0; k < n_ids; k++) {
            double theirs = json_number_value(json_array_get(logits, k));
            worst = fmax(worst, fabs(row[k * subject->n_vocab / n_ids] - theirs));
        }
        worst = fmax(worst, fabs(largest_of(row, subject->n_vocab) - most));
        double sum = real_at(subject->json, "logsumexp", i);
        worst = fmax(worst, fabs(logits_log_sum(row, subject->n_vocab) - sum));
        largest = fmax(largest, most);
        if (first != NULL && *first == subject->n_tokens && worst > TOLERANCE * largest) {
            *first = (uint32_t)pos;
        }
    }
    return worst / largest;
}

/* ---- the proofs ---- */

static bool has_window(const json_t *json)
{
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(json, "keys"), i, key)
    {
        const char *name = json_string_value(json_array_get(key, 0));
        if (name != NULL && strcmp(name, ".attention.sliding_window") == 0) {
            return json_integer_value(json_array_get(key, 2)) != 0;
        }
    }
    return false;
}

static float *check_whole(const struct subject *subject, struct rig *rig)
{
    float *whole = rig_logits(rig, subject->tokens, subject->n_tokens, subject->n_tokens);
    uint32_t first = subject->n_tokens;
    double worst = differs(subject, whole, &first);
    printf("%s: differs from the reference by %.1e", subject->name, worst);
    if (first < subject->n_tokens) {
        printf(", first at position %u", first);
    }
    printf("\n");
    assert_true(worst <= TOLERANCE);
    return whole;
}

struct said {
    uint32_t tokens[N_GREEDY], n;
};

static bool hear(void *user, uint32_t token, const char *text, size_t bytes)
{
    struct said *said = user;
    (void)text;
    (void)bytes;
    if (token != UINT32_MAX && said->n < N_GREEDY) {
        said->tokens[said->n++] = token;
    }
    return true;
}

/* What is generated after the prompt but its end is what the logits of the whole say. */
static void check_greedy(const struct subject *subject, struct rig *rig, uint32_t chunk)
{
    struct said said = {.n = 0};
    struct qd_generate_result result;
    uint32_t n = subject->n_tokens, n_prompt = n - N_GREEDY;
    const struct qd_generate_params params = {.prompt = subject->tokens,
                                              .n_prompt = n_prompt,
                                              .n_predict = N_GREEDY,
                                              .ignore_eos = true,
                                              .on_token = hear,
                                              .user = &said};
    assert_int_equal(qd_session_truncate(rig->session, 0, 0), QD_OK);
    assert_int_equal(qd_session_generate(rig->session, &params, &result), QD_OK);
    assert_int_equal(said.n, N_GREEDY);
    uint32_t *text = mem_alloc(n, sizeof *text);
    assert_non_null(text);
    memcpy(text, subject->tokens, n_prompt * sizeof *text);
    memcpy(text + n_prompt, said.tokens, sizeof said.tokens);
    float *logits = rig_logits(rig, text, n, chunk);
    for (uint32_t i = 0; i < N_GREEDY; i++) {
        const float *row = logits + (size_t)(n_prompt - 1 + i) * subject->n_vocab;
        for (uint32_t k = 0; k < subject->n_vocab; k++) {
            assert_true(row[k] <= row[said.tokens[i]] || qd_is_end_token(rig->model, k));
        }
    }
    free_numbers(logits);
    mem_free(text);
}

/* A window's cache is as small as window and chunk allow: with small chunks it is used again and
 * again, so they get a model of their own. */
static float *check_reference(const struct subject *subject)
{
    static const uint32_t chunks[] = {7, 1};
    struct rig rig;
    subject_load(subject, &rig, 1, QD_TYPE_F32, subject->n_tokens);
    float *whole = check_whole(subject, &rig);
    if (has_window(subject->json)) {
        rig_close(&rig);
        subject_load(subject, &rig, 1, QD_TYPE_F32, chunks[0]);
    }
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        float *mine = rig_logits(&rig, subject->tokens, subject->n_tokens, chunks[i]);
        double worst = compare(subject, mine, whole);
        printf("%s: in chunks of %u differs from the whole by %.1e\n", subject->name, chunks[i],
               worst);
        assert_true(worst <= TOLERANCE);
        assert_true(differs(subject, mine, NULL) <= TOLERANCE);
        free_numbers(mine);
    }
    check_greedy(subject, &rig, chunks[0]);
    rig_close(&rig);
    return whole;
}

static void check_devices(const struct subject *subject, const float *whole)
{
    struct rig rig;
    struct qd_model_info info;
    subject_load(subject, &rig, 4, QD_TYPE_F32, subject->n_tokens);
    qd_model_get_info(rig.model, &info);
    assert_int_equal(info.n_devices, 4);
    float *four = rig_logits(&rig, subject->tokens, subject->n_tokens, subject->n_tokens);
    rig_close(&rig);
    assert_memory_equal(four, whole, (size_t)subject->n_tokens * subject->n_vocab * sizeof *four);
    free_numbers(four);
}

static enum quant_id format_of(const char *name)
{
    for (int id = 0; id < QUANT_COUNT; id++) {
        if (strcmp(quant_get((enum quant_id)id)->name, name) == 0) {
            return (enum quant_id)id;
        }
    }
    fail_msg("no format %s", name);
    return QUANT_F32;
}

/* The weights in a format, and the same values as F32. */
static void check_format(const struct subject *subject, const char *format)
{
    struct arch_gen_params params = {.format = format_of(format)};
    subject_write(subject, &params);
    float *coded = run(subject, QD_TYPE_F32);
    params.decoded = true;
    subject_write(subject, &params);
    float *decoded = run(subject, QD_TYPE_F32);
    double worst = compare(subject, coded, decoded);
    double far = differs(subject, coded, NULL);
    printf("%s: %s differs from its values as F32 by %.1e, from the reference by %.1e\n",
           subject->name, format, worst, far);
    assert_true(worst <= TOLERANCE);
    assert_true(far > TOLERANCE); /* it was not F32 */
    free_numbers(coded);
    free_numbers(decoded);
}

static void check_f16_cache(const struct subject *subject)
{
    float *mine = run(subject, QD_TYPE_F16);
    double worst = differs(subject, mine, NULL);
    printf("%s: with an F16 cache differs by %.1e\n", subject->name, worst);
    assert_true(worst <= 1e-2);
    free_numbers(mine);
}

static void check_case(void **state)
{
    const struct subject *subject = *state;
    size_t i;
    json_t *format;
    subject_write(subject, &(struct arch_gen_params){.format = QUANT_F32});
    float *whole = check_reference(subject);
    check_devices(subject, whole);
    free_numbers(whole);
    if (json_is_true(json_object_get(subject->json, "f16_cache"))) {
        check_f16_cache(subject);
    }
    json_array_foreach(json_object_get(subject->json, "formats"), i, format)
    {
        check_format(subject, json_string_value(format));
    }
}

/* ---- cases ---- */

static int run_family(const json_t *root, const char *family, size_t most)
{
    struct CMUnitTest tests[MAX_CASES];
    struct subject subjects[MAX_CASES];
    size_t i, n = 0;
    json_t *json;
    most = most < MAX_CASES ? most : MAX_CASES;
    json_array_foreach(root, i, json)
    {
        const char *name = json_string_value(json_object_get(json, "name"));
        const char *of = json_string_value(json_object_get(json, "family"));
        if (of != NULL && strcmp(of, family) == 0 && n < most) {
            subjects[n] = (struct subject){.json = json};
            tests[n] = (struct CMUnitTest){.name = name,
                                           .test_func = check_case,
                                           .setup_func = subject_open,
                                           .teardown_func = subject_close,
                                           .initial_state = &subjects[n]};
            n++;
        }
    }
    if (n == 0) {
        fprintf(stderr, "%s: no case of %s\n", CASES, family);
        return 1;
    }
    return _cmocka_run_group_tests(family, tests, n, NULL, NULL);
}

struct listed {
    const json_t *root;
    char **families;
    int n;
};

static void cases_are_remade(void **state)
{
    const struct listed *listed = *state;
    size_t i;
    json_t *json;
    assert_true(json_array_size(listed->root) > 0);
    json_array_foreach(listed->root, i, json)
    {
        size_t bytes;
        uint64_t checksum;
        uint8_t *data =
            arch_gen(json, &(struct arch_gen_params){.format = QUANT_F32}, &bytes, &checksum);
        assert_non_null(data);
        mem_free(data);
        check_weights(json, checksum);
        int f = 0;
        while (f < listed->n && strcmp(listed->families[f], text_of(json, "family")) != 0) {
            f++;
        }
        assert_true(f < listed->n);
    }
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *root = json_load_file(CASES, 0, &error);
    int result = 1;
    if (root == NULL || argc < 2) {
        fprintf(stderr, "%s: %s\n", CASES, root == NULL ? error.text : "name a family");
    } else if (strcmp(argv[1], "cases") == 0) {
        struct listed listed = {.root = root, .families = argv + 2, .n = argc - 2};
        const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(cases_are_remade, &listed)};
        result = cmocka_run_group_tests(tests, NULL, NULL);
    } else {
        size_t most = argc > 2 ? strtoul(argv[2], NULL, 10) : MAX_CASES;
        result = rig_has_device() ? run_family(root, argv[1], most) : 77;
    }
    json_decref(root);
    return result;
}
