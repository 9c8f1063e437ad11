/* The kernels of a device: a table by shader, spec values and subgroup size, kept until the device
 * is closed. Their pipelines are made by pipeline.c, at once or at the end of a bracket. */
#include "device/internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

#include <string.h>

#define SPIRV_MAGIC 0x07230203u

void kernels_finish(struct dev *dev)
{
    for (uint32_t i = 0; i < KERNEL_BUCKETS; i++) {
        while (dev->kernels.buckets[i] != NULL) {
            struct dev_kernel *kernel = dev->kernels.buckets[i];
            dev->kernels.buckets[i] = kernel->next;
            pipeline_destroy(dev, kernel);
            mem_free(kernel);
        }
    }
}

static bool check_shader(const struct dev *dev, const struct dev_shader *s)
{
    const struct dev_caps *caps = &dev->info.caps;
    uint32_t n_storage = 0;
    const char *why = NULL;
    if (s->n_words < 5 || s->words[0] != SPIRV_MAGIC) {
        why = "it is not SPIR-V";
    } else if (s->n_bindings > DEV_MAX_BINDINGS || s->n_specs > DEV_MAX_SPECS ||
               s->push_bytes > caps->max_push_bytes || s->push_bytes % 4 != 0) {
        why = "it has too many bindings, spec constants or push bytes";
    } else if (s->uses_subgroup && (caps->has & DEV_CAP_SUBGROUP) == 0) {
        why = "it needs subgroup operations, which the device lacks or which are masked";
    }
    for (uint32_t i = 0; why == NULL && i < s->n_specs; i++) {
        why = s->spec_ids[i] < DEV_MAX_SPECS ? NULL : "the id of a spec constant is too large";
    }
    for (uint32_t i = 0; why == NULL && i < s->n_bindings; i++) {
        if (s->bind_kinds[i] == DEV_BIND_STORAGE) {
            n_storage++;
        } else if ((caps->has & DEV_CAP_TEXEL) == 0) {
            why = "it needs texel buffers, which the device lacks or which are masked";
        }
    }
    if (why == NULL && n_storage > caps->max_storage_buffers) {
        why = "it has more storage buffers than the device allows";
    }
    if (why != NULL) {
        log_error(dev->log, "device %u (%s): kernel %s: %s", dev->info.index, dev->info.name,
                  s->name, why);
    }
    return why == NULL;
}

static bool resolve_specs(const struct dev *dev, const struct dev_kernel_params *params,
                          uint32_t *values)
{
    const struct dev_shader *s = params->shader;
    memset(values, 0, DEV_MAX_SPECS * sizeof *values);
    for (uint32_t i = 0; i < s->n_specs; i++) {
        values[i] = s->spec_defaults[i];
    }
    for (uint32_t k = 0; k < params->n_specs; k++) {
        uint32_t i = 0;
        while (i < s->n_specs && s->spec_ids[i] != params->specs[k].id) {
            i++;
        }
        if (i == s->n_specs) {
            log_error(dev->log, "kernel %s: there is no spec constant %u", s->name,
                      params->specs[k].id);
            return false;
        }
        values[i] = params->specs[k].value;
    }
    return true;
}

/* The size to require, 0 for none. Kernels that use subgroups get the default size required where
 * that is possible: some drivers run narrower subgroups than they report. */
static bool resolve_size(const struct dev *dev, const struct dev_kernel_params *params,
                         uint32_t *size)
{
    const struct dev_caps *caps = &dev->info.caps;
    uint32_t want = params->subgroup_size;
    *size = 0;
    if ((caps->has & DEV_CAP_SUBGROUP_CONTROL) != 0) {
        *size = want != 0 ? want : params->shader->uses_subgroup ? caps->subgroup_size : 0;
    }
    bool fits = want == 0 || (want >= caps->subgroup_min && want <= caps->subgroup_max &&
                              (want & (want - 1)) == 0);
    if (!fits) {
        log_error(dev->log, "kernel %s: subgroup size %u, device %u (%s) has %u to %u",
                  params->shader->name, want, dev->info.index, dev->info.name, caps->subgroup_min,
                  caps->subgroup_max);
    }
    return fits;
}

static struct dev_kernel *find_kernel(struct dev_kernel *first,
                                      const struct dev_kernel_params *params,
                                      const uint32_t *values)
{
    while (first != NULL &&
           (first->shader != params->shader || first->asked_size != params->subgroup_size ||
            memcmp(first->values, values, sizeof first->values) != 0)) {
        first = first->next;
    }
    return first;
}

static struct dev_kernel *add_kernel(struct dev *dev, const struct dev_kernel_params *params,
                                     const uint32_t *values, uint32_t size,
                                     struct dev_kernel **bucket)
{
    struct dev_kernel *kernel = mem_alloc(1, sizeof *kernel);
    if (kernel == NULL) {
        log_error(dev->log, "out of memory for kernel %s", params->shader->name);
        return NULL;
    }
    kernel->shader = params->shader;
    kernel->asked_size = params->subgroup_size;
    kernel->subgroup_size = size;
    memcpy(kernel->values, values, sizeof kernel->values);
    /* who asks for a size relies on every lane being there */
    kernel->full = params->subgroup_size != 0 && size != 0 && dev->phys->full_subgroups &&
                   (dev->phys->tune & TUNE_NO_FULL_SUBGROUPS) == 0;
    atomic_init(&kernel->made, false);
    kernel->next = *bucket;
    *bucket = kernel;
    return kernel;
}

struct dev_kernel *dev_kernel_get(struct dev *dev, const struct dev_kernel_params *params)
{
    uint32_t values[DEV_MAX_SPECS], size;
    if (atomic_load(&dev->lost) || !check_shader(dev, params->shader) ||
        !resolve_specs(dev, params, values) || !resolve_size(dev, params, &size)) {
        return NULL;
    }
    uint32_t key[3] = {params->subgroup_size, size, params->shader->n_specs};
    uint64_t hash = hash_bytes(HASH_SEED, &params->shader, sizeof params->shader);
    hash = hash_bytes(hash, values, sizeof values);
    hash = hash_bytes(hash, key, sizeof key);
    struct kernels *k = &dev->kernels;
    struct dev_kernel **bucket = &k->buckets[hash % KERNEL_BUCKETS];
    pthread_mutex_lock(&k->lock);
    struct dev_kernel *kernel = find_kernel(*bucket, params, values);
    if (kernel == NULL) {
        kernel = add_kernel(dev, params, values, size, bucket);
    }
    if (kernel != NULL && !atomic_load(&kernel->made)) {
        kernel->noted = k->brackets != 0;
        if (!kernel->noted && pipeline_make(dev, &kernel, 1, 1) == 0) {
            kernel = NULL;
        }
    }
    pthread_mutex_unlock(&k->lock);
    return kernel;
}

bool kernel_ensure(struct dev *dev, struct dev_kernel *kernel)
{
    if (atomic_load(&kernel->made)) {
        return true;
    }
    pthread_mutex_lock(&dev->kernels.lock);
    bool ok = atomic_load(&kernel->made) || pipeline_make(dev, &kernel, 1, 1) != 0;
    pthread_mutex_unlock(&dev->kernels.lock);
    return ok;
}

void dev_kernels_begin(struct dev *dev)
{
    pthread_mutex_lock(&dev->kernels.lock);
    dev->kernels.brackets++;
    pthread_mutex_unlock(&dev->kernels.lock);
}

/* Counts the noted kernels that are still to be made; puts them into `out` if that is not NULL. */
static uint32_t list_noted(const struct kernels *k, struct dev_kernel **out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < KERNEL_BUCKETS; i++) {
        for (struct dev_kernel *kernel = k->buckets[i]; kernel != NULL; kernel = kernel->next) {
            if (kernel->noted && !atomic_load(&kernel->made)) {
                if (out != NULL) {
                    out[n] = kernel;
                }
                n++;
            }
        }
    }
    return n;
}

/* A kernel that failed, or whose bracket was given up, must not be tried by the next bracket. */
static void forget_noted(struct kernels *k)
{
    for (uint32_t i = 0; i < KERNEL_BUCKETS; i++) {
        for (struct dev_kernel *kernel = k->buckets[i]; kernel != NULL; kernel = kernel->next) {
            kernel->noted = false;
        }
    }
}

static bool make_noted(struct dev *dev, uint32_t n_threads)
{
    uint32_t n = list_noted(&dev->kernels, NULL);
    if (n == 0 || n_threads == 0 || atomic_load(&dev->lost)) {
        return !atomic_load(&dev->lost);
    }
    struct dev_kernel **list = mem_alloc(n, sizeof(struct dev_kernel *));
    if (list == NULL) {
        log_error(dev->log, "out of memory for a list of %u kernels", n);
        return false;
    }
    uint64_t begin = os_clock_ns();
    list_noted(&dev->kernels, list);
    uint32_t used = pipeline_make(dev, list, n, n_threads);
    mem_free(list);
    if (used != 0) {
        log_info(dev->log, "device %u (%s): %u pipelines on %u threads in %.1f ms", dev->info.index,
                 dev->info.name, n, used, (double)(os_clock_ns() - begin) * 1e-6);
    }
    return used != 0;
}

bool dev_kernels_end(struct dev *dev, uint32_t n_threads)
{
    pthread_mutex_lock(&dev->kernels.lock);
    bool ok = make_noted(dev, n_threads);
    dev->kernels.brackets--;
    if (dev->kernels.brackets == 0) {
        forget_noted(&dev->kernels);
    }
    pthread_mutex_unlock(&dev->kernels.lock);
    return ok;
}
