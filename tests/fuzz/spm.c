/* Fuzz target: a text through the SentencePiece tokenizer of a fixed small vocabulary. The first
 * byte says whether special tokens are parsed, the rest is the text. What comes back is the text
 * with its invalid bytes replaced and U+2581 as a space. */
#include "fuzz.h"

#include "gguf_make.h"
#include "text/internal.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

const unsigned fuzz_replay_count = 3000;

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    static const char text[] =
        "Hello, the World's  12345 \xe4\xb8\xad\xe6\x96\x87  \xe2\x96\x81 x\n "
        "\xc3\xa9 <s>the</s> <0x41>\xff\xf0\x9f\x98\x80";
    *bytes = sizeof text;
    uint8_t *data = i == 0 ? mem_alloc(*bytes, 1) : NULL;
    if (data != NULL) {
        memcpy(data + 1, text, sizeof text - 1);
    }
    return data;
}

/* U+2581 as a space, in place. */
static void to_spaces(struct str *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->bytes; n++) {
        bool space = text->bytes - i >= 3 && memcmp(text->text + i, TEXT_SPACE, 3) == 0;
        text->text[n] = space ? ' ' : text->text[i];
        i += space ? 3 : 1;
    }
    text->bytes = n;
}

static struct vocab *make_vocab(void)
{
    struct gguf_make_params params = gguf_make_defaults();
    params.layers = 0;
    params.dim = 4;
    params.heads = 1;
    params.kv_heads = 1;
    params.ffn = 4;
    params.vocab = GGUF_MAKE_MIN_VOCAB + 40;
    size_t bytes;
    uint8_t *data = gguf_make(&params, &bytes);
    struct gguf_file *file = gguf_open_memory("spm", data, bytes, NULL);
    struct vocab *vocab = file != NULL ? vocab_create(file, NULL) : NULL;
    gguf_close(file);
    mem_free(data);
    return vocab;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct vocab *vocab; /* the same for all inputs */
    size_t n;
    if (bytes < 1) {
        return 0;
    }
    vocab = vocab != NULL ? vocab : make_vocab();
    struct text_stream *stream = vocab != NULL ? text_stream_create(vocab, true) : NULL;
    struct text_tokens tokens = {0};
    struct str clean, back;
    uint32_t flags = data[0] % 2 != 0 ? TEXT_PARSE_SPECIAL : 0;
    str_init(&clean);
    str_init(&back);
    if (stream == NULL ||
        !vocab_encode(vocab, (const char *)data + 1, bytes - 1, flags, &tokens, NULL)) {
        __builtin_trap();
    }
    for (size_t i = 0; i < tokens.count; i++) {
        const char *piece = text_stream_add(stream, tokens.ids[i], &n);
        str_add(&back, piece, n);
    }
    const char *rest = text_stream_end(stream, &n);
    str_add(&back, rest, n);
    utf8_clean(&clean, (const char *)data + 1, bytes - 1);
    to_spaces(&clean);
    if (flags == 0 &&
        (back.bytes != clean.bytes || memcmp(str_get(&back), str_get(&clean), back.bytes) != 0)) {
        __builtin_trap();
    }
    str_finish(&clean);
    str_finish(&back);
    text_tokens_finish(&tokens);
    text_stream_destroy(stream);
    return 0;
}
