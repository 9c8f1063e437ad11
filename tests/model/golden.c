/* classics-13m against an independent implementation (PyTorch, float32 on the F16 weights): greedy
 * tokens on 1 to 4 devices, logits, logsumexp; devices against each other, bit by bit; chunk sizes.
 */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_GREEDY = 96, VOCAB = 4096 };

static void check_greedy(uint32_t n_devices)
{
    struct golden golden;
    struct rig rig;
    golden_open(&golden);
    rig_open(&rig, MODEL_F16, n_devices, NULL);
    for (size_t i = 0; i < golden.n; i++) {
        size_t n, n_greedy;
        uint32_t *prompt = golden_ids(&golden, i, "tokens", &n);
        uint32_t *greedy = golden_ids(&golden, i, "greedy", &n_greedy), mine[N_GREEDY];
        assert_int_equal(n_greedy, N_GREEDY);
        rig_greedy(&rig, prompt, n, N_GREEDY, mine);
        assert_memory_equal(mine, greedy, sizeof mine);
        free_numbers(prompt);
        free_numbers(greedy);
    }
    rig_close(&rig);
    golden_close(&golden);
}

static void greedy_on_one_device(void **state)
{
    (void)state;
    check_greedy(1);
}

static void greedy_on_two_devices(void **state)
{
    (void)state;
    check_greedy(2);
}

static void greedy_on_three_devices(void **state)
{
    (void)state;
    check_greedy(3);
}

static void greedy_on_four_devices(void **state)
{
    (void)state;
    check_greedy(4);
}

static void logits_are_close(void **state)
{
    (void)state;
    struct golden golden;
    struct rig rig;
    double worst = 0, worst_sum = 0;
    golden_open(&golden);
    rig_open(&rig, MODEL_F16, 1, NULL);
    for (size_t i = 0; i < golden.n; i++) {
        size_t n, n_last, n_sums;
        uint32_t *prompt = golden_ids(&golden, i, "tokens", &n);
        double *last = golden_reals(&golden, i, "last_logits", &n_last);
        double *sums = golden_reals(&golden, i, "logsumexp", &n_sums);
        assert_int_equal(n_last, VOCAB);
        assert_int_equal(n_sums, n);
        float *mine = rig_logits(&rig, prompt, n, 512);
        for (size_t t = 0; t < n; t++) {
            worst_sum = fmax(worst_sum, fabs(logits_log_sum(mine + t * VOCAB, VOCAB) - sums[t]));
        }
        for (size_t k = 0; k < VOCAB; k++) {
            worst = fmax(worst, fabs((double)mine[(n - 1) * VOCAB + k] - last[k]));
        }
        free_numbers(mine);
        free_numbers(last);
        free_numbers(sums);
        free_numbers(prompt);
    }
    printf("largest logit difference %.6f, of logsumexp %.6f\n", worst, worst_sum);
    assert_true(worst < 0.05);
    assert_true(worst_sum < 0.02);
    rig_close(&rig);
    golden_close(&golden);
}

/* A longer text than any prompt: what the model says after the first one. */
static uint32_t *long_text(size_t *n)
{
    struct golden golden;
    size_t n_prompt, n_greedy;
    golden_open(&golden);
    uint32_t *prompt = golden_ids(&golden, 0, "tokens", &n_prompt);
    uint32_t *greedy = golden_ids(&golden, 0, "greedy", &n_greedy);
    uint32_t *all = golden_ids(&golden, 0, "last_logits", n); /* room for 4096 */
    memcpy(all, prompt, n_prompt * sizeof *all);
    memcpy(all + n_prompt, greedy, n_greedy * sizeof *all);
    *n = n_prompt + n_greedy;
    free_numbers(prompt);
    free_numbers(greedy);
    golden_close(&golden);
    return all;
}

static void check_devices_agree(const char *path)
{
    size_t n;
    uint32_t *text = long_text(&n);
    float *one = NULL;
    for (uint32_t devices = 1; devices <= 4; devices++) {
        struct rig rig;
        rig_open(&rig, path, devices, NULL);
        float *mine = rig_logits(&rig, text, n, 64);
        if (one == NULL) {
            one = mine;
        } else {
            assert_memory_equal(mine, one, n * VOCAB * sizeof *one);
            free_numbers(mine);
        }
        rig_close(&rig);
    }
    free_numbers(one);
    free_numbers(text);
}

static void devices_agree_bit_by_bit(void **state)
{
    (void)state;
    check_devices_agree(MODEL_F16);
    check_devices_agree(MODEL_Q4KM);
}

static void chunk_sizes_agree(void **state)
{
    (void)state;
    static const uint32_t chunks[] = {1, 7, 64};
    size_t n;
    uint32_t *text = long_text(&n);
    struct rig rig;
    rig_open(&rig, MODEL_F16, 1, &(struct qd_model_params){.n_batch = 512});
    float *whole = rig_logits(&rig, text, n, 512);
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        float *mine = rig_logits(&rig, text, n, chunks[c]);
        double worst = 0;
        for (size_t k = 0; k < n * VOCAB; k++) {
            worst = fmax(worst, fabs((double)mine[k] - whole[k]));
        }
        printf("chunks of %u: largest difference %.7f\n", chunks[c], worst);
        assert_true(worst < 1e-2); /* GEMV and GEMM sum in different orders */
        free_numbers(mine);
    }
    free_numbers(whole);
    free_numbers(text);
    rig_close(&rig);
}

static void prefill_pipeline_equals_steps(void **state)
{
    (void)state;
    size_t n;
    uint32_t *text = long_text(&n);
    struct rig rig;
    rig_open(&rig, MODEL_F16, 4, &(struct qd_model_params){.n_batch = 8});
    uint32_t after[2][8];
    rig_greedy(&rig, text, n, 8, after[0]); /* 14 chunks, four in flight */
    rig_close(&rig);
    rig_open(&rig, MODEL_F16, 1, &(struct qd_model_params){.n_batch = 8});
    rig_greedy(&rig, text, n, 8, after[1]);
    assert_memory_equal(after[0], after[1], sizeof after[0]);
    rig_close(&rig);
    free_numbers(text);
}

int main(void)
{
    if (!rig_has_device()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_on_one_device),    cmocka_unit_test(greedy_on_two_devices),
        cmocka_unit_test(greedy_on_three_devices), cmocka_unit_test(greedy_on_four_devices),
        cmocka_unit_test(logits_are_close),        cmocka_unit_test(devices_agree_bit_by_bit),
        cmocka_unit_test(chunk_sizes_agree),       cmocka_unit_test(prefill_pipeline_equals_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
