/* What the files of src/text share: the vocab, its hash map, UTF-8, classes of characters, the
 * pre-tokenizers, the merging of symbols, the special tokens. Not for other rooms. */
#ifndef QUADRIGA_TEXT_INTERNAL_H
#define QUADRIGA_TEXT_INTERNAL_H

#include "text/text.h"

#include "base/str.h"

enum {
    TEXT_MAX_TOKENS = 1 << 22,   /* the largest vocabularies in use have 2^18 */
    TEXT_MAX_MERGES = 1 << 23,   /* LLaMA 3 has 280,147 for 128,256 tokens */
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
    TOKEN_MERGES = 1 << 2, /* may come out of merging characters */
    TOKEN_IS_MARK = 1 << 3 /* user-defined, but reads like the mark of a turn */
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

/* ---- pairs.c: pair of tokens -> the merge that joins them ---- */

struct text_pair {
    uint64_t key;        /* left id << 32 | right id */
    uint32_t rank, join; /* join TEXT_NO_TOKEN: the slot is free */
};
struct text_pairs {
    struct text_pair *slots;
    uint64_t mask, seed[2];
};
/* Room for `count` pairs. False: out of memory. */
bool text_pairs_init(struct text_pairs *pairs, uint32_t count);
void text_pairs_finish(struct text_pairs *pairs);
/* False: the pair is there already, `old` is its rank; the first one stays. */
bool text_pairs_add(struct text_pairs *pairs, const struct text_pair *pair, uint32_t *old);
/* NULL: there is none. */
const struct text_pair *text_pairs_find(const struct text_pairs *pairs, uint32_t left,
                                        uint32_t right);

/* A control, user-defined or unknown token, looked for in the text before anything else. */
struct special {
    const char *text;
    uint32_t bytes, id;
    uint32_t rank; /* longest first, then lowest id: who wins where two overlap */
};

enum vocab_kind { VOCAB_SPM, VOCAB_BPE };

struct vocab {
    enum vocab_kind kind;
    struct token *tokens;
    uint32_t count;
    char *pool;
    struct text_map map;
    uint32_t bos, eos, eot, eom, unknown; /* TEXT_NO_TOKEN: none */
    bool adds_bos, adds_eos, adds_prefix;
    uint32_t byte_ids[256]; /* SPM: all or none; BPE: TEXT_NO_TOKEN where there is none */
    bool has_bytes;         /* SPM */
    /* Bit set of the character pairs that stand side by side inside some token, by text_join_bit;
     * collisions only cost speed. */
    uint64_t *joins;
    struct special *specials; /* sorted by text */
    uint32_t n_specials, n_user;
    uint32_t first[257]; /* specials beginning with byte c: [first[c], first[c + 1]) */
    /* BPE only. raw[id] is tokens[id] with the bytes that its text stands for. */
    const struct pretok *pretok;
    uint8_t *classes; /* TEXT_CODE_POINTS of them, enum text_class */
    struct token *raw;
    char *raw_pool;
    struct text_map words; /* of raw, the tokens that a whole word may be; empty if unused */
    struct text_pairs pairs;
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

/* ---- class.c ---- */

enum { TEXT_CODE_POINTS = 0x110000 };
/* Exactly one bit is set for each code point. */
enum text_class {
    CLASS_LETTER = 1, /* L */
    CLASS_NUMBER = 2, /* N */
    CLASS_PUNCT = 4,  /* P */
    CLASS_MARK = 8,   /* M */
    CLASS_SPACE = 16, /* the property White_Space */
    CLASS_OTHER = 32  /* the rest, unassigned ones too */
};
/* One byte for each code point: free with mem_free. NULL: out of memory. */
uint8_t *text_class_create(void);

/* ---- pretok.c: cuts text into words that byte-pair merges never cross ---- */

/* Valid UTF-8. */
struct pretok_text {
    const char *text;
    const uint8_t *classes;
};
/* Bytes of the match that begins at text[at], within text[0, end); 0: there is none, and none
 * begins in the next `*skip` bytes, a character at least. at < end. */
typedef size_t (*pretok_match)(const struct pretok_text *text, size_t at, size_t end, size_t *skip);

enum { PRETOK_STAGES = 6 };
struct pretok {
    pretok_match stages[PRETOK_STAGES]; /* up to the first NULL */
    bool whole_words; /* a word that is a token is that token, whatever the merges make of it */
    bool adds_bos;    /* unless the file says otherwise */
};
/* By the name in tokenizer.ggml.pre. NULL: unknown. */
const struct pretok *pretok_find(const char *name, size_t bytes);
/* The names of all, for a message. */
void pretok_list(struct str *out);

typedef bool (*pretok_word)(void *user, const char *word, size_t bytes);
/* Calls `word` for each word in order; together they are the text. Each stage cuts the pieces of
 * the one before it into its matches and what lies between them. Time linear in the text, stack
 * bounded. False as soon as `word` is. */
bool pretok_split(const struct pretok *pretok, const struct pretok_text *text, size_t bytes,
                  pretok_word word, void *user);

/* ---- pretok_word.c, pretok_set.c: the stages ---- */

/* The character at text[at], at < end; code and class of none at the end. */
struct pretok_char {
    uint32_t code, bytes;
    uint8_t class;
};
struct pretok_char pretok_read(const struct pretok_text *text, size_t at, size_t end);

size_t pretok_match_gpt2(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_llama3(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_qwen2(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_qwen35(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_tekken(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_gpt4o(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
/* [\p{P}$+<=>^~|`]+, and without the back quote */
size_t pretok_match_signs(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_signs_old(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_number(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_numbers(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_digits3(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_line_end(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
/* \s?\p{L}+ and \s?\p{P}+ */
size_t pretok_match_letters(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_puncts(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
/* The same with DeepSeek LLM's own sets of characters. */
size_t pretok_match_cased(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_ascii(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_last_space(const struct pretok_text *text, size_t at, size_t end, size_t *skip);
size_t pretok_match_cjk(const struct pretok_text *text, size_t at, size_t end, size_t *skip);

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
/* Matches in the order of the text; without `parse` only of user-defined tokens. With `own` not
 * NULL only those of which every byte is marked there are parsed so, and in the rest user-defined
 * tokens that read like marks of turns are not found. False: out of memory. bytes < 2^32. */
bool special_find(const struct vocab *vocab, const char *text, size_t bytes, bool parse,
                  const uint8_t *own, struct special_list *out);

/* ---- encode.c ---- */

/* Appends the ids of valid UTF-8, with special tokens found as special_find does with `own`
 * [bytes]. `continues`: it goes on where other text ends, so that it gets no leading space. False:
 * logged; ids of a part may have been appended. */
bool vocab_encode_marked(const struct vocab *vocab, const char *text, size_t bytes,
                         const uint8_t *own, bool continues, struct text_tokens *out,
                         struct log *log);

/* ---- merge.c ---- */

struct symbol {
    uint32_t start, bytes; /* in the segment's text; bytes 0: merged into another */
    uint32_t prev, next;
    uint32_t id; /* BPE: the token; SPM: unused */
};
/* Memory of one call of vocab_encode, reused from segment to segment. */
struct merge_work {
    char *text; /* SPM: the segment, spaces replaced */
    struct symbol *symbols;
    struct heap heap;
    size_t text_bytes, text_cap, count, symbol_cap;
    bool after_unknown; /* SPM: a run of unknown characters is one unknown token */
};
/* Appends a symbol behind the last one. False: out of memory. */
bool merge_add(struct merge_work *work, uint32_t start, uint32_t bytes, uint32_t id);
/* Whether two neighbours merge: then how early (smaller first) and into which token. */
typedef bool (*merge_find)(const struct vocab *vocab, const struct merge_work *work,
                           const struct symbol *left, const struct symbol *right, uint32_t *order,
                           uint32_t *id);
/* Merges neighbours, always the earliest pair, the leftmost among equals, until none is left. The
 * symbols that remain are linked from the first. False: out of memory. */
bool merge_all(const struct vocab *vocab, struct merge_work *work, merge_find find);
void merge_work_finish(struct merge_work *work);

/* ---- spm.c ---- */

/* Appends the ids of valid UTF-8, with a space before it if `prefix`. False: out of memory. */
bool spm_encode(const struct vocab *vocab, struct merge_work *work, const char *text, size_t bytes,
                bool prefix, struct text_tokens *out);
/* Notes the character pairs of all tokens that merge. False: out of memory. */
bool spm_prepare(struct vocab *vocab);

/* ---- bpe.c ---- */

/* Appends the ids of valid UTF-8. False: out of memory. */
bool bpe_encode(const struct vocab *vocab, struct merge_work *work, const char *text, size_t bytes,
                struct text_tokens *out);
/* Makes raw texts, single bytes and classes of the tokens read so far. False: out of memory. */
bool bpe_prepare(struct vocab *vocab);

/* ---- read.c, read_ids.c, read_merges.c ---- */

struct reading {
    const struct gguf_file *file;
    const char *path;
    struct log *log;
    struct vocab *vocab;
};
/* A text of the file in a message: at most 60 bytes of it. */
#define SHOWN(n)  ((int)((n) < 60 ? (n) : 60))
#define KEY(name) "tokenizer.ggml." name
/* All false: logged. */
bool read_array(const struct reading *r, const char *key, enum gguf_type elem,
                const struct gguf_kv **out); /* absent is an error */
bool read_ids(const struct reading *r);      /* BOS, EOS, unknown, ...; what is added */
bool read_ends(const struct reading *r);     /* the tokens that end generation */
bool read_merges(const struct reading *r);   /* after bpe_prepare */
void read_strips(const struct reading *r);   /* what eats white space */
void read_marks(const struct reading *r);    /* what reads like the mark of a turn */

bool text_tokens_add(struct text_tokens *tokens, uint32_t id);

#endif
