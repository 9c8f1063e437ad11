/* Times whatever can be recorded: warm-up, as many runs per recording as make it long against the
 * clock's resolution, several recordings that go through different buffers, many samples. GPU
 * timestamps at both ends of a recording where the device has them, else the host's clock around a
 * submission. */
#include "lab/bench_internal.h"

#include "base/os.h"

#define SLOW_NS 2000000000ull /* one sample is enough of what takes longer */
enum {
    FEWEST = 3,
    USUAL = 10,
    GPU_NS = 1000000, /* least time of a recording */
    CPU_NS = 5000000,
    ROW_NS = 500000000, /* for all samples, unless their number is given */
    /* A GPU that waited for the host (which checks results between rows) runs at a low clock; so
     * long it works before it is timed. On one card tiles chosen without it were 17 % slower. */
    AWAKE_NS = 30000000,
};

bool bench_once(struct bench_device *bd, bool (*record)(void *user, struct dev_cmd *cmd),
                void *user)
{
    struct dev_cmd *cmd = bd->cmds[0];
    if (!dev_cmd_begin(cmd) || !record(user, cmd) || !dev_cmd_end(cmd)) {
        return false;
    }
    uint64_t value = dev_submit(bd->dev, cmd);
    return value != 0 && dev_wait(bd->dev, value);
}

static bool record(const struct bench_work *work, struct dev_cmd *cmd, uint32_t first, uint32_t n)
{
    if (!dev_cmd_begin(cmd)) {
        return false;
    }
    dev_cmd_timestamp(cmd, 0);
    if (!work->record(work->user, cmd, first, n)) {
        return false;
    }
    dev_cmd_timestamp(cmd, 1);
    return dev_cmd_end(cmd);
}

/* Nanoseconds of a whole recording. */
static bool sample(struct bench_device *bd, struct dev_cmd *cmd, double *ns)
{
    uint64_t begin = os_clock_ns(), value = dev_submit(bd->dev, cmd), stamps[2];
    if (value == 0 || !dev_wait(bd->dev, value)) {
        return false;
    }
    *ns = (double)(os_clock_ns() - begin);
    if (bd->gpu_clock && dev_cmd_read_timers(cmd, stamps, 2) && stamps[1] > stamps[0]) {
        *ns = (double)(stamps[1] - stamps[0]);
    }
    return true;
}

/* Runs per recording: doubled until it is long enough. The first submission, which may compile, is
 * not counted. */
static bool choose_runs(struct bench_device *bd, const struct bench_work *work, uint32_t *runs)
{
    double least = bd->cpu ? CPU_NS : GPU_NS, ns;
    uint32_t most = work->copies < BENCH_MAX_RUNS ? work->copies : BENCH_MAX_RUNS;
    *runs = 1;
    if (!record(work, bd->cmds[0], 0, 1) || !sample(bd, bd->cmds[0], &ns) ||
        (ns < SLOW_NS && !sample(bd, bd->cmds[0], &ns))) {
        return false;
    }
    while (*runs < most && ns < least) {
        double more = ns > 0 ? least / ns * 1.2 : 8;
        more = more < 2 ? 2 : more > 8 ? 8 : more;
        uint32_t next = (uint32_t)(*runs * more);
        *runs = next < most ? next : most;
        if (!record(work, bd->cmds[0], 0, *runs) || !sample(bd, bd->cmds[0], &ns)) {
            return false;
        }
    }
    return true;
}

static bool record_all(struct bench_device *bd, const struct bench_work *work, uint32_t runs,
                       uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!record(work, bd->cmds[i], i * runs, runs)) {
            return false;
        }
    }
    return true;
}

/* Brings the device to the speed it keeps. */
static bool wake_up(struct bench_device *bd, uint32_t cmds)
{
    uint64_t begin = os_clock_ns();
    double ns;
    for (uint32_t i = 0; !bd->cpu && os_clock_ns() - begin < AWAKE_NS; i++) {
        if (!sample(bd, bd->cmds[i % cmds], &ns)) {
            return false;
        }
    }
    return true;
}

bool bench_time(struct bench_device *bd, const struct bench_work *work, uint32_t samples,
                struct bench_timing *out)
{
    uint32_t runs, most = samples != 0 ? samples : USUAL, n = 0;
    if (!choose_runs(bd, work, &runs)) {
        return false;
    }
    uint32_t cmds = work->copies / runs < BENCH_CMDS ? work->copies / runs : BENCH_CMDS;
    if (!record_all(bd, work, runs, cmds) || !wake_up(bd, cmds)) {
        return false;
    }
    most = most < BENCH_MAX_SAMPLES ? most : BENCH_MAX_SAMPLES;
    uint64_t begin = os_clock_ns();
    for (; n < most; n++) {
        double ns;
        uint64_t spent = os_clock_ns() - begin;
        if (samples == 0 && n > 0 && spent > ROW_NS && (n >= FEWEST || spent > SLOW_NS)) {
            break;
        }
        if (!sample(bd, bd->cmds[n % cmds], &ns)) {
            return false;
        }
        bd->samples[n] = ns / 1e3 / runs;
    }
    out->us = bench_median(bd->samples, n);
    out->us_min = bd->samples[0];
    out->samples = n;
    out->runs = runs;
    out->used = runs * (cmds < n ? cmds : n);
    out->gpu_clock = bd->gpu_clock;
    return true;
}
