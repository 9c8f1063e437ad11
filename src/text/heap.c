/* A binary heap of 64-bit keys with two payloads. Equal keys come out in no particular order: its
 * users make keys unique or do not care. */
#include "text/internal.h"

#include "base/mem.h"

static void sift_up(struct heap_item *items, size_t i)
{
    struct heap_item item = items[i];
    while (i > 0 && items[(i - 1) / 2].key > item.key) {
        items[i] = items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    items[i] = item;
}

static void sift_down(struct heap_item *items, size_t count, size_t i)
{
    struct heap_item item = items[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && items[child + 1].key < items[child].key) {
            child++;
        }
        if (items[child].key >= item.key) {
            break;
        }
        items[i] = items[child];
        i = child;
    }
    items[i] = item;
}

bool heap_append(struct heap *heap, struct heap_item item)
{
    if (!mem_grow((void **)&heap->items, &heap->cap, heap->count, sizeof *heap->items)) {
        return false;
    }
    heap->items[heap->count++] = item;
    return true;
}

bool heap_push(struct heap *heap, struct heap_item item)
{
    if (!heap_append(heap, item)) {
        return false;
    }
    sift_up(heap->items, heap->count - 1);
    return true;
}

void heap_order(struct heap *heap)
{
    for (size_t i = heap->count / 2; i-- > 0;) {
        sift_down(heap->items, heap->count, i);
    }
}

struct heap_item heap_pop(struct heap *heap)
{
    struct heap_item top = heap->items[0];
    heap->items[0] = heap->items[--heap->count];
    if (heap->count > 1) {
        sift_down(heap->items, heap->count, 0);
    }
    return top;
}

void heap_finish(struct heap *heap)
{
    mem_free(heap->items);
    *heap = (struct heap){0};
}
