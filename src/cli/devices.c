/* quadriga devices: the list with what each device can do and, with -v, what is remembered of it,
 * as text or JSON. */
#include "cli/commands.h"
#include "cli/device_json.h"
#include "cli/device_text.h"
#include "cli/engine.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/profile.h"

#include <inttypes.h>

static void print_text(const struct qd_device_info *info)
{
    char api[32];
    cli_device_version(info->api_version, api, sizeof api);
    printf("[%u] ", info->index);
    cli_put_safe(stdout, info->name);
    printf("%s\n    %s, Vulkan %s, driver ", info->opened_by_default ? " (opened by default)" : "",
           cli_device_type(info->type), api);
    cli_put_safe(stdout, info->driver);
    printf(" ");
    cli_put_safe(stdout, info->driver_info);
    printf("\n    vendor %04x, device %04x, uuid ", info->vendor_id, info->device_id);
    for (size_t i = 0; i < sizeof info->uuid; i++) {
        printf("%02x", info->uuid[i]);
    }
    printf("\n    ");
    if (info->type != QD_DEVICE_CPU) { /* their heap is a number that the driver makes up */
        printf("memory %.0f MiB, ", (double)info->memory_bytes / (1 << 20));
    }
    printf("free %.0f MiB, host-visible %.0f MiB, largest binding %.0f MiB\n",
           (double)info->free_bytes / (1 << 20),
           (double)info->host_visible_device_bytes / (1 << 20),
           (double)info->max_binding_bytes / (1 << 20));
    printf("    subgroup %u (%u to %u), timestamps %g ns, workgroup %u invocations, %u bytes "
           "shared\n    can:",
           info->subgroup_size, info->subgroup_min, info->subgroup_max, (double)info->timestamp_ns,
           info->max_workgroup_invocations, info->shared_bytes);
    bool has;
    const char *name;
    for (size_t i = 0; (name = cli_device_cap(info, i, &has)) != NULL; i++) {
        if (has) {
            printf(" %s", name);
        }
    }
    printf("\n");
    if (info->quirks[0] != '\0') {
        printf("    quirks: ");
        cli_put_safe(stdout, info->quirks);
        printf("\n");
    }
    if (!info->usable) {
        printf("    not usable: ");
        cli_put_safe(stdout, info->why_not);
        printf("\n");
    }
}

struct listing {
    const struct cli_options *options;
    struct cli_engine engine;
    struct cli_profiles profiles; /* with -v or --selftest */
    uint32_t *devices, n;
    bool remembers;
};

/* Those asked for, each once; else all. */
static int choose(struct listing *list)
{
    const struct cli_options *options = list->options;
    uint32_t n_all = qd_device_count(list->engine.context);
    list->devices = cli_alloc(n_all + options->n_devices, sizeof *list->devices);
    if (list->devices == NULL) {
        return CLI_FAILED;
    }
    for (uint32_t i = 0; i < options->n_devices; i++) {
        bool known = false;
        for (uint32_t k = 0; k < list->n; k++) {
            known = known || list->devices[k] == options->devices[i];
        }
        list->devices[list->n] = options->devices[i];
        list->n += known ? 0 : 1;
        if (options->devices[i] >= n_all) {
            cli_error("device %u: there are %u devices", options->devices[i], n_all);
            return CLI_FAILED;
        }
    }
    for (uint32_t i = 0; i < n_all && options->n_devices == 0; i++) {
        list->devices[list->n++] = i;
    }
    return CLI_DONE;
}

static int print_list(struct listing *list)
{
    bool json = list->options->output == CLI_JSON;
    json_t *array = json ? json_array() : NULL;
    int code = CLI_DONE;
    for (uint32_t i = 0; code == CLI_DONE && i < list->n; i++) {
        struct qd_device_info info;
        enum qd_status status = qd_device_get(list->engine.context, list->devices[i], &info);
        if (status != QD_OK) {
            code = cli_engine_failure(&list->engine, status);
        } else if (json) {
            json_t *object = cli_device_json(&info);
            if (list->remembers) {
                cli_json_add(object, "profile", cli_profile_json(&list->profiles, info.index));
            }
            json_array_append_new(array, object);
        } else {
            print_text(&info);
            if (list->remembers) {
                cli_profile_print(&list->profiles, info.index);
            }
        }
    }
    if (code == CLI_DONE && json) {
        code = cli_json_print(array);
    } else if (code == CLI_DONE && list->remembers) {
        cli_profiles_print_dir(&list->profiles);
    }
    json_decref(array);
    return code;
}

static int run(struct listing *list)
{
    const struct cli_options *options = list->options;
    bool show = !options->selftest || options->output == CLI_JSON;
    int code = choose(list), tested = CLI_DONE;
    if (code == CLI_DONE && options->selftest) {
        tested = cli_selftest(&list->profiles, &list->engine, options, list->devices, list->n,
                              options->output != CLI_JSON);
    }
    if (code == CLI_DONE && show && tested < CLI_SIGNAL) {
        code = print_list(list);
    }
    return tested != CLI_DONE ? tested : code;
}

int cli_devices(const struct cli_options *options)
{
    struct listing list = {.options = options, .remembers = options->verbose || options->selftest};
    if (options->disable != NULL && !options->selftest) {
        cli_error("devices: --disable is for --selftest (quadriga devices --help)");
        return CLI_USAGE;
    }
    int code = cli_engine_open_devices(&list.engine, options);
    if (code == CLI_DONE && list.remembers) {
        code = cli_profiles_open(&list.profiles, options) ? run(&list) : CLI_FAILED;
        code = cli_profiles_close(&list.profiles, code);
    } else if (code == CLI_DONE) {
        code = run(&list);
    }
    cli_free(list.devices);
    return cli_engine_close(&list.engine, code);
}
