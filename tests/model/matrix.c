/* Whole models on matrix units: float16 operands, so what the kernels for vectors compute is the
 * reference. Tokens and logits of another implementation, perplexity, devices bit by bit, experts,
 * activations beyond what float16 holds, products that are split. Skipped where no device has such
 * units, or the build's glslc is too old for their kernels. */
#include "common.h"

#include "base/log.h"
#include "device/device.h"
#include "gguf_make.h"
#include "ops/profile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_GREEDY = 96, VOCAB = 4096, LONG = 64 };

/* CPU devices prefer other kernels. */
static const struct qd_model_params on_units = {.disable = "lanes"},
                                    by_vectors = {.disable = "coopmat"};

/* A kernel of `op` whose name begins with `variant` ran in a prompt of n tokens, on a shape that
 * ends with `end`. */
static bool ran_shape(struct rig *rig, const uint32_t *tokens, size_t n, const char *op,
                      const char *variant, const char *end)
{
    struct qd_profile_row rows[256];
    size_t count;
    assert_int_equal(qd_session_profile(rig->session, true), QD_OK);
    free_numbers(rig_logits(rig, tokens, n, (uint32_t)n));
    assert_int_equal(qd_session_get_profile(rig->session, rows, 256, &count), QD_OK);
    assert_in_range(count, 1, 256);
    assert_int_equal(qd_session_profile(rig->session, false), QD_OK);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(rows[i].shape), tail = strlen(end);
        found = found || (rows[i].kind == QD_PROFILE_KERNEL && strcmp(rows[i].op, op) == 0 &&
                          strncmp(rows[i].variant, variant, strlen(variant)) == 0 &&
                          length >= tail && strcmp(rows[i].shape + length - tail, end) == 0);
    }
    return found;
}

static bool ran(struct rig *rig, const uint32_t *tokens, size_t n, const char *op,
                const char *variant)
{
    return ran_shape(rig, tokens, n, op, variant, "");
}

static uint32_t *golden_text(size_t *n)
{
    struct golden golden;
    golden_open(&golden);
    size_t n_prompt, n_greedy, room;
    uint32_t *text = golden_ids(&golden, 0, "last_logits", &room);
    uint32_t *prompt = golden_ids(&golden, 0, "tokens", &n_prompt);
    uint32_t *greedy = golden_ids(&golden, 0, "greedy", &n_greedy);
    assert_true(n_prompt + n_greedy >= LONG && n_prompt + n_greedy < room);
    memcpy(text, prompt, n_prompt * sizeof *text);
    memcpy(text + n_prompt, greedy, n_greedy * sizeof *text);
    *n = n_prompt + n_greedy;
    free_numbers(prompt);
    free_numbers(greedy);
    golden_close(&golden);
    return text;
}

/* Whether the first device runs a model's prompts on such units at all. */
static bool has_units(void)
{
    struct rig rig;
    size_t n;
    uint32_t *text = golden_text(&n);
    rig_open(&rig, MODEL_F16, 1, &on_units);
    bool has = ran(&rig, text, LONG, "matmul", "coopmat");
    rig_close(&rig);
    free_numbers(text);
    return has;
}

/* Prompts are too short for matrix units: the first GIVEN of the greedy tokens belong to them. */
static void golden_tokens_and_logits(void **state)
{
    (void)state;
    enum { GIVEN = 32 };
    struct golden golden;
    struct rig rig;
    double worst = 0;
    golden_open(&golden);
    rig_open(&rig, MODEL_F16, 1, &on_units);
    for (size_t i = 0; i < golden.n; i++) {
        size_t n, n_greedy, n_sums;
        uint32_t text[512], mine[N_GREEDY - GIVEN];
        uint32_t *prompt = golden_ids(&golden, i, "tokens", &n);
        uint32_t *greedy = golden_ids(&golden, i, "greedy", &n_greedy);
        double *sums = golden_reals(&golden, i, "logsumexp", &n_sums);
        assert_true(n_greedy == N_GREEDY && n_sums == n && n + GIVEN <= 512);
        memcpy(text, prompt, n * sizeof *text);
        memcpy(text + n, greedy, GIVEN * sizeof *text);
        float *logits = rig_logits(&rig, text, n + GIVEN, 512);
        for (size_t t = 0; t < n; t++) {
            worst = fmax(worst, fabs(logits_log_sum(logits + t * VOCAB, VOCAB) - sums[t]));
        }
        rig_greedy(&rig, text, n + GIVEN, N_GREEDY - GIVEN, mine);
        assert_memory_equal(mine, greedy + GIVEN, sizeof mine);
        free_numbers(logits);
        free_numbers(prompt);
        free_numbers(greedy);
        free_numbers(sums);
    }
    printf("%zu texts: largest difference of logsumexp %.6f\n", golden.n, worst);
    assert_true(worst < 0.02);
    rig_close(&rig);
    golden_close(&golden);
}

/* Mean negative log-likelihood of the text, each token after those before it; and the mean
 * divergence of `logits` from `base`. */
static double likelihood(const float *logits, const uint32_t *text, size_t n)
{
    double sum = 0;
    for (size_t t = 0; t + 1 < n; t++) {
        const float *row = logits + t * VOCAB;
        sum += logits_log_sum(row, VOCAB) - row[text[t + 1]];
    }
    return sum / (double)(n - 1);
}

static double divergence(const float *base, const float *logits, size_t n)
{
    double sum = 0;
    for (size_t t = 0; t < n; t++) {
        sum += logits_divergence(base + t * VOCAB, logits + t * VOCAB, VOCAB);
    }
    return sum / (double)n;
}

static float *logits_of(const char *path, const struct qd_model_params *params, uint32_t n_devices,
                        const uint32_t *text, size_t n, uint32_t chunk)
{
    struct rig rig;
    rig_open(&rig, path, n_devices, params);
    float *logits = rig_logits(&rig, text, n, chunk);
    rig_close(&rig);
    return logits;
}

static void perplexity_stays(void **state)
{
    (void)state;
    static const char *const paths[] = {MODEL_F16, MODEL_Q4KM};
    size_t n;
    uint32_t *text = golden_text(&n);
    for (size_t i = 0; i < 2; i++) {
        float *base = logits_of(paths[i], &by_vectors, 1, text, n, LONG);
        float *mine = logits_of(paths[i], &on_units, 1, text, n, LONG);
        double nll[] = {likelihood(base, text, n), likelihood(mine, text, n)};
        double kl = divergence(base, mine, n);
        printf("%s: perplexity %.5f and on matrix units %.5f, KL %.2e\n",
               strrchr(paths[i], '/') + 1, exp(nll[0]), exp(nll[1]), kl);
        assert_true(fabs(nll[0] - nll[1]) < 5e-4);
        assert_true(kl < 1e-5);
        free_numbers(base);
        free_numbers(mine);
    }
    free_numbers(text);
}

static void devices_agree_bit_by_bit(void **state)
{
    (void)state;
    size_t n;
    uint32_t *text = golden_text(&n);
    float *one = logits_of(MODEL_Q4KM, &on_units, 1, text, LONG, LONG / 2);
    for (uint32_t devices = 2; devices <= 4; devices += 2) {
        float *mine = logits_of(MODEL_Q4KM, &on_units, devices, text, LONG, LONG / 2);
        assert_memory_equal(mine, one, (size_t)LONG * VOCAB * sizeof *one);
        free_numbers(mine);
    }
    free_numbers(one);
    free_numbers(text);
}

/* ---- split products ---- */

/* Puts a profile of the first device into an own folder of caches, by which products are split into
 * so many parts: CPU devices split none by themselves. */
static void write_profile(const char *dir, uint32_t parts)
{
    struct log log;
    struct ops_prefs prefs = {0};
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){.log = &log});
    assert_non_null(inst);
    for (uint32_t class = 0; class < OPS_TOKEN_CLASSES; class ++) {
        assert_true(ops_prefs_add_tuned(&prefs, &(struct ops_tuned){.op = "split_sum",
                                                                    .variant = "plain",
                                                                    .quant = QUANT_COUNT,
                                                                    .class = class,
                                                                    .values = {parts}}));
    }
    assert_true(ops_profile_save(&prefs, dir, dev_instance_info(inst, 0), &log));
    ops_prefs_finish(&prefs);
    dev_instance_destroy(inst);
    log_finish(&log);
}

/* Off is on within rounding, and any number of devices computes the same. */
static void split_is_whole(void **state)
{
    (void)state;
    static const struct qd_model_params whole = {.disable = "lanes,split"};
    const char *before = getenv("QUADRIGA_CACHE");
    char dir[] = "matrix_split_XXXXXX", command[64], old[512];
    size_t n;
    uint32_t *text = golden_text(&n);
    double largest = 0;
    assert_non_null(mkdtemp(dir));
    write_profile(dir, 4);
    snprintf(old, sizeof old, "%s", before != NULL ? before : "");
    assert_int_equal(setenv("QUADRIGA_CACHE", dir, 1), 0);
    struct rig rig;
    for (uint32_t i = 0; i < 2; i++) {
        rig_open(&rig, MODEL_Q4KM, 1, i == 0 ? &on_units : &whole);
        assert_int_equal(ran(&rig, text, LONG, "split_sum", "plain"), i == 0);
        assert_int_equal(ran_shape(&rig, text, LONG, "matmul", "coopmat", "/4"), i == 0);
        assert_int_equal(strstr(qd_model_plan(rig.model, false), "split products") != NULL, i == 1);
        rig_close(&rig);
    }
    float *off = logits_of(MODEL_Q4KM, &whole, 1, text, LONG, LONG / 2);
    float *on = logits_of(MODEL_Q4KM, &on_units, 1, text, LONG, LONG / 2);
    for (size_t i = 0; i < (size_t)LONG * VOCAB; i++) {
        largest = fmax(largest, fabs((double)off[i]));
    }
    double worst = logits_difference(on, off, (size_t)LONG * VOCAB);
    printf("split: largest difference %.2g of the largest logit\n", worst / largest);
    assert_true(worst > 0 && worst < 5e-3 * largest);
    for (uint32_t devices = 2; devices <= 4; devices++) {
        float *mine = logits_of(MODEL_Q4KM, &on_units, devices, text, LONG, LONG / 2);
        assert_memory_equal(mine, on, (size_t)LONG * VOCAB * sizeof *on);
        free_numbers(mine);
    }
    assert_int_equal(before != NULL ? setenv("QUADRIGA_CACHE", old, 1) : unsetenv("QUADRIGA_CACHE"),
                     0);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
    free_numbers(off);
    free_numbers(on);
    free_numbers(text);
}

/* ---- random models ---- */

/* The largest difference between matrix units and vectors, of the largest logit. */
static double compare(const struct gguf_make_params *params, const char *path, const char *op)
{
    uint32_t text[LONG];
    double worst = 0, largest = 0;
    for (uint32_t i = 0; i < LONG; i++) {
        text[i] = i == 0 ? 1 : 259 + i * 131 % (params->vocab - 259);
    }
    rig_make_file(params, path);
    float *base = logits_of(path, &by_vectors, 1, text, LONG, LONG);
    float *mine = logits_of(path, &on_units, 1, text, LONG, LONG);
    for (size_t i = 0; i < (size_t)LONG * params->vocab; i++) {
        assert_true(isfinite(base[i]) && isfinite(mine[i]));
        worst = fmax(worst, fabs((double)mine[i] - base[i]));
        largest = fmax(largest, fabs((double)base[i]));
    }
    struct rig rig;
    rig_open(&rig, path, 1, &on_units);
    assert_true(ran(&rig, text, LONG, op, "coopmat"));
    rig_close(&rig);
    free_numbers(base);
    free_numbers(mine);
    printf("%s: largest difference %.2g of the largest logit\n", path, worst / largest);
    return worst / largest;
}

static void experts(void **state)
{
    (void)state;
    struct gguf_make_params params = gguf_make_defaults();
    params.dim = params.ffn = 256;
    params.heads = 8;
    params.experts = 6;
    params.used = 6; /* a rounded router would choose others */
    params.quant = QUANT_Q4_K;
    assert_true(compare(&params, "matrix_moe.gguf", "matmul_experts") < 5e-3);
}

/* A norm's weights make what the feed-forward block reads as large as 4e5, and what it multiplies
 * with its last matrix larger still. */
static void activations_beyond_float16(void **state)
{
    (void)state;
    static const struct gguf_make_tensor tensors[] = {
        {.name = "blk.0.ffn_norm.weight", .fill = 1e5F}, {.name = NULL}};
    struct gguf_make_params params = gguf_make_defaults();
    params.dim = params.ffn = 256;
    params.heads = 8;
    params.tensors = tensors;
    assert_true(compare(&params, "matrix_large.gguf", "matmul") < 5e-3);
}

/* What F32 and BF16 files may hold: the attention's output is as good as lost in what is added. */
static void weights_beyond_float16(void **state)
{
    (void)state;
    static const struct gguf_make_tensor tensors[] = {
        {.name = "blk.0.ffn_down.weight", .fill = 3e5F}, {.name = NULL}};
    struct gguf_make_params params = gguf_make_defaults();
    params.dim = params.ffn = 256;
    params.heads = 8;
    params.quant = QUANT_F32;
    params.tensors = tensors;
    assert_true(compare(&params, "matrix_weights.gguf", "matmul") < 5e-3);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    if (!has_units()) {
        printf("skipped: no kernel for matrix units on the first device\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_tokens_and_logits),
        cmocka_unit_test(perplexity_stays),
        cmocka_unit_test(devices_agree_bit_by_bit),
        cmocka_unit_test(split_is_whole),
        cmocka_unit_test(experts),
        cmocka_unit_test(activations_beyond_float16),
        cmocka_unit_test(weights_beyond_float16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
