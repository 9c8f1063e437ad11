/* A JSON array of flat objects as CSV. */
#include "cli/csv.h"

#include <stdio.h>

static void print_csv_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        printf(*text == '"' ? "\"\"" : "%c", *text);
    }
    putchar('"');
}

static void print_csv_value(const json_t *value)
{
    if (json_is_string(value)) {
        print_csv_text(json_string_value(value));
    } else if (json_is_real(value)) {
        printf("%.6f", json_real_value(value));
    } else if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        printf("%s", json_is_true(value) ? "true" : "false");
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        printf("%s", i == 0 ? "" : "/");
        print_csv_value(json_array_get(value, i));
    }
}

void cli_csv_print(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *test = json_array_get(list, i);
        const char *key;
        json_t *value;
        const char *sep = "";
        json_object_foreach(test, key, value)
        {
            if (i == 0) {
                printf("%s%s", sep, key);
                sep = ",";
            }
        }
        printf(i == 0 ? "\n" : "");
        sep = "";
        json_object_foreach(test, key, value)
        {
            printf("%s", sep);
            print_csv_value(value);
            sep = ",";
        }
        printf("\n");
    }
}
