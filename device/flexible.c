/* Which matrices of flexible dimensions a device has (VK_NV_cooperative_matrix2). */
#include "device/internal.h"

enum { MOST = 128 }; /* rows of the driver's table that are looked at */

static bool is_product(const VkCooperativeMatrixFlexibleDimensionsPropertiesNV *p, VkScopeKHR scope)
{
    return p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && p->BType == p->AType &&
           p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR && p->ResultType == p->CType &&
           p->saturatingAccumulation == VK_FALSE && p->scope == scope && p->MGranularity != 0 &&
           p->NGranularity != 0 && p->KGranularity != 0;
}

static void take(const VkCooperativeMatrixFlexibleDimensionsPropertiesNV *props, uint32_t n,
                 VkScopeKHR scope, uint32_t most, struct dev_caps *caps)
{
    for (uint32_t i = 0; i < n && caps->n_flexible < most; i++) {
        bool workgroup = scope == VK_SCOPE_WORKGROUP_KHR;
        if (is_product(&props[i], scope) && (!workgroup || props[i].workgroupInvocations != 0)) {
            caps->flexible[caps->n_flexible++] = (struct dev_flexible){
                .m = props[i].MGranularity,
                .n = props[i].NGranularity,
                .k = props[i].KGranularity,
                .local = workgroup ? props[i].workgroupInvocations : 0,
            };
        }
    }
}

void flexible_read(const struct dev_instance *inst, const struct phys *phys,
                   const VkPhysicalDeviceCooperativeMatrix2PropertiesNV *limits,
                   struct dev_caps *caps)
{
    if (inst->vk.GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV == NULL) {
        return;
    }
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV props[MOST];
    for (uint32_t i = 0; i < MOST; i++) {
        props[i] = (VkCooperativeMatrixFlexibleDimensionsPropertiesNV){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV};
    }
    uint32_t n = MOST;
    if (inst->vk.GetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV(phys->handle, &n,
                                                                                  props) < 0) {
        return;
    }
    if ((caps->coopmat2 & DEV_COOPMAT2_WORKGROUP) != 0) {
        take(props, n, VK_SCOPE_WORKGROUP_KHR, DEV_MAX_FLEXIBLE, caps);
        for (uint32_t i = 0; i < caps->n_flexible;) {
            if (caps->flexible[i].local > limits->cooperativeMatrixWorkgroupScopeMaxWorkgroupSize) {
                caps->flexible[i] = caps->flexible[--caps->n_flexible];
            } else {
                i++;
            }
        }
        caps->flexible_shared = limits->cooperativeMatrixWorkgroupScopeReservedSharedMemory;
    }
    if (caps->n_flexible == 0) {
        take(props, n, VK_SCOPE_SUBGROUP_KHR, 1, caps);
        caps->flexible_shared = 0;
    }
    caps->flexible_most = limits->cooperativeMatrixFlexibleDimensionsMaxDimension;
}
