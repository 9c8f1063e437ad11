/* Words for device properties. */
#include "cli/device_text.h"

#include "cli/term.h"

const char *cli_device_type(enum qd_device_type type)
{
    static const char *const names[] = {"discrete GPU", "integrated GPU", "virtual GPU", "CPU",
                                        "other"};
    return names[(unsigned)type <= QD_DEVICE_OTHER ? type : QD_DEVICE_OTHER];
}

void cli_device_version(uint32_t version, char *out, size_t bytes)
{
    snprintf(out, bytes, "%u.%u.%u", version >> 22 & 0x7f, version >> 12 & 0x3ff, version & 0xfff);
}

void cli_device_list(qd_context *context, FILE *file)
{
    for (uint32_t i = 0; i < qd_device_count(context); i++) {
        struct qd_device_info info;
        if (qd_device_get(context, i, &info) != QD_OK) {
            continue;
        }
        fprintf(file, "  [%u] ", i);
        cli_put_safe(file, info.name);
        fprintf(file, ", %s, ", cli_device_type(info.type));
        cli_put_safe(file, info.driver);
        fprintf(file, ", %.0f MiB free", (double)info.free_bytes / (1 << 20));
        if (!info.usable) {
            fprintf(file, ", not usable: ");
            cli_put_safe(file, info.why_not);
        }
        fprintf(file, "\n");
    }
}

const char *cli_device_cap(const struct qd_device_info *info, size_t i, bool *has)
{
    const struct {
        const char *name;
        bool has;
    } caps[] = {
        {"subgroup_ops", info->subgroup_ops},
        {"fp16", info->fp16},
        {"int8", info->int8},
        {"int16", info->int16},
        {"storage8", info->storage8},
        {"storage16", info->storage16},
        {"int_dot", info->int_dot},
        {"cooperative_matrix", info->cooperative_matrix},
        {"cooperative_matrix2", info->cooperative_matrix2},
        {"host_import", info->host_import},
        {"memory_budget", info->memory_budget},
    };
    if (i >= sizeof caps / sizeof *caps) {
        return NULL;
    }
    *has = caps[i].has;
    return caps[i].name;
}
