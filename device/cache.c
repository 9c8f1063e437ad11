/* The pipeline cache on disk. Drivers accept damaged bytes without a word, so the file has a
 * header of ours with the device, the driver and a hash of everything; whatever does not match is
 * a miss, and the driver never sees it. Written to a temporary file and renamed. */
#include "device/internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_VERSION 1u
#define CACHE_LARGEST (64u << 20)

/* On disk in the byte order of the machine; another order makes another magic number. No padding:
 * every member is a multiple of 8 with its neighbours. */
struct cache_header {
    uint32_t magic, version;
    uint32_t vendor_id, device_id;
    uint32_t driver_id, driver_version;
    uint32_t api_version, pointer_bytes;
    uint8_t cache_uuid[16], driver_uuid[16];
    uint64_t payload_bytes;
    uint64_t hash; /* of the header with hash 0, then the payload */
};

static struct cache_header make_header(const struct dev *dev, const uint8_t *data, uint64_t bytes)
{
    const struct dev_info *info = &dev->info;
    struct cache_header h = {.magic = 0x43504451u, /* "QDPC" */
                             .version = CACHE_VERSION,
                             .vendor_id = info->vendor_id,
                             .device_id = info->device_id,
                             .driver_id = info->driver_id,
                             .driver_version = info->driver_version,
                             .api_version = info->api_version,
                             .pointer_bytes = sizeof(void *),
                             .payload_bytes = bytes};
    memcpy(h.cache_uuid, info->cache_uuid, 16);
    memcpy(h.driver_uuid, info->driver_uuid, 16);
    h.hash = hash_bytes(hash_bytes(HASH_SEED, &h, sizeof h), data, (size_t)bytes);
    return h;
}

static bool read_all(int fd, uint8_t *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, data + done, bytes - done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, p + done, bytes - done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* The payload, NULL for a miss. */
static uint8_t *read_file(const struct dev *dev, const char *path, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    uint8_t *data = NULL;
    struct cache_header h;
    struct stat st;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > (off_t)sizeof h &&
              st.st_size <= (off_t)CACHE_LARGEST && read_all(fd, (uint8_t *)&h, sizeof h);
    ok = ok && h.payload_bytes == (uint64_t)st.st_size - sizeof h;
    if (ok) {
        *bytes = (size_t)h.payload_bytes;
        data = mem_alloc(*bytes, 1);
        ok = data != NULL && read_all(fd, data, *bytes);
    }
    close(fd);
    if (ok) {
        const struct cache_header want = make_header(dev, data, *bytes);
        ok = memcmp(&h, &want, sizeof h) == 0;
    }
    if (!ok) {
        log_debug(dev->log, "pipeline cache %s: not for this device, or damaged: ignored", path);
        mem_free(data);
        return NULL;
    }
    return data;
}

/* One file per kind of device and driver, so that several do not overwrite each other. */
static char *make_path(const struct dev *dev, const char *dir)
{
    struct str text;
    str_init(&text);
    str_printf(&text, "%s/pipelines-%08x-%08x-", dir, dev->info.vendor_id, dev->info.device_id);
    for (int i = 0; i < 16; i++) {
        str_printf(&text, "%02x", dev->info.cache_uuid[i]);
    }
    str_printf(&text, ".bin");
    char *path = text.failed ? NULL : mem_strdup(str_get(&text));
    str_finish(&text);
    return path;
}

void cache_open(struct dev *dev, const char *dir)
{
    struct kernels *k = &dev->kernels;
    size_t bytes = 0;
    uint8_t *data = NULL;
    if (dir != NULL) {
        k->path = make_path(dev, dir);
        data = k->path != NULL ? read_file(dev, k->path, &bytes) : NULL;
    }
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = data != NULL ? bytes : 0,
                                      .pInitialData = data};
    VkResult result = dev->vk.CreatePipelineCache(dev->handle, &info, NULL, &k->cache);
    if (result != VK_SUCCESS && data != NULL) {
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        result = dev->vk.CreatePipelineCache(dev->handle, &info, NULL, &k->cache);
    }
    if (result != VK_SUCCESS) {
        k->cache = VK_NULL_HANDLE;
        log_debug(dev->log, "device %u (%s): no pipeline cache: %s", dev->info.index,
                  dev->info.name, vk_result_name(result));
    }
    mem_free(data);
}

static bool write_file(const struct dev *dev, const char *path, const uint8_t *data, size_t bytes)
{
    struct str temp;
    str_init(&temp);
    str_printf(&temp, "%s.XXXXXX", path);
    int fd = temp.failed ? -1 : mkstemp(temp.text); /* mode 0600 */
    bool ok = fd >= 0;
    if (ok) {
        const struct cache_header h = make_header(dev, data, bytes);
        ok = write_all(fd, &h, sizeof h) && write_all(fd, data, bytes);
        ok = close(fd) == 0 && ok;
        ok = ok && rename(temp.text, path) == 0;
        if (!ok) {
            unlink(temp.text);
        }
    }
    str_finish(&temp);
    return ok;
}

void cache_save(struct dev *dev)
{
    struct kernels *k = &dev->kernels;
    size_t bytes = 0;
    if (k->path == NULL || k->cache == VK_NULL_HANDLE || !k->dirty || atomic_load(&dev->lost) ||
        dev->vk.GetPipelineCacheData(dev->handle, k->cache, &bytes, NULL) != VK_SUCCESS ||
        bytes == 0 || bytes > CACHE_LARGEST - sizeof(struct cache_header)) {
        return;
    }
    uint8_t *data = mem_alloc(bytes, 1);
    if (data != NULL &&
        dev->vk.GetPipelineCacheData(dev->handle, k->cache, &bytes, data) == VK_SUCCESS &&
        bytes != 0 && !write_file(dev, k->path, data, bytes)) {
        log_debug(dev->log, "pipeline cache %s could not be written", k->path);
    }
    mem_free(data);
}

void cache_close(struct dev *dev)
{
    if (dev->kernels.cache != VK_NULL_HANDLE) {
        dev->vk.DestroyPipelineCache(dev->handle, dev->kernels.cache, NULL);
        dev->kernels.cache = VK_NULL_HANDLE;
    }
}
