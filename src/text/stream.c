/* Ids to text: the bytes of one token, and a stream that joins them to valid UTF-8. Which tokens to
 * show and when to stop is for the caller. */
#include "text/internal.h"

#include "base/mem.h"

#include <string.h>

static uint32_t hex_digit(char c)
{
    return c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a') + 10;
}

/* Copies with U+2581 as a space; returns the full length. */
static size_t copy_unescaped(const char *text, size_t bytes, char *out, size_t cap)
{
    const size_t width = sizeof TEXT_SPACE - 1;
    size_t n = 0;
    for (size_t i = 0; i < bytes; n++) {
        bool space = bytes - i >= width && memcmp(text + i, TEXT_SPACE, width) == 0;
        if (n < cap) {
            out[n] = space ? ' ' : text[i];
        }
        i += space ? width : 1;
    }
    return n;
}

size_t vocab_piece(const struct vocab *vocab, uint32_t id, bool special, char *out, size_t cap)
{
    if (id >= vocab->count) {
        return 0;
    }
    const struct token *token = &vocab->tokens[id];
    switch ((enum token_type)token->type) {
    case TOKEN_UNKNOWN:
    case TOKEN_CONTROL:
        if (!special) {
            return 0;
        }
        break;
    case TOKEN_BYTE:
        if (cap > 0) {
            out[0] = (char)(hex_digit(token->text[3]) << 4 | hex_digit(token->text[4]));
        }
        return 1;
    case TOKEN_USER:
        break;
    case TOKEN_NORMAL:
    case TOKEN_UNUSED:
        if (vocab->kind == VOCAB_BPE) {
            token = &vocab->raw[id];
            break;
        }
        return copy_unescaped(token->text, token->bytes, out, cap);
    }
    size_t fits = token->bytes < cap ? token->bytes : cap;
    if (fits > 0) {
        memcpy(out, token->text, fits);
    }
    return token->bytes;
}

struct text_stream {
    const struct vocab *vocab;
    bool drop_space; /* nothing has come yet, and the first word brings a space with it */
    char held[4];    /* the beginning of a character */
    uint32_t n_held;
    struct str out;
};

struct text_stream *text_stream_create(const struct vocab *vocab, bool at_start)
{
    struct text_stream *stream = mem_alloc(1, sizeof *stream);
    if (stream != NULL) {
        stream->vocab = vocab;
        stream->drop_space = at_start && vocab->adds_prefix;
        str_init(&stream->out);
    }
    return stream;
}

void text_stream_destroy(struct text_stream *stream)
{
    if (stream != NULL) {
        str_finish(&stream->out);
        mem_free(stream);
    }
}

static const char *finish(struct text_stream *stream, size_t *bytes)
{
    bool failed = stream->out.failed;
    stream->out.failed = false;
    *bytes = failed ? 0 : stream->out.bytes;
    return failed ? NULL : str_get(&stream->out);
}

const char *text_stream_add(struct text_stream *stream, uint32_t id, size_t *bytes)
{
    char buffer[sizeof stream->held + TEXT_MAX_TOKEN_BYTES], *text = buffer;
    size_t n = stream->n_held;
    str_clear(&stream->out);
    memcpy(buffer, stream->held, n);
    size_t piece = vocab_piece(stream->vocab, id, false, buffer + n, TEXT_MAX_TOKEN_BYTES);
    n += piece;
    if (stream->drop_space && piece > 0) {
        stream->drop_space = false;
        uint8_t type = stream->vocab->tokens[id].type;
        if ((type == TOKEN_NORMAL || type == TOKEN_UNUSED) && text[0] == ' ') {
            text++;
            n--;
        }
    }
    size_t whole = 0;
    stream->n_held = 0;
    while (whole < n) {
        uint32_t code, length = utf8_read(text + whole, n - whole, &code);
        if (code == UTF8_PART) {
            stream->n_held = length;
            memcpy(stream->held, text + whole, length);
            break;
        }
        whole += length;
    }
    utf8_clean(&stream->out, text, whole);
    return finish(stream, bytes);
}

const char *text_stream_end(struct text_stream *stream, size_t *bytes)
{
    str_clear(&stream->out);
    utf8_clean(&stream->out, stream->held, stream->n_held);
    stream->n_held = 0;
    return finish(stream, bytes);
}
