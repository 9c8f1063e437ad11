/* Room in the folder of the pipeline cache: the files that were not used for longest go first.
 * Looks only at names and owners; what a file holds is cache.c's. All failures are silent. */
#include "device/internal.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEMP_SECONDS = 3600, TEMP_LETTERS = 7 /* ".XXXXXX" of mkstemp */ };

struct cache_file {
    char *name;
    uint64_t bytes;
    struct timespec used;
};

struct cache_files {
    struct cache_file *list;
    size_t n, cap;
    uint64_t bytes;
};

static bool is_ours(const char *name, size_t extra)
{
    size_t n = strlen(name), prefix = strlen(CACHE_PREFIX), suffix = strlen(CACHE_SUFFIX);
    return n > prefix + suffix + extra && strncmp(name, CACHE_PREFIX, prefix) == 0 &&
           strncmp(name + n - extra - suffix, CACHE_SUFFIX, suffix) == 0;
}

static bool is_temp(const char *name)
{
    return is_ours(name, TEMP_LETTERS) && name[strlen(name) - TEMP_LETTERS] == '.';
}

static void add_file(struct cache_files *files, const char *name, const struct stat *st)
{
    if (!mem_grow((void **)&files->list, &files->cap, files->n, sizeof *files->list)) {
        return;
    }
    char *copy = mem_strdup(name);
    if (copy != NULL) {
        files->list[files->n++] = (struct cache_file){copy, (uint64_t)st->st_size, st->st_mtim};
        files->bytes += (uint64_t)st->st_size;
    }
}

static bool is_older(const struct cache_file *a, const struct cache_file *b)
{
    return a->used.tv_sec != b->used.tv_sec ? a->used.tv_sec < b->used.tv_sec
                                            : a->used.tv_nsec < b->used.tv_nsec;
}

static void remove_oldest(const struct dev *dev, int folder, struct cache_files *files,
                          const char *keep, uint64_t cap)
{
    while (files->bytes > cap) {
        struct cache_file *oldest = NULL;
        for (size_t i = 0; i < files->n; i++) {
            struct cache_file *f = &files->list[i];
            if (f->bytes != 0 && strcmp(f->name, keep) != 0 &&
                (oldest == NULL || is_older(f, oldest))) {
                oldest = f;
            }
        }
        if (oldest == NULL) {
            break;
        }
        if (unlinkat(folder, oldest->name, 0) == 0) {
            log_debug(dev->log, "pipeline cache: %s removed for room", oldest->name);
        }
        files->bytes -= oldest->bytes;
        oldest->bytes = 0; /* done with */
    }
}

void cache_trim(const struct dev *dev, const char *folder, const char *keep, uint64_t cap)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    struct cache_files files = {0};
    time_t now = time(NULL);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        struct stat st;
        bool temp = is_temp(e->d_name);
        if ((!temp && !is_ours(e->d_name, 0)) ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
            st.st_uid != geteuid()) {
            continue;
        }
        if (!temp) {
            add_file(&files, e->d_name, &st);
        } else if (now - st.st_mtime > TEMP_SECONDS) {
            unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    remove_oldest(dev, dirfd(dir), &files, keep, cap);
    closedir(dir);
    for (size_t i = 0; i < files.n; i++) {
        mem_free(files.list[i].name);
    }
    mem_free(files.list);
}
