/* A growing text. After the first failed growth `failed` is set and later calls do nothing, so a
 * caller checks once at the end. Thread rule: one thread at a time. */
#ifndef QUADRIGA_BASE_STR_H
#define QUADRIGA_BASE_STR_H

#include "base/log.h"

#include <stddef.h>

struct str {
    char *text; /* always terminated; NULL while empty (see str_get) */
    size_t bytes, cap;
    bool failed;
};

void str_init(struct str *str);
void str_finish(struct str *str);
void str_add(struct str *str, const char *text, size_t n);
void str_printf(struct str *str, const char *fmt, ...) LOG_PRINTF(2, 3);
void str_clear(struct str *str);
/* The text, "" while empty. Owned by the str, valid until it changes. */
const char *str_get(const struct str *str);

#endif
