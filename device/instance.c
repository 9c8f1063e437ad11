/* The Vulkan instance: layers and extensions it is made with, its list of devices, and which of
 * them are opened when nobody says. Reading a device is caps.c, the order is order.c. */
#include "device/internal.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static bool want_validation(const struct dev_instance_params *params)
{
    const char *env = getenv("QUADRIGA_VALIDATE");
    return params->validate || (env != NULL && strcmp(env, "1") == 0);
}

static bool has_extension(const struct loader *loader, const char *layer, const char *name)
{
    uint32_t n = 0;
    if (loader->vk.EnumerateInstanceExtensionProperties(layer, &n, NULL) != VK_SUCCESS || n == 0) {
        return false;
    }
    VkExtensionProperties *ext = mem_alloc(n, sizeof *ext);
    if (ext == NULL || loader->vk.EnumerateInstanceExtensionProperties(layer, &n, ext) < 0) {
        mem_free(ext);
        return false;
    }
    bool found = false;
    for (uint32_t i = 0; i < n && !found; i++) {
        found = strcmp(ext[i].extensionName, name) == 0;
    }
    mem_free(ext);
    return found;
}

static bool check_version(struct dev_instance *inst)
{
    uint32_t version = VK_API_VERSION_1_0;
    VkResult result = inst->loader.vk.EnumerateInstanceVersion(&version);
    if (result != VK_SUCCESS) {
        log_error(inst->log, "vkEnumerateInstanceVersion: %s", vk_result_name(result));
        return false;
    }
    if (version < VK_API_VERSION_1_2) {
        log_error(inst->log, "the Vulkan loader is version %u.%u, 1.2 is needed: update libvulkan1",
                  VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
        return false;
    }
    inst->api = version < VK_API_VERSION_1_3 ? VK_API_VERSION_1_2 : VK_API_VERSION_1_3;
    return true;
}

static bool create_handle(struct dev_instance *inst)
{
    static const char *const layer = VALIDATE_LAYER;
    const char *names[4];
    uint32_t n = 0;
    VkInstanceCreateFlags flags = 0;
    if (has_extension(&inst->loader, NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
        names[n++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
    const VkValidationFeatureEnableEXT enable =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkDebugUtilsMessengerCreateInfoEXT messenger = validate_messenger(inst);
    VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                        .pNext = &messenger,
                                        .enabledValidationFeatureCount = 1,
                                        .pEnabledValidationFeatures = &enable};
    const VkLayerSettingsCreateInfoEXT settings = validate_settings(&messenger);
    if (inst->validate) {
        names[n++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        names[n++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
        if (has_extension(&inst->loader, layer, VK_EXT_LAYER_SETTINGS_EXTENSION_NAME)) {
            names[n++] = VK_EXT_LAYER_SETTINGS_EXTENSION_NAME;
            features.pNext = &settings;
        }
    }
    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                   .pApplicationName = "quadriga",
                                   .apiVersion = inst->api};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pNext = inst->validate ? &features : NULL,
                                       .flags = flags,
                                       .pApplicationInfo = &app,
                                       .enabledLayerCount = inst->validate ? 1 : 0,
                                       .ppEnabledLayerNames = &layer,
                                       .enabledExtensionCount = n,
                                       .ppEnabledExtensionNames = names};
    VkResult result = inst->loader.vk.CreateInstance(&info, NULL, &inst->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        log_error(inst->log, "no Vulkan driver was found: install mesa-vulkan-drivers or the "
                             "driver of your GPU");
    } else if (result != VK_SUCCESS) {
        log_error(inst->log, "vkCreateInstance: %s", vk_result_name(result));
    }
    return result == VK_SUCCESS;
}

static bool create_messenger(struct dev_instance *inst)
{
    if (!inst->validate) {
        return true;
    }
    if (inst->vk.CreateDebugUtilsMessengerEXT == NULL ||
        inst->vk.DestroyDebugUtilsMessengerEXT == NULL) {
        log_error(inst->log, "the validation layer has no VK_EXT_debug_utils");
        return false;
    }
    const VkDebugUtilsMessengerCreateInfoEXT info = validate_messenger(inst);
    VkResult result =
        inst->vk.CreateDebugUtilsMessengerEXT(inst->handle, &info, NULL, &inst->messenger);
    if (result != VK_SUCCESS) {
        log_error(inst->log, "vkCreateDebugUtilsMessengerEXT: %s", vk_result_name(result));
    }
    return result == VK_SUCCESS;
}

static VkPhysicalDevice *list_handles(struct dev_instance *inst, uint32_t *n)
{
    *n = 0;
    VkPhysicalDevice *handles = NULL;
    VkResult result = inst->vk.EnumeratePhysicalDevices(inst->handle, n, NULL);
    if (result == VK_SUCCESS && *n != 0) {
        handles = mem_alloc(*n, sizeof(VkPhysicalDevice));
        result = handles != NULL ? inst->vk.EnumeratePhysicalDevices(inst->handle, n, handles)
                                 : VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    if (result < 0 && result != VK_ERROR_INITIALIZATION_FAILED) {
        log_error(inst->log, "vkEnumeratePhysicalDevices: %s", vk_result_name(result));
        goto fail;
    }
    if (result < 0) { /* the loader's answer where no driver found hardware that it knows */
        log_error(inst->log, "no Vulkan driver has a device: install mesa-vulkan-drivers or the "
                             "driver of your GPU");
        goto fail;
    }
    if (*n == 0) {
        log_error(inst->log, "no Vulkan driver was found: install mesa-vulkan-drivers or the "
                             "driver of your GPU");
        goto fail;
    }
    return handles;
fail:
    mem_free(handles);
    return NULL;
}

static bool check_usable(const struct dev_instance *inst)
{
    struct str text;
    str_init(&text);
    bool usable = false;
    for (uint32_t i = 0; i < inst->n_phys; i++) {
        const struct dev_info *info = &inst->phys[i].info;
        usable = usable || info->usable;
        str_printf(&text, "%s%s: %s", i != 0 ? "; " : "", info->name, info->why_not);
    }
    if (!usable) {
        log_error(inst->log, "no usable Vulkan device: %s", str_get(&text));
    }
    str_finish(&text);
    return usable;
}

static bool read_devices(struct dev_instance *inst)
{
    uint32_t n = 0;
    VkPhysicalDevice *handles = list_handles(inst, &n);
    if (handles == NULL) {
        return false;
    }
    inst->phys = mem_alloc(n, sizeof *inst->phys);
    bool ok = inst->phys != NULL;
    if (!ok) {
        log_error(inst->log, "out of memory for a list of %u devices", n);
    }
    for (uint32_t i = 0; ok && i < n; i++) {
        inst->phys[i].handle = handles[i];
        inst->phys[i].order = i;
        ok = caps_read(inst, &inst->phys[i]);
    }
    mem_free(handles);
    if (!ok) {
        return false;
    }
    inst->n_phys = order_devices(inst->phys, n);
    return check_usable(inst);
}

struct dev_instance *dev_instance_create(const struct dev_instance_params *params)
{
    struct dev_instance *inst = mem_alloc(1, sizeof *inst);
    if (inst == NULL) {
        log_error(params->log, "out of memory for a Vulkan instance");
        return NULL;
    }
    inst->log = params->log;
    inst->validate = want_validation(params);
    atomic_init(&inst->messages, 0);
    if (!loader_open(&inst->loader, params->get_proc, inst->log) || !check_version(inst)) {
        goto fail;
    }
    if (inst->validate && !validate_available(&inst->loader, inst->log)) {
        goto fail;
    }
    if (!create_handle(inst) ||
        !loader_instance(&inst->loader, inst->handle, &inst->vk, inst->log) ||
        !create_messenger(inst) || !read_devices(inst)) {
        goto fail;
    }
    return inst;
fail:
    dev_instance_destroy(inst);
    return NULL;
}

void dev_instance_destroy(struct dev_instance *inst)
{
    if (inst == NULL) {
        return;
    }
    if (inst->messenger != VK_NULL_HANDLE) {
        inst->vk.DestroyDebugUtilsMessengerEXT(inst->handle, inst->messenger, NULL);
    }
    if (inst->handle != NULL && inst->vk.DestroyInstance != NULL) {
        inst->vk.DestroyInstance(inst->handle, NULL);
    }
    loader_close(&inst->loader);
    mem_free(inst->phys);
    mem_free(inst);
}

uint32_t dev_instance_count(const struct dev_instance *inst)
{
    return inst->n_phys;
}

const struct dev_info *dev_instance_info(struct dev_instance *inst, uint32_t index)
{
    if (index >= inst->n_phys) {
        return NULL;
    }
    struct phys *phys = &inst->phys[index];
    if (phys->info.usable) {
        bool budget = (phys->info.caps.has & DEV_CAP_BUDGET) != 0;
        phys->info.free_bytes = caps_free_bytes(inst, phys, budget);
    }
    return &phys->info;
}

uint32_t dev_instance_default(const struct dev_instance *inst, uint32_t *out, uint32_t cap)
{
    bool discrete = false, gpu = false;
    for (uint32_t i = 0; i < inst->n_phys; i++) {
        const struct dev_info *info = &inst->phys[i].info;
        discrete = discrete || (info->usable && info->type == DEV_DISCRETE);
        gpu = gpu || (info->usable && info->type != DEV_CPU);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < inst->n_phys && n < cap; i++) {
        const struct dev_info *info = &inst->phys[i].info;
        bool skip = !info->usable || (info->type == DEV_INTEGRATED && discrete) ||
                    (info->type == DEV_CPU && gpu);
        if (!skip) {
            out[n++] = i;
        }
    }
    return n;
}

uint32_t dev_instance_messages(const struct dev_instance *inst)
{
    return atomic_load(&inst->messages);
}
