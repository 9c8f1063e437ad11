/* Byte-level BPE: the words of the pre-tokenizer, each from its bytes' tokens merged pair by pair
 * in the order of the file. A byte without a token stands between its neighbours and is lost, as in
 * llama.cpp. Special tokens and BOS are the caller's. */
#include "text/internal.h"

#include "base/mem.h"

#include <string.h>

/* GPT-2's alphabet: printable characters of Latin-1 stand for themselves, the 68 other bytes for
 * the characters from U+0100 on, in order. */
static uint32_t byte_code(uint32_t byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xff && byte != 0xad)) {
        return byte;
    }
    return byte <= ' ' ? 0x100 + byte : byte == 0xad ? 0x143 : 0x121 + (byte - 0x7f);
}

/* The byte that a character stands for; 256: none. */
static uint32_t code_byte(uint32_t code)
{
    if (code >= 0x100 && code < 0x144) {
        code -= 0x100;
        return code <= ' ' ? code : code == 0x43 ? 0xad : code - 0x21 + 0x7f;
    }
    return code < 0x100 && byte_code(code) == code ? code : 256;
}

/* The bytes that the text stands for, at `out`; false: not all of its characters do. */
static bool decode(const char *text, size_t bytes, char *out, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < bytes;) {
        uint32_t code;
        i += utf8_read(text + i, bytes - i, &code);
        uint32_t byte = code_byte(code);
        if (byte > 255) {
            return false;
        }
        out[(*n)++] = (char)byte;
    }
    return true;
}

static void find_bytes(struct vocab *vocab)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t code = byte_code(byte);
        char text[2] = {(char)code, '\0'};
        size_t bytes = 1;
        if (code >= 0x80) {
            text[0] = (char)(0xc0 | code >> 6);
            text[1] = (char)(0x80 | (code & 0x3f));
            bytes = 2;
        }
        uint32_t id = text_map_find(&vocab->map, vocab->tokens, text, bytes);
        bool usable = id != TEXT_NO_TOKEN && (vocab->tokens[id].flags & TOKEN_MERGES) != 0;
        vocab->byte_ids[byte] = usable ? id : TEXT_NO_TOKEN;
    }
}

bool bpe_prepare(struct vocab *vocab)
{
    size_t total = 0, at = 0;
    for (uint32_t id = 0; id < vocab->count; id++) {
        total += vocab->tokens[id].bytes;
    }
    vocab->classes = text_class_create();
    vocab->raw = mem_alloc(vocab->count, sizeof *vocab->raw);
    vocab->raw_pool = mem_alloc(total, 1);
    if (vocab->classes == NULL || vocab->raw == NULL || vocab->raw_pool == NULL ||
        (vocab->pretok->whole_words && !text_map_init(&vocab->words, vocab->count))) {
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        const struct token *token = &vocab->tokens[id];
        struct token *raw = &vocab->raw[id];
        size_t n;
        *raw = *token;
        if (!decode(token->text, token->bytes, vocab->raw_pool + at, &n)) {
            continue; /* an added token: stands for its own text */
        }
        raw->text = vocab->raw_pool + at;
        raw->bytes = (uint16_t)n;
        at += n;
        if (vocab->pretok->whole_words && n > 0 && (token->flags & TOKEN_MERGES) != 0) {
            text_map_add(&vocab->words, vocab->raw, id);
        }
    }
    find_bytes(vocab);
    return true;
}

static bool find_merge(const struct vocab *vocab, const struct merge_work *work,
                       const struct symbol *left, const struct symbol *right, uint32_t *order,
                       uint32_t *id)
{
    (void)work;
    const struct text_pair *pair = text_pairs_find(&vocab->pairs, left->id, right->id);
    if (pair == NULL) {
        return false;
    }
    *order = pair->rank;
    *id = pair->join;
    return true;
}

struct encoding {
    const struct vocab *vocab;
    struct merge_work *work;
    struct text_tokens *out;
};

static bool encode_word(void *user, const char *text, size_t bytes)
{
    const struct encoding *e = user;
    const struct vocab *vocab = e->vocab;
    struct merge_work *work = e->work;
    if (vocab->pretok->whole_words) {
        uint32_t id = text_map_find(&vocab->words, vocab->raw, text, bytes);
        if (id != TEXT_NO_TOKEN) {
            return text_tokens_add(e->out, id);
        }
    }
    work->count = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (!merge_add(work, (uint32_t)i, 1, vocab->byte_ids[(unsigned char)text[i]])) {
            return false;
        }
    }
    if (!merge_all(vocab, work, find_merge)) {
        return false;
    }
    for (uint32_t i = 0; i != TEXT_NO_TOKEN; i = work->symbols[i].next) {
        uint32_t id = work->symbols[i].id;
        if (id != TEXT_NO_TOKEN && !text_tokens_add(e->out, id)) {
            return false;
        }
    }
    return true;
}

bool bpe_encode(const struct vocab *vocab, struct merge_work *work, const char *text, size_t bytes,
                struct text_tokens *out)
{
    struct pretok_text view = {.text = text, .classes = vocab->classes};
    struct encoding encoding = {.vocab = vocab, .work = work, .out = out};
    return pretok_split(vocab->pretok, &view, bytes, encode_word, &encoding);
}
