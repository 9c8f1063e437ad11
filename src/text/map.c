/* Token text -> id: open addressing over SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast
 * short-input PRF", 2012) with a key of its own in every process, so that a file cannot choose
 * texts that collide. The key never influences which id is found. */
#include "text/internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

#include <string.h>

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static uint64_t sip_hash(const uint64_t key[2], const char *text, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
                     key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)n << 56, rest = 0;
    for (size_t k = 0; i + k < n; k++) {
        rest |= (uint64_t)(unsigned char)text[i + k] << (8 * k);
    }
    last |= rest;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int k = 0; k < 3; k++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool text_map_init(struct text_map *map, uint32_t count)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)count) {
        size *= 2;
    }
    map->slots = mem_alloc((size_t)size, sizeof *map->slots);
    if (map->slots == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < size; i++) {
        map->slots[i].id = TEXT_NO_TOKEN;
    }
    map->mask = (uint32_t)(size - 1);
    /* Where memory lies and the time: both unknown to whoever made the file. */
    uint64_t state = os_clock_ns() ^ (uint64_t)(uintptr_t)map->slots << 16 ^ (uintptr_t)&state;
    map->key[0] = hash_next(&state);
    map->key[1] = hash_next(&state);
    return true;
}

void text_map_finish(struct text_map *map)
{
    mem_free(map->slots);
    *map = (struct text_map){0};
}

/* The slot that holds the text, or the free one where it belongs. */
static uint32_t probe(const struct text_map *map, const struct token *tokens, const char *text,
                      size_t bytes, uint32_t *tag)
{
    uint64_t hash = sip_hash(map->key, text, bytes);
    uint32_t i = (uint32_t)hash & map->mask;
    *tag = (uint32_t)(hash >> 32);
    for (;; i = (i + 1) & map->mask) {
        const struct text_slot *slot = &map->slots[i];
        if (slot->id == TEXT_NO_TOKEN) {
            return i;
        }
        if (slot->tag == *tag && tokens[slot->id].bytes == bytes &&
            memcmp(tokens[slot->id].text, text, bytes) == 0) {
            return i;
        }
    }
}

uint32_t text_map_add(struct text_map *map, const struct token *tokens, uint32_t id)
{
    uint32_t tag, i = probe(map, tokens, tokens[id].text, tokens[id].bytes, &tag);
    uint32_t old = map->slots[i].id;
    if (old == TEXT_NO_TOKEN) {
        map->slots[i] = (struct text_slot){.tag = tag, .id = id};
    }
    return old;
}

uint32_t text_map_find(const struct text_map *map, const struct token *tokens, const char *text,
                       size_t bytes)
{
    uint32_t tag;
    if (bytes > TEXT_MAX_TOKEN_BYTES) {
        return TEXT_NO_TOKEN;
    }
    return map->slots[probe(map, tokens, text, bytes, &tag)].id;
}
