/* Tensors by weight format. */
#include "cli/formats.h"

#include "cli/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cli_format *get_format(struct cli_formats *formats, const char *name)
{
    for (size_t i = 0; i < formats->count; i++) {
        if (strcmp(formats->list[i].name, name) == 0) {
            return &formats->list[i];
        }
    }
    if (formats->count == formats->cap) {
        size_t cap = formats->cap * 2 + 8;
        struct cli_format *grown = cli_resize(formats->list, cap, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        formats->list = grown;
        formats->cap = cap;
    }
    struct cli_format *format = &formats->list[formats->count++];
    *format = (struct cli_format){0};
    snprintf(format->name, sizeof format->name, "%s", name);
    return format;
}

static int by_bytes(const void *a, const void *b)
{
    const struct cli_format *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes)
                                : strcmp(x->name, y->name);
}

bool cli_formats_init(struct cli_formats *formats, qd_model *model)
{
    struct qd_tensor_info tensor;
    *formats = (struct cli_formats){0};
    while (qd_model_get_tensor(model, formats->tensors, &tensor)) {
        struct cli_format *format = get_format(formats, tensor.type);
        if (format == NULL) {
            return false;
        }
        uint64_t elements = tensor.rows * tensor.cols;
        format->tensors++;
        format->elements += elements;
        format->bytes += tensor.bytes;
        formats->tensors++;
        formats->elements += elements;
        formats->bytes += tensor.bytes;
    }
    if (formats->count != 0) {
        qsort(formats->list, formats->count, sizeof *formats->list, by_bytes);
    }
    return true;
}

void cli_formats_finish(struct cli_formats *formats)
{
    cli_free(formats->list);
    *formats = (struct cli_formats){0};
}
