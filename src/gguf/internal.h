/* The opened file, shared by the files of this room only. */
#ifndef QUADRIGA_GGUF_INTERNAL_H
#define QUADRIGA_GGUF_INTERNAL_H

#include "gguf/gguf.h"

#include "base/os.h"

#include <inttypes.h>
#include <string.h>

/* Names by hash. An open-addressed table of indices + 1 into an array whose elements begin with
 * their name. The hash has a secret base, so that nobody can write a file full of collisions. */
struct directory {
    const char *items; /* array of elements of `stride` bytes, each beginning with a gguf_str */
    size_t stride;
    uint32_t *slots;  /* 0: free */
    uint64_t n_slots; /* a power of two, at least twice the items */
    uint64_t base;    /* secret, below the modulus */
};

/* Room for `count` items. False: out of memory. */
bool directory_init(struct directory *dir, const void *items, size_t stride, uint64_t count);
void directory_finish(struct directory *dir);
/* Adds item `index`. False when an item of this name is there; then `*other` is its index. */
bool directory_add(struct directory *dir, uint32_t index, uint32_t *other);
const void *directory_find(const struct directory *dir, const char *name, uint64_t bytes);

struct gguf_file {
    char *path;
    struct log *log;
    struct os_map map; /* data NULL: memory of the caller */
    const uint8_t *data;
    uint64_t bytes;
    uint32_t version;
    uint64_t n_kvs, n_tensors;
    struct gguf_kv *kvs;
    struct gguf_tensor *tensors;
    struct directory kv_dir, tensor_dir;
    struct gguf_file **shards; /* of a split model: the files behind this one; their tensors are in
                                  `tensors` too */
    uint32_t n_shards;
};

/* Reading position. Every read is checked against `bytes`. */
struct cursor {
    const struct gguf_file *file;
    uint64_t pos;
};

static inline uint64_t cursor_left(const struct cursor *cur)
{
    return cur->file->bytes - cur->pos;
}

/* False, position unchanged, when fewer than n bytes are left. */
static inline bool cursor_take(struct cursor *cur, void *out, size_t n)
{
    if (cursor_left(cur) < n) {
        return false;
    }
    memcpy(out, cur->file->data + cur->pos, n);
    cur->pos += n;
    return true;
}

/* True when all bytes are printable ASCII; else `*at` is the first that is not. */
bool text_is_plain(const struct gguf_str *text, uint64_t *at);

/* tensors.c: reads n_tensors infos at the cursor, then checks where the data lies. */
bool tensors_read(struct gguf_file *file, struct cursor *cur);

/* reader.c: opens and reads one file, whether or not it is part of a split model. */
struct gguf_file *gguf_open_alone(const char *path, struct log *log);
/* shards.c: true, logged, where the file is only a part of a model or says nonsense about it. */
bool shards_refuse(const struct gguf_file *file);

/* Bytes of one value; 0 for strings and arrays. */
uint32_t value_bytes(enum gguf_type type);

/* A name in an error line: at most 64 bytes of it. */
#define NAME_FMT       "%.*s"
#define NAME_ARG(name) (int)((name).bytes < 64 ? (name).bytes : 64), (name).text

#endif
