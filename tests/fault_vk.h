/* A real Vulkan driver whose calls fail when they are told to: give fault_vk_get_proc to
 * dev_instance_params.get_proc. The functions are those of fault.h; all others go straight to the
 * driver.
 *
 * A call that fails does not reach the driver. A device that is lost stays lost: all that may find
 * it lost (submit, wait, poll, query) answers VK_ERROR_DEVICE_LOST from then on; what was submitted
 * before has ended, as on a device that was lost in earnest.
 *
 *     struct fault_vk fault = {.only = "vkQueueSubmit", .fail_at = 5,
 *                              .fail_with = VK_ERROR_DEVICE_LOST, .device = 1};
 *     if (!fault_vk_begin(&fault)) -> there is no loader
 *     ... dev_instance_create with fault_vk_get_proc(), work, dev_instance_destroy ...
 *     fault_vk_end();
 *
 * There is one at a time (a Vulkan function has no user pointer); calls from any thread. */
#ifndef QUADRIGA_TESTS_FAULT_VK_H
#define QUADRIGA_TESTS_FAULT_VK_H

#include "fault.h"

#define FAULT_VK_DEVICES 16
#define FAULT_VK_ANY     UINT32_MAX

struct fault_vk {
    /* The counted call with this number (from 1) fails; 0: none. May be set while calls are made,
     * under no other rule than that the caller knows when. */
    uint32_t fail_at;
    VkResult fail_with;
    const char *only; /* "vkQueueSubmit": only its calls are counted; NULL: all of fault.h */
    uint32_t device;  /* only calls on this logical device, numbered as they are made from 0;
                         FAULT_VK_ANY: all, and those on none */

    /* what was seen */
    uint32_t calls;        /* counted */
    const char *failed_in; /* NULL: nothing failed yet */
    uint32_t calls_of[FAULT_COUNT];
    uint32_t n_devices;
    bool lost[FAULT_VK_DEVICES];
};

bool fault_vk_begin(struct fault_vk *fault); /* false: there is no Vulkan loader */
void fault_vk_end(void);
void *fault_vk_get_proc(void);

#endif
