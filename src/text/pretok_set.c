/* Stages that pick out one kind of character and leave the rest to the stages after them. Where one
 * does not match it says how far it need not be asked again, so that none reads a text twice. */
#include "text/internal.h"

#include <string.h>

struct range {
    uint32_t first, last;
};

/* The cased letters of Latin, Greek, Cyrillic and others, as DeepSeek LLM lists them. */
static const struct range cased[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
    {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
    {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},
    {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},
    {0x13f8, 0x13fd},   {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},
    {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},
    {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},
    {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},
    {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},
    {0x1ff6, 0x1ffc},   {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2183},
    {0x2184, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},
    {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},
    {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2},
    {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};
static const struct range ascii[] = {
    {'!', '/'}, {':', '~'}, {0x2018, 0x201f}, {0x3001, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e},
};
/* Spaces beyond ASCII are no characters of this set, though they lie in it. */
static const struct range cjk[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};

/* What one character has to be: of one of the classes, or in one of the ranges. */
struct set {
    uint32_t classes;
    const struct range *ranges; /* in order */
    size_t n;
    const char *more; /* further ASCII characters, or NULL */
};

static bool in_ranges(const struct range *ranges, size_t n, uint32_t code)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (code > ranges[middle].last) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n && code >= ranges[low].first;
}

static bool has(const struct set *set, const struct pretok_char *c)
{
    if ((c->class & set->classes) != 0) {
        return true;
    }
    if (c->class == CLASS_SPACE || c->bytes == 0) {
        return false;
    }
    return in_ranges(set->ranges, set->n, c->code) ||
           (set->more != NULL && c->bytes == 1 && c->code != 0 &&
            strchr(set->more, (int)c->code) != NULL);
}

/* A run of the set's characters, with a space before it if `space`. */
static size_t match(const struct pretok_text *text, size_t at, size_t end, size_t *skip,
                    const struct set *set, bool space)
{
    struct pretok_char c = pretok_read(text, at, end);
    size_t next = at;
    *skip = c.bytes;
    if (space && c.class == CLASS_SPACE) {
        next += c.bytes;
        c = pretok_read(text, next, end);
    }
    if (!has(set, &c)) {
        return 0;
    }
    while (has(set, &c)) {
        next += c.bytes;
        c = pretok_read(text, next, end);
    }
    return next - at;
}

size_t pretok_match_signs(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip, &(struct set){.classes = CLASS_PUNCT, .more = "$+<=>^~|`"},
                 false);
}

size_t pretok_match_signs_old(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip, &(struct set){.classes = CLASS_PUNCT, .more = "$+<=>^~|"},
                 false);
}

size_t pretok_match_number(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    struct pretok_char c = pretok_read(text, at, end);
    *skip = c.bytes;
    return c.class == CLASS_NUMBER ? c.bytes : 0;
}

size_t pretok_match_numbers(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip, &(struct set){.classes = CLASS_NUMBER}, false);
}

size_t pretok_match_digits3(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    size_t n = 0;
    while (n < 3 && at + n < end && text->text[at + n] >= '0' && text->text[at + n] <= '9') {
        n++;
    }
    *skip = n > 0 ? n : pretok_read(text, at, end).bytes;
    return n == 3 ? 3 : 0;
}

size_t pretok_match_line_end(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    struct pretok_char c = pretok_read(text, at, end);
    *skip = c.bytes;
    return c.code == '\r' || c.code == '\n' ? 1 : 0;
}

size_t pretok_match_letters(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip, &(struct set){.classes = CLASS_LETTER}, true);
}

size_t pretok_match_puncts(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip, &(struct set){.classes = CLASS_PUNCT}, true);
}

size_t pretok_match_cased(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip,
                 &(struct set){.ranges = cased, .n = sizeof cased / sizeof *cased}, true);
}

size_t pretok_match_ascii(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip,
                 &(struct set){.ranges = ascii, .n = sizeof ascii / sizeof *ascii}, true);
}

size_t pretok_match_cjk(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    return match(text, at, end, skip, &(struct set){.ranges = cjk, .n = sizeof cjk / sizeof *cjk},
                 false);
}

size_t pretok_match_last_space(const struct pretok_text *text, size_t at, size_t end, size_t *skip)
{
    struct pretok_char c = pretok_read(text, at, end);
    size_t next = at;
    while (c.class == CLASS_SPACE) {
        next += c.bytes;
        c = pretok_read(text, next, end);
    }
    *skip = next > at ? next - at : c.bytes;
    return next == end ? next - at : 0;
}
