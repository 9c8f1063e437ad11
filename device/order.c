/* Which physical devices are listed, and in which order: by type, then by UUID, so that a number
 * given to --device means the same GPU in every run.
 *
 * One GPU may be seen through two drivers (RADV and AMDVLK, or a layered driver beside the native
 * one): both give the same deviceUUID but differ in driverUUID or driverID. Then only the better
 * driver stays: a usable one, a conformant one, a native rather than a layered one, Mesa's, the
 * newer API, in this order. Devices of one driver always stay, even with equal UUIDs: copies of a
 * software driver and two GPUs that a driver numbers alike are different devices. */
#include "device/internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_mesa(uint32_t id)
{
    switch (id) {
    case VK_DRIVER_ID_MESA_RADV:
    case VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA:
    case VK_DRIVER_ID_MESA_LLVMPIPE:
    case VK_DRIVER_ID_MESA_TURNIP:
    case VK_DRIVER_ID_MESA_V3DV:
    case VK_DRIVER_ID_MESA_PANVK:
    case 24: /* VK_DRIVER_ID_MESA_NVK */
        return true;
    default:
        return false;
    }
}

static bool is_layered(uint32_t id)
{
    return id == VK_DRIVER_ID_MESA_DOZEN || id == VK_DRIVER_ID_MESA_VENUS;
}

static bool same_driver(const struct phys *a, const struct phys *b)
{
    return a->info.driver_id == b->info.driver_id &&
           memcmp(a->info.driver_uuid, b->info.driver_uuid, VK_UUID_SIZE) == 0;
}

static int compare_driver(const struct phys *a, const struct phys *b)
{
    int d = (int)b->info.usable - (int)a->info.usable;
    d = d != 0 ? d : (int)b->conformant - (int)a->conformant;
    d = d != 0 ? d : (int)is_layered(a->info.driver_id) - (int)is_layered(b->info.driver_id);
    d = d != 0 ? d : (int)is_mesa(b->info.driver_id) - (int)is_mesa(a->info.driver_id);
    if (d == 0 && a->info.api_version != b->info.api_version) {
        d = a->info.api_version > b->info.api_version ? -1 : 1;
    }
    if (d == 0 && a->info.driver_id != b->info.driver_id) {
        d = a->info.driver_id < b->info.driver_id ? -1 : 1;
    }
    return d != 0 ? d : memcmp(a->info.driver_uuid, b->info.driver_uuid, VK_UUID_SIZE);
}

static bool is_worse_copy(const struct phys *phys, uint32_t n, const struct phys *of)
{
    static const uint8_t none[VK_UUID_SIZE];
    if (memcmp(of->info.uuid, none, VK_UUID_SIZE) == 0) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (memcmp(phys[i].info.uuid, of->info.uuid, VK_UUID_SIZE) == 0 &&
            !same_driver(&phys[i], of) && compare_driver(&phys[i], of) < 0) {
            return true;
        }
    }
    return false;
}

static int compare(const void *left, const void *right)
{
    const struct phys *a = left, *b = right;
    if (a->info.type != b->info.type) {
        return a->info.type < b->info.type ? -1 : 1;
    }
    int d = memcmp(a->info.uuid, b->info.uuid, VK_UUID_SIZE);
    return d != 0 ? d : a->order < b->order ? -1 : 1;
}

uint32_t order_devices(struct phys *phys, uint32_t n)
{
    uint32_t kept = 0;
    qsort(phys, n, sizeof *phys, compare);
    bool drop[64] = {false};
    for (uint32_t i = 0; i < n && i < 64; i++) {
        drop[i] = is_worse_copy(phys, n, &phys[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i >= 64 || !drop[i]) {
            phys[kept] = phys[i];
            phys[kept].info.index = kept;
            kept++;
        }
    }
    return kept;
}
