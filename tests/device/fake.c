/* Helpers of the fake tests; see fake.h. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint32_t words[] = {0x07230203, 0x00010500, 0, 1, 0};
static const uint8_t kinds[] = {DEV_BIND_STORAGE, DEV_BIND_STORAGE, DEV_BIND_STORAGE};
static const uint8_t texel_kinds[] = {DEV_BIND_TEXEL_UINT, DEV_BIND_TEXEL_FLOAT, DEV_BIND_STORAGE};
static const uint32_t ids[] = {0, 7}, defaults[] = {64, 1};

const struct dev_shader fake_shader = {.name = "plain",
                                       .words = words,
                                       .n_words = 5,
                                       .n_bindings = 3,
                                       .bind_kinds = kinds,
                                       .push_bytes = 4,
                                       .n_specs = 2,
                                       .spec_ids = ids,
                                       .spec_defaults = defaults};
const struct dev_shader fake_texel_shader = {.name = "texel",
                                             .words = words,
                                             .n_words = 5,
                                             .n_bindings = 3,
                                             .bind_kinds = texel_kinds,
                                             .push_bytes = 4};
const struct dev_shader fake_subgroup_shader = {.name = "subgroup",
                                                .words = words,
                                                .n_words = 5,
                                                .n_bindings = 3,
                                                .bind_kinds = kinds,
                                                .push_bytes = 4,
                                                .uses_subgroup = true};

static void keep(void *user, enum log_level level, const char *line)
{
    struct fake_fixture *f = user;
    f->errors += level == LOG_ERROR ? 1 : 0;
    size_t used = strlen(f->lines);
    snprintf(f->lines + used, sizeof f->lines - used, "%s\n", line);
}

void fake_init(struct fake_fixture *f, uint32_t n)
{
    memset(f, 0, sizeof *f);
    log_init(&f->log, keep, f, LOG_DEBUG);
    for (uint32_t i = 0; i < n; i++) {
        f->fake.gpus[i] = fake_vk_gpu(i);
    }
    f->fake.n_gpus = n;
    fake_vk_begin(&f->fake);
}

bool fake_open_instance(struct fake_fixture *f)
{
    f->inst = dev_instance_create(
        &(struct dev_instance_params){.log = &f->log, .get_proc = fake_vk_get_proc()});
    return f->inst != NULL;
}

void fake_finish(struct fake_fixture *f)
{
    dev_instance_destroy(f->inst);
    f->inst = NULL;
    assert_int_equal(fake_vk_end(), 0);
    log_finish(&f->log);
}

void fake_forget(struct fake_fixture *f)
{
    f->errors = 0;
    f->lines[0] = '\0';
}

struct dev *fake_open(struct fake_fixture *f, uint32_t index)
{
    struct dev *dev = dev_open(f->inst, &(struct dev_open_params){.index = index});
    assert_non_null(dev);
    return dev;
}

struct dev_buf *fake_buf(struct dev *dev, const char *name, uint64_t bytes, enum dev_mem mem)
{
    struct dev_buf *buf =
        dev_buf_create(dev, &(struct dev_buf_params){.name = name, .bytes = bytes, .mem = mem});
    assert_non_null(buf);
    return buf;
}

struct dev_kernel *fake_kernel(struct dev *dev, const struct dev_shader *shader)
{
    struct dev_kernel *kernel = dev_kernel_get(dev, &(struct dev_kernel_params){.shader = shader});
    assert_non_null(kernel);
    return kernel;
}

struct dev_dispatch fake_dispatch(struct dev_kernel *kernel, struct dev_bind a, struct dev_bind b,
                                  struct dev_bind c)
{
    static const uint32_t push = 3;
    return (struct dev_dispatch){.kernel = kernel,
                                 .n_binds = 3,
                                 .binds = {a, b, c},
                                 .push = &push,
                                 .push_bytes = 4,
                                 .groups = {4, 1, 1},
                                 .label = "test"};
}
