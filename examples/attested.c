/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attested.h"

#include <jansson.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Options options = { .max_age_s = 600, .timeout_ms = 30000, .patience_ms = 5000 };

const GOptionEntry common_entries[] = {
        { "give", 0, 0, G_OPTION_ARG_NONE, &options.gives,
          "give evidence to a peer that asks; a server: to clients with a verified certificate or accepted evidence",
          NULL },
        { "give-to-anyone", 0, 0, G_OPTION_ARG_NONE, &options.gives_to_anyone, "... a server: to all clients", NULL },
        { "give-logs", 0, 0, G_OPTION_ARG_NONE, &options.gives_logs,
          "give the logs behind the evidence too, to a peer that is known and needs them", NULL },
        { "ask", 0, 0, G_OPTION_ARG_NONE, &options.asks, "ask for evidence, by the policy \"default\"", NULL },
        { "policy", 0, 0, G_OPTION_ARG_STRING, &options.policy, "ask, by this policy of the verifier", "NAME" },
        { "policy-file", 0, 0, G_OPTION_ARG_FILENAME, &options.policy_file, "ask, by the policy in this file", "FILE" },
        { "cert", 0, 0, G_OPTION_ARG_FILENAME, &options.cert, "our certificate and its chain, PEM", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &options.key, "its private key, PEM", "FILE" },
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &options.ca, "CAs of the peer's certificate, PEM", "FILE" },
        { "name", 0, 0, G_OPTION_ARG_STRING, &options.name, "who the peer must be: DNS name or IP address", "NAME" },
        { "profile", 0, 0, G_OPTION_ARG_STRING, &options.profile,
          "of evidence: evidence/1 (the default), expat-pad or cocos", "NAME" },
        { "compat", 0, 0, G_OPTION_ARG_NONE, &options.compat,
          "a request, an authenticator, then plain data; with --profile expat-pad or cocos", NULL },
        { "suite", 0, 0, G_OPTION_ARG_STRING, &options.suite, "cipher suites of TLS: sha256 or sha384", "HASH" },
        { "max-age", 0, 0, G_OPTION_ARG_INT, &options.max_age_s, "ask again after so long; 0 for never", "SECONDS" },
        { "timeout", 0, 0, G_OPTION_ARG_INT, &options.timeout_ms, "for an answer of the peer", "MILLISECONDS" },
        { "patience", 0, 0, G_OPTION_ARG_INT, &options.patience_ms, "with a service that was lost", "MILLISECONDS" },
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &options.verbose, "say what is exchanged and checked", NULL },
        { NULL },
};

void give_up(int status, const GError *error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fprintf(stderr, "%s%s\n", error ? ": " : "", error ? error->message : "");
        exit(status);
}

/* libattestd tells what it does by g_debug(): one line each, without decoration. */
static GLogWriterOutput print_step(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data) {
        (void) level, (void) data;
        for (gsize i = 0; i < n; i++)
                if (strcmp(fields[i].key, "MESSAGE") == 0)
                        printf("  %s\n", (const char *) fields[i].value);
        return G_LOG_WRITER_HANDLED;
}

/* A name of the command line, and what it stands for. */
typedef struct Word {
        const char *word, *meaning;
} Word;

static const Word profiles[] = {
        { "evidence/1", "tag:attestd.org,2026:evidence/1" },
        { "expat-pad", "tag:attestd.org,2026:expat-pad/1" },
        { "cocos", "tag:attestd.org,2026:cocos/1" },
        { NULL, NULL },
};
static const Word suites[] = {
        { "sha256", "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256" },
        { "sha384", "TLS_AES_256_GCM_SHA384" },
        { NULL, NULL },
};

/* Of @word, or NULL if it is none of @words. */
static const char *meaning_of(const char *word, const Word *words) {
        while (words->word && strcmp(words->word, word) != 0)
                words++;
        return words->meaning;
}

static void fill_in(bool is_server) {
        if (options.policy || options.policy_file)
                options.asks = TRUE;
        if (options.gives_to_anyone || options.gives_logs)
                options.gives = TRUE;
        if (!options.gives && !options.asks) {
                options.gives = options.gives_to_anyone = is_server;
                options.asks = !is_server;
        }
}

static bool are_wrong(void) {
        return !options.cert != !options.key || (options.gives && !options.cert) || options.max_age_s < 0 ||
               options.timeout_ms < 1 || options.timeout_ms > 600000 || options.patience_ms < 0 ||
               options.patience_ms > 600000 ||
               (options.profile && !meaning_of(options.profile, profiles)) ||
               (options.compat && (!options.profile || strcmp(options.profile, profiles[0].word) == 0)) ||
               (options.suite && !meaning_of(options.suite, suites));
}

void read_options(int *argc, char ***argv, const GOptionEntry *entries, bool is_server, const char *summary) {
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, summary);
        g_option_context_add_main_entries(context, entries, NULL);
        g_option_context_add_main_entries(context, common_entries, NULL);
        if (!g_option_context_parse(context, argc, argv, &error))
                give_up(EXIT_USAGE, error, "%s", g_get_prgname());
        fill_in(is_server);
        if (*argc > 1 || are_wrong())
                give_up(EXIT_USAGE, NULL, "%s: see --help", g_get_prgname());

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (options.verbose)
                g_log_set_writer_func(print_step, NULL, NULL);
}

static void give_up_with_openssl(const char *what) {
        char reason[256];

        ERR_error_string_n(ERR_peek_last_error(), reason, sizeof reason);
        give_up(EXIT_USAGE, NULL, "%s: %s", what, reason);
}

SSL_CTX *make_context(const SSL_METHOD *method) {
        SSL_CTX *ctx = SSL_CTX_new(method);
        GError *error = NULL;

        if (!attestd_prepare(ctx, &error))
                give_up(EXIT_USAGE, error, "cannot prepare the SSL_CTX");
        if (options.suite && SSL_CTX_set_ciphersuites(ctx, meaning_of(options.suite, suites)) != 1)
                give_up_with_openssl(options.suite);
        if (options.cert && (SSL_CTX_use_certificate_chain_file(ctx, options.cert) != 1 ||
                             SSL_CTX_use_PrivateKey_file(ctx, options.key, SSL_FILETYPE_PEM) != 1))
                give_up_with_openssl(options.cert);
        if (options.ca && SSL_CTX_load_verify_locations(ctx, options.ca, NULL) != 1)
                give_up_with_openssl(options.ca);
        if (options.ca)
                SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return ctx;
}

AttestdEndpoint *make_endpoint(SSL_CTX *ctx) {
        AttestdEndpoint *endpoint = attestd_endpoint_new();
        g_autofree char *text = NULL;
        GError *error = NULL;

        if (options.gives) {
                STACK_OF(X509) *chain = NULL;

                (void) SSL_CTX_get0_chain_certs(ctx, &chain);
                if (!attestd_endpoint_give_key(endpoint, SSL_CTX_get0_certificate(ctx), chain,
                                               SSL_CTX_get0_privatekey(ctx), &error))
                        give_up(EXIT_USAGE, error, "%s", options.cert);
        }
        if (options.policy_file && !g_file_get_contents(options.policy_file, &text, NULL, &error))
                give_up(EXIT_USAGE, error, "cannot read the policy");
        if (options.gives_to_anyone)
                attestd_endpoint_set_give_to(endpoint, ATTESTD_GIVE_TO_ANYONE);
        if (text)
                attestd_endpoint_ask_with_policy(endpoint, text);
        else if (options.asks)
                attestd_endpoint_ask(endpoint, options.policy);
        if (options.name && !attestd_endpoint_name_peer(endpoint, options.name, NULL, &error))
                give_up(EXIT_USAGE, error, "--name");

        attestd_endpoint_give_logs(endpoint, options.gives_logs);
        if (options.profile)
                attestd_endpoint_set_profile(endpoint, meaning_of(options.profile, profiles));
        attestd_endpoint_set_compat(endpoint, options.compat);
        attestd_endpoint_set_max_age(endpoint, (guint) options.max_age_s);
        attestd_endpoint_set_timeout(endpoint, (guint) options.timeout_ms);
        attestd_endpoint_set_patience(endpoint, (guint) options.patience_ms);
        return endpoint;
}

static void print_checks(const json_t *result) {
        json_t *check;
        size_t i;

        json_array_foreach(json_object_get(result, "checks"), i, check)
                printf("  %-11s %s  %s\n", json_string_value(json_object_get(check, "status")),
                       json_string_value(json_object_get(check, "name")),
                       json_string_value(json_object_get(check, "detail")));
}

static const char *text_of(const json_t *entry, const char *key) {
        const char *text = json_string_value(json_object_get(entry, key));

        return text ? text : "-";
}

/* What the verifier was told of for the first time. */
static void print_log(const json_t *result) {
        const json_t *log = json_object_get(result, "ima_log");
        json_t *entry;
        size_t i;

        if (!log)
                return;
        json_array_foreach(json_object_get(log, "new"), i, entry) {
                /* The peer's word: whoever names a file may put into it what a terminal obeys, or another line. */
                g_autofree char *path = g_strescape(text_of(entry, "path"), NULL);

                printf("ran %s %s: %s\n", path, text_of(entry, "digest"), text_of(entry, "verdict"));
        }
        if (options.verbose)
                printf("  %" JSON_INTEGER_FORMAT " entries of the log\n",
                       json_integer_value(json_object_get(log, "entries")));
}

void print_result(AttestdConnection *connection, char **told) {
        const char *text = attestd_connection_result(connection);
        json_t *result;

        if (!text || g_strcmp0(text, *told) == 0)
                return;
        g_free(*told);
        *told = g_strdup(text);
        result = json_loads(text, 0, NULL);
        print_log(result);
        if (options.verbose)
                print_checks(result);
        json_decref(result);
}
