/* Finding keys and tensors by name, and finding duplicates, in linear time whatever the names are:
 * a polynomial hash over a prime with a secret base (Carter & Wegman 1979), linear probing. */
#include "gguf/internal.h"

#include "base/hash.h"
#include "base/mem.h"

#define HASH_PRIME 4294967291ull /* 2^32 - 5 */

static const struct gguf_str *item_name(const struct directory *dir, uint32_t index)
{
    return (const struct gguf_str *)(const void *)(dir->items + index * dir->stride);
}

bool directory_init(struct directory *dir, const void *items, size_t stride, uint64_t count)
{
    uint64_t seed = os_clock_ns() ^ (uint64_t)(uintptr_t)items;
    *dir = (struct directory){.items = items, .stride = stride, .n_slots = 16};
    dir->base = hash_next(&seed) % (HASH_PRIME - 512) + 512;
    while (dir->n_slots < count * 2) {
        dir->n_slots *= 2;
    }
    dir->slots = mem_alloc((size_t)dir->n_slots, sizeof *dir->slots);
    return dir->slots != NULL;
}

void directory_finish(struct directory *dir)
{
    mem_free(dir->slots);
    *dir = (struct directory){0};
}

/* The slot of this name, or the free one where it would go. */
static uint64_t find_slot(const struct directory *dir, const char *name, uint64_t bytes)
{
    uint64_t hash = bytes % HASH_PRIME;
    for (uint64_t i = 0; i < bytes; i++) {
        hash = (hash * dir->base + (unsigned char)name[i] + 1) % HASH_PRIME;
    }
    for (uint64_t slot = hash & (dir->n_slots - 1);; slot = (slot + 1) & (dir->n_slots - 1)) {
        if (dir->slots[slot] == 0) {
            return slot;
        }
        const struct gguf_str *other = item_name(dir, dir->slots[slot] - 1);
        if (other->bytes == bytes && memcmp(other->text, name, (size_t)bytes) == 0) {
            return slot;
        }
    }
}

bool directory_add(struct directory *dir, uint32_t index, uint32_t *other)
{
    const struct gguf_str *name = item_name(dir, index);
    uint64_t slot = find_slot(dir, name->text, name->bytes);
    if (dir->slots[slot] != 0) {
        *other = dir->slots[slot] - 1;
        return false;
    }
    dir->slots[slot] = index + 1;
    return true;
}

const void *directory_find(const struct directory *dir, const char *name, uint64_t bytes)
{
    if (dir->slots == NULL) {
        return NULL;
    }
    uint64_t slot = find_slot(dir, name, bytes);
    return dir->slots[slot] != 0 ? item_name(dir, dir->slots[slot] - 1) : NULL;
}
