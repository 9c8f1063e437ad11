/* A vocab out of tokenizer.ggml.* of a GGUF file. Everything that the tokenizer later relies on is
 * checked, each failure with one line that names file, field and value: the tokens here, ids of
 * special ones in read_ids.c, merges in read_merges.c. Whether the model's embedding has as many
 * rows is for the caller. */
#include "text/internal.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

static bool text_is(const char *text, size_t bytes, const char *name)
{
    return strlen(name) == bytes && memcmp(text, name, bytes) == 0;
}

/* SentencePiece files name no pre-tokenizer, or "default". */
static bool read_pre_spm(const struct reading *r)
{
    struct gguf_str pre = {0};
    enum gguf_result result = gguf_get_str(r->file, KEY("pre"), &pre);
    if (result == GGUF_OK && !text_is(pre.text, pre.bytes, "default")) {
        log_error(r->log, "%s: " KEY("pre") " is \"%.*s\"; supported with llama are: default",
                  r->path, SHOWN(pre.bytes), pre.text);
        return false;
    }
    return result != GGUF_BAD;
}

static bool read_pre_bpe(const struct reading *r)
{
    struct gguf_str pre = {.text = "default", .bytes = 7};
    enum gguf_result result = gguf_get_str(r->file, KEY("pre"), &pre);
    if (result == GGUF_ABSENT) {
        log_warn(r->log, "%s: " KEY("pre") " is missing; taken as default, which may cut wrong",
                 r->path);
    }
    r->vocab->pretok = pretok_find(pre.text, (size_t)pre.bytes);
    if (result != GGUF_BAD && r->vocab->pretok == NULL) {
        struct str list;
        str_init(&list);
        pretok_list(&list);
        log_error(r->log, "%s: " KEY("pre") " is \"%.*s\"; supported with gpt2 are: %s", r->path,
                  SHOWN(pre.bytes), pre.text, str_get(&list));
        str_finish(&list);
        return false;
    }
    return result != GGUF_BAD;
}

static bool read_kind(const struct reading *r)
{
    struct gguf_str kind = {0};
    enum gguf_result result = gguf_get_str(r->file, KEY("model"), &kind);
    if (result == GGUF_BAD) {
        return false;
    }
    if (result == GGUF_ABSENT) {
        log_error(r->log, "%s: " KEY("model") " is missing", r->path);
        return false;
    }
    if (text_is(kind.text, kind.bytes, "gpt2")) {
        r->vocab->kind = VOCAB_BPE;
        return read_pre_bpe(r);
    }
    if (text_is(kind.text, kind.bytes, "llama")) {
        r->vocab->kind = VOCAB_SPM;
        return read_pre_spm(r);
    }
    log_error(r->log,
              "%s: " KEY("model") " is \"%.*s\"; supported are: llama (SentencePiece), gpt2 "
                                  "(byte-level BPE)",
              r->path, SHOWN(kind.bytes), kind.text);
    return false;
}

bool read_array(const struct reading *r, const char *key, enum gguf_type elem,
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

static bool read_scores(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    const struct gguf_kv *scores;
    if (vocab->kind == VOCAB_BPE && gguf_find(r->file, KEY("scores")) == NULL) {
        return true; /* merges have an order of their own */
    }
    if (!read_array(r, KEY("scores"), GGUF_F32, &scores) ||
        !check_count(r, KEY("scores"), scores)) {
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        float score = gguf_array_f32(scores, id);
        if (!isfinite(score)) {
            log_error(r->log, "%s: " KEY("scores") "[%u] is %g", r->path, id, (double)score);
            return false;
        }
        vocab->tokens[id].order = score_order(score);
    }
    return true;
}

static bool read_types(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    const struct gguf_kv *types = NULL;
    bool any = vocab->kind != VOCAB_BPE || gguf_find(r->file, KEY("token_type")) != NULL;
    if (any && (!read_array(r, KEY("token_type"), GGUF_I32, &types) ||
                !check_count(r, KEY("token_type"), types))) {
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        uint32_t type = any ? gguf_array_u32(types, id) : TOKEN_NORMAL;
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE) {
            log_error(r->log, "%s: " KEY("token_type") "[%u] is %d; 1 to 6 are known", r->path, id,
                      (int)type);
            return false;
        }
        if (vocab->kind == VOCAB_BPE && type == TOKEN_BYTE) {
            type = TOKEN_NORMAL; /* bytes are ordinary tokens here */
        }
        vocab->tokens[id].type = (uint8_t)type;
        if (type == TOKEN_NORMAL || type == TOKEN_USER || type == TOKEN_UNUSED) {
            vocab->tokens[id].flags |= TOKEN_MERGES;
        }
    }
    return true;
}

static bool read_tokens(const struct reading *r)
{
    const struct gguf_kv *texts;
    if (!read_array(r, KEY("tokens"), GGUF_STRING, &texts)) {
        return false;
    }
    if (texts->count == 0 || texts->count > TEXT_MAX_TOKENS) {
        log_error(r->log, "%s: " KEY("tokens") " has %llu entries; 1 to %d are supported", r->path,
                  (unsigned long long)texts->count, TEXT_MAX_TOKENS);
        return false;
    }
    r->vocab->count = (uint32_t)texts->count;
    return read_texts(r, texts) && read_scores(r) && read_types(r);
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

/* What the tokenizer proper needs beyond the tokens. */
static bool read_rest(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    bool bpe = vocab->kind == VOCAB_BPE;
    if (!special_prepare(vocab) || !(bpe ? bpe_prepare(vocab) : spm_prepare(vocab))) {
        log_error(r->log, "%s: out of memory for the vocabulary", r->path);
        return false;
    }
    return !bpe || read_merges(r);
}

struct vocab *vocab_create(const struct gguf_file *file, struct log *log)
{
    struct vocab *vocab = mem_alloc(1, sizeof *vocab);
    struct reading r = {.file = file, .path = gguf_path(file), .log = log, .vocab = vocab};
    if (vocab == NULL) {
        log_error(log, "%s: out of memory for the vocabulary", r.path);
        return NULL;
    }
    if (!read_kind(&r) || !read_tokens(&r) || !build_map(&r) ||
        (vocab->kind == VOCAB_SPM && !read_bytes(&r)) || !read_ids(&r) || !read_ends(&r) ||
        !read_rest(&r)) {
        vocab_destroy(vocab);
        return NULL;
    }
    read_strips(&r);
    read_marks(&r);
    return vocab;
}
