/* Fixture of the driver tests; see driver.h. */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t add_words[] = {
#include "add_spv.h"
};
static const uint32_t texel_words[] = {
#include "texel_spv.h"
};
static const uint8_t add_kinds[] = {DEV_BIND_STORAGE, DEV_BIND_STORAGE, DEV_BIND_STORAGE};
static const uint8_t texel_kinds[] = {DEV_BIND_TEXEL_UINT, DEV_BIND_TEXEL_FLOAT, DEV_BIND_STORAGE};
static const uint32_t add_ids[] = {0, 1}, add_defaults[] = {64, 1};

const struct dev_shader driver_add = {.name = "add",
                                      .words = add_words,
                                      .n_words = sizeof add_words / 4,
                                      .n_bindings = 3,
                                      .bind_kinds = add_kinds,
                                      .push_bytes = 4,
                                      .n_specs = 2,
                                      .spec_ids = add_ids,
                                      .spec_defaults = add_defaults};
const struct dev_shader driver_texel = {.name = "texel",
                                        .words = texel_words,
                                        .n_words = sizeof texel_words / 4,
                                        .n_bindings = 3,
                                        .bind_kinds = texel_kinds,
                                        .push_bytes = 4};

static void print(void *user, enum log_level level, const char *line)
{
    struct fixture *f = user;
    f->errors += level == LOG_ERROR ? 1 : 0;
    fprintf(stderr, "%s: %s\n", level == LOG_ERROR ? "error" : "log", line);
}

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    log_init(&f->log, print, f, LOG_INFO);
    f->inst = dev_instance_create(&(struct dev_instance_params){.log = &f->log});
    if (f->inst == NULL) {
        bool absent =
            strstr(f->log.last, "was found") != NULL || strstr(f->log.last, "not found") != NULL;
        fprintf(stderr, "%s\n", absent ? "skipped" : "failed");
        exit(absent ? 77 : 1);
    }
}

void fixture_finish(struct fixture *f)
{
    assert_int_equal(dev_instance_messages(f->inst), 0);
    dev_instance_destroy(f->inst);
    log_finish(&f->log);
}

struct dev *fixture_open(struct fixture *f, uint32_t index, uint32_t caps_off)
{
    struct dev *dev = dev_open(
        f->inst, &(struct dev_open_params){.index = index, .caps_off = caps_off, .sharers = 4});
    assert_non_null(dev);
    return dev;
}

struct dev_buf *make_buf(struct dev *dev, const char *name, uint64_t bytes, enum dev_mem mem)
{
    struct dev_buf *buf =
        dev_buf_create(dev, &(struct dev_buf_params){.name = name, .bytes = bytes, .mem = mem});
    assert_non_null(buf);
    return buf;
}

struct dev_kernel *get_add(struct dev *dev, uint32_t scale)
{
    struct dev_kernel *kernel = dev_kernel_get(
        dev, &(struct dev_kernel_params){
                 .shader = &driver_add, .n_specs = 1, .specs = {{.id = 1, .value = scale}}});
    assert_non_null(kernel);
    return kernel;
}

struct dev_dispatch add_dispatch(struct dev_kernel *kernel, struct dev_buf *a, struct dev_buf *b,
                                 struct dev_buf *dst, const uint32_t *n)
{
    uint64_t bytes = (uint64_t)*n * 4;
    return (struct dev_dispatch){
        .kernel = kernel,
        .n_binds = 3,
        .binds = {{a, 0, bytes, DEV_READ}, {b, 0, bytes, DEV_READ}, {dst, 0, bytes, DEV_WRITE}},
        .push = n,
        .push_bytes = 4,
        .groups = {(*n + 63) / 64, 1, 1},
        .label = "add"};
}

void run_cmd(struct dev *dev, struct dev_cmd *cmd)
{
    uint64_t value = dev_submit(dev, cmd);
    assert_true(value != 0);
    assert_true(dev_wait(dev, value));
    assert_true(dev_poll(dev, value));
}
