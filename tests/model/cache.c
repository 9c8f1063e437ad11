/* Quantized KV caches on a whole model: how far they take the logits from an f16 cache's, that the
 * number of devices changes no bit, that chunks of the prompt change little, what they take. */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 4096, PROMPTS = 2, MOST = 512 };

static const struct kind {
    enum qd_type k, v;
    const char *name;
    double bytes;          /* of a value of K and one of V */
    double most_kl, chunk; /* bounds: mean divergence, in nats; difference of logits by chunks */
} KINDS[] = {
    {QD_TYPE_Q8_0, QD_TYPE_Q8_0, "q8_0 q8_0", 34 / 32.0 * 2, 1e-3, 0.15},
    {QD_TYPE_Q8_0, QD_TYPE_Q4_0, "q8_0 q4_0", 34 / 32.0 + 18 / 32.0, 2e-2, 0.6},
    {QD_TYPE_Q4_0, QD_TYPE_Q4_0, "q4_0 q4_0", 18 / 32.0 * 2, 5e-2, 1.2},
    {QD_TYPE_Q4_0, QD_TYPE_F32, "q4_0 f32", 18 / 32.0 + 4, 5e-2, 1.2},
};

static uint32_t *prompt(size_t i, size_t *n)
{
    struct golden golden;
    golden_open(&golden);
    uint32_t *ids = golden_ids(&golden, i, "tokens", n);
    golden_close(&golden);
    assert_true(*n > 1 && *n <= MOST);
    return ids;
}

static float *logits_of(const struct kind *kind, uint32_t n_devices, const uint32_t *ids, size_t n,
                        uint32_t chunk)
{
    struct rig rig;
    rig_open(&rig, MODEL_F16, n_devices,
             &(struct qd_model_params){.type_k = kind->k, .type_v = kind->v});
    float *logits = rig_logits(&rig, ids, n, chunk);
    rig_close(&rig);
    return logits;
}

/* Mean divergence and perplexity of the prompt against an f16 cache. */
static void distance_to_f16(void **state)
{
    (void)state;
    static const struct kind f16 = {QD_TYPE_F16, QD_TYPE_F16, "f16 f16", 4, 0, 0};
    for (size_t p = 0; p < PROMPTS; p++) {
        size_t n;
        uint32_t *ids = prompt(p, &n);
        float *base = logits_of(&f16, 1, ids, n, 64);
        for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
            float *mine = logits_of(&KINDS[k], 1, ids, n, 64);
            double kl = 0, nll[2] = {0, 0};
            for (size_t t = 0; t < n; t++) {
                const float *row = mine + t * VOCAB, *like = base + t * VOCAB;
                kl += logits_divergence(like, row, VOCAB) / (double)n;
                if (t + 1 < n) {
                    nll[0] += (logits_log_sum(like, VOCAB) - like[ids[t + 1]]) / (double)(n - 1);
                    nll[1] += (logits_log_sum(row, VOCAB) - row[ids[t + 1]]) / (double)(n - 1);
                }
            }
            double worst = logits_difference(mine, base, n * VOCAB);
            printf("prompt %zu, %zu tokens, K V %s: KL to f16 %.2e nats, perplexity %.3f (f16 "
                   "%.3f), logits differ by at most %.3f\n",
                   p, n, KINDS[k].name, kl, exp(nll[1]), exp(nll[0]), worst);
            assert_true(worst > 0); /* the cache is another one */
            assert_true(kl >= 0 && kl < KINDS[k].most_kl);
            free_numbers(mine);
        }
        free_numbers(base);
        free_numbers(ids);
    }
}

static void devices_change_nothing(void **state)
{
    (void)state;
    size_t n;
    uint32_t *ids = prompt(1, &n);
    for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k += 2) {
        float *one = logits_of(&KINDS[k], 1, ids, n, 64);
        for (uint32_t devices = 2; devices <= 4; devices++) {
            float *more = logits_of(&KINDS[k], devices, ids, n, 64);
            assert_memory_equal(one, more, n * VOCAB * sizeof *one);
            free_numbers(more);
        }
        free_numbers(one);
    }
    free_numbers(ids);
}

/* Kernels for one token round in another order than those for many, so that a value may fall to
 * the next quant. */
static void chunks_change_little(void **state)
{
    (void)state;
    size_t n;
    uint32_t *ids = prompt(0, &n);
    for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k += 2) {
        float *whole = logits_of(&KINDS[k], 1, ids, n, 64);
        for (uint32_t chunk = 1; chunk <= 7; chunk += 6) {
            float *parts = logits_of(&KINDS[k], 2, ids, n, chunk);
            double worst = logits_difference(whole, parts, n * VOCAB), kl = 0;
            for (size_t t = 0; t < n; t++) {
                kl += logits_divergence(whole + t * VOCAB, parts + t * VOCAB, VOCAB) / (double)n;
            }
            printf("K V %s, chunks of %u: KL %.2e nats, logits differ by at most %.4f\n",
                   KINDS[k].name, chunk, kl, worst);
            assert_true(worst < KINDS[k].chunk && kl < KINDS[k].most_kl / 10);
            free_numbers(parts);
        }
        free_numbers(whole);
    }
    free_numbers(ids);
}

static void bytes_are_counted(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
        struct rig rig;
        struct qd_model_info info;
        rig_open(&rig, MODEL_F16, 2,
                 &(struct qd_model_params){.type_k = KINDS[k].k, .type_v = KINDS[k].v});
        qd_model_get_info(rig.model, &info);
        double values = (double)info.n_ctx * info.n_kv_heads * info.head_dim * info.n_layers;
        assert_true((double)(info.device_kv_bytes[0] + info.device_kv_bytes[1]) ==
                    values * KINDS[k].bytes);
        assert_non_null(strstr(qd_model_plan(rig.model, true), KINDS[k].k == QD_TYPE_Q8_0
                                                                   ? "cache_k q8_0[4,32768]"
                                                                   : "cache_k q4_0[4,32768]"));
        rig_close(&rig);
    }
}

static void misfits_are_refused(void **state)
{
    (void)state;
    struct qd_model_params params = {.dummy = "layers=2,dim=320,heads=4,ffn=512,vocab=512,type=f16",
                                     .depth = QD_DEPTH_PLAN};
    qd_context *context;
    qd_model *model;
    char error[512];
    assert_int_equal(qd_context_create(NULL, &context, error, sizeof error), QD_OK);
    params.type_k = QD_TYPE_Q8_0;
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    assert_string_equal(qd_last_error(context), "-ctk q8_0 needs a head size that is a multiple "
                                                "of 32, the model has 80");
    params.type_k = QD_TYPE_F32;
    params.type_v = QD_TYPE_Q4_0;
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    assert_string_equal(qd_last_error(context), "-ctv q4_0 needs a head size that is a multiple "
                                                "of 32, the model has 80");
    params.type_v = (enum qd_type)(QD_TYPE_Q4_0 + 1);
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    assert_non_null(strstr(qd_last_error(context), "f16, f32, q8_0 and q4_0"));
    params.type_v = QD_TYPE_F16;
    assert_int_equal(qd_model_load(context, &params, &model), QD_OK);
    qd_model_destroy(&model);
    qd_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_to_f16),      cmocka_unit_test(devices_change_nothing),
        cmocka_unit_test(chunks_change_little), cmocka_unit_test(bytes_are_counted),
        cmocka_unit_test(misfits_are_refused),
    };
    return rig_has_device() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
