/* What the files of src/text share: the vocab, its hash map, UTF-8, the heap, the special tokens.
 * Not for other rooms. */
#ifndef QUADRIGA_TEXT_INTERNAL_H
#define QUADRIGA_TEXT_INTERNAL_H

#include "text/text.h"

#include "base/str.h"

enum {
    TEXT_MAX_TOKENS = 1 << 22,   /* the largest vocabularies in use have 2^18 */
    TEXT_MAX_TOKEN_BYTES = 4096, /* bounds the work of one look-up */
    TEXT_JOIN_BITS = 1 << 20
};
#define TEXT_SPACE       "\xe2\x96\x81" /* U+2581, SentencePiece's space */
#define TEXT_SPACE_CODE  0x2581u
#define TEXT_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* tokenizer.ggml.token_type, numbered as in the file. */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER,
    TOKEN_UNUSED,
    TOKEN_BYTE
};

enum token_flags {
    TOKEN_IS_END = 1 << 0, /* ends generation */
    TOKEN_STRIPS = 1 << 1, /* eats the white space after it when it is matched in a text */
    TOKEN_MERGES = 1 << 2  /* may come out of merging characters */
};

struct token {
    const char *text; /* in vocab.pool, not terminated */
    uint32_t order;   /* of the score: smaller merges first; equal scores are equal */
    uint16_t bytes;
    uint8_t type, flags;
};

/* ---- map.c: token text -> id ---- */

struct text_slot {
    uint32_t tag, id; /* high half of the hash; id TEXT_NO_TOKEN: free */
};
struct text_map {
    struct text_slot *slots;
    uint32_t mask;
    uint64_t key[2];
};
/* Room for `count` texts. False: out of memory. */
bool text_map_init(struct text_map *map, uint32_t count);
void text_map_finish(struct text_map *map);
/* Adds tokens[id]. The id that has this text already, or TEXT_NO_TOKEN when it was new. */
uint32_t text_map_add(struct text_map *map, const struct token *tokens, uint32_t id);
/* TEXT_NO_TOKEN: there is none. */
uint32_t text_map_find(const struct text_map *map, const struct token *tokens, const char *text,
                       size_t bytes);

/* A control, user-defined or unknown token, looked for in the text before anything else. */
struct special {
    const char *text;
    uint32_t bytes, id;
    uint32_t rank; /* longest first, then lowest id: who wins where two overlap */
};

struct vocab {
    struct token *tokens;
    uint32_t count;
    char *pool;
    struct text_map map;
    uint32_t bos, eos, eot, eom, unknown; /* TEXT_NO_TOKEN: none */
    bool adds_bos, adds_eos, adds_prefix;
    uint32_t byte_ids[256]; /* all or none */
    bool has_bytes;
    /* Bit set of the character pairs that stand side by side inside some token, by text_join_bit;
     * collisions only cost speed. */
    uint64_t *joins;
    struct special *specials; /* sorted by text */
    uint32_t n_specials, n_user;
    uint32_t first[257]; /* specials beginning with byte c: [first[c], first[c + 1]) */
};

/* ---- utf8.c ---- */

#define UTF8_BAD  0xffffffffu /* the bytes read are a maximal invalid subpart */
#define UTF8_PART 0xfffffffeu /* all the bytes are the beginning of a character */
/* One character or invalid subpart at p[0..n), n > 0: its length in bytes, 1 to 4; Unicode 15,
 * table 3-7. */
uint32_t utf8_read(const char *p, size_t n, uint32_t *code);
bool utf8_valid(const char *text, size_t n);
/* Appends the text with each maximal invalid subpart as U+FFFD. */
void utf8_clean(struct str *out, const char *text, size_t n);

/* ---- heap.c: a binary heap, smallest key first ---- */

struct heap_item {
    uint64_t key;
    uint32_t a, b;
};
struct heap {
    struct heap_item *items;
    size_t count, cap;
};
bool heap_push(struct heap *heap, struct heap_item item);
/* Only appends; heap_order afterwards makes a heap of all in linear time. */
bool heap_append(struct heap *heap, struct heap_item item);
void heap_order(struct heap *heap);
struct heap_item heap_pop(struct heap *heap); /* count > 0 */
void heap_finish(struct heap *heap);

/* ---- special.c ---- */

struct special_match {
    size_t start, end; /* the bytes in the text, with the white space it eats */
    uint32_t id;
};
struct special_list {
    struct special_match *items;
    size_t count, cap;
};
/* Sorts the vocabulary's special tokens for the search. False: out of memory. */
bool special_prepare(struct vocab *vocab);
/* Matches in the order of the text; without `parse` only of user-defined tokens. False: out of
 * memory. bytes < 2^32. */
bool special_find(const struct vocab *vocab, const char *text, size_t bytes, bool parse,
                  struct special_list *out);

/* ---- spm.c ---- */

struct spm_symbol {
    uint32_t start, bytes; /* in the segment's text; bytes 0: merged into another */
    uint32_t prev, next;
};
/* Memory of one call of vocab_encode, reused from segment to segment. */
struct spm_work {
    char *text;
    struct spm_symbol *symbols;
    struct heap heap;
    size_t text_bytes, text_cap, count, symbol_cap;
    bool after_unknown; /* a run of unknown characters is one unknown token */
};
/* Appends the ids of valid UTF-8, with a space before it if `prefix`. False: out of memory. */
bool spm_encode(const struct vocab *vocab, struct spm_work *work, const char *text, size_t bytes,
                bool prefix, struct text_tokens *out);
void spm_work_finish(struct spm_work *work);
/* Notes the character pairs of all tokens that merge. False: out of memory. */
bool spm_prepare(struct vocab *vocab);

bool text_tokens_add(struct text_tokens *tokens, uint32_t id);

#endif
