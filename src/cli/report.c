/* Rates, exchanges, shares and memory of a session in lines for people. */
#include "cli/report.h"

#include <inttypes.h>
#include <stdio.h>

static void print_rate(const char *what, uint64_t tokens, uint64_t ns)
{
    fprintf(stderr, "  %-12s %8" PRIu64 " tokens  %10.1f tokens/s\n", what, tokens,
            ns != 0 ? (double)tokens / ((double)ns / 1e9) : 0);
}

/* Of decode steps; where there were none, of the prompt's. */
static void print_exchanges(const struct qd_stats *stats)
{
    bool decode = stats->decode_tokens != 0;
    double tokens = (double)(decode ? stats->decode_tokens : stats->prefill_tokens);
    double n = (double)(decode ? stats->decode_exchanges : stats->exchanges);
    double bytes = (double)(decode ? stats->decode_exchanged_bytes : stats->exchanged_bytes);
    tokens = tokens > 0 ? tokens : 1;
    fprintf(stderr, "  %-12s %8.1f a token %9.0f bytes a token\n", "exchanges", n / tokens,
            bytes / tokens);
}

void cli_report(const qd_model *model, const qd_session *session,
                const struct qd_generate_result *result)
{
    static const char *const stops[] = {
        [QD_STOP_LIMIT] = "the limit of -n", [QD_STOP_END_TOKEN] = "an end token",
        [QD_STOP_TEXT] = "a stop text",      [QD_STOP_CONTEXT] = "a full context",
        [QD_STOP_CALLBACK] = "Ctrl-C",
    };
    struct qd_stats stats;
    struct qd_model_info info;
    qd_session_get_stats(session, &stats);
    qd_model_get_info(model, &info);
    fprintf(stderr, "\n  %-12s %8.3f s, %.3f GB of weights in %.3f s\n", "load",
            (double)stats.load_ns / 1e9, (double)info.weights_bytes / 1e9,
            (double)info.weights_ns / 1e9);
    print_rate("prefill", stats.prefill_tokens, stats.prefill_ns);
    print_rate("decode", stats.decode_tokens, stats.decode_ns);
    fprintf(stderr, "  %-12s %8.1f ms\n", "first token", (double)stats.first_token_ns / 1e6);
    print_exchanges(&stats);
    fprintf(stderr, "  %-12s", "busy");
    for (uint32_t d = 0; d < info.n_devices; d++) {
        fprintf(stderr, " %s[%u] %.0f %%", d == 0 ? "    " : "", d,
                stats.step_ns != 0 ? 100.0 * (double)stats.device_busy_ns[d] / (double)stats.step_ns
                                   : 0);
    }
    fprintf(stderr, "\n  %-12s", "peak memory");
    for (uint32_t d = 0; d < info.n_devices; d++) {
        fprintf(stderr, " %s[%u] %.0f MiB", d == 0 ? "    " : "", d,
                (double)stats.device_peak_bytes[d] / (1 << 20));
    }
    fprintf(stderr, "  host %.0f MiB\n", (double)stats.host_peak_bytes / (1 << 20));
    fprintf(stderr, "  %-12s %8u tokens, stopped by %s\n", "generated", result->n_generated,
            (unsigned)result->stop <= QD_STOP_CALLBACK ? stops[result->stop] : "?");
}
