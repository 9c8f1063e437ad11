/* A small byte-level BPE vocabulary as a GGUF file in memory, for fuzz targets: the 256 bytes, some
 * merges, a user-defined and a control token. */
#ifndef QUADRIGA_TESTS_FUZZ_BPE_MAKE_H
#define QUADRIGA_TESTS_FUZZ_BPE_MAKE_H

#include "gguf/writer.h"

#include <stdint.h>
#include <string.h>

enum { BPE_MAKE_MERGES = 12, BPE_MAKE_TOKENS = 256 + BPE_MAKE_MERGES + 2 };

/* Free with mem_free. NULL: out of memory. */
static inline uint8_t *bpe_make(const char *pre, size_t *bytes)
{
    static const char *const merges[BPE_MAKE_MERGES] = {"t h",
                                                        "\xc4\xa0 th",
                                                        "\xc4\xa0th e",
                                                        "a a",
                                                        "aa aa",
                                                        "\xc4\xa0 \xc4\xa0",
                                                        "\xc4\x8a \xc4\x8a",
                                                        "1 2",
                                                        "12 3",
                                                        "x y",
                                                        "\xc3\xa3 \xc4\xa2",
                                                        "' s"};
    struct gguf_str texts[BPE_MAKE_TOKENS], lines[BPE_MAKE_MERGES];
    char alphabet[256][2], joined[BPE_MAKE_MERGES][16];
    int32_t types[BPE_MAKE_TOKENS];
    struct gguf_writer w;
    uint32_t n = 0, code = 256;
    for (uint32_t i = 0; i < 256; i++) {
        bool plain = (i > 32 && i < 127) || (i > 160 && i != 173);
        uint32_t c = plain ? i : code++;
        alphabet[i][0] = (char)(c < 128 ? c : 0xc0 | c >> 6);
        alphabet[i][1] = (char)(0x80 | (c & 63));
        texts[n++] = (struct gguf_str){.text = alphabet[i], .bytes = c < 128 ? 1 : 2};
    }
    for (uint32_t i = 0; i < BPE_MAKE_MERGES; i++) {
        const char *line = merges[i], *gap = strchr(line, ' ');
        size_t left = (size_t)(gap - line), right = strlen(gap + 1);
        lines[i] = (struct gguf_str){.text = line, .bytes = strlen(line)};
        memcpy(joined[i], line, left);
        memcpy(joined[i] + left, gap + 1, right);
        texts[n++] = (struct gguf_str){.text = joined[i], .bytes = left + right};
    }
    texts[n++] = (struct gguf_str){.text = "    ", .bytes = 4};
    texts[n++] = (struct gguf_str){.text = "<|endoftext|>", .bytes = 13};
    for (uint32_t i = 0; i < BPE_MAKE_TOKENS; i++) {
        types[i] = i + 2 == n ? 4 : i + 1 == n ? 3 : 1;
    }
    gguf_writer_init(&w);
    gguf_writer_add_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_add_str(&w, "tokenizer.ggml.pre", pre);
    gguf_writer_add_u32(&w, "tokenizer.ggml.bos_token_id", n - 1);
    gguf_writer_add_u32(&w, "tokenizer.ggml.eos_token_id", n - 1);
    gguf_writer_add_strs(&w, "tokenizer.ggml.merges", lines, BPE_MAKE_MERGES);
    gguf_writer_add_array(&w, "tokenizer.ggml.token_type", GGUF_I32, types, n);
    gguf_writer_add_strs(&w, "tokenizer.ggml.tokens", texts, n);
    uint8_t *data = gguf_writer_build(&w, bytes);
    gguf_writer_finish(&w);
    return data;
}

#endif
