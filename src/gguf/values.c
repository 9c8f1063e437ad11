/* What an opened file says: plain accessors, typed metadata values, array elements. */
#include "gguf/internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

const char *gguf_path(const struct gguf_file *file)
{
    return file->path;
}

struct log *gguf_log(const struct gguf_file *file)
{
    return file->log;
}

uint32_t gguf_version(const struct gguf_file *file)
{
    return file->version;
}

uint64_t gguf_file_bytes(const struct gguf_file *file)
{
    uint64_t bytes = file->bytes;
    for (uint32_t i = 0; i < file->n_shards; i++) {
        bytes += file->shards[i]->bytes; /* mapped side by side: no overflow */
    }
    return bytes;
}

uint32_t gguf_shard_count(const struct gguf_file *file)
{
    return file->n_shards + 1;
}

uint64_t gguf_kv_count(const struct gguf_file *file)
{
    return file->n_kvs;
}

const struct gguf_kv *gguf_kv_at(const struct gguf_file *file, uint64_t i)
{
    return &file->kvs[i];
}

const struct gguf_kv *gguf_find(const struct gguf_file *file, const char *key)
{
    return directory_find(&file->kv_dir, key, strlen(key));
}

uint64_t gguf_tensor_count(const struct gguf_file *file)
{
    return file->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf_file *file, uint64_t i)
{
    return &file->tensors[i];
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf_file *file, const char *name)
{
    return directory_find(&file->tensor_dir, name, strlen(name));
}

const char *gguf_type_name(enum gguf_type type)
{
    static const char *const NAMES[GGUF_TYPES] = {
        [GGUF_U8] = "u8",         [GGUF_I8] = "i8",       [GGUF_U16] = "u16", [GGUF_I16] = "i16",
        [GGUF_U32] = "u32",       [GGUF_I32] = "i32",     [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
        [GGUF_STRING] = "string", [GGUF_ARRAY] = "array", [GGUF_U64] = "u64", [GGUF_I64] = "i64",
        [GGUF_F64] = "f64"};
    return (unsigned)type < GGUF_TYPES ? NAMES[type] : "?";
}

/* ---- scalars ---- */

static enum gguf_result wrong_type(const struct gguf_file *file, const struct gguf_kv *kv,
                                   const char *wanted)
{
    if (kv->type == GGUF_ARRAY) {
        log_error(file->log, "%s: key " NAME_FMT ": is an array of %s, must be %s", file->path,
                  NAME_ARG(kv->key), gguf_type_name(kv->elem), wanted);
    } else {
        log_error(file->log, "%s: key " NAME_FMT ": is of type %s, must be %s", file->path,
                  NAME_ARG(kv->key), gguf_type_name(kv->type), wanted);
    }
    return GGUF_BAD;
}

/* Integer number i of type `type` at data: `*value` holds its two's complement. False: no integer
 * type. */
static bool load_integer(enum gguf_type type, const uint8_t *data, uint64_t i, uint64_t *value)
{
    uint32_t bytes = value_bytes(type);
    uint64_t v = 0;
    memcpy(&v, data + i * bytes, bytes);
    switch (type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
    case GGUF_I64:
        break;
    case GGUF_I8:
        v = (uint64_t)(int64_t)(int8_t)v;
        break;
    case GGUF_I16:
        v = (uint64_t)(int64_t)(int16_t)v;
        break;
    case GGUF_I32:
        v = (uint64_t)(int64_t)(int32_t)v;
        break;
    default:
        return false;
    }
    *value = v;
    return true;
}

enum gguf_result gguf_get_u32(const struct gguf_file *file, const char *key, uint32_t *out)
{
    const struct gguf_kv *kv = gguf_find(file, key);
    uint64_t value;
    if (kv == NULL) {
        return GGUF_ABSENT;
    }
    if (kv->type == GGUF_ARRAY || kv->type == GGUF_STRING ||
        !load_integer(kv->type, kv->data, 0, &value)) {
        return wrong_type(file, kv, "an integer");
    }
    if (value > UINT32_MAX) {
        bool negative = kv->type != GGUF_U64 && (int64_t)value < 0;
        log_error(file->log, "%s: key %s: %s%" PRIu64 " does not fit an unsigned 32-bit number",
                  file->path, key, negative ? "-" : "", negative ? 0 - value : value);
        return GGUF_BAD;
    }
    *out = (uint32_t)value;
    return GGUF_OK;
}

enum gguf_result gguf_get_f32(const struct gguf_file *file, const char *key, float *out)
{
    const struct gguf_kv *kv = gguf_find(file, key);
    if (kv == NULL) {
        return GGUF_ABSENT;
    }
    double value;
    if (kv->type == GGUF_F32) {
        float narrow;
        memcpy(&narrow, kv->data, sizeof narrow);
        value = (double)narrow;
    } else if (kv->type == GGUF_F64) {
        memcpy(&value, kv->data, sizeof value);
    } else {
        return wrong_type(file, kv, "f32 or f64");
    }
    if (!isfinite(value) || fabs(value) > (double)FLT_MAX) {
        log_error(file->log, "%s: key %s: %g is not a finite 32-bit float", file->path, key, value);
        return GGUF_BAD;
    }
    *out = (float)value;
    return GGUF_OK;
}

enum gguf_result gguf_get_bool(const struct gguf_file *file, const char *key, bool *out)
{
    const struct gguf_kv *kv = gguf_find(file, key);
    if (kv == NULL) {
        return GGUF_ABSENT;
    }
    if (kv->type != GGUF_BOOL) {
        return wrong_type(file, kv, "bool");
    }
    *out = kv->data[0] != 0;
    return GGUF_OK;
}

enum gguf_result gguf_get_str(const struct gguf_file *file, const char *key, struct gguf_str *out)
{
    const struct gguf_kv *kv = gguf_find(file, key);
    if (kv == NULL) {
        return GGUF_ABSENT;
    }
    if (kv->type != GGUF_STRING) {
        return wrong_type(file, kv, "a string");
    }
    uint64_t cursor = 0;
    gguf_array_next(kv, &cursor, out);
    return GGUF_OK;
}

/* ---- arrays ---- */

enum gguf_result gguf_get_array(const struct gguf_file *file, const char *key, enum gguf_type elem,
                                const struct gguf_kv **out)
{
    const struct gguf_kv *kv = gguf_find(file, key);
    if (kv == NULL) {
        return GGUF_ABSENT;
    }
    if (kv->type != GGUF_ARRAY || kv->elem != elem) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "an array of %s", gguf_type_name(elem));
        return wrong_type(file, kv, wanted);
    }
    *out = kv;
    return GGUF_OK;
}

uint32_t gguf_array_u32(const struct gguf_kv *kv, uint64_t i)
{
    uint64_t value = 0;
    if (kv->elem == GGUF_BOOL) {
        return kv->data[i];
    }
    return load_integer(kv->elem, kv->data, i, &value) ? (uint32_t)value : 0;
}

float gguf_array_f32(const struct gguf_kv *kv, uint64_t i)
{
    float value = 0;
    if (kv->elem == GGUF_F32) {
        memcpy(&value, kv->data + i * 4, sizeof value);
    } else if (kv->elem == GGUF_F64) {
        double wide;
        memcpy(&wide, kv->data + i * 8, sizeof wide);
        value = (float)wide;
    }
    return value;
}

bool gguf_array_next(const struct gguf_kv *kv, uint64_t *cursor, struct gguf_str *out)
{
    if (kv->elem != GGUF_STRING || *cursor >= kv->bytes) {
        return false;
    }
    memcpy(&out->bytes, kv->data + *cursor, 8);
    out->text = (const char *)kv->data + *cursor + 8;
    *cursor += 8 + out->bytes;
    return true;
}
