/* The facts of a device as JSON: the same fields wherever a result of this machine is written, so
 * that results from different machines can be compared. */
#include "cli/device_json.h"

#include "cli/device_text.h"
#include "cli/json.h"

#include <stdio.h>

static json_t *uuid_text(const uint8_t uuid[16])
{
    char hex[2 * 16 + 1];
    for (size_t i = 0; i < 16; i++) {
        snprintf(hex + 2 * i, 3, "%02x", uuid[i]);
    }
    return json_string(hex);
}

/* [m, n, k]; null where there is none. */
static json_t *coopmat_shape(uint32_t m, uint32_t n, uint32_t k)
{
    if (m == 0) {
        return json_null();
    }
    json_t *shape = json_array();
    json_array_append_new(shape, json_integer(m));
    json_array_append_new(shape, json_integer(n));
    json_array_append_new(shape, json_integer(k));
    return shape;
}

json_t *cli_device_json(const struct qd_device_info *info)
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
    cli_json_add(out, "uuid", uuid_text(info->uuid));
    cli_json_add(out, "driver_uuid", uuid_text(info->driver_uuid));
    cli_json_add(out, "memory_bytes", cli_json_uint(info->memory_bytes));
    cli_json_add(out, "free_bytes", cli_json_uint(info->free_bytes));
    cli_json_add(out, "host_visible_device_bytes", cli_json_uint(info->host_visible_device_bytes));
    cli_json_add(out, "max_binding_bytes", cli_json_uint(info->max_binding_bytes));
    cli_json_add(out, "subgroup_size", json_integer(info->subgroup_size));
    cli_json_add(out, "subgroup_min", json_integer(info->subgroup_min));
    cli_json_add(out, "subgroup_max", json_integer(info->subgroup_max));
    cli_json_add(out, "max_workgroup_invocations", json_integer(info->max_workgroup_invocations));
    cli_json_add(out, "shared_bytes", json_integer(info->shared_bytes));
    cli_json_add(out, "timestamp_ns", json_real((double)info->timestamp_ns));
    cli_json_add(out, "timestamp_bits", json_integer(info->timestamp_bits));
    cli_json_add(out, "cores", json_integer(info->cores));
    cli_json_add(out, "int_dot_fast", json_boolean(info->int_dot_fast));
    cli_json_add(out, "coopmat_shape",
                 coopmat_shape(info->coopmat_m, info->coopmat_n, info->coopmat_k));
    cli_json_add(out, "coopmat_s8_shape",
                 coopmat_shape(info->coopmat_s8_m, info->coopmat_s8_n, info->coopmat_s8_k));
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

json_t *cli_devices_json(qd_context *context)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < qd_device_count(context); i++) {
        struct qd_device_info info;
        if (qd_device_get(context, i, &info) == QD_OK) {
            json_array_append_new(list, cli_device_json(&info));
        }
    }
    return list;
}
