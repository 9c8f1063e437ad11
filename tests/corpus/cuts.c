/* Files that end too early, at every byte of header, keys and tensor infos; and files of which one
 * bit is wrong, every one of them once. */
#include "corpus.h"

#include <stdio.h>

/* Where the tensor infos end and padding and data begin. */
static size_t head_bytes(const uint8_t *data, size_t bytes)
{
    struct gguf_file *file = gguf_open_memory("whole", data, bytes, NULL);
    size_t end = 0;
    for (uint64_t i = 0; file != NULL && i < gguf_tensor_count(file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(file, i);
        size_t after = (size_t)((const uint8_t *)t->name.text - data) + (size_t)t->name.bytes + 4 +
                       (size_t)t->n_dims * 8 + 12;
        end = after > end ? after : end;
    }
    gguf_close(file);
    return end;
}

void corpus_cuts(struct corpus *corpus)
{
    for (int kind = TINY_SPM; kind <= TINY_BPE; kind++) {
        size_t bytes;
        uint8_t *data = tiny_make((enum tiny_kind)kind, NULL, &bytes);
        size_t head = data != NULL ? head_bytes(data, bytes) : 0;
        corpus_try(corpus, "G02", "whole", CORPUS_GOOD, NULL, data, bytes);
        for (size_t n = 0; n < head; n++) {
            char what[64];
            snprintf(what, sizeof what, "kind %d, %zu of %zu bytes", kind, n, bytes);
            const char *name = n < 24 ? "G01" : "G02";
            corpus_try(corpus, name, what, CORPUS_REFUSED, "corpus.gguf", data, n);
        }
        /* within the tensor data: every byte of the last 64, then steps */
        for (size_t n = head; n < bytes; n += bytes - n <= 64 ? 1 : 37) {
            char what[64];
            snprintf(what, sizeof what, "kind %d, %zu of %zu bytes", kind, n, bytes);
            corpus_try(corpus, "G30", what, CORPUS_REFUSED, "tensor", data, n);
        }
        mem_free(data);
    }
}

void corpus_flips(struct corpus *corpus)
{
    size_t bytes;
    uint8_t *data = tiny_make(TINY_SPM, NULL, &bytes);
    for (size_t bit = 0; data != NULL && bit < bytes * 8; bit++) {
        char what[64];
        snprintf(what, sizeof what, "bit %zu of byte %zu", bit % 8, bit / 8);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        corpus_try(corpus, "G03", what, CORPUS_ANY, NULL, data, bytes);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    mem_free(data);
}
