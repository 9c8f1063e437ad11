/* What people call a model: its family and its size. */
#include "arch/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sizes whose name is not simply the number of parameters. */
static const struct {
    const char *family;
    uint32_t layers, embd, ff;
    const char *name;
} KNOWN[] = {
    {"llama", 16, 2048, 8192, "1B"},    {"llama", 28, 3072, 8192, "3B"},
    {"llama", 32, 4096, 11008, "7B"},   {"llama", 40, 5120, 13824, "13B"},
    {"llama", 60, 6656, 17920, "30B"},  {"llama", 80, 8192, 22016, "65B"},
    {"llama", 80, 8192, 28672, "70B"},  {"qwen2", 24, 896, 4864, "0.5B"},
    {"qwen2", 28, 1536, 8960, "1.5B"},  {"qwen2", 36, 2048, 11008, "3B"},
    {"qwen2", 28, 3584, 18944, "7B"},   {"qwen2", 48, 5120, 13824, "14B"},
    {"qwen2", 64, 5120, 27648, "32B"},  {"qwen2", 80, 8192, 29568, "72B"},
    {"qwen3", 28, 1024, 3072, "0.6B"},  {"qwen3", 28, 2048, 6144, "1.7B"},
    {"qwen3", 36, 2560, 9728, "4B"},    {"qwen3", 36, 4096, 12288, "8B"},
    {"qwen3", 40, 5120, 17408, "14B"},  {"qwen3", 64, 5120, 25600, "32B"},
    {"phi3", 32, 3072, 8192, "3.8B"},   {"phi3", 40, 5120, 17920, "14B"},
    {"olmo2", 16, 2048, 8192, "1B"},    {"olmo2", 32, 4096, 11008, "7B"},
    {"olmo2", 40, 5120, 13824, "13B"},  {"olmo2", 64, 5120, 27648, "32B"},
    {"granite", 40, 2048, 8192, "2B"},  {"granite", 40, 4096, 12800, "8B"},
    {"gemma2", 26, 2304, 9216, "2B"},   {"gemma2", 42, 3584, 14336, "9B"},
    {"gemma2", 46, 4608, 36864, "27B"}, {"gemma3", 18, 640, 2048, "270M"},
    {"gemma3", 26, 1152, 6912, "1B"},   {"gemma3", 34, 2560, 10240, "4B"},
    {"gemma3", 48, 3840, 15360, "12B"}, {"gemma3", 62, 5376, 21504, "27B"},
};

void arch_shape_set(struct arch_model *model)
{
    const struct arch_hparams *hp = &model->hp;
    const char *family = model->family->name;
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (hp->n_layers == KNOWN[i].layers && hp->n_embd == KNOWN[i].embd &&
            hp->n_ff == KNOWN[i].ff && strcmp(family, KNOWN[i].family) == 0) {
            snprintf(model->shape, sizeof model->shape, "%s %s", family, KNOWN[i].name);
            return;
        }
    }
    double n = (double)model->n_params;
    char unit = n >= 999.5e6 ? 'B' : n >= 999.5e3 ? 'M' : 'K';
    n /= unit == 'B' ? 1e9 : unit == 'M' ? 1e6 : 1e3;
    bool fraction = n < 9.95 && fabs(n - round(n)) >= 0.05;
    snprintf(model->shape, sizeof model->shape, "%s %.*f%c", family, fraction ? 1 : 0, n, unit);
}
