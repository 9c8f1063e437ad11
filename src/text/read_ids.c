/* The numbers of special tokens out of tokenizer.ggml.*, with the rules of what is added to a text
 * and of what ends one. Reading the tokens themselves is read.c. */
#include "text/internal.h"

#include <string.h>

/* `*id` becomes the number under the key; without the key it becomes `fallback` if that is a token
 * of this type, else none. */
static bool read_id(const struct reading *r, const char *key, uint32_t fallback,
                    enum token_type type, uint32_t *id, bool *found)
{
    const struct vocab *vocab = r->vocab;
    enum gguf_result result = gguf_get_u32(r->file, key, id);
    *found = result == GGUF_OK;
    if (result == GGUF_ABSENT) {
        bool fits = fallback < vocab->count && vocab->tokens[fallback].type == type;
        *id = fits ? fallback : TEXT_NO_TOKEN;
        return true;
    }
    if (result == GGUF_OK && *id >= vocab->count) {
        log_error(r->log, "%s: %s is %u, but there are %u tokens", r->path, key, *id, vocab->count);
        return false;
    }
    return result == GGUF_OK;
}

/* An id that must be right where it is given, though nothing here uses it. */
static bool check_id(const struct reading *r, const char *key)
{
    uint32_t id;
    bool found;
    return read_id(r, key, TEXT_NO_TOKEN, TOKEN_CONTROL, &id, &found);
}

/* Whether BOS or EOS is added: `*adds` holds the default. Asking for it without naming it is an
 * error; the default only holds where there is one. */
static bool read_adds(const struct reading *r, const char *key, const char *id_key, uint32_t id,
                      bool id_found, bool *adds)
{
    enum gguf_result result = gguf_get_bool(r->file, key, adds);
    if (result == GGUF_OK && *adds && !id_found) {
        log_error(r->log, "%s: %s is true, but %s is missing", r->path, key, id_key);
        return false;
    }
    *adds = *adds && id != TEXT_NO_TOKEN;
    return result != GGUF_BAD;
}

bool read_ids(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    bool bos, eos, any, whitespace;
    bool bpe = vocab->kind == VOCAB_BPE;
    if (!read_id(r, KEY("bos_token_id"), bpe ? 11 : 1, TOKEN_CONTROL, &vocab->bos, &bos) ||
        !read_id(r, KEY("eos_token_id"), bpe ? 11 : 2, TOKEN_CONTROL, &vocab->eos, &eos) ||
        !read_id(r, KEY("unknown_token_id"), 0, TOKEN_UNKNOWN, &vocab->unknown, &any) ||
        !read_id(r, KEY("eot_token_id"), TEXT_NO_TOKEN, TOKEN_CONTROL, &vocab->eot, &any) ||
        !read_id(r, KEY("eom_token_id"), TEXT_NO_TOKEN, TOKEN_CONTROL, &vocab->eom, &any) ||
        !check_id(r, KEY("padding_token_id")) || !check_id(r, KEY("seperator_token_id")) ||
        !check_id(r, KEY("mask_token_id"))) {
        return false;
    }
    vocab->adds_bos = !bpe || vocab->pretok->adds_bos;
    vocab->adds_prefix = !bpe;
    if (!read_adds(r, KEY("add_bos_token"), KEY("bos_token_id"), vocab->bos, bos,
                   &vocab->adds_bos) ||
        !read_adds(r, KEY("add_eos_token"), KEY("eos_token_id"), vocab->eos, eos,
                   &vocab->adds_eos) ||
        gguf_get_bool(r->file, KEY("add_space_prefix"), &vocab->adds_prefix) == GGUF_BAD ||
        gguf_get_bool(r->file, KEY("remove_extra_whitespaces"), &whitespace) == GGUF_BAD) {
        return false;
    }
    vocab->adds_prefix = vocab->adds_prefix && !bpe;
    if (!bpe && !vocab->has_bytes && vocab->unknown == TEXT_NO_TOKEN) {
        log_error(r->log, "%s: " KEY("tokens") " has neither byte tokens nor an unknown token",
                  r->path);
        return false;
    }
    return true;
}

static void set_end(struct vocab *vocab, uint32_t id)
{
    if (id != TEXT_NO_TOKEN) {
        vocab->tokens[id].flags |= TOKEN_IS_END;
    }
}

static bool read_end_list(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    const char *list_key = KEY("eos_token_ids");
    const struct gguf_kv *list = gguf_find(r->file, list_key);
    if (list == NULL) {
        return true;
    }
    enum gguf_type elem = list->type == GGUF_ARRAY && list->elem == GGUF_U32 ? GGUF_U32 : GGUF_I32;
    if (gguf_get_array(r->file, list_key, elem, &list) != GGUF_OK) {
        return false;
    }
    for (uint64_t i = 0; i < list->count; i++) {
        uint32_t id = gguf_array_u32(list, i);
        if (id >= vocab->count) {
            log_error(r->log, "%s: %s[%llu] is %u, but there are %u tokens", r->path, list_key,
                      (unsigned long long)i, id, vocab->count);
            return false;
        }
        set_end(vocab, id);
    }
    return true;
}

/* Prompts must not be able to write these: a user-defined token becomes a control token, and so
 * does a plain one if the file numbers it among its special ones. */
static uint32_t control_by_name(struct vocab *vocab, const char *name)
{
    uint32_t id = text_map_find(&vocab->map, vocab->tokens, name, strlen(name));
    if (id == TEXT_NO_TOKEN) {
        return id;
    }
    struct token *token = &vocab->tokens[id];
    bool numbered = id == vocab->bos || id == vocab->eos || id == vocab->eot || id == vocab->eom;
    if (token->type != TOKEN_CONTROL && token->type != TOKEN_USER && !numbered) {
        return TEXT_NO_TOKEN; /* text that only looks like one */
    }
    token->type = TOKEN_CONTROL;
    token->flags &= (uint8_t)~TOKEN_MERGES;
    return id;
}

static const char *const end_names[] = {"<|eot_id|>",
                                        "<|im_end|>",
                                        "<|end|>",
                                        "<end_of_turn>",
                                        "<|endoftext|>",
                                        "<|end_of_text|>",
                                        "<|eom_id|>",
                                        "<EOT>",
                                        "_<EOT>",
                                        "[EOT]",
                                        "[EOS]",
                                        "</s>",
                                        "<eos>",
                                        "<end_of_utterance>",
                                        "<\xef\xbd\x9c"
                                        "end\xe2\x96\x81of\xe2\x96\x81sentence"
                                        "\xef\xbd\x9c>"};
/* These end a turn, and are found in texts as the file says. */
static const char *const other_end_names[] = {"<|end_of_turn|>", "<|EOT|>"};
static const char *const fill_names[] = {"<|fim_prefix|>",
                                         "<fim-prefix>",
                                         "<fim_prefix>",
                                         "<PRE>",
                                         TEXT_SPACE "<PRE>",
                                         "<|fim_suffix|>",
                                         "<fim-suffix>",
                                         "<fim_suffix>",
                                         "<SUF>",
                                         TEXT_SPACE "<SUF>",
                                         "<|fim_middle|>",
                                         "<fim-middle>",
                                         "<fim_middle>",
                                         "<MID>",
                                         TEXT_SPACE "<MID>",
                                         "<\xef\xbd\x9c"
                                         "fim\xe2\x96\x81"
                                         "begin\xef\xbd\x9c>",
                                         "<\xef\xbd\x9c"
                                         "fim\xe2\x96\x81hole\xef\xbd\x9c>",
                                         "<\xef\xbd\x9c"
                                         "fim\xe2\x96\x81"
                                         "end\xef\xbd\x9c>"};

/* Tokens that end a turn or a text, by number and by the names in use; and the marks of code to
 * fill in, which end nothing. */
bool read_ends(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    set_end(vocab, vocab->eos);
    set_end(vocab, vocab->eot);
    set_end(vocab, vocab->eom);
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++) {
        set_end(vocab, control_by_name(vocab, end_names[i]));
    }
    for (size_t i = 0; i < sizeof fill_names / sizeof *fill_names; i++) {
        (void)control_by_name(vocab, fill_names[i]);
    }
    for (size_t i = 0; i < sizeof other_end_names / sizeof *other_end_names; i++) {
        uint32_t id = text_map_find(&vocab->map, vocab->tokens, other_end_names[i],
                                    strlen(other_end_names[i]));
        bool special = id != TEXT_NO_TOKEN && (vocab->tokens[id].type == TOKEN_CONTROL ||
                                               vocab->tokens[id].type == TOKEN_USER);
        set_end(vocab, special ? id : TEXT_NO_TOKEN);
    }
    return read_end_list(r);
}

static bool contains_phi3(const char *name, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i++) {
        bool phi =
            (name[i] | 0x20) == 'p' && (name[i + 1] | 0x20) == 'h' && (name[i + 2] | 0x20) == 'i';
        if (phi &&
            (name[i + 3] == '3' || (name[i + 3] == '-' && i + 4 < n && name[i + 4] == '3'))) {
            return true;
        }
    }
    return false;
}

static bool is_text(const struct token *token, const char *name)
{
    return strlen(name) == token->bytes && memcmp(token->text, name, token->bytes) == 0;
}

/* Phi-3's special tokens eat the white space after them, all but three; no GGUF key says so, and
 * llama.cpp goes by the model's name too. */
void read_strips(const struct reading *r)
{
    struct vocab *vocab = r->vocab;
    struct gguf_str name = {0};
    const struct gguf_kv *kv = gguf_find(r->file, "general.name");
    if (kv == NULL || kv->type != GGUF_STRING ||
        gguf_get_str(r->file, "general.name", &name) != GGUF_OK ||
        !contains_phi3(name.text, (size_t)name.bytes)) {
        return;
    }
    for (uint32_t i = 0; i < vocab->n_specials; i++) {
        struct token *token = &vocab->tokens[vocab->specials[i].id];
        if (!is_text(token, "<unk>") && !is_text(token, "<s>") &&
            !is_text(token, "<|endoftext|>")) {
            token->flags |= TOKEN_STRIPS;
        }
    }
}

/* Of user-defined tokens: "<|user|>" and the like, and the names in use of another shape. They are
 * found in any text, but what somebody writes in a conversation must not make a turn. */
void read_marks(const struct reading *r)
{
    static const char *const marks[] = {"<start_of_turn>",
                                        "[INST]",
                                        "[/INST]",
                                        "[SYSTEM_PROMPT]",
                                        "[/SYSTEM_PROMPT]",
                                        "[AVAILABLE_TOOLS]",
                                        "[/AVAILABLE_TOOLS]",
                                        "[TOOL_CALLS]",
                                        "[TOOL_RESULTS]",
                                        "[/TOOL_RESULTS]",
                                        "<<SYS>>",
                                        "<</SYS>>",
                                        "<s>",
                                        "<bos>"};
    struct vocab *vocab = r->vocab;
    for (uint32_t i = 0; i < vocab->n_specials; i++) {
        struct token *token = &vocab->tokens[vocab->specials[i].id];
        uint32_t n = token->bytes;
        bool mark =
            n > 4 && memcmp(token->text, "<|", 2) == 0 && memcmp(token->text + n - 2, "|>", 2) == 0;
        for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
            mark = mark || is_text(token, marks[m]);
        }
        token->flags |= token->type == TOKEN_USER && mark ? TOKEN_IS_MARK : 0;
    }
}
