/* Where the time of a test went, by bench --profile: a table per device, or JSON. Times are those
 * of the run with timestamps, not scaled to the runs without. */
#include "cli/bench.h"

#include "cli/json.h"
#include "cli/term.h"

#include <stdlib.h>
#include <string.h>

enum { NAME = 192 }; /* bytes of a row's name */

/* Wall time that no row of a device explains; negative where rows overlap it. */
static int64_t unaccounted(const struct bench_test *test, uint32_t device)
{
    int64_t left = (int64_t)test->profile_ns;
    for (size_t i = 0; i < test->n_profile; i++) {
        left -= test->profile[i].device == device ? (int64_t)test->profile[i].ns : 0;
    }
    return left;
}

static const char *kind_name(enum qd_profile_kind kind)
{
    static const char *const names[] = {"kernel", "copy", "gap", "host"};
    return names[kind];
}

static json_t *row_json(const struct qd_profile_row *row)
{
    json_t *out = json_object();
    cli_json_add(out, "kind", json_string(kind_name(row->kind)));
    cli_json_add(out, "op", json_string(row->op));
    cli_json_add(out, "variant", json_string(row->variant));
    cli_json_add(out, "format", json_string(row->format));
    cli_json_add(out, "shape", json_string(row->shape));
    cli_json_add(out, "what", cli_json_text(row->what));
    cli_json_add(out, "calls", cli_json_uint(row->calls));
    cli_json_add(out, "dispatches", cli_json_uint(row->dispatches));
    cli_json_add(out, "ns", cli_json_uint(row->ns));
    cli_json_add(out, "flop", json_real(row->flop));
    cli_json_add(out, "bytes", json_real(row->bytes));
    return out;
}

json_t *bench_profile_json(const struct bench_setup *setup, const struct bench_test *test)
{
    json_t *out = json_object(), *devices = json_array();
    for (uint32_t d = 0; d < setup->info.n_devices; d++) {
        json_t *device = json_object(), *rows = json_array();
        for (size_t i = 0; i < test->n_profile; i++) {
            if (test->profile[i].device == d) {
                json_array_append_new(rows, row_json(&test->profile[i]));
            }
        }
        cli_json_add(device, "device", json_integer(setup->info.device_index[d]));
        cli_json_add(device, "rows", rows);
        cli_json_add(device, "unaccounted_ns", json_integer(unaccounted(test, d)));
        json_array_append_new(devices, device);
    }
    cli_json_add(out, "wall_ns", cli_json_uint(test->profile_ns));
    cli_json_add(out, "wall_ns_without_timestamps", json_integer((json_int_t)test->avg_ns));
    cli_json_add(out, "devices", devices);
    return out;
}

/* Work per time, where there is any: 12.3, 1234. */
static void rate(double work, uint64_t ns, char *out, size_t bytes)
{
    double value = ns != 0 ? work / (double)ns : 0;
    if (value > 0) {
        snprintf(out, bytes, value < 100 ? "%.1f" : "%.0f", value);
    } else {
        snprintf(out, bytes, "-");
    }
}

/* "matmul lanes Q4_K 1024x64x256 (ffn_gate, ffn_up)", "copy step words" */
static void name_row(const struct qd_profile_row *row, char *out, size_t bytes)
{
    const char *parts[] = {row->op, row->variant, row->format, row->shape};
    size_t used = 0;
    for (size_t i = 0; i < 4 && used < bytes; i++) {
        if (parts[i][0] != '\0') {
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", i != 0 ? " " : "", parts[i]);
        }
    }
    if (row->what[0] != '\0' && used < bytes) {
        snprintf(out + used, bytes - used, " (%s)", row->what);
    }
}

static void print_row(int width, const char *name, uint64_t calls, int64_t ns, uint64_t wall_ns,
                      const struct qd_profile_row *row)
{
    char mean[32] = "-", count[32] = "-", flop[32] = "-", byte[32] = "-";
    if (calls != 0) {
        snprintf(count, sizeof count, "%llu", (unsigned long long)calls);
        snprintf(mean, sizeof mean, "%.1f", (double)ns / 1e3 / (double)calls);
        rate(row->flop, row->ns, flop, sizeof flop);
        rate(row->bytes, row->ns, byte, sizeof byte);
    }
    printf("| %-*s | %6s | %11.1f | %9s | %6.2f | %8s | %7s |\n", width, name, count,
           (double)ns / 1e3, mean, 100.0 * (double)ns / (double)wall_ns, flop, byte);
}

static void print_device(const struct bench_test *test, uint32_t d)
{
    char name[NAME];
    int width = 30;
    for (size_t i = 0; i < test->n_profile; i++) {
        name_row(&test->profile[i], name, sizeof name);
        width = (int)strlen(name) > width ? (int)strlen(name) : width;
    }
    printf("| %-*s | %6s | %11s | %9s | %6s | %8s | %7s |\n| ", width, "what", "calls", "total us",
           "mean us", "%", "GFLOP/s", "GB/s");
    for (int i = 0; i < width; i++) {
        putchar('-');
    }
    printf(" | -----: | ----------: | --------: | -----: | -------: | ------: |\n");
    for (size_t i = 0; i < test->n_profile; i++) {
        const struct qd_profile_row *row = &test->profile[i];
        if (row->device == d) {
            name_row(row, name, sizeof name);
            print_row(width, name, row->calls, (int64_t)row->ns, test->profile_ns, row);
        }
    }
    print_row(width, "unaccounted", 0, unaccounted(test, d), test->profile_ns, NULL);
    print_row(width, "wall", 0, (int64_t)test->profile_ns, test->profile_ns, NULL);
}

void bench_profile_print(const struct bench_setup *setup, const struct bench_test *test)
{
    char name[64];
    bench_test_name(test, name, sizeof name);
    for (uint32_t d = 0; d < setup->info.n_devices; d++) {
        printf("\n%s, [%u] device %u: ", name, d, setup->info.device_index[d]);
        cli_put_safe(stdout, setup->device_info[d].name);
        printf("\n%.3f ms with timestamps around every dispatch, %.3f ms without (mean of %u): "
               "times below are with them\n\n",
               (double)test->profile_ns / 1e6, test->avg_ns / 1e6, test->n_samples);
        print_device(test, d);
    }
}
