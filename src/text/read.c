/* A vocab out of tokenizer.ggml.* of a GGUF file. Everything that the tokenizer later relies on is
 * checked here, each failure with one line that names file, field and value. Whether the model's
 * embedding has as many rows is for the caller. */
#include "text/internal.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

/* A text of the file in a message: at most 60 bytes of it. */
#define SHOWN(n) ((int)((n) < 60 ? (n) : 60))

struct reading {
    const struct gguf_file *file;
    const char *path;
    struct log *log;
    struct vocab *vocab;
};

static bool text_is(const char *text, size_t bytes, const char *name)
{
    return strlen(name) == bytes && memcmp(text, name, bytes) == 0;
}

static bool read_kind(const struct reading *r)
{
    struct gguf_str kind = {0}, pre = {0};
    enum gguf_result result = gguf_get_str(r->file, KEY("model"), &kind);
    if (result == GGUF_BAD) {
        return false;
    }
    if (result == GGUF_ABSENT) {
        log_error(r->log, "%s: " KEY("model") " is missing", r->path);
        return false;
    }
    if (!text_is(kind.text, kind.bytes, "llama")) {
        log_error(r->log, "%s: " KEY("model") " is \"%.*s\"; supported are: llama (SentencePiece)",
                  r->path, SHOWN(kind.bytes), kind.text);
        return false;
    }
    result = gguf_get_str(r->file, KEY("pre"), &pre);
    if (result == GGUF_OK && !text_is(pre.text, pre.bytes, "default")) {
        log_error(r->log, "%s: " KEY("pre") " is \"%.*s\"; supported with llama are: default",
                  r->path, SHOWN(pre.bytes), pre.text);
        return false;
    }
    return result != GGUF_BAD;
}

static bool get_array(const struct reading *r, const char *key, enum gguf_type elem,
                      const struct gguf_kv **out)
{
    enum gguf_result result = gguf_get_array(r->file, key, elem, out);
    if (result == GGUF_ABSENT) {
        log_error(r->log, "%s: %s is missing", r->path, key);
    }
    return result == GGUF_OK;
}

static bool check_count(const struct reading *r, const char *key, const struct gguf_kv *array)
{
    if (array->count != r->vocab->count) {
        log_error(r->log, "%s: %s has %llu entries, but there are %u tokens", r->path, key,
                  (unsigned long long)array->count, r->vocab->count);
        return false;
    }
    return true;
}

/* The texts, checked and summed up, then copied into one block. */
static bool read_texts(const struct reading *r, const struct gguf_kv *array)
{
    struct vocab *vocab = r->vocab;
    struct gguf_str text;
    uint64_t cursor = 0, total = 0;
    for (uint32_t id = 0; gguf_array_next(array, &cursor, &text); id++) {
        if (text.bytes > TEXT_MAX_TOKEN_BYTES) {
            log_error(r->log, "%s: " KEY("tokens") "[%u] has %llu bytes; the limit is %d", r->path,
                      id, (unsigned long long)text.bytes, TEXT_MAX_TOKEN_BYTES);
            return false;
        }
        if (!utf8_valid(text.text, (size_t)text.bytes) ||
            (text.bytes > 0 && memchr(text.text, 0, (size_t)text.bytes) != NULL)) {
            log_error(r->log, "%s: " KEY("tokens") "[%u] is not UTF-8 text", r->path, id);
            return false;
        }
        total += text.bytes;
    }
    vocab->tokens = mem_alloc(vocab->count, sizeof *vocab->tokens);
    vocab->pool = mem_alloc((size_t)total, 1);
    if (vocab->tokens == NULL || vocab->pool == NULL) {
        log_error(r->log, "%s: out of memory for %u tokens", r->path, vocab->count);
        return false;
    }
    size_t at = 0;
    cursor = 0;
    for (uint32_t id = 0; id < vocab->count && gguf_array_next(array, &cursor, &text); id++) {
        size_t bytes = (size_t)text.bytes;
        if (bytes > 0) {
            memcpy(vocab->pool + at, text.text, bytes);
        }
        vocab->tokens[id].text = vocab->pool + at;
        vocab->tokens[id].bytes = (uint16_t)bytes;
        at += bytes;
    }
    return true;
}

/* Maps floats to integers so that the higher score gets the smaller number. */
static uint32_t score_order(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 and 0 are equal */
    memcpy(&bits, &score, sizeof bits);
    return (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
}

static bool read_tokens(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    const struct gguf_kv *texts, *scores, *types;
    if (!get_array(r, KEY("tokens"), GGUF_STRING, &texts)) {
        return false;
    }
    if (texts->count == 0 || texts->count > TEXT_MAX_TOKENS) {
        log_error(r->log, "%s: " KEY("tokens") " has %llu entries; 1 to %d are supported", r->path,
                  (unsigned long long)texts->count, TEXT_MAX_TOKENS);
        return false;
    }
    vocab->count = (uint32_t)texts->count;
    if (!get_array(r, KEY("scores"), GGUF_F32, &scores) || !check_count(r, KEY("scores"), scores) ||
        !get_array(r, KEY("token_type"), GGUF_I32, &types) ||
        !check_count(r, KEY("token_type"), types) || !read_texts(r, texts)) {
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        float score = gguf_array_f32(scores, id);
        uint32_t type = gguf_array_u32(types, id);
        if (!isfinite(score)) {
            log_error(r->log, "%s: " KEY("scores") "[%u] is %g", r->path, id, (double)score);
            return false;
        }
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE) {
            log_error(r->log, "%s: " KEY("token_type") "[%u] is %d; 1 to 6 are known", r->path, id,
                      (int)type);
            return false;
        }
        vocab->tokens[id].order = score_order(score);
        vocab->tokens[id].type = (uint8_t)type;
        if (type == TOKEN_NORMAL || type == TOKEN_USER || type == TOKEN_UNUSED) {
            vocab->tokens[id].flags |= TOKEN_MERGES;
        }
    }
    return true;
}

static bool build_map(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    if (!text_map_init(&vocab->map, vocab->count)) {
        log_error(r->log, "%s: out of memory for %u tokens", r->path, vocab->count);
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        const struct token *token = &vocab->tokens[id];
        if (token->bytes == 0) {
            continue; /* stands for no text: never found, never matched */
        }
        uint32_t old = text_map_add(&vocab->map, vocab->tokens, id);
        if (old != TEXT_NO_TOKEN) {
            log_error(r->log, "%s: " KEY("tokens") "[%u] and [%u] are both \"%.*s\"", r->path, old,
                      id, SHOWN(token->bytes), token->text);
            return false;
        }
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte tokens: "<0x00>" to "<0xFF>", all of them or none. */
static bool read_bytes(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    uint32_t n = 0;
    memset(vocab->byte_ids, 0xff, sizeof vocab->byte_ids); /* TEXT_NO_TOKEN */
    for (uint32_t id = 0; id < vocab->count; id++) {
        const struct token *token = &vocab->tokens[id];
        if (token->type != TOKEN_BYTE) {
            continue;
        }
        const char *text = token->text;
        int high = -1, low = -1;
        if (token->bytes == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>') {
            high = hex_value(text[3]);
            low = hex_value(text[4]);
        }
        if (high < 0 || low < 0) {
            log_error(r->log,
                      "%s: " KEY("tokens") "[%u] is a byte token but reads \"%.*s\", not "
                                           "<0xXX>",
                      r->path, id, SHOWN(token->bytes), text);
            return false;
        }
        uint32_t *slot = &vocab->byte_ids[high * 16 + low];
        if (*slot != TEXT_NO_TOKEN) {
            log_error(r->log, "%s: " KEY("tokens") "[%u] and [%u] are both byte 0x%02X", r->path,
                      *slot, id, (unsigned)(high * 16 + low));
            return false;
        }
        *slot = id;
        n++;
    }
    if (n != 0 && n != 256) {
        log_error(r->log, "%s: " KEY("tokens") " has %u byte tokens; it must have 256 or none",
                  r->path, n);
        return false;
    }
    vocab->has_bytes = n != 0;
    return true;
}

/* `*id` becomes the number under the key; without the key it becomes `fallback` if that is a token
 * of this type, else none. */
static bool read_id(const struct reading *r, const char *key, uint32_t fallback,
                    enum token_type type, uint32_t *id, bool *found)
{
    const struct vocab *vocab = r->vocab;
    enum gguf_result result = gguf_get_u32(r->file, key, id);
    *found = result == GGUF_OK;
    if (result == GGUF_ABSENT) {
        bool fits = fallback < vocab->count && vocab->tokens[fallback].type == type;
        *id = fits ? fallback : TEXT_NO_TOKEN;
        return true;
    }
    if (result == GGUF_OK && *id >= vocab->count) {
        log_error(r->log, "%s: %s is %u, but there are %u tokens", r->path, key, *id, vocab->count);
        return false;
    }
    return result == GGUF_OK;
}

/* An id that must be right where it is given, though nothing here uses it. */
static bool check_id(const struct reading *r, const char *key)
{
    uint32_t id;
    bool found;
    return read_id(r, key, TEXT_NO_TOKEN, TOKEN_CONTROL, &id, &found);
}

/* Whether BOS or EOS is added: `*adds` holds the default. Asking for it without naming it is an
 * error; the default only holds where there is one. */
static bool read_adds(const struct reading *r, const char *key, const char *id_key, uint32_t id,
                      bool id_found, bool *adds)
{
    enum gguf_result result = gguf_get_bool(r->file, key, adds);
    if (result == GGUF_OK && *adds && !id_found) {
        log_error(r->log, "%s: %s is true, but %s is missing", r->path, key, id_key);
        return false;
    }
    *adds = *adds && id != TEXT_NO_TOKEN;
    return result != GGUF_BAD;
}

static bool read_ids(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    bool bos, eos, any, whitespace;
    if (!read_id(r, KEY("bos_token_id"), 1, TOKEN_CONTROL, &vocab->bos, &bos) ||
        !read_id(r, KEY("eos_token_id"), 2, TOKEN_CONTROL, &vocab->eos, &eos) ||
        !read_id(r, KEY("unknown_token_id"), 0, TOKEN_UNKNOWN, &vocab->unknown, &any) ||
        !read_id(r, KEY("eot_token_id"), TEXT_NO_TOKEN, TOKEN_CONTROL, &vocab->eot, &any) ||
        !read_id(r, KEY("eom_token_id"), TEXT_NO_TOKEN, TOKEN_CONTROL, &vocab->eom, &any) ||
        !check_id(r, KEY("padding_token_id")) || !check_id(r, KEY("seperator_token_id")) ||
        !check_id(r, KEY("mask_token_id"))) {
        return false;
    }
    vocab->adds_bos = true;
    vocab->adds_prefix = true;
    if (!read_adds(r, KEY("add_bos_token"), KEY("bos_token_id"), vocab->bos, bos,
                   &vocab->adds_bos) ||
        !read_adds(r, KEY("add_eos_token"), KEY("eos_token_id"), vocab->eos, eos,
                   &vocab->adds_eos) ||
        gguf_get_bool(r->file, KEY("add_space_prefix"), &vocab->adds_prefix) == GGUF_BAD ||
        gguf_get_bool(r->file, KEY("remove_extra_whitespaces"), &whitespace) == GGUF_BAD) {
        return false;
    }
    if (!vocab->has_bytes && vocab->unknown == TEXT_NO_TOKEN) {
        log_error(r->log, "%s: " KEY("tokens") " has neither byte tokens nor an unknown token",
                  r->path);
        return false;
    }
    return true;
}

static void set_end(struct vocab *vocab, uint32_t id)
{
    if (id != TEXT_NO_TOKEN) {
        vocab->tokens[id].flags |= TOKEN_IS_END;
    }
}

/* Tokens that end a turn or a text, by number and by the names in use. Where such a token is
 * user-defined it is treated as a control token: prompts must not be able to write it. */
static bool read_ends(const struct reading *r)
{
    static const char *const names[] = {"<|eot_id|>",    "<|im_end|>",    "<|end|>",
                                        "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
                                        "<|eom_id|>",    "<EOT>",         "</s>"};
    const char *list_key = KEY("eos_token_ids");
    struct vocab *vocab = r->vocab;
    set_end(vocab, vocab->eos);
    set_end(vocab, vocab->eot);
    set_end(vocab, vocab->eom);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t id = text_map_find(&vocab->map, vocab->tokens, names[i], strlen(names[i]));
        if (id != TEXT_NO_TOKEN &&
            (vocab->tokens[id].type == TOKEN_CONTROL || vocab->tokens[id].type == TOKEN_USER)) {
            set_end(vocab, id);
            vocab->tokens[id].type = TOKEN_CONTROL;
            vocab->tokens[id].flags &= (uint8_t)~TOKEN_MERGES;
        }
    }
    const struct gguf_kv *list = gguf_find(r->file, list_key);
    if (list == NULL) {
        return true;
    }
    enum gguf_type elem = list->type == GGUF_ARRAY && list->elem == GGUF_U32 ? GGUF_U32 : GGUF_I32;
    if (gguf_get_array(r->file, list_key, elem, &list) != GGUF_OK) {
        return false;
    }
    for (uint64_t i = 0; i < list->count; i++) {
        uint32_t id = gguf_array_u32(list, i);
        if (id >= vocab->count) {
            log_error(r->log, "%s: %s[%llu] is %u, but there are %u tokens", r->path, list_key,
                      (unsigned long long)i, id, vocab->count);
            return false;
        }
        set_end(vocab, id);
    }
    return true;
}

static bool contains_phi3(const char *name, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i++) {
        bool phi =
            (name[i] | 0x20) == 'p' && (name[i + 1] | 0x20) == 'h' && (name[i + 2] | 0x20) == 'i';
        if (phi &&
            (name[i + 3] == '3' || (name[i + 3] == '-' && i + 4 < n && name[i + 4] == '3'))) {
            return true;
        }
    }
    return false;
}

/* Phi-3's special tokens eat the white space after them, all but three; no GGUF key says so, and
 * llama.cpp goes by the model's name too. */
static void set_strips(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    struct gguf_str name = {0};
    const struct gguf_kv *kv = gguf_find(r->file, "general.name");
    if (kv == NULL || kv->type != GGUF_STRING ||
        gguf_get_str(r->file, "general.name", &name) != GGUF_OK ||
        !contains_phi3(name.text, (size_t)name.bytes)) {
        return;
    }
    for (uint32_t i = 0; i < vocab->n_specials; i++) {
        struct token *token = &vocab->tokens[vocab->specials[i].id];
        if (!text_is(token->text, token->bytes, "<unk>") &&
            !text_is(token->text, token->bytes, "<s>") &&
            !text_is(token->text, token->bytes, "<|endoftext|>")) {
            token->flags |= TOKEN_STRIPS;
        }
    }
}

struct vocab *vocab_create(const struct gguf_file *file, struct log *log)
{
    struct vocab *vocab = mem_alloc(1, sizeof *vocab);
    struct reading r = {.file = file, .path = gguf_path(file), .log = log, .vocab = vocab};
    if (vocab == NULL) {
        log_error(log, "%s: out of memory for the vocabulary", r.path);
        return NULL;
    }
    if (!read_kind(&r) || !read_tokens(&r) || !build_map(&r) || !read_bytes(&r) || !read_ids(&r) ||
        !read_ends(&r)) {
        goto fail;
    }
    if (!special_prepare(vocab) || !spm_prepare(vocab)) {
        log_error(log, "%s: out of memory for the vocabulary", r.path);
        goto fail;
    }
    set_strips(&r);
    return vocab;
fail:
    vocab_destroy(vocab);
    return NULL;
}
