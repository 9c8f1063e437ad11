/* Lists of what is to be done without, by name: "coopmat,int_dot,matmul/lanes,fuse". Names are
 * those of capabilities, of kernels and of fusions, and "split"; what they then mean is decided
 * where kernels are chosen and plans are fused and lowered. */
#include "ops/fuse.h"
#include "ops/matmul_split.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 2 * OPS_NAME };

/* An op before this one (or this one, before row v) has a variant of this name. */
static bool seen_before(const struct op *const *list, uint32_t op, uint32_t v, const char *name)
{
    for (uint32_t i = 0; i <= op; i++) {
        uint32_t n = i < op ? list[i]->n_variants : v;
        for (uint32_t k = 0; k < n; k++) {
            if (strcmp(list[i]->variants[k].name, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool ops_disable_name(uint32_t index, char *out, size_t out_bytes)
{
    for (uint32_t bit = 0; bit < 32; bit++) {
        const char *name = dev_cap_name(1u << bit);
        if (dev_cap_find(name) != 0 && index-- == 0) {
            snprintf(out, out_bytes, "%s", name);
            return true;
        }
    }
    uint32_t n_ops;
    const struct op *const *list = ops_list(&n_ops);
    for (uint32_t full = 0; full < 2; full++) {
        for (uint32_t i = 0; i < n_ops; i++) {
            for (uint32_t v = 0; v < list[i]->n_variants; v++) {
                const char *name = list[i]->variants[v].name;
                bool counts =
                    full != 0 || (dev_cap_find(name) == 0 && !seen_before(list, i, v, name));
                if (counts && index-- == 0) {
                    snprintf(out, out_bytes, "%s%s%s", full != 0 ? list[i]->name : "",
                             full != 0 ? "/" : "", name);
                    return true;
                }
            }
        }
    }
    if (index-- == 0) {
        snprintf(out, out_bytes, "%s", OPS_SPLIT);
        return true;
    }
    const struct ops_fusion *fusion = index != 0 ? ops_fusion_get(index - 1) : NULL;
    if (index != 0 && fusion == NULL) {
        return false;
    }
    snprintf(out, out_bytes, "%s%s%s", OPS_FUSE, index != 0 ? "/" : "",
             index != 0 ? fusion->name : "");
    return true;
}

static bool is_variant(const char *name)
{
    uint32_t n_ops;
    const struct op *const *list = ops_list(&n_ops);
    for (uint32_t i = 0; i < n_ops; i++) {
        if (ops_find_variant(list[i], name) != NULL) {
            return true;
        }
    }
    return false;
}

/* Fusion `name`, or all of them where it is NULL. */
static bool add_fusions(struct ops_prefs *prefs, const char *name, bool *known)
{
    const struct ops_fusion *fusion;
    bool ok = true;
    *known = false;
    for (uint32_t i = 0; (fusion = ops_fusion_get(i)) != NULL && ok; i++) {
        if (name == NULL || strcmp(fusion->name, name) == 0) {
            *known = true;
            ok = ops_prefs_add_off(prefs, OPS_FUSE, fusion->name);
        }
    }
    return ok;
}

/* *known: there is something of that name. False only when memory is out. */
static bool add_name(char *name, uint32_t *caps_off, struct ops_prefs *prefs, bool *known)
{
    char *slash = strchr(name, '/');
    if (strcmp(name, OPS_FUSE) == 0) {
        return add_fusions(prefs, NULL, known);
    }
    if (strcmp(name, OPS_SPLIT) == 0) {
        *known = true;
        return ops_prefs_add_off(prefs, "matmul", OPS_SPLIT);
    }
    if (slash != NULL && strncmp(name, OPS_FUSE "/", sizeof OPS_FUSE) == 0) {
        return add_fusions(prefs, slash + 1, known);
    }
    if (slash != NULL) {
        *slash = '\0';
        *known = ops_find_variant(ops_find(name), slash + 1) != NULL;
        bool ok = !*known || ops_prefs_add_off(prefs, name, slash + 1);
        *slash = '/';
        return ok;
    }
    uint32_t cap = dev_cap_find(name);
    bool variant = is_variant(name);
    *known = cap != 0 || variant;
    *caps_off |= cap;
    return !variant || ops_prefs_add_off(prefs, NULL, name);
}

bool ops_disable_parse(const char *list, uint32_t *caps_off, struct ops_prefs *prefs, char *error,
                       size_t error_bytes)
{
    for (const char *at = list; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t n = comma != NULL ? (size_t)(comma - at) : strlen(at);
        char name[LONGEST];
        bool known = false;
        snprintf(name, sizeof name, "%.*s", (int)(n < LONGEST ? n : LONGEST), at);
        if (n < LONGEST && !add_name(name, caps_off, prefs, &known)) {
            snprintf(error, error_bytes, "out of memory");
            return false;
        }
        if (!known) {
            snprintf(error, error_bytes, "'%s' is neither a capability nor a kernel nor a fusion",
                     name);
            return false;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return true;
}
