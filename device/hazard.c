/* Read-after-write, write-after-read and write-after-write by byte ranges. The sets are short: a
 * barrier empties them. */
#include "device/hazard.h"

#include "base/mem.h"

bool hazard_hits(const struct hazard *hazard, const struct span *next)
{
    for (size_t i = 0; i < hazard->n; i++) {
        const struct span *s = &hazard->spans[i];
        if (s->buf == next->buf && s->begin < next->end && next->begin < s->end &&
            ((s->access | next->access) & DEV_WRITE) != 0) {
            return true;
        }
    }
    return false;
}

bool hazard_add(struct hazard *hazard, const struct span *span)
{
    for (size_t i = 0; i < hazard->n; i++) {
        const struct span *s = &hazard->spans[i];
        if (s->buf == span->buf && s->begin <= span->begin && span->end <= s->end &&
            (s->access & span->access) == span->access) {
            return true;
        }
    }
    if (hazard->n == hazard->cap &&
        !mem_grow((void **)&hazard->spans, &hazard->cap, hazard->n, sizeof *hazard->spans)) {
        return false;
    }
    hazard->spans[hazard->n++] = *span;
    return true;
}

void hazard_clear(struct hazard *hazard)
{
    hazard->n = 0;
}

void hazard_finish(struct hazard *hazard)
{
    mem_free(hazard->spans);
    *hazard = (struct hazard){0};
}
