/* The pre-tokenizers: which names there are, which stages each has, and the walk through a text.
 * Every name here gives the words that llama.cpp gives, which reads the patterns of some models in
 * a way of its own. What a stage matches is pretok_word.c and pretok_set.c. */
#include "text/internal.h"

#include <string.h>

static const struct pretok gpt2 = {.stages = {pretok_match_gpt2}};
static const struct pretok old = {.stages = {pretok_match_signs_old, pretok_match_gpt2,
                                             pretok_match_numbers, pretok_match_digits3}};
static const struct pretok falcon = {
    .stages = {pretok_match_signs, pretok_match_gpt2, pretok_match_digits3}};
static const struct pretok digits = {.stages = {pretok_match_number, pretok_match_gpt2}};
static const struct pretok llama3 = {
    .stages = {pretok_match_llama3}, .whole_words = true, .adds_bos = true};
static const struct pretok dbrx = {.stages = {pretok_match_llama3}};
static const struct pretok qwen2 = {.stages = {pretok_match_qwen2}};
static const struct pretok qwen35 = {.stages = {pretok_match_qwen35}};
static const struct pretok tekken = {
    .stages = {pretok_match_tekken}, .whole_words = true, .adds_bos = true};
static const struct pretok gpt4o = {.stages = {pretok_match_gpt4o}};
static const struct pretok deepseek = {.stages = {pretok_match_line_end, pretok_match_cased,
                                                  pretok_match_ascii, pretok_match_last_space,
                                                  pretok_match_cjk, pretok_match_numbers}};
static const struct pretok deepseek_coder = {.stages = {pretok_match_line_end, pretok_match_letters,
                                                        pretok_match_puncts, pretok_match_cjk,
                                                        pretok_match_number}};

static const struct pretok_name {
    const char *name;
    const struct pretok *pretok;
} names[] = {{"default", &old},
             {"gpt-2", &gpt2},
             {"phi-2", &gpt2},
             {"mpt", &gpt2},
             {"olmo", &gpt2},
             {"jais", &gpt2},
             {"exaone4", &gpt2},
             {"granite-docling", &gpt2},
             {"llama-bpe", &llama3},
             {"llama3", &llama3},
             {"llama-v3", &llama3},
             {"falcon3", &llama3},
             {"pixtral", &llama3},
             {"lfm2", &llama3},
             {"dbrx", &dbrx},
             {"smaug-bpe", &dbrx},
             {"qwen2", &qwen2},
             {"deepseek-r1-qwen", &qwen2},
             {"stablelm2", &qwen2},
             {"megrez", &qwen2},
             {"qwen35", &qwen35},
             {"deepseek-llm", &deepseek},
             {"deepseek-coder", &deepseek_coder},
             {"falcon", &falcon},
             {"starcoder", &digits},
             {"refact", &digits},
             {"command-r", &digits},
             {"smollm", &digits},
             {"codeshell", &digits},
             {"exaone", &digits},
             {"minerva-7b", &digits},
             {"tekken", &tekken},
             {"gpt-4o", &gpt4o},
             {"llama4", &gpt4o}};

const struct pretok *pretok_find(const char *name, size_t bytes)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].name) == bytes && memcmp(names[i].name, name, bytes) == 0) {
            return names[i].pretok;
        }
    }
    return NULL;
}

void pretok_list(struct str *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        str_printf(out, "%s%s", i > 0 ? ", " : "", names[i].name);
    }
}

struct walk {
    const struct pretok *pretok;
    const struct pretok_text *text;
    pretok_word word;
    void *user;
};

/* Cuts text[at, end) by this stage and those after it. The depth is the number of stages. */
static bool cut(const struct walk *walk, uint32_t stage, size_t at, size_t end)
{
    if (at == end) {
        return true;
    }
    if (stage == PRETOK_STAGES || walk->pretok->stages[stage] == NULL) {
        return walk->word(walk->user, walk->text->text + at, end - at);
    }
    size_t between = at; /* what lies here matched nothing */
    while (at < end) {
        size_t skip = 0, bytes = walk->pretok->stages[stage](walk->text, at, end, &skip);
        if (bytes == 0) {
            at += skip;
            continue;
        }
        if (!cut(walk, stage + 1, between, at) || !cut(walk, stage + 1, at, at + bytes)) {
            return false;
        }
        at += bytes;
        between = at;
    }
    return cut(walk, stage + 1, between, end);
}

bool pretok_split(const struct pretok *pretok, const struct pretok_text *text, size_t bytes,
                  pretok_word word, void *user)
{
    struct walk walk = {.pretok = pretok, .text = text, .word = word, .user = user};
    return cut(&walk, 0, 0, bytes);
}
