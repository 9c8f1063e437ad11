/* A small vocabulary made in memory, SPM or BPE, with knobs to break it: what the text tests share.
 */
#ifndef QUADRIGA_TESTS_TEXT_TOY_H
#define QUADRIGA_TESTS_TEXT_TOY_H

#include "text/text.h"

#include "base/mem.h"
#include "gguf/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TOY_MAX = 4096, TOY_NORMAL = 1, TOY_UNKNOWN, TOY_CONTROL, TOY_USER, TOY_UNUSED, TOY_BYTE };

struct toy {
    struct gguf_str texts[TOY_MAX];
    float scores[TOY_MAX];
    int32_t types[TOY_MAX];
    uint32_t count;
    char bytes[256][8];
    struct gguf_str merges[TOY_MAX]; /* BPE */
    uint32_t n_merges;
    bool no_merges;     /* no such key */
    char pool[1 << 16]; /* texts made by toy_text */
    size_t pool_used;
    const char *model, *pre, *name;       /* NULL: no such key */
    uint32_t n_scores, n_types;           /* entries written; as `count` after toy_init */
    bool no_texts, no_scores, no_types;   /* no such key */
    bool no_ids;                          /* no bos, eos, unknown ids and no add_bos_token */
    void (*extra)(struct gguf_writer *w); /* further keys */
    struct log log;
    uint32_t n_errors;
};

static inline void toy_log(void *user, enum log_level level, const char *line)
{
    struct toy *toy = user;
    (void)line;
    toy->n_errors += level == LOG_ERROR;
}

static inline uint32_t toy_add_bytes(struct toy *toy, const char *text, size_t n, float score,
                                     int32_t type)
{
    assert_true(toy->count < TOY_MAX);
    toy->texts[toy->count] = (struct gguf_str){.text = text, .bytes = n};
    toy->scores[toy->count] = score;
    toy->types[toy->count] = type;
    toy->n_scores++;
    toy->n_types++;
    return toy->count++;
}

/* `text` must live as long as the toy. */
static inline uint32_t toy_add(struct toy *toy, const char *text, float score, int32_t type)
{
    return toy_add_bytes(toy, text, strlen(text), score, type);
}

/* <unk> <s> </s>, with `bytes` the 256 byte tokens (ids 3 to 258). Free with toy_finish. */
static inline struct toy *toy_create(bool bytes)
{
    struct toy *toy = mem_alloc(1, sizeof *toy);
    assert_non_null(toy);
    toy->model = "llama";
    toy->pre = "default";
    log_init(&toy->log, toy_log, toy, LOG_DEBUG);
    toy_add(toy, "<unk>", 0, TOY_UNKNOWN);
    toy_add(toy, "<s>", 0, TOY_CONTROL);
    toy_add(toy, "</s>", 0, TOY_CONTROL);
    for (int i = 0; bytes && i < 256; i++) {
        const char *digits = "0123456789ABCDEF";
        memcpy(toy->bytes[i], "<0x00>", 7);
        toy->bytes[i][3] = digits[i >> 4];
        toy->bytes[i][4] = digits[i & 15];
        toy_add(toy, toy->bytes[i], 0, TOY_BYTE);
    }
    return toy;
}

/* A text that lives as long as the toy. */
static inline const char *toy_text(struct toy *toy, const char *a, const char *b, const char *c)
{
    char *text = toy->pool + toy->pool_used;
    size_t room = sizeof toy->pool - toy->pool_used;
    int n = snprintf(text, room, "%s%s%s", a, b, c);
    assert_true(n >= 0 && (size_t)n < room);
    toy->pool_used += (size_t)n + 1;
    return text;
}

/* Byte-level BPE: ids 0 to 255 are the bytes, 256 is <|endoftext|>, which is BOS and EOS. */
static inline struct toy *toy_create_bpe(const char *pre)
{
    struct toy *toy = toy_create(false);
    uint32_t code = 256;
    toy->model = "gpt2";
    toy->pre = pre;
    toy->count = toy->n_scores = toy->n_types = 0;
    toy->no_scores = true;
    for (uint32_t i = 0; i < 256; i++) {
        bool plain = (i > 32 && i < 127) || (i > 160 && i != 173);
        uint32_t c = plain ? i : code++;
        if (c < 128) {
            toy->bytes[i][0] = (char)c;
        } else {
            toy->bytes[i][0] = (char)(0xc0 | c >> 6);
            toy->bytes[i][1] = (char)(0x80 | (c & 63));
        }
        toy_add(toy, toy->bytes[i], 0, TOY_NORMAL);
    }
    toy_add(toy, "<|endoftext|>", 0, TOY_CONTROL);
    return toy;
}

static inline void toy_add_line(struct toy *toy, const char *line)
{
    assert_true(toy->n_merges < TOY_MAX);
    toy->merges[toy->n_merges++] = (struct gguf_str){.text = line, .bytes = strlen(line)};
}

/* The token that these two merge into, a new one. */
static inline uint32_t toy_merge(struct toy *toy, uint32_t left, uint32_t right)
{
    const char *l = toy->texts[left].text, *r = toy->texts[right].text;
    toy_add_line(toy, toy_text(toy, l, " ", r));
    return toy_add(toy, toy_text(toy, l, r, ""), 0, TOY_NORMAL);
}

static inline void toy_finish(struct toy *toy)
{
    log_finish(&toy->log);
    mem_free(toy);
}

/* The toy's file: free with mem_free. */
static inline uint8_t *toy_build(const struct toy *toy, size_t *bytes)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_add_str(&w, "general.architecture", "llama");
    if (toy->name != NULL) {
        gguf_writer_add_str(&w, "general.name", toy->name);
    }
    if (toy->model != NULL) {
        gguf_writer_add_str(&w, "tokenizer.ggml.model", toy->model);
    }
    if (toy->pre != NULL) {
        gguf_writer_add_str(&w, "tokenizer.ggml.pre", toy->pre);
    }
    if (!toy->no_texts) {
        gguf_writer_add_strs(&w, "tokenizer.ggml.tokens", toy->texts, toy->count);
    }
    if (!toy->no_scores) {
        gguf_writer_add_array(&w, "tokenizer.ggml.scores", GGUF_F32, toy->scores, toy->n_scores);
    }
    if (!toy->no_types) {
        gguf_writer_add_array(&w, "tokenizer.ggml.token_type", GGUF_I32, toy->types, toy->n_types);
    }
    if (toy->model != NULL && strcmp(toy->model, "gpt2") == 0) {
        if (!toy->no_merges) {
            gguf_writer_add_strs(&w, "tokenizer.ggml.merges", toy->merges, toy->n_merges);
        }
        if (!toy->no_ids) {
            gguf_writer_add_u32(&w, "tokenizer.ggml.bos_token_id", 256);
            gguf_writer_add_u32(&w, "tokenizer.ggml.eos_token_id", 256);
        }
    } else if (!toy->no_ids) {
        gguf_writer_add_u32(&w, "tokenizer.ggml.bos_token_id", 1);
        gguf_writer_add_u32(&w, "tokenizer.ggml.eos_token_id", 2);
        gguf_writer_add_u32(&w, "tokenizer.ggml.unknown_token_id", 0);
        gguf_writer_add_bool(&w, "tokenizer.ggml.add_bos_token", true);
    }
    if (toy->extra != NULL) {
        toy->extra(&w);
    }
    uint8_t *data = gguf_writer_build(&w, bytes);
    assert_non_null(data);
    gguf_writer_finish(&w);
    return data;
}

/* The vocab of the toy's file, or NULL with the toy's log holding the error. */
static inline struct vocab *toy_open(struct toy *toy)
{
    size_t bytes;
    uint8_t *data = toy_build(toy, &bytes);
    struct gguf_file *file = gguf_open_memory("toy.gguf", data, bytes, &toy->log);
    assert_non_null(file);
    struct vocab *vocab = vocab_create(file, &toy->log);
    gguf_close(file); /* a vocab does not need its file any more */
    mem_free(data);
    return vocab;
}

#endif
