/* A run of microbenchmarks: opens the devices one after the other, gives each its memory and
 * recordings, and walks through the groups. */
#include "lab/bench_internal.h"

#include "base/os.h"
#include "lab/bench_device.h"
#include "ops/profile.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB          (1ull << 20)
#define GPU_ROTATE   (512 * MIB) /* Vulkan does not tell cache sizes; above any GPU's */
#define LEAST_ROTATE (64 * MIB)
#define CPU_FLOP     1.1e9 /* of one run of a default shape on a CPU device, */
#define CPU_BYTES    128e6 /* and of what it reads and writes */

void bench_note(struct bench_device *bd, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (bd->params->note != NULL) {
        bd->params->note(bd->params->user, line);
    }
}

bool bench_goes_on(const struct bench_device *bd)
{
    return bd->end_ns == 0 || os_clock_ns() < bd->end_ns;
}

struct bench_row bench_row_init(const struct bench_device *bd, const char *group, const char *name)
{
    struct bench_row row = {.device = bd->index, .peer = BENCH_NONE, .share = -1};
    snprintf(row.group, sizeof row.group, "%s", group);
    snprintf(row.name, sizeof row.name, "%s", name);
    return row;
}

void bench_row_unrun(struct bench_device *bd, struct bench_row *row, const char *why, bool error)
{
    row->skipped = !error;
    if (why != NULL) {
        snprintf(row->why, sizeof row->why, "%s", why);
    } else {
        log_get_last(bd->log, row->why, sizeof row->why);
    }
}

static bool count_row(const struct bench_params *params, struct bench_totals *t,
                      const struct bench_row *row)
{
    t->rows++;
    t->skipped += row->skipped ? 1 : 0;
    t->failed += !row->skipped && !row->passed ? 1 : 0;
    t->stopped = t->stopped || !params->row(params->user, row);
    return !t->stopped;
}

bool bench_emit(struct bench_device *bd, const struct bench_row *row)
{
    return count_row(bd->params, bd->totals, row) && !dev_is_lost(bd->dev);
}

uint64_t bench_memory_most(const struct bench_device *bd)
{
    uint64_t budget = dev_get_budget(bd->dev) - dev_get_budget(bd->dev) / 8;
    uint64_t used = dev_get_used(bd->dev), own = 0;
    own = bd->memory != NULL ? dev_buf_bytes(bd->memory) : 0;
    uint64_t left = budget + own > used ? budget + own - used : 0;
    uint64_t largest = dev_get_caps(bd->dev)->max_buffer_bytes;
    return left < largest ? left : largest;
}

struct dev_buf *bench_memory(struct bench_device *bd, uint64_t bytes)
{
    if (bd->memory != NULL && dev_buf_bytes(bd->memory) >= bytes) {
        return bd->memory;
    }
    dev_buf_destroy(bd->memory);
    bd->memory = dev_buf_create(
        bd->dev,
        &(struct dev_buf_params){.name = "microbench", .bytes = bytes, .mem = DEV_MEM_DEVICE});
    return bd->memory;
}

/* Bytes that runs go through in turn: more than the last-level cache. */
static void choose_rotation(struct bench_device *bd)
{
    uint64_t most = bench_memory_most(bd) / 2;
    bd->cache = bd->cpu ? os_cache_bytes() : 0;
    bd->rotate = bd->cpu ? 2 * bd->cache : GPU_ROTATE;
    bd->rotate = bd->rotate > LEAST_ROTATE ? bd->rotate : LEAST_ROTATE;
    bd->rotate = bd->rotate < most ? bd->rotate : most;
}

static bool open_device(struct bench_device *bd, struct dev_instance *inst)
{
    uint32_t caps_off = 0;
    char error[128];
    if (!ops_disable_parse(bd->params->disable, &caps_off, &bd->prefs, error, sizeof error)) {
        log_error(bd->log, "disable: %s", error);
        return false;
    }
    bool cached = !bd->params->no_cache && os_cache_dir(bd->folder, sizeof bd->folder);
    bd->folder[0] = cached ? bd->folder[0] : '\0';
    bd->dev = dev_open(inst, &(struct dev_open_params){.index = bd->index,
                                                       .caps_off = caps_off,
                                                       .cache_dir = cached ? bd->folder : NULL});
    if (bd->dev != NULL && cached) {
        ops_profile_load(&bd->prefs, bd->folder, dev_get_info(bd->dev), bd->log);
    }
    return bd->dev != NULL;
}

bool bench_device_open(struct bench_device *bd, struct dev_instance *inst, uint32_t index,
                       const struct bench_params *params, struct bench_totals *totals,
                       struct log *log)
{
    *bd = (struct bench_device){.params = params, .totals = totals, .log = log, .index = index};
    bd->samples = mem_alloc(BENCH_MAX_SAMPLES, sizeof *bd->samples);
    if (bd->samples == NULL || !open_device(bd, inst)) {
        return false;
    }
    const struct dev_caps *caps = dev_get_caps(bd->dev);
    bd->cpu = (caps->has & DEV_CAP_CPU) != 0;
    bd->gpu_clock = caps->timestamp_bits != 0 && !bd->cpu;
    bd->most_flop = bd->cpu ? CPU_FLOP : 0;
    bd->most_bytes = bd->cpu ? CPU_BYTES : 0;
    for (uint32_t i = 0; i < BENCH_CMDS; i++) {
        bd->cmds[i] = dev_cmd_create(bd->dev);
        if (bd->cmds[i] == NULL || !dev_cmd_timers(bd->cmds[i], 2)) {
            return false;
        }
    }
    choose_rotation(bd);
    return true;
}

void bench_device_close(struct bench_device *bd)
{
    for (uint32_t i = 0; i < BENCH_CMDS; i++) {
        dev_cmd_destroy(bd->cmds[i]);
    }
    dev_buf_destroy(bd->memory);
    ops_prefs_finish(&bd->prefs);
    mem_free(bd->samples);
    dev_close(bd->dev);
}

static void introduce(struct bench_device *bd)
{
    char cache[64] = "";
    if (bd->cache != 0) {
        snprintf(cache, sizeof cache, " (last-level cache: %llu MiB)",
                 (unsigned long long)(bd->cache / MIB));
    }
    bench_note(bd, "device %u: %s; clock: %s; seed %llu; %s %llu MiB%s", bd->index,
               dev_get_info(bd->dev)->name, bd->gpu_clock ? "GPU timestamps" : "host",
               (unsigned long long)bd->params->seed,
               bd->params->warm ? "one set of inputs (--warm), results rotate through at most"
                                : "runs rotate through",
               (unsigned long long)(bd->rotate / MIB), cache);
}

static void conclude(struct bench_device *bd)
{
    if (bd->skipped[0] != 0) {
        bench_note(bd,
                   "device %u: %u default shapes of more than %.1f GFLOP or %.0f MB were left out "
                   "on a CPU device; --shape runs any",
                   bd->index, bd->skipped[0], bd->most_flop / 1e9, bd->most_bytes / 1e6);
    }
    if (bd->skipped[1] != 0) {
        bench_note(bd, "device %u: %u default shapes were left out: no time left (--time-limit)",
                   bd->index, bd->skipped[1]);
    }
}

/* Each device has an equal part of the time. */
static void run_device(struct bench_device *bd, uint64_t begin_ns, uint32_t number)
{
    const struct bench_params *p = bd->params;
    double part = p->seconds * 1e9 * (number + 1) / p->n_devices;
    bd->end_ns = p->seconds > 0 ? begin_ns + (uint64_t)part : 0;
    introduce(bd);
    bool goes_on = bench_ceilings_measure(bd);
    if (goes_on && (p->groups & BENCH_COPY) != 0) {
        goes_on = bench_copies(bd);
    }
    if (goes_on) {
        bench_kernels(bd, p->groups);
    }
    if (dev_is_lost(bd->dev)) {
        struct bench_row row = bench_row_init(bd, "device", "lost");
        bench_row_unrun(bd, &row, NULL, true);
        bench_emit(bd, &row);
    }
    conclude(bd);
}

/* Rows of measurements that are not of this file, counted on their way. */
struct counter {
    const struct bench_params *params;
    struct bench_totals *totals;
};

static bool on_row(void *user, const struct bench_row *row)
{
    const struct counter *c = user;
    return count_row(c->params, c->totals, row);
}

/* What devices cost rather than kernels. */
static bool run_device_groups(const struct bench_params *p, struct bench_totals *totals,
                              struct dev_instance *inst, struct log *log)
{
    struct counter counter = {p, totals};
    struct ops_prefs prefs = {0}; /* of no interest here */
    uint32_t caps_off = 0;
    char error[128];
    bool ok = ops_disable_parse(p->disable, &caps_off, &prefs, error, sizeof error);
    ops_prefs_finish(&prefs);
    if (!ok) {
        log_error(log, "disable: %s", error);
        return false;
    }
    const struct bench_device_params device = {.inst = inst,
                                               .devices = p->devices,
                                               .n_devices = p->n_devices,
                                               .caps_off = caps_off,
                                               .samples = p->samples,
                                               .max_bytes = p->quick ? 1 << 20 : 0,
                                               .log = log,
                                               .row = on_row,
                                               .user = &counter};
    const struct {
        uint32_t group;
        bool (*run)(const struct bench_device_params *params);
    } all[] = {{BENCH_DISPATCH, bench_dispatch},
               {BENCH_SUBMIT, bench_submit},
               {BENCH_EXCHANGE, bench_exchange}};
    for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) {
        if ((p->groups & all[i].group) != 0 && !all[i].run(&device)) {
            return totals->stopped;
        }
    }
    return true;
}

void bench_end(struct dev_instance *inst, struct log *log, struct bench_totals *totals)
{
    totals->messages = inst != NULL ? dev_instance_messages(inst) : 0;
    dev_instance_destroy(inst);
    log_finish(log);
}

bool bench_measure(const struct bench_params *params, struct bench_totals *totals, char *why,
                   size_t why_bytes)
{
    struct log log;
    uint64_t begin = os_clock_ns();
    *totals = (struct bench_totals){0};
    log_init(&log, params->log, params->log_user, LOG_WARN);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){.log = &log});
    bool ok = inst != NULL && run_device_groups(params, totals, inst, &log), kernels;
    kernels = (params->groups & ~(uint32_t)(BENCH_DISPATCH | BENCH_SUBMIT | BENCH_EXCHANGE)) != 0;
    for (uint32_t i = 0; ok && kernels && i < params->n_devices && !totals->stopped; i++) {
        struct bench_device bd;
        ok = bench_device_open(&bd, inst, params->devices[i], params, totals, &log);
        if (ok) {
            run_device(&bd, begin, i);
        }
        bench_device_close(&bd);
    }
    if (!ok) {
        log_get_last(&log, why, why_bytes);
    }
    bench_end(inst, &log, totals);
    return ok;
}
