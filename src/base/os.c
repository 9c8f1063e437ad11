/* POSIX and Linux behind os.h. */
#define _GNU_SOURCE
#include "base/os.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool os_map_open(struct os_map *map, const char *path, struct log *log)
{
    *map = (struct os_map){.fd = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        log_error(log, "%s: cannot open: %s", path, strerror(errno));
        return false;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        log_error(log, "%s: cannot stat: %s", path, strerror(errno));
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        log_error(log, "%s: not a regular file", path);
        goto fail;
    }
    if (st.st_size <= 0) {
        log_error(log, "%s: the file is empty", path);
        goto fail;
    }
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        log_error(log, "%s: cannot map %lld bytes: %s", path, (long long)st.st_size,
                  strerror(errno));
        goto fail;
    }
    *map = (struct os_map){.data = data, .bytes = (size_t)st.st_size, .fd = fd};
    return true;
fail:
    close(fd);
    return false;
}

void os_map_close(struct os_map *map)
{
    if (map->data != NULL) {
        munmap((void *)(uintptr_t)map->data, map->bytes);
        close(map->fd);
    }
    *map = (struct os_map){.fd = -1};
}

void os_map_drop(const struct os_map *map, size_t offset, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (size_t)size_round(offset, page), end = (offset + bytes) / page * page;
    if (map->data != NULL && begin < end && end <= map->bytes) {
        madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED);
    }
}

bool os_map_read(const struct os_map *map, size_t offset, void *out, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        errno = 0;
        ssize_t n = pread(map->fd, (uint8_t *)out + done, bytes - done, (off_t)(offset + done));
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool os_map_check(const struct os_map *map)
{
    struct stat st;
    return fstat(map->fd, &st) == 0 && (uint64_t)st.st_size >= map->bytes;
}

char *os_read_text(const char *path, size_t limit, size_t *bytes, struct log *log)
{
    bool std = strcmp(path, "-") == 0;
    FILE *in = std ? stdin : fopen(path, "rbe");
    if (in == NULL) {
        log_error(log, "%s: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    char *text = NULL;
    size_t used = 0, cap = 0;
    for (;;) {
        if (cap - used < 2) {
            size_t more = cap != 0 ? cap * 2 : 1 << 16;
            char *grown = mem_resize(text, more, 1);
            if (grown == NULL) {
                log_error(log, "%s: out of memory after %zu bytes", path, used);
                goto fail;
            }
            text = grown;
            cap = more;
        }
        size_t n = fread(text + used, 1, cap - used - 1, in);
        used += n;
        if (used > limit) {
            log_error(log, "%s: longer than %zu bytes", path, limit);
            goto fail;
        }
        if (n == 0) {
            break;
        }
    }
    if (ferror(in)) {
        log_error(log, "%s: cannot read: %s", path, strerror(errno));
        goto fail;
    }
    if (!std) {
        fclose(in);
    }
    text[used] = '\0';
    *bytes = used;
    return text;
fail:
    if (!std) {
        fclose(in);
    }
    mem_free(text);
    return NULL;
}

/* Value in bytes of a "Name:   123 kB" line. */
static uint64_t proc_value(const char *path, const char *name)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        return 0;
    }
    char line[256];
    uint64_t value = 0;
    size_t n = strlen(name);
    while (fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            value = strtoull(line + n + 1, NULL, 10) * 1024;
            break;
        }
    }
    fclose(in);
    return value;
}

uint64_t os_mem_available(void)
{
    return proc_value("/proc/meminfo", "MemAvailable");
}

uint64_t os_mem_total(void)
{
    return proc_value("/proc/meminfo", "MemTotal");
}

uint64_t os_peak_rss(void)
{
    uint64_t peak = proc_value("/proc/self/status", "VmHWM");
    if (peak != 0) {
        return peak;
    }
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) == 0 ? (uint64_t)use.ru_maxrss * 1024 : 0;
}

uint64_t os_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

void os_log_phase(struct log *log, const char *phase, uint64_t *begin_ns)
{
    uint64_t now = os_clock_ns();
    log_debug(log, "start-up: %s: %.1f ms", phase, (double)(now - *begin_ns) / 1e6);
    *begin_ns = now;
}

uint32_t os_core_count(void)
{
    cpu_set_t set;
    int mine = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    long n = mine > 0 ? mine : sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

uint64_t os_cache_bytes(void)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < 8; i++) {
        char path[80], line[32] = "", *end;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%u/size", i);
        FILE *in = fopen(path, "re");
        if (in == NULL) {
            break;
        }
        char *got = fgets(line, sizeof line, in);
        fclose(in);
        uint64_t bytes = got != NULL ? strtoull(line, &end, 10) : 0;
        if (got != NULL) {
            bytes *= *end == 'K' ? 1u << 10 : *end == 'M' ? 1u << 20 : 1;
        }
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

uint32_t os_thread_share(uint32_t sharers)
{
    enum { MOST = 16 };
    uint32_t n = os_core_count() / (sharers != 0 ? sharers : 1);
    return n < 1 ? 1 : n > MOST ? MOST : n;
}

bool os_cache_dir(char *out, size_t out_bytes)
{
    const char *own = getenv("QUADRIGA_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int n = 0;
    if (own != NULL && own[0] != '\0') {
        n = snprintf(out, out_bytes, "%s", own);
    } else if (xdg != NULL && xdg[0] == '/') {
        mkdir(xdg, 0700);
        n = snprintf(out, out_bytes, "%s/quadriga", xdg);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(out, out_bytes, "%s/.cache", home);
        if (n > 0 && (size_t)n < out_bytes) {
            mkdir(out, 0700);
        }
        n = snprintf(out, out_bytes, "%s/.cache/quadriga", home);
    }
    if (n <= 0 || (size_t)n >= out_bytes) {
        return false;
    }
    return mkdir(out, 0700) == 0 || errno == EEXIST;
}
