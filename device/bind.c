/* Descriptor sets and texel views of a command list, and the checks of a dispatch. Pools are
 * counted here: not every driver reports that one is full. */
#include "device/internal.h"

#include "base/mem.h"

#define POOL_SETS    64u
#define POOL_STORAGE 512u
#define POOL_TEXEL   256u

static bool fail_bind(const struct dev *dev, const struct dev_dispatch *d, uint32_t i,
                      const char *why)
{
    const struct dev_bind *b = &d->binds[i];
    log_error(dev->log,
              "device %u (%s): %s: binding %u, buffer %s of %llu bytes, range %llu + "
              "%llu: %s",
              dev->info.index, dev->info.name, d->label != NULL ? d->label : "dispatch", i,
              b->buf->name, (unsigned long long)b->buf->bytes, (unsigned long long)b->offset,
              (unsigned long long)b->bytes, why);
    return false;
}

static bool check_bind(struct dev *dev, const struct dev_dispatch *d, uint32_t i)
{
    const struct dev_caps *caps = &dev->info.caps;
    const struct dev_bind *b = &d->binds[i];
    if (b->buf->dev != dev) {
        return fail_bind(dev, d, i, "it is of another device");
    }
    if (b->bytes == 0 || b->offset > b->buf->bytes || b->bytes > b->buf->bytes - b->offset) {
        return fail_bind(dev, d, i, "the range is empty or outside the buffer");
    }
    if (b->offset % caps->offset_align != 0) {
        return fail_bind(dev, d, i, "the offset is not aligned to the device's offset_align");
    }
    if (b->bytes > caps->max_binding_bytes) {
        return fail_bind(dev, d, i, "the range is larger than the device's max_binding_bytes");
    }
    if (d->kernel->shader->bind_kinds[i] != DEV_BIND_STORAGE) {
        if (b->bytes % 16 != 0 || b->bytes / 16 > caps->max_texel_elements) {
            return fail_bind(dev, d, i, "no texel view: not whole 16 bytes, or too many texels");
        }
        if ((b->access & DEV_WRITE) != 0) {
            return fail_bind(dev, d, i, "a texel buffer is read-only");
        }
    }
    if (b->access < DEV_READ || b->access > DEV_READ_WRITE) {
        return fail_bind(dev, d, i, "the access is neither read nor write");
    }
    return true;
}

bool bind_check(struct dev *dev, const struct dev_dispatch *d)
{
    const struct dev_shader *s = d->kernel->shader;
    const char *label = d->label != NULL ? d->label : s->name;
    if (d->n_binds != s->n_bindings || d->push_bytes != s->push_bytes) {
        log_error(dev->log,
                  "%s: kernel %s takes %u bindings and %u push bytes, it was given %u and %u",
                  label, s->name, s->n_bindings, s->push_bytes, d->n_binds, d->push_bytes);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (d->groups[i] == 0 || d->groups[i] > dev->info.caps.max_workgroup_count[i]) {
            log_error(dev->log, "%s: %u workgroups in dimension %d, allowed are 1 to %u", label,
                      d->groups[i], i, dev->info.caps.max_workgroup_count[i]);
            return false;
        }
    }
    for (uint32_t i = 0; i < d->n_binds; i++) {
        if (d->binds[i].buf == NULL) {
            log_error(dev->log, "%s: binding %u of kernel %s has no buffer", label, i, s->name);
            return false;
        }
        if (!check_bind(dev, d, i)) {
            return false;
        }
    }
    return true;
}

static bool add_pool(struct dev *dev, struct binder *b)
{
    if (!mem_grow((void **)&b->pools, &b->cap_pools, b->n_pools, sizeof(VkDescriptorPool))) {
        log_error(dev->log, "out of memory for descriptor pools");
        return false;
    }
    const VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, POOL_STORAGE},
        {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, POOL_TEXEL},
    };
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = POOL_SETS,
                                             .poolSizeCount = 2,
                                             .pPoolSizes = sizes};
    if (!dev_check(dev,
                   dev->vk.CreateDescriptorPool(dev->handle, &info, NULL, &b->pools[b->n_pools]),
                   "vkCreateDescriptorPool")) {
        return false;
    }
    b->n_pools++;
    return true;
}

/* Makes b->pools[b->current] one with room for the kernel's set. */
static bool reserve(struct dev *dev, struct binder *b, const struct dev_kernel *k)
{
    if (b->sets_left >= 1 && b->storage_left >= k->n_storage && b->texel_left >= k->n_texel) {
        return true;
    }
    size_t next = b->started ? b->current + 1 : 0;
    if (next == b->n_pools && !add_pool(dev, b)) {
        return false;
    }
    b->current = next;
    b->started = true;
    b->sets_left = POOL_SETS;
    b->storage_left = POOL_STORAGE;
    b->texel_left = POOL_TEXEL;
    return true;
}

static VkBufferView find_view(struct dev *dev, struct binder *b, const struct dev_bind *bind,
                              enum dev_bind_kind kind)
{
    VkFormat format =
        kind == DEV_BIND_TEXEL_UINT ? VK_FORMAT_R32G32B32A32_UINT : VK_FORMAT_R32G32B32A32_SFLOAT;
    for (size_t i = 0; i < b->n_views; i++) {
        const struct bind_view *v = &b->views[i];
        if (v->buffer == bind->buf->handle && v->offset == bind->offset &&
            v->bytes == bind->bytes && v->format == format) {
            return v->handle;
        }
    }
    if (!mem_grow((void **)&b->views, &b->cap_views, b->n_views, sizeof *b->views)) {
        log_error(dev->log, "out of memory for texel views");
        return VK_NULL_HANDLE;
    }
    struct bind_view *v = &b->views[b->n_views];
    *v = (struct bind_view){bind->buf->handle, bind->offset, bind->bytes, format, VK_NULL_HANDLE};
    const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                         .buffer = v->buffer,
                                         .format = format,
                                         .offset = v->offset,
                                         .range = v->bytes};
    if (!dev_check(dev, dev->vk.CreateBufferView(dev->handle, &info, NULL, &v->handle),
                   "vkCreateBufferView")) {
        return VK_NULL_HANDLE;
    }
    b->n_views++;
    return v->handle;
}

static bool write_set(struct dev *dev, struct binder *b, const struct dev_dispatch *d,
                      VkDescriptorSet set)
{
    VkWriteDescriptorSet writes[DEV_MAX_BINDINGS];
    VkDescriptorBufferInfo buffers[DEV_MAX_BINDINGS];
    VkBufferView views[DEV_MAX_BINDINGS];
    for (uint32_t i = 0; i < d->n_binds; i++) {
        const struct dev_bind *bind = &d->binds[i];
        enum dev_bind_kind kind = (enum dev_bind_kind)d->kernel->shader->bind_kinds[i];
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i,
                                           .descriptorCount = 1};
        if (kind == DEV_BIND_STORAGE) {
            buffers[i] = (VkDescriptorBufferInfo){bind->buf->handle, bind->offset, bind->bytes};
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            writes[i].pBufferInfo = &buffers[i];
        } else {
            views[i] = find_view(dev, b, bind, kind);
            if (views[i] == VK_NULL_HANDLE) {
                return false;
            }
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
            writes[i].pTexelBufferView = &views[i];
        }
    }
    dev->vk.UpdateDescriptorSets(dev->handle, d->n_binds, writes, 0, NULL);
    return true;
}

VkDescriptorSet binder_set(struct dev *dev, struct binder *b, const struct dev_dispatch *d)
{
    const struct dev_kernel *k = d->kernel;
    if (!reserve(dev, b, k)) {
        return VK_NULL_HANDLE;
    }
    const VkDescriptorSetAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                              .descriptorPool = b->pools[b->current],
                                              .descriptorSetCount = 1,
                                              .pSetLayouts = &k->set_layout};
    VkDescriptorSet set = VK_NULL_HANDLE;
    if (!dev_check(dev, dev->vk.AllocateDescriptorSets(dev->handle, &info, &set),
                   "vkAllocateDescriptorSets")) {
        return VK_NULL_HANDLE;
    }
    b->sets_left--;
    b->storage_left -= k->n_storage;
    b->texel_left -= k->n_texel;
    return write_set(dev, b, d, set) ? set : VK_NULL_HANDLE;
}

bool binder_reset(struct dev *dev, struct binder *b)
{
    for (size_t i = 0; i < b->n_views; i++) {
        dev->vk.DestroyBufferView(dev->handle, b->views[i].handle, NULL);
    }
    b->n_views = 0;
    bool ok = true;
    for (size_t i = 0; i < b->n_pools && ok; i++) {
        ok = dev_check(dev, dev->vk.ResetDescriptorPool(dev->handle, b->pools[i], 0),
                       "vkResetDescriptorPool");
    }
    b->current = 0;
    b->started = false;
    b->sets_left = b->storage_left = b->texel_left = 0;
    return ok;
}

void binder_finish(struct dev *dev, struct binder *b)
{
    for (size_t i = 0; i < b->n_views; i++) {
        dev->vk.DestroyBufferView(dev->handle, b->views[i].handle, NULL);
    }
    for (size_t i = 0; i < b->n_pools; i++) {
        dev->vk.DestroyDescriptorPool(dev->handle, b->pools[i], NULL);
    }
    mem_free(b->views);
    mem_free(b->pools);
    *b = (struct binder){0};
}
