/* Fuzz target: the tokenizer of a file, then the input's own bytes as a text through it: encoded,
 * looked up, streamed back. */
#include "fuzz.h"

#include "bpe_make.h"
#include "gguf/gguf.h"
#include "gguf_make.h"
#include "text/text.h"

#include "base/mem.h"

#include <string.h>

const unsigned fuzz_replay_count = 5000;

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    struct gguf_make_params params = gguf_make_defaults();
    params.layers = 0;
    params.dim = 4;
    params.heads = 1;
    params.kv_heads = 1;
    params.ffn = 4;
    params.vocab = GGUF_MAKE_MIN_VOCAB + 40 * i;
    return i < 2   ? gguf_make(&params, bytes)
           : i < 4 ? bpe_make(i == 2 ? "llama-bpe" : "deepseek-llm", bytes)
                   : NULL;
}

static void round_trip(const struct vocab *vocab, const uint8_t *data, size_t bytes, uint32_t flags)
{
    struct text_tokens tokens = {0};
    struct text_stream *stream = text_stream_create(vocab, true);
    size_t n;
    char piece[64];
    if (!vocab_encode(vocab, (const char *)data, bytes, flags, &tokens, NULL) || stream == NULL) {
        __builtin_trap(); /* memory is not short here */
    }
    for (size_t i = 0; i < tokens.count; i++) {
        if (tokens.ids[i] >= vocab_count(vocab)) {
            __builtin_trap();
        }
        (void)vocab_piece(vocab, tokens.ids[i], i % 2 == 0, piece, sizeof piece);
        (void)vocab_is_end(vocab, tokens.ids[i]);
        if (text_stream_add(stream, tokens.ids[i], &n) == NULL) {
            __builtin_trap();
        }
    }
    (void)text_stream_end(stream, &n);
    text_stream_destroy(stream);
    text_tokens_finish(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_INFO);
    struct gguf_file *file = gguf_open_memory("fuzz", data, bytes, &log);
    struct vocab *vocab = file != NULL ? vocab_create(file, &log) : NULL;
    if (vocab != NULL) {
        size_t n = bytes < 2000 ? bytes : 2000;
        for (uint32_t id = 0; id < vocab_count(vocab); id++) {
            (void)vocab_text(vocab, id, &(size_t){0});
        }
        round_trip(vocab, data + (bytes - n), n, TEXT_ADD_SPECIAL);
        round_trip(vocab, data, n, TEXT_ADD_SPECIAL | TEXT_PARSE_SPECIAL);
    } else if (log.last[0] == '\0') {
        __builtin_trap(); /* refused without saying why */
    }
    vocab_destroy(vocab);
    gguf_close(file);
    log_finish(&log);
    return 0;
}
