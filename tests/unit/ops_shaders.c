/* The list of all shaders of the build, and its hash. */
/* with: quant plan device shaders */
#include "ops/variant.h"

#include "gen/fill.h"
#include "gen/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static uint32_t count_of(const struct dev_shader *shader)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < shaders_all_count; i++) {
        n += shaders_all[i] == shader ? 1 : 0;
    }
    return n;
}

static void every_shader_is_listed_once(void **state)
{
    (void)state;
    assert_int_equal(count_of(&shader_fill), 1);
    for (uint32_t q = 0; q < QUANT_COUNT; q++) {
        if (shaders_embed[q] != NULL) {
            assert_int_equal(count_of(shaders_embed[q]), 1);
            assert_int_equal(count_of(shaders_matmul_lanes[q]), 1);
        }
    }
    for (uint32_t i = 0; i < shaders_all_count; i++) {
        assert_int_equal(shaders_all[i]->words[0], 0x07230203);
        for (uint32_t k = 0; k < i; k++) {
            assert_string_not_equal(shaders_all[i]->name, shaders_all[k]->name);
        }
    }
}

/* FNV-1a, written down once more. */
static uint64_t fnv(uint64_t hash, const void *data, uint64_t bytes)
{
    const uint8_t *byte = data;
    for (uint64_t i = 0; i < bytes; i++) {
        hash = (hash ^ byte[i]) * 1099511628211u;
    }
    return hash;
}

/* Of the words of each, then of all those. */
static void the_hash_covers_every_word(void **state)
{
    (void)state;
    const uint64_t seed = 14695981039346656037u;
    uint64_t hash = seed;
    for (uint32_t i = 0; i < shaders_all_count; i++) {
        const uint64_t one = fnv(seed, shaders_all[i]->words, shaders_all[i]->n_words * 4);
        assert_true(shaders_all[i]->hash == one);
        hash = fnv(hash, &one, sizeof one);
    }
    assert_true(ops_shader_hash() == hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shader_is_listed_once),
        cmocka_unit_test(the_hash_covers_every_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
