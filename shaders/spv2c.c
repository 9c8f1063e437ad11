/* Build tool: SPIR-V -> C. For one op it reads every variant twice, a module with names (glslc -O0,
 * for reflection) and the module to embed, and writes
 *
 *     <op>.h  the push block as a struct with static asserts, binding numbers, spec ids, and the
 *             declarations of one `struct dev_shader` per variant
 *     <op>.c  those shaders, words included
 *
 * It fails when variants of an op disagree on the push block, on the number of a binding's name or
 * on a spec id, and when a push block is over 128 bytes or holds more than scalars, vectors and
 * arrays of scalars. A binding is named after its variable, or its block where that has no name.
 *
 *     spv2c OP OUT.h OUT.c VARIANT NAMES.spv EMBED.spv [VARIANT NAMES.spv EMBED.spv ...] */
#include "base/hash.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MEMBERS = 32, MAX_BINDINGS = 16, MAX_SPECS = 24, MAX_PUSH = 128, NAME = 64 };

enum { /* SPIR-V numbers, unified specification 1.6 */
       OP_NAME = 5,
       OP_MEMBER_NAME = 6,
       OP_CAPABILITY = 17,
       OP_TYPE_INT = 21,
       OP_TYPE_FLOAT = 22,
       OP_TYPE_VECTOR = 23,
       OP_TYPE_IMAGE = 25,
       OP_TYPE_SAMPLED_IMAGE = 27,
       OP_TYPE_ARRAY = 28,
       OP_TYPE_STRUCT = 30,
       OP_TYPE_POINTER = 32,
       OP_CONSTANT = 43,
       OP_SPEC_TRUE = 48,
       OP_SPEC_FALSE = 49,
       OP_SPEC_CONSTANT = 50,
       OP_VARIABLE = 59,
       OP_DECORATE = 71,
       OP_MEMBER_DECORATE = 72,
       DECORATION_SPEC_ID = 1,
       DECORATION_ARRAY_STRIDE = 6,
       DECORATION_BINDING = 33,
       DECORATION_OFFSET = 35,
       STORAGE_UNIFORM_CONSTANT = 0,
       STORAGE_UNIFORM = 2,
       STORAGE_PUSH = 9,
       STORAGE_BUFFER = 12,
       CAP_SUBGROUP_VOTE = 62,
       CAP_SUBGROUP_LAST = 68,
};

struct id {                         /* what is known of a result id */
    uint32_t op, words[8], n_words; /* of its defining instruction, without the first word */
    char name[NAME];
    uint32_t binding, spec_id, stride;
    bool has_binding, has_spec;
    char member[MAX_MEMBERS][NAME];
    uint32_t offset[MAX_MEMBERS], members[MAX_MEMBERS], n_members;
};

struct member {
    char name[NAME];
    char type; /* 'u' 'i' 'f' */
    uint32_t count, offset;
};
struct binding {
    char name[NAME];
    uint32_t number;
    int kind; /* 0 storage, 1 texel uint, 2 texel float */
};
struct spec {
    char name[NAME];
    uint32_t id, value;
};
struct variant {
    const char *name;
    struct member push[MAX_MEMBERS];
    uint32_t n_push, push_bytes;
    struct binding bindings[MAX_BINDINGS];
    uint32_t n_bindings;
    struct spec specs[MAX_SPECS];
    uint32_t n_specs;
    bool subgroup;
    uint32_t *words;
    size_t n_words;
};

static const char *current = "";

static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "spv2c: %s: ", current);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static uint32_t *read_words(const char *path, size_t *count)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0) {
        die("cannot read %s", path);
    }
    long bytes = ftell(in);
    rewind(in);
    if (bytes < 20 || bytes % 4 != 0) {
        die("%s: %ld bytes are no SPIR-V module", path, bytes);
    }
    uint32_t *words = malloc((size_t)bytes);
    if (words == NULL || fread(words, 1, (size_t)bytes, in) != (size_t)bytes) {
        die("cannot read %s", path);
    }
    fclose(in);
    if (words[0] != 0x07230203) {
        die("%s: not a SPIR-V module", path);
    }
    *count = (size_t)bytes / 4;
    return words;
}

static void copy_name(char *out, const uint32_t *words, uint32_t n)
{
    size_t bytes = (size_t)n * 4 < NAME - 1 ? (size_t)n * 4 : NAME - 1;
    memcpy(out, words, bytes);
    out[bytes] = '\0';
}

static struct id *get_id(struct id *ids, uint32_t bound, uint32_t id)
{
    if (id >= bound) {
        die("id %u is out of range", id);
    }
    return &ids[id];
}

static void note_decoration(struct id *id, uint32_t op, const uint32_t *w)
{
    if (op == OP_MEMBER_DECORATE) {
        if (w[1] < MAX_MEMBERS && w[2] == DECORATION_OFFSET) {
            id->offset[w[1]] = w[3];
        }
    } else if (w[1] == DECORATION_BINDING) {
        id->binding = w[2];
        id->has_binding = true;
    } else if (w[1] == DECORATION_SPEC_ID) {
        id->spec_id = w[2];
        id->has_spec = true;
    } else if (w[1] == DECORATION_ARRAY_STRIDE) {
        id->stride = w[2];
    }
}

static void note(struct id *ids, uint32_t bound, uint32_t op, const uint32_t *w, uint32_t n,
                 bool *subgroup)
{
    struct id *id;
    switch (op) {
    case OP_CAPABILITY:
        *subgroup = *subgroup || (w[0] >= CAP_SUBGROUP_VOTE && w[0] <= CAP_SUBGROUP_LAST);
        break;
    case OP_NAME:
        copy_name(get_id(ids, bound, w[0])->name, w + 1, n - 1);
        break;
    case OP_MEMBER_NAME:
        id = get_id(ids, bound, w[0]);
        if (w[1] < MAX_MEMBERS) {
            copy_name(id->member[w[1]], w + 2, n - 2);
        }
        break;
    case OP_DECORATE:
    case OP_MEMBER_DECORATE:
        note_decoration(get_id(ids, bound, w[0]), op, w);
        break;
    case OP_TYPE_STRUCT:
        id = get_id(ids, bound, w[0]);
        id->op = op;
        id->n_members = n - 1 < MAX_MEMBERS ? n - 1 : MAX_MEMBERS + 1;
        memcpy(id->members, w + 1, (n - 1 < MAX_MEMBERS ? n - 1 : 0) * sizeof *w);
        break;
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
    case OP_TYPE_VECTOR:
    case OP_TYPE_IMAGE:
    case OP_TYPE_SAMPLED_IMAGE:
    case OP_TYPE_ARRAY:
    case OP_TYPE_POINTER:
        id = get_id(ids, bound, w[0]);
        id->op = op;
        id->n_words = n < 8 ? n : 8;
        memcpy(id->words, w, id->n_words * sizeof *w);
        break;
    case OP_CONSTANT:
    case OP_SPEC_TRUE:
    case OP_SPEC_FALSE:
    case OP_SPEC_CONSTANT:
    case OP_VARIABLE:
        id = get_id(ids, bound, w[1]);
        id->op = op;
        id->n_words = n < 8 ? n : 8;
        memcpy(id->words, w, id->n_words * sizeof *w);
        break;
    default:
        break;
    }
}

static void add_member(struct variant *v, const struct id *ids, uint32_t bound,
                       const struct id *block, uint32_t i)
{
    struct member *m = &v->push[v->n_push++];
    uint32_t count = 1, t = block->members[i];
    snprintf(m->name, NAME, "%s", block->member[i]);
    m->offset = block->offset[i];
    if (t < bound && ids[t].op == OP_TYPE_ARRAY) {
        uint32_t length = ids[t].words[2];
        if (ids[t].stride != 4 || length >= bound || ids[length].op != OP_CONSTANT) {
            die("push constant %s: arrays must be of 4-byte scalars", m->name);
        }
        count = ids[length].words[2];
        t = ids[t].words[1];
    } else if (t < bound && ids[t].op == OP_TYPE_VECTOR) {
        count = ids[t].words[2];
        t = ids[t].words[1];
    }
    if (t >= bound || (ids[t].op != OP_TYPE_INT && ids[t].op != OP_TYPE_FLOAT) ||
        ids[t].words[1] != 32) {
        die("push constant %s: only 32-bit scalars, vectors and arrays of scalars", m->name);
    }
    m->type = ids[t].op == OP_TYPE_FLOAT ? 'f' : ids[t].words[2] != 0 ? 'i' : 'u';
    m->count = count;
    uint32_t end = m->offset + 4 * count;
    v->push_bytes = end > v->push_bytes ? end : v->push_bytes;
    if (v->push_bytes > MAX_PUSH) {
        die("the push block has %u bytes, at most %d are guaranteed", v->push_bytes, MAX_PUSH);
    }
}

static void add_binding(struct variant *v, const struct id *ids, uint32_t bound,
                        const struct id *var)
{
    if (v->n_bindings == MAX_BINDINGS) {
        die("more than %d bindings", MAX_BINDINGS);
    }
    const struct id *pointer = &ids[var->words[0] < bound ? var->words[0] : 0];
    const struct id *type = &ids[pointer->words[2] < bound ? pointer->words[2] : 0];
    struct binding *b = &v->bindings[v->n_bindings++];
    snprintf(b->name, NAME, "%s", var->name[0] != '\0' ? var->name : type->name);
    b->number = var->binding;
    if (type->op == OP_TYPE_SAMPLED_IMAGE) {
        const struct id *image = &ids[type->words[1]];
        b->kind = ids[image->words[1]].op == OP_TYPE_FLOAT ? 2 : 1;
    } else if (type->op != OP_TYPE_STRUCT) {
        die("binding %s: neither a storage buffer nor a texel buffer", b->name);
    }
}

static void reflect(struct variant *v, const char *path)
{
    size_t count;
    uint32_t *words = read_words(path, &count), bound = words[3];
    if (bound > 1u << 22) {
        die("%s: too many ids", path);
    }
    struct id *ids = calloc(bound + 1, sizeof *ids);
    if (ids == NULL) {
        die("out of memory");
    }
    for (size_t i = 5; i < count;) {
        uint32_t n = words[i] >> 16;
        if (n == 0 || n > count - i) {
            die("%s: damaged at word %zu", path, i);
        }
        note(ids, bound, words[i] & 0xffff, words + i + 1, n - 1, &v->subgroup);
        i += n;
    }
    for (uint32_t i = 0; i < bound; i++) {
        const struct id *id = &ids[i];
        if (id->has_spec) {
            if (v->n_specs == MAX_SPECS) {
                die("more than %d specialization constants", MAX_SPECS);
            }
            struct spec *s = &v->specs[v->n_specs++];
            /* local_size_x_id and its sisters have no name */
            snprintf(s->name, NAME, "%s", id->name[0] != '\0' ? id->name : "local_size");
            s->id = id->spec_id;
            s->value = id->op == OP_SPEC_TRUE ? 1 : id->op == OP_SPEC_FALSE ? 0 : id->words[2];
        }
        if (id->op != OP_VARIABLE) {
            continue;
        }
        if (id->words[2] == STORAGE_PUSH) {
            const struct id *block = &ids[ids[id->words[0]].words[2]];
            if (block->n_members > MAX_MEMBERS) {
                die("more than %d push constants", MAX_MEMBERS);
            }
            for (uint32_t m = 0; m < block->n_members; m++) {
                add_member(v, ids, bound, block, m);
            }
        } else if (id->has_binding) {
            add_binding(v, ids, bound, id);
        }
    }
    free(ids);
    free(words);
}

static void check_agree(const struct variant *a, const struct variant *b)
{
    bool same = a->n_push == b->n_push;
    for (uint32_t i = 0; i < a->n_push && same; i++) {
        same = strcmp(a->push[i].name, b->push[i].name) == 0 &&
               a->push[i].type == b->push[i].type && a->push[i].count == b->push[i].count &&
               a->push[i].offset == b->push[i].offset;
    }
    if (!same) {
        die("variants %s and %s disagree on the push block", a->name, b->name);
    }
    for (uint32_t i = 0; i < a->n_bindings; i++) {
        for (uint32_t k = 0; k < b->n_bindings; k++) {
            if (strcmp(a->bindings[i].name, b->bindings[k].name) == 0 &&
                a->bindings[i].number != b->bindings[k].number) {
                die("variants %s and %s number binding %s differently", a->name, b->name,
                    a->bindings[i].name);
            }
        }
    }
    for (uint32_t i = 0; i < a->n_specs; i++) {
        for (uint32_t k = 0; k < b->n_specs; k++) {
            if (strcmp(a->specs[i].name, b->specs[k].name) == 0 &&
                a->specs[i].id != b->specs[k].id) {
                die("variants %s and %s number spec constant %s differently", a->name, b->name,
                    a->specs[i].name);
            }
        }
    }
}

static void put_upper(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        fputc(isalnum((unsigned char)*text) ? toupper((unsigned char)*text) : '_', out);
    }
}

static void put_number(FILE *out, const char *op, const char *what, const char *name,
                       uint32_t value)
{
    fprintf(out, "#define ");
    put_upper(out, op);
    fprintf(out, "_%s_", what);
    put_upper(out, name);
    fprintf(out, " %u\n", value);
}

static bool seen_before(const struct variant *v, uint32_t n, const char *name, bool spec)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < (spec ? v[i].n_specs : v[i].n_bindings); k++) {
            if (strcmp(spec ? v[i].specs[k].name : v[i].bindings[k].name, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void put_push(FILE *out, const char *op, const struct variant *v)
{
    uint32_t at = 0, pad = 0;
    if (v->n_push == 0) {
        return;
    }
    fprintf(out, "\nstruct %s_push {\n", op);
    for (uint32_t i = 0; i < v->n_push; i++) {
        const struct member *m = &v->push[i];
        if (m->offset > at) {
            fprintf(out, "    uint32_t pad%u[%u];\n", pad++, (m->offset - at) / 4);
        }
        fprintf(out, "    %s %s",
                m->type == 'f'   ? "float"
                : m->type == 'i' ? "int32_t"
                                 : "uint32_t",
                m->name);
        fprintf(out, m->count > 1 ? "[%u];\n" : ";\n", m->count);
        at = m->offset + 4 * m->count;
    }
    fprintf(out, "};\n_Static_assert(sizeof(struct %s_push) == %u, \"push block\");\n", op,
            v->push_bytes);
    for (uint32_t i = 0; i < v->n_push; i++) {
        fprintf(out, "_Static_assert(offsetof(struct %s_push, %s) == %u, \"push block\");\n", op,
                v->push[i].name, v->push[i].offset);
    }
}

static void write_header(const char *path, const char *op, const struct variant *v, uint32_t n)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        die("cannot write %s", path);
    }
    fprintf(out, "/* Generated by spv2c from the shaders of op %s. */\n#ifndef QUADRIGA_GEN_", op);
    put_upper(out, op);
    fprintf(out, "_H\n#define QUADRIGA_GEN_");
    put_upper(out, op);
    fprintf(out, "_H\n\n#include \"device/device.h\"\n\n#include <stddef.h>\n");
    put_push(out, op, &v[0]);
    fprintf(out, "\n");
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < v[i].n_bindings; k++) {
            if (!seen_before(v, i, v[i].bindings[k].name, false)) {
                put_number(out, op, "BIND", v[i].bindings[k].name, v[i].bindings[k].number);
            }
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < v[i].n_specs; k++) {
            if (!seen_before(v, i, v[i].specs[k].name, true)) {
                put_number(out, op, "SPEC", v[i].specs[k].name, v[i].specs[k].id);
            }
        }
    }
    fprintf(out, "\n");
    for (uint32_t i = 0; i < n; i++) {
        fprintf(out, "extern const struct dev_shader shader_%s;\n", v[i].name);
    }
    fprintf(out, "\n#endif\n");
    if (fclose(out) != 0) {
        die("cannot write %s", path);
    }
}

static void write_variant(FILE *out, const struct variant *v)
{
    uint32_t count = 0;
    uint8_t kinds[MAX_BINDINGS] = {0};
    for (uint32_t i = 0; i < v->n_bindings; i++) {
        uint32_t number = v->bindings[i].number;
        if (number >= MAX_BINDINGS) {
            die("binding %s: number %u", v->bindings[i].name, number);
        }
        kinds[number] = (uint8_t)v->bindings[i].kind;
        count = number + 1 > count ? number + 1 : count;
    }
    fprintf(out, "\nstatic const uint32_t words_%s[] = {", v->name);
    for (size_t i = 0; i < v->n_words; i++) {
        fprintf(out, "%s0x%x,", i % 12 == 0 ? "\n    " : " ", v->words[i]);
    }
    fprintf(out, "\n};\nstatic const uint8_t kinds_%s[] = {", v->name);
    for (uint32_t i = 0; i < count || i == 0; i++) {
        fprintf(out, "%u,", kinds[i]);
    }
    fprintf(out, "};\nstatic const uint32_t spec_ids_%s[] = {", v->name);
    for (uint32_t i = 0; i < v->n_specs || i == 0; i++) {
        fprintf(out, "%u,", i < v->n_specs ? v->specs[i].id : 0);
    }
    fprintf(out, "};\nstatic const uint32_t spec_values_%s[] = {", v->name);
    for (uint32_t i = 0; i < v->n_specs || i == 0; i++) {
        fprintf(out, "%uu,", i < v->n_specs ? v->specs[i].value : 0);
    }
    fprintf(
        out,
        "};\nconst struct dev_shader shader_%s = {\n    .name = \"%s\",\n    .words = words_%s,\n"
        "    .n_words = %zu,\n    .n_bindings = %u,\n    .bind_kinds = kinds_%s,\n"
        "    .push_bytes = %u,\n    .n_specs = %u,\n    .spec_ids = spec_ids_%s,\n"
        "    .spec_defaults = spec_values_%s,\n    .uses_subgroup = %s,\n"
        "    .hash = 0x%016" PRIx64 "u,\n};\n",
        v->name, v->name, v->name, v->n_words, count, v->name, v->push_bytes, v->n_specs, v->name,
        v->name, v->subgroup ? "true" : "false",
        hash_bytes(HASH_SEED, v->words, v->n_words * sizeof *v->words));
}

int main(int argc, char **argv)
{
    if (argc < 7 || (argc - 4) % 3 != 0) {
        fprintf(stderr, "usage: spv2c OP OUT.h OUT.c (VARIANT NAMES.spv EMBED.spv)...\n");
        return 2;
    }
    uint32_t n = (uint32_t)(argc - 4) / 3;
    struct variant *v = calloc(n, sizeof *v);
    if (v == NULL) {
        die("out of memory");
    }
    for (uint32_t i = 0; i < n; i++) {
        char **arg = argv + 4 + 3 * i;
        current = v[i].name = arg[0];
        reflect(&v[i], arg[1]);
        v[i].words = read_words(arg[2], &v[i].n_words);
        for (uint32_t k = 0; k < i; k++) {
            check_agree(&v[k], &v[i]);
        }
    }
    write_header(argv[2], argv[1], v, n);
    const char *slash = strrchr(argv[2], '/');
    FILE *out = fopen(argv[3], "w");
    if (out == NULL) {
        die("cannot write %s", argv[3]);
    }
    fprintf(out, "/* Generated by spv2c. */\n#include \"gen/%s\"\n",
            slash != NULL ? slash + 1 : argv[2]);
    for (uint32_t i = 0; i < n; i++) {
        write_variant(out, &v[i]);
        free(v[i].words);
    }
    free(v);
    return fclose(out) == 0 ? 0 : 1;
}
