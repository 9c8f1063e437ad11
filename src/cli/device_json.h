/* Facts of devices in JSON, shared by devices, bench, compat and microbench. */
#ifndef QUADRIGA_CLI_DEVICE_JSON_H
#define QUADRIGA_CLI_DEVICE_JSON_H

#include "include/quadriga.h"

#include <jansson.h>

/* An object: name, type, driver and its versions, UUIDs, memory, limits, capabilities, quirks. The
 * caller owns it. */
json_t *cli_device_json(const struct qd_device_info *info);
/* An array of them: all devices of the context, by index. */
json_t *cli_devices_json(qd_context *context);

#endif
