/* A model of one layer with a vocabulary of a few tokens: small enough to be tried with every bit
 * the other way, whole enough to be read to its end. */
#include "corpus.h"

#include "gguf/writer.h"

#include <stdio.h>
#include <string.h>

#define SPACE   "\xe2\x96\x81"
#define SPACE_A SPACE "a"

enum { EMBD = 8, FF = 4, SPM_TOKENS = 8, BPE_TOKENS = 261 };

struct tiny {
    struct gguf_writer w;
    struct arena arena;
    const struct tiny_edit *edits;
    uint64_t used; /* bit per edit: its name was written */
};

struct tiny_edit tiny_u32(const char *key, uint32_t value)
{
    static uint32_t slots[64]; /* edits are used at once */
    static size_t next;
    uint32_t *slot = &slots[next++ % 64];
    *slot = value;
    return (struct tiny_edit){.name = key, .type = GGUF_U32, .value = slot, .bytes = 4};
}

struct tiny_edit tiny_f32(const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    struct tiny_edit edit = tiny_u32(key, bits);
    edit.type = GGUF_F32;
    return edit;
}

struct tiny_edit tiny_bool(const char *key, uint8_t value)
{
    struct tiny_edit edit = tiny_u32(key, value);
    edit.type = GGUF_BOOL;
    edit.bytes = 1;
    return edit;
}

struct tiny_edit tiny_text(struct arena *arena, const char *key, const char *text, size_t bytes)
{
    uint64_t n = bytes;
    uint8_t *value = arena_alloc(arena, bytes + 8, 1);
    if (value != NULL) {
        memcpy(value, &n, 8);
        memcpy(value + 8, text, bytes);
    }
    return (struct tiny_edit){.name = key, .type = GGUF_STRING, .value = value, .bytes = bytes + 8};
}

struct tiny_edit tiny_array(struct arena *arena, const char *key, enum gguf_type elem,
                            uint64_t count, const void *values, size_t bytes)
{
    uint32_t type = elem;
    uint8_t *value = arena_alloc(arena, bytes + 12, 1);
    if (value != NULL) {
        memcpy(value, &type, 4);
        memcpy(value + 4, &count, 8);
        memcpy(value + 12, values, bytes);
    }
    return (struct tiny_edit){.name = key, .type = GGUF_ARRAY, .value = value, .bytes = bytes + 12};
}

static const struct tiny_edit *find_edit(struct tiny *tiny, const char *name, bool tensor)
{
    const struct tiny_edit *e = tiny->edits;
    for (size_t i = 0; e != NULL && e[i].name != NULL; i++) {
        if ((e[i].n_dims != 0) == tensor && strcmp(e[i].name, name) == 0) {
            tiny->used |= UINT64_C(1) << i;
            return &e[i];
        }
    }
    return NULL;
}

static void write_key(struct tiny *tiny, const struct tiny_edit *key)
{
    const struct tiny_edit *edit = find_edit(tiny, key->name, false);
    if (edit == NULL || edit->twice) {
        gguf_writer_add_raw(&tiny->w, key->name, key->type, key->value, key->bytes);
    }
    if (edit != NULL && !edit->omit) {
        gguf_writer_add_raw(&tiny->w, edit->name, edit->type, edit->value, edit->bytes);
    }
}

static void write_text(struct tiny *tiny, const char *key, const char *text)
{
    struct tiny_edit edit = tiny_text(&tiny->arena, key, text, strlen(text));
    write_key(tiny, &edit);
}

static void write_u32(struct tiny *tiny, const char *key, uint32_t value)
{
    struct tiny_edit edit = tiny_u32(key, value);
    write_key(tiny, &edit);
}

static void write_f32(struct tiny *tiny, const char *key, float value)
{
    struct tiny_edit edit = tiny_f32(key, value);
    write_key(tiny, &edit);
}

static void write_texts(struct tiny *tiny, const char *key, const char *const *texts, uint64_t n)
{
    struct str all;
    str_init(&all);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bytes = strlen(texts[i]);
        str_add(&all, (const char *)&bytes, 8);
        str_add(&all, texts[i], (size_t)bytes);
    }
    struct tiny_edit edit = tiny_array(&tiny->arena, key, GGUF_STRING, n, str_get(&all), all.bytes);
    tiny->w.failed = tiny->w.failed || all.failed;
    write_key(tiny, &edit);
    str_finish(&all);
}

static void write_hparams(struct tiny *tiny, uint32_t n_vocab)
{
    write_text(tiny, "general.architecture", "llama");
    write_u32(tiny, "llama.context_length", 32);
    write_u32(tiny, "llama.embedding_length", EMBD);
    write_u32(tiny, "llama.block_count", 1);
    write_u32(tiny, "llama.feed_forward_length", FF);
    write_u32(tiny, "llama.attention.head_count", 2);
    write_u32(tiny, "llama.attention.head_count_kv", 1);
    write_f32(tiny, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    write_u32(tiny, "llama.rope.dimension_count", 4);
    write_f32(tiny, "llama.rope.freq_base", 10000);
    write_u32(tiny, "llama.vocab_size", n_vocab);
}

static void write_spm(struct tiny *tiny)
{
    static const char *const TEXTS[SPM_TOKENS] = {"<unk>", "<s>", "</s>", SPACE,
                                                  "a",     "b",   "ab",   SPACE_A};
    static const int32_t TYPES[SPM_TOKENS] = {2, 3, 3, 1, 1, 1, 1, 1};
    static const float SCORES[SPM_TOKENS] = {0, 0, 0, -3, -4, -5, -1, -2};
    write_text(tiny, "tokenizer.ggml.model", "llama");
    write_texts(tiny, "tokenizer.ggml.tokens", TEXTS, SPM_TOKENS);
    struct tiny_edit scores = tiny_array(&tiny->arena, "tokenizer.ggml.scores", GGUF_F32,
                                         SPM_TOKENS, SCORES, sizeof SCORES);
    struct tiny_edit types = tiny_array(&tiny->arena, "tokenizer.ggml.token_type", GGUF_I32,
                                        SPM_TOKENS, TYPES, sizeof TYPES);
    write_key(tiny, &scores);
    write_key(tiny, &types);
    write_u32(tiny, "tokenizer.ggml.bos_token_id", 1);
    write_u32(tiny, "tokenizer.ggml.eos_token_id", 2);
    write_u32(tiny, "tokenizer.ggml.unknown_token_id", 0);
}

static void write_bpe(struct tiny *tiny)
{
    static const char *const MERGES[] = {"a b", "ab a", "1 2"};
    char texts[BPE_TOKENS][4] = {{0}};
    const char *tokens[BPE_TOKENS];
    int32_t types[BPE_TOKENS];
    uint32_t code = 256;
    for (uint32_t i = 0; i < BPE_TOKENS; i++) {
        bool plain = (i > 32 && i < 127) || (i > 160 && i < 256 && i != 173);
        uint32_t c = plain || i > 255 ? i : code++;
        texts[i][0] = (char)(c < 128 ? c : 0xc0 | c >> 6);
        texts[i][1] = (char)(c < 128 ? 0 : 0x80 | (c & 63));
        tokens[i] = texts[i];
        types[i] = i < 259 ? 1 : i == 259 ? 4 : 3;
    }
    tokens[256] = "ab";
    tokens[257] = "aba";
    tokens[258] = "12";
    tokens[259] = "  ";
    tokens[260] = "<|endoftext|>";
    write_text(tiny, "tokenizer.ggml.model", "gpt2");
    write_text(tiny, "tokenizer.ggml.pre", "gpt-2");
    write_texts(tiny, "tokenizer.ggml.tokens", tokens, BPE_TOKENS);
    struct tiny_edit type = tiny_array(&tiny->arena, "tokenizer.ggml.token_type", GGUF_I32,
                                       BPE_TOKENS, types, sizeof types);
    write_key(tiny, &type);
    write_texts(tiny, "tokenizer.ggml.merges", MERGES, 3);
    write_u32(tiny, "tokenizer.ggml.bos_token_id", 260);
    write_u32(tiny, "tokenizer.ggml.eos_token_id", 260);
}

static void add_tensor(struct tiny *tiny, const struct tiny_edit *edit)
{
    uint64_t n = 4;
    for (uint32_t d = 0; d < edit->n_dims; d++) {
        n *= edit->dims[d];
    }
    gguf_writer_add_tensor(&tiny->w, edit->name, edit->type, edit->n_dims, edit->dims, NULL,
                           edit->bytes != 0 ? edit->bytes : n);
}

static void write_tensor(struct tiny *tiny, const char *name, uint64_t rows, uint64_t cols)
{
    struct tiny_edit tensor = {.name = name, .n_dims = rows == 1 ? 1 : 2, .dims = {cols, rows}};
    const struct tiny_edit *edit = find_edit(tiny, name, true);
    if (edit == NULL || !edit->omit) {
        add_tensor(tiny, edit != NULL ? edit : &tensor);
    }
}

static void write_tensors(struct tiny *tiny, uint32_t n_vocab)
{
    write_tensor(tiny, "token_embd.weight", n_vocab, EMBD);
    write_tensor(tiny, "output_norm.weight", 1, EMBD);
    write_tensor(tiny, "blk.0.attn_norm.weight", 1, EMBD);
    write_tensor(tiny, "blk.0.attn_q.weight", EMBD, EMBD);
    write_tensor(tiny, "blk.0.attn_k.weight", EMBD / 2, EMBD);
    write_tensor(tiny, "blk.0.attn_v.weight", EMBD / 2, EMBD);
    write_tensor(tiny, "blk.0.attn_output.weight", EMBD, EMBD);
    write_tensor(tiny, "blk.0.ffn_norm.weight", 1, EMBD);
    write_tensor(tiny, "blk.0.ffn_gate.weight", FF, EMBD);
    write_tensor(tiny, "blk.0.ffn_up.weight", FF, EMBD);
    write_tensor(tiny, "blk.0.ffn_down.weight", EMBD, FF);
}

/* Edits of names that are not written otherwise. */
static void write_new(struct tiny *tiny)
{
    const struct tiny_edit *e = tiny->edits;
    for (size_t i = 0; e != NULL && e[i].name != NULL; i++) {
        if ((tiny->used >> i & 1) != 0 || e[i].omit) {
            continue;
        }
        if (e[i].n_dims != 0) {
            add_tensor(tiny, &e[i]);
        } else {
            gguf_writer_add_raw(&tiny->w, e[i].name, e[i].type, e[i].value, e[i].bytes);
        }
    }
}

uint8_t *tiny_make(enum tiny_kind kind, const struct tiny_edit *edits, size_t *bytes)
{
    struct tiny tiny = {.edits = edits};
    uint32_t n_vocab = kind == TINY_SPM ? SPM_TOKENS : BPE_TOKENS;
    gguf_writer_init(&tiny.w);
    arena_init(&tiny.arena);
    write_hparams(&tiny, n_vocab);
    if (kind == TINY_SPM) {
        write_spm(&tiny);
    } else {
        write_bpe(&tiny);
    }
    write_tensors(&tiny, n_vocab);
    write_new(&tiny);
    uint8_t *data = gguf_writer_build(&tiny.w, bytes);
    gguf_writer_finish(&tiny.w);
    arena_finish(&tiny.arena);
    return data;
}
