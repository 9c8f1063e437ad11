/* The validation layer: whether it is there, and what becomes of its messages. Which messages are
 * ignored is in validate_known.c. */
#include "device/internal.h"

#include "base/mem.h"

#include <string.h>

static bool has_layer(const struct loader *loader, const char *name)
{
    uint32_t n = 0;
    if (loader->vk.EnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS || n == 0) {
        return false;
    }
    VkLayerProperties *layers = mem_alloc(n, sizeof *layers);
    if (layers == NULL || loader->vk.EnumerateInstanceLayerProperties(&n, layers) < 0) {
        mem_free(layers);
        return false;
    }
    bool found = false;
    for (uint32_t i = 0; i < n && !found; i++) {
        found = strcmp(layers[i].layerName, name) == 0;
    }
    mem_free(layers);
    return found;
}

bool validate_available(const struct loader *loader, struct log *log)
{
    if (has_layer(loader, VALIDATE_LAYER)) {
        return true;
    }
    log_error(log, "the layer " VALIDATE_LAYER " was not found: install vulkan-validationlayers");
    return false;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                              VkDebugUtilsMessageTypeFlagsEXT types,
                                              const VkDebugUtilsMessengerCallbackDataEXT *data,
                                              void *user)
{
    struct dev_instance *inst = user;
    (void)severity;
    (void)types;
    if (!validate_known(data->pMessageIdName, data->pMessage)) {
        atomic_fetch_add(&inst->messages, 1);
        log_error(inst->log, "validation: %s", data->pMessage != NULL ? data->pMessage : "");
    }
    return VK_FALSE;
}

VkDebugUtilsMessengerCreateInfoEXT validate_messenger(struct dev_instance *inst)
{
    return (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = message,
        .pUserData = inst,
    };
}

/* Newer layers leave what shaders read and write out of synchronization validation unless they are
 * asked, and then see no missing barrier between two dispatches. */
VkLayerSettingsCreateInfoEXT validate_settings(const void *next)
{
    static const VkBool32 on = VK_TRUE;
    static const VkLayerSettingEXT settings[] = {
        {VALIDATE_LAYER, "validate_sync", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1, &on},
        {VALIDATE_LAYER, "syncval_shader_accesses_heuristic", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1,
         &on},
    };
    return (VkLayerSettingsCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT,
        .pNext = next,
        .settingCount = sizeof settings / sizeof settings[0],
        .pSettings = settings,
    };
}
