/* The report for a terminal: devices, the matrix, the model, faults with what repeats them. */
#include "cli/compat.h"

#include <string.h>

static void print_device(const json_t *facts)
{
    printf("[%lld] ", (long long)json_integer_value(json_object_get(facts, "index")));
    cli_put_safe(stdout, compat_text(facts, "name"));
    printf(", %s, Vulkan %s\n    driver ", compat_text(facts, "type"),
           compat_text(facts, "api_version"));
    cli_put_safe(stdout, compat_text(facts, "driver"));
    printf(" ");
    cli_put_safe(stdout, compat_text(facts, "driver_info"));
    printf(" (0x%llx); subgroup %lld; quirks in force: ",
           (unsigned long long)json_integer_value(json_object_get(facts, "driver_version")),
           (long long)json_integer_value(json_object_get(facts, "subgroup_size")));
    const char *quirks = compat_text(facts, "quirks");
    cli_put_safe(stdout, *quirks != '\0' ? quirks : "none");
    printf("\n");
    if (!json_is_true(json_object_get(facts, "usable"))) {
        printf("    not usable: ");
        cli_put_safe(stdout, compat_text(facts, "why_not"));
        printf("\n");
    }
}

/* "not usable" stands beside its name already. */
static bool is_device(const struct compat_cell *cell)
{
    return strcmp(cell->op, "device") == 0;
}

static bool is_model(const struct compat_cell *cell)
{
    return strcmp(cell->op, "model") == 0;
}

static void print_cell(const struct compat_cell *cell)
{
    char text[320];
    compat_cell_text(cell, text, sizeof text);
    printf("    %-12s %-12s ", cell->op, cell->variant);
    if (cell->pass + cell->fail == 0) {
        cli_put_safe(stdout, text);
        printf("\n");
        return;
    }
    printf("%-5s %6llu %6llu %6llu   %10.2g  %11.2f\n", text,
           (unsigned long long)(cell->pass + cell->fail), (unsigned long long)cell->fail,
           (unsigned long long)cell->skip, cell->nmse, cell->ratio);
}

static void print_matrix(const struct compat_cells *cells, json_int_t device)
{
    bool first = true;
    for (size_t i = 0; i < cells->n; i++) {
        const struct compat_cell *cell = &cells->cells[i];
        if (cell->device != device || is_model(cell) || is_device(cell)) {
            continue;
        }
        if (first) {
            printf("    %-12s %-12s %-5s %6s %6s %6s   %10s  %11s\n", "op", "variant", "", "runs",
                   "failed", "unfit", "worst NMSE", "error/bound");
        }
        first = false;
        print_cell(cell);
    }
    printf("\n");
}

static void print_model(const struct compat *c, const struct compat_cells *cells)
{
    bool first = true;
    for (size_t i = 0; i < cells->n; i++) {
        const struct compat_cell *cell = &cells->cells[i];
        char figures[200], text[320];
        if (!is_model(cell)) {
            continue;
        }
        if (first) {
            printf("model %s, reference %s\n", *c->model != '\0' ? c->model : "none",
                   *c->reference_path != '\0' ? c->reference_path : "none");
        }
        first = false;
        printf("    %-20s ", cell->variant);
        compat_figures_text(cell->last, figures, sizeof figures);
        compat_cell_text(cell, text, sizeof text);
        cli_put_safe(stdout, text);
        printf("%s%s", *figures != '\0' ? "  " : "", figures);
        const char *note = compat_text(cell->last, "note");
        printf("%s%s\n", *note != '\0' ? "; " : "", note);
    }
    printf("%s", first ? "" : "\n");
}

static void print_option(const char *name, const char *value)
{
    if (value != NULL) {
        printf(" %s ", name);
        cli_put_safe(stdout, value);
    }
}

static void print_fault(const struct compat *c, const struct compat_cell *cell)
{
    char text[COMPAT_ROW_TEXT];
    printf("  device %lld, ", (long long)cell->device);
    cli_put_safe(stdout, compat_row_text(cell->first_fail, text, sizeof text));
    printf("\n      ");
    cli_put_safe(stdout, compat_text(cell->first_fail, "why"));
    printf("\n      quadriga compat --device ");
    if (!is_model(cell)) {
        printf("%lld --op %s --variant %s --seed %llu\n", (long long)cell->device, cell->op,
               cell->variant, (unsigned long long)c->seed);
        return;
    }
    size_t i;
    const json_t *device;
    json_array_foreach(json_object_get(cell->first_fail, "devices"), i, device)
    {
        printf("%s%lld", i == 0 ? "" : ",", (long long)json_integer_value(device));
    }
    printf(" --op model");
    print_option("-m", c->options->model);
    print_option("--reference", c->options->reference);
    printf("%s\n", c->options->quick ? " --quick" : "");
}

int compat_print_text(const struct compat *c)
{
    struct compat_cells cells;
    size_t i;
    json_t *facts;
    if (!compat_cells_make(&cells, c->rows)) {
        return CLI_FAILED;
    }
    printf("quadriga %s compat%s, seed %llu\n\n", qd_version(), c->options->quick ? " --quick" : "",
           (unsigned long long)c->seed);
    json_array_foreach(c->facts, i, facts)
    {
        print_device(facts);
        print_matrix(&cells, json_integer_value(json_object_get(facts, "index")));
    }
    print_model(c, &cells);
    for (size_t k = 0, n = 0; k < cells.n; k++) {
        if (cells.cells[k].first_fail != NULL) {
            printf("%s",
                   n++ == 0 ? "first fault of each cell that failed, and what repeats it\n" : "");
            print_fault(c, &cells.cells[k]);
        }
    }
    if (c->changes != NULL) {
        compat_baseline_print(c->changes, false);
    }
    printf("%llu passed, %llu failed, %llu skipped\n", (unsigned long long)c->totals[LAB_PASS],
           (unsigned long long)c->totals[LAB_FAIL], (unsigned long long)c->totals[LAB_SKIP]);
    compat_cells_free(&cells);
    return CLI_DONE;
}
