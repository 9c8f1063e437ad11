/* Fuzz target: a text through every byte-level BPE tokenizer. The first byte picks the
 * pre-tokenizer, the second whether special tokens are parsed, the rest is the text. What comes
 * back is the text with its invalid bytes replaced. */
#include "fuzz.h"

#include "bpe_make.h"
#include "text/internal.h"

#include "base/mem.h"
#include "base/str.h"

static const char *const pres[] = {"gpt-2",  "llama-bpe", "qwen2",        "qwen35",
                                   "tekken", "gpt-4o",    "falcon",       "starcoder",
                                   "dbrx",   "default",   "deepseek-llm", "deepseek-coder"};
enum { N_PRES = sizeof pres / sizeof *pres };

const unsigned fuzz_replay_count = 150;

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    static const char text[] =
        "Hello, World's 12345 \xe4\xb8\xad\xe6\x96\x87\xef\xbc\x8c  aaaa  \n\n x\t\r\n "
        "\xc3\xa9\xc3\x89T don't WE'LL \xc2\xa0\xe3\x80\x80 //\n/ $<=> `` \xf0\x9f\x98\x80\xcc\x81"
        "<|endoftext|>the    the\xff";
    if (i >= N_PRES) {
        return NULL;
    }
    *bytes = sizeof text + 1;
    uint8_t *data = mem_alloc(*bytes, 1);
    if (data != NULL) {
        data[0] = (uint8_t)i;
        memcpy(data + 2, text, sizeof text - 1);
    }
    return data;
}

static void round_trip(const struct vocab *vocab, const char *text, size_t bytes, uint32_t flags)
{
    struct text_tokens tokens = {0};
    struct text_stream *stream = text_stream_create(vocab, true);
    struct str clean, back;
    size_t n;
    str_init(&clean);
    str_init(&back);
    utf8_clean(&clean, text, bytes);
    if (stream == NULL || !vocab_encode(vocab, text, bytes, flags, &tokens, NULL)) {
        __builtin_trap(); /* memory is not short here */
    }
    for (size_t i = 0; i < tokens.count; i++) {
        if (tokens.ids[i] >= vocab_count(vocab)) {
            __builtin_trap();
        }
        const char *piece = text_stream_add(stream, tokens.ids[i], &n);
        str_add(&back, piece, n);
    }
    const char *rest = text_stream_end(stream, &n);
    str_add(&back, rest, n);
    bool same =
        back.bytes == clean.bytes && memcmp(str_get(&back), str_get(&clean), back.bytes) == 0;
    if ((flags & TEXT_PARSE_SPECIAL) == 0 && !same) {
        __builtin_trap();
    }
    str_finish(&clean);
    str_finish(&back);
    text_stream_destroy(stream);
    text_tokens_finish(&tokens);
}

static struct vocab *make_vocab(const char *pre)
{
    size_t bytes;
    uint8_t *data = bpe_make(pre, &bytes);
    struct gguf_file *file = gguf_open_memory("bpe", data, bytes, NULL);
    struct vocab *vocab = file != NULL ? vocab_create(file, NULL) : NULL;
    gguf_close(file);
    mem_free(data);
    return vocab;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct vocab *vocabs[N_PRES]; /* made once each */
    if (bytes < 2) {
        return 0;
    }
    struct vocab **vocab = &vocabs[data[0] % N_PRES];
    *vocab = *vocab != NULL ? *vocab : make_vocab(pres[data[0] % N_PRES]);
    if (*vocab == NULL) {
        __builtin_trap();
    }
    round_trip(*vocab, (const char *)data + 2, bytes - 2,
               data[1] % 2 != 0 ? TEXT_PARSE_SPECIAL : 0);
    return 0;
}
