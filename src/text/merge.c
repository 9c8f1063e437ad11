/* Merging of linked symbols with a heap of possible merges, for every tokenizer that works so:
 * which pairs merge, and in which order, is the caller's. */
#include "text/internal.h"

#include "base/mem.h"

bool merge_add(struct merge_work *work, uint32_t start, uint32_t bytes, uint32_t id)
{
    if (!mem_grow((void **)&work->symbols, &work->symbol_cap, work->count, sizeof *work->symbols)) {
        return false;
    }
    uint32_t at = (uint32_t)work->count;
    work->symbols[at] = (struct symbol){.start = start,
                                        .bytes = bytes,
                                        .prev = at > 0 ? at - 1 : TEXT_NO_TOKEN,
                                        .next = TEXT_NO_TOKEN,
                                        .id = id};
    if (at > 0) {
        work->symbols[at - 1].next = at;
    }
    work->count++;
    return true;
}

/* The merge of two neighbours by number. The item holds their bytes, to see later whether both are
 * still as they are now, and the token. */
static bool find_item(const struct vocab *vocab, const struct merge_work *work, merge_find find,
                      uint32_t left, uint32_t right, struct heap_item *item)
{
    if (left == TEXT_NO_TOKEN || right == TEXT_NO_TOKEN) {
        return false;
    }
    const struct symbol *l = &work->symbols[left], *r = &work->symbols[right];
    uint32_t order, id;
    if (!find(vocab, work, l, r, &order, &id)) {
        return false;
    }
    *item =
        (struct heap_item){.key = (uint64_t)order << 32 | left, .a = l->bytes + r->bytes, .b = id};
    return true;
}

bool merge_all(const struct vocab *vocab, struct merge_work *work, merge_find find)
{
    struct symbol *symbols = work->symbols;
    struct heap_item item;
    work->heap.count = 0;
    for (uint32_t i = 0; i + 1 < work->count; i++) {
        if (find_item(vocab, work, find, i, i + 1, &item) && !heap_append(&work->heap, item)) {
            return false;
        }
    }
    heap_order(&work->heap);
    while (work->heap.count > 0) {
        item = heap_pop(&work->heap);
        uint32_t left = (uint32_t)item.key, right = symbols[left].next;
        /* Symbols only grow: two neighbours that begin here and have as many bytes as those that
         * the item was made for are those. */
        if (symbols[left].bytes == 0 || right == TEXT_NO_TOKEN ||
            symbols[left].bytes + symbols[right].bytes != item.a) {
            continue;
        }
        symbols[left].bytes = item.a;
        symbols[left].id = item.b;
        symbols[right].bytes = 0;
        symbols[left].next = symbols[right].next;
        if (symbols[left].next != TEXT_NO_TOKEN) {
            symbols[symbols[left].next].prev = left;
        }
        if (find_item(vocab, work, find, symbols[left].prev, left, &item) &&
            !heap_push(&work->heap, item)) {
            return false;
        }
        if (find_item(vocab, work, find, left, symbols[left].next, &item) &&
            !heap_push(&work->heap, item)) {
            return false;
        }
    }
    return true;
}

void merge_work_finish(struct merge_work *work)
{
    mem_free(work->text);
    mem_free(work->symbols);
    heap_finish(&work->heap);
}
