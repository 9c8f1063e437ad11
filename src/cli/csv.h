/* CSV from what is made as JSON. */
#ifndef QUADRIGA_CLI_CSV_H
#define QUADRIGA_CLI_CSV_H

#include <jansson.h>

/* An array of objects with the same keys, to standard output: a line of keys, then one per object.
 * Texts are quoted, lists are joined with '/', null is empty, objects are left empty. */
void cli_csv_print(const json_t *list);

#endif
