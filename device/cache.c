/* The pipeline cache on disk. Drivers accept damaged bytes without a word, so the file has a
 * header of ours with the device, the driver, the shaders and a hash of everything; whatever does
 * not match is a miss, and the driver never sees it. Written to a temporary file and renamed. Which
 * files have to go is cache_trim.c's. */
#include "device/internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_VERSION 3u
#define CACHE_LARGEST (64u << 20)  /* of one file */
#define CACHE_ALL     (256u << 20) /* of all of ours in the folder */

/* On disk in the byte order of the machine; another order makes another magic number. No padding:
 * every member is a multiple of 8 with its neighbours. */
struct cache_header {
    uint32_t magic, version;
    uint32_t vendor_id, device_id;
    uint32_t driver_id, driver_version;
    uint32_t api_version, pointer_bytes;
    uint32_t subgroup_size, spare; /* lavapipe's vector width is its environment's choice */
    uint8_t cache_uuid[16], driver_uuid[16];
    uint64_t shader_hash;
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
                             .subgroup_size = dev->phys->info.caps.subgroup_size,
                             .shader_hash = dev->kernels.shader_hash,
                             .payload_bytes = bytes};
    memcpy(h.cache_uuid, info->cache_uuid, 16);
    memcpy(h.driver_uuid, info->driver_uuid, 16);
    h.hash = hash_bytes(hash_bytes(HASH_SEED, &h, sizeof h), data, (size_t)bytes);
    return h;
}

static bool read_all(int fd, void *data, size_t bytes)
{
    uint8_t *p = data;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, p + done, bytes - done);
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

/* The payload and its hash, or NULL and why it is a miss. */
static uint8_t *read_payload(const struct dev *dev, int fd, size_t *bytes, uint64_t *hash,
                             const char **why)
{
    struct cache_header h;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        *why = "not a file";
        return NULL;
    }
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        *why = "another user owns it or may write it";
        return NULL;
    }
    *why = "damaged, or of another device, driver or build";
    if (st.st_size <= (off_t)sizeof h || st.st_size > (off_t)CACHE_LARGEST ||
        !read_all(fd, &h, sizeof h) || h.payload_bytes != (uint64_t)st.st_size - sizeof h) {
        return NULL;
    }
    *bytes = (size_t)h.payload_bytes;
    uint8_t *data = mem_alloc(*bytes, 1);
    if (data != NULL && read_all(fd, data, *bytes)) {
        const struct cache_header want = make_header(dev, data, *bytes);
        if (memcmp(&h, &want, sizeof h) == 0) {
            *hash = h.hash;
            futimens(fd, NULL); /* used now: the last to be removed for room */
            return data;
        }
    }
    mem_free(data);
    return NULL;
}

static uint8_t *read_file(struct dev *dev, size_t *bytes)
{
    struct kernels *k = &dev->kernels;
    const char *why = "there is none";
    uint8_t *data = NULL;
    int fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        data = read_payload(dev, fd, bytes, &k->file_hash, &why);
        close(fd);
    } else if (errno != ENOENT) {
        why = strerror(errno);
    }
    if (data != NULL) {
        log_info(dev->log, "device %u (%s): pipeline cache: hit, %zu bytes: %s", dev->info.index,
                 dev->info.name, *bytes, k->path);
    } else {
        log_info(dev->log, "device %u (%s): pipeline cache: miss, %s: %s", dev->info.index,
                 dev->info.name, why, k->path);
    }
    return data;
}

static void print_hex(struct str *text, const uint8_t *bytes, int n)
{
    for (int i = 0; i < n; i++) {
        str_printf(text, "%02x", bytes[i]);
    }
    str_printf(text, "-");
}

/* One file per kind of device, driver and build, so that several do not overwrite each other. */
static char *make_path(const struct dev *dev, const char *folder)
{
    const struct dev_info *info = &dev->info;
    struct str text;
    str_init(&text);
    str_printf(&text, "%s/" CACHE_PREFIX "%08x-%08x-", folder, info->vendor_id, info->device_id);
    print_hex(&text, info->driver_uuid, 16);
    print_hex(&text, info->cache_uuid, 16);
    str_printf(&text, "%08x-%u-%016llx" CACHE_SUFFIX, info->driver_version,
               dev->phys->info.caps.subgroup_size, (unsigned long long)dev->kernels.shader_hash);
    char *path = text.failed ? NULL : mem_strdup(str_get(&text));
    str_finish(&text);
    return path;
}

void cache_open(struct dev *dev, const struct dev_open_params *params)
{
    struct kernels *k = &dev->kernels;
    size_t bytes = 0;
    uint8_t *data = NULL;
    k->shader_hash = params->shader_hash;
    if (params->cache_dir != NULL) {
        k->folder = mem_strdup(params->cache_dir);
        k->path = k->folder != NULL ? make_path(dev, k->folder) : NULL;
        data = k->path != NULL ? read_file(dev, &bytes) : NULL;
    }
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = data != NULL ? bytes : 0,
                                      .pInitialData = data};
    VkResult result = dev->vk.CreatePipelineCache(dev->handle, &info, NULL, &k->cache);
    if (result != VK_SUCCESS && data != NULL) {
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        k->file_hash = 0;
        result = dev->vk.CreatePipelineCache(dev->handle, &info, NULL, &k->cache);
    }
    if (result != VK_SUCCESS) {
        k->cache = VK_NULL_HANDLE;
        log_debug(dev->log, "device %u (%s): no pipeline cache: %s", dev->info.index,
                  dev->info.name, vk_result_name(result));
    }
    mem_free(data);
}

static bool write_file(const struct cache_header *h, const char *path, const uint8_t *data)
{
    struct str temp;
    str_init(&temp);
    str_printf(&temp, "%s.XXXXXX", path);
    int fd = temp.failed ? -1 : mkstemp(temp.text); /* mode 0600 */
    bool ok = fd >= 0;
    if (ok) {
        ok = write_all(fd, h, sizeof *h) && write_all(fd, data, (size_t)h->payload_bytes);
        ok = close(fd) == 0 && ok;
        ok = ok && rename(temp.text, path) == 0;
        if (!ok) {
            unlink(temp.text);
        }
    }
    str_finish(&temp);
    return ok;
}

static void save_data(struct dev *dev, const uint8_t *data, size_t bytes)
{
    struct kernels *k = &dev->kernels;
    const struct cache_header h = make_header(dev, data, bytes);
    if (h.hash == k->file_hash) {
        return; /* every pipeline came out of the file */
    }
    if (!write_file(&h, k->path, data)) {
        log_debug(dev->log, "pipeline cache %s could not be written: %s", k->path, strerror(errno));
        return;
    }
    log_debug(dev->log, "pipeline cache %s: %zu bytes written", k->path, bytes);
    cache_trim(dev, k->folder, strrchr(k->path, '/') + 1, CACHE_ALL);
}

void cache_save(struct dev *dev)
{
    struct kernels *k = &dev->kernels;
    size_t bytes = 0;
    if (k->path == NULL || k->cache == VK_NULL_HANDLE || !k->dirty || atomic_load(&dev->lost) ||
        dev->vk.GetPipelineCacheData(dev->handle, k->cache, &bytes, NULL) != VK_SUCCESS ||
        bytes == 0) {
        return;
    }
    if (bytes > CACHE_LARGEST - sizeof(struct cache_header)) {
        log_debug(dev->log, "pipeline cache %s: %zu bytes are too many for a file", k->path, bytes);
        return;
    }
    uint8_t *data = mem_alloc(bytes, 1);
    if (data != NULL &&
        dev->vk.GetPipelineCacheData(dev->handle, k->cache, &bytes, data) == VK_SUCCESS &&
        bytes != 0) {
        save_data(dev, data, bytes);
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
