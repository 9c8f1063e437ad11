/* What is preferred on one device: variants that are switched off, tile parameters that were
 * measured. Only kept and looked up here; who sets them is the caller's business. */
#include "ops/variant.h"

#include <stdio.h>
#include <string.h>

void ops_prefs_finish(struct ops_prefs *prefs)
{
    mem_free(prefs->off);
    mem_free(prefs->tuned);
    memset(prefs, 0, sizeof *prefs);
}

bool ops_prefs_is_off(const struct ops_prefs *prefs, const char *op, const char *variant)
{
    for (size_t i = 0; prefs != NULL && i < prefs->n_off; i++) {
        const struct ops_off *off = &prefs->off[i];
        if ((off->op[0] == '\0' || strcmp(off->op, op) == 0) &&
            strcmp(off->variant, variant) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_off(struct ops_prefs *prefs, const char *op, const char *variant, const char *why)
{
    if (!mem_grow((void **)&prefs->off, &prefs->cap_off, prefs->n_off, sizeof *prefs->off)) {
        return false;
    }
    struct ops_off *off = &prefs->off[prefs->n_off++];
    memset(off, 0, sizeof *off);
    snprintf(off->op, sizeof off->op, "%s", op != NULL ? op : "");
    snprintf(off->variant, sizeof off->variant, "%s", variant);
    snprintf(off->why, sizeof off->why, "%s", why);
    return true;
}

bool ops_prefs_add_off(struct ops_prefs *prefs, const char *op, const char *variant)
{
    return (op != NULL && ops_prefs_is_off(prefs, op, variant)) || add_off(prefs, op, variant, "");
}

bool ops_prefs_add_failed(struct ops_prefs *prefs, const char *op, const char *variant,
                          const char *why)
{
    for (size_t i = 0; i < prefs->n_off; i++) {
        const struct ops_off *off = &prefs->off[i];
        if (off->why[0] != '\0' && strcmp(off->op, op) == 0 && strcmp(off->variant, variant) == 0) {
            return true;
        }
    }
    return add_off(prefs, op, variant, why[0] != '\0' ? why : "no reason is noted");
}

static struct ops_tuned *find_tuned(const struct ops_prefs *prefs, const char *op,
                                    const char *variant, uint32_t quant, uint32_t class)
{
    for (size_t i = 0; prefs != NULL && i < prefs->n_tuned; i++) {
        struct ops_tuned *t = &prefs->tuned[i];
        if (t->quant == quant && t->class == class && strcmp(t->op, op) == 0 &&
            strcmp(t->variant, variant) == 0) {
            return t;
        }
    }
    return NULL;
}

static struct ops_tuned *find_for(const struct ops_prefs *prefs, const char *op,
                                  const char *variant, uint32_t quant, uint32_t class)
{
    struct ops_tuned *tuned = find_tuned(prefs, op, variant, quant, class);
    bool last = class == OPS_TOKEN_CLASSES - 1;
    return tuned != NULL || !last ? tuned : find_tuned(prefs, op, variant, quant, class - 1);
}

bool ops_prefs_add_tuned(struct ops_prefs *prefs, const struct ops_tuned *tuned)
{
    struct ops_tuned *known =
        find_tuned(prefs, tuned->op, tuned->variant, tuned->quant, tuned->class);
    if (known == NULL) {
        if (!mem_grow((void **)&prefs->tuned, &prefs->cap_tuned, prefs->n_tuned,
                      sizeof *prefs->tuned)) {
            return false;
        }
        known = &prefs->tuned[prefs->n_tuned++];
    }
    *known = *tuned;
    return true;
}

bool ops_prefs_is_first(const struct ops_prefs *prefs, const char *op, const char *variant,
                        uint32_t quant, uint32_t class)
{
    const struct ops_tuned *tuned = find_for(prefs, op, variant, quant, class);
    return tuned != NULL && tuned->first;
}

uint32_t ops_token_class(uint64_t tokens)
{
    return tokens <= 1 ? 0 : tokens <= 8 ? 1 : tokens <= 64 ? 2 : tokens <= 512 ? 3 : 4;
}

const char *ops_token_class_name(uint32_t class)
{
    static const char *const names[OPS_TOKEN_CLASSES] = {"1", "2-8", "9-64", "65-512", "513-"};
    return class < OPS_TOKEN_CLASSES ? names[class] : "?";
}

bool ops_tunable_has(const struct ops_tunable *tunable, uint32_t value)
{
    for (uint32_t i = 0; i < OPS_MAX_VALUES && tunable->values[i] != 0; i++) {
        if (tunable->values[i] == value) {
            return true;
        }
    }
    return false;
}

bool ops_tuned_get(const struct ops_prefs *prefs, const struct ops_need *need,
                   const struct ops_variant *variant, uint32_t *values)
{
    const struct ops_tuned *tuned =
        find_for(prefs, need->op->name, variant->name, need->quant, ops_token_class(need->tokens));
    uint32_t n = 0;
    while (n < OPS_MAX_TUNABLES && variant->tunables[n].name != NULL) {
        if (tuned != NULL && !ops_tunable_has(&variant->tunables[n], tuned->values[n])) {
            return false; /* of another version of this kernel */
        }
        n++;
    }
    if (tuned != NULL && n != 0) {
        memcpy(values, tuned->values, n * sizeof *values);
    }
    return tuned != NULL && n != 0;
}
