/* White space at the ends of a text, as Python sees it. */
#include "text/internal.h"
#include "text/jinja.h"

static bool is_white(uint32_t code)
{
    return (code >= '\t' && code <= '\r') || (code >= 0x1c && code <= ' ') || code == 0x85 ||
           code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* Bytes of the character that ends at `bytes`. */
static size_t last_character(const char *text, size_t bytes, uint32_t *code)
{
    for (size_t n = 1; n <= 4 && n <= bytes; n++) {
        if (utf8_read(text + bytes - n, n, code) == n && *code < UTF8_PART) {
            return n;
        }
    }
    *code = UTF8_BAD;
    return 1;
}

struct jinja_text jinja_strip(struct jinja_text text, bool left, bool right)
{
    uint32_t code;
    while (left && text.bytes > 0) {
        size_t n = utf8_read(text.text, text.bytes, &code);
        if (!is_white(code)) {
            break;
        }
        text.text += n;
        text.bytes -= n;
    }
    while (right && text.bytes > 0) {
        size_t n = last_character(text.text, text.bytes, &code);
        if (!is_white(code)) {
            break;
        }
        text.bytes -= n;
    }
    return text;
}
