/* Quantized activations (qd_model_params.act) on a whole model: how far they take the logits from
 * those of usual ones, that devices change no bit, that what cannot take them stays as it was and a
 * line says so. A build or a device without the kernels has that last part alone. */
#include "common.h"

#include "base/mem.h"
#include "gguf/writer.h"
#include "quant/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VOCAB = 4096, CHUNK = 64, MOST = 1024 };

static char q8_path[512]; /* the demo model, its matrices as Q8_0 */
static uint32_t ids[MOST];
static size_t n_ids;
static uint32_t warnings; /* that activations stay as they are */
static char warning[512];

static void hear(void *user, enum qd_log_level level, const char *line)
{
    (void)user;
    (void)level;
    if (strstr(line, "activations stay as they are") != NULL) {
        warnings++;
        snprintf(warning, sizeof warning, "%s", line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

static void open_rig(struct rig *rig, const char *path, uint32_t n_devices,
                     const struct qd_model_params *params)
{
    struct qd_model_params mine = *params;
    char error[512];
    mine.path = path;
    mine.n_devices = n_devices;
    memset(rig, 0, sizeof *rig);
    warnings = 0;
    assert_int_equal(
        qd_context_create(&(struct qd_context_params){.log = hear, .log_level = QD_LOG_WARN},
                          &rig->context, error, sizeof error),
        QD_OK);
    assert_int_equal(qd_model_load(rig->context, &mine, &rig->model), QD_OK);
    assert_int_equal(qd_session_create(rig->model, &rig->session), QD_OK);
}

static float *logits_of(const char *path, uint32_t n_devices, uint32_t chunk,
                        const struct qd_model_params *params)
{
    struct rig rig;
    open_rig(&rig, path, n_devices, params);
    float *logits = rig_logits(&rig, ids, n_ids, chunk);
    rig_close(&rig);
    return logits;
}

/* ---- what is read ---- */

/* The demo model's prompts with their continuations, one after the other. */
static void read_ids(void)
{
    static const char *const parts[] = {"tokens", "greedy"};
    struct golden golden;
    golden_open(&golden);
    for (size_t i = 0; i < 2 * golden.n; i++) {
        size_t n;
        uint32_t *part = golden_ids(&golden, i / 2, parts[i % 2], &n);
        assert_true(n_ids + n <= MOST);
        memcpy(ids + n_ids, part, n * sizeof *ids);
        n_ids += n;
        free_numbers(part);
    }
    golden_close(&golden);
    assert_true(n_ids >= 300);
}

static const void *to_q8(struct arena *arena, const struct gguf_tensor *tensor, const uint8_t *data,
                         uint64_t *bytes)
{
    const struct quant_format *from = quant_get(QUANT_F16), *to = quant_get(QUANT_Q8_0);
    size_t cols = (size_t)tensor->dims[0], rows = (size_t)tensor->dims[1];
    size_t row_bytes = (size_t)quant_row_bytes(QUANT_Q8_0, cols);
    float *row = arena_alloc(arena, cols, sizeof *row);
    uint8_t *out = arena_alloc(arena, rows, row_bytes);
    assert_true(row != NULL && out != NULL);
    for (size_t r = 0; r < rows; r++) {
        from->decode(data + r * cols * 2, row, cols);
        to->encode(row, out + r * row_bytes, cols);
    }
    *bytes = rows * row_bytes;
    return out;
}

static void write_q8(void)
{
    struct log log;
    struct arena arena;
    struct gguf_writer w;
    log_init(&log, NULL, NULL, LOG_ERROR);
    arena_init(&arena);
    gguf_writer_init(&w);
    struct gguf_file *file = gguf_open(MODEL_F16, &log);
    assert_non_null(file);
    for (uint64_t i = 0; i < gguf_kv_count(file); i++) {
        const struct gguf_kv *kv = gguf_kv_at(file, i);
        char key[128];
        uint8_t *value = arena_alloc(&arena, (size_t)kv->bytes + 12, 1);
        size_t head = 0;
        assert_true(value != NULL && kv->key.bytes < sizeof key);
        snprintf(key, sizeof key, "%.*s", (int)kv->key.bytes, kv->key.text);
        if (kv->type == GGUF_ARRAY) {
            uint32_t elem = kv->elem;
            memcpy(value, &elem, sizeof elem);
            memcpy(value + 4, &kv->count, sizeof kv->count);
            head = 12;
        }
        memcpy(value + head, kv->data, (size_t)kv->bytes);
        gguf_writer_add_raw(&w, key, kv->type, value, (size_t)kv->bytes + head);
    }
    for (uint64_t i = 0; i < gguf_tensor_count(file); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(file, i);
        bool matrix = tensor->type == quant_get(QUANT_F16)->ggml_type;
        const void *data = gguf_data(file, tensor);
        uint64_t bytes = tensor->bytes;
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof name, "%.*s", (int)tensor->name.bytes, tensor->name.text);
        data = matrix ? to_q8(&arena, tensor, data, &bytes) : data;
        gguf_writer_add_tensor(&w, name, matrix ? quant_get(QUANT_Q8_0)->ggml_type : tensor->type,
                               tensor->n_dims, tensor->dims, data, bytes);
    }
    snprintf(q8_path, sizeof q8_path, "%s/act-%ld.gguf", QD_BINARY_DIR, (long)getpid());
    assert_true(gguf_writer_save(&w, q8_path, &log));
    gguf_writer_finish(&w);
    gguf_close(file);
    arena_finish(&arena);
    log_finish(&log);
}

static int setup(void **state)
{
    (void)state;
    read_ids();
    write_q8();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(q8_path);
}

/* ---- tests ---- */

static const struct qd_model_params usual, quantized = {.act = QD_ACT_Q8};

static void distance(const char *path, const char *name, double most_kl, double most_difference)
{
    float *base = logits_of(path, 1, CHUNK, &usual);
    assert_int_equal(warnings, 0);
    float *mine = logits_of(path, 1, CHUNK, &quantized);
    double kl = 0, nll[2] = {0, 0};
    for (size_t t = 0; t < n_ids; t++) {
        const float *row = mine + t * VOCAB, *like = base + t * VOCAB;
        kl += logits_divergence(like, row, VOCAB) / (double)n_ids;
        if (t + 1 < n_ids) {
            nll[0] += (logits_log_sum(like, VOCAB) - like[ids[t + 1]]) / (double)(n_ids - 1);
            nll[1] += (logits_log_sum(row, VOCAB) - row[ids[t + 1]]) / (double)(n_ids - 1);
        }
    }
    double worst = logits_difference(mine, base, n_ids * VOCAB);
    printf("%s, %zu tokens: KL of q8 to f16 %.3e nats, perplexity %.4f (f16 %.4f), logits differ "
           "by at most %.4f\n",
           name, n_ids, kl, exp(nll[1]), exp(nll[0]), worst);
    if (warnings != 0) {
        printf("%s\n", warning);
        assert_memory_equal(base, mine, n_ids * VOCAB * sizeof *mine);
    } else {
        assert_true(worst > 0);
        assert_true(kl > 0 && kl < most_kl && worst < most_difference);
    }
    free_numbers(base);
    free_numbers(mine);
}

static void distance_to_f16(void **state)
{
    (void)state;
    distance(q8_path, "Q8_0", 4e-4, 0.6);
    distance(MODEL_Q4KM, "Q4_K_M", 4e-4, 0.6);
}

static void devices_change_nothing(void **state)
{
    (void)state;
    float *one = logits_of(q8_path, 1, CHUNK, &quantized);
    float *two = logits_of(q8_path, 2, CHUNK, &quantized);
    assert_memory_equal(one, two, n_ids * VOCAB * sizeof *one);
    free_numbers(one);
    free_numbers(two);
}

/* Without the kernel, without the capability, with formats that have none, by few tokens: the same
 * bits as usual, and a line that says why. */
static void what_cannot_stays(void **state)
{
    (void)state;
    static const struct {
        const char *path, *disable, *why; /* path NULL: Q8_0 */
        uint32_t batch;
    } rows[] = {
        {.disable = "matmul/int_dot", .why = "int_dot", .batch = CHUNK},
        {.disable = "int_dot", .why = "int_dot", .batch = CHUNK},
        {.path = MODEL_F16, .why = "(", .batch = CHUNK},
        {.why = "16 tokens at a time", .batch = 16},
    };
    size_t all = n_ids;
    n_ids = 70;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = rows[i].path != NULL ? rows[i].path : q8_path;
        struct qd_model_params params = {.disable = rows[i].disable, .n_batch = rows[i].batch};
        float *base = logits_of(path, 1, rows[i].batch, &params);
        assert_int_equal(warnings, 0);
        params.act = QD_ACT_Q8;
        float *mine = logits_of(path, 1, rows[i].batch, &params);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, rows[i].why));
        assert_memory_equal(base, mine, n_ids * VOCAB * sizeof *base);
        free_numbers(base);
        free_numbers(mine);
    }
    n_ids = all;
}

static void others_are_refused(void **state)
{
    (void)state;
    const struct qd_model_params params = {.path = MODEL_Q4KM, .act = (enum qd_act)3};
    qd_context *context;
    qd_model *model;
    char error[512];
    assert_int_equal(qd_context_create(NULL, &context, error, sizeof error), QD_OK);
    assert_int_equal(qd_model_load(context, &params, &model), QD_BAD_ARGUMENT);
    assert_string_equal(qd_last_error(context),
                        "activations 3 are none of auto, f16 and q8 (0 to 2)");
    qd_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_to_f16),
        cmocka_unit_test(devices_change_nothing),
        cmocka_unit_test(what_cannot_stays),
        cmocka_unit_test(others_are_refused),
    };
    return rig_has_device() ? cmocka_run_group_tests(tests, setup, teardown) : 77;
}
