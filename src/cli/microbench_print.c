/* Rows of the microbenchmarks as a markdown table, CSV or JSON. */
#include "cli/microbench.h"

#include "cli/csv.h"
#include "cli/json.h"
#include "cli/term.h"

#include <string.h>

/* Notes go beside the results: to standard error, unless the table itself can carry them. */
void microbench_print_note(struct microbench_print *p, const char *line)
{
    FILE *out = p->output == CLI_MARKDOWN ? stdout : stderr;
    fprintf(out, p->begun && out == stdout ? "\n" : "");
    cli_put_safe(out, line);
    fprintf(out, "\n");
    fflush(out);
    p->begun = false;
}

static json_t *number(double value)
{
    return value > 0 ? json_real(value) : json_null();
}

static json_t *row_json(const struct bench_row *row)
{
    json_t *out = json_object();
    cli_json_add(out, "group", json_string(row->group));
    cli_json_add(out, "name", json_string(row->name));
    cli_json_add(out, "variant", json_string(row->variant));
    cli_json_add(out, "type", json_string(row->type));
    cli_json_add(out, "shape", json_string(row->shape));
    cli_json_add(out, "device", json_integer(row->device));
    cli_json_add(out, "peer", row->peer != BENCH_NONE ? json_integer(row->peer) : json_null());
    cli_json_add(out, "samples", json_integer(row->samples));
    cli_json_add(out, "us", number(row->us));
    cli_json_add(out, "us_min", number(row->us_min));
    cli_json_add(out, "flop", number(row->flop));
    cli_json_add(out, "bytes", number(row->bytes));
    cli_json_add(out, "gflops", number(row->gflops));
    cli_json_add(out, "gbs", number(row->gbs));
    cli_json_add(out, "share", number(row->share));
    cli_json_add(out, "limit", json_string(row->limit));
    cli_json_add(out, "rotated_bytes", cli_json_uint(row->rotated));
    cli_json_add(out, "gpu_clock", json_boolean(row->gpu_clock));
    cli_json_add(out, "passed", json_boolean(row->passed));
    cli_json_add(out, "skipped", json_boolean(row->skipped));
    cli_json_add(out, "why", cli_json_text(row->why));
    return out;
}

static void print_head(struct microbench_print *p, const struct bench_row *row)
{
    if (p->begun && p->device == row->device && strcmp(p->group, row->group) == 0) {
        return;
    }
    printf("\n| device | %-30s | %-20s | %-5s | %-17s | %10s | %10s | %9s | %8s | %6s | %-8s |\n",
           row->group, "variant", "type", "shape", "us", "min us", "GFLOP/s", "GB/s", "share",
           "limit");
    printf("| -----: | ------------------------------ | -------------------- | ----- | "
           "----------------- | ---------: | ---------: | --------: | -------: | -----: | -------- "
           "|\n");
    snprintf(p->group, sizeof p->group, "%s", row->group);
    p->device = row->device;
    p->begun = true;
}

/* Three digits behind the point at most, none where there is no such figure. */
static void figure(double value, int width)
{
    if (value > 0) {
        printf(" | %*.*f", width, value < 10 ? 3 : value < 1000 ? 1 : 0, value);
    } else {
        printf(" | %*s", width, "");
    }
}

static void print_markdown(struct microbench_print *p, const struct bench_row *row)
{
    char device[32];
    print_head(p, row);
    snprintf(device, sizeof device, row->peer != BENCH_NONE ? "%u-%u" : "%u", row->device,
             row->peer);
    printf("| %6s | %-30s | %-20s | %-5s | %-17s", device, row->name, row->variant, row->type,
           row->shape);
    figure(row->us, 10);
    figure(row->us_min, 10);
    figure(row->gflops, 9);
    figure(row->gbs, 8);
    if (row->share >= 0) {
        printf(" | %4.0f %% | %-8s |", row->share * 100, row->limit);
    } else {
        printf(" | %6s | %-8s |", "", "");
    }
    if (!row->passed) {
        printf(" %s: ", row->skipped ? "skipped" : row->samples != 0 ? "WRONG" : "FAILED");
        cli_put_safe(stdout, row->why);
    }
    printf("\n");
    fflush(stdout);
}

void microbench_print_row(struct microbench_print *p, const struct bench_row *row)
{
    if (p->output == CLI_MARKDOWN) {
        print_markdown(p, row);
    } else {
        json_array_append_new(p->rows, row_json(row));
    }
}

static json_t *tuned_json(const struct bench_tuned *t)
{
    json_t *out = json_object();
    cli_json_add(out, "device", json_integer(t->device));
    cli_json_add(out, "op", json_string(t->op));
    cli_json_add(out, "variant", json_string(t->variant));
    cli_json_add(out, "type", json_string(t->type));
    cli_json_add(out, "tokens", json_string(t->tokens));
    cli_json_add(out, "shape", json_string(t->shape));
    cli_json_add(out, "tried", json_integer(t->tried));
    cli_json_add(out, "failed", json_integer(t->failed));
    cli_json_add(out, "default_us", number(t->default_us));
    cli_json_add(out, "best_us", number(t->best_us));
    cli_json_add(out, "values", json_string(t->values));
    cli_json_add(out, "kept", json_boolean(t->kept));
    cli_json_add(out, "why", cli_json_text(t->why));
    return out;
}

void microbench_print_tuned(struct microbench_print *p, const struct bench_tuned *t)
{
    if (p->output != CLI_MARKDOWN) {
        json_array_append_new(p->rows, tuned_json(t));
        return;
    }
    if (!p->begun) {
        printf(
            "\n| device | %-10s | %-10s | %-5s | %-6s | %-16s | %5s | %10s | %10s | %6s | %-4s | "
            "values\n",
            "op", "variant", "type", "tokens", "shape", "tried", "default us", "best us", "gain",
            "kept");
        printf("| -----: | ---------- | ---------- | ----- | ------ | ---------------- | ----: | "
               "---------: | ---------: | -----: | ---- | ------\n");
        p->begun = true;
    }
    double gain = t->best_us > 0 ? t->default_us / t->best_us - 1 : 0;
    printf("| %6u | %-10s | %-10s | %-5s | %-6s | %-16s | %5u", t->device, t->op, t->variant,
           t->type, t->tokens, t->shape, t->tried);
    figure(t->default_us, 10);
    figure(t->best_us, 10);
    printf(" | %4.0f %% | %-4s | %s", gain * 100, t->kept ? "yes" : "no", t->values);
    if (t->why[0] != '\0') {
        printf("%s%u FAILED: ", t->values[0] != '\0' ? "; " : "", t->failed);
        cli_put_safe(stdout, t->why);
    }
    printf("\n");
    fflush(stdout);
}

int microbench_print_end(struct microbench_print *p, json_t *devices, uint64_t seed)
{
    int code = CLI_DONE;
    if (p->output == CLI_CSV) {
        cli_csv_print(p->rows);
    } else if (p->output == CLI_JSON) {
        json_t *out = json_object();
        cli_json_add(out, "quadriga", json_string(qd_version()));
        cli_json_add(out, "seed", cli_json_uint(seed));
        cli_json_add(out, "devices", json_incref(devices));
        cli_json_add(out, p->list, json_incref(p->rows));
        code = cli_json_print(out);
        json_decref(out);
    }
    json_decref(devices);
    json_decref(p->rows);
    return code;
}
