/* Mixture of experts through the engine, on random models. Experts that are all alike make the
 * dense model; devices against each other, bit by bit; a prompt at once against token by token;
 * segments that begin inside an expert; kernels for lesser devices; tokens and logits of an
 * independent implementation. */
#include "common.h"

#include "device/device.h"
#include "gguf_make.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 37

/* All letters of the tiny vocabulary. */
static void make_text(uint32_t *text, uint32_t vocab)
{
    for (uint32_t i = 0; i < N; i++) {
        text[i] = i == 0 ? 1 : 259 + i * 131 % (vocab - 259);
    }
}

static struct gguf_make_params moe_params(enum quant_id quant)
{
    struct gguf_make_params params = gguf_make_defaults();
    params.layers = 4;
    params.dim = params.ffn = 256;
    params.heads = 8;
    params.experts = 6;
    params.used = 2;
    params.quant = quant;
    return params;
}

/* Logits of the text on `n_devices`, in steps of `chunk` tokens. */
static float *run(const char *path, uint32_t n_devices, uint32_t chunk,
                  const struct qd_model_params *params, uint32_t vocab)
{
    struct rig rig;
    uint32_t text[N];
    make_text(text, vocab);
    rig_open(&rig, path, n_devices, params);
    float *logits = rig_logits(&rig, text, N, chunk);
    rig_close(&rig);
    return logits;
}

static double difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(a[i]) && isfinite(b[i]));
        worst = fmax(worst, fabs((double)a[i] - b[i]));
    }
    return worst;
}

/* However the router decides, alike experts whose weights add up to 1 are one of them. */
static void alike_experts_are_dense(void **state)
{
    (void)state;
    static const uint32_t used[] = {1, 2, 6};
    struct gguf_make_params params = moe_params(QUANT_Q4_K);
    params.experts = 0;
    rig_make_file(&params, "moe_dense.gguf");
    float *dense = run("moe_dense.gguf", 1, N, NULL, params.vocab);
    params.experts = 6;
    params.same_experts = true;
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        params.used = used[i];
        rig_make_file(&params, "moe_alike.gguf");
        float *mine = run("moe_alike.gguf", 1, N, NULL, params.vocab);
        double worst = difference(mine, dense, (size_t)N * params.vocab);
        printf("%u of 6 alike experts: largest difference %.2g\n", used[i], worst);
        assert_true(worst < 1e-4);
        free_numbers(mine);
    }
    free_numbers(dense);
}

static void devices_and_chunks_agree(void **state)
{
    (void)state;
    static const enum quant_id quants[] = {QUANT_Q4_K, QUANT_F16};
    static const uint32_t chunks[] = {1, 5};
    for (size_t q = 0; q < 2; q++) {
        struct gguf_make_params params = moe_params(quants[q]);
        size_t n = (size_t)N * params.vocab;
        rig_make_file(&params, "moe_tiny.gguf");
        float *one = run("moe_tiny.gguf", 1, N, NULL, params.vocab);
        float *four = run("moe_tiny.gguf", 4, N, NULL, params.vocab);
        assert_memory_equal(one, four, n * sizeof *one);
        for (size_t c = 0; c < 2; c++) {
            float *mine = run("moe_tiny.gguf", 1, chunks[c], NULL, params.vocab);
            double worst = difference(mine, one, n);
            printf("%s, chunks of %u: largest difference %.2g\n", q == 0 ? "Q4_K" : "F16",
                   chunks[c], worst);
            assert_true(worst < 1e-3); /* GEMV and GEMM sum in other orders */
            free_numbers(mine);
        }
        free_numbers(one);
        free_numbers(four);
    }
}

static bool has_matrix_units(void)
{
    qd_context *context;
    char error[512];
    struct qd_device_info info;
    assert_int_equal(qd_context_create(NULL, &context, error, sizeof error), QD_OK);
    assert_int_equal(qd_device_get(context, 0, &info), QD_OK);
    qd_context_destroy(&context);
    return info.cooperative_matrix;
}

/* Rows of an expert that end inside a group of interleaved rows, with kernels of all kinds. */
static void odd_experts_on_lesser_devices(void **state)
{
    (void)state;
    static const uint32_t masks[] = {DEV_CAP_SUBGROUP, DEV_CAP_CPU,
                                     DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE | DEV_CAP_CPU |
                                         DEV_CAP_TEXEL};
    struct gguf_make_params params = moe_params(QUANT_F16);
    params.layers = 1;
    params.ffn_expert = 100;
    params.experts = 5;
    params.used = 3;
    rig_make_file(&params, "moe_odd.gguf");
    float *base = run("moe_odd.gguf", 1, N, NULL, params.vocab);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        const struct qd_model_params model = {.caps_off = masks[i]};
        for (uint32_t chunk = 1; chunk <= N; chunk += N - 1) {
            float *mine = run("moe_odd.gguf", 1, chunk, &model, params.vocab);
            double worst = difference(mine, base, (size_t)N * params.vocab);
            printf("without %#x, chunks of %u: largest difference %.2g\n", masks[i], chunk, worst);
            /* Matrix units round activations to float16. */
            bool rounds = masks[i] == DEV_CAP_CPU && has_matrix_units() && chunk == N;
            assert_true(worst < (rounds ? 1e-2 : 1e-4));
            free_numbers(mine);
        }
    }
    free_numbers(base);
}

/* What transformers 5.24 computes in float64, from dequantized weights: the likeliest token behind
 * each token of the text, by at least 0.0014, and every 24th logit of the first and the last. */
struct golden_logits {
    uint32_t best[N];
    double first[16], last[16];
};

static const struct golden_logits mixtral = {
    {290, 297, 90, 90,  159, 328, 328, 86,  328, 86, 328, 328, 328, 337, 328, 86, 86, 86, 88,
     210, 86,  86, 328, 86,  88,  86,  337, 86,  86, 86,  86,  86,  86,  86,  86, 86, 86},
    {0.9401398, -0.9945426, 1.131236, 0.3069857, 0.8402637, -0.5290434, -0.2748584, -0.2356389,
     -1.269795, -0.8206071, -0.1830738, 0.9649241, -1.335265, 0.6602546, -0.5813737, 1.298058},
    {0.5490086, -0.1260433, -0.008681575, 0.6108004, 0.01326396, -0.4600483, 0.1604998, -0.5557469,
     -1.8821, -1.222092, 0.2698122, -0.8372536, -0.631586, 1.383151, -0.6014051, 0.8478032}};

static const struct golden_logits qwen = {
    {148, 191, 297, 325, 167, 297, 325, 297, 325, 325, 14,  325, 74,  243, 180, 53,  6,  276, 6,
     278, 276, 169, 6,   169, 74,  6,   290, 344, 348, 191, 314, 103, 348, 163, 338, 70, 350},
    {-0.6669054, -0.104673, -0.6707861, -1.381197, -0.5547066, 1.056585, 0.7808413, -0.02935965,
     -0.8152346, 0.06082152, 0.8688275, 1.190131, 0.09357805, 1.131439, 0.2331719, -0.7229145},
    {-0.4839985, -0.02179944, 0.07787386, -0.004428207, -0.2895784, -0.3533284, -0.3068161,
     0.2975659, -0.2815885, 0.5466139, 0.4015122, -0.7545725, 0.3837329, -0.3842448, 0.2764941,
     -1.616983}};

/* norm_topk_prob false */
static const struct golden_logits qwen_plain = {
    {148, 345, 297, 325, 132, 297, 325, 297, 325, 297, 14,  325, 74,  348, 325, 348, 6,   66, 6,
     278, 276, 169, 287, 169, 278, 6,   290, 354, 25,  191, 314, 103, 348, 167, 122, 344, 169},
    {-0.7515716, -0.03357201, -0.6232729, -1.378138, -0.5410695, 1.038373, 0.7316662, -0.03727086,
     -0.8127468, -0.05440392, 0.9793756, 1.165882, 0.1474424, 1.256279, 0.1215143, -0.6718432},
    {-0.279627, 0.1670099, 0.5641174, 0.2560126, -0.1971047, -0.1871118, -0.3154826, 0.08002221,
     -0.3570123, 0.5747582, 0.2994611, -0.7872498, 0.1576467, -0.261001, -0.05432566, -1.966862}};

static void check_golden(const struct gguf_make_params *params, const char *path,
                         const struct golden_logits *golden)
{
    const struct qd_model_params exact = {.type_k = QD_TYPE_F32, .type_v = QD_TYPE_F32};
    double worst = 0;
    rig_make_file(params, path);
    float *mine = run(path, 2, 20, &exact, params->vocab);
    for (uint32_t t = 0; t < N; t++) {
        const float *row = mine + (size_t)t * params->vocab;
        uint32_t best = 0;
        for (uint32_t i = 1; i < params->vocab; i++) {
            best = row[i] > row[best] ? i : best;
        }
        assert_int_equal(best, golden->best[t]);
    }
    const float *last = mine + (size_t)(N - 1) * params->vocab;
    for (uint32_t i = 0; i < 16; i++) {
        worst = fmax(worst, fabs((double)mine[24 * i] - golden->first[i]));
        worst = fmax(worst, fabs((double)last[24 * i] - golden->last[i]));
    }
    printf("%s: largest difference to another implementation %.2g\n", path, worst);
    assert_true(worst < 2e-5);
    free_numbers(mine);
}

static void mixtral_of_another_implementation(void **state)
{
    (void)state;
    struct gguf_make_params params = moe_params(QUANT_Q4_K);
    check_golden(&params, "moe_mixtral.gguf", &mixtral);
}

#define NORM(tensor, value)                                                                        \
    {                                                                                              \
        .name = tensor, .n_dims = 1, .dims = {32}, .fill = value                                   \
    }

/* Heads of 32 that are not dim / heads, many small experts, norms of q and k. */
static void qwen_of_another_implementation(void **state)
{
    (void)state;
    const struct gguf_make_tensor norms[] = {NORM("blk.0.attn_q_norm.weight", 1.5f),
                                             NORM("blk.0.attn_k_norm.weight", 1.25f),
                                             NORM("blk.1.attn_q_norm.weight", 2.0f),
                                             NORM("blk.1.attn_k_norm.weight", 0.75f),
                                             {0}};
    uint8_t no = 0;
    const struct gguf_make_kv plain[] = {
        {.key = "qwen3moe.expert_weights_norm", .type = GGUF_BOOL, .value = &no, .bytes = 1}, {0}};
    struct gguf_make_params params = gguf_make_defaults();
    params.arch = "qwen3moe";
    params.dim = 96;
    params.ffn = 64;
    params.ffn_expert = 160;
    params.head_dim = 32;
    params.experts = 16;
    params.used = 4;
    params.quant = QUANT_Q8_0;
    params.rope_base = 1e6f;
    params.tensors = norms;
    check_golden(&params, "moe_qwen.gguf", &qwen);
    params.kvs = plain;
    check_golden(&params, "moe_qwen_plain.gguf", &qwen_plain);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alike_experts_are_dense),
        cmocka_unit_test(devices_and_chunks_agree),
        cmocka_unit_test(odd_experts_on_lesser_devices),
        cmocka_unit_test(mixtral_of_another_implementation),
        cmocka_unit_test(qwen_of_another_implementation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
