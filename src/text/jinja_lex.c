/* Text and tags of a template, and the tokens inside a tag. What they mean is the parser's. */
#include "text/jinja.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool jinja_fail(struct jinja_reader *r, const char *fmt, ...)
{
    if (!r->failed) {
        uint32_t line = 1;
        for (size_t i = 0; i < r->at && i < r->bytes; i++) {
            line += r->text[i] == '\n';
        }
        char text[160];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        str_printf(r->why, "line %u: %s", line, text);
        r->failed = true;
    }
    r->token = (struct jinja_token){.kind = JINJA_BAD};
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static char peek(const struct jinja_reader *r, size_t offset)
{
    return r->at + offset < r->bytes ? r->text[r->at + offset] : '\0';
}

/* Position of the next tag or comment from `at` on, or bytes. */
static size_t find_tag(const struct jinja_reader *r, size_t at)
{
    for (; at + 1 < r->bytes; at++) {
        char c = r->text[at + 1];
        if (r->text[at] == '{' && (c == '{' || c == '%' || c == '#')) {
            return at;
        }
    }
    return r->bytes;
}

/* After a comment or block: the first line end goes with it (trim_blocks), or with '-' all white
 * space. */
static void skip_after(struct jinja_reader *r, bool all, bool line_end)
{
    if (all) {
        while (r->at < r->bytes && is_space(r->text[r->at])) {
            r->at++;
        }
    } else if (line_end && r->at < r->bytes && r->text[r->at] == '\n') {
        r->at++;
    }
}

static bool skip_comment(struct jinja_reader *r)
{
    for (size_t i = r->at + 2; i + 1 < r->bytes; i++) {
        if (r->text[i] == '#' && r->text[i + 1] == '}') {
            bool all = r->text[i - 1] == '-' && i - 1 >= r->at + 2;
            r->at = i + 2;
            skip_after(r, all, true);
            return true;
        }
    }
    return jinja_fail(r, "a comment without an end");
}

/* The end of the text before the tag at `tag`: without the white space that the tag takes away. */
static size_t text_end(const struct jinja_reader *r, size_t start, size_t tag)
{
    char mark = tag + 2 < r->bytes ? r->text[tag + 2] : '\0';
    size_t end = tag;
    if (mark == '-') {
        while (end > start && is_space(r->text[end - 1])) {
            end--;
        }
    } else if (r->text[tag + 1] != '{' && mark != '+') { /* lstrip_blocks */
        while (end > start && (r->text[end - 1] == ' ' || r->text[end - 1] == '\t')) {
            end--;
        }
        bool line_start = end == 0 || r->text[end - 1] == '\n';
        end = line_start ? end : tag;
    }
    return end;
}

enum jinja_tag jinja_read_text(struct jinja_reader *r, struct jinja_text *text)
{
    size_t start = r->at, tag = find_tag(r, start);
    text->text = r->text + start;
    text->bytes = (tag < r->bytes ? text_end(r, start, tag) : r->bytes) - start;
    r->at = tag;
    if (r->failed || tag >= r->bytes) {
        return JINJA_TAG_EOF;
    }
    char kind = r->text[tag + 1];
    if (kind == '#') {
        return skip_comment(r) ? JINJA_TAG_TEXT : JINJA_TAG_EOF;
    }
    char mark = peek(r, 2);
    r->at += mark == '-' || mark == '+' ? 3 : 2;
    r->braces = 0;
    jinja_advance(r);
    return kind == '{' ? JINJA_TAG_PRINT : JINJA_TAG_BLOCK;
}

bool jinja_end_tag(struct jinja_reader *r, enum jinja_tag tag)
{
    if (r->token.kind != JINJA_END) {
        return jinja_fail(r, "something is left over in a tag");
    }
    bool all = peek(r, 0) == '-' || peek(r, 0) == '+';
    bool keeps = peek(r, 0) == '+';
    r->at += all;
    if (r->at + 2 > r->bytes || r->text[r->at] != (tag == JINJA_TAG_PRINT ? '}' : '%') ||
        r->text[r->at + 1] != '}') {
        return jinja_fail(r, "a tag without its end");
    }
    r->at += 2;
    skip_after(r, all && !keeps, tag == JINJA_TAG_BLOCK && !keeps);
    return true;
}

static uint32_t hex(char c)
{
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0');
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10 : 16;
}

static size_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* The escape at r->at, after its backslash, into `out`; Python's rules. */
static size_t read_escape(struct jinja_reader *r, char *out)
{
    static const char from[] = "nrtbfav0\\'\"", to[] = "\n\r\t\b\f\a\v\0\\'\"";
    char c = peek(r, 0);
    r->at++;
    if (c == '\n') {
        return 0;
    }
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found != NULL) {
        out[0] = to[found - from];
        return 1;
    }
    uint32_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0, code = 0;
    for (uint32_t i = 0; i < digits; i++) {
        uint32_t digit = hex(peek(r, i));
        if (digit > 15) {
            return (size_t)jinja_fail(r, "a damaged escape in a string");
        }
        code = code << 4 | digit;
    }
    if (digits != 0) {
        r->at += digits;
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
            return (size_t)jinja_fail(r, "an escape that is no character");
        }
        return put_utf8(code, out);
    }
    out[0] = '\\';
    out[1] = c;
    return 2;
}

static void read_string(struct jinja_reader *r)
{
    char quote = peek(r, 0);
    size_t end = r->at + 1, used = 0;
    while (end < r->bytes && r->text[end] != quote) {
        end += r->text[end] == '\\' ? 2 : 1;
    }
    if (end >= r->bytes) {
        jinja_fail(r, "a string without its end");
        return;
    }
    char *out = arena_alloc(r->arena, end - r->at + 4, 1); /* escapes only get shorter */
    if (out == NULL) {
        jinja_fail(r, "out of memory");
        return;
    }
    r->at++;
    while (r->at < end && !r->failed) {
        if (r->text[r->at] == '\\') {
            r->at++;
            used += read_escape(r, out + used);
        } else {
            out[used++] = r->text[r->at++];
        }
    }
    r->at = end + 1;
    if (!r->failed) {
        r->token.kind = JINJA_STRING;
        r->token.text = (struct jinja_text){out, used};
    }
}

static void read_number(struct jinja_reader *r)
{
    int64_t value = 0;
    while (peek(r, 0) >= '0' && peek(r, 0) <= '9') {
        value = value * 10 + (peek(r, 0) - '0');
        r->at++;
        if (value > INT32_MAX) {
            jinja_fail(r, "a number that is too large");
            return;
        }
    }
    if ((peek(r, 0) == '.' && peek(r, 1) >= '0' && peek(r, 1) <= '9') || is_name_char(peek(r, 0))) {
        jinja_fail(r, "a number that is no whole number");
        return;
    }
    r->token.kind = JINJA_NUMBER;
    r->token.number = value;
}

/* Whether the tag ends here: "%}" or "}}", with '-' or '+' before it. */
static bool at_end(const struct jinja_reader *r)
{
    size_t i = peek(r, 0) == '-' || peek(r, 0) == '+';
    return r->braces == 0 && (peek(r, i) == '%' || peek(r, i) == '}') && peek(r, i + 1) == '}';
}

static void read_sign(struct jinja_reader *r)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    size_t n = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        if (peek(r, 0) == two[i][0] && peek(r, 1) == two[i][1]) {
            n = 2;
        }
    }
    char c = peek(r, 0);
    if (strchr("=!<>+-*/%~|.,:()[]{}", c) == NULL) {
        jinja_fail(r, "an unexpected character in a tag");
        return;
    }
    r->braces += c == '{' || c == '[' || c == '(';
    r->braces -= r->braces > 0 && (c == '}' || c == ']' || c == ')');
    r->token.kind = JINJA_SIGN;
    r->token.text = (struct jinja_text){r->text + r->at, n};
    r->at += n;
}

void jinja_advance(struct jinja_reader *r)
{
    if (r->failed) {
        return;
    }
    r->token = (struct jinja_token){.kind = JINJA_END};
    while (r->at < r->bytes && is_space(r->text[r->at])) {
        r->at++;
    }
    char c = peek(r, 0);
    if (r->at >= r->bytes) {
        jinja_fail(r, "a tag without its end");
    } else if (at_end(r)) {
        return;
    } else if (c == '\'' || c == '"') {
        read_string(r);
    } else if (c >= '0' && c <= '9') {
        read_number(r);
    } else if (is_name_char(c)) {
        size_t start = r->at;
        while (is_name_char(peek(r, 0))) {
            r->at++;
        }
        r->token.kind = JINJA_NAME;
        r->token.text = (struct jinja_text){r->text + start, r->at - start};
    } else if (c == '\0') {
        jinja_fail(r, "an unexpected character in a tag");
    } else {
        read_sign(r);
    }
}

bool jinja_is_sign(const struct jinja_reader *r, const char *sign)
{
    return r->token.kind == JINJA_SIGN && jinja_text_is(&r->token.text, sign);
}

bool jinja_is_name(const struct jinja_reader *r, const char *name)
{
    return r->token.kind == JINJA_NAME && jinja_text_is(&r->token.text, name);
}
