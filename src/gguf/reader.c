/* Opening a file: the header and the metadata, every length checked before it is used. Tensor infos
 * are read by tensors.c, values by values.c;
 * what is split over several files is put together by shards.c. */
#include "gguf/internal.h"

#include "base/mem.h"

#include <errno.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are read as they lie in the file: the host must be little endian"
#endif

/* Smallest entries: 8 length + 1 name + 4 type + 1 value, and 8 + 1 + 4 dims + 8 dim + 4 type +
 * 8 offset. */
enum { HEADER_BYTES = 24, MIN_KV_BYTES = 14, MIN_TENSOR_BYTES = 33 };

uint32_t value_bytes(enum gguf_type type)
{
    static const uint8_t BYTES[GGUF_TYPES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return BYTES[type];
}

bool text_is_plain(const struct gguf_str *text, uint64_t *at)
{
    for (uint64_t i = 0; i < text->bytes; i++) {
        unsigned char c = (unsigned char)text->text[i];
        if (c < 0x20 || c > 0x7e) {
            *at = i;
            return false;
        }
    }
    return true;
}

/* ---- header ---- */

static bool check_magic(const struct gguf_file *file)
{
    if (file->bytes == 0) {
        log_error(file->log, "%s: the file is empty", file->path);
        return false;
    }
    if (file->bytes >= 4 && memcmp(file->data, "GGUF", 4) != 0) {
        static const char OLD[][5] = {"lmgg", "fmgg", "tjgg", "algg",
                                      "GGML", "GGMF", "GGJT", "GGLA"};
        const uint8_t *m = file->data;
        for (size_t i = 0; i < sizeof OLD / sizeof OLD[0]; i++) {
            if (memcmp(m, OLD[i], 4) == 0) {
                log_error(file->log,
                          "%s: magic %.4s: a file of the time before GGUF, convert it first",
                          file->path, (const char *)m);
                return false;
            }
        }
        log_error(file->log, "%s: magic %02x %02x %02x %02x: not a GGUF file", file->path, m[0],
                  m[1], m[2], m[3]);
        return false;
    }
    if (file->bytes < HEADER_BYTES) {
        log_error(file->log, "%s: header: the file has %" PRIu64 " bytes, the header needs %d",
                  file->path, file->bytes, HEADER_BYTES);
        return false;
    }
    return true;
}

static bool check_version(const struct gguf_file *file)
{
    uint32_t v = file->version;
    if (v == 2 || v == 3) {
        return true;
    }
    if (v != 0 && v % 0x10000u == 0) {
        log_error(file->log,
                  "%s: version 0x%08x: a big-endian GGUF file, only little endian is read",
                  file->path, v);
    } else {
        log_error(file->log, "%s: version %" PRIu32 ": only GGUF versions 2 and 3 are read",
                  file->path, v);
    }
    return false;
}

static bool check_count(const struct gguf_file *file, const char *what, uint64_t count,
                        uint64_t min_bytes, uint64_t limit)
{
    if (count > (file->bytes - HEADER_BYTES) / min_bytes) {
        log_error(file->log,
                  "%s: %s = %" PRIu64 ": a file of %" PRIu64 " bytes cannot hold that many",
                  file->path, what, count, file->bytes);
        return false;
    }
    if (count > limit) {
        log_error(file->log, "%s: %s = %" PRIu64 " is above the limit of %" PRIu64, file->path,
                  what, count, limit);
        return false;
    }
    return true;
}

static bool read_header(struct gguf_file *file, struct cursor *cur)
{
    if (!check_magic(file)) {
        return false;
    }
    cur->pos = 4;
    cursor_take(cur, &file->version, 4);
    cursor_take(cur, &file->n_tensors, 8);
    cursor_take(cur, &file->n_kvs, 8);
    return check_version(file) &&
           check_count(file, "n_tensors", file->n_tensors, MIN_TENSOR_BYTES, GGUF_MAX_TENSORS) &&
           check_count(file, "n_kv", file->n_kvs, MIN_KV_BYTES, GGUF_MAX_KVS);
}

/* ---- metadata ---- */

static bool kv_cut(const struct cursor *cur, const struct gguf_kv *kv, const char *what)
{
    log_error(cur->file->log,
              "%s: key " NAME_FMT ": %s at byte %" PRIu64 " is cut off by the end of the file",
              cur->file->path, NAME_ARG(kv->key), what, cur->pos);
    return false;
}

static bool read_key(struct cursor *cur, uint64_t i, struct gguf_str *key)
{
    const struct gguf_file *file = cur->file;
    uint64_t at;
    if (!cursor_take(cur, &key->bytes, 8)) {
        log_error(file->log, "%s: key %" PRIu64 " of %" PRIu64 ": cut off by the end of the file",
                  file->path, i, file->n_kvs);
        return false;
    }
    if (key->bytes == 0 || key->bytes > GGUF_MAX_KEY || key->bytes > cursor_left(cur)) {
        log_error(file->log,
                  "%s: key %" PRIu64 ": name of %" PRIu64 " bytes (1 to %d allowed, %" PRIu64
                  " left in the file)",
                  file->path, i, key->bytes, GGUF_MAX_KEY, cursor_left(cur));
        return false;
    }
    key->text = (const char *)file->data + cur->pos;
    cur->pos += key->bytes;
    if (!text_is_plain(key, &at)) {
        log_error(file->log,
                  "%s: key %" PRIu64 ": byte %" PRIu64
                  " of the name is 0x%02x, names are printable ASCII",
                  file->path, i, at, (unsigned char)key->text[at]);
        return false;
    }
    return true;
}

static bool skip_string(struct cursor *cur, const struct gguf_kv *kv)
{
    uint64_t n;
    if (!cursor_take(cur, &n, 8)) {
        return kv_cut(cur, kv, "a string length");
    }
    if (n > GGUF_MAX_STRING || n > cursor_left(cur)) {
        log_error(cur->file->log,
                  "%s: key " NAME_FMT ": string of %" PRIu64 " bytes (at most %d allowed, %" PRIu64
                  " left in the file)",
                  cur->file->path, NAME_ARG(kv->key), n, GGUF_MAX_STRING, cursor_left(cur));
        return false;
    }
    cur->pos += n;
    return true;
}

static bool check_bools(const struct gguf_file *file, const struct gguf_kv *kv)
{
    for (uint64_t i = 0; i < kv->count; i++) {
        if (kv->data[i] > 1) {
            log_error(file->log, "%s: key " NAME_FMT ": bool value %u, must be 0 or 1", file->path,
                      NAME_ARG(kv->key), kv->data[i]);
            return false;
        }
    }
    return true;
}

/* `count` values of type `elem` at the cursor. */
static bool read_values(struct cursor *cur, struct gguf_kv *kv, enum gguf_type elem)
{
    const struct gguf_file *file = cur->file;
    uint64_t start = cur->pos, bytes;
    kv->data = file->data + cur->pos;
    if (elem == GGUF_STRING) {
        for (uint64_t i = 0; i < kv->count; i++) {
            if (!skip_string(cur, kv)) {
                return false;
            }
        }
    } else {
        if (!size_mul(kv->count, value_bytes(elem), &bytes) || bytes > cursor_left(cur)) {
            return kv_cut(cur, kv, kv->type == GGUF_ARRAY ? "an array" : "a value");
        }
        cur->pos += bytes;
    }
    kv->bytes = cur->pos - start;
    return elem != GGUF_BOOL || check_bools(file, kv);
}

static bool read_array(struct cursor *cur, struct gguf_kv *kv)
{
    const struct gguf_file *file = cur->file;
    uint32_t elem;
    if (!cursor_take(cur, &elem, 4) || !cursor_take(cur, &kv->count, 8)) {
        return kv_cut(cur, kv, "an array's head");
    }
    if (elem >= GGUF_TYPES || elem == GGUF_ARRAY) {
        log_error(file->log, "%s: key " NAME_FMT ": array of elements of type %" PRIu32 "%s",
                  file->path, NAME_ARG(kv->key), elem,
                  elem == GGUF_ARRAY ? ", nested arrays are not read" : ", which does not exist");
        return false;
    }
    uint64_t least = elem == GGUF_STRING ? 8 : value_bytes((enum gguf_type)elem);
    if (kv->count > GGUF_MAX_ARRAY || kv->count > cursor_left(cur) / least) {
        log_error(file->log,
                  "%s: key " NAME_FMT ": array of %" PRIu64
                  " elements (at most %d allowed, %" PRIu64 " bytes left in the file)",
                  file->path, NAME_ARG(kv->key), kv->count, GGUF_MAX_ARRAY, cursor_left(cur));
        return false;
    }
    kv->elem = (enum gguf_type)elem;
    return read_values(cur, kv, kv->elem);
}

static bool read_kv(struct cursor *cur, uint64_t i, struct gguf_kv *kv)
{
    const struct gguf_file *file = cur->file;
    uint32_t type;
    if (!read_key(cur, i, &kv->key)) {
        return false;
    }
    if (!cursor_take(cur, &type, 4)) {
        return kv_cut(cur, kv, "the type");
    }
    if (type >= GGUF_TYPES) {
        log_error(file->log, "%s: key " NAME_FMT ": value type %" PRIu32 " does not exist",
                  file->path, NAME_ARG(kv->key), type);
        return false;
    }
    kv->type = kv->elem = (enum gguf_type)type;
    kv->count = 1;
    return type == GGUF_ARRAY ? read_array(cur, kv) : read_values(cur, kv, kv->type);
}

static bool read_kvs(struct gguf_file *file, struct cursor *cur)
{
    file->kvs = mem_alloc((size_t)file->n_kvs, sizeof *file->kvs);
    if (file->kvs == NULL ||
        !directory_init(&file->kv_dir, file->kvs, sizeof *file->kvs, file->n_kvs)) {
        log_error(file->log, "%s: out of memory for %" PRIu64 " keys", file->path, file->n_kvs);
        return false;
    }
    for (uint64_t i = 0; i < file->n_kvs; i++) {
        uint32_t other;
        if (!read_kv(cur, i, &file->kvs[i])) {
            return false;
        }
        if (!directory_add(&file->kv_dir, (uint32_t)i, &other)) {
            log_error(file->log,
                      "%s: key " NAME_FMT ": given twice, as number %" PRIu32 " and %" PRIu64,
                      file->path, NAME_ARG(file->kvs[i].key), other, i);
            return false;
        }
    }
    return true;
}

/* ---- life ---- */

static bool read_structure(struct gguf_file *file)
{
    struct cursor cur = {.file = file};
    return read_header(file, &cur) && read_kvs(file, &cur) && tensors_read(file, &cur);
}

static struct gguf_file *create(const char *name, struct log *log)
{
    struct gguf_file *file = mem_alloc(1, sizeof *file);
    if (file != NULL) {
        file->log = log;
        file->path = mem_strdup(name);
    }
    if (file == NULL || file->path == NULL) {
        log_error(log, "%s: out of memory", name);
        mem_free(file);
        return NULL;
    }
    return file;
}

struct gguf_file *gguf_open_alone(const char *path, struct log *log)
{
    struct gguf_file *file = create(path, log);
    if (file == NULL) {
        return NULL;
    }
    if (!os_map_open(&file->map, path, log)) {
        goto fail;
    }
    file->data = file->map.data;
    file->bytes = file->map.bytes;
    if (!read_structure(file)) {
        goto fail;
    }
    return file;
fail:
    gguf_close(file);
    return NULL;
}

struct gguf_file *gguf_open_memory(const char *name, const uint8_t *data, size_t bytes,
                                   struct log *log)
{
    struct gguf_file *file = create(name, log);
    if (file == NULL) {
        return NULL;
    }
    file->data = data;
    file->bytes = bytes;
    if (!read_structure(file) || shards_refuse(file)) {
        gguf_close(file);
        return NULL;
    }
    return file;
}

void gguf_close(struct gguf_file *file)
{
    if (file == NULL) {
        return;
    }
    for (uint32_t i = 0; i < file->n_shards; i++) {
        gguf_close(file->shards[i]);
    }
    mem_free(file->shards);
    directory_finish(&file->kv_dir);
    directory_finish(&file->tensor_dir);
    mem_free(file->kvs);
    mem_free(file->tensors);
    os_map_close(&file->map);
    mem_free(file->path);
    mem_free(file);
}

/* The file that a tensor of a split model lies in. */
static const struct gguf_file *get_shard(const struct gguf_file *file,
                                         const struct gguf_tensor *tensor)
{
    return tensor->shard == 0 ? file : file->shards[tensor->shard - 1];
}

const uint8_t *gguf_data(const struct gguf_file *file, const struct gguf_tensor *tensor)
{
    return get_shard(file, tensor)->data + tensor->offset;
}

bool gguf_read(const struct gguf_file *file, const struct gguf_tensor *tensor, uint64_t from,
               void *out, uint64_t bytes)
{
    const struct gguf_file *shard = get_shard(file, tensor);
    if (from > tensor->bytes || bytes > tensor->bytes - from) {
        errno = EINVAL;
        return false;
    }
    if (shard->map.data == NULL) {
        memcpy(out, shard->data + tensor->offset + from, (size_t)bytes);
        return true;
    }
    return os_map_read(&shard->map, (size_t)(tensor->offset + from), out, (size_t)bytes);
}

void gguf_read_error(const struct gguf_file *file, const struct gguf_tensor *tensor, int reason)
{
    const struct gguf_file *shard = get_shard(file, tensor);
    if (gguf_check_size(shard)) {
        log_error(file->log, "%s: " NAME_FMT ": cannot read: %s", shard->path,
                  NAME_ARG(tensor->name), reason != 0 ? strerror(reason) : "the file ends");
    }
}

void gguf_drop(const struct gguf_file *file, const struct gguf_tensor *tensor, uint64_t from,
               uint64_t bytes)
{
    const struct gguf_file *shard = get_shard(file, tensor);
    if (shard->map.data != NULL && from <= tensor->bytes && bytes <= tensor->bytes - from) {
        os_map_drop(&shard->map, (size_t)(tensor->offset + from), (size_t)bytes);
    }
}

bool gguf_check_size(const struct gguf_file *file)
{
    for (uint32_t i = 0; i < file->n_shards; i++) {
        if (!gguf_check_size(file->shards[i])) {
            return false;
        }
    }
    if (file->map.data == NULL || os_map_check(&file->map)) {
        return true;
    }
    log_error(file->log, "%s: the file is shorter than the %" PRIu64 " bytes it had when opened",
              file->path, file->bytes);
    return false;
}
