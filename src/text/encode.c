/* Text to ids, around the tokenizer proper: invalid UTF-8 is replaced, special tokens are cut out,
 * BOS and EOS are put at the ends. Between them the pieces go to spm.c or bpe.c. */
#include "text/internal.h"

#include "base/mem.h"

/* Invalid bytes become three each, and so do spaces: positions stay below 2^32. */
enum { MAX_TEXT_BYTES = 1 << 28 };

bool text_tokens_add(struct text_tokens *tokens, uint32_t id)
{
    if (!mem_grow((void **)&tokens->ids, &tokens->cap, tokens->count, sizeof *tokens->ids)) {
        return false;
    }
    tokens->ids[tokens->count++] = id;
    return true;
}

void text_tokens_finish(struct text_tokens *tokens)
{
    mem_free(tokens->ids);
    *tokens = (struct text_tokens){0};
}

/* Every piece of text begins the text or follows a special token, but for the first one where the
 * text `continues` another. */
static bool encode_around(const struct vocab *vocab, const char *text, size_t bytes,
                          const struct special_list *specials, bool continues,
                          struct merge_work *work, struct text_tokens *out)
{
    size_t at = 0;
    for (size_t i = 0; i <= specials->count; i++) {
        size_t end = i < specials->count ? specials->items[i].start : bytes;
        bool prefix = vocab->adds_prefix && (at != 0 || !continues);
        if (end > at &&
            !(vocab->kind == VOCAB_SPM ? spm_encode(vocab, work, text + at, end - at, prefix, out)
                                       : bpe_encode(vocab, work, text + at, end - at, out))) {
            return false;
        }
        if (i < specials->count) {
            if (!text_tokens_add(out, specials->items[i].id)) {
                return false;
            }
            at = specials->items[i].end;
        }
    }
    return true;
}

bool vocab_encode(const struct vocab *vocab, const char *text, size_t bytes, uint32_t flags,
                  struct text_tokens *out, struct log *log)
{
    struct special_list specials = {0};
    struct merge_work work = {0};
    struct str clean;
    size_t before = out->count;
    bool special = (flags & TEXT_ADD_SPECIAL) != 0, ok = false;
    str_init(&clean);
    if (bytes > MAX_TEXT_BYTES) {
        log_error(log, "cannot tokenize a text of %zu bytes: the limit is %d", bytes,
                  MAX_TEXT_BYTES);
        return false;
    }
    if (!utf8_valid(text, bytes)) {
        utf8_clean(&clean, text, bytes);
        text = str_get(&clean);
        bytes = clean.bytes;
    }
    ok = !clean.failed && (!special || !vocab->adds_bos || text_tokens_add(out, vocab->bos)) &&
         special_find(vocab, text, bytes, (flags & TEXT_PARSE_SPECIAL) != 0, NULL, &specials) &&
         encode_around(vocab, text, bytes, &specials, false, &work, out) &&
         (!special || !vocab->adds_eos || text_tokens_add(out, vocab->eos));
    if (!ok) {
        log_error(log, "out of memory while tokenizing a text of %zu bytes", bytes);
        out->count = before;
    }
    str_finish(&clean);
    mem_free(specials.items);
    merge_work_finish(&work);
    return ok;
}

bool vocab_encode_marked(const struct vocab *vocab, const char *text, size_t bytes,
                         const uint8_t *own, bool continues, struct text_tokens *out,
                         struct log *log)
{
    struct special_list specials = {0};
    struct merge_work work = {0};
    if (bytes > MAX_TEXT_BYTES) {
        log_error(log, "cannot tokenize a text of %zu bytes: the limit is %d", bytes,
                  MAX_TEXT_BYTES);
        return false;
    }
    bool ok = special_find(vocab, text, bytes, true, own, &specials) &&
              encode_around(vocab, text, bytes, &specials, continues, &work, out);
    if (!ok) {
        log_error(log, "out of memory while tokenizing a text of %zu bytes", bytes);
    }
    mem_free(specials.items);
    merge_work_finish(&work);
    return ok;
}
