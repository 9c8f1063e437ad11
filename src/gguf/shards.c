/* A model in several files, as llama-gguf-split writes them: "<prefix>-00001-of-00003.gguf". The
 * first one has the metadata, each has tensors of its own. Every file is read and checked by
 * itself; then their tensors become one directory. */
#include "gguf/internal.h"

#include "base/mem.h"

#include <stdio.h>

#define SUFFIX_FMT "-%05u-of-%05u.gguf"
enum { SUFFIX_BYTES = 20 };

/* split.no and split.count of a file; a file without them is number 0 of 1. */
static bool read_place(const struct gguf_file *file, uint32_t *number, uint32_t *count)
{
    *number = 0;
    *count = 1;
    enum gguf_result has_count = gguf_get_u32(file, "split.count", count);
    enum gguf_result has_number = gguf_get_u32(file, "split.no", number);
    if (has_count == GGUF_BAD || has_number == GGUF_BAD) {
        return false;
    }
    *count = *count == 0 ? 1 : *count; /* a file that says it is not split */
    if (*count > GGUF_MAX_SHARDS) {
        log_error(file->log, "%s: key split.count: is %u, at most %d files are read", file->path,
                  *count, GGUF_MAX_SHARDS);
        return false;
    }
    if (*number >= *count) {
        log_error(file->log, "%s: key split.no: is %u, must be below split.count, %u", file->path,
                  *number, *count);
        return false;
    }
    if (*count > 1 && has_number == GGUF_ABSENT) {
        log_error(file->log, "%s: key split.no: is missing, but split.count is %u", file->path,
                  *count);
        return false;
    }
    return true;
}

/* Name of file `number` of the same split; NULL, logged, where the name does not end as such names
 * do. */
static char *shard_path(const struct gguf_file *file, uint32_t own, uint32_t number, uint32_t count)
{
    char want[SUFFIX_BYTES + 16];
    size_t n = strlen(file->path);
    snprintf(want, sizeof want, SUFFIX_FMT, own + 1, count);
    if (n < SUFFIX_BYTES || strcmp(file->path + n - SUFFIX_BYTES, want) != 0) {
        log_error(file->log,
                  "%s: keys split.no, split.count: file %u of %u, but the name does not end in %s: "
                  "the other files cannot be found",
                  file->path, own + 1, count, want);
        return NULL;
    }
    char *path = mem_strdup(file->path);
    if (path == NULL) {
        log_error(file->log, "%s: out of memory", file->path);
        return NULL;
    }
    snprintf(want, sizeof want, SUFFIX_FMT, number + 1, count);
    memcpy(path + n - SUFFIX_BYTES, want, SUFFIX_BYTES); /* numbers have no more than 5 digits */
    return path;
}

static struct gguf_file *open_shard(const struct gguf_file *first, uint32_t number, uint32_t count)
{
    char *path = shard_path(first, 0, number, count);
    struct gguf_file *shard = path != NULL ? gguf_open_alone(path, first->log) : NULL;
    uint32_t has_number, has_count;
    mem_free(path);
    if (shard == NULL || !read_place(shard, &has_number, &has_count)) {
        gguf_close(shard);
        return NULL;
    }
    if (has_number != number || has_count != count) {
        log_error(first->log, "%s: keys split.no, split.count: file %u of %u, must be %u of %u",
                  shard->path, has_number + 1, has_count, number + 1, count);
        gguf_close(shard);
        return NULL;
    }
    return shard;
}

/* All tensors in one array and one directory of the first file. */
static bool join_tensors(struct gguf_file *first, uint64_t total)
{
    struct gguf_tensor *all = mem_alloc((size_t)total, sizeof *all);
    if (all == NULL) {
        log_error(first->log, "%s: out of memory for %" PRIu64 " tensors", first->path, total);
        return false;
    }
    memcpy(all, first->tensors, (size_t)first->n_tensors * sizeof *all);
    uint64_t n = first->n_tensors;
    for (uint32_t i = 0; i < first->n_shards; i++) {
        const struct gguf_file *shard = first->shards[i];
        for (uint64_t t = 0; t < shard->n_tensors; t++) {
            all[n] = shard->tensors[t];
            all[n++].shard = i + 1;
        }
    }
    mem_free(first->tensors);
    directory_finish(&first->tensor_dir);
    first->tensors = all;
    first->n_tensors = total;
    if (!directory_init(&first->tensor_dir, all, sizeof *all, total)) {
        log_error(first->log, "%s: out of memory for %" PRIu64 " tensors", first->path, total);
        return false;
    }
    for (uint64_t i = 0; i < total; i++) {
        uint32_t other;
        if (!directory_add(&first->tensor_dir, (uint32_t)i, &other)) {
            log_error(first->log, "%s: tensor " NAME_FMT ": is in file %u and in file %u",
                      first->path, NAME_ARG(all[i].name), all[other].shard + 1, all[i].shard + 1);
            return false;
        }
    }
    return true;
}

static bool check_total(const struct gguf_file *first, uint64_t total)
{
    uint32_t want = (uint32_t)total;
    if (total > GGUF_MAX_TENSORS) {
        log_error(first->log, "%s: %" PRIu64 " tensors in %u files, the limit is %d", first->path,
                  total, first->n_shards + 1, GGUF_MAX_TENSORS);
        return false;
    }
    if (gguf_get_u32(first, "split.tensors.count", &want) == GGUF_BAD) {
        return false;
    }
    if (want != total) {
        log_error(first->log,
                  "%s: key split.tensors.count: is %u, but the %u files have %" PRIu64 " tensors",
                  first->path, want, first->n_shards + 1, total);
        return false;
    }
    return true;
}

/* The other files of the split whose first file this is. */
static bool open_others(struct gguf_file *first, uint32_t count)
{
    uint64_t total = first->n_tensors;
    first->shards = mem_alloc(count - 1, sizeof(struct gguf_file *));
    if (first->shards == NULL) {
        log_error(first->log, "%s: out of memory for %u files", first->path, count);
        return false;
    }
    for (uint32_t i = 1; i < count; i++) {
        struct gguf_file *shard = open_shard(first, i, count);
        if (shard == NULL) {
            return false;
        }
        first->shards[first->n_shards++] = shard;
        total += shard->n_tensors;
    }
    return check_total(first, total) && join_tensors(first, total);
}

struct gguf_file *gguf_open(const char *path, struct log *log)
{
    struct gguf_file *file = gguf_open_alone(path, log);
    uint32_t number, count;
    if (file == NULL || !read_place(file, &number, &count)) {
        goto fail;
    }
    if (number != 0) {
        char *head = shard_path(file, number, 0, count);
        gguf_close(file);
        file = head != NULL ? gguf_open_alone(head, log) : NULL;
        mem_free(head);
        uint32_t has_number, has_count;
        if (file == NULL || !read_place(file, &has_number, &has_count)) {
            goto fail;
        }
        if (has_number != 0 || has_count != count) {
            log_error(log, "%s: keys split.no, split.count: file %u of %u, must be 1 of %u",
                      file->path, has_number + 1, has_count, count);
            goto fail;
        }
    }
    if (count > 1 && !open_others(file, count)) {
        goto fail;
    }
    return file;
fail:
    gguf_close(file);
    return NULL;
}

bool shards_refuse(const struct gguf_file *file)
{
    uint32_t number, count;
    if (!read_place(file, &number, &count)) {
        return true;
    }
    if (count > 1) {
        log_error(file->log, "%s: key split.count: is %u: one file of a split model in memory",
                  file->path, count);
    }
    return count > 1;
}
