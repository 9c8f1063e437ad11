/* Ceilings of a device: each kernel made for one is tried in a few widths and launch sizes, the
 * best one is measured properly and its result checked. Arithmetic is bench_peak_math.c's. */
#include "lab/bench_peak.h"

#include "base/hash.h"
#include "gen/peak.h"

#include <stdio.h>
#include <string.h>

enum {
    BLOCK = 1 << 20,          /* bytes of random data, repeated */
    RESULTS = 16,             /* of reading kernels, side by side */
    MOST_READERS = BLOCK / 4, /* invocations whose results fit a block */
    GPU_NS = 5000000,         /* least time of an arithmetic kernel */
    CPU_NS = 8000000,
    CHECKED = 8, /* invocations */
};

#define MEMORY(label, what, how, needed, bytes, module)                                            \
    {                                                                                              \
        .name = label, .variant = what, .kind = how, .needs = needed, .width = bytes,              \
        .shader = module                                                                           \
    }
static const struct bench_peak memory_kernels[] = {
    MEMORY("read", "4 bytes", PEAK_READ, 0, 4, &shader_peak_read4),
    MEMORY("read", "16 bytes", PEAK_READ, 0, 16, &shader_peak_read16),
    MEMORY("read", "16 bytes, texels", PEAK_READ, DEV_CAP_TEXEL, 16, &shader_peak_read_texel),
    MEMORY("copy", "4 bytes", PEAK_COPY, 0, 4, &shader_peak_copy4),
    MEMORY("copy", "16 bytes", PEAK_COPY, 0, 16, &shader_peak_copy16),
    MEMORY("copy", "16 bytes, texels", PEAK_COPY, DEV_CAP_TEXEL, 16, &shader_peak_copy_texel),
    MEMORY("copy", "the driver's", PEAK_COPY, 0, 4, NULL),
};

struct launch {
    uint32_t groups, local;
};
static const struct launch gpu_launches[] = {{512, 256}, {1024, 256}, {2048, 128}, {4096, 256}};
/* Invocations run a subgroup at a time, each to its end: local 0 is one subgroup. */
static const struct launch cpu_launches[] = {{8, 0}, {64, 0}, {16, 64}};

/* One kernel in one launch size. */
struct attempt {
    struct bench_device *bd;
    const struct bench_peak *peak;
    struct launch launch;
    struct dev_kernel *kernel;
    struct dev_buf *buf;
    uint32_t repeat;
    uint64_t part;    /* bytes that a run reads or copies */
    uint32_t n_parts; /* of each side */
    uint64_t result_at;
    double amount; /* of one run: bytes or operations */
    struct bench_timing timing;
};

static bool record(void *user, struct dev_cmd *cmd, uint32_t first, uint32_t n)
{
    struct attempt *t = user;
    const struct bench_peak *peak = t->peak;
    struct peak_push push = {.repeat = t->repeat, .a = peak->a, .b = peak->b};
    struct dev_dispatch d = {.kernel = t->kernel,
                             .n_binds = peak->kind == PEAK_MATH ? 1 : 2,
                             .push = &push,
                             .push_bytes = sizeof push,
                             .groups = {t->launch.groups, 1, 1},
                             .label = peak->name};
    for (uint32_t i = first; i < first + n; i++) {
        uint64_t part = i % (t->n_parts != 0 ? t->n_parts : 1) * t->part;
        struct dev_bind *out = &d.binds[PEAK_BIND_RESULT], *in = &d.binds[PEAK_BIND_DATA];
        *out = (struct dev_bind){t->buf, t->result_at + i % RESULTS * BLOCK, BLOCK, DEV_WRITE};
        if (peak->kind == PEAK_MATH) {
            out->offset = t->result_at;
            out->bytes = (uint64_t)RESULTS * BLOCK;
        } else {
            *in = (struct dev_bind){t->buf, part, t->part, DEV_READ};
            push.count = (uint32_t)(t->part / peak->width);
        }
        if (peak->kind == PEAK_COPY) {
            *out = (struct dev_bind){t->buf, t->n_parts * t->part + part, t->part, DEV_WRITE};
        }
        bool ok = t->kernel != NULL ? dev_cmd_dispatch(cmd, &d)
                                    : dev_cmd_copy(cmd, t->buf, out->offset, t->buf, part, t->part);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool get_kernel(struct attempt *t)
{
    const struct dev_caps *caps = dev_get_caps(t->bd->dev);
    const struct bench_peak *peak = t->peak;
    if (peak->shader == NULL) {
        return true; /* no kernel of ours */
    }
    struct dev_kernel_params params = {
        .shader = peak->shader, .n_specs = 1, .specs = {{PEAK_SPEC_LOCAL_SIZE, t->launch.local}}};
    if (peak->kind != PEAK_MATH) {
        params.specs[params.n_specs].id = PEAK_SPEC_IN_PARTS;
        params.specs[params.n_specs++].value = t->bd->cpu;
    }
    for (uint32_t i = 0; i < peak->n_specs; i++) {
        params.specs[params.n_specs].id = i + 1;
        params.specs[params.n_specs++].value = peak->specs[i];
    }
    if (peak->is_matrix) {
        uint32_t values[4] = {0, 0, 0, caps->subgroup_size};
        bench_peak_matrix(caps, peak, values);
        for (uint32_t i = 0; i < 4; i++) {
            params.specs[params.n_specs].id = i + 1;
            params.specs[params.n_specs++].value = values[i];
        }
        params.subgroup_size = caps->subgroup_size;
    }
    t->kernel = dev_kernel_get(t->bd->dev, &params);
    return t->kernel != NULL;
}

/* Bytes or operations of a run; a part is a power of two, for loops without a rest. */
static bool set_amount(struct attempt *t)
{
    const struct dev_caps *caps = dev_get_caps(t->bd->dev);
    uint64_t invocations = (uint64_t)t->launch.groups * t->launch.local;
    if (t->launch.local > caps->max_workgroup_invocations ||
        t->launch.local > caps->max_workgroup_size[0]) {
        return false;
    }
    if (t->peak->kind == PEAK_MATH) {
        t->amount = t->peak->flop * (double)invocations * t->repeat;
        if (t->peak->is_matrix) {
            uint32_t shape[3];
            bench_peak_matrix(caps, t->peak, shape);
            t->amount *= (double)shape[0] * shape[1] * shape[2] / caps->subgroup_size;
            return shape[0] != 0 && t->launch.local % caps->subgroup_size == 0 &&
                   invocations / caps->subgroup_size * shape[0] * shape[1] * 4 <=
                       (uint64_t)RESULTS * BLOCK;
        }
        return invocations * 4 <= (uint64_t)RESULTS * BLOCK;
    }
    uint64_t most = t->bd->rotate / (t->peak->kind == PEAK_COPY ? 4 : 2);
    most = most < caps->max_binding_bytes ? most : caps->max_binding_bytes;
    if ((t->peak->needs & DEV_CAP_TEXEL) != 0) {
        most = most / 16 < caps->max_texel_elements ? most : caps->max_texel_elements * 16;
    }
    for (t->part = BLOCK; t->part * 2 <= most; t->part *= 2) {
    }
    t->n_parts = (uint32_t)(t->bd->rotate / (t->peak->kind == PEAK_COPY ? 2 : 1) / t->part);
    t->amount = (double)t->part * (t->peak->kind == PEAK_COPY ? 2 : 1);
    return t->n_parts != 0 && invocations * 8 * t->peak->width <= t->part &&
           (t->peak->kind == PEAK_COPY || invocations <= MOST_READERS);
}

static bool time_attempt(struct attempt *t, uint32_t samples)
{
    uint32_t copies = t->peak->kind == PEAK_READ   ? RESULTS
                      : t->peak->kind == PEAK_COPY ? t->n_parts
                                                   : 1;
    const struct bench_work work = {record, t, copies};
    return bench_time(t->bd, &work, samples, &t->timing);
}

/* More loops until the kernel runs long enough. */
static bool choose_repeat(struct attempt *t)
{
    double least = (t->bd->cpu ? CPU_NS : GPU_NS) / 1e3;
    t->repeat = 17; /* odd, as it stays */
    for (;;) {
        if (!set_amount(t) || !time_attempt(t, 1)) {
            return false;
        }
        if (t->timing.us_min >= least || t->repeat >= t->peak->most_repeat / 4) {
            return true;
        }
        t->repeat = t->repeat * 4 - 3;
    }
}

static double rate(const struct attempt *t)
{
    return t->amount / t->timing.us_min;
}

static bool check_math(struct attempt *t, char *why, size_t why_bytes)
{
    uint32_t all = t->launch.groups * t->launch.local, size = 1;
    if (t->peak->is_matrix) {
        const struct dev_caps *caps = dev_get_caps(t->bd->dev);
        uint32_t shape[3];
        bench_peak_matrix(caps, t->peak, shape);
        size = shape[0] * shape[1];
        all = all / caps->subgroup_size;
    }
    uint64_t rng = t->bd->params->seed;
    for (uint32_t i = 0; i < CHECKED; i++) {
        uint32_t at = i == 0 ? 0 : i == 1 ? all - 1 : (uint32_t)(hash_next(&rng) % all), word;
        double want = t->peak->expect(t->bd, t->peak, at, t->repeat), got;
        if (!dev_download(t->bd->dev, t->buf, t->result_at + (uint64_t)at * size * 4, &word, 4)) {
            log_get_last(t->bd->log, why, why_bytes);
            return false;
        }
        float value;
        memcpy(&value, &word, sizeof value);
        got = t->peak->is_int ? (double)(int32_t)word : (double)value;
        if (got != want) {
            snprintf(why, why_bytes, "invocation %u gave %.9g, not %.9g", at, got, want);
            return false;
        }
    }
    return true;
}

static uint32_t sum_words(const uint32_t *words, uint64_t n)
{
    uint32_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += words[i];
    }
    return sum;
}

/* Sums of a reading kernel, or the first and the last block of a copy. */
static bool check_memory(struct attempt *t, const uint32_t *data, char *why, size_t why_bytes)
{
    uint32_t *found = mem_alloc(BLOCK, 1);
    uint64_t readers = (uint64_t)t->launch.groups * t->launch.local;
    uint64_t to = t->n_parts * t->part, ends[2] = {to, to + t->part - BLOCK};
    bool copy = t->peak->kind == PEAK_COPY, ok = found != NULL;
    for (uint32_t i = 0; ok && i < (copy ? 2 : 1); i++) {
        if (!dev_download(t->bd->dev, t->buf, copy ? ends[i] : t->result_at, found, BLOCK)) {
            log_get_last(t->bd->log, why, why_bytes);
            mem_free(found);
            return false;
        }
        ok = copy ? memcmp(found, data, BLOCK) == 0
                  : sum_words(found, readers) ==
                        sum_words(data, BLOCK / 4) * (uint32_t)(t->part / BLOCK);
    }
    if (!ok) {
        snprintf(why, why_bytes, copy ? "what was copied differs" : "the sum is wrong");
    }
    mem_free(found);
    return ok;
}

static double *ceiling_of(struct bench_device *bd, const char *name)
{
    struct bench_ceilings *c = &bd->ceilings;
    const struct {
        const char *name;
        double *value;
    } all[] = {{"read", &c->read},          {"copy", &c->copy},       {"fma_f32", &c->fma_f32},
               {"fma_f16", &c->fma_f16},    {"int_dot", &c->int_dot}, {"matrix", &c->matrix},
               {"matrix_s8", &c->matrix_s8}};
    for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return all[i].value;
        }
    }
    return NULL;
}

/* The best attempt, measured with all samples and checked, becomes a row. */
static bool conclude(struct attempt *best, const uint32_t *data)
{
    struct bench_device *bd = best->bd;
    const struct bench_peak *peak = best->peak;
    struct bench_row row = bench_row_init(bd, "ceiling", peak->name);
    snprintf(row.variant, sizeof row.variant, "%s", peak->variant);
    if (peak->shader != NULL) {
        snprintf(row.shape, sizeof row.shape, "%u groups x %u", best->launch.groups,
                 best->launch.local);
    }
    double before = best->timing.us_min;
    if (!get_kernel(best) || !time_attempt(best, bd->params->samples)) {
        bench_row_unrun(bd, &row, NULL, true);
        return bench_emit(bd, &row);
    }
    row.samples = best->timing.samples;
    row.us = best->timing.us;
    row.us_min = best->timing.us_min;
    row.gpu_clock = best->timing.gpu_clock;
    row.rotated = best->n_parts * best->part * (peak->kind == PEAK_COPY ? 2 : 1);
    /* the attempt before may have had a better moment */
    double per_second = best->amount / (before < row.us_min ? before : row.us_min) * 1e6;
    row.flop = peak->kind == PEAK_MATH ? best->amount : 0;
    row.bytes = peak->kind == PEAK_MATH ? 0 : best->amount;
    row.gflops = row.flop / row.us * 1e-3;
    row.gbs = row.bytes / row.us * 1e-3;
    row.share = best->amount / row.us * 1e6 / per_second;
    snprintf(row.limit, sizeof row.limit, "%s", peak->name);
    row.passed = peak->kind == PEAK_MATH ? check_math(best, row.why, sizeof row.why)
                                         : check_memory(best, data, row.why, sizeof row.why);
    if (row.passed) {
        *ceiling_of(bd, peak->name) = per_second;
    }
    return bench_emit(bd, &row);
}

/* Tries the kernels of one name in all launch sizes; `kernels` goes to the next name. */
static bool find_best(struct bench_device *bd, struct dev_buf *buf,
                      const struct bench_peak **kernels, const struct bench_peak *end,
                      struct attempt *best)
{
    const struct dev_caps *caps = dev_get_caps(bd->dev);
    const struct launch *launches = bd->cpu ? cpu_launches : gpu_launches;
    uint32_t n =
        bd->cpu ? sizeof cpu_launches / sizeof *launches : sizeof gpu_launches / sizeof *launches;
    n = bd->params->quick ? 2 : n;
    const char *name = (*kernels)->name;
    best->peak = NULL;
    for (; *kernels < end && strcmp((*kernels)->name, name) == 0; ++*kernels) {
        uint32_t most = (*kernels)->shader != NULL ? n : 1;
        for (uint32_t i = 0; i < most && (caps->has & (*kernels)->needs) == (*kernels)->needs;
             i++) {
            struct attempt t = {.bd = bd,
                                .peak = *kernels,
                                .launch = launches[i],
                                .buf = buf,
                                .repeat = 1,
                                .result_at = bd->rotate};
            t.launch.local = t.launch.local != 0 ? t.launch.local : caps->subgroup_size;
            if (!set_amount(&t)) {
                continue; /* a workgroup or a result too large for this device */
            }
            if (!get_kernel(&t) ||
                !(t.peak->kind == PEAK_MATH ? choose_repeat(&t) : time_attempt(&t, 2))) {
                return false;
            }
            if (best->peak == NULL || rate(&t) > rate(best)) {
                *best = t;
            }
        }
    }
    return true;
}

static bool measure_all(struct bench_device *bd, struct dev_buf *buf, const uint32_t *data)
{
    uint32_t n_math;
    const struct bench_peak *math = bench_peak_math(&n_math), *memory = memory_kernels;
    const struct bench_peak *memory_end = memory + sizeof memory_kernels / sizeof *memory_kernels;
    const struct bench_peak *math_end = math + n_math;
    while (memory < memory_end || math < math_end) {
        const struct bench_peak **next = memory < memory_end ? &memory : &math;
        const char *name = (*next)->name;
        struct attempt best;
        if (!find_best(bd, buf, next, next == &memory ? memory_end : math_end, &best)) {
            struct bench_row row = bench_row_init(bd, "ceiling", name);
            bench_row_unrun(bd, &row, NULL, true);
            if (!bench_emit(bd, &row)) {
                return false;
            }
        } else if (best.peak != NULL && !conclude(&best, data)) {
            return false;
        }
    }
    return true;
}

struct spread {
    struct dev_buf *buf;
    uint64_t bytes;
};

static bool record_spread(void *user, struct dev_cmd *cmd)
{
    const struct spread *s = user;
    for (uint64_t done = BLOCK; done < s->bytes; done *= 2) {
        uint64_t n = s->bytes - done < done ? s->bytes - done : done;
        if (!dev_cmd_copy(cmd, s->buf, done, s->buf, 0, n)) {
            return false;
        }
    }
    return true;
}

bool bench_ceilings_measure(struct bench_device *bd)
{
    bd->rotate = bd->rotate / BLOCK * BLOCK;
    struct spread spread = {bench_memory(bd, bd->rotate + (uint64_t)RESULTS * BLOCK), bd->rotate};
    uint32_t *data = mem_alloc(BLOCK, 1);
    uint64_t rng = bd->params->seed;
    bool ok = data != NULL && spread.buf != NULL;
    for (uint32_t i = 0; ok && i < BLOCK / 4; i++) {
        data[i] = (uint32_t)hash_next(&rng);
    }
    ok = ok && dev_upload(bd->dev, spread.buf, 0, data, BLOCK) &&
         bench_once(bd, record_spread, &spread);
    if (!ok) {
        struct bench_row row = bench_row_init(bd, "ceiling", "memory");
        bench_row_unrun(bd, &row, NULL, true);
        ok = bench_emit(bd, &row);
    } else {
        ok = measure_all(bd, spread.buf, data);
    }
    mem_free(data);
    return ok;
}
