/* How devices are written for people, in `devices` and at the start of `run`. */
#ifndef QUADRIGA_CLI_DEVICE_TEXT_H
#define QUADRIGA_CLI_DEVICE_TEXT_H

#include "include/quadriga.h"

#include <stdio.h>

const char *cli_device_type(enum qd_device_type type); /* "discrete GPU" */
/* "1.3.230" */
void cli_device_version(uint32_t version, char *out, size_t bytes);
/* "  [0] NAME, TYPE, DRIVER, MiB": a line each, all devices of the context. */
void cli_device_list(qd_context *context, FILE *file);

/* Name and value of the i-th capability; NULL beyond the last. */
const char *cli_device_cap(const struct qd_device_info *info, size_t i, bool *has);

#endif
