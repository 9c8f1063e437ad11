/* What the tests of microbenchmarks share: rows kept in a list, and looked for. */
#ifndef QUADRIGA_TESTS_OPS_BENCH_ROWS_H
#define QUADRIGA_TESTS_OPS_BENCH_ROWS_H

#include "lab/bench_device.h"

#define ROWS_MAX 512

struct rows {
    struct bench_row row[ROWS_MAX];
    uint32_t n;
    uint32_t stop_at; /* the callback gives false for this one (from 1); 0: never */
};

bool rows_keep(void *user, const struct bench_row *row); /* bench_row_fn; user: struct rows */
/* Rows of this name, variant (NULL: any) and pair. */
uint32_t rows_count(const struct rows *rows, const char *name, const char *variant, uint32_t device,
                    uint32_t peer);
const struct bench_row *rows_find(const struct rows *rows, const char *name, const char *variant,
                                  uint32_t device, uint32_t peer); /* the first; asserts */
/* Each row is skipped with a reason, or has passed with times above 0 and none. */
void rows_check(const struct rows *rows, const char *group, uint32_t samples);

#endif
