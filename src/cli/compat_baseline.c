/* What changed since an old report: drivers, results, rows that came or went, errors that grew.
 * Devices are the same by UUID and name; where several are (copies of a driver), by their order. */
#include "cli/compat.h"
#include "cli/json.h"

#include <string.h>

enum { SHOWN = 20, GROWTH = 2 };

json_t *compat_baseline_open(const char *path)
{
    json_error_t error;
    json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    const json_t *rows = json_object_get(report, "rows");
    const json_t *devices = json_object_get(report, "devices");
    size_t i;
    json_t *item;
    if (report == NULL) {
        if (error.line < 0) {
            cli_error("%s: cannot be read", path);
        } else {
            cli_error("%s: line %d: %s", path, error.line, error.text);
        }
        return NULL;
    }
    if (!json_is_array(rows) || !json_is_array(devices)) {
        cli_error("%s: no report of compat -o json: %s is missing", path,
                  json_is_array(rows) ? "devices" : "rows");
        goto fail;
    }
    json_array_foreach(rows, i, item)
    {
        if (!compat_row_ok(item)) {
            cli_error("%s: rows[%zu] is no row of compat", path, i);
            goto fail;
        }
    }
    json_array_foreach(devices, i, item)
    {
        if (!json_is_integer(json_object_get(item, "index")) ||
            !json_is_string(json_object_get(item, "name")) ||
            !json_is_string(json_object_get(item, "uuid"))) {
            cli_error("%s: devices[%zu] has no index, name or uuid", path, i);
            goto fail;
        }
    }
    return report;
fail:
    json_decref(report);
    return NULL;
}

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    return strcmp(compat_text(a, key), compat_text(b, key)) == 0;
}

/* For each new device the old one (borrowed) or NULL. */
static void match(const json_t *now, const json_t *old, const json_t *out[CLI_MAX_DEVICES])
{
    bool taken[CLI_MAX_DEVICES] = {false};
    for (int pass = 0; pass < 2; pass++) { /* by UUID and name, then by name alone */
        for (size_t i = 0; i < json_array_size(now) && i < CLI_MAX_DEVICES; i++) {
            const json_t *mine = json_array_get(now, i);
            for (size_t k = 0; k < json_array_size(old) && k < CLI_MAX_DEVICES; k++) {
                const json_t *other = json_array_get(old, k);
                if (out[i] == NULL && !taken[k] && same_text(mine, other, "name") &&
                    (pass == 1 || same_text(mine, other, "uuid"))) {
                    out[i] = other;
                    taken[k] = true;
                }
            }
        }
    }
}

/* Facts of a driver that differ between two devices. */
static void compare_facts(const json_t *now, const json_t *old, json_t *drivers)
{
    static const char *const fields[] = {"driver",      "driver_info", "driver_version",
                                         "driver_uuid", "api_version", "quirks"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *a = json_object_get(old, fields[i]), *b = json_object_get(now, fields[i]);
        if (!json_equal(a, b)) {
            json_t *change = json_object();
            json_object_set(change, "device", json_object_get(now, "index"));
            json_object_set(change, "name", json_object_get(now, "name"));
            cli_json_add(change, "field", json_string(fields[i]));
            json_object_set(change, "old", a != NULL ? a : json_null());
            json_object_set(change, "new", b != NULL ? b : json_null());
            json_array_append_new(drivers, change);
        }
    }
}

/* Numbers of devices as the new report has them: old index -> new index, as text. */
static json_t *map_devices(const struct compat *c, const json_t *report, json_t *changes)
{
    const json_t *old[CLI_MAX_DEVICES] = {NULL};
    json_t *map = json_object(), *drivers = json_array();
    match(c->facts, json_object_get(report, "devices"), old);
    for (size_t i = 0; i < json_array_size(c->facts) && i < CLI_MAX_DEVICES; i++) {
        const json_t *mine = json_array_get(c->facts, i);
        char index[32];
        if (old[i] != NULL) {
            snprintf(index, sizeof index, "%lld",
                     (long long)json_integer_value(json_object_get(old[i], "index")));
            json_object_set(map, index, json_object_get(mine, "index"));
            compare_facts(mine, old[i], drivers);
        }
    }
    cli_json_add(changes, "drivers", drivers);
    return map;
}

/* What a row is of, with the new number of its device; "old N" where that is gone. */
static void make_key(const json_t *row, const json_t *map, char *out, size_t bytes)
{
    char index[32];
    json_int_t device = json_integer_value(json_object_get(row, "device"));
    snprintf(index, sizeof index, "%lld", (long long)device);
    const json_t *mapped = map != NULL ? json_object_get(map, index) : NULL;
    int n = map != NULL && mapped == NULL
                ? snprintf(out, bytes, "old %s ", index)
                : snprintf(out, bytes, "%lld ",
                           (long long)(map != NULL ? json_integer_value(mapped) : device));
    compat_row_text(row, out + n, bytes - (size_t)n);
}

static json_t *describe(const json_t *row, const char *key)
{
    static const char *const fields[] = {"device", "op", "variant", "format", "kv", "shape", "way"};
    json_t *out = json_object();
    cli_json_add(out, "what", json_string(key));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_object_set(out, fields[i], json_object_get(row, fields[i]));
    }
    return out;
}

static void compare_row(const json_t *now, const json_t *old, const char *key, json_t *changes)
{
    static const char *const errors[] = {"nmse", "worst_error"};
    if (!same_text(now, old, "status")) {
        json_t *change = describe(now, key);
        json_object_set(change, "old", json_object_get(old, "status"));
        json_object_set(change, "new", json_object_get(now, "status"));
        json_object_set(change, "why", json_object_get(now, "why"));
        json_array_append_new(json_object_get(changes, "status"), change);
        return;
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        json_t *a = json_object_get(old, errors[i]), *b = json_object_get(now, errors[i]);
        if (json_is_number(a) && json_is_number(b) &&
            json_number_value(b) > GROWTH * json_number_value(a)) {
            json_t *change = describe(now, key);
            cli_json_add(change, "field", json_string(errors[i]));
            json_object_set(change, "old", a);
            json_object_set(change, "new", b);
            json_array_append_new(json_object_get(changes, "grown"), change);
            return;
        }
    }
}

/* A run with these options would have this row of an old report. */
static bool is_in_scope(const struct compat *c, const json_t *row, const json_t *map)
{
    const struct cli_options *o = c->options;
    const char *op = compat_text(row, "op");
    bool model = strcmp(op, "model") == 0;
    char index[32];
    snprintf(index, sizeof index, "%lld",
             (long long)json_integer_value(json_object_get(row, "device")));
    return (model ? compat_wants_model(c) : compat_wants_ops(c)) &&
           (o->op == NULL || strcmp(o->op, op) == 0) &&
           (o->variant == NULL || strcmp(o->variant, compat_text(row, "variant")) == 0) &&
           (o->n_devices == 0 || json_object_get(map, index) != NULL);
}

/* Where one run was quick and the other was not, rows come and go for that alone. */
static void compare_rows(const struct compat *c, const json_t *old, const json_t *map,
                         bool was_quick, json_t *changes)
{
    json_t *index = json_object(), *row;
    char key[COMPAT_ROW_TEXT];
    const char *left;
    size_t i;
    json_array_foreach(old, i, row)
    {
        if (is_in_scope(c, row, map)) {
            make_key(row, map, key, sizeof key);
            json_object_set(index, key, row);
        }
    }
    json_array_foreach(c->rows, i, row)
    {
        make_key(row, NULL, key, sizeof key);
        const json_t *before = json_object_get(index, key);
        if (before == NULL && was_quick == c->options->quick) {
            json_array_append_new(json_object_get(changes, "appeared"), describe(row, key));
        } else if (before != NULL) {
            compare_row(row, before, key, changes);
            json_object_del(index, key);
        }
    }
    json_object_foreach(index, left, row)
    {
        if (was_quick != c->options->quick) {
            break;
        }
        json_array_append_new(json_object_get(changes, "vanished"), describe(row, left));
    }
    json_decref(index);
}

json_t *compat_baseline_compare(const struct compat *c, const json_t *report)
{
    static const char *const lists[] = {"status", "grown", "appeared", "vanished"};
    json_t *changes = json_object(), *versions = json_array();
    json_t *version = json_object_get(report, "quadriga");
    cli_json_add(changes, "baseline", cli_json_text(c->options->baseline));
    json_array_append(versions, version != NULL ? version : json_null());
    json_array_append_new(versions, json_string(qd_version()));
    cli_json_add(changes, "versions", versions);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cli_json_add(changes, lists[i], json_array());
    }
    json_t *map = map_devices(c, report, changes);
    bool was_quick = json_is_true(json_object_get(report, "quick"));
    cli_json_add(changes, "baseline_quick", json_boolean(was_quick));
    compare_rows(c, json_object_get(report, "rows"), map, was_quick, changes);
    json_decref(map);
    return changes;
}

/* A value in a line: texts bare, numbers short. */
static void print_value(const json_t *value)
{
    if (json_is_string(value)) {
        cli_put_safe(stdout, json_string_value(value));
    } else if (json_is_real(value)) {
        printf("%.3g", json_real_value(value));
    } else if (json_is_integer(value)) {
        printf("%lld", (long long)json_integer_value(value));
    } else {
        printf("nothing");
    }
}

static void print_change(const json_t *change)
{
    const json_t *old = json_object_get(change, "old"), *now = json_object_get(change, "new");
    const char *field = compat_text(change, "field"), *why = compat_text(change, "why");
    printf("%lld ", (long long)json_integer_value(json_object_get(change, "device")));
    const char *key = compat_text(change, "what"); /* "1 rope/plain", "old 1 rope/plain" */
    const char *what = strchr(key + (strncmp(key, "old ", 4) == 0 ? 4 : 0), ' ');
    cli_put_safe(stdout, what != NULL ? what + 1 : compat_text(change, "name"));
    if (now != NULL) {
        printf(": %s%s", field, *field != '\0' ? " " : "");
        print_value(old);
        printf(" -> ");
        print_value(now);
    }
    if (*why != '\0') {
        printf(" (");
        cli_put_safe(stdout, why);
        printf(")");
    }
    printf("\n");
}

void compat_baseline_print(const json_t *changes, bool markdown)
{
    static const struct {
        const char *key, *title;
    } lists[] = {{"drivers", "drivers that differ"},
                 {"status", "results that differ"},
                 {"grown", "errors more than twice as large"},
                 {"appeared", "new rows"},
                 {"vanished", "rows that are gone"}};
    bool any = false;
    printf(markdown ? "## Changes since " : "changes since ");
    cli_put_safe(stdout, compat_text(changes, "baseline"));
    printf(markdown ? "\n\n" : "\n");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const json_t *list = json_object_get(changes, lists[i].key);
        size_t n = json_array_size(list);
        for (size_t k = 0; k < n && k <= SHOWN; k++) {
            any = true;
            if (k == 0) {
                printf(markdown ? "%s: %zu\n\n" : "  %s: %zu\n", lists[i].title, n);
            }
            printf(markdown ? "- " : "    ");
            if (k == SHOWN) {
                printf("and %zu more\n", n - k);
            } else {
                printf("device ");
                print_change(json_array_get(list, k));
            }
        }
        printf("%s", markdown && n != 0 ? "\n" : "");
    }
    printf("%s%s", any ? "" : markdown ? "None.\n" : "  none\n", "\n");
}
