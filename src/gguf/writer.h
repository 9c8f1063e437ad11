/* Writes small GGUF files: for tests and tools. Keys and tensors are collected in memory; tensor
 * data is not copied and must stay alive until the file is written. Nothing is checked: bad files
 * are what tests want. After a failed allocation `failed` is set and later calls do nothing. Thread
 * rule: one writer, one thread at a time. */
#ifndef QUADRIGA_GGUF_WRITER_H
#define QUADRIGA_GGUF_WRITER_H

#include "gguf/gguf.h"

#include "base/str.h"

struct gguf_writer_data {
    const void *data;
    uint64_t bytes;
};

struct gguf_writer {
    uint32_t version;      /* 3 after init; may be set */
    uint64_t alignment;    /* 32 after init; see gguf_writer_align */
    struct str kvs, infos; /* as they lie in the file */
    uint64_t n_kvs, n_tensors;
    struct gguf_writer_data *data; /* one per tensor */
    size_t cap_data;
    uint64_t data_bytes; /* of the data section so far, padded */
    bool failed;
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_writer_finish(struct gguf_writer *w);

/* `bytes` raw bytes as the value (after the type number; an array's head included by the caller).
 */
void gguf_writer_add_raw(struct gguf_writer *w, const char *key, uint32_t type, const void *value,
                         size_t bytes);
void gguf_writer_add_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_writer_add_f32(struct gguf_writer *w, const char *key, float value);
void gguf_writer_add_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_add_str(struct gguf_writer *w, const char *key, const char *value);
/* `count` elements of a fixed-size type. */
void gguf_writer_add_array(struct gguf_writer *w, const char *key, enum gguf_type elem,
                           const void *values, uint64_t count);
void gguf_writer_add_strs(struct gguf_writer *w, const char *key, const struct gguf_str *values,
                          uint64_t count);
/* Sets general.alignment and pads by it; before the first tensor. */
void gguf_writer_align(struct gguf_writer *w, uint32_t alignment);

/* Info of a tensor whose data follows that of the last one, padded to the alignment. dims has
 * n_dims values. data NULL: zeros. */
void gguf_writer_add_tensor(struct gguf_writer *w, const char *name, uint32_t ggml_type,
                            uint32_t n_dims, const uint64_t *dims, const void *data,
                            uint64_t bytes);

/* The whole file in memory: free with mem_free. NULL: out of memory. */
uint8_t *gguf_writer_build(const struct gguf_writer *w, size_t *bytes);
/* Writes it to a path. False: logged. */
bool gguf_writer_save(const struct gguf_writer *w, const char *path, struct log *log);

#endif
