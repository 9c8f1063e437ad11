/* UTF-8 by the table of well-formed byte sequences (Unicode 15, table 3-7): overlong forms,
 * surrogates and values above U+10FFFF are never read as characters. What an invalid sequence
 * becomes is decided here too (section 3.9, "maximal subpart"). */
#include "text/internal.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0u) == 0x80u;
}

/* Length of the sequence that `lead` begins (0: none) and the range of its second byte. */
static uint32_t lead_length(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        *low = lead == 0xe0 ? 0xa0 : 0x80;
        *high = lead == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        *low = lead == 0xf0 ? 0x90 : 0x80;
        *high = lead == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

uint32_t utf8_read(const char *p, size_t n, uint32_t *code)
{
    const unsigned char *s = (const unsigned char *)p;
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    unsigned char low, high;
    uint32_t length = lead_length(s[0], &low, &high);
    if (length == 0) {
        *code = UTF8_BAD;
        return 1;
    }
    uint32_t value = s[0] & (0xffu >> (length + 1));
    for (uint32_t i = 1; i < length; i++) {
        if (i == n) {
            *code = UTF8_PART;
            return i;
        }
        if (i == 1 ? s[i] < low || s[i] > high : !is_tail(s[i])) {
            *code = UTF8_BAD;
            return i;
        }
        value = value << 6 | (s[i] & 0x3fu);
    }
    *code = value;
    return length;
}

bool utf8_valid(const char *text, size_t n)
{
    uint32_t code;
    for (size_t i = 0; i < n;) {
        i += utf8_read(text + i, n - i, &code);
        if (code == UTF8_BAD || code == UTF8_PART) {
            return false;
        }
    }
    return true;
}

void utf8_clean(struct str *out, const char *text, size_t n)
{
    size_t good = 0; /* start of the valid bytes not yet copied */
    for (size_t i = 0; i < n;) {
        uint32_t code, length = utf8_read(text + i, n - i, &code);
        if (code == UTF8_BAD || code == UTF8_PART) {
            str_add(out, text + good, i - good);
            str_add(out, TEXT_REPLACEMENT, sizeof TEXT_REPLACEMENT - 1);
            good = i + length;
        }
        i += length;
    }
    str_add(out, text + good, n - good);
}
