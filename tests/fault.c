/* The table of fault.h as data. Making calls fail is fake_vk.c's and fault_vk.c's. */
#include "fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t legal;
} rows[FAULT_COUNT] = {
#define ROW(name, legal, first, params, args) {"vk" #name, legal},
    FAULT_FUNCTIONS(ROW)
#undef ROW
};

static const struct {
    VkResult code;
    const char *name;
} codes[FAULT_CODES] = {
    {VK_ERROR_OUT_OF_HOST_MEMORY, "OUT_OF_HOST_MEMORY"},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, "OUT_OF_DEVICE_MEMORY"},
    {VK_ERROR_DEVICE_LOST, "DEVICE_LOST"},
    {VK_ERROR_INITIALIZATION_FAILED, "INITIALIZATION_FAILED"},
};

const char *fault_name(uint32_t function)
{
    return rows[function].name;
}

uint32_t fault_legal(uint32_t function)
{
    return rows[function].legal;
}

uint32_t fault_find(const char *name)
{
    uint32_t i = 0;
    while (i < FAULT_COUNT && strcmp(rows[i].name, name) != 0) {
        i++;
    }
    return i;
}

VkResult fault_code(uint32_t code)
{
    return codes[code].code;
}

const char *fault_code_name(uint32_t code)
{
    return codes[code].name;
}

/* What returns no VkResult. */
static bool returns_nothing(const char *name)
{
    static const char *const kinds[] = {"vkDestroy", "vkCmd", "vkFree", "vkUpdate"};
    static const char *const getters[] = {"vkGetPhysicalDeviceProperties",
                                          "vkGetPhysicalDeviceProperties2",
                                          "vkGetPhysicalDeviceFeatures2",
                                          "vkGetPhysicalDeviceMemoryProperties2",
                                          "vkGetPhysicalDeviceFormatProperties",
                                          "vkGetPhysicalDeviceQueueFamilyProperties",
                                          "vkGetDeviceProcAddr",
                                          "vkGetDeviceQueue",
                                          "vkGetBufferMemoryRequirements"};
    bool found = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        found = found || strncmp(name, kinds[i], strlen(kinds[i])) == 0;
    }
    for (size_t i = 0; i < sizeof getters / sizeof *getters; i++) {
        found = found || strcmp(name, getters[i]) == 0;
    }
    return found;
}

const char *fault_unknown(void)
{
    static const char *const all[] = {
#define NAME(name, needed) "vk" #name,
        VKFN_GLOBAL(NAME) VKFN_INSTANCE(NAME) VKFN_DEVICE(NAME)
#undef NAME
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (fault_find(all[i]) == FAULT_COUNT && !returns_nothing(all[i])) {
            return all[i];
        }
    }
    return NULL;
}
