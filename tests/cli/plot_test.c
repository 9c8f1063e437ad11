/* Rooflines of made-up rows: plot_test FOLDER writes and looks at FOLDER/roofline.svg; what must be
 * refused is. Exit 77 where gnuplot is not installed. The same rows make the picture to look at. */
#include "cli/plot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TYPES = 5, SHAPES = 10, ROWS = 400, PANELS = 2 };

static struct bench_row rows[ROWS];
static uint32_t n_rows, n_points;
static char svg[1024];

static struct bench_row *add(const char *group, const char *name, uint32_t device)
{
    struct bench_row *r = &rows[n_rows++];
    *r = (struct bench_row){.device = device, .peer = BENCH_NONE, .samples = 9, .passed = true};
    snprintf(r->group, sizeof r->group, "%s", group);
    snprintf(r->name, sizeof r->name, "%s", name);
    return r;
}

static void add_kernel(const char *group, const char *type, uint32_t device, double flop,
                       double bytes, double gflops)
{
    struct bench_row *r = add(group, "matmul", device);
    snprintf(r->type, sizeof r->type, "%s", type);
    r->flop = flop;
    r->bytes = bytes;
    r->us = flop / gflops / 1e3;
    n_points++;
}

/* A GPU of 4.2 TB/s, and a processor. */
static void make_rows(void)
{
    static const char *const types[TYPES] = {"f32", "f16", "q8_0", "q4_k", "q6_k"};
    static const double type_bytes[TYPES] = {4, 2, 1.0625, 0.5625, 0.82};
    static const double peaks[PANELS][4] = {{55e3, 110e3, 210e3, 800e3}, {90, 95, 180, 0}};
    static const double gbs[PANELS] = {4200, 18};
    static const char *const peak_names[4] = {"fma_f32", "fma_f16", "int_dot", "coopmat"};
    n_rows = n_points = 0;
    for (uint32_t d = 0; d < PANELS; d++) {
        add("ceiling", "read", d)->gbs = gbs[d];
        add("ceiling", "copy", d)->gbs = gbs[d] * 0.85;
        for (int i = 0; i < 4 && peaks[d][i] > 0; i++) {
            add("ceiling", peak_names[i], d)->gflops = peaks[d][i];
        }
        for (int t = 0; t < TYPES; t++) {
            for (int s = 0; s < SHAPES; s++) {
                double n = s < 4 ? 1 : pow(2, s), size = s % 2 != 0 ? 4096 : 8192;
                double flop = 2 * n * size * size,
                       bytes = size * size * type_bytes[t] + n * size * 8;
                double roof = fmin(gbs[d] * flop / bytes, peaks[d][0]);
                add_kernel(n > 1 ? "gemm" : "gemv", types[t], d, flop, bytes,
                           roof * (0.35 + 0.06 * ((s * 7 + t * 3) % 10)));
            }
        }
        for (int s = 0; s < 5; s++) {
            double n = pow(4, s) * 4096;
            add_kernel("norm", "", d, 4 * n, 8 * n, gbs[d] * 0.5 * (0.2 + 0.15 * s));
            add_kernel("rope", "", d, 6 * n, 8 * n, gbs[d] * 0.75 * (0.15 + 0.15 * s));
            add_kernel("attention", s % 2 != 0 ? "f16" : "f32", d, 256 * n, 64 * n,
                       fmin(gbs[d] * 4, peaks[d][0]) * (0.2 + 0.1 * s));
        }
    }
    /* no points: moves bytes only, failed, skipped, another group of rows, a failed ceiling */
    struct bench_row *copy = add("copy", "rows", 0);
    copy->bytes = 1e6;
    copy->us = 1;
    add_kernel("gemm", "f16", 0, 1e9, 1e6, 1000);
    rows[n_rows - 1].passed = false;
    n_points--;
    add("exchange", "hop", 3)->us = 20;
    struct bench_row *ceiling = add("ceiling", "broken", 0);
    ceiling->gflops = 1e9;
    ceiling->passed = false;
}

static char *read_svg(void)
{
    FILE *file = fopen(svg, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 22);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 22) - 1, file);
    assert_true(n > 0 && n < (1 << 22) - 1);
    assert_int_equal(fclose(file), 0);
    return text;
}

static uint32_t count(const char *text, const char *what)
{
    uint32_t n = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

/* Every element that begins ends, in order; entities are the five of XML; no control characters. */
static void check_xml(const char *text)
{
    const char *open[64];
    size_t lengths[64], depth = 0;
    for (const char *c = text; *c != '\0'; c++) {
        assert_true((unsigned char)*c >= 0x20 || *c == '\n' || *c == '\t');
        if (*c == '&') {
            assert_true(strncmp(c, "&amp;", 5) == 0 || strncmp(c, "&lt;", 4) == 0 ||
                        strncmp(c, "&gt;", 4) == 0 || strncmp(c, "&quot;", 6) == 0 ||
                        strncmp(c, "&apos;", 6) == 0 || strncmp(c, "&#", 2) == 0);
        }
        if (*c != '<') {
            continue;
        }
        const char *end = strncmp(c, "<!--", 4) == 0 ? strstr(c, "-->") : strchr(c, '>');
        if (strncmp(c, "<![CDATA[", 9) == 0) {
            end = strstr(c, "]]>");
        }
        assert_non_null(end);
        if (c[1] == '/') {
            assert_true(depth > 0);
            depth--;
            assert_int_equal(strncmp(c + 2, open[depth], lengths[depth]), 0);
            assert_true(c[2 + lengths[depth]] == '>');
        } else if (c[1] != '?' && c[1] != '!' && end[-1] != '/') {
            assert_true(depth < 64);
            open[depth] = c + 1;
            lengths[depth++] = strcspn(c + 1, " \t\n>");
        }
        c = end;
    }
    assert_int_equal(depth, 0);
}

static void draws(void **state)
{
    (void)state;
    make_rows();
    assert_true(n_points > 100);
    unlink(svg);
    assert_true(cli_plot_ready(svg));
    assert_int_equal(access(svg, F_OK), -1);
    assert_true(cli_plot_roofline(svg, rows, n_rows, NULL));
    char *text = read_svg();
    check_xml(text);
    assert_int_equal(count(text, "<text>device "), PANELS);
    assert_int_equal(count(text, "device 0<"), 1);
    assert_int_equal(count(text, "device 1<"), 1);
    /* a symbol for each point, and in each legend 5 groups, 6 types with "no type", 3 sizes */
    assert_int_equal(count(text, " scale("), n_points + PANELS * (5 + 6 + 3));
    static const char *const once[] = {"fma_f32 55 TFLOP/s", "coopmat 800 TFLOP/s",
                                       "fma_f16 95 GFLOP/s", "read 4200 GB/s", "copy 15.3 GB/s"};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        assert_int_equal(count(text, once[i]), 1);
    }
    assert_int_equal(count(text, "broken"), 0);
    static const char *const legend[] = {">gemm<", ">gemv<", ">attention<", ">norm<",
                                         ">rope<", ">q4_k<", ">no type<"};
    for (size_t i = 0; i < sizeof legend / sizeof *legend; i++) {
        assert_int_equal(count(text, legend[i]), PANELS);
    }
    free(text);
}

/* Names from drivers may hold anything. */
static void escapes_names(void **state)
{
    (void)state;
    static const char nasty[] = "a'b \"c\" <d> &e; \\n `date` $f @g {h}_i^j %k\n\x01\xff";
    struct plot_panel panel = {.device = 0};
    memcpy(panel.name, nasty, sizeof nasty);
    char command[2400];
    snprintf(command, sizeof command, "%s.gp", svg);
    FILE *script = fopen(command, "w");
    assert_non_null(script);
    plot_script(script, rows, n_rows, &panel, 1);
    assert_int_equal(fclose(script), 0);
    snprintf(command, sizeof command, "gnuplot -d '%s.gp' >'%s'", svg, svg);
    assert_int_equal(system(command), 0);
    char *text = read_svg();
    check_xml(text);
    assert_non_null(strstr(text, "device 0: a'b \"c\" &lt;d"));
    assert_non_null(strstr(text, "&amp;e; \\n `date` $f @g {h}_i^j %k??"
                                 "?<"));
    free(text);
}

static void without_ceilings(void **state)
{
    (void)state;
    n_rows = n_points = 0;
    add_kernel("gemm", "f16", 2, 1e9, 1e6, 1000);
    assert_true(cli_plot_roofline(svg, rows, n_rows, NULL));
    char *text = read_svg();
    check_xml(text);
    assert_int_equal(count(text, " scale("), 1 + 1 + 1 + 3);
    assert_int_equal(count(text, "device 2<"), 1);
    free(text);
}

/* Runs with standard error in a file; the one line it says. */
static void says(bool ready, const char *path, const char *wanted)
{
    char said[600] = "", name[1200];
    snprintf(name, sizeof name, "%s.err", svg);
    fflush(stderr);
    int keep = dup(2);
    assert_true(keep >= 0 && freopen(name, "w", stderr) != NULL);
    bool ok = ready ? cli_plot_ready(path) : cli_plot_roofline(path, rows, n_rows, NULL);
    fflush(stderr);
    assert_true(dup2(keep, 2) == 2);
    close(keep);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t n = fread(said, 1, sizeof said - 1, file);
    assert_int_equal(fclose(file), 0);
    said[n] = '\0';
    assert_false(ok);
    assert_string_equal(said, wanted);
}

/* Last: it leaves a PATH without gnuplot. */
static void refuses(void **state)
{
    (void)state;
    make_rows();
    says(false, "no/such/folder.svg",
         "quadriga: no/such/folder.svg: cannot write: No such file or directory\n");
    says(true, "no/such/folder.svg",
         "quadriga: no/such/folder.svg: cannot write: No such file or directory\n");
    says(false, "/dev/full", "quadriga: /dev/full: cannot write: No space left on device\n");
    n_rows = 3; /* ceilings */
    says(false, "x.svg",
         "quadriga: x.svg: nothing to draw: no kernel that computes was measured\n");
    assert_int_equal(access("x.svg", F_OK), -1);
    make_rows();
    assert_int_equal(setenv("PATH", "no/such/folder", 1), 0);
    says(false, svg, "quadriga: gnuplot was not found: install the package gnuplot-nox\n");
    says(true, svg, "quadriga: gnuplot was not found: install the package gnuplot-nox\n");
    /* one that fails */
    char folder[1100], program[1200];
    snprintf(folder, sizeof folder, "%s.bin", svg);
    snprintf(program, sizeof program, "%s/gnuplot", folder);
    mkdir(folder, 0777);
    FILE *file = fopen(program, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho 'set logscale' >&2\necho '   ^' >&2\n"
                  "echo 'line 3: it is broken' >&2\nexit 1\n");
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(program, 0755), 0);
    assert_int_equal(setenv("PATH", folder, 1), 0);
    says(false, svg, "quadriga: gnuplot failed: line 3: it is broken\n");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    if (system("gnuplot --version >/dev/null 2>&1") != 0) {
        printf("skipped: gnuplot is not installed\n");
        return 77;
    }
    mkdir(argv[1], 0777);
    snprintf(svg, sizeof svg, "%s/roofline.svg", argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_ceilings),
        cmocka_unit_test(draws),
        cmocka_unit_test(escapes_names),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
