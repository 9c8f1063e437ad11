/* From the rows of a quick sweep to what is kept in a device's profile. */
#include "lab/selftest.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void lab_verdict_finish(struct lab_verdict *verdict)
{
    mem_free(verdict->cells);
    memset(verdict, 0, sizeof *verdict);
}

static struct lab_cell *find_cell(const struct lab_verdict *verdict, const char *op,
                                  const char *variant)
{
    for (size_t i = 0; i < verdict->n_cells; i++) {
        struct lab_cell *cell = &verdict->cells[i];
        if (strcmp(cell->op, op) == 0 && strcmp(cell->variant, variant) == 0) {
            return cell;
        }
    }
    return NULL;
}

/* A failure that is not the kernel's: the device was lost before, or memory was short. */
static bool says_nothing(const struct lab_row *row)
{
    return row->c.dims == NULL || strncmp(row->why, "out of memory", 13) == 0;
}

bool lab_verdict_add(struct lab_verdict *verdict, const struct lab_row *row)
{
    if (row->status == LAB_SKIP) {
        return true;
    }
    struct lab_cell *cell = find_cell(verdict, row->op->name, row->variant->name);
    if (cell == NULL) {
        if (!mem_grow((void **)&verdict->cells, &verdict->cap_cells, verdict->n_cells,
                      sizeof *verdict->cells)) {
            return false;
        }
        cell = &verdict->cells[verdict->n_cells++];
        *cell = (struct lab_cell){.op = row->op->name, .variant = row->variant->name};
    }
    if (row->status == LAB_PASS) {
        cell->passed++;
        verdict->test.passed++;
        return true;
    }
    verdict->test.failed++;
    bool first = cell->failed == 0 && (cell->unjudged == 0 || !says_nothing(row));
    cell->failed += !says_nothing(row);
    cell->unjudged += says_nothing(row);
    if (first) {
        snprintf(cell->why, sizeof cell->why, "%.*s", OPS_WHY - 1, row->why);
    }
    return true;
}

uint32_t lab_verdict_failures(const struct lab_verdict *verdict)
{
    uint32_t n = 0;
    for (size_t i = 0; i < verdict->n_cells; i++) {
        n += verdict->cells[i].failed != 0;
    }
    return n;
}

struct test {
    const struct lab_selftest_params *params;
    struct lab_verdict *verdict;
    bool failed;
};

static bool is_wanted(void *user, struct lab_row *row)
{
    const struct test *test = user;
    return !ops_prefs_is_off(test->params->off, row->op->name, row->variant->name);
}

static bool on_row(void *user, const struct lab_row *row)
{
    struct test *test = user;
    if (!lab_verdict_add(test->verdict, row)) {
        log_error(test->params->log, "self-test: out of memory");
        return false;
    }
    return test->params->go_on == NULL || test->params->go_on(test->params->user);
}

bool lab_selftest(const struct lab_selftest_params *params, uint32_t device,
                  struct lab_verdict *verdict)
{
    *verdict = (struct lab_verdict){.info = dev_instance_info(params->inst, device),
                                    .test = {.quick = true, .seed = params->seed}};
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL ||
        strftime(verdict->test.date, sizeof verdict->test.date, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        log_error(params->log, "self-test: the clock is out of range");
        return false;
    }
    struct test test = {.params = params, .verdict = verdict};
    return lab_sweep(&(struct lab_sweep_params){.inst = params->inst,
                                                .log = params->log,
                                                .devices = &device,
                                                .n_devices = 1,
                                                .quick = true,
                                                .seed = params->seed,
                                                .caps_off = params->caps_off,
                                                .wanted = is_wanted,
                                                .on_row = on_row,
                                                .user = &test});
}

/* ---- what is kept ---- */

static bool add_failures(struct ops_prefs *prefs, const struct lab_verdict *verdict)
{
    bool ok = true;
    for (size_t i = 0; i < verdict->n_cells && ok; i++) {
        const struct lab_cell *cell = &verdict->cells[i];
        ok = cell->failed == 0 || ops_prefs_add_failed(prefs, cell->op, cell->variant, cell->why);
    }
    return ok;
}

static bool add_known(struct ops_prefs *prefs, const struct lab_verdict *verdict,
                      const struct ops_prefs *known)
{
    bool ok = true;
    for (size_t i = 0; i < known->n_off && ok; i++) {
        const struct ops_off *off = &known->off[i];
        const struct lab_cell *cell = find_cell(verdict, off->op, off->variant);
        bool judged = cell != NULL && cell->passed + cell->failed != 0;
        ok = judged || ops_prefs_add_failed(prefs, off->op, off->variant, off->why);
    }
    for (size_t i = 0; i < known->n_tuned && ok; i++) {
        ok = ops_prefs_add_tuned(prefs, &known->tuned[i]);
    }
    return ok;
}

static bool same_file(const struct dev_info *a, const struct dev_info *b)
{
    char first[256], second[256];
    return ops_profile_path(first, sizeof first, "", a) &&
           ops_profile_path(second, sizeof second, "", b) && strcmp(first, second) == 0;
}

bool lab_verdict_save(const struct lab_verdict *verdicts, uint32_t n, const char *dir,
                      struct log *log)
{
    const struct lab_verdict *last = &verdicts[n - 1];
    struct ops_prefs known = {0}, prefs = {.selftest = last->test};
    ops_profile_load(&known, dir, last->info, log);
    bool ok = add_failures(&prefs, last) && add_known(&prefs, last, &known);
    for (uint32_t i = 0; i + 1 < n && ok; i++) {
        ok = !same_file(verdicts[i].info, last->info) || add_failures(&prefs, &verdicts[i]);
    }
    if (!ok) {
        log_error(log, "self-test: out of memory");
    }
    ok = ok && ops_profile_save(&prefs, dir, last->info, log);
    ops_prefs_finish(&known);
    ops_prefs_finish(&prefs);
    return ok;
}
