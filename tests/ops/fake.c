/* Every op recorded over tests/fake_vk.c: on devices with subgroups of 1 to 128, with the smallest
 * limits and odd ones, and with capabilities taken away. Nothing is computed there; what counts is
 * that each case is recorded and that the fake finds no wrong use: no workgroup, dispatch, binding,
 * view or shared memory beyond the device's limits. What the kernels compute is ops.c's. */
#include "fake_vk.h"

#include "lab/lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define SEATS 64

/* Limits of a device. `least`: the smallest that Vulkan 1.2 allows, where it matters here. */
static const struct machine {
    const char *name;
    uint32_t subgroup;
    bool cpu, least, no_control;
    uint32_t storage_align, texel_align;
} machines[] = {
    {"GPU of 32", 32, false, false, false, 64, 16},
    {"GPU of 64, least", 64, false, true, false, 256, 256},
    {"GPU of 1, least", 1, false, true, true, 16, 64},
    {"GPU of 128, least", 128, false, true, false, 32, 16},
    {"GPU of 4", 4, false, false, true, 128, 16},
    {"GPU of 16, least", 16, false, true, false, 64, 256},
    {"CPU of 4", 4, true, false, false, 16, 16},
    {"CPU of 8, least", 8, true, true, false, 64, 16},
    {"CPU of 16", 16, true, false, true, 256, 256},
    {"CPU of 1", 1, true, true, true, 16, 16},
    {"CPU of 32", 32, true, false, false, 16, 64},
};

static const uint32_t masks[] = {
    0,
    DEV_CAP_SUBGROUP,
    DEV_CAP_TEXEL,
    DEV_CAP_SHUFFLE | DEV_CAP_FP16 | DEV_CAP_STORAGE16 | DEV_CAP_STORAGE8 | DEV_CAP_INT8 |
        DEV_CAP_INT16 | DEV_CAP_INT_DOT,
    ~0u,
};

#define N_MASKS (sizeof masks / sizeof *masks)

static struct fake_vk fake;
static char last[1024];

static void hear(void *user, enum log_level level, const char *line)
{
    (void)user;
    if (level == LOG_ERROR) {
        snprintf(last, sizeof last, "%s", line);
    }
}

static struct fake_gpu make_gpu(const struct machine *m, uint32_t number)
{
    struct fake_gpu gpu = fake_vk_gpu(number);
    gpu.name = m->name;
    gpu.subgroup_size = m->subgroup;
    gpu.subgroup_min = m->subgroup > 4 ? m->subgroup / 2 : m->subgroup;
    gpu.subgroup_max = m->subgroup;
    gpu.storage_align = m->storage_align;
    gpu.texel_align = m->texel_align;
    gpu.max_invocations = m->least ? 128 : 1024;
    gpu.max_shared = m->least ? 16384 : 49152;
    gpu.no_timestamps = m->least;
    if (m->no_control) {
        gpu.caps &= ~(uint32_t)DEV_CAP_SUBGROUP_CONTROL;
    }
    if (m->cpu) {
        gpu.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
        gpu.memory = FAKE_UNIFIED;
    }
    return gpu;
}

static uint32_t open_seats(struct dev_instance *inst, struct dev **seats)
{
    uint32_t n = 0;
    for (uint32_t d = 0; d < dev_instance_count(inst); d++) {
        for (size_t m = 0; m < N_MASKS; m++) {
            seats[n] = dev_open(
                inst, &(struct dev_open_params){.index = d, .caps_off = masks[m], .sharers = 8});
            assert_non_null(seats[n]);
            n++;
        }
    }
    return n;
}

struct total {
    uint32_t runs, unfit, cases;
};

/* Staged activations are read by kernels on matrix units alone, norms made by those for few tokens.
 */
static bool asks_kernel(const struct lab_case *c)
{
    for (uint32_t i = 0; i < LAB_DIMS && c->op->dims[i] != NULL; i++) {
        bool asks = strcmp(c->op->dims[i], "staged") == 0 || strcmp(c->op->dims[i], "norm") == 0;
        if (asks && c->dims[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Some op has no kernel for the device at all: nobody makes such a node for it. */
static bool has_kernel(const struct op *op, const struct dev_caps *caps)
{
    char why[128];
    bool has = false;
    for (uint32_t v = 0; v < op->n_variants; v++) {
        has = has || ops_variant_supported(&op->variants[v], caps, why, sizeof why);
    }
    return has;
}

static void run_one(struct lab *lab, const struct lab_case *c, struct dev *dev,
                    const struct ops_prefs *prefs, bool in_place, bool segments,
                    struct total *total)
{
    struct lab_result result;
    const char *forced = prefs->forced;
    uint32_t wrong = fake.wrong;
    if (!has_kernel(ops_find(c->op->name), dev_get_caps(dev))) {
        return;
    }
    bool ran = lab_run(lab,
                       &(struct lab_run_params){.dev = dev,
                                                .in_place = in_place,
                                                .segments = segments,
                                                .record_only = true,
                                                .prefs = prefs},
                       &result);
    char text[256];
    lab_case_text(c, text, sizeof text);
    if (!ran || fake.wrong != wrong ||
        (result.unfit != NULL && forced == NULL && !asks_kernel(c))) {
        fail_msg("%s on %s (capabilities 0x%x), variant %s: %s, %u wrong uses: %s", text,
                 dev_get_info(dev)->name, dev_get_caps(dev)->has,
                 forced != NULL ? forced : "chosen", ran ? "recorded" : "not recorded",
                 fake.wrong - wrong, ran ? result.variant : last);
    }
    total->runs += result.unfit == NULL;
    total->unfit += result.unfit != NULL;
}

/* Candidate `which` of each tile parameter, the last one where there are fewer; for all classes. */
static void set_tuned(struct ops_prefs *prefs, const char *op, const struct ops_variant *v,
                      uint32_t quant, uint32_t which)
{
    struct ops_tuned tuned = {.quant = v->by_quant != NULL ? quant : QUANT_COUNT};
    snprintf(tuned.op, sizeof tuned.op, "%s", op);
    snprintf(tuned.variant, sizeof tuned.variant, "%s", v->name);
    for (uint32_t i = 0; i < OPS_MAX_TUNABLES && v->tunables[i].name != NULL; i++) {
        for (uint32_t k = 0; k <= which && k < OPS_MAX_VALUES; k++) {
            uint32_t value = v->tunables[i].values[k];
            tuned.values[i] = value != 0 ? value : tuned.values[i];
        }
    }
    for (tuned.class = 0; tuned.class < OPS_TOKEN_CLASSES; tuned.class ++) {
        assert_true(ops_prefs_add_tuned(prefs, &tuned));
    }
}

static void run_variant(struct lab *lab, const struct lab_case *c, struct dev *dev,
                        const struct ops_variant *v, struct total *total)
{
    struct ops_prefs prefs = {.forced = v->name};
    bool tuned = v->tunables[0].name != NULL && total->cases % 3 == 0;
    run_one(lab, c, dev, &prefs, false, false, total);
    for (uint32_t which = 0; which < OPS_MAX_VALUES && tuned; which += 2) {
        set_tuned(&prefs, c->op->name, v, c->quant, which);
        run_one(lab, c, dev, &prefs, false, false, total);
    }
    ops_prefs_finish(&prefs);
}

static void run_case(const struct lab_case *c, struct dev **seats, uint32_t n, struct log *log,
                     struct total *total)
{
    const struct op *def = ops_find(c->op->name);
    const struct ops_prefs none = {0};
    struct lab *lab = lab_create(c, log);
    assert_non_null(lab);
    total->cases++;
    for (uint32_t s = 0; s < n; s++) {
        char why[128];
        /* by name: with all capabilities, and with none of the optional ones; between, a third */
        bool named = s % N_MASKS == 0 || s % N_MASKS == N_MASKS - 1;
        if (!named && (total->cases + s) % 3 != 0) {
            continue;
        }
        run_one(lab, c, seats[s], &none, lab_can_in_place(lab), false, total);
        if (lab_can_segment(lab)) {
            run_one(lab, c, seats[s], &none, false, true, total);
        }
        for (uint32_t v = 0; named && v < def->n_variants; v++) {
            if (ops_variant_supported(&def->variants[v], dev_get_caps(seats[s]), why, sizeof why)) {
                run_variant(lab, c, seats[s], &def->variants[v], total);
            }
        }
    }
    lab_destroy(lab);
}

/* All cases on some of the machines: as many as the fake has room for. */
static void run_machines(uint32_t first, uint32_t end, struct total *total)
{
    struct log log;
    struct dev *seats[SEATS];
    log_init(&log, hear, NULL, LOG_WARN);
    memset(&fake, 0, sizeof fake);
    for (uint32_t i = first; i < end; i++) {
        fake.gpus[fake.n_gpus++] = make_gpu(&machines[i], i);
    }
    fake_vk_begin(&fake);
    struct dev_instance *inst = dev_instance_create(
        &(struct dev_instance_params){.log = &log, .get_proc = fake_vk_get_proc()});
    assert_non_null(inst);
    uint32_t n = open_seats(inst, seats), n_ops;
    const struct lab_op *const *ops = lab_list(&n_ops);
    for (uint32_t i = 0; i < n_ops; i++) {
        for (uint32_t k = 0; k < lab_case_count(ops[i]); k++) {
            const struct lab_case c = lab_case_get(ops[i], k, 7);
            run_case(&c, seats, n, &log, total);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        dev_close(seats[i]);
    }
    dev_instance_destroy(inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&log);
}

static void every_op_within_every_limit(void **state)
{
    (void)state;
    struct total total = {0};
    const uint32_t n = sizeof machines / sizeof *machines;
    for (uint32_t first = 0; first < n; first += FAKE_GPUS) {
        run_machines(first, first + FAKE_GPUS < n ? first + FAKE_GPUS : n, &total);
    }
    printf("%u machines, %zu masks: %u recordings without a wrong use, %u where a variant does not "
           "fit\n",
           n, N_MASKS, total.runs, total.unfit);
    assert_true(total.runs > 10000);
}

/* The fake reads the modules: known sizes of two kernels. */
static void modules_are_read(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, hear, NULL, LOG_WARN);
    memset(&fake, 0, sizeof fake);
    fake.gpus[fake.n_gpus++] = make_gpu(&machines[0], 0);
    fake_vk_begin(&fake);
    struct dev_instance *inst = dev_instance_create(
        &(struct dev_instance_params){.log = &log, .get_proc = fake_vk_get_proc()});
    assert_non_null(inst);
    struct dev *dev = dev_open(inst, &(struct dev_open_params){0});
    assert_non_null(dev);
    const struct ops_variant *gemm = ops_find_variant(ops_find("matmul"), "plain_gemm");
    assert_non_null(gemm);
    assert_non_null(
        dev_kernel_get(dev, &(struct dev_kernel_params){.shader = gemm->by_quant[QUANT_F32]}));
    assert_int_equal(fake.local[0], 256);
    assert_int_equal(fake.shared, 16384); /* two tiles of 64 x 32 floats */
    const struct ops_variant *norm = ops_find_variant(ops_find("rmsnorm"), "plain");
    assert_non_null(norm);
    assert_non_null(dev_kernel_get(
        dev, &(struct dev_kernel_params){
                 .shader = norm->shader, .n_specs = 2, .specs = {{0, 512}, {1, 512}}}));
    assert_int_equal(fake.local[0], 512);
    assert_int_equal(fake.shared, 2048); /* a float for each invocation */
    assert_int_equal(fake.wrong, 0);
    assert_non_null(dev_kernel_get(
        dev, &(struct dev_kernel_params){
                 .shader = norm->shader, .n_specs = 2, .specs = {{0, 2048}, {1, 16384}}}));
    assert_int_equal(fake.wrong, 2); /* too many invocations, too much memory */
    fake.wrong = 0;
    dev_close(dev);
    dev_instance_destroy(inst);
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(modules_are_read),
                                       cmocka_unit_test(every_op_within_every_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
