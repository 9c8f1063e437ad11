/* What the operating system knows: files mapped for reading, memory, time, names of folders. */
#ifndef QUADRIGA_BASE_OS_H
#define QUADRIGA_BASE_OS_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

/* A whole file mapped read-only. A file that shrinks while mapped raises SIGBUS: callers keep the
 * descriptor's size check (os_map_check) before long reads. */
struct os_map {
    const uint8_t *data;
    size_t bytes;
    int fd;
};
/* Regular files only; names the path in its error. An empty file is an error. */
bool os_map_open(struct os_map *map, const char *path, struct log *log);
void os_map_close(struct os_map *map);
/* Tells the kernel that [offset, offset + bytes) is not needed again: it leaves our resident set.
 */
void os_map_drop(const struct os_map *map, size_t offset, size_t bytes);
/* Bytes of the file without touching the mapping: a file that has shrunk is an error (errno, 0: its
 * end), no SIGBUS, and nothing stays resident. The range lies in the mapping. Any thread. */
bool os_map_read(const struct os_map *map, size_t offset, void *out, size_t bytes);
/* False when the file is now shorter than the mapping. */
bool os_map_check(const struct os_map *map);

/* Whole text of a file or, for "-", of standard input; at most `limit` bytes. NUL-terminated.
 * Free with mem_free. Errors name the path. */
char *os_read_text(const char *path, size_t limit, size_t *bytes, struct log *log);

uint64_t os_mem_available(void); /* bytes: MemAvailable of /proc/meminfo; 0 when unknown */
uint64_t os_mem_total(void);     /* bytes */
uint64_t os_peak_rss(void);      /* bytes: highest resident set of this process so far (VmHWM) */
uint64_t os_clock_ns(void);      /* monotonic */
/* A debug line, "start-up: <phase>: 1.2 ms", of the time since *begin_ns, which becomes now. */
void os_log_phase(struct log *log, const char *phase, uint64_t *begin_ns);
uint32_t os_core_count(void); /* those this process may run on */
/* Threads for each of `sharers` parties that work at once: cores / sharers, 1 to 16. */
uint32_t os_thread_share(uint32_t sharers);
uint64_t os_cache_bytes(void); /* of the largest cache of core 0; 0 when unknown */
/* Folder for caches ($QUADRIGA_CACHE, else $XDG_CACHE_HOME/quadriga, else ~/.cache/quadriga),
 * created with mode 0700; false when there is none. */
bool os_cache_dir(char *out, size_t out_bytes);

#endif
