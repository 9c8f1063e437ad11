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

/* Makes `item` the merge of two neighbours, if a token has their text. */
static bool find_merge(const struct vocab *vocab, const struct spm_work *work, uint32_t left,
                       uint32_t right, struct heap_item *item)
{
    if (left == TEXT_NO_TOKEN || right == TEXT_NO_TOKEN) {
        return false;
    }
    const struct spm_symbol *l = &work->symbols[left], *r = &work->symbols[right];
    uint32_t id = find(vocab, work->text + l->start, (size_t)l->bytes + r->bytes);
    if (id == TEXT_NO_TOKEN) {
        return false;
    }
    *item = (struct heap_item){.key = (uint64_t)vocab->tokens[id].order << 32 | left,
                               .a = right,
                               .b = l->bytes + r->bytes};
    return true;
}

static bool merge_all(const struct vocab *vocab, struct spm_work *work)
{
    struct spm_symbol *symbols = work->symbols;
    struct heap_item item;
    work->heap.count = 0;
    for (uint32_t i = 0; i + 1 < work->count; i++) {
        if (find_merge(vocab, work, i, i + 1, &item) && !heap_append(&work->heap, item)) {
            return false;
        }
    }
    heap_order(&work->heap);
    while (work->heap.count > 0) {
        item = heap_pop(&work->heap);
        uint32_t left = (uint32_t)item.key, right = item.a;
        if (symbols[left].bytes == 0 || symbols[right].bytes == 0 ||
            symbols[left].bytes + symbols[right].bytes != item.b) {
            continue; /* one of them has been merged since */
        }
        symbols[left].bytes = item.b;
        symbols[right].bytes = 0;
        symbols[left].next = symbols[right].next;
        if (symbols[left].next != TEXT_NO_TOKEN) {
            symbols[symbols[left].next].prev = left;
        }
        if (find_merge(vocab, work, symbols[left].prev, left, &item) &&
            !heap_push(&work->heap, item)) {
            return false;
        }
        if (find_merge(vocab, work, left, symbols[left].next, &item) &&
            !heap_push(&work->heap, item)) {
            return false;
        }
    }
    return true;
}

static bool add_symbol(const struct vocab *vocab, struct spm_work *work, const char *text,
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
static bool flush(const struct vocab *vocab, struct spm_work *work, struct text_tokens *out)
{
    if (work->count > 1 && !merge_all(vocab, work)) {
        return false;
    }
    for (uint32_t i = 0; i < work->count && i != TEXT_NO_TOKEN; i = work->symbols[i].next) {
        const struct spm_symbol *symbol = &work->symbols[i];
        if (!add_symbol(vocab, work, work->text + symbol->start, symbol->bytes, out)) {
            return false;
        }
    }
    work->count = 0;
    work->text_bytes = 0;
    return true;
}

static bool append(struct spm_work *work, const char *text, uint32_t bytes)
{
    /* One step of doubling is always enough: a character has at most 4 bytes, the first step 8. */
    if (!mem_grow((void **)&work->text, &work->text_cap, work->text_bytes + bytes, 1) ||
        !mem_grow((void **)&work->symbols, &work->symbol_cap, work->count, sizeof *work->symbols)) {
        return false;
    }
    memcpy(work->text + work->text_bytes, text, bytes);
    uint32_t at = (uint32_t)work->count;
    work->symbols[at] = (struct spm_symbol){.start = (uint32_t)work->text_bytes,
                                            .bytes = bytes,
                                            .prev = at > 0 ? at - 1 : TEXT_NO_TOKEN,
                                            .next = TEXT_NO_TOKEN};
    if (at > 0) {
        work->symbols[at - 1].next = at;
    }
    work->count++;
    work->text_bytes += bytes;
    return true;
}

bool spm_encode(const struct vocab *vocab, struct spm_work *work, const char *text, size_t bytes,
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

void spm_work_finish(struct spm_work *work)
{
    mem_free(work->text);
    mem_free(work->symbols);
    heap_finish(&work->heap);
}
