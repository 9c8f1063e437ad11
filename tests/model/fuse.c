/* Fusions through the engine: small random models of several architectures (arch_gen.h), with every
 * type of cache, each fusion off against all of them on; logits of a whole prompt and of one token
 * after the other. Without the lanes kernels too, so that a device with matrix units stages
 * activations whatever kind it is. */
#include "common.h"

#include "arch_gen.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CASES QD_SOURCE_DIR "/tests/model/arch_cases.json"

enum { N_DECODE = 3 };

struct subject {
    const char *name;
    enum qd_type k, v; /* of the caches */
    bool appends;      /* rope_append has something to do, whatever the device */
};

/* Norms of q and k, both ways of pairing, a part of the head, factors, scaling, windows, both
 * gates, experts. Halves of 48 are no blocks of 32. */
static const struct subject subjects[] = {
    {"llama_96_linear", QD_TYPE_Q8_0, QD_TYPE_F16, true},
    {"gemma3_64", QD_TYPE_F16, QD_TYPE_F16, true},
    {"phi3_128_part", QD_TYPE_F32, QD_TYPE_F16, true},
    {"phi3_128_part", QD_TYPE_Q4_0, QD_TYPE_Q8_0, false},
    {"phi3_64_long", QD_TYPE_Q4_0, QD_TYPE_Q4_0, true},
    {"qwen3moe_64", QD_TYPE_F16, QD_TYPE_Q8_0, true},
};

/* Without what as well: nothing, the lanes kernels, what CPU devices do in their own way. */
enum { AS_IT_IS, NO_LANES, NO_CPU, N_WITHOUT };
static const char *const without[N_WITHOUT] = {NULL, "lanes", "cpu"};

/* What is off, and how far logits may move, of the largest one. A norm adds its squares in another
 * order, which f16 makes larger (2.6e-3 on one GPU, 7e-4 on CPU devices); the others do the same
 * arithmetic, which compilers of GPUs contract in their own ways (2.5e-3 for rope_append on one).
 */
static const struct {
    const char *name;
    double limit;
    uint32_t ways; /* bits of `without` */
} offs[] = {
    {"fuse", 5e-3, 1 << AS_IT_IS | 1 << NO_LANES | 1 << NO_CPU},
    {"fuse/residual", 0, 1 << AS_IT_IS},
    {"fuse/rope_append", 5e-3, 1 << AS_IT_IS},
    {"fuse/matmul_gate", 5e-3, 1 << AS_IT_IS | 1 << NO_LANES},
    {"fuse/norm_matmul", 5e-3, 1 << AS_IT_IS | 1 << NO_LANES},
    {"fuse/norm_stage", 5e-3, 1 << AS_IT_IS | 1 << NO_LANES},
    {"fuse/gate_stage", 0, 1 << AS_IT_IS | 1 << NO_LANES},
    {"fuse/attn_merge", 1e-5, 1 << AS_IT_IS | 1 << NO_CPU},
};

struct model {
    char path[256];
    uint32_t *tokens;
    uint32_t n_tokens, n_vocab;
};

static void model_make(struct model *model, const json_t *json, const char *name)
{
    size_t bytes;
    uint8_t *data = arch_gen(json, &(struct arch_gen_params){.format = QUANT_F16}, &bytes, NULL);
    assert_non_null(data);
    snprintf(model->path, sizeof model->path, "%s/fuse-%s-%ld.gguf", QD_BINARY_DIR, name,
             (long)getpid());
    FILE *file = fopen(model->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    mem_free(data);
    model->tokens = arch_gen_tokens(json);
    model->n_tokens = (uint32_t)json_integer_value(json_object_get(json, "n_tokens"));
    model->n_vocab = (uint32_t)json_integer_value(json_object_get(json, "n_vocab"));
    assert_non_null(model->tokens);
}

/* Which nodes decode has. */
struct found {
    bool rope_append, attn_merge;
};

/* Logits of the prompt at once, then those of its first tokens one by one. */
static float *run(const struct model *model, const struct subject *subject, const char *disable,
                  struct found *found)
{
    struct rig rig;
    rig_open(&rig, model->path, 1,
             &(struct qd_model_params){.n_ctx = 64,
                                       .n_batch = model->n_tokens,
                                       .type_k = subject->k,
                                       .type_v = subject->v,
                                       .disable = disable});
    size_t n = (size_t)model->n_tokens * model->n_vocab, few = (size_t)N_DECODE * model->n_vocab;
    float *whole = rig_logits(&rig, model->tokens, model->n_tokens, model->n_tokens);
    float *single = rig_logits(&rig, model->tokens, N_DECODE, 1);
    float *out = mem_alloc(n + few, sizeof *out);
    assert_non_null(out);
    memcpy(out, whole, n * sizeof *out);
    memcpy(out + n, single, few * sizeof *out);
    const char *plan = qd_model_plan(rig.model, true);
    assert_non_null(plan);
    *found = (struct found){.rope_append = strstr(plan, " rope_append:") != NULL,
                            .attn_merge = strstr(plan, " attn_merge:") != NULL};
    assert_true(found->rope_append || strstr(plan, " kv_append:") != NULL);
    free_numbers(whole);
    free_numbers(single);
    rig_close(&rig);
    return out;
}

static double differs(const struct model *model, const float *a, const float *b)
{
    size_t n = (size_t)(model->n_tokens + N_DECODE) * model->n_vocab;
    double worst = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(a[i]) && isfinite(b[i]));
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        most = fmax(most, fabs((double)a[i]));
    }
    return worst / most;
}

static void check(const struct model *model, const struct subject *subject, uint32_t way)
{
    struct found all, left;
    float *on = run(model, subject, without[way], &all);
    assert_true(all.rope_append || !subject->appends);
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
        char disable[64];
        if ((offs[i].ways >> way & 1) == 0) {
            continue;
        }
        snprintf(disable, sizeof disable, "%s%s%s", offs[i].name, without[way] != NULL ? "," : "",
                 without[way] != NULL ? without[way] : "");
        float *off = run(model, subject, disable, &left);
        double worst = differs(model, on, off);
        printf("%s without %s: logits differ by %.1e\n", subject->name, disable, worst);
        assert_true(worst <= offs[i].limit);
        bool every = strcmp(offs[i].name, "fuse") == 0;
        bool apart = every || strstr(offs[i].name, "append") != NULL;
        assert_int_equal(left.rope_append, all.rope_append && !apart);
        /* where attention has splits, teams join them, or nodes do, if it has no teams */
        assert_true(left.attn_merge || !all.attn_merge);
        if (way == NO_CPU && (every || strstr(offs[i].name, "merge") != NULL)) {
            assert_true(left.attn_merge);
        }
        mem_free(off);
    }
    mem_free(on);
}

static void off_is_on(void **state)
{
    const struct subject *subject = *state;
    struct model model;
    size_t i;
    json_error_t error;
    json_t *json, *root = json_load_file(CASES, 0, &error), *mine = NULL;
    assert_non_null(root);
    json_array_foreach(root, i, json)
    {
        const char *name = json_string_value(json_object_get(json, "name"));
        mine = name != NULL && strcmp(name, subject->name) == 0 ? json : mine;
    }
    assert_non_null(mine);
    model_make(&model, mine, subject->name);
    for (uint32_t way = 0; way < N_WITHOUT; way++) {
        check(&model, subject, way);
    }
    unlink(model.path);
    mem_free(model.tokens);
    json_decref(root);
}

int main(void)
{
    enum { N = sizeof subjects / sizeof *subjects };
    struct CMUnitTest tests[N];
    for (size_t i = 0; i < N; i++) {
        tests[i] = (struct CMUnitTest){.name = subjects[i].name,
                                       .test_func = off_is_on,
                                       .initial_state = (void *)(uintptr_t)&subjects[i]};
    }
    return rig_has_device() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
