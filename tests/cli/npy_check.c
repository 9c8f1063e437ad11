/* Checks a file of `run --logits` against case I of the golden file: shape, the likeliest token and
 * logsumexp of every position, all logits of the last.  usage: npy_check FILE.npy GOLDEN.json I */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 128 };

static int fail(const char *what, size_t at, double got, double wanted)
{
    fprintf(stderr, "%s at %zu: %.9g, not %.9g\n", what, at, got, wanted);
    return 1;
}

static int check_row(const float *row, size_t cols, const json_t *golden, size_t i)
{
    size_t best = 0;
    double sum = 0;
    for (size_t k = 0; k < cols; k++) {
        best = row[k] > row[best] ? k : best;
    }
    for (size_t k = 0; k < cols; k++) {
        sum += exp((double)row[k] - (double)row[best]);
    }
    double lse = (double)row[best] + log(sum);
    double wanted = json_number_value(json_array_get(json_object_get(golden, "logsumexp"), i));
    json_int_t id = json_integer_value(json_array_get(json_object_get(golden, "argmax"), i));
    if (!(fabs(lse - wanted) < 0.02)) {
        return fail("logsumexp", i, lse, wanted);
    }
    return (json_int_t)best == id ? 0 : fail("likeliest token", i, (double)best, (double)id);
}

static int check(FILE *file, const json_t *golden)
{
    size_t rows = json_array_size(json_object_get(golden, "tokens"));
    const json_t *last = json_object_get(golden, "last_logits");
    size_t cols = json_array_size(last);
    char header[HEADER + 1] = "", shape[64];
    snprintf(shape, sizeof shape, "'shape': (%zu, %zu)", rows, cols);
    if (fread(header, 1, HEADER, file) != HEADER ||
        memcmp(header, "\x93NUMPY\x01\x00\x76\x00", 10) ||
        strstr(header + 10, "'descr': '<f4'") == NULL || header[HEADER - 1] != '\n' ||
        strstr(header + 10, "'fortran_order': False") == NULL ||
        strstr(header + 10, shape) == NULL) {
        fprintf(stderr, "header: %s, wanted %s\n", header + 10, shape);
        return 1;
    }
    float *row = calloc(cols, sizeof *row);
    int bad = row == NULL;
    for (size_t i = 0; i < rows && bad == 0; i++) {
        bad = fread(row, sizeof *row, cols, file) != cols ? fail("row", i, 0, (double)cols)
                                                          : check_row(row, cols, golden, i);
    }
    for (size_t k = 0; k < cols && bad == 0; k++) {
        double wanted = json_number_value(json_array_get(last, k));
        bad = fabs((double)row[k] - wanted) < 0.05 ? 0 : fail("logit", k, (double)row[k], wanted);
    }
    free(row);
    if (bad == 0 && fgetc(file) != EOF) {
        fprintf(stderr, "bytes after the last row\n");
        bad = 1;
    }
    return bad;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    json_t *golden = argc == 4 ? json_load_file(argv[2], 0, NULL) : NULL;
    json_t *one =
        golden != NULL ? json_array_get(golden, (size_t)strtoul(argv[3], NULL, 10)) : NULL;
    if (file == NULL || one == NULL) {
        fprintf(stderr, "usage: npy_check FILE.npy GOLDEN.json I\n");
        return 2;
    }
    int bad = check(file, one);
    fclose(file);
    json_decref(golden);
    return bad;
}
