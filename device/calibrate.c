/* The clock of a device beside that of the host: asked of the driver where it can tell both at
 * once, else bracketed by a submission that does nothing but write a timestamp. */
#include "device/internal.h"

#include "base/os.h"

#define ROUNDS 5 /* of which the closest counts */

bool calibrate_probe(const struct dev_instance *inst, const struct phys *phys)
{
    VkTimeDomainEXT domains[16];
    uint32_t n = 16;
    if ((phys->exts & EXT_CALIBRATED) == 0 ||
        inst->vk.GetPhysicalDeviceCalibrateableTimeDomainsEXT == NULL ||
        inst->vk.GetPhysicalDeviceCalibrateableTimeDomainsEXT(phys->handle, &n, domains) < 0) {
        return false;
    }
    bool device = false, host = false;
    for (uint32_t i = 0; i < n; i++) {
        device = device || domains[i] == VK_TIME_DOMAIN_DEVICE_EXT;
        host = host || domains[i] == VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT;
    }
    return device && host;
}

/* os_clock_ns is CLOCK_MONOTONIC. */
static bool ask(struct dev *dev, struct dev_moment *out)
{
    const VkCalibratedTimestampInfoEXT infos[2] = {
        {.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT,
         .timeDomain = VK_TIME_DOMAIN_DEVICE_EXT},
        {.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT,
         .timeDomain = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT}};
    uint64_t stamps[2], error;
    if (dev->vk.GetCalibratedTimestampsEXT == NULL ||
        !dev_check(dev, dev->vk.GetCalibratedTimestampsEXT(dev->handle, 2, infos, stamps, &error),
                   "vkGetCalibratedTimestampsEXT")) {
        return false;
    }
    *out = (struct dev_moment){timer_ns(dev, stamps[0]), stamps[1], error};
    return true;
}

static bool bracket_once(struct dev_waiter *waiter, struct dev_cmd *cmd, struct dev_moment *out)
{
    uint64_t stamp, begin = os_clock_ns();
    if (!dev_waiter_run(waiter, cmd, NULL)) {
        return false;
    }
    uint64_t end = os_clock_ns();
    if (!dev_cmd_read_timers(cmd, &stamp, 1)) {
        return false;
    }
    *out = (struct dev_moment){stamp, begin + (end - begin) / 2, (end - begin) / 2 + 1};
    return true;
}

static bool bracket(struct dev *dev, struct dev_moment *out)
{
    struct dev_waiter *waiter = dev_waiter_create(dev, DEV_TIMELINE_POLL);
    struct dev_cmd *cmd = waiter != NULL ? dev_cmd_create(dev) : NULL;
    bool ok = cmd != NULL && dev_cmd_timers(cmd, 1) && dev_cmd_begin(cmd);
    if (ok) {
        dev_cmd_timestamp(cmd, 0);
    }
    ok = ok && dev_cmd_end(cmd);
    for (int i = 0; i < ROUNDS && ok; i++) {
        struct dev_moment moment;
        ok = bracket_once(waiter, cmd, &moment);
        if (ok && (i == 0 || moment.error_ns < out->error_ns)) {
            *out = moment;
        }
    }
    dev_waiter_destroy(waiter);
    dev_cmd_destroy(cmd);
    return ok;
}

bool dev_calibrate(struct dev *dev, struct dev_moment *out)
{
    if (dev->info.caps.timestamp_bits == 0 || dev_is_lost(dev)) {
        return false;
    }
    return (dev->info.caps.has & DEV_CAP_CALIBRATED) != 0 ? ask(dev, out) : bracket(dev, out);
}
