/* Finds special tokens in a text before it is tokenized: longer ones win over shorter ones wherever
 * they lie, equal ones go by id, and one token's matches are taken from left to right; that is
 * llama.cpp's rule. Encoding what lies between is for the caller. */
#include "text/internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int by_rank(const void *a, const void *b)
{
    const struct special *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_text(const void *a, const void *b)
{
    const struct special *x = a, *y = b;
    size_t n = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->text, y->text, n);
    return order != 0 ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_start(const void *a, const void *b)
{
    const struct special_match *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static bool is_special(const struct token *token)
{
    return token->bytes > 0 && (token->type == TOKEN_CONTROL || token->type == TOKEN_USER ||
                                token->type == TOKEN_UNKNOWN);
}

bool special_prepare(struct vocab *vocab)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < vocab->count; id++) {
        n += is_special(&vocab->tokens[id]);
        vocab->n_user += vocab->tokens[id].bytes > 0 && vocab->tokens[id].type == TOKEN_USER;
    }
    vocab->specials = mem_alloc(n, sizeof *vocab->specials);
    if (vocab->specials == NULL) {
        return false;
    }
    for (uint32_t id = 0; id < vocab->count; id++) {
        const struct token *token = &vocab->tokens[id];
        if (is_special(token)) {
            vocab->specials[vocab->n_specials++] =
                (struct special){.text = token->text, .bytes = token->bytes, .id = id};
        }
    }
    qsort(vocab->specials, n, sizeof *vocab->specials, by_rank);
    for (uint32_t i = 0; i < n; i++) {
        vocab->specials[i].rank = i;
    }
    qsort(vocab->specials, n, sizeof *vocab->specials, by_text);
    uint32_t at = 0;
    for (uint32_t c = 0; c <= 256; c++) {
        while (at < n && (unsigned char)vocab->specials[at].text[0] < c) {
            at++;
        }
        vocab->first[c] = at;
    }
    return true;
}

/* First of specials[low, high), which agree before byte `depth` and are longer than it, whose byte
 * there is at least `c`. */
static uint32_t lower_bound(const struct special *specials, uint32_t low, uint32_t high,
                            uint32_t depth, uint32_t c)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((unsigned char)specials[middle].text[depth] < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What is looked for, and where. */
struct search {
    const struct vocab *vocab;
    const char *text;
    size_t bytes;
    bool parse;
    const uint8_t *own; /* NULL: the whole text is alike */
};

static bool is_wanted(const struct search *s, const struct special *special, size_t at)
{
    const struct token *token = &s->vocab->tokens[special->id];
    if (s->own == NULL) {
        return s->parse || token->type == TOKEN_USER;
    }
    return (token->type == TOKEN_USER && (token->flags & TOKEN_IS_MARK) == 0) ||
           memchr(s->own + at, 0, special->bytes) == NULL;
}

/* The best special at text[at] whose rank is at least `rank`; NULL when there is none. */
static const struct special *best_at(const struct search *s, size_t at, uint32_t rank)
{
    const struct vocab *vocab = s->vocab;
    const char *text = s->text + at;
    const size_t n = s->bytes - at;
    const struct special *best = NULL;
    unsigned char c = (unsigned char)text[0];
    uint32_t low = vocab->first[c], high = vocab->first[c + 1];
    for (uint32_t depth = 1; low < high; depth++) {
        const struct special *special = &vocab->specials[low];
        if (special->bytes == depth) {
            if (special->rank >= rank && (best == NULL || special->rank < best->rank) &&
                is_wanted(s, special, at)) {
                best = special;
            }
            low++;
        }
        if (depth == n) {
            break;
        }
        c = (unsigned char)text[depth];
        low = lower_bound(vocab->specials, low, high, depth, c);
        high = lower_bound(vocab->specials, low, high, depth, c + 1u);
    }
    return best;
}

static bool push_best(const struct search *s, size_t at, uint32_t rank, struct heap *heap,
                      bool ordered)
{
    const struct special *special = best_at(s, at, rank);
    if (special == NULL) {
        return true;
    }
    struct heap_item item = {.key = (uint64_t)special->rank << 32 | at, .a = special->id};
    return ordered ? heap_push(heap, item) : heap_append(heap, item);
}

static bool is_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool accept(const struct vocab *vocab, const char *text, size_t bytes, size_t start,
                   uint32_t id, unsigned char *used, struct special_list *out)
{
    const struct token *token = &vocab->tokens[id];
    struct special_match match = {.start = start, .end = start + token->bytes, .id = id};
    if ((token->flags & TOKEN_STRIPS) != 0) {
        while (match.end < bytes && !used[match.end] && is_white(text[match.end])) {
            match.end++;
        }
    }
    memset(used + start, 1, match.end - start);
    if (!mem_grow((void **)&out->items, &out->cap, out->count, sizeof *out->items)) {
        return false;
    }
    out->items[out->count++] = match;
    return true;
}

bool special_find(const struct vocab *vocab, const char *text, size_t bytes, bool parse,
                  const uint8_t *own, struct special_list *out)
{
    const struct search search = {vocab, text, bytes, parse, own};
    struct heap heap = {0};
    unsigned char *used = NULL;
    bool ok = false;
    out->count = 0;
    if (bytes == 0 || (parse ? vocab->n_specials : vocab->n_user) == 0) {
        return true;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (!push_best(&search, i, 0, &heap, false)) {
            goto fail;
        }
    }
    if (heap.count == 0) {
        return true;
    }
    heap_order(&heap);
    used = mem_alloc(bytes, 1);
    if (used == NULL) {
        goto fail;
    }
    while (heap.count > 0) {
        struct heap_item item = heap_pop(&heap);
        size_t start = (size_t)(item.key & 0xffffffffu);
        uint32_t rank = (uint32_t)(item.key >> 32);
        if (used[start]) {
            continue;
        }
        /* What is used already is at least as long as this, so it covers an end of it. */
        bool taken = used[start + vocab->tokens[item.a].bytes - 1u];
        if (taken ? !push_best(&search, start, rank + 1, &heap, true)
                  : !accept(vocab, text, bytes, start, item.a, used, out)) {
            goto fail;
        }
    }
    qsort(out->items, out->count, sizeof *out->items, by_start);
    ok = true;
fail:
    mem_free(used);
    heap_finish(&heap);
    return ok;
}
