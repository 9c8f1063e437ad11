/* Fuzz target: a chat template, read, run and compared with the known formats. */
#include "fuzz.h"

#include "text/chat.h"

#include "base/mem.h"

#include <string.h>

const unsigned fuzz_replay_count = 1000;

static const char *const seeds[] = {
    "{%- for turn in messages %}{{ '<|im_start|>' + turn['role'] ~ '\\n' + turn.content "
    "}}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ \"<|im_start|>assistant\\n\" }}{% endif %}",
    "{{- bos_token }}\n{#- a comment -#}\n{%- set ns = namespace(i=0, s=messages[1:]) %}\n"
    "{%- for k, v in {'a': [1, -2], \"b\": (3,)}.items() if k is string and not v is mapping %}\n"
    "    {%- set ns.i = ns.i + loop.index0 * 2 % 3 %}\n{%- else %}none{%- endfor %}\n"
    "{% macro f(x, y=1) %}{{ x }}{% endmacro %}{% set t %}\\x41{% endset %}{{ t ~ \"\\u00e9\" }}\n"
    "{%- for m in messages[::-1] | selectattr('role', 'equalto', 'user') | list %}\n"
    "    {%- if m.content | length > 3 and '</think>' not in m['content'] or loop.last %}\n"
    "        {{- m.content.split('a')[-1].lstrip('\\n').strip() | trim | default('x', true) }}\n"
    "    {%- elif m.get('x') is not none %}{{ raise_exception('no') }}\n"
    "    {%- endif %}{{ m.role.title() if loop.first else strftime_now('%d %b') }}\n{%- endfor %}"};

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    uint8_t *data = NULL;
    if (i < sizeof seeds / sizeof *seeds) {
        *bytes = strlen(seeds[i]);
        data = mem_alloc(*bytes, 1);
    }
    if (data != NULL) {
        memcpy(data, seeds[i], *bytes);
    }
    return data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct chat_tokens tokens = {.bos = "<s>", .eos = "</s>", .bos_bytes = 3, .eos_bytes = 4};
    const struct tm now = {.tm_year = 125, .tm_mday = 1};
    chat_template_destroy(
        chat_template_find((const char *)data, bytes, "fuzz", &tokens, &now, NULL));
    return 0;
}
