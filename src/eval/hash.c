/* Fingerprints, so that an evaluation that goes on is the same one. */
#include "eval/eval.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return text != NULL ? hash_bytes(hash, text, strlen(text) + 1) : hash;
}

uint64_t eval_hash_set(const struct eval_set *set)
{
    uint64_t hash = HASH_SEED;
    for (size_t i = 0; i < set->n; i++) {
        const struct eval_task *task = &set->tasks[i];
        hash = hash_bytes(hash, &task->label, sizeof task->label);
        hash = hash_text(hash, task->context);
        hash = hash_text(hash, task->activity);
        hash = hash_text(hash, task->ctx_a);
        hash = hash_text(hash, task->ctx_b);
        for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
            hash = hash_text(hash, task->ending[e]);
        }
    }
    return hash;
}

bool eval_hash_file(const char *path, uint64_t *hash, struct log *log)
{
    enum { END = 1 << 20 };
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = mem_alloc(END, 1);
    long length = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    bool ok = bytes != NULL && length >= 0;
    *hash = hash_bytes(HASH_SEED, &length, sizeof length);
    for (int i = 0; i < 2 && ok; i++) {
        ok = fseek(file, i == 0 || length < END ? 0 : length - END, SEEK_SET) == 0;
        size_t n = ok ? fread(bytes, 1, END, file) : 0;
        ok = ok && ferror(file) == 0;
        *hash = hash_bytes(*hash, bytes, n);
    }
    if (!ok) {
        log_error(log, "%s: cannot be read: %s", path,
                  bytes != NULL ? strerror(errno) : "out of memory");
    }
    mem_free(bytes);
    if (file != NULL) {
        fclose(file);
    }
    return ok;
}
