/* quadriga microbench: reads what is to be measured, has the lab measure it, writes the rows. */
#include "cli/microbench.h"

#include "cli/commands.h"
#include "cli/device_json.h"
#include "cli/engine.h"
#include "cli/memory.h"
#include "cli/plot.h"

#include <string.h>

static const struct {
    const char *name;
    uint32_t groups;
} group_names[] = {
    {"gemm", BENCH_GEMM},           {"gemv", BENCH_GEMV},         {"experts", BENCH_EXPERTS},
    {"attention", BENCH_ATTENTION}, {"norm", BENCH_NORM},         {"rope", BENCH_ROPE},
    {"copy", BENCH_COPY},           {"ceiling", BENCH_CEILING},   {"dispatch", BENCH_DISPATCH},
    {"submit", BENCH_SUBMIT},       {"exchange", BENCH_EXCHANGE}, {"all", BENCH_ALL},
};
enum { N_GROUPS = sizeof group_names / sizeof *group_names };

struct microbench {
    const struct cli_options *options;
    struct cli_engine engine;
    struct bench_params params;
    struct bench_shape shape;
    struct microbench_print print;
    struct bench_row *rows; /* for the plot */
    size_t n_rows, cap_rows;
};

static void say_unknown(const char *what, const char *given, const char *const *names)
{
    const char *nearest = cli_nearest(given, names);
    if (nearest != NULL) {
        cli_error("microbench: unknown %s '%s': did you mean %s? (quadriga microbench --help)",
                  what, given, nearest);
    } else {
        cli_error("microbench: unknown %s '%s' (quadriga microbench --help)", what, given);
    }
}

static bool read_group(const char *name, uint32_t *groups)
{
    const char *names[N_GROUPS + 1] = {NULL};
    *groups = 0;
    for (size_t i = 0; i < N_GROUPS; i++) {
        names[i] = group_names[i].name;
        *groups |= strcmp(name, names[i]) == 0 ? group_names[i].groups : 0;
    }
    if (*groups == 0) {
        say_unknown("group", name, names);
    }
    return *groups != 0;
}

static bool read_type(const char *name)
{
    const char *names[32] = {NULL};
    for (uint32_t i = 0; i < 31 && bench_type_name(i) != NULL; i++) {
        names[i] = bench_type_name(i);
    }
    if (!bench_type_known(name)) {
        say_unknown("type", name, names);
        return false;
    }
    return true;
}

static bool read_shape(struct microbench *m)
{
    const struct cli_options *options = m->options;
    uint32_t groups = m->params.groups;
    if (options->shape == NULL) {
        return true;
    }
    if ((groups & (groups - 1)) != 0 || groups == BENCH_CEILING) {
        cli_error("microbench: --shape %s: name one group that it is for: gemm, gemv, experts, "
                  "attention, norm, rope or copy",
                  options->shape);
        return false;
    }
    if (!bench_shape_parse(options->shape, &m->shape)) {
        cli_error("microbench: --shape '%s': must be MxNxK, three whole numbers from 1 to %u, as "
                  "in 4096x1x4096",
                  options->shape, BENCH_MAX_DIM);
        return false;
    }
    m->params.shape = &m->shape;
    return true;
}

static int read_options(struct microbench *m)
{
    const struct cli_options *o = m->options;
    struct bench_params *p = &m->params;
    if (!read_group(o->group != NULL ? o->group : "all", &p->groups) ||
        (o->type != NULL && !read_type(o->type)) || !read_shape(m)) {
        return CLI_USAGE;
    }
    if (o->variant != NULL && !bench_variant_known(p->groups, o->variant)) {
        cli_error("microbench: --variant '%s': no kernel of %s has that name", o->variant,
                  o->group != NULL ? o->group : "any group");
        return CLI_USAGE;
    }
    for (uint32_t i = 0; i < o->n_devices; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (o->devices[i] == o->devices[k]) {
                cli_error("microbench: --device: %u is named twice", o->devices[i]);
                return CLI_USAGE;
            }
        }
    }
    if (o->tune && (o->no_cache || o->plot != NULL || o->shape != NULL || o->variant != NULL)) {
        cli_error("microbench: --tune goes with neither --no-cache, --plot, --shape nor --variant");
        return CLI_USAGE;
    }
    const uint32_t tunable = BENCH_GEMV | BENCH_GEMM | BENCH_EXPERTS | BENCH_ATTENTION | BENCH_NORM;
    if (o->tune && (p->groups & tunable) == 0) {
        cli_error("microbench: %s: --tune is for gemv, gemm, experts, attention, norm or all",
                  o->group);
        return CLI_USAGE;
    }
    p->no_cache = o->no_cache;
    p->disable = o->disable;
    p->type = o->type;
    p->variant = o->variant;
    p->samples = (uint32_t)o->n_repeats;
    p->warm = o->warm;
    p->quick = o->quick;
    p->seconds = o->time_limit;
    p->seed = o->has_seed ? o->seed : 1;
    return CLI_DONE;
}

/* The devices to measure, by number. */
static int choose_devices(struct microbench *m)
{
    const struct cli_options *o = m->options;
    struct bench_params *p = &m->params;
    qd_context *context = m->engine.context;
    for (uint32_t i = 0; i < o->n_devices; i++) {
        struct qd_device_info info = {0};
        if (qd_device_get(context, o->devices[i], &info) != QD_OK) {
            cli_error("microbench: --device %u: there are %u devices", o->devices[i],
                      qd_device_count(context));
            return CLI_FAILED;
        }
        if (!info.usable) {
            cli_error("microbench: --device %u (%s): %s", o->devices[i], info.name, info.why_not);
            return CLI_FAILED;
        }
        p->devices[p->n_devices++] = o->devices[i];
    }
    for (uint32_t i = 0; o->n_devices == 0 && i < qd_device_count(context); i++) {
        struct qd_device_info info = {0};
        if (qd_device_get(context, i, &info) == QD_OK && info.opened_by_default &&
            p->n_devices < DEV_MAX_OPEN) {
            p->devices[p->n_devices++] = i;
        }
    }
    if (p->n_devices == 0) {
        cli_error("microbench: no usable device");
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static bool keep_row(struct microbench *m, const struct bench_row *row)
{
    if (m->n_rows == m->cap_rows) {
        size_t cap = m->cap_rows != 0 ? 2 * m->cap_rows : 64;
        struct bench_row *rows = cli_resize(m->rows, cap, sizeof *rows);
        if (rows == NULL) {
            return false;
        }
        m->rows = rows;
        m->cap_rows = cap;
    }
    m->rows[m->n_rows++] = *row;
    return true;
}

static bool on_row(void *user, const struct bench_row *row)
{
    struct microbench *m = user;
    microbench_print_row(&m->print, row);
    return (m->options->plot == NULL || keep_row(m, row)) &&
           cli_interrupted(m->engine.interrupt) == 0;
}

static bool on_tuned(void *user, const struct bench_tuned *tuned)
{
    struct microbench *m = user;
    microbench_print_tuned(&m->print, tuned);
    return cli_interrupted(m->engine.interrupt) == 0;
}

static void on_note(void *user, const char *line)
{
    struct microbench *m = user;
    microbench_print_note(&m->print, line);
}

static void on_log(void *user, enum log_level level, const char *line)
{
    cli_log(user, (enum qd_log_level)level, line);
}

/* What the exit code says, and why. */
static int judge(struct microbench *m, const struct bench_totals *totals)
{
    int number = cli_interrupted(m->engine.interrupt);
    if (number != 0) {
        cli_error("interrupted after %u rows", totals->rows);
        return CLI_SIGNAL + number;
    }
    if (totals->failed != 0) {
        cli_error("microbench: %u of %u rows failed", totals->failed, totals->rows);
        return CLI_FAILED;
    }
    if (totals->messages != 0) {
        cli_error("the validation layer had %u messages", totals->messages);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int measure(struct microbench *m)
{
    struct bench_totals totals;
    char why[512] = "";
    m->print.output = m->options->output;
    m->print.rows = json_array();
    m->params.row = on_row;
    m->params.note = on_note;
    m->params.user = m;
    m->params.log = on_log;
    m->print.list = m->options->tune ? "tuned" : "rows";
    bool ran = m->options->tune ? bench_tune(&m->params, on_tuned, &totals, why, sizeof why)
                                : bench_measure(&m->params, &totals, why, sizeof why);
    int code = microbench_print_end(&m->print, cli_devices_json(m->engine.context), m->params.seed);
    if (!ran) {
        cli_error("%s", why);
        return CLI_FAILED;
    }
    bool drawn = m->options->plot == NULL ||
                 cli_plot_roofline(m->options->plot, m->rows, m->n_rows, m->engine.context);
    int judged = judge(m, &totals);
    return judged != CLI_DONE ? judged : drawn ? code : CLI_FAILED;
}

int cli_microbench(const struct cli_options *options)
{
    struct microbench m = {.options = options};
    int code = read_options(&m);
    if (code != CLI_DONE) {
        return code;
    }
    code = options->plot == NULL || cli_plot_ready(options->plot)
               ? cli_engine_open_devices(&m.engine, options)
               : CLI_FAILED;
    if (code == CLI_DONE) {
        code = choose_devices(&m);
    }
    if (code == CLI_DONE) {
        code = measure(&m);
    }
    cli_free(m.rows);
    return cli_engine_close(&m.engine, code);
}
