/* Rows summed up: what a matrix shows of an op and variant on a device. */
#include "cli/compat.h"
#include "cli/memory.h"

#include <string.h>

static struct compat_cell *find(struct compat_cells *cells, const json_t *row)
{
    json_int_t device = json_integer_value(json_object_get(row, "device"));
    for (size_t i = cells->n; i-- > 0;) {
        struct compat_cell *cell = &cells->cells[i];
        if (cell->device == device && strcmp(cell->op, compat_text(row, "op")) == 0 &&
            strcmp(cell->variant, compat_text(row, "variant")) == 0) {
            return cell;
        }
    }
    struct compat_cell *cell = &cells->cells[cells->n++];
    *cell = (struct compat_cell){
        .device = device, .op = compat_text(row, "op"), .variant = compat_text(row, "variant")};
    return cell;
}

static void count(struct compat_cell *cell, const json_t *row)
{
    double nmse = json_number_value(json_object_get(row, "nmse"));
    double ratio = json_number_value(json_object_get(row, "worst_ratio"));
    bool fails = compat_is(row, "fail");
    cell->last = row;
    cell->pass += compat_is(row, "pass") ? 1 : 0;
    cell->skip += compat_is(row, "skip") ? 1 : 0;
    cell->fail += fails ? 1 : 0;
    cell->nmse = nmse > cell->nmse ? nmse : cell->nmse;
    cell->ratio = ratio > cell->ratio ? ratio : cell->ratio;
    if (json_is_null(json_object_get(row, "way"))) {
        cell->whole = row;
    }
    if (fails && cell->first_fail == NULL) {
        cell->first_fail = row;
    }
}

/* By device, models last; else in the order in which they came. */
static json_int_t rank(const struct compat_cell *cell)
{
    return strcmp(cell->op, "model") == 0 ? INT32_MAX : cell->device;
}

static void sort(struct compat_cells *cells)
{
    for (size_t i = 1; i < cells->n; i++) {
        struct compat_cell cell = cells->cells[i];
        size_t at = i;
        while (at > 0 && rank(&cells->cells[at - 1]) > rank(&cell)) {
            cells->cells[at] = cells->cells[at - 1];
            at--;
        }
        cells->cells[at] = cell;
    }
}

bool compat_cells_make(struct compat_cells *cells, const json_t *rows)
{
    size_t i;
    json_t *row;
    *cells = (struct compat_cells){0};
    cells->cells = cli_alloc(json_array_size(rows), sizeof *cells->cells);
    if (cells->cells == NULL) {
        return false;
    }
    json_array_foreach(rows, i, row)
    {
        count(find(cells, row), row);
    }
    sort(cells);
    return true;
}

void compat_cells_free(struct compat_cells *cells)
{
    cli_free(cells->cells);
    *cells = (struct compat_cells){0};
}

const char *compat_cell_text(const struct compat_cell *cell, char *out, size_t bytes)
{
    if (cell->fail != 0) {
        snprintf(out, bytes, "FAIL");
    } else if (cell->pass != 0) {
        snprintf(out, bytes, "pass");
    } else if (cell->whole != NULL) {
        const char *why = compat_text(cell->whole, "why");
        bool off = strcmp(why, "switched off") == 0;
        snprintf(out, bytes, off ? "%s" : "not supported (%s)", why);
    } else {
        snprintf(out, bytes, "not run (%s)", compat_text(cell->last, "why"));
    }
    return out;
}

const char *compat_figures_text(const json_t *row, char *out, size_t bytes)
{
    const json_t *f = json_object_get(row, "figures");
    const json_t *sums = json_object_get(f, "logsumexp_difference");
    char middle[80] = "";
    out[0] = '\0';
    if (!json_is_object(f)) {
        return out;
    }
    if (sums != NULL) {
        snprintf(middle, sizeof middle, "logsumexp %.2g of %g, ", json_number_value(sums),
                 json_number_value(json_object_get(f, "logsumexp_bound")));
    }
    snprintf(out, bytes, "logits %.2g of %g, %s%lld of %lld greedy tokens",
             json_number_value(json_object_get(f, "logit_difference")),
             json_number_value(json_object_get(f, "logit_bound")), middle,
             (long long)json_integer_value(json_object_get(f, "greedy_equal")),
             (long long)json_integer_value(json_object_get(f, "greedy_tokens")));
    return out;
}
