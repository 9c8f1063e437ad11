/* tokenizer.ggml.merges of a byte-level BPE file: which tokens join into which, the first line
 * first. Both parts of a line and the two together must be tokens. */
#include "text/internal.h"

#include <string.h>

static bool refuse(const struct reading *r, uint64_t i, const struct gguf_str *line,
                   const char *reason)
{
    log_error(r->log, "%s: " KEY("merges") "[%llu] is \"%.*s\": %s", r->path, (unsigned long long)i,
              SHOWN(line->bytes), line->text, reason);
    return false;
}

/* One line, "left right"; join TEXT_NO_TOKEN in the result: never to be made. */
static bool read_merge(const struct reading *r, uint64_t i, const struct gguf_str *line,
                       struct text_pair *out)
{
    const struct vocab *vocab = r->vocab;
    char both[2 * TEXT_MAX_TOKEN_BYTES];
    if (!utf8_valid(line->text, (size_t)line->bytes)) {
        return refuse(r, i, &(struct gguf_str){.text = "", .bytes = 0}, "it is not UTF-8 text");
    }
    const char *gap = line->bytes > 1 ? memchr(line->text + 1, ' ', (size_t)line->bytes - 1) : NULL;
    if (gap == NULL || gap + 1 == line->text + line->bytes) {
        return refuse(r, i, line, "it is not two tokens with a space between");
    }
    size_t left = (size_t)(gap - line->text), right = (size_t)line->bytes - left - 1;
    uint32_t left_id = text_map_find(&vocab->map, vocab->tokens, line->text, left);
    uint32_t right_id = text_map_find(&vocab->map, vocab->tokens, gap + 1, right);
    if (left_id == TEXT_NO_TOKEN || right_id == TEXT_NO_TOKEN) {
        return refuse(r, i, line,
                      left_id == TEXT_NO_TOKEN ? "the first part is no token"
                                               : "the second part is no token");
    }
    memcpy(both, line->text, left);
    memcpy(both + left, gap + 1, right);
    uint32_t join = text_map_find(&vocab->map, vocab->tokens, both, left + right);
    if (join == TEXT_NO_TOKEN) {
        return refuse(r, i, line, "the two together are no token");
    }
    *out = (struct text_pair){
        .key = (uint64_t)left_id << 32 | right_id, .rank = (uint32_t)i, .join = join};
    if ((vocab->tokens[join].flags & TOKEN_MERGES) == 0) {
        out->join = TEXT_NO_TOKEN;
    }
    return true;
}

bool read_merges(const struct reading *r)
{
    const struct gguf_kv *lines;
    struct gguf_str line;
    struct text_pair pair;
    uint64_t cursor = 0;
    uint32_t old, first_old = 0, first = 0, repeated = 0;
    if (!read_array(r, KEY("merges"), GGUF_STRING, &lines)) {
        return false;
    }
    if (lines->count > TEXT_MAX_MERGES) {
        log_error(r->log, "%s: " KEY("merges") " has %llu entries; at most %d are supported",
                  r->path, (unsigned long long)lines->count, TEXT_MAX_MERGES);
        return false;
    }
    if (!text_pairs_init(&r->vocab->pairs, (uint32_t)lines->count)) {
        log_error(r->log, "%s: out of memory for %u merges", r->path, (uint32_t)lines->count);
        return false;
    }
    for (uint32_t i = 0; gguf_array_next(lines, &cursor, &line); i++) {
        if (!read_merge(r, i, &line, &pair)) {
            return false;
        }
        if (pair.join == TEXT_NO_TOKEN || text_pairs_add(&r->vocab->pairs, &pair, &old)) {
            continue;
        }
        if (repeated++ == 0) {
            first_old = old;
            first = i;
        }
    }
    if (repeated > 0) {
        log_warn(r->log, "%s: " KEY("merges") "[%u] repeats [%u]; the first one holds (%u such)",
                 r->path, first, first_old, repeated);
    }
    return true;
}
