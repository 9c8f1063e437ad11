/* What can be said about all shaders of the build together. Their list is generated
 * (shaders/CMakeLists.txt). */
#include "ops/variant.h"

#include "base/hash.h"
#include "gen/tables.h"

uint64_t ops_shader_hash(void)
{
    uint64_t hash = HASH_SEED;
    for (uint32_t i = 0; i < shaders_all_count; i++) {
        const struct dev_shader *s = shaders_all[i];
        uint64_t bytes = (uint64_t)s->n_words * sizeof *s->words;
        hash = hash_bytes(hash, &bytes, sizeof bytes);
        hash = hash_bytes(hash, s->words, (size_t)bytes);
    }
    return hash;
}
