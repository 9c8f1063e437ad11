/* The stored reference: prompts with the tokens, logits and sums that another implementation found.
 * An array of objects: tokens, greedy, logsumexp (of each position), last_logits. Prompts are often
 * shorter than what kernels for many tokens are for, so each is run once more with the beginning of
 * its greedy tokens added. */
#include "cli/compat.h"
#include "cli/memory.h"

#include <string.h>

static bool refuse(const char *path, size_t i, const char *field, const char *what)
{
    cli_error("%s: entry %zu: %s %s", path, i, field, what);
    return false;
}

/* The numbers of a field; `count` of them, at most `most`. */
static bool read_field(const char *path, const json_t *entry, size_t i, const char *field,
                       uint32_t most, double **out, uint32_t *count)
{
    const json_t *list = json_object_get(entry, field);
    size_t n = json_array_size(list);
    if (n == 0) {
        return refuse(path, i, field, "is no array with numbers");
    }
    n = n < most ? n : most;
    *out = cli_alloc(n, sizeof **out);
    for (size_t k = 0; *out != NULL && k < n; k++) {
        const json_t *value = json_array_get(list, k);
        if (!json_is_number(value)) {
            return refuse(path, i, field, "has an entry that is no number");
        }
        (*out)[k] = json_number_value(value);
    }
    *count = (uint32_t)n;
    return *out != NULL;
}

static bool read_ids(const char *path, const json_t *entry, size_t i, const char *field,
                     uint32_t most, uint32_t **out, uint32_t *count)
{
    double *values = NULL;
    bool ok = read_field(path, entry, i, field, most, &values, count);
    *out = ok ? cli_alloc(*count, sizeof **out) : NULL;
    for (uint32_t k = 0; *out != NULL && ok && k < *count; k++) {
        if (!(values[k] >= 0 && values[k] < UINT32_MAX)) {
            ok = refuse(path, i, field, "has an entry that is no token");
            break;
        }
        (*out)[k] = (uint32_t)values[k];
    }
    cli_free(values);
    return ok && *out != NULL;
}

enum { GIVEN = 32 }; /* greedy tokens that are added */

static bool read_case(const char *path, const json_t *entry, size_t i, struct compat_case *out)
{
    uint32_t n_sums;
    if (!read_ids(path, entry, i, "tokens", 1 << 16, &out->tokens, &out->n) ||
        !read_ids(path, entry, i, "greedy", 1 << 16, &out->greedy, &out->n_greedy) ||
        !read_field(path, entry, i, "logsumexp", 1 << 16, &out->sums, &n_sums) ||
        !read_field(path, entry, i, "last_logits", 1 << 24, &out->last, &out->n_last)) {
        return false;
    }
    out->n_sums = n_sums;
    return n_sums == out->n || refuse(path, i, "logsumexp", "has not one number for each token");
}

/* The case with the first of its greedy tokens in the prompt; it has more than that. */
static bool extend_case(const struct compat_case *one, struct compat_case *out)
{
    out->n = one->n + GIVEN;
    out->n_greedy = one->n_greedy - GIVEN;
    out->n_sums = one->n_sums;
    out->tokens = cli_alloc(out->n, sizeof *out->tokens);
    out->greedy = cli_alloc(out->n_greedy, sizeof *out->greedy);
    out->sums = cli_alloc(out->n_sums, sizeof *out->sums);
    if (out->tokens == NULL || out->greedy == NULL || out->sums == NULL) {
        return false;
    }
    memcpy(out->tokens, one->tokens, one->n * sizeof *one->tokens);
    memcpy(out->tokens + one->n, one->greedy, GIVEN * sizeof *one->greedy);
    memcpy(out->greedy, one->greedy + GIVEN, out->n_greedy * sizeof *out->greedy);
    memcpy(out->sums, one->sums, out->n_sums * sizeof *out->sums);
    return true;
}

static void shorten(struct compat_case *one, uint32_t max_greedy)
{
    one->n_greedy = one->n_greedy < max_greedy ? one->n_greedy : max_greedy;
}

bool compat_reference_open(struct compat_reference *reference, const char *path, uint32_t max_cases,
                           uint32_t max_greedy)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    size_t n = json_array_size(root);
    bool ok = n != 0;
    if (root == NULL && error.line < 0) {
        cli_error("%s: cannot be read", path);
    } else if (root == NULL) {
        cli_error("%s: line %d: %s", path, error.line, error.text);
    } else if (!ok) {
        cli_error("%s: is no array with entries", path);
    }
    n = n < max_cases ? n : max_cases;
    reference->cases = ok ? cli_alloc(2 * n, sizeof *reference->cases) : NULL;
    ok = reference->cases != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        struct compat_case *one = &reference->cases[reference->n_cases++];
        ok = read_case(path, json_array_get(root, i), i, one);
        if (ok && one->n_greedy > GIVEN) {
            struct compat_case *longer = &reference->cases[reference->n_cases++];
            ok = extend_case(one, longer);
            shorten(longer, max_greedy);
        }
        shorten(one, max_greedy);
    }
    json_decref(root);
    return ok;
}

void compat_reference_close(struct compat_reference *reference)
{
    for (uint32_t i = 0; i < reference->n_cases; i++) {
        cli_free(reference->cases[i].tokens);
        cli_free(reference->cases[i].greedy);
        cli_free(reference->cases[i].sums);
        cli_free(reference->cases[i].last);
    }
    cli_free(reference->cases);
    *reference = (struct compat_reference){0};
}
