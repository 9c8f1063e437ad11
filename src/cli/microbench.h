/* How rows of the microbenchmarks are written: a table as they come, or CSV or JSON at the end. */
#ifndef QUADRIGA_CLI_MICROBENCH_H
#define QUADRIGA_CLI_MICROBENCH_H

#include "cli/options.h"
#include "lab/bench.h"

#include <jansson.h>

struct microbench_print {
    enum cli_output output;
    json_t *rows;     /* of CSV and JSON; for the table none are kept */
    const char *list; /* what JSON calls them */
    char group[16];
    uint32_t device;
    bool begun; /* a table has a head */
};

void microbench_print_note(struct microbench_print *p, const char *line);
void microbench_print_row(struct microbench_print *p, const struct bench_row *row);
void microbench_print_tuned(struct microbench_print *p, const struct bench_tuned *tuned);
/* The rest of the output; `devices` are facts, taken over. Returns a cli_exit. */
int microbench_print_end(struct microbench_print *p, json_t *devices, uint64_t seed);

#endif
