/* Stages that cut a whole text into words, numbers, signs and spaces: the patterns of GPT-2 and its
 * kin, each alternative written out. They match at every position. Stages that pick out one kind of
 * character are pretok_set.c. */
#include "text/internal.h"

enum { NO_CODE = 0x7fffffff };

struct pretok_char pretok_read(const struct pretok_text *text, size_t at, size_t end)
{
    struct pretok_char c = {.code = NO_CODE};
    if (at >= end) {
        return c;
    }
    const unsigned char *p = (const unsigned char *)text->text + at;
    if (p[0] < 0x80) {
        c.code = p[0];
        c.bytes = 1;
    } else if (p[0] < 0xe0) {
        c.code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
        c.bytes = 2;
    } else if (p[0] < 0xf0) {
        c.code = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        c.bytes = 3;
    } else {
        c.code = (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
        c.bytes = 4;
    }
    c.class = text->classes[c.code];
    return c;
}

/* The end of the run of these classes at text[at]. */
static size_t run(const struct pretok_text *text, size_t at, size_t end, uint32_t classes)
{
    struct pretok_char c = pretok_read(text, at, end);
    while ((c.class & classes) != 0) {
        at += c.bytes;
        c = pretok_read(text, at, end);
    }
    return at;
}

static bool is_line_end(uint32_t code)
{
    return code == '\r' || code == '\n';
}

/* 's 't 'm 'd 're 've 'll, in capitals too if `fold`: the bytes, 0 if there is none. */
static size_t contraction(const struct pretok_text *text, size_t at, size_t end, bool fold)
{
    const char *p = text->text + at;
    size_t n = end - at;
    if (n < 2 || p[0] != '\'') {
        return 0;
    }
    char a = p[1], b = n > 2 ? p[2] : '\0';
    if (fold) {
        a = a >= 'A' && a <= 'Z' ? (char)(a | 0x20) : a;
        b = b >= 'A' && b <= 'Z' ? (char)(b | 0x20) : b;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return 2;
    }
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s*[\r\n]+ if `lines`, else or failing that \s+(?!\S), else \s+; text[at] is a space. */
static size_t spaces(const struct pretok_text *text, size_t at, size_t end, bool lines)
{
    size_t next = at, last = at, line = at; /* beginning of the last space, end of the last line */
    struct pretok_char c = pretok_read(text, at, end);
    while (c.class == CLASS_SPACE) {
        last = next;
        next += c.bytes;
        line = is_line_end(c.code) ? next : line;
        c = pretok_read(text, next, end);
    }
    if (lines && line > at) {
        return line - at;
    }
    return next < end && last > at ? last - at : next - at;
}

size_t pretok_match_gpt2(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    (void)skip;
    size_t bytes = contraction(text, at, end, false), start = at;
    if (bytes != 0) {
        return bytes;
    }
    struct pretok_char c = pretok_read(text, at, end);
    if (c.code == ' ') {
        start++;
        c = pretok_read(text, start, end);
    }
    uint32_t other = CLASS_PUNCT | CLASS_MARK | CLASS_OTHER;
    uint32_t classes = (c.class & other) != 0 ? other : c.class & (CLASS_LETTER | CLASS_NUMBER);
    return classes != 0 ? run(text, start, end, classes) - at : spaces(text, at, end, false);
}

/* What the patterns of the LLaMA 3 kind differ in. */
struct shape {
    uint32_t word;   /* classes of a word's characters */
    uint32_t digits; /* at most so many in a number */
    bool cased;      /* a word changes from small to capital letters at most once */
    bool first;      /* contractions are words of their own, else ends of words... */
    bool last;       /* ...if this is set */
    bool slashes;    /* / among the line ends behind signs */
};

/* A*B+|A+B* where A are letters but a-z, B letters but A-Z. Both hold letters beyond ASCII: where
 * no small letter follows, A* gives back until such a one is B's. */
static size_t cased_word(const struct pretok_text *text, size_t at, size_t end)
{
    size_t both = at, first = at; /* end of the last letter that is A and B */
    struct pretok_char c = pretok_read(text, at, end);
    while (c.class == CLASS_LETTER && !(c.code >= 'a' && c.code <= 'z')) {
        at += c.bytes;
        both = c.code >= 0x80 ? at : both;
        c = pretok_read(text, at, end);
    }
    if (c.class != CLASS_LETTER) {
        return both > first ? both : at;
    }
    while (c.class == CLASS_LETTER && !(c.code >= 'A' && c.code <= 'Z')) {
        at += c.bytes;
        c = pretok_read(text, at, end);
    }
    return at;
}

/* [^\r\n\p{L}\p{N}]? and a word, with what may follow it: the bytes, 0 if there is none. */
static size_t word(const struct pretok_text *text, size_t at, size_t end, const struct shape *shape)
{
    struct pretok_char c = pretok_read(text, at, end);
    size_t start = at;
    if ((c.class & shape->word) == 0) {
        if (is_line_end(c.code) || c.class == CLASS_NUMBER) {
            return 0;
        }
        start += c.bytes;
    }
    size_t next = shape->cased ? cased_word(text, start, end) : run(text, start, end, shape->word);
    if (next == start) {
        return 0;
    }
    return next - at + (shape->last ? contraction(text, next, end, true) : 0);
}

static size_t number(const struct pretok_text *text, size_t at, size_t end, uint32_t most)
{
    size_t next = at;
    struct pretok_char c = pretok_read(text, at, end);
    for (uint32_t i = 0; i < most && c.class == CLASS_NUMBER; i++) {
        next += c.bytes;
        c = pretok_read(text, next, end);
    }
    return next - at;
}

/* A space, signs and line ends behind them: the bytes, 0 if there is no sign. */
static size_t signs(const struct pretok_text *text, size_t at, size_t end,
                    const struct shape *shape)
{
    uint32_t classes = (CLASS_PUNCT | CLASS_MARK | CLASS_OTHER) & ~shape->word;
    size_t start = text->text[at] == ' ' ? at + 1 : at;
    size_t next = run(text, start, end, classes);
    if (next == start) {
        return 0;
    }
    while (next < end && (is_line_end((unsigned char)text->text[next]) ||
                          (shape->slashes && text->text[next] == '/'))) {
        next++;
    }
    return next - at;
}

static size_t match(const struct pretok_text *text, size_t at, size_t end,
                    const struct shape *shape)
{
    size_t bytes = shape->first ? contraction(text, at, end, true) : 0;
    bytes = bytes != 0 ? bytes : word(text, at, end, shape);
    bytes = bytes != 0 ? bytes : number(text, at, end, shape->digits);
    bytes = bytes != 0 ? bytes : signs(text, at, end, shape);
    return bytes != 0 ? bytes : spaces(text, at, end, true);
}

size_t pretok_match_llama3(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    (void)skip;
    return match(text, at, end, &(struct shape){.word = CLASS_LETTER, .digits = 3, .first = true});
}

size_t pretok_match_qwen2(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    (void)skip;
    return match(text, at, end, &(struct shape){.word = CLASS_LETTER, .digits = 1, .first = true});
}

size_t pretok_match_qwen35(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    (void)skip;
    return match(text, at, end,
                 &(struct shape){.word = CLASS_LETTER | CLASS_MARK, .digits = 1, .first = true});
}

size_t pretok_match_tekken(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    (void)skip;
    return match(
        text, at, end,
        &(struct shape){.word = CLASS_LETTER, .digits = 1, .cased = true, .slashes = true});
}

size_t pretok_match_gpt4o(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    (void)skip;
    return match(
        text, at, end,
        &(struct shape){
            .word = CLASS_LETTER, .digits = 3, .cased = true, .last = true, .slashes = true});
}
