/* Weights of a file by several threads, over the fake: what the devices then hold is what packing
 * each matrix as a whole gives, whatever their memory; progress, cancelling, a file that shrinks.
 */
#include "fake_vk.h"
#include "gguf_make.h"
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = QD_BINARY_DIR "/upload_XXXXXX";
static char path[512];

struct rig {
    struct fake_vk fake;
    struct log log;
    struct dev_instance *inst;
    struct run_model model;
    uint32_t errors, calls, cancel_at, cut_at;
    uint64_t done, total;
    char lines[2048];
};

static void see(void *user, enum log_level level, const char *line)
{
    struct rig *r = user;
    r->errors += level == LOG_ERROR ? 1 : 0;
    size_t used = strlen(r->lines);
    snprintf(r->lines + used, sizeof r->lines - used, "%s\n", line);
}

static bool progress(void *user, uint64_t done, uint64_t total)
{
    struct rig *r = user;
    assert_true(done >= r->done && done <= total);
    r->done = done;
    r->total = total;
    r->calls++;
    if (r->calls == r->cut_at) {
        assert_int_equal(truncate(path, 1 << 20), 0);
    }
    return r->calls != r->cancel_at;
}

static enum run_status load(struct rig *r, uint32_t n_gpus, enum fake_memory memory)
{
    log_init(&r->log, see, r, LOG_WARN);
    for (uint32_t i = 0; i < n_gpus; i++) {
        r->fake.gpus[i] = fake_vk_gpu(i);
        r->fake.gpus[i].memory = memory;
        if (memory == FAKE_UNIFIED) { /* packed into directly */
            r->fake.gpus[i].type = VK_PHYSICAL_DEVICE_TYPE_CPU;
            r->fake.gpus[i].caps &= ~(uint32_t)DEV_CAP_HOST_IMPORT;
        }
    }
    r->fake.n_gpus = n_gpus;
    fake_vk_begin(&r->fake);
    r->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &r->log, .get_proc = fake_vk_get_proc()});
    assert_non_null(r->inst);
    const struct run_params params = {.path = path,
                                      .n_ctx = 128,
                                      .n_batch = 16,
                                      .split = PLAN_SPLIT_LAYER,
                                      .no_cache = true,
                                      .progress = progress,
                                      .progress_user = r};
    return run_model_init(&r->model, r->inst, &params, &r->log);
}

static void unload(struct rig *r)
{
    dev_instance_destroy(r->inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&r->log);
}

/* Returns how many segments were compared. */
static uint32_t compare(const struct run_model *model, uint32_t d, uint32_t w)
{
    const struct arch_weight *weight = &model->arch.weights[w];
    const struct op_place *place = &model->devices[d].weights[w];
    uint64_t row_bytes = quant_row_bytes(weight->quant, weight->cols);
    const uint8_t *rows = weight->tensor != NULL
                              ? gguf_data(model->file, weight->tensor) + weight->row0 * row_bytes
                              : NULL;
    for (uint32_t i = 0; i < place->n_segments && weight->rows > 1; i++) {
        const struct op_segment *segment = &place->segments[i];
        const struct quant_layout *layout = segment->layout;
        uint8_t *want = mem_alloc(1, layout->bytes), *got = mem_alloc(1, layout->bytes);
        uint8_t *scratch = mem_alloc(1, quant_pack_scratch(layout));
        uint8_t *planes[QUANT_PLANES];
        for (uint32_t p = 0; p < QUANT_PLANES; p++) {
            planes[p] = want + layout->base[p];
        }
        quant_pack_rows(layout, 0, segment->rows, rows + segment->row0 * row_bytes, planes,
                        scratch);
        for (uint32_t p = 0; p < QUANT_PLANES; p++) {
            uint64_t offset, bytes;
            quant_pack_range(layout, 0, segment->rows, p, &offset, &bytes);
            if (bytes != 0) {
                assert_true(dev_download(model->devices[d].dev, segment->buf,
                                         segment->offset + offset, got, bytes));
                if (memcmp(got, want + offset, bytes) != 0) {
                    fail_msg("weight %s: plane %u differs", weight->name, p);
                }
            }
        }
        mem_free(want);
        mem_free(got);
        mem_free(scratch);
    }
    if (weight->rows > 1 && place->n_segments != 0) {
        assert_int_equal(place->top,
                         quant_top_exponent(weight->quant, rows, weight->rows * row_bytes));
    }
    return weight->rows > 1 ? place->n_segments : 0;
}

static void make(enum quant_id quant)
{
    struct gguf_make_params p = gguf_make_defaults();
    p.dim = 1024;
    p.heads = p.kv_heads = 8;
    p.ffn = 1280;
    p.vocab = 4100; /* padded where rows are interleaved */
    p.quant = quant;
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    assert_true(gguf_make_file(&p, path, &log));
    log_finish(&log);
}

static void equals_packing_whole(void **state)
{
    (void)state;
    static const enum quant_id quants[] = {QUANT_F16, QUANT_BF16, QUANT_Q4_K};
    static const enum fake_memory memories[] = {FAKE_DISCRETE, FAKE_REBAR, FAKE_UNIFIED};
    for (size_t q = 0; q < sizeof quants / sizeof *quants; q++) {
        make(quants[q]);
        for (uint32_t i = 0; i < 6; i++) {
            static struct rig r;
            memset(&r, 0, sizeof r);
            if (load(&r, 1 + i % 2, memories[i / 2]) != RUN_OK) {
                fail_msg("loading failed: %s", r.lines);
            }
            uint32_t n = 0;
            for (uint32_t d = 0; d < r.model.n_devices; d++) {
                for (uint32_t w = 0; w < r.model.arch.n_weights; w++) {
                    n += compare(&r.model, d, w);
                }
            }
            assert_true(n >= 15);
            assert_int_equal(r.done, r.total);
            run_model_finish(&r.model);
            unload(&r);
        }
    }
}

static void can_be_cancelled(void **state)
{
    (void)state;
    make(QUANT_F16);
    uint32_t cancelled = 0;
    for (uint32_t k = 1; k < 1000; k++) {
        static struct rig r;
        memset(&r, 0, sizeof r);
        r.cancel_at = k;
        enum run_status status = load(&r, 2, FAKE_DISCRETE);
        if (status == RUN_OK) {
            run_model_finish(&r.model);
            unload(&r);
            break;
        }
        assert_int_equal(status, RUN_CANCELLED);
        assert_int_equal(r.errors, 1);
        assert_non_null(strstr(r.lines, "loading was cancelled"));
        unload(&r);
        cancelled++;
    }
    assert_in_range(cancelled, 4, 998);
}

static void a_file_shrinks(void **state)
{
    (void)state;
    make(QUANT_F16);
    static struct rig r;
    memset(&r, 0, sizeof r);
    r.cut_at = 6; /* behind the vectors, of which all are mapped */
    assert_int_equal(load(&r, 1, FAKE_DISCRETE), RUN_ERROR);
    assert_int_equal(r.errors, 1); /* not one a thread */
    assert_non_null(strstr(r.lines, "the file is shorter than the"));
    unload(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_packing_whole),
        cmocka_unit_test(can_be_cancelled),
        cmocka_unit_test(a_file_shrinks),
    };
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
