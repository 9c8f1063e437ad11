/* How far an evaluation is, while somebody looks. */
#include "cli/eval.h"

#include <stdio.h>

enum { BAR = 24, SHOW_EVERY_NS = 100000000 };

void cli_eval_bar_show(struct cli_eval_bar *bar, uint64_t rows, uint64_t all, const char *text)
{
    uint64_t now = cli_clock_ns();
    if (bar->begin_ns == 0) {
        bar->begin_ns = now;
    }
    if (!cli_on_terminal(stderr) || (now - bar->shown_ns < SHOW_EVERY_NS && rows != all)) {
        return;
    }
    double share = all != 0 ? (double)rows / (double)all : 1;
    int full = (int)(share * BAR);
    char left[32] = "";
    double spent = (double)(now - bar->begin_ns) / 1e9;
    if (share > 0.01 && spent > 1) {
        unsigned seconds = (unsigned)(spent / share - spent);
        snprintf(left, sizeof left, "%u:%02u left", seconds / 60, seconds % 60);
    }
    fprintf(stderr, "\r[%.*s%*s] %-38.38s %-14s", full, "########################", BAR - full, "",
            text, left);
    fflush(stderr);
    bar->shown_ns = now;
    bar->shown = true;
}

void cli_eval_bar_end(struct cli_eval_bar *bar)
{
    if (bar->shown) {
        fprintf(stderr, "\r%80s\r", "");
    }
    bar->shown = false;
}
