/* What can be said about all shaders of the build together. Their list is generated
 * (shaders/CMakeLists.txt). */
#include "ops/variant.h"

#include "base/hash.h"
#include "gen/tables.h"

uint64_t ops_shader_hash(void)
{
    uint64_t hash = HASH_SEED;
    for (uint32_t i = 0; i < shaders_all_count; i++) {
        hash = hash_bytes(hash, &shaders_all[i]->hash, sizeof shaders_all[i]->hash);
    }
    return hash;
}
