/* SentencePiece BPE: characters are merged pair by pair, always the pair whose token has the
 * highest score, the leftmost among equals. The text is first cut wherever no token joins two
 * neighbouring characters: merges cannot cross such a cut, so the segments are worked one after the
 * other with little memory, and the result is the same. Special tokens and BOS are the caller's. */
#include "text/internal.h"

#include "base/mem.h"

#include <string.h>

static uint32_t join_bit(uint32_t left, uint32_t right)
{
    return (uint32_t)(((uint64_t)left << 21 | right) * 0x9e3779b97f4a7c15ull >> 44);
}

static bool joins(const struct vocab *vocab, uint32_t left, uint32_t right)
{
    uint32_t bit = join_bit(left, right);
    return (vocab->joins[bit / 64] >> (bit % 64) & 1) != 0;
}

bool spm_prepare(struct vocab *vocab)
{
    _Static_assert(TEXT_JOIN_BITS == 1 << 20, "join_bit keeps 20 bits");
    vocab->joins = mem_alloc(TEXT_JOIN_BITS / 64, sizeof *vocab->joins);
    if (vocab->joins == NULL) {
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        const struct token *token = &vocab->tokens[id];
        if ((token->flags & TOKEN_MERGES) == 0) {
            continue;
        }
        uint32_t left = 0, right;
        for (uint32_t i = 0; i < token->bytes; left = right) {
            uint32_t start = i;
            i += utf8_read(token->text + i, token->bytes - i, &right);
            if (start > 0) {
                uint32_t bit = join_bit(left, right);
                vocab->joins[bit / 64] |= 1ull << (bit % 64);
            }
        }
    }
    return true;
}

/* The token with this text that merging may make, or TEXT_NO_TOKEN. */
static uint32_t find(const struct vocab *vocab, const char *text, size_t bytes)
{
    uint32_t id = text_map_find(&vocab->map, vocab->tokens, text, bytes);
    return id != TEXT_NO_TOKEN && (vocab->tokens[id].flags & TOKEN_MERGES) != 0 ? id
                                                                                : TEXT_NO_TOKEN;
}

static bool find_merge(const struct vocab *vocab, const struct merge_work *work,
                       const struct symbol *left, const struct symbol *right, uint32_t *order,
                       uint32_t *id)
{
    *id = find(vocab, work->text + left->start, (size_t)left->bytes + right->bytes);
    if (*id == TEXT_NO_TOKEN) {
        return false;
    }
    *order = vocab->tokens[*id].order;
    return true;
}

static bool add_symbol(const struct vocab *vocab, struct merge_work *work, const char *text,
                       uint32_t bytes, struct text_tokens *out)
{
    uint32_t id = find(vocab, text, bytes);
    if (id == TEXT_NO_TOKEN && vocab->has_bytes) {
        work->after_unknown = false;
        for (uint32_t i = 0; i < bytes; i++) {
            if (!text_tokens_add(out, vocab->byte_ids[(unsigned char)text[i]])) {
                return false;
            }
        }
        return true;
    }
    if (id == TEXT_NO_TOKEN && work->after_unknown) {
        return true;
    }
    work->after_unknown = id == TEXT_NO_TOKEN;
    return text_tokens_add(out, id == TEXT_NO_TOKEN ? vocab->unknown : id);
}

/* Tokenizes the segment collected so far and forgets it. */
static bool flush(const struct vocab *vocab, struct merge_work *work, struct text_tokens *out)
{
    if (work->count > 1 && !merge_all(vocab, work, find_merge)) {
        return false;
    }
    for (uint32_t i = 0; i < work->count && i != TEXT_NO_TOKEN; i = work->symbols[i].next) {
        const struct symbol *symbol = &work->symbols[i];
        if (!add_symbol(vocab, work, work->text + symbol->start, symbol->bytes, out)) {
            return false;
        }
    }
    work->count = 0;
    work->text_bytes = 0;
    return true;
}

static bool append(struct merge_work *work, const char *text, uint32_t bytes)
{
    /* One step of doubling is always enough: a character has at most 4 bytes, the first step 8. */
    if (!mem_grow((void **)&work->text, &work->text_cap, work->text_bytes + bytes, 1) ||
        !merge_add(work, (uint32_t)work->text_bytes, bytes, TEXT_NO_TOKEN)) {
        return false;
    }
    memcpy(work->text + work->text_bytes, text, bytes);
    work->text_bytes += bytes;
    return true;
}

bool spm_encode(const struct vocab *vocab, struct merge_work *work, const char *text, size_t bytes,
                bool prefix, struct text_tokens *out)
{
    const uint32_t space_bytes = sizeof TEXT_SPACE - 1;
    uint32_t before = TEXT_SPACE_CODE;
    work->count = 0;
    work->text_bytes = 0;
    work->after_unknown = false;
    if (prefix && !append(work, TEXT_SPACE, space_bytes)) {
        return false;
    }
    for (size_t i = 0; i < bytes;) {
        uint32_t code, length = utf8_read(text + i, bytes - i, &code);
        bool space = code == ' ';
        code = space ? TEXT_SPACE_CODE : code;
        if (work->count > 0 && !joins(vocab, before, code) && !flush(vocab, work, out)) {
            return false;
        }
        if (!append(work, space ? TEXT_SPACE : text + i, space ? space_bytes : length)) {
            return false;
        }
        before = code;
        i += length;
    }
    return flush(vocab, work, out);
}
