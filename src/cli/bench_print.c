/* Results of bench as a markdown table, CSV or JSON. CSV and JSON have the same fields in the same
 * order, made once as JSON. */
#include "cli/bench.h"

#include "cli/csv.h"
#include "cli/device_json.h"
#include "cli/json.h"
#include "cli/term.h"

#include <string.h>

static json_t *list_of(const uint64_t *values, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, cli_json_uint(values[i]));
    }
    return list;
}

static json_t *shares_of(const double *values, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_real(values[i]));
    }
    return list;
}

static json_t *rates_of(const struct bench_test *test)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < test->n_samples; i++) {
        double tokens = (double)(test->n_prompt + test->n_gen) * test->n_streams;
        json_array_append_new(list, json_real(tokens * 1e9 / (double)test->samples_ns[i]));
    }
    return list;
}

static void add_setup(json_t *out, const struct bench_setup *setup)
{
    const struct cli_options *options = setup->options;
    const struct qd_model_info *info = &setup->info;
    cli_json_add(out, "version", json_string(qd_version()));
    cli_json_add(out, "backends", json_string("Vulkan"));
    cli_json_add(out, "gpu_info", cli_json_text(setup->gpu_info));
    cli_json_add(out, "dummy", json_boolean(info->dummy));
    cli_json_add(out, "model_filename",
                 cli_json_text(info->dummy ? options->dummy : options->model));
    cli_json_add(out, "model_type", cli_json_text(setup->model));
    cli_json_add(out, "model_size", cli_json_uint(info->weight_bytes));
    cli_json_add(out, "model_n_params", cli_json_uint(info->n_params));
    cli_json_add(out, "n_ctx", json_integer(info->n_ctx));
    cli_json_add(out, "n_batch", json_integer(info->n_batch));
    cli_json_add(out, "type_k", json_string(cli_type_name(options->type_k)));
    cli_json_add(out, "type_v", json_string(cli_type_name(options->type_v)));
    cli_json_add(out, "act",
                 json_string(options->act == QD_ACT_Q8    ? "q8"
                             : options->act == QD_ACT_F16 ? "f16"
                                                          : "auto"));
    cli_json_add(out, "split_mode",
                 json_string(options->split == QD_SPLIT_NONE ? "none" : "layer"));
    cli_json_add(out, "devices", json_string(setup->devices));
    cli_json_add(out, "tensor_split", json_string(setup->shares));
    cli_json_add(out, "split", json_string(setup->split));
    cli_json_add(out, "load_ns", cli_json_uint(info->load_ns));
    cli_json_add(out, "weights_ns", cli_json_uint(info->weights_ns));
    cli_json_add(out, "weights_bytes", cli_json_uint(info->weights_bytes));
}

static json_t *test_json(const struct bench_setup *setup, const struct bench_test *test)
{
    json_t *out = json_object();
    add_setup(out, setup);
    cli_json_add(out, "n_prompt", json_integer(test->n_prompt));
    cli_json_add(out, "n_gen", json_integer(test->n_gen));
    cli_json_add(out, "n_depth", json_integer(test->n_depth));
    cli_json_add(out, "n_streams", json_integer(test->n_streams));
    cli_json_add(out, "test_time", json_string(test->time));
    cli_json_add(out, "avg_ns", json_integer((json_int_t)test->avg_ns));
    cli_json_add(out, "stddev_ns", json_integer((json_int_t)test->stddev_ns));
    cli_json_add(out, "avg_ts", json_real(test->avg_ts));
    cli_json_add(out, "stddev_ts", json_real(test->stddev_ts));
    cli_json_add(out, "ttft_ns", cli_json_uint(test->ttft_ns));
    cli_json_add(out, "exchanges", cli_json_uint(test->exchanges));
    cli_json_add(out, "exchanged_bytes", cli_json_uint(test->exchanged_bytes));
    cli_json_add(out, "busy", shares_of(test->busy, setup->info.n_devices));
    cli_json_add(out, "peak_device_bytes", list_of(test->peak_device_bytes, setup->info.n_devices));
    cli_json_add(out, "peak_host_bytes", cli_json_uint(test->peak_host_bytes));
    cli_json_add(out, "samples_ns", list_of(test->samples_ns, test->n_samples));
    cli_json_add(out, "samples_ts", rates_of(test));
    if (setup->options->output == CLI_JSON) {
        json_t *devices = json_array();
        for (uint32_t d = 0; d < setup->info.n_devices; d++) {
            json_array_append_new(devices, cli_device_json(&setup->device_info[d]));
        }
        cli_json_add(out, "device_info", devices);
    }
    if (test->profile != NULL) {
        cli_json_add(out, "profile", bench_profile_json(setup, test));
    }
    return out;
}

void bench_test_name(const struct bench_test *test, char *out, size_t bytes)
{
    size_t n = 0;
    if (test->n_streams > 1) {
        n = (size_t)snprintf(out, bytes, "%u x ", test->n_streams);
    }
    snprintf(out + n, bytes - n, "%s%u", test->n_prompt != 0 ? "pp" : "tg",
             test->n_prompt + test->n_gen);
    if (test->n_depth != 0) {
        size_t used = strlen(out);
        snprintf(out + used, bytes - used, " @ d%u", test->n_depth);
    }
}

static void print_markdown(const struct bench_setup *setup, const struct bench_test *tests,
                           size_t n)
{
    const struct qd_model_info *info = &setup->info;
    char size[32], params[32];
    bool giga = info->weight_bytes >= 1 << 30, billion = info->n_params >= 1000000000;
    snprintf(size, sizeof size, "%.2f %s", (double)info->weight_bytes / (giga ? 1 << 30 : 1 << 20),
             giga ? "GiB" : "MiB");
    snprintf(params, sizeof params, "%.2f %s", (double)info->n_params / (billion ? 1e9 : 1e6),
             billion ? "B" : "M");
    printf("| %-30s | %10s | %10s | %-10s | %10s | %12s | %15s | %20s |\n", "model", "size",
           "params", "backend", "devices", "split", "test", "t/s");
    printf("| ------------------------------ | ---------: | ---------: | ---------- | ---------: | "
           "-----------: | --------------: | -------------------: |\n");
    for (size_t i = 0; i < n; i++) {
        char name[64], rate[64];
        bench_test_name(&tests[i], name, sizeof name);
        snprintf(rate, sizeof rate, "%.2f ± %.2f", tests[i].avg_ts, tests[i].stddev_ts);
        printf("| ");
        cli_put_safe(stdout, setup->model);
        /* 21: the sign takes two bytes and one column */
        printf("%*s | %10s | %10s | %-10s | %10s | %12s | %15s | %21s |\n",
               (int)(strlen(setup->model) < 30 ? 30 - strlen(setup->model) : 0), "", size, params,
               "Vulkan", setup->devices, setup->split, name, rate);
    }
}

int bench_print(const struct bench_setup *setup, const struct bench_test *tests, size_t n)
{
    if (setup->options->output == CLI_MARKDOWN) {
        print_markdown(setup, tests, n);
        for (size_t i = 0; i < n && setup->options->profile; i++) {
            bench_profile_print(setup, &tests[i]);
        }
        return CLI_DONE;
    }
    int code = CLI_DONE;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, test_json(setup, &tests[i]));
    }
    if (setup->options->output == CLI_JSON) {
        code = cli_json_print(list);
    } else {
        cli_csv_print(list);
    }
    json_decref(list);
    return code;
}
