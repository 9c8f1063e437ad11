/* quadriga devices --selftest: tries the kernels of each device and keeps the result. */
#include "cli/memory.h"
#include "cli/profile.h"

#include <string.h>

enum { SEED = 1 };

static bool go_on(void *user)
{
    const struct cli_engine *engine = user;
    return cli_interrupted(engine->interrupt) == 0;
}

static void print_verdict(const struct cli_profiles *profiles, const struct lab_verdict *verdict,
                          bool saved)
{
    const struct dev_info *info = verdict->info;
    uint32_t failures = lab_verdict_failures(verdict), unjudged = 0;
    char file[1024];
    for (size_t i = 0; i < verdict->n_cells; i++) {
        const struct lab_cell *cell = &verdict->cells[i];
        unjudged += cell->failed == 0 && cell->unjudged != 0;
    }
    printf("[%u] ", info->index);
    cli_put_safe(stdout, info->name);
    if (failures + unjudged == 0) {
        printf(": passed, %zu kernels, %u cases\n", verdict->n_cells, verdict->test.passed);
    } else {
        printf(": %u of %zu kernels failed, %u could not be judged\n", failures, verdict->n_cells,
               unjudged);
    }
    for (size_t i = 0; i < verdict->n_cells; i++) {
        const struct lab_cell *cell = &verdict->cells[i];
        if (cell->failed + cell->unjudged != 0) {
            printf("    %s/%s: %s: ", cell->op, cell->variant,
                   cell->failed != 0 ? "failed" : "not judged");
            cli_put_safe(stdout, cell->why);
            printf("\n");
        }
    }
    if (saved && ops_profile_path(file, sizeof file, profiles->dir, info)) {
        printf("    remembered in ");
        cli_put_safe(stdout, file);
        printf("\n");
    }
    fflush(stdout);
}

/* One device more; its verdict is the last of `n`. */
static int test_device(struct cli_profiles *profiles, const struct lab_selftest_params *params,
                       uint32_t device, struct lab_verdict *verdicts, uint32_t n, bool show)
{
    struct lab_verdict *verdict = &verdicts[n - 1];
    if (!lab_selftest(params, device, verdict)) {
        return CLI_FAILED;
    }
    if (verdict->n_cells == 0) {
        cli_error("device %u: --disable leaves no kernel to test", device);
        return CLI_FAILED;
    }
    bool saved = lab_verdict_save(verdicts, n, profiles->dir, &profiles->log);
    if (show) {
        print_verdict(profiles, verdict, saved);
    }
    return saved && verdict->test.failed == 0 ? CLI_DONE : CLI_FAILED;
}

static bool is_usable(struct cli_profiles *profiles, const struct cli_options *options,
                      uint32_t device, int *code)
{
    const struct dev_info *info = dev_instance_info(profiles->inst, device);
    if (!info->usable && options->n_devices != 0) {
        cli_error("device %u: %s: not usable: %s", device, info->name, info->why_not);
        *code = CLI_FAILED;
    }
    return info->usable;
}

int cli_selftest(struct cli_profiles *profiles, const struct cli_engine *engine,
                 const struct cli_options *options, const uint32_t *devices, uint32_t n, bool show)
{
    struct ops_prefs off = {0};
    struct lab_selftest_params params = {.inst = profiles->inst,
                                         .log = &profiles->log,
                                         .off = &off,
                                         .seed = SEED,
                                         .go_on = go_on,
                                         .user = (void *)(uintptr_t)engine};
    char error[128];
    struct lab_verdict *verdicts = cli_alloc(n, sizeof *verdicts);
    int code = verdicts != NULL ? CLI_DONE : CLI_FAILED;
    if (!ops_disable_parse(options->disable, &params.caps_off, &off, error, sizeof error)) {
        cli_error("devices: --disable: %s", error);
        code = CLI_FAILED;
        n = 0;
    }
    uint32_t done = 0;
    for (uint32_t i = 0; i < n && verdicts != NULL && go_on(params.user); i++) {
        if (is_usable(profiles, options, devices[i], &code)) {
            int one = test_device(profiles, &params, devices[i], verdicts, ++done, show);
            code = one != CLI_DONE ? one : code;
        }
    }
    for (uint32_t i = 0; i < done; i++) {
        lab_verdict_finish(&verdicts[i]);
    }
    ops_prefs_finish(&off);
    cli_free(verdicts);
    return go_on(params.user) ? code : cli_engine_failure(engine, QD_CANCELLED);
}
