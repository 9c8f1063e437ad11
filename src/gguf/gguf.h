/* GGUF v2 and v3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), memory-mapped, read
 * in two phases: first the bounded structure (every length, count and offset checked against the
 * true size of the file before it is used; duplicates found in linear time), then, by the callers,
 * the meaning. Little endian only. Errors are one line: file, field, value.
 *
 * The views point into the mapping and live as long as the file. Thread rule: read-only after
 * opening, any thread. */
#ifndef QUADRIGA_GGUF_GGUF_H
#define QUADRIGA_GGUF_GGUF_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

struct gguf_str {
    const char *text; /* not terminated; may hold any bytes */
    uint64_t bytes;
};

struct gguf_kv {
    struct gguf_str key;
    enum gguf_type type, elem; /* elem: of an array */
    uint64_t count;            /* of an array, else 1 */
    const uint8_t *data;       /* first value, unaligned */
    uint64_t bytes;            /* of all values, lengths of strings included */
};

/* Checked: the type exists, dims[0] is a multiple of its block, the number of elements fits 63
 * bits, the data lies inside the file and overlaps no other tensor's. A dimension may be 0. */
struct gguf_tensor {
    struct gguf_str name;
    uint32_t type;    /* ggml type number, known to ggml_types_name and quant_type_name */
    uint32_t n_dims;  /* 1 to 4 */
    uint64_t dims[4]; /* dims[0] is contiguous; unused ones are 1 */
    uint64_t offset;  /* of the data in the file; aligned as general.alignment says, default 32 */
    uint64_t bytes;
    uint32_t shard; /* which file of a split model, from 0 */
};

/* Larger files are refused; no real model comes near. */
enum gguf_limit {
    GGUF_MAX_KVS = 1 << 18,
    GGUF_MAX_TENSORS = 1 << 20,
    GGUF_MAX_KEY = 65535,      /* bytes; keys are printable ASCII */
    GGUF_MAX_NAME = 63,        /* bytes; tensor names are printable ASCII */
    GGUF_MAX_STRING = 1 << 30, /* bytes */
    GGUF_MAX_ARRAY = 1 << 27,  /* elements */
    GGUF_MAX_ALIGN = 1 << 20,
    GGUF_MAX_SHARDS = 512 /* files of a split model; each stays open */
};

struct gguf_file;

/* NULL: logged. A model split over several files (<prefix>-00001-of-00003.gguf) is opened as one
 * by the path of any of them: keys are those of the first file, tensors those of all. */
struct gguf_file *gguf_open(const char *path, struct log *log);
/* One file in memory that the caller keeps alive (tests, fuzzing). `name` stands for the path. */
struct gguf_file *gguf_open_memory(const char *name, const uint8_t *data, size_t bytes,
                                   struct log *log);
void gguf_close(struct gguf_file *file);

const char *gguf_path(const struct gguf_file *file);
struct log *gguf_log(const struct gguf_file *file);
uint32_t gguf_version(const struct gguf_file *file);
uint64_t gguf_file_bytes(const struct gguf_file *file);  /* of all files of a split model */
uint32_t gguf_shard_count(const struct gguf_file *file); /* 1: not split */
uint64_t gguf_kv_count(const struct gguf_file *file);
const struct gguf_kv *gguf_kv_at(const struct gguf_file *file, uint64_t i);
const struct gguf_kv *gguf_find(const struct gguf_file *file, const char *key);
uint64_t gguf_tensor_count(const struct gguf_file *file);
const struct gguf_tensor *gguf_tensor_at(const struct gguf_file *file, uint64_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf_file *file, const char *name);
const uint8_t *gguf_data(const struct gguf_file *file, const struct gguf_tensor *tensor);
/* Copies bytes of a tensor's data; in files on disk they do not become resident. False, with errno,
 * not logged: the range is outside the tensor (EINVAL), the file cannot be read or has ended (0).
 * Any thread. */
bool gguf_read(const struct gguf_file *file, const struct gguf_tensor *tensor, uint64_t from,
               void *out, uint64_t bytes);
/* One line for a gguf_read that failed for `reason`, an errno. */
void gguf_read_error(const struct gguf_file *file, const struct gguf_tensor *tensor, int reason);
/* These bytes of a tensor's data are not needed again: their pages leave the resident set. */
void gguf_drop(const struct gguf_file *file, const struct gguf_tensor *tensor, uint64_t from,
               uint64_t bytes);
/* False, logged, when a file has shrunk since it was opened. */
bool gguf_check_size(const struct gguf_file *file);

/* Typed reads. ABSENT and BAD leave `out` untouched. BAD: there, but of the wrong type or out of
 * range; logged. Integers of any width are accepted where the value fits; F64 where a float is
 * asked; floats must be finite. */
enum gguf_result { GGUF_OK, GGUF_ABSENT, GGUF_BAD };
enum gguf_result gguf_get_u32(const struct gguf_file *file, const char *key, uint32_t *out);
enum gguf_result gguf_get_f32(const struct gguf_file *file, const char *key, float *out);
enum gguf_result gguf_get_bool(const struct gguf_file *file, const char *key, bool *out);
enum gguf_result gguf_get_str(const struct gguf_file *file, const char *key, struct gguf_str *out);
/* An array whose elements have exactly this type. */
enum gguf_result gguf_get_array(const struct gguf_file *file, const char *key, enum gguf_type elem,
                                const struct gguf_kv **out);

/* Elements of an array, i < count. u32: of any integer type or bool, as the low 32 bits of its
 * two's complement. f32: of F32 or F64. Others: 0. */
uint32_t gguf_array_u32(const struct gguf_kv *kv, uint64_t i);
float gguf_array_f32(const struct gguf_kv *kv, uint64_t i);
/* Strings have no index: walk them. `*cursor` starts at 0. False at the end. */
bool gguf_array_next(const struct gguf_kv *kv, uint64_t *cursor, struct gguf_str *out);
const char *gguf_type_name(enum gguf_type type);

#endif
