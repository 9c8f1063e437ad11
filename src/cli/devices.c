/* quadriga devices: the list with what each device can do, as text or JSON. */
#include "cli/commands.h"
#include "cli/device_json.h"
#include "cli/device_text.h"
#include "cli/engine.h"
#include "cli/json.h"

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
    printf("free %.0f MiB, largest binding %.0f MiB\n", (double)info->free_bytes / (1 << 20),
           (double)info->max_binding_bytes / (1 << 20));
    printf("    subgroup %u, workgroup %u invocations, %u bytes shared\n    can:",
           info->subgroup_size, info->max_workgroup_invocations, info->shared_bytes);
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

int cli_devices(const struct cli_options *options)
{
    struct cli_engine engine;
    int code = cli_engine_open_devices(&engine, options);
    json_t *list = options->output == CLI_JSON ? json_array() : NULL;
    for (uint32_t i = 0; code == CLI_DONE && i < qd_device_count(engine.context); i++) {
        struct qd_device_info info;
        enum qd_status status = qd_device_get(engine.context, i, &info);
        if (status != QD_OK) {
            code = cli_engine_failure(&engine, status);
        } else if (list != NULL) {
            json_array_append_new(list, cli_device_json(&info));
        } else {
            print_text(&info);
        }
    }
    if (code == CLI_DONE && list != NULL) {
        code = cli_json_print(list);
    }
    json_decref(list);
    return cli_engine_close(&engine, code);
}
