/* Reads a JSON array of objects from standard input, or with a first argument .NAME such an array
 * or object inside an object, and checks that each has the fields named as arguments, NAME:TYPE. A
 * type may be one of several: string,null. Prints the first thing that is wrong. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *type_of(const json_t *value)
{
    static const char *const names[] = {"object", "array",   "string",  "integer",
                                        "real",   "boolean", "boolean", "null"};
    return value != NULL ? names[json_typeof(value)] : "missing";
}

static int check_field(const json_t *object, size_t i, const char *field)
{
    const char *colon = strchr(field, ':');
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(colon != NULL ? colon - field : 0), field);
    const char *type = type_of(json_object_get(object, name));
    bool right = false;
    for (const char *t = colon != NULL ? colon + 1 : ""; *t != '\0' && !right;) {
        size_t bytes = strcspn(t, ",");
        right = strlen(type) == bytes && memcmp(t, type, bytes) == 0;
        t += bytes + (t[bytes] == ',');
    }
    if (!right) {
        fprintf(stderr, "entry %zu: %s is %s\n", i, field, type);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *list = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    if (list != NULL && argc > 1 && argv[1][0] == '.') {
        json_t *root = list, *part = json_object_get(root, argv[1] + 1);
        list = json_is_object(part) ? json_pack("[O]", part) : json_incref(part);
        json_decref(root);
        argv++, argc--;
    }
    if (!json_is_array(list) || json_array_size(list) == 0) {
        fprintf(stderr, "not a JSON array with entries: line %d: %s\n", error.line, error.text);
        json_decref(list);
        return 1;
    }
    int bad = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        for (int a = 1; a < argc && bad == 0; a++) {
            bad = check_field(json_array_get(list, i), i, argv[a]);
        }
    }
    json_decref(list);
    return bad;
}
