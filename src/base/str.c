/* Growing text over mem_resize. */
#include "base/str.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void str_init(struct str *str)
{
    memset(str, 0, sizeof *str);
}

void str_finish(struct str *str)
{
    mem_free(str->text);
    str_init(str);
}

static bool reserve(struct str *str, size_t more)
{
    if (str->failed || more > SIZE_MAX / 2 - str->bytes) {
        str->failed = true;
        return false;
    }
    size_t need = str->bytes + more + 1;
    if (need > str->cap) {
        size_t cap = str->cap * 2 > need ? str->cap * 2 : need + 64;
        char *text = mem_resize(str->text, cap, 1);
        if (text == NULL) {
            str->failed = true;
            return false;
        }
        str->text = text;
        str->cap = cap;
    }
    return true;
}

void str_add(struct str *str, const char *text, size_t n)
{
    if (reserve(str, n)) {
        memcpy(str->text + str->bytes, text, n);
        str->bytes += n;
        str->text[str->bytes] = '\0';
    }
}

void str_printf(struct str *str, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0) {
        str->failed = true;
    } else if (reserve(str, (size_t)n)) {
        vsnprintf(str->text + str->bytes, (size_t)n + 1, fmt, again);
        str->bytes += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void str_clear(struct str *str)
{
    str->bytes = 0;
    if (str->text != NULL) {
        str->text[0] = '\0';
    }
}

const char *str_get(const struct str *str)
{
    return str->text != NULL ? str->text : "";
}
