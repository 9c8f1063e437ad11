/* Names and places: see compat_find.h. */
#include "cli/compat_find.h"

#include "cli/env.h"

#include <string.h>
#include <unistd.h>

enum { MAX_NAMES = 64 };

static bool has(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* `op` NULL: the ops, and "model"; else its variants, or with "" those of all ops. */
static size_t list_names(const char *op, const char *names[MAX_NAMES])
{
    uint32_t n_ops;
    size_t n = 0;
    const struct lab_op *const *ops = lab_list(&n_ops);
    for (uint32_t i = 0; i < n_ops && n + 2 < MAX_NAMES; i++) {
        const struct op *def = ops_find(ops[i]->name);
        if (op == NULL) {
            names[n++] = ops[i]->name;
            continue;
        }
        for (uint32_t v = 0; def != NULL && v < def->n_variants && n + 2 < MAX_NAMES; v++) {
            if ((*op == '\0' || strcmp(op, def->name) == 0) &&
                !has(names, n, def->variants[v].name)) {
                names[n++] = def->variants[v].name;
            }
        }
    }
    if (op == NULL) {
        names[n++] = "model";
    }
    names[n] = NULL;
    return n;
}

static bool check_name(const char *option, const char *op, const char *name)
{
    const char *names[MAX_NAMES];
    size_t n = list_names(op, names);
    if (name == NULL || has(names, n, name)) {
        return true;
    }
    const char *nearest = cli_nearest(name, names);
    const char *of = op != NULL && *op != '\0' ? " of " : "";
    if (nearest != NULL) {
        cli_error("compat: %s '%s': unknown%s%s: did you mean %s?", option, name, of,
                  *of != '\0' ? op : "", nearest);
        return false;
    }
    char list[512] = "";
    for (size_t i = 0, at = 0; i < n && at < sizeof list; i++) {
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    cli_error("compat: %s '%s': unknown%s%s: there are %s", option, name, of, *of != '\0' ? op : "",
              list);
    return false;
}

int compat_check_names(const struct cli_options *o)
{
    bool model = o->op != NULL && strcmp(o->op, "model") == 0;
    if (!check_name("--op", NULL, o->op)) {
        return CLI_USAGE;
    }
    if (model && (o->variant != NULL || o->no_model)) {
        cli_error("compat: --op model and %s: there is nothing to run",
                  o->no_model ? "--no-model" : "--variant");
        return CLI_USAGE;
    }
    if (!model && !check_name("--variant", o->op != NULL ? o->op : "", o->variant)) {
        return CLI_USAGE;
    }
    if (o->has_seed && o->seed > INT64_MAX) {
        cli_error("compat: --seed '%llu': must be at most %lld", (unsigned long long)o->seed,
                  (long long)INT64_MAX);
        return CLI_USAGE;
    }
    for (uint32_t i = 0; i < o->n_devices; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (o->devices[i] == o->devices[k]) {
                cli_error("compat: --device: %u is there twice", o->devices[i]);
                return CLI_USAGE;
            }
        }
    }
    return CLI_DONE;
}

/* models/NAME here, beside the program's folder, or in its share folder; "" where it is nowhere. */
static void find_file(const char *name, char *out, size_t bytes)
{
    char program[2048];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    const char *const places[] = {"/../models", "/../share/quadriga/models"};
    snprintf(out, bytes, "models/%s", name);
    for (size_t i = 0; access(out, R_OK) != 0; i++) {
        if (i == sizeof places / sizeof *places || slash == NULL) {
            out[0] = '\0';
            return;
        }
        snprintf(out, bytes, "%s%s/%s", program, places[i], name);
    }
}

bool compat_find_model(struct compat *c)
{
    const struct cli_options *o = c->options;
    if (o->model != NULL) {
        snprintf(c->model_path, sizeof c->model_path, "%s", o->model);
        snprintf(c->model, sizeof c->model, "%s", o->model);
    } else {
        find_file(COMPAT_MODEL, c->model_path, sizeof c->model_path);
        snprintf(c->model, sizeof c->model, "%s", c->model_path[0] != '\0' ? COMPAT_MODEL : "");
    }
    if (o->reference != NULL) {
        snprintf(c->reference_path, sizeof c->reference_path, "%s", o->reference);
    } else if (o->model == NULL) {
        find_file(COMPAT_REFERENCE, c->reference_path, sizeof c->reference_path);
    }
    return c->model_path[0] == '\0' || cli_env_prepare(c->model_path);
}
