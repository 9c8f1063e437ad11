/* Names of capabilities, for options, reports and messages. */
#include "device/device.h"

#include <string.h>

static const struct {
    uint32_t cap;
    const char *name;
} names[] = {
    {DEV_CAP_SUBGROUP, "subgroup"},
    {DEV_CAP_SHUFFLE, "shuffle"},
    {DEV_CAP_FP16, "fp16"},
    {DEV_CAP_INT8, "int8"},
    {DEV_CAP_INT16, "int16"},
    {DEV_CAP_STORAGE8, "storage8"},
    {DEV_CAP_STORAGE16, "storage16"},
    {DEV_CAP_INT_DOT, "int_dot"},
    {DEV_CAP_COOPMAT, "coopmat"},
    {DEV_CAP_COOPMAT2, "coopmat2"},
    {DEV_CAP_HOST_IMPORT, "host_import"},
    {DEV_CAP_SUBGROUP_CONTROL, "subgroup_control"},
    {DEV_CAP_BUDGET, "budget"},
    {DEV_CAP_CPU, "cpu"},
    {DEV_CAP_TEXEL, "texel"},
    {DEV_CAP_CALIBRATED, "calibrated"},
};

const char *dev_cap_name(uint32_t cap)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].cap == cap) {
            return names[i].name;
        }
    }
    return "?";
}

uint32_t dev_cap_find(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].cap;
        }
    }
    return 0;
}
