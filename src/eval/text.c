/* UTF-8, and the few operations on texts that Python has and the definitions use. */
#include "eval/internal.h"

#include <string.h>

/* Bytes of the valid sequence at the begin of `text`; 0: none (Unicode 15, table 3-7). */
static size_t sequence(const unsigned char *text, size_t bytes)
{
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    if (first < 0x80) {
        return 1;
    }
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || n > bytes) {
        return 0;
    }
    low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
    high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
    if (text[1] < low || text[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

size_t eval_utf8_valid(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        size_t n = sequence((const unsigned char *)text + at, bytes - at);
        if (n == 0) {
            break;
        }
        at += n;
    }
    return at;
}

uint32_t eval_utf8_get(const char *text, size_t *bytes)
{
    const unsigned char *t = (const unsigned char *)text;
    *bytes = t[0] < 0x80 ? 1 : t[0] >= 0xf0 ? 4 : t[0] >= 0xe0 ? 3 : 2;
    uint32_t code = *bytes == 1 ? t[0] : t[0] & (0x7fu >> *bytes);
    for (size_t i = 1; i < *bytes; i++) {
        code = code << 6 | (t[i] & 0x3f);
    }
    return code;
}

static bool is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || (code >= 28 && code <= 32) || code == 0x85 ||
           code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

size_t eval_space_begin(const char *text, size_t bytes)
{
    size_t at = 0, n;
    while (at < bytes && is_space(eval_utf8_get(text + at, &n))) {
        at += n;
    }
    return at;
}

size_t eval_space_end(const char *text, size_t bytes)
{
    size_t end = bytes;
    while (end > 0) {
        size_t at = end - 1, n;
        while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
            at--;
        }
        if (!is_space(eval_utf8_get(text + at, &n))) {
            break;
        }
        end = at;
    }
    return bytes - end;
}

/* Pairs of letters whose codes differ by a constant. */
static const struct {
    uint32_t first, last, except, step; /* capitals */
} cases[] = {
    {'A', 'Z', 0, 32},         {0xc0, 0xde, 0xd7, 32}, /* Latin-1 */
    {0x391, 0x3a9, 0x3a2, 32},                         /* Greek */
    {0x410, 0x42f, 0, 32},                             /* Cyrillic */
    {0x400, 0x40f, 0, 80},
};

static uint32_t change_case(uint32_t code, bool upper)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t big = upper ? code - cases[i].step : code;
        if (big >= cases[i].first && big <= cases[i].last && big != cases[i].except) {
            return upper ? big : code + cases[i].step;
        }
    }
    return code;
}

void eval_add_capitalized(struct str *out, const char *text, size_t bytes)
{
    for (size_t at = 0, n; at < bytes; at += n) {
        uint32_t code = eval_utf8_get(text + at, &n);
        uint32_t other = change_case(code, at == 0);
        char letter[2] = {(char)other, '\0'};
        if (other >= 0x80) { /* all that change have two bytes */
            letter[0] = (char)(0xc0 | other >> 6);
            letter[1] = (char)(0x80 | (other & 0x3f));
        }
        if (other == code) {
            str_add(out, text + at, n);
        } else {
            str_add(out, letter, other < 0x80 ? 1 : 2);
        }
    }
}

void eval_replace(struct str *text, const char *what, const char *with)
{
    if (text->bytes == 0 || strstr(str_get(text), what) == NULL) {
        return;
    }
    struct str out;
    str_init(&out);
    const char *at = str_get(text);
    for (const char *hit; (hit = strstr(at, what)) != NULL; at = hit + strlen(what)) {
        str_add(&out, at, (size_t)(hit - at));
        str_add(&out, with, strlen(with));
    }
    str_add(&out, at, strlen(at));
    out.failed = out.failed || text->failed;
    str_finish(text);
    *text = out;
}
