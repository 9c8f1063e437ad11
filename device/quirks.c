/* Known faults of drivers: one row each, with the capability to do without or the tuning to apply,
 * and the reason. This is the only place where a vendor or a driver decides anything. */
#include "device/internal.h"

#include <stdio.h>
#include <string.h>

struct quirk {
    const char *name;
    uint32_t driver_id;                /* VkDriverId */
    uint32_t vendor_id;                /* 0: any */
    uint32_t min_version, max_version; /* driverVersion, both included; max 0: no end */
    uint32_t subgroup;                 /* subgroup size; 0: any */
    uint32_t caps_off;                 /* enum dev_cap */
    uint32_t tune;                     /* enum quirk_tune */
    const char *reason;
};

static const struct quirk table[] = {
    {"amd-proprietary-coopmat", VK_DRIVER_ID_AMD_PROPRIETARY, 0, 0, 0, 0, DEV_CAP_COOPMAT, 0,
     "reports cooperative matrices on GPUs that have none (llama.cpp allows RDNA3 only)"},
    {"amdvlk-coopmat", VK_DRIVER_ID_AMD_OPEN_SOURCE, 0, 0, 0, 0, DEV_CAP_COOPMAT, 0,
     "reports cooperative matrices on GPUs that have none (llama.cpp allows RDNA3 only)"},
    {"moltenvk-amd-subgroup", VK_DRIVER_ID_MOLTENVK, 0x1002, 0, 0, 0, DEV_CAP_SUBGROUP, 0,
     "subgroup size reported as 64 while it is 32; arithmetic and shuffles wrong "
     "(llama.cpp issues 15846 and 20029)"},
    {"moltenvk-host-import", VK_DRIVER_ID_MOLTENVK, 0, 0, 0, 0, DEV_CAP_HOST_IMPORT, 0,
     "VK_EXT_external_memory_host does not work (llama.cpp excludes it)"},
    {"llvmpipe-coopmat-wide", VK_DRIVER_ID_MESA_LLVMPIPE, 0, 0, 0, 16, DEV_CAP_COOPMAT, 0,
     "Mesa 26.1 crashes while it compiles cooperative matrices for vectors of 512 bits"},
    {"llvmpipe-joint-barriers", VK_DRIVER_ID_MESA_LLVMPIPE, 0, 2, 0, 0, 0, TUNE_JOINT_BARRIERS,
     "runs the subgroups of a workgroup in turns, from barrier to barrier of any scope: where some "
     "come to one and others not they are out of step (seen with 26.1; old ones all say version "
     "1)"},
    {"turnip-full-subgroups", VK_DRIVER_ID_MESA_TURNIP, 0, 0, 0, 0, 0, TUNE_NO_FULL_SUBGROUPS,
     "crash while compiling big shaders with full subgroups (ncnn leaves the flag off)"},
};

static bool matches(const struct quirk *q, const struct dev_info *info)
{
    return q->driver_id == info->driver_id &&
           (q->subgroup == 0 || q->subgroup == info->caps.subgroup_size) &&
           (q->vendor_id == 0 || q->vendor_id == info->vendor_id) &&
           info->driver_version >= q->min_version &&
           (q->max_version == 0 || info->driver_version <= q->max_version);
}

void quirks_apply(struct phys *phys)
{
    struct dev_info *info = &phys->info;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct quirk *q = &table[i];
        if (!matches(q, info)) {
            continue;
        }
        info->caps = caps_mask(&info->caps, q->caps_off);
        phys->tune |= q->tune;
        info->caps.joint_barriers |= (q->tune & TUNE_JOINT_BARRIERS) != 0;
        size_t used = strlen(info->quirks);
        snprintf(info->quirks + used, sizeof info->quirks - used, "%s%s", used != 0 ? "," : "",
                 q->name);
    }
}
