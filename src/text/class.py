#!/usr/bin/env python3
"""Writes class.c, the classes of all code points by Unicode 15.1, to standard output.

    pip install unicodedata2==15.1.0
    python3 src/text/class.py | clang-format-14 --style=file > src/text/class.c
"""
import unicodedata2 as unicode

assert unicode.unidata_version == "15.1.0"
NAMES = {"L": "LETTER", "N": "NUMBER", "P": "PUNCT", "M": "MARK"}
# The property White_Space (PropList.txt); the package does not have it.
SPACES = {9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
SPACES |= set(range(0x2000, 0x200B))
BITS = {"LETTER": 1, "NUMBER": 2, "PUNCT": 4, "MARK": 8, "SPACE": 16, "OTHER": 32}


def bits(code):
    if code in SPACES:
        return BITS["SPACE"]
    return BITS[NAMES.get(unicode.category(chr(code))[0], "OTHER")]


runs = []
last = None
for code in range(0x110000):
    new = bits(code)
    if new != last:
        runs.append(code << 8 | new)
        last = new
print("""/* Which class every code point is of: the beginnings of all runs of one class, from Unicode
 * 15.1. Made by class.py: do not edit. What the classes are for is pretok.c's. */
#include "text/internal.h"

#include "base/mem.h"

#include <string.h>

/* Code point << 8 | enum text_class. */
static const uint32_t runs[] = {""")
print(", ".join("0x%x" % run for run in runs) + "};")
print("""
uint8_t *text_class_create(void)
{
    const size_t n = sizeof runs / sizeof *runs;
    uint8_t *classes = mem_alloc(TEXT_CODE_POINTS, 1);
    for (size_t i = 0; i < n && classes != NULL; i++) {
        uint32_t start = runs[i] >> 8;
        uint32_t end = i + 1 < n ? runs[i + 1] >> 8 : TEXT_CODE_POINTS;
        memset(classes + start, (int)(runs[i] & 0xff), end - start);
    }
    return classes;
}""")
