/* Life and facts of a vocab. Reading it from a file is read.c, texts are encode.c and stream.c. */
#include "text/internal.h"

#include "base/mem.h"

void vocab_destroy(struct vocab *vocab)
{
    if (vocab != NULL) {
        mem_free(vocab->tokens);
        mem_free(vocab->pool);
        mem_free(vocab->joins);
        mem_free(vocab->specials);
        mem_free(vocab->classes);
        mem_free(vocab->raw);
        mem_free(vocab->raw_pool);
        text_map_finish(&vocab->map);
        text_map_finish(&vocab->words);
        text_pairs_finish(&vocab->pairs);
        mem_free(vocab);
    }
}

uint32_t vocab_count(const struct vocab *vocab)
{
    return vocab->count;
}

uint32_t vocab_bos(const struct vocab *vocab)
{
    return vocab->bos;
}

uint32_t vocab_eos(const struct vocab *vocab)
{
    return vocab->eos;
}

bool vocab_adds_bos(const struct vocab *vocab)
{
    return vocab->adds_bos;
}

bool vocab_adds_eos(const struct vocab *vocab)
{
    return vocab->adds_eos;
}

bool vocab_is_end(const struct vocab *vocab, uint32_t id)
{
    return id < vocab->count && (vocab->tokens[id].flags & TOKEN_IS_END) != 0;
}

const char *vocab_text(const struct vocab *vocab, uint32_t id, size_t *bytes)
{
    *bytes = id < vocab->count ? vocab->tokens[id].bytes : 0;
    return id < vocab->count ? vocab->tokens[id].text : "";
}
