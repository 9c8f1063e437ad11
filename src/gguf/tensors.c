/* The tensor directory: names, shapes and types, then where the data lies: aligned, inside the
 * file, no two tensors over each other. */
#include "gguf/internal.h"

#include "base/ggml_types.h"
#include "base/mem.h"

#include <stdlib.h>

enum { DEFAULT_ALIGN = 32, MAX_DIMS = 4 };

static bool info_cut(const struct cursor *cur, uint64_t i)
{
    log_error(cur->file->log,
              "%s: tensor %" PRIu64 " of %" PRIu64 ": its info is cut off by the end of the file",
              cur->file->path, i, cur->file->n_tensors);
    return false;
}

static bool read_name(struct cursor *cur, uint64_t i, struct gguf_str *name)
{
    const struct gguf_file *file = cur->file;
    uint64_t at;
    if (!cursor_take(cur, &name->bytes, 8)) {
        return info_cut(cur, i);
    }
    if (name->bytes == 0 || name->bytes > GGUF_MAX_NAME) {
        log_error(file->log,
                  "%s: tensor %" PRIu64 ": name of %" PRIu64 " bytes, 1 to %d are allowed",
                  file->path, i, name->bytes, GGUF_MAX_NAME);
        return false;
    }
    if (name->bytes > cursor_left(cur)) {
        return info_cut(cur, i);
    }
    name->text = (const char *)file->data + cur->pos;
    cur->pos += name->bytes;
    if (!text_is_plain(name, &at)) {
        log_error(file->log,
                  "%s: tensor %" PRIu64 ": byte %" PRIu64
                  " of the name is 0x%02x, names are printable ASCII",
                  file->path, i, at, (unsigned char)name->text[at]);
        return false;
    }
    return true;
}

/* Type and dimensions -> bytes. */
static bool set_bytes(const struct gguf_file *file, struct gguf_tensor *t)
{
    uint32_t block_cols, block_bytes;
    if (!ggml_types_block(t->type, &block_cols, &block_bytes)) {
        log_error(file->log, "%s: tensor " NAME_FMT ": type %" PRIu32 " does not exist", file->path,
                  NAME_ARG(t->name), t->type);
        return false;
    }
    if (t->dims[0] % block_cols != 0) {
        log_error(file->log,
                  "%s: tensor " NAME_FMT ": %" PRIu64 " columns, %s needs a multiple of %" PRIu32,
                  file->path, NAME_ARG(t->name), t->dims[0], ggml_types_name(t->type), block_cols);
        return false;
    }
    /* counted with zeros as ones: then no product of dimensions overflows for anybody */
    uint64_t count = 1;
    for (uint32_t d = 0; d < MAX_DIMS; d++) {
        if (!size_mul(count, t->dims[d] != 0 ? t->dims[d] : 1, &count) || count > INT64_MAX) {
            goto too_large;
        }
    }
    uint64_t bytes;
    if (!size_mul(t->dims[0] / block_cols, block_bytes, &bytes)) {
        goto too_large;
    }
    for (uint32_t d = 1; d < MAX_DIMS; d++) {
        if (!size_mul(bytes, t->dims[d], &bytes)) {
            goto too_large;
        }
    }
    t->bytes = bytes;
    return true;
too_large:
    log_error(file->log,
              "%s: tensor " NAME_FMT ": shape [%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
              "] overflows the address space",
              file->path, NAME_ARG(t->name), t->dims[0], t->dims[1], t->dims[2], t->dims[3]);
    return false;
}

static bool read_info(struct cursor *cur, uint64_t i, struct gguf_tensor *t)
{
    const struct gguf_file *file = cur->file;
    if (!read_name(cur, i, &t->name)) {
        return false;
    }
    if (!cursor_take(cur, &t->n_dims, 4)) {
        return info_cut(cur, i);
    }
    if (t->n_dims == 0 || t->n_dims > MAX_DIMS) {
        log_error(file->log, "%s: tensor " NAME_FMT ": n_dims = %" PRIu32 ", must be 1 to %d",
                  file->path, NAME_ARG(t->name), t->n_dims, MAX_DIMS);
        return false;
    }
    for (uint32_t d = 0; d < MAX_DIMS; d++) {
        t->dims[d] = 1;
        if (d < t->n_dims && !cursor_take(cur, &t->dims[d], 8)) {
            return info_cut(cur, i);
        }
    }
    if (!cursor_take(cur, &t->type, 4) || !cursor_take(cur, &t->offset, 8)) {
        return info_cut(cur, i);
    }
    return set_bytes(file, t);
}

static bool read_align(const struct gguf_file *file, uint64_t *align)
{
    const struct gguf_kv *kv = gguf_find(file, "general.alignment");
    *align = DEFAULT_ALIGN;
    if (kv == NULL) {
        return true;
    }
    if (kv->type != GGUF_U32) {
        log_error(file->log, "%s: key general.alignment: is of type %s, must be u32", file->path,
                  gguf_type_name(kv->type));
        return false;
    }
    uint32_t value;
    memcpy(&value, kv->data, sizeof value);
    if (value == 0 || (value & (value - 1)) != 0 || value > GGUF_MAX_ALIGN) {
        log_error(file->log,
                  "%s: key general.alignment: %" PRIu32 " is not a power of two from 1 to %d",
                  file->path, value, GGUF_MAX_ALIGN);
        return false;
    }
    *align = value;
    return true;
}

/* Offsets relative to the data section -> offsets in the file. */
static bool set_offsets(struct gguf_file *file, uint64_t info_end, uint64_t align)
{
    uint64_t start = size_round(info_end, align);
    if (file->n_tensors != 0 && start > file->bytes) {
        log_error(file->log,
                  "%s: tensor data starts at byte %" PRIu64 " (alignment %" PRIu64
                  "), the file has %" PRIu64,
                  file->path, start, align, file->bytes);
        return false;
    }
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        struct gguf_tensor *t = &file->tensors[i];
        if (t->offset % align != 0) {
            log_error(file->log,
                      "%s: tensor " NAME_FMT ": offset %" PRIu64
                      " is not a multiple of the alignment %" PRIu64,
                      file->path, NAME_ARG(t->name), t->offset, align);
            return false;
        }
        if (t->offset > file->bytes - start || t->bytes > file->bytes - start - t->offset) {
            log_error(file->log,
                      "%s: tensor " NAME_FMT ": %" PRIu64 " bytes at offset %" PRIu64
                      " reach beyond the %" PRIu64 " bytes of tensor data in the file",
                      file->path, NAME_ARG(t->name), t->bytes, t->offset, file->bytes - start);
            return false;
        }
        t->offset += start;
    }
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
    const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;
    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset)
                                  : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static bool check_pair(const struct gguf_file *file, const struct gguf_tensor *a,
                       const struct gguf_tensor *b)
{
    if (a->offset + a->bytes <= b->offset) {
        return true;
    }
    log_error(file->log,
              "%s: tensors " NAME_FMT " and " NAME_FMT ": their data overlaps at byte %" PRIu64,
              file->path, NAME_ARG(a->name), NAME_ARG(b->name), b->offset);
    return false;
}

/* Writers lay tensors in the order of their infos; only other files need sorting. */
static bool is_running(const struct gguf_file *file)
{
    for (uint64_t i = 1; i < file->n_tensors; i++) {
        if (file->tensors[i - 1].offset + file->tensors[i - 1].bytes > file->tensors[i].offset) {
            return false;
        }
    }
    return true;
}

static bool check_overlap(const struct gguf_file *file)
{
    if (is_running(file)) {
        return true;
    }
    const struct gguf_tensor **order = mem_alloc((size_t)file->n_tensors, sizeof *order);
    if (order == NULL) {
        log_error(file->log, "%s: out of memory for %" PRIu64 " tensors", file->path,
                  file->n_tensors);
        return false;
    }
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        order[i] = &file->tensors[i];
    }
    qsort(order, (size_t)file->n_tensors, sizeof *order, by_offset);
    bool ok = true;
    for (uint64_t i = 1; ok && i < file->n_tensors; i++) {
        ok = check_pair(file, order[i - 1], order[i]);
    }
    mem_free(order);
    return ok;
}

bool tensors_read(struct gguf_file *file, struct cursor *cur)
{
    uint64_t align;
    if (!read_align(file, &align)) {
        return false;
    }
    file->tensors = mem_alloc((size_t)file->n_tensors, sizeof *file->tensors);
    if (file->tensors == NULL ||
        !directory_init(&file->tensor_dir, file->tensors, sizeof *file->tensors, file->n_tensors)) {
        log_error(file->log, "%s: out of memory for %" PRIu64 " tensors", file->path,
                  file->n_tensors);
        return false;
    }
    for (uint64_t i = 0; i < file->n_tensors; i++) {
        uint32_t other;
        if (!read_info(cur, i, &file->tensors[i])) {
            return false;
        }
        if (!directory_add(&file->tensor_dir, (uint32_t)i, &other)) {
            log_error(file->log,
                      "%s: tensor " NAME_FMT ": given twice, as number %" PRIu32 " and %" PRIu64,
                      file->path, NAME_ARG(file->tensors[i].name), other, i);
            return false;
        }
    }
    return set_offsets(file, cur->pos, align) && check_overlap(file);
}
