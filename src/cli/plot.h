/* Rooflines as a picture: what each kernel reached, under what the device can do. Drawn by gnuplot,
 * a program that need not be there. */
#ifndef QUADRIGA_CLI_PLOT_H
#define QUADRIGA_CLI_PLOT_H

#include "include/quadriga.h"
#include "lab/bench.h"

#include <stdio.h>

/* True when gnuplot can be run and `path` can be written; else one line of error. For commands that
 * measure long before they draw. Leaves no file behind that was not there. */
bool cli_plot_ready(const char *path);

/* Writes an SVG: a panel for each device that has a kernel row, arithmetic intensity (flop / byte)
 * against GFLOP/s, both logarithmic. A kernel is a row of another group than "ceiling" that has
 * passed and has flop, bytes and us. Roofs are the passed rows of group "ceiling": "read", "copy"
 * and what has no gflops slanted, by gbs; the others level, by gflops. `context` names the devices;
 * NULL: they are numbers. False: one line of error was said. */
bool cli_plot_roofline(const char *path, const struct bench_row *rows, size_t n,
                       qd_context *context);

/* ---- the picture itself, in plot_script.c ---- */

#define PLOT_DEVICES 16

struct plot_panel {
    uint32_t device; /* of the rows */
    char name[256];  /* of the device; printable ASCII, see plot_script */
};

/* Panels of the rows, in the order of their devices; the number of them. Names are left alone. */
uint32_t plot_panels(const struct bench_row *rows, size_t n, struct plot_panel *out);
/* The commands for gnuplot, whose output is then the picture. */
void plot_script(FILE *out, const struct bench_row *rows, size_t n, const struct plot_panel *panels,
                 uint32_t n_panels);

#endif
