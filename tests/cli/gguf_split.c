/* Cuts a model file into N files, as llama-gguf-split names and marks them: the first one has the
 * metadata. usage: gguf_split IN.gguf PREFIX N */
#include "gguf/gguf.h"
#include "gguf/writer.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool copy_keys(const struct gguf_file *file, struct gguf_writer *w)
{
    for (uint64_t i = 0; i < gguf_kv_count(file); i++) {
        const struct gguf_kv *kv = gguf_kv_at(file, i);
        char key[128];
        size_t head = kv->type == GGUF_ARRAY ? 12 : 0;
        uint8_t *value = mem_alloc((size_t)kv->bytes + head, 1);
        if (value == NULL) {
            return false;
        }
        uint32_t elem = kv->elem;
        memcpy(value, &elem, head != 0 ? sizeof elem : 0);
        memcpy(value + 4, &kv->count, head != 0 ? sizeof kv->count : 0);
        memcpy(value + head, kv->data, (size_t)kv->bytes);
        snprintf(key, sizeof key, "%.*s", (int)kv->key.bytes, kv->key.text);
        gguf_writer_add_raw(w, key, kv->type, value, (size_t)kv->bytes + head);
        mem_free(value);
    }
    return true;
}

static bool write_part(const struct gguf_file *file, const char *prefix, uint32_t i, uint32_t n)
{
    char path[1024];
    uint64_t total = gguf_tensor_count(file);
    struct gguf_writer w;
    gguf_writer_init(&w);
    bool ok = i != 0 || copy_keys(file, &w);
    gguf_writer_add_u32(&w, "split.no", i);
    gguf_writer_add_u32(&w, "split.count", n);
    gguf_writer_add_u32(&w, "split.tensors.count", (uint32_t)total);
    for (uint64_t t = total * i / n; t < total * (i + 1) / n; t++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(file, t);
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)tensor->name.bytes, tensor->name.text);
        gguf_writer_add_tensor(&w, name, tensor->type, tensor->n_dims, tensor->dims,
                               gguf_data(file, tensor), tensor->bytes);
    }
    snprintf(path, sizeof path, "%s-%05u-of-%05u.gguf", prefix, i + 1, n);
    ok = ok && gguf_writer_save(&w, path, gguf_log(file));
    gguf_writer_finish(&w);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    struct log log;
    log_init(&log, NULL, NULL, LOG_INFO);
    struct gguf_file *file = gguf_open(argv[1], &log);
    uint32_t n = (uint32_t)strtoul(argv[3], NULL, 10);
    bool ok = file != NULL;
    for (uint32_t i = 0; i < n && ok; i++) {
        ok = write_part(file, argv[2], i, n);
    }
    gguf_close(file);
    log_finish(&log);
    return ok ? 0 : 1;
}
