/* Generates text with libquadriga: client MODEL.gguf PROMPT */
#include <quadriga.h>
#include <stdio.h>
#include <string.h>

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    fprintf(stderr, "\rloading %3.0f %%", 100.0 * (double)done / (double)(total + !total));
    return true; /* false cancels */
}

static bool on_token(void *user, uint32_t token, const char *text, size_t bytes)
{
    (void)user, (void)token;
    return fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    char error[256] = "usage: client MODEL.gguf PROMPT";
    qd_context *context = NULL;
    qd_model *model = NULL;
    qd_session *session = NULL;
    uint32_t ids[256];
    size_t n = 0;
    if (argc != 3 || qd_context_create(NULL, &context, error, sizeof error) != QD_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    struct qd_model_params load = {.path = argv[1], .progress = on_progress};
    bool ok = qd_model_load(context, &load, &model) == QD_OK &&
              qd_session_create(model, &session) == QD_OK &&
              qd_tokenize(model, argv[2], strlen(argv[2]), true, false, ids, 256, &n) == QD_OK;
    struct qd_generate_params generate = {
        .prompt = ids, .n_prompt = n < 256 ? n : 256, .n_predict = 32, .on_token = on_token};
    ok = ok && qd_session_generate(session, &generate, NULL) == QD_OK;
    fprintf(stderr, "\n%s\n", ok ? "done" : qd_last_error(context));
    qd_session_destroy(&session);
    qd_model_destroy(&model);
    qd_context_destroy(&context);
    return ok ? 0 : 1;
}
