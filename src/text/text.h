/* From text to token ids and back.
 *
 * A vocab is read from a GGUF file (tokenizer.ggml.*) and checked completely at creation. Kinds:
 * SPM ("llama": SentencePiece BPE with scores and byte fallback) and byte-level BPE ("gpt2":
 * merges, within the words that the pre-tokenizer named in the file cuts). Invalid UTF-8 in a
 * prompt: each maximal invalid subpart becomes one U+FFFD (Unicode 15, section 3.9, table 3-8)
 * before tokenizing.
 *
 * Thread rule: a vocab is read-only after creation, any thread; a text_stream belongs to one. */
#ifndef QUADRIGA_TEXT_TEXT_H
#define QUADRIGA_TEXT_TEXT_H

#include "gguf/gguf.h"

#define TEXT_NO_TOKEN UINT32_MAX

struct vocab;

/* NULL: logged with file, field and value. Two tokens with one text are refused, as are 1 to 255
 * byte tokens of SPM, merges of what are no tokens and pre-tokenizers that are not known. The file
 * is not needed afterwards. */
struct vocab *vocab_create(const struct gguf_file *file, struct log *log);
void vocab_destroy(struct vocab *vocab);
uint32_t vocab_count(const struct vocab *vocab);
uint32_t vocab_bos(const struct vocab *vocab); /* TEXT_NO_TOKEN when there is none */
uint32_t vocab_eos(const struct vocab *vocab);
bool vocab_adds_bos(const struct vocab *vocab);
bool vocab_adds_eos(const struct vocab *vocab);
bool vocab_is_end(const struct vocab *vocab, uint32_t id); /* any end-of-generation token */
/* The token's own text as stored (e.g. "\xe2\x96\x81the", "<0x0A>"); not terminated. */
const char *vocab_text(const struct vocab *vocab, uint32_t id, size_t *bytes);

struct text_tokens {
    uint32_t *ids;
    size_t count, cap;
};
void text_tokens_finish(struct text_tokens *tokens);

enum text_encode_flags {
    TEXT_ADD_SPECIAL = 1 << 0,   /* BOS / EOS as the file asks */
    TEXT_PARSE_SPECIAL = 1 << 1, /* text of control and user-defined tokens becomes that token */
};
/* Appends the ids of `text`. Time O(n log n) in its length, at most 256 MiB. User-defined tokens
 * are found without TEXT_PARSE_SPECIAL too, except those that end a turn; longer tokens win over
 * shorter ones, and with SPM each piece of text between two gets its leading space, all as in
 * llama.cpp. Unlike there, plain text never merges into a control or byte token, and a token that
 * the file calls plain is no special one because of its name. Decoding gives valid UTF-8 back
 * unchanged, except: with SPM U+2581 becomes a space and a space appears after a special token; a
 * vocabulary without byte tokens, or without some of the 256 bytes, loses what it does not know.
 * False: out of memory or too long, logged; nothing is appended then. */
bool vocab_encode(const struct vocab *vocab, const char *text, size_t bytes, uint32_t flags,
                  struct text_tokens *out, struct log *log);

/* Bytes that the token stands for in running text: U+2581 is a space, byte tokens are their byte,
 * control tokens are nothing unless `special`. At most `cap` bytes are written; returns the full
 * number. */
size_t vocab_piece(const struct vocab *vocab, uint32_t id, bool special, char *out, size_t cap);

/* Tokens to text, piece by piece: holds back incomplete UTF-8 until it is complete, invalid bytes
 * become U+FFFD, and the space that SPM puts before the first word is dropped. */
struct text_stream;
struct text_stream *text_stream_create(const struct vocab *vocab, bool at_start);
void text_stream_destroy(struct text_stream *stream);
/* Text that this token completes: terminated, owned by the stream, valid until the next call. NULL:
 * out of memory. */
const char *text_stream_add(struct text_stream *stream, uint32_t id, size_t *bytes);
/* What is still held back, as U+FFFD if it stays incomplete. */
const char *text_stream_end(struct text_stream *stream, size_t *bytes);

#endif
