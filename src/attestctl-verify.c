/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl verify: the verifier's appraisal, in this process. */
#include "attestctl.h"

#include "verifier/appraisal.h"

#include <stdio.h>
#include <string.h>

typedef struct Options {
        char *report_data;
        char *binding;
        char *hash;
        char *role;
        char *at;
        char **certs;
        char *policy;
        char *ima_log;
        char *ima_bank;
        char *boot_log;
        gboolean batch;
        gboolean as_json;
} Options;

static void options_clear(Options *o) {
        g_free(o->report_data);
        g_free(o->binding);
        g_free(o->hash);
        g_free(o->role);
        g_free(o->at);
        g_strfreev(o->certs);
        g_free(o->policy);
        g_free(o->ima_log);
        g_free(o->ima_bank);
        g_free(o->boot_log);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* Exactly @size bytes: nothing is cut, and nothing padded. */
static bool take_hex(const char *text, size_t size, uint8_t *ret) {
        g_autoptr(GBytes) bytes = ctl_unhex(text);

        if (!bytes || g_bytes_get_size(bytes) != size)
                return false;
        memcpy(ret, g_bytes_get_data(bytes, NULL), size);
        return true;
}

static bool take_bound_to(const Options *o, AttAppraisalInput *input) {
        if ((o->hash || o->role) && !o->binding)
                return ctl_fail(false, "--hash and --role say what --binding is: it is missing");
        if (o->report_data && o->binding)
                return ctl_fail(false, "--report-data and --binding exclude each other");

        if (o->report_data) {
                input->bound_to = ATT_BOUND_REPORT_DATA;
                return take_hex(o->report_data, ATT_REPORT_DATA_SIZE, input->report_data) ||
                       ctl_fail(false, "--report-data takes exactly %u bytes in hexadecimal", ATT_REPORT_DATA_SIZE);
        }
        if (!o->binding)
                return true;

        input->bound_to = ATT_BOUND_BINDING;
        if (g_strcmp0(o->hash, "sha256") == 0)
                input->hash = ATT_HASH_SHA256;
        else if (g_strcmp0(o->hash, "sha384") == 0)
                input->hash = ATT_HASH_SHA384;
        else
                return ctl_fail(false, "--binding needs --hash sha256 or sha384");
        if (g_strcmp0(o->role, "client") == 0)
                input->role = ATT_ROLE_CLIENT;
        else if (g_strcmp0(o->role, "server") == 0)
                input->role = ATT_ROLE_SERVER;
        else
                return ctl_fail(false, "--binding needs --role client or server: the end that attests");
        return take_hex(o->binding, att_hash_size(input->hash), input->binding) ||
               ctl_fail(false, "--binding takes exactly %zu bytes in hexadecimal with %s",
                        att_hash_size(input->hash), att_hash_name(input->hash));
}

/* "2026-11-22T10:00:00Z", with any offset, or seconds since the epoch. */
static bool take_time(const char *text, int64_t *ret) {
        g_autoptr(GDateTime) time = NULL;

        if (g_ascii_string_to_signed(text, 10, 0, G_MAXINT64, ret, NULL))
                return true;

        /* GLib also takes forms of ISO 8601 that RFC 3339 does not have. */
        if (strlen(text) < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':')
                return false;
        time = g_date_time_new_from_iso8601(text, NULL);
        if (!time)
                return false;
        *ret = g_date_time_to_unix(time);
        return true;
}

static gpointer copy_certificate(gconstpointer certificate, gpointer unused) {
        (void) unused;
        return att_certificate_ref((AttCertificate *) certificate);
}

static GPtrArray *read_certificates(const char *path, GError **error) {
        g_autoptr(GBytes) file = ctl_read(path, error);
        GPtrArray *all;
        gsize size;
        const void *data;

        if (!file)
                return NULL;
        data = g_bytes_get_data(file, &size);
        all = att_certificates_from_bytes(data, size, error);
        if (!all)
                g_prefix_error(error, "%s: ", path);
        return all;
}

static GPtrArray *read_all_certificates(char **paths, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);

        for (; *paths; paths++) {
                g_autoptr(GPtrArray) some = read_certificates(*paths, error);

                if (!some)
                        return NULL;
                g_ptr_array_extend(all, some, copy_certificate, NULL);
        }
        return g_steal_pointer(&all);
}

/* The logs beside the evidence. What is wrong with the IMA log is for the verdict to say. */
static bool read_logs(const Options *o, AttPolicy *policy, AttImaHistory **ret_ima, GBytes **ret_boot,
                      GError **ret_problem) {
        g_autoptr(GBytes) ima = NULL;
        g_autoptr(GError) error = NULL;
        AttBank bank = ATT_BANK_SHA1;

        if (o->ima_bank && (!o->ima_log || !att_bank_from_name(o->ima_bank, &bank)))
                return ctl_fail(false, "--ima-bank takes sha1, sha256, sha384 or sha512, with --ima-log");
        if (o->boot_log && !(*ret_boot = ctl_read_up_to(o->boot_log, ATT_BOOT_LOG_MAX, &error)))
                return ctl_fail(false, "%s", error->message);
        if (!o->ima_log)
                return true;
        ima = ctl_read_up_to(o->ima_log, ATT_IMA_LOG_HELD_MAX, &error);
        if (!ima)
                return ctl_fail(false, "%s", error->message);
        if (!policy)
                return true;
        *ret_ima = att_ima_history_new(policy);
        if (!att_ima_history_add_all(*ret_ima, ima, bank, ret_problem))
                g_clear_pointer(ret_ima, att_ima_history_free);
        return true;
}

static void print_result(const AttResult *result) {
        const GPtrArray *checks = att_result_checks(result);

        for (guint i = 0; i < checks->len; i++) {
                const AttCheck *check = checks->pdata[i];

                (void) printf("%-11s  %-20s  ", att_check_status_name(check->status), check->name);
                ctl_print(check->detail);
                (void) putchar('\n');
        }
        if (att_result_accepted(result)) {
                (void) printf("accepted\n");
        } else {
                (void) printf("refused: ");
                ctl_print(att_result_reason(result));
                (void) putchar('\n');
        }
}

int ctl_verify(int argc, char **argv) {
        g_auto(Options) o = { 0 };
        const GOptionEntry options[] = {
                { "report-data", 0, 0, G_OPTION_ARG_STRING, &o.report_data, "REPORTDATA that it must have, 64 bytes",
                  "HEX" },
                { "binding", 0, 0, G_OPTION_ARG_STRING, &o.binding, "Binding that its claims must have", "HEX" },
                { "hash", 0, 0, G_OPTION_ARG_STRING, &o.hash, "With --binding: sha256 or sha384", "NAME" },
                { "role", 0, 0, G_OPTION_ARG_STRING, &o.role, "With --binding: client or server, the end that attests",
                  "ROLE" },
                { "batch", 0, 0, G_OPTION_ARG_NONE, &o.batch,
                  "Take evidence of a batch, whose report speaks for many requests", NULL },
                { "at", 0, 0, G_OPTION_ARG_STRING, &o.at,
                  "Hold validity against TIME (RFC 3339, or seconds since 1970), not now", "TIME" },
                { "certs", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o.certs,
                  "Certificates (PEM, or one in DER) that the evidence lacks; may be given more than once", "FILE" },
                { "policy", 0, 0, G_OPTION_ARG_FILENAME, &o.policy,
                  "Policy, instead of " ATT_POLICY_DEFAULT, "FILE" },
                { "ima-log", 0, 0, G_OPTION_ARG_FILENAME, &o.ima_log,
                  "IMA log beside the evidence: the kernel's binary_runtime_measurements", "FILE" },
                { "ima-bank", 0, 0, G_OPTION_ARG_STRING, &o.ima_bank,
                  "With --ima-log: whose digests it has, sha1 (the default), sha256, sha384 or sha512", "BANK" },
                { "boot-log", 0, 0, G_OPTION_ARG_FILENAME, &o.boot_log, "Event log of the boot beside the evidence",
                  "FILE" },
                { "json", 0, 0, G_OPTION_ARG_NONE, &o.as_json, "Print one JSON object", NULL },
                { NULL },
        };
        AttAppraisalInput input = { .at = g_get_real_time() / G_USEC_PER_SEC };
        g_autoptr(GPtrArray) certificates = NULL;
        g_autoptr(AttPolicy) policy = NULL;
        g_autoptr(AttResult) result = NULL;
        g_autoptr(GBytes) evidence = NULL, policy_text = NULL, boot_log = NULL;
        g_autoptr(AttImaHistory) ima_log = NULL;
        g_autoptr(GError) error = NULL, log_problem = NULL;
        char **operands;

        operands = ctl_parse(argc, argv, options, "FILE", 1,
                             "Appraises the evidence in FILE (\"-\": stdin): a CMW, a tsm-report, a bare TDX quote,\n"
                             "or an SNP report, bare or in the envelope of an Azure vTPM.\n"
                             "Exits with 0 if it is accepted, 1 if it is refused, 2 if that could not be tried.");
        if (!operands || !take_bound_to(&o, &input))
                return CTL_USAGE;
        if (o.at && !take_time(o.at, &input.at))
                return ctl_fail(CTL_USAGE, "--at takes a time such as 2026-11-22T10:00:00Z, or seconds since 1970");
        if (o.certs && !(certificates = read_all_certificates(o.certs, &error)))
                return ctl_fail(CTL_USAGE, "%s", error->message);
        evidence = ctl_read(operands[0], &error);
        if (!evidence)
                return ctl_fail(CTL_USAGE, "%s", error->message);

        /* A policy that is read and refused refuses; so does a default that is not there. */
        policy_text = ctl_read_up_to(o.policy ? o.policy : ATT_POLICY_DEFAULT, ATT_POLICY_SIZE_MAX, &error);
        if (!policy_text && o.policy)
                return ctl_fail(CTL_USAGE, "%s", error->message);
        if (!policy_text)
                g_prefix_error(&error, "there is no policy: put one there, or name one with --policy: ");
        else
                policy = att_policy_parse(o.policy ? o.policy : ATT_POLICY_DEFAULT, g_bytes_get_data(policy_text, NULL),
                                          g_bytes_get_size(policy_text), &error);

        if (!read_logs(&o, policy, &ima_log, &boot_log, &log_problem))
                return CTL_USAGE;

        input.evidence = evidence;
        input.ima_log = ima_log;
        input.no_ima_log = log_problem ? log_problem->message : NULL;
        input.boot_log = boot_log;
        input.batch = o.batch;
        input.policy = policy;
        input.no_policy = error ? error->message : NULL;
        input.extra_certificates = certificates;
        result = att_appraise(&input);

        if (o.as_json) {
                g_autofree char *json = att_result_to_json(result, true);

                (void) printf("%s\n", json);
        } else {
                print_result(result);
        }
        return att_result_accepted(result) ? CTL_YES : CTL_NO;
}
