/* Fuzz target: a model as it is read before any device is asked: structure, hyper-parameters,
 * weights, tokenizer. */
#include "fuzz.h"

#include "arch/arch.h"
#include "corpus/corpus.h"
#include "text/text.h"

const unsigned fuzz_replay_count = 4000;

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    return i < 2 ? tiny_make(i == 0 ? TINY_SPM : TINY_BPE, NULL, bytes) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct log log;
    struct arch_model model;
    struct vocab *vocab = NULL;
    log_init(&log, NULL, NULL, LOG_INFO);
    struct gguf_file *file = gguf_open_memory("fuzz", data, bytes, &log);
    bool ok = file != NULL && arch_model_read(&model, file, &log);
    if (ok) {
        vocab = vocab_create(file, &log);
        (void)arch_flop(&model, 100);
        arch_model_finish(&model);
    }
    if (vocab == NULL && log.last[0] == '\0') {
        __builtin_trap(); /* refused without saying why */
    }
    vocab_destroy(vocab);
    gguf_close(file);
    log_finish(&log);
    return 0;
}
