/* The roofline picture as commands for gnuplot: panels below each other, in each the roofs, a point
 * per kernel and the legend. A marker is a group of kernels, a colour a type, a size the work of
 * one run, so that the legend stays short however many points there are. */
#include "cli/plot.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH = 1000,
    HEIGHT = 640, /* of a panel */
    LEFT = 100,
    RIGHT = 220, /* the legend */
    TOP = 50,
    BOTTOM = 60,
    KEYS = 16, /* groups or types that are told apart */
    ROOFS = 8
};

struct roof {
    char name[40];
    double gbs, gflops; /* one of them is 0 */
};

struct point {
    double x, y; /* flop / byte, GFLOP/s */
    double flop;
};

struct panel {
    const struct bench_row *rows;
    size_t n;
    uint32_t device, number, of;
    struct roof roofs[ROOFS];
    uint32_t n_roofs;
    double x0, x1, y0, y1; /* range */
    double gbs, gflops;    /* of the highest roofs; 0: none */
};

/* Names in the order in which they first appear in any panel. */
struct keys {
    const char *names[KEYS];
    uint32_t n;
};

static const unsigned colours[] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                   0xe69f00, 0x56b4e9, 0x7a5195, 0x555555};
static const int markers[] = {7, 5, 9, 13, 11, 15}; /* filled shapes of the SVG terminal */
static const struct {
    double below; /* flop */
    double size;
    const char *text;
} sizes[] = {{1e8, 0.55, "below 0.1 GFLOP a run"},
             {1e10, 0.85, "0.1 to 10 GFLOP"},
             {INFINITY, 1.2, "above 10 GFLOP"}};

static bool is_roof(const struct bench_row *row)
{
    return strcmp(row->group, "ceiling") == 0 && row->passed && (row->gbs > 0 || row->gflops > 0);
}

static bool get_point(const struct bench_row *row, struct point *out)
{
    if (strcmp(row->group, "ceiling") == 0 || !row->passed || !(row->flop > 0) ||
        !(row->bytes > 0) || !(row->us > 0)) {
        return false;
    }
    *out = (struct point){row->flop / row->bytes, row->flop / row->us / 1e3, row->flop};
    return isfinite(out->x) && isfinite(out->y);
}

uint32_t plot_panels(const struct bench_row *rows, size_t n, struct plot_panel *out)
{
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        struct point point;
        uint32_t at = 0;
        while (at < found && out[at].device < rows[i].device) {
            at++;
        }
        if (!get_point(&rows[i], &point) || (at < found && out[at].device == rows[i].device) ||
            found == PLOT_DEVICES) {
            continue;
        }
        memmove(&out[at + 1], &out[at], (found - at) * sizeof *out);
        out[at].device = rows[i].device;
        found++;
    }
    return found;
}

/* ---- text ---- */

/* In single quotes, as gnuplot wants it; what is not printable ASCII becomes '?'. */
static void put_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\'') {
            fputc('\'', out);
        }
        fputc(c < 0x20 || c >= 0x7f ? '?' : c, out);
    }
    fputc('\'', out);
}

static uint32_t key_of(struct keys *keys, const char *name)
{
    uint32_t i = 0;
    while (i < keys->n && strcmp(keys->names[i], name) != 0) {
        i++;
    }
    if (i == keys->n && keys->n < KEYS) {
        keys->names[keys->n++] = name;
    }
    return i < KEYS ? i : KEYS - 1;
}

static const char *type_of(const struct bench_row *row)
{
    return row->type[0] != '\0' ? row->type : "no type";
}

/* ---- roofs and ranges ---- */

/* Bytes are what these ceilings are about. */
static bool is_slanted(const struct bench_row *row)
{
    return strcmp(row->name, "read") == 0 || strcmp(row->name, "copy") == 0 || !(row->gflops > 0);
}

/* The best of each name. */
static void add_roof(struct panel *p, const struct bench_row *row)
{
    uint32_t i = 0;
    while (i < p->n_roofs && strcmp(p->roofs[i].name, row->name) != 0) {
        i++;
    }
    if (i == ROOFS) {
        return;
    }
    struct roof *r = &p->roofs[i];
    bool slanted = is_slanted(row);
    double value = slanted ? row->gbs : row->gflops;
    if (i == p->n_roofs) {
        *r = (struct roof){.gbs = 0};
        snprintf(r->name, sizeof r->name, "%s", row->name);
        p->n_roofs++;
    }
    double *field = slanted ? &r->gbs : &r->gflops;
    *field = value > *field ? value : *field;
}

static void widen(double value, double *low, double *high)
{
    *low = value < *low ? value : *low;
    *high = value > *high ? value : *high;
}

static void set_range(struct panel *p)
{
    p->x0 = p->y0 = INFINITY;
    p->x1 = p->y1 = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct point point;
        if (p->rows[i].device == p->device && is_roof(&p->rows[i])) {
            add_roof(p, &p->rows[i]);
        } else if (p->rows[i].device == p->device && get_point(&p->rows[i], &point)) {
            widen(point.x, &p->x0, &p->x1);
            widen(point.y, &p->y0, &p->y1);
        }
    }
    for (uint32_t i = 0; i < p->n_roofs; i++) {
        p->gbs = fmax(p->gbs, p->roofs[i].gbs);
        p->gflops = fmax(p->gflops, p->roofs[i].gflops);
    }
    for (uint32_t i = 0; i < p->n_roofs && p->gbs > 0; i++) {
        if (p->roofs[i].gflops > 0) { /* where the roofs meet, and a piece of the level one */
            widen(p->roofs[i].gflops / p->gbs * 6, &p->x0, &p->x1);
            widen(p->roofs[i].gflops, &p->y0, &p->y1);
        }
    }
    p->x0 /= 2.5;
    p->x1 *= 2.5;
    p->y0 /= 2.5;
    p->y1 *= 2.5;
}

/* Degrees of a slanted roof on the page: it rises as fast as it goes to the right. */
static double slant(const struct panel *p)
{
    double across = (WIDTH - LEFT - RIGHT) / log10(p->x1 / p->x0);
    double up = (HEIGHT - TOP - BOTTOM) / log10(p->y1 / p->y0);
    return atan2(up, across) * 180 / 3.14159265358979;
}

/* Ends of a slanted roof in the panel. False: it is nowhere in it. */
static bool get_slanted(const struct panel *p, const struct roof *r, double *from, double *to)
{
    *from = fmax(p->x0, p->y0 / r->gbs);
    *to = fmin(p->x1, (p->gflops > 0 ? p->gflops : p->y1) / r->gbs);
    return r->gbs > 0 && *from < *to;
}

/* Datablocks of lines: the best slanted roof and all level ones solid, the other slanted ones
 * dashed. True where there is something in it. */
static bool put_lines(FILE *out, const struct panel *p, bool dashed)
{
    bool some = false;
    fprintf(out, "$%s << end_of_roofs\n", dashed ? "dashed" : "solid");
    for (uint32_t i = 0; i < p->n_roofs; i++) {
        const struct roof *r = &p->roofs[i];
        double from, to;
        if ((r->gbs < p->gbs) == dashed && get_slanted(p, r, &from, &to)) {
            fprintf(out, "%.6g %.6g\n%.6g %.6g\n\n", from, from * r->gbs, to, to * r->gbs);
            some = true;
        }
        if (!dashed && r->gflops > 0) {
            from = p->gbs > 0 ? fmax(p->x0, r->gflops / p->gbs) : p->x0;
            fprintf(out, "%.6g %.6g\n%.6g %.6g\n\n", from, r->gflops, p->x1, r->gflops);
            some = true;
        }
    }
    fprintf(out, "end_of_roofs\n");
    return some;
}

/* All slanted roofs are named above the best one, where no point can be. */
static void name_slanted(FILE *out, const struct panel *p)
{
    double from = fmax(p->x0, p->y0 / p->gbs), at = from * pow(p->x1 / from, 0.03), begin, end;
    size_t used = 0;
    char text[256] = "";
    for (uint32_t i = 0; i < p->n_roofs; i++) {
        const struct roof *r = &p->roofs[i];
        if (!get_slanted(p, r, &begin, &end)) {
            continue;
        }
        int n = snprintf(text + used, sizeof text - used, "%s%s %.4g GB/s%s", used > 0 ? ", " : "",
                         r->name, r->gbs, r->gbs < p->gbs ? " (dashed)" : "");
        used += n > 0 && (size_t)n < sizeof text - used ? (size_t)n : 0;
    }
    fprintf(out, "set label ");
    put_text(out, text);
    fprintf(out, " at %.6g,%.6g left rotate by %.1f offset -0.4,0.7 textcolor rgb '#444444'\n", at,
            at * p->gbs, slant(p));
}

/* Level roofs from the lowest up; their names keep a distance. */
static void name_level(FILE *out, const struct panel *p)
{
    double done = 0, text_at = 0, line = pow(p->y1 / p->y0, 17.0 / (HEIGHT - TOP - BOTTOM));
    for (uint32_t k = 0; k < p->n_roofs; k++) {
        const struct roof *next = NULL;
        for (uint32_t i = 0; i < p->n_roofs; i++) {
            const struct roof *r = &p->roofs[i];
            if (r->gflops > done && (next == NULL || r->gflops < next->gflops)) {
                next = r;
            }
        }
        if (next == NULL) {
            return;
        }
        done = next->gflops;
        text_at = fmax(done * sqrt(line) * 1.02, text_at * line);
        char text[96];
        bool large = done >= 1e4;
        snprintf(text, sizeof text, "%s %.4g %s", next->name, large ? done / 1e3 : done,
                 large ? "TFLOP/s" : "GFLOP/s");
        fprintf(out, "set label ");
        put_text(out, text);
        fprintf(out, " at %.6g,%.6g right textcolor rgb '#444444'\n",
                p->x1 / pow(p->x1 / p->x0, 0.01), text_at);
    }
}

/* ---- points and legend ---- */

static uint32_t size_of(const struct point *point)
{
    uint32_t i = 0;
    while (point->flop >= sizes[i].below) {
        i++;
    }
    return i;
}

/* A datablock of x, y, size, marker, colour with a little transparency; notes what is in it. */
static void put_points(FILE *out, const struct panel *p, struct keys *groups, struct keys *types,
                       bool has_group[KEYS], bool has_type[KEYS])
{
    fprintf(out, "$points << end_of_points\n");
    for (size_t i = 0; i < p->n; i++) {
        struct point point;
        if (!get_point(&p->rows[i], &point)) {
            continue;
        }
        uint32_t group = key_of(groups, p->rows[i].group);
        uint32_t type = key_of(types, type_of(&p->rows[i]));
        if (p->rows[i].device != p->device) {
            continue;
        }
        has_group[group] = has_type[type] = true;
        fprintf(out, "%.6g %.6g %.2f %d %u\n", point.x, point.y, sizes[size_of(&point)].size,
                markers[group % (sizeof markers / sizeof *markers)],
                0x30000000u | colours[type % (sizeof colours / sizeof *colours)]);
    }
    fprintf(out, "end_of_points\n");
}

static void put_key(FILE *out, const char *text, int marker, unsigned colour, double size,
                    double *line)
{
    *line += marker == 0 ? 1.4 : 1;
    double y = 1 - (*line * 19 - 10) / (HEIGHT - TOP - BOTTOM);
    fprintf(out, "set label ");
    put_text(out, text);
    fprintf(out, " at graph %.4f,%.4f left", marker == 0 ? 1.02 : 1.03, y);
    if (marker != 0) {
        fprintf(out, " point pt %d ps %.2f lc rgb '#%06x' offset 1.2,-0.15", marker, size, colour);
    } else {
        fprintf(out, " textcolor rgb '#666666'");
    }
    fprintf(out, "\n");
}

static void put_legend(FILE *out, const struct keys *groups, const struct keys *types,
                       const bool has_group[KEYS], const bool has_type[KEYS])
{
    double line = -0.6;
    put_key(out, "kernels", 0, 0, 0, &line);
    for (uint32_t i = 0; i < groups->n; i++) {
        if (has_group[i]) {
            put_key(out, groups->names[i], markers[i % (sizeof markers / sizeof *markers)],
                    0x666666, 1, &line);
        }
    }
    put_key(out, "type", 0, 0, 0, &line);
    for (uint32_t i = 0; i < types->n; i++) {
        if (has_type[i]) {
            put_key(out, types->names[i], 7, colours[i % (sizeof colours / sizeof *colours)], 1,
                    &line);
        }
    }
    put_key(out, "work", 0, 0, 0, &line);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_key(out, sizes[i].text, 7, 0x666666, sizes[i].size, &line);
    }
}

static void put_panel(FILE *out, struct panel *p, const char *name, struct keys *groups,
                      struct keys *types)
{
    bool has_group[KEYS] = {false}, has_type[KEYS] = {false};
    char title[320];
    double high = (double)HEIGHT * p->of, bottom = (double)HEIGHT * (p->of - 1 - p->number);
    set_range(p);
    snprintf(title, sizeof title, "device %u%s%s", p->device, name[0] != '\0' ? ": " : "", name);
    fprintf(out, "unset label\nset title ");
    put_text(out, title);
    fprintf(out, " font ',15'\n");
    fprintf(out, "set bmargin at screen %.6f\nset tmargin at screen %.6f\n",
            (bottom + BOTTOM) / high, (bottom + HEIGHT - TOP) / high);
    fprintf(out, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\n", p->x0, p->x1, p->y0, p->y1);
    put_points(out, p, groups, types, has_group, has_type);
    if (p->gbs > 0) {
        name_slanted(out, p);
    }
    name_level(out, p);
    put_legend(out, groups, types, has_group, has_type);
    bool solid = put_lines(out, p, false), dashed = put_lines(out, p, true);
    fprintf(out,
            "plot %s%s$points using 1:2:3:4:5 with points pt variable ps variable "
            "lc rgb variable\n",
            solid ? "$solid using 1:2 with lines lc rgb '#444444' lw 1.6, " : "",
            dashed ? "$dashed using 1:2 with lines lc rgb '#444444' lw 1.6 dashtype (8,6), " : "");
}

void plot_script(FILE *out, const struct bench_row *rows, size_t n, const struct plot_panel *panels,
                 uint32_t n_panels)
{
    struct keys groups = {.n = 0}, types = {.n = 0};
    fprintf(out,
            "set terminal svg size %d,%u noenhanced font 'sans-serif,12' background "
            "rgb '#ffffff'\n"
            "unset key\nset multiplot\nset logscale xy\n"
            "set grid xtics ytics lc rgb '#dddddd'\nset border lc rgb '#888888'\n"
            "set tics textcolor rgb '#222222'\nset format xy '%%.10g'\n"
            "set xlabel 'arithmetic intensity, flop / byte'\nset ylabel 'GFLOP/s'\n"
            "set lmargin at screen %.6f\nset rmargin at screen %.6f\n",
            WIDTH, HEIGHT * n_panels, (double)LEFT / WIDTH, (double)(WIDTH - RIGHT) / WIDTH);
    for (uint32_t i = 0; i < n_panels; i++) {
        struct panel p = {
            .rows = rows, .n = n, .device = panels[i].device, .number = i, .of = n_panels};
        put_panel(out, &p, panels[i].name, &groups, &types);
    }
    fprintf(out, "unset multiplot\n");
}
