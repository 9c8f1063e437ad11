/* The report as Markdown: a table per device, one of the model, the faults. */
#include "cli/compat.h"

#include <string.h>

/* Text of a driver or a device inside a table. */
static void put(const char *text)
{
    char safe[320];
    cli_make_safe(text, strlen(text), false, safe, sizeof safe);
    for (const char *s = safe; *s != '\0'; s++) {
        printf(strchr("|\\`*_<>[]", *s) != NULL ? "\\%c" : "%c", *s);
    }
}

static void print_facts(const json_t *facts)
{
    const char *quirks = compat_text(facts, "quirks");
    printf("## Device %lld: ", (long long)json_integer_value(json_object_get(facts, "index")));
    put(compat_text(facts, "name"));
    printf("\n\n%s, Vulkan %s, driver ", compat_text(facts, "type"),
           compat_text(facts, "api_version"));
    put(compat_text(facts, "driver"));
    printf(" ");
    put(compat_text(facts, "driver_info"));
    printf(", subgroup %lld, quirks in force: ",
           (long long)json_integer_value(json_object_get(facts, "subgroup_size")));
    put(*quirks != '\0' ? quirks : "none");
    printf("\n\n");
    if (!json_is_true(json_object_get(facts, "usable"))) {
        printf("Not usable: ");
        put(compat_text(facts, "why_not"));
        printf("\n\n");
    }
}

static void print_cell(const struct compat_cell *cell)
{
    char text[320];
    printf("| %s | %s | ", cell->op, cell->variant);
    put(compat_cell_text(cell, text, sizeof text));
    if (cell->pass + cell->fail == 0) {
        printf(" | | | | | |\n");
        return;
    }
    printf(" | %llu | %llu | %llu | %.2g | %.2f |\n", (unsigned long long)(cell->pass + cell->fail),
           (unsigned long long)cell->fail, (unsigned long long)cell->skip, cell->nmse, cell->ratio);
}

static void print_device(const json_t *facts, const struct compat_cells *cells)
{
    json_int_t device = json_integer_value(json_object_get(facts, "index"));
    bool first = true;
    print_facts(facts);
    for (size_t i = 0; i < cells->n; i++) {
        const char *op = cells->cells[i].op;
        if (cells->cells[i].device != device || strcmp(op, "model") == 0 ||
            strcmp(op, "device") == 0) {
            continue;
        }
        printf("%s", first ? "| op | variant | result | runs | failed | unfit | worst NMSE | "
                             "error/bound |\n|---|---|---|--:|--:|--:|--:|--:|\n"
                           : "");
        first = false;
        print_cell(&cells->cells[i]);
    }
    printf("%s", first ? "" : "\n");
}

static void print_model(const struct compat *c, const struct compat_cells *cells)
{
    bool first = true;
    for (size_t i = 0; i < cells->n; i++) {
        const struct compat_cell *cell = &cells->cells[i];
        char text[320];
        if (strcmp(cell->op, "model") != 0) {
            continue;
        }
        if (first) {
            printf("## Model: ");
            put(*c->model != '\0' ? c->model : "none");
            printf("\n\n| on | result | figures |\n|---|---|---|\n");
        }
        first = false;
        printf("| %s | ", cell->variant);
        put(compat_cell_text(cell, text, sizeof text));
        printf(" | %s |\n", compat_figures_text(cell->last, text, sizeof text));
    }
    printf("%s", first ? "" : "\n");
}

static void print_faults(const struct compat_cells *cells)
{
    bool first = true;
    for (size_t i = 0; i < cells->n; i++) {
        const json_t *row = cells->cells[i].first_fail;
        char text[COMPAT_ROW_TEXT];
        if (row == NULL) {
            continue;
        }
        printf("%s", first ? "## First fault of each cell that failed\n\n" : "");
        first = false;
        printf("- device %lld, ", (long long)cells->cells[i].device);
        put(compat_row_text(row, text, sizeof text));
        printf(": ");
        put(compat_text(row, "why"));
        printf("\n");
    }
    printf("%s", first ? "" : "\n");
}

int compat_print_markdown(const struct compat *c)
{
    struct compat_cells cells;
    size_t i;
    json_t *facts;
    if (!compat_cells_make(&cells, c->rows)) {
        return CLI_FAILED;
    }
    printf("# quadriga %s compat%s\n\nSeed %llu: %llu passed, %llu failed, %llu skipped.\n\n",
           qd_version(), c->options->quick ? " --quick" : "", (unsigned long long)c->seed,
           (unsigned long long)c->totals[LAB_PASS], (unsigned long long)c->totals[LAB_FAIL],
           (unsigned long long)c->totals[LAB_SKIP]);
    json_array_foreach(c->facts, i, facts)
    {
        print_device(facts, &cells);
    }
    print_model(c, &cells);
    print_faults(&cells);
    if (c->changes != NULL) {
        compat_baseline_print(c->changes, true);
    }
    compat_cells_free(&cells);
    return CLI_DONE;
}
