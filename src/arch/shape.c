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
    uint32_t experts; /* 0: dense */
} KNOWN[] = {
    {"llama", 16, 2048, 8192, "1B", 0},    {"llama", 28, 3072, 8192, "3B", 0},
    {"llama", 32, 4096, 11008, "7B", 0},   {"llama", 40, 5120, 13824, "13B", 0},
    {"llama", 60, 6656, 17920, "30B", 0},  {"llama", 80, 8192, 22016, "65B", 0},
    {"llama", 80, 8192, 28672, "70B", 0},  {"llama", 32, 4096, 14336, "8x7B", 8},
    {"qwen2", 24, 896, 4864, "0.5B", 0},   {"qwen2", 28, 1536, 8960, "1.5B", 0},
    {"qwen2", 36, 2048, 11008, "3B", 0},   {"qwen2", 28, 3584, 18944, "7B", 0},
    {"qwen2", 48, 5120, 13824, "14B", 0},  {"qwen2", 64, 5120, 27648, "32B", 0},
    {"qwen2", 80, 8192, 29568, "72B", 0},  {"qwen3", 28, 1024, 3072, "0.6B", 0},
    {"qwen3", 28, 2048, 6144, "1.7B", 0},  {"qwen3", 36, 2560, 9728, "4B", 0},
    {"qwen3", 36, 4096, 12288, "8B", 0},   {"qwen3", 40, 5120, 17408, "14B", 0},
    {"qwen3", 64, 5120, 25600, "32B", 0},  {"phi3", 32, 3072, 8192, "3.8B", 0},
    {"phi3", 40, 5120, 17920, "14B", 0},   {"olmo2", 16, 2048, 8192, "1B", 0},
    {"olmo2", 32, 4096, 11008, "7B", 0},   {"olmo2", 40, 5120, 13824, "13B", 0},
    {"olmo2", 64, 5120, 27648, "32B", 0},  {"granite", 40, 2048, 8192, "2B", 0},
    {"granite", 40, 4096, 12800, "8B", 0}, {"gemma2", 26, 2304, 9216, "2B", 0},
    {"gemma2", 42, 3584, 14336, "9B", 0},  {"gemma2", 46, 4608, 36864, "27B", 0},
    {"gemma3", 18, 640, 2048, "270M", 0},  {"gemma3", 26, 1152, 6912, "1B", 0},
    {"gemma3", 34, 2560, 10240, "4B", 0},  {"gemma3", 48, 3840, 15360, "12B", 0},
    {"gemma3", 62, 5376, 21504, "27B", 0},
};

void arch_shape_set(struct arch_model *model)
{
    const struct arch_hparams *hp = &model->hp;
    const char *family = model->family->name;
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (hp->n_layers == KNOWN[i].layers && hp->n_embd == KNOWN[i].embd &&
            hp->n_ff == KNOWN[i].ff && hp->n_experts == KNOWN[i].experts &&
            strcmp(family, KNOWN[i].family) == 0) {
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
