/* quadriga devices: the list with what each device can do, as text or JSON. */
#include "cli/commands.h"
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

static json_t *uuid_text(const struct qd_device_info *info)
{
    char hex[2 * sizeof info->uuid + 1];
    for (size_t i = 0; i < sizeof info->uuid; i++) {
        snprintf(hex + 2 * i, 3, "%02x", info->uuid[i]);
    }
    return json_string(hex);
}

static json_t *device_json(const struct qd_device_info *info)
{
    json_t *out = json_object();
    char api[32];
    cli_device_version(info->api_version, api, sizeof api);
    cli_json_add(out, "index", json_integer(info->index));
    cli_json_add(out, "name", cli_json_text(info->name));
    cli_json_add(out, "type", cli_json_text(cli_device_type(info->type)));
    cli_json_add(out, "is_gpu",
                 json_boolean(info->type == QD_DEVICE_DISCRETE ||
                              info->type == QD_DEVICE_INTEGRATED ||
                              info->type == QD_DEVICE_VIRTUAL));
    cli_json_add(out, "usable", json_boolean(info->usable));
    cli_json_add(out, "why_not", cli_json_text(info->why_not));
    cli_json_add(out, "opened_by_default", json_boolean(info->opened_by_default));
    cli_json_add(out, "driver", cli_json_text(info->driver));
    cli_json_add(out, "driver_info", cli_json_text(info->driver_info));
    cli_json_add(out, "driver_version", json_integer(info->driver_version));
    cli_json_add(out, "api_version", cli_json_text(api));
    cli_json_add(out, "vendor_id", json_integer(info->vendor_id));
    cli_json_add(out, "device_id", json_integer(info->device_id));
    cli_json_add(out, "uuid", uuid_text(info));
    cli_json_add(out, "memory_bytes", cli_json_uint(info->memory_bytes));
    cli_json_add(out, "free_bytes", cli_json_uint(info->free_bytes));
    cli_json_add(out, "max_binding_bytes", cli_json_uint(info->max_binding_bytes));
    cli_json_add(out, "subgroup_size", json_integer(info->subgroup_size));
    cli_json_add(out, "max_workgroup_invocations", json_integer(info->max_workgroup_invocations));
    cli_json_add(out, "shared_bytes", json_integer(info->shared_bytes));
    cli_json_add(out, "quirks", cli_json_text(info->quirks));
    json_t *caps = json_object();
    bool has;
    const char *name;
    for (size_t i = 0; (name = cli_device_cap(info, i, &has)) != NULL; i++) {
        cli_json_add(caps, name, json_boolean(has));
    }
    cli_json_add(out, "capabilities", caps);
    return out;
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
            json_array_append_new(list, device_json(&info));
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
