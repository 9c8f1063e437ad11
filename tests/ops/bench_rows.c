/* Rows of microbenchmarks in a list; see bench_rows.h. */
#include "bench_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

bool rows_keep(void *user, const struct bench_row *row)
{
    struct rows *rows = user;
    assert_true(rows->n < ROWS_MAX);
    rows->row[rows->n++] = *row;
    return rows->n != rows->stop_at;
}

static bool is(const struct bench_row *r, const char *name, const char *variant, uint32_t device,
               uint32_t peer)
{
    return strcmp(r->name, name) == 0 && (variant == NULL || strcmp(r->variant, variant) == 0) &&
           r->device == device && r->peer == peer;
}

uint32_t rows_count(const struct rows *rows, const char *name, const char *variant, uint32_t device,
                    uint32_t peer)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows->n; i++) {
        n += is(&rows->row[i], name, variant, device, peer) ? 1 : 0;
    }
    return n;
}

const struct bench_row *rows_find(const struct rows *rows, const char *name, const char *variant,
                                  uint32_t device, uint32_t peer)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        if (is(&rows->row[i], name, variant, device, peer)) {
            return &rows->row[i];
        }
    }
    fail_msg("no row %s, %s, %u -> %u", name, variant != NULL ? variant : "any", device, peer);
    return NULL;
}

void rows_check(const struct rows *rows, const char *group, uint32_t samples)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct bench_row *r = &rows->row[i];
        printf("%u>%d %s, %s, %s: %.2f us, least %.2f, %.2f GB/s of %u%s %s\n", r->device,
               (int)r->peer, r->name, r->variant, r->shape, r->us, r->us_min, r->gbs, r->samples,
               r->skipped ? " skipped" : "", r->why);
        assert_string_equal(r->group, group);
        assert_true(r->share < 0);
        if (r->skipped) {
            assert_true(!r->passed && r->why[0] != '\0' && r->samples == 0);
            continue;
        }
        assert_true(r->passed && r->why[0] == '\0');
        assert_true(r->us > 0 && r->us_min <= r->us && r->samples >= 5 && r->samples <= samples);
        if (r->bytes > 0) {
            assert_true(r->us_min > 0 && r->shape[0] != '\0');
            double gbs = r->bytes / r->us / 1e3;
            assert_true(r->gbs > gbs * 0.999 && r->gbs < gbs * 1.001);
        }
    }
}
