/* The small writer behind writer.h: header, keys, infos, then padded tensor data. */
#include "gguf/writer.h"

#include "gguf/internal.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

void gguf_writer_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){.version = 3, .alignment = 32};
    str_init(&w->kvs);
    str_init(&w->infos);
}

void gguf_writer_finish(struct gguf_writer *w)
{
    str_finish(&w->kvs);
    str_finish(&w->infos);
    mem_free(w->data);
    *w = (struct gguf_writer){0};
}

static void add(struct str *out, const void *data, size_t bytes)
{
    str_add(out, data, bytes);
}

static void add_text(struct str *out, const char *text, uint64_t bytes)
{
    add(out, &bytes, sizeof bytes);
    add(out, text, (size_t)bytes);
}

static void add_head(struct gguf_writer *w, const char *key, uint32_t type)
{
    add_text(&w->kvs, key, strlen(key));
    add(&w->kvs, &type, sizeof type);
    w->n_kvs++;
}

void gguf_writer_add_raw(struct gguf_writer *w, const char *key, uint32_t type, const void *value,
                         size_t bytes)
{
    add_head(w, key, type);
    add(&w->kvs, value, bytes);
}

void gguf_writer_add_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    gguf_writer_add_raw(w, key, GGUF_U32, &value, sizeof value);
}

void gguf_writer_add_f32(struct gguf_writer *w, const char *key, float value)
{
    gguf_writer_add_raw(w, key, GGUF_F32, &value, sizeof value);
}

void gguf_writer_add_bool(struct gguf_writer *w, const char *key, bool value)
{
    uint8_t byte = value ? 1 : 0;
    gguf_writer_add_raw(w, key, GGUF_BOOL, &byte, 1);
}

void gguf_writer_add_str(struct gguf_writer *w, const char *key, const char *value)
{
    add_head(w, key, GGUF_STRING);
    add_text(&w->kvs, value, strlen(value));
}

static void add_array_head(struct gguf_writer *w, const char *key, uint32_t elem, uint64_t count)
{
    add_head(w, key, GGUF_ARRAY);
    add(&w->kvs, &elem, sizeof elem);
    add(&w->kvs, &count, sizeof count);
}

void gguf_writer_add_array(struct gguf_writer *w, const char *key, enum gguf_type elem,
                           const void *values, uint64_t count)
{
    add_array_head(w, key, elem, count);
    add(&w->kvs, values, (size_t)count * value_bytes(elem));
}

void gguf_writer_add_strs(struct gguf_writer *w, const char *key, const struct gguf_str *values,
                          uint64_t count)
{
    add_array_head(w, key, GGUF_STRING, count);
    for (uint64_t i = 0; i < count; i++) {
        add_text(&w->kvs, values[i].text, values[i].bytes);
    }
}

void gguf_writer_align(struct gguf_writer *w, uint32_t alignment)
{
    gguf_writer_add_u32(w, "general.alignment", alignment);
    w->alignment = alignment != 0 ? alignment : 1;
}

void gguf_writer_add_tensor(struct gguf_writer *w, const char *name, uint32_t ggml_type,
                            uint32_t n_dims, const uint64_t *dims, const void *data, uint64_t bytes)
{
    if (w->failed ||
        !mem_grow((void **)&w->data, &w->cap_data, (size_t)w->n_tensors, sizeof *w->data)) {
        w->failed = true;
        return;
    }
    add_text(&w->infos, name, strlen(name));
    add(&w->infos, &n_dims, sizeof n_dims);
    add(&w->infos, dims, n_dims * sizeof *dims);
    add(&w->infos, &ggml_type, sizeof ggml_type);
    add(&w->infos, &w->data_bytes, sizeof w->data_bytes);
    w->data[w->n_tensors++] = (struct gguf_writer_data){.data = data, .bytes = bytes};
    w->data_bytes = size_round(w->data_bytes + bytes, w->alignment);
}

/* ---- output: the same sequence of pieces to memory or to a file ---- */

struct sink {
    uint8_t *memory; /* or NULL */
    FILE *file;      /* or NULL */
    uint64_t pos;
    bool failed;
};

static void put(struct sink *sink, const void *data, uint64_t bytes)
{
    if (sink->memory != NULL && bytes != 0) {
        memcpy(sink->memory + sink->pos, data, (size_t)bytes);
    } else if (sink->file != NULL) {
        sink->failed |= fwrite(data, 1, (size_t)bytes, sink->file) != bytes;
    }
    sink->pos += bytes;
}

static void put_zeros(struct sink *sink, uint64_t bytes)
{
    static const uint8_t ZEROS[4096];
    while (bytes != 0) {
        uint64_t n = bytes < sizeof ZEROS ? bytes : sizeof ZEROS;
        put(sink, ZEROS, n);
        bytes -= n;
    }
}

static void put_all(const struct gguf_writer *w, struct sink *sink)
{
    put(sink, "GGUF", 4);
    put(sink, &w->version, sizeof w->version);
    put(sink, &w->n_tensors, sizeof w->n_tensors);
    put(sink, &w->n_kvs, sizeof w->n_kvs);
    put(sink, str_get(&w->kvs), w->kvs.bytes);
    put(sink, str_get(&w->infos), w->infos.bytes);
    for (uint64_t i = 0; i < w->n_tensors; i++) {
        put_zeros(sink, size_round(sink->pos, w->alignment) - sink->pos);
        if (w->data[i].data != NULL) {
            put(sink, w->data[i].data, w->data[i].bytes);
        } else {
            put_zeros(sink, w->data[i].bytes);
        }
    }
}

static bool has_failed(const struct gguf_writer *w)
{
    return w->failed || w->kvs.failed || w->infos.failed;
}

uint8_t *gguf_writer_build(const struct gguf_writer *w, size_t *bytes)
{
    struct sink sink = {0};
    if (has_failed(w)) {
        return NULL;
    }
    put_all(w, &sink); /* into nothing: measures */
    *bytes = (size_t)sink.pos;
    sink = (struct sink){.memory = mem_alloc(*bytes, 1)};
    if (sink.memory != NULL) {
        put_all(w, &sink);
    }
    return sink.memory;
}

bool gguf_writer_save(const struct gguf_writer *w, const char *path, struct log *log)
{
    if (has_failed(w)) {
        log_error(log, "%s: out of memory while the file was put together", path);
        return false;
    }
    struct sink sink = {.file = fopen(path, "wbe")};
    if (sink.file == NULL) {
        log_error(log, "%s: cannot create: %s", path, strerror(errno));
        return false;
    }
    put_all(w, &sink);
    bool closed = fclose(sink.file) == 0;
    if (sink.failed || !closed) {
        log_error(log, "%s: cannot write %" PRIu64 " bytes: %s", path, sink.pos, strerror(errno));
        return false;
    }
    return true;
}
