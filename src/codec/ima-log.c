/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/ima-log.h"

#include "util/error.h"

#include <string.h>

#define PCR_MAX 63u        /* the kernel has a bit for each in a word */
#define FIELDS_MAX 15u     /* of a template, the kernel's limit */
#define LEGACY_DIGEST 20u  /* of template "ima": SHA-1, or MD5 and zeros */
#define LEGACY_NAME_MAX 255u
#define NAME_OF_ALGORITHM_MAX 24u
#define FILE_DIGEST_MAX 64u

typedef enum {
        D, N, D_NG, D_NGV2, N_NG, SIG, BUF, D_MODSIG, MODSIG,
        EVMSIG, XATTR_NAMES, XATTR_LENGTHS, XATTR_VALUES, IUID, IGID, IMODE,
} Field;

static const char *const field_names[] = {
        [D] = "d", [N] = "n", [D_NG] = "d-ng", [D_NGV2] = "d-ngv2", [N_NG] = "n-ng", [SIG] = "sig", [BUF] = "buf",
        [D_MODSIG] = "d-modsig", [MODSIG] = "modsig", [EVMSIG] = "evmsig", [XATTR_NAMES] = "xattrnames",
        [XATTR_LENGTHS] = "xattrlengths", [XATTR_VALUES] = "xattrvalues", [IUID] = "iuid", [IGID] = "igid",
        [IMODE] = "imode",
};

typedef struct Template {
        const char *name;
        uint32_t name_size, n_fields;
        Field fields[FIELDS_MAX];
} Template;

/* The common ones first. "ima" is not here: it has a layout of its own. */
static const Template templates[] = {
        { "ima-sig", 7, 3, { D_NG, N_NG, SIG } },
        { "ima-ng", 6, 2, { D_NG, N_NG } },
        { "ima-ngv2", 8, 2, { D_NGV2, N_NG } },
        { "ima-sigv2", 9, 3, { D_NGV2, N_NG, SIG } },
        { "ima-buf", 7, 3, { D_NG, N_NG, BUF } },
        { "ima-modsig", 10, 5, { D_NG, N_NG, SIG, D_MODSIG, MODSIG } },
        { "evm-sig", 7, 9, { D_NG, N_NG, EVMSIG, XATTR_NAMES, XATTR_LENGTHS, XATTR_VALUES, IUID, IGID, IMODE } },
};

/* Of the kernel's hash_algo_name. Another one may come: its digest then has any length. */
static const struct {
        const char *name;
        size_t size;
} algorithms[] = {
        { "sha1", 20 }, { "sha384", 48 }, { "sha512", 64 }, { "sha224", 28 }, { "sha256", 32 }, { "md5", 16 },
        { "md4", 16 }, { "sm3", 32 }, { "rmd128", 16 }, { "rmd160", 20 }, { "rmd256", 32 }, { "rmd320", 40 },
        { "wp256", 32 }, { "wp384", 48 }, { "wp512", 64 }, { "tgr128", 16 }, { "tgr160", 20 }, { "tgr192", 24 },
        { "streebog256", 32 }, { "streebog512", 64 }, { "sha3-256", 32 }, { "sha3-384", 48 }, { "sha3-512", 64 },
};

/* Where in the record, for what an error says. */
typedef struct Place {
        const uint8_t *record;
        GError **error;
} Place;

static bool is_name(const char *s, const void *name, size_t size) {
        return strlen(s) == size && memcmp(s, name, size) == 0;
}

static bool is_zero(AttCursor c) {
        size_t i = 0;

        while (i < c.left && c.at[i] == 0)
                i++;
        return i == c.left;
}

/* What a stranger wrote, fit for a message. */
static char *printable(const void *text, size_t size) {
        char *out = g_strndup(text, size);

        for (size_t i = 0; i < size; i++)
                if (!g_ascii_isgraph(out[i]))
                        out[i] = '?';
        return out;
}

static bool field_error(const Place *place, AttCursor field, Field id, const char *why) {
        return att_error_set(place->error, ATT_ERROR_BAD_DATA, "field %s at byte %zu of the record %s", field_names[id],
                             (size_t) (field.at - place->record), why);
}

typedef struct Digest {
        const char *type, *algorithm;
        size_t type_size, algorithm_size;
        AttCursor digest;
} Digest;

/* Nearly all are such: a log may have a million of them. */
static bool parse_sha256(AttCursor field, Digest *ret) {
        static const char prefix[8] = "sha256:";

        if (field.left != sizeof prefix + 32 || memcmp(field.at, prefix, sizeof prefix) != 0)
                return false;
        ret->algorithm = (const char *) field.at;
        ret->algorithm_size = strlen("sha256");
        ret->digest = att_cursor(field.at + sizeof prefix, 32);
        return true;
}

/* "sha256:" NUL digest, or with @has_type "ima:sha256:" NUL digest. */
static bool parse_digest(const Place *place, AttCursor field, Field id, bool has_type, Digest *ret) {
        AttCursor c = field;
        const uint8_t *colon, *name, *end;
        size_t size;

        if (!has_type && parse_sha256(field, ret))
                return true;
        end = memchr(field.at, '\0', MIN(field.left, NAME_OF_ALGORITHM_MAX));
        if (!end || end - field.at < 2 || end[-1] != ':')
                return field_error(place, field, id, "does not begin with an algorithm");

        name = field.at;
        colon = memchr(name, ':', (size_t) (end - name));
        if (has_type) {
                if (colon == end - 1 || !(is_name("ima", name, (size_t) (colon - name)) ||
                                          is_name("verity", name, (size_t) (colon - name))))
                        return field_error(place, field, id, "has no type of digest that is known");
                ret->type = (const char *) name;
                ret->type_size = (size_t) (colon - name);
                name = colon + 1;
                colon = memchr(name, ':', (size_t) (end - name));
        }
        if (colon != end - 1 || colon == name)
                return field_error(place, field, id, "does not begin with an algorithm");
        for (const uint8_t *p = name; p < colon; p++)
                if (!g_ascii_islower(*p) && !g_ascii_isdigit(*p) && *p != '-')
                        return field_error(place, field, id, "does not begin with an algorithm");

        (void) att_take(&c, (size_t) (end + 1 - field.at));
        size = (size_t) (colon - name);
        if (c.left == 0 || c.left > FILE_DIGEST_MAX)
                return field_error(place, field, id, "has no digest of 1 to 64 bytes");
        for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++)
                if (is_name(algorithms[i].name, name, size)) {
                        if (c.left != algorithms[i].size)
                                return field_error(place, field, id, "has a digest of the wrong length");
                        break;
                }

        ret->algorithm = (const char *) name;
        ret->algorithm_size = size;
        ret->digest = c;
        return true;
}

/* Text with its NUL, which is the only one. */
static bool parse_text(const Place *place, AttCursor field, Field id, AttCursor *ret) {
        const uint8_t *end = field.left > 0 ? memchr(field.at, '\0', field.left) : NULL;

        if (!end || (size_t) (end - field.at) != field.left - 1)
                return field_error(place, field, id, end ? "has a NUL within" : "has no NUL at its end");
        *ret = att_cursor(field.at, field.left - 1);
        return true;
}

static bool parse_field(const Place *place, AttCursor field, Field id, AttImaRecord *r) {
        Digest digest = { 0 };
        AttCursor names;

        switch (id) {
        case D:
                if (field.left != 16 && field.left != LEGACY_DIGEST)
                        return field_error(place, field, id, "has not the length of MD5 or SHA-1");
                if (!r->file_digest.at) {
                        r->algorithm = field.left == LEGACY_DIGEST ? "sha1" : "md5";
                        r->algorithm_size = strlen(r->algorithm);
                        r->file_digest = field;
                }
                return true;
        case D_NG:
        case D_NGV2:
                if (!parse_digest(place, field, id, id == D_NGV2, &digest))
                        return false;
                r->algorithm = digest.algorithm;
                r->algorithm_size = digest.algorithm_size;
                r->digest_type = digest.type;
                r->digest_type_size = digest.type_size;
                r->file_digest = digest.digest;
                return true;
        case N:
        case N_NG:
                return parse_text(place, field, id, &r->path);
        case SIG:
                r->signature = field;
                return true;
        case EVMSIG:
                if (!r->signature.at)
                        r->signature = field;
                return true;
        case BUF:
                r->buffer = field;
                return true;
        case D_MODSIG:
                if (field.left > 0 && !parse_digest(place, field, id, false, &digest))
                        return false;
                r->modsig_algorithm = digest.algorithm;
                r->modsig_algorithm_size = digest.algorithm_size;
                r->modsig_digest = digest.digest;
                return true;
        case MODSIG:
                r->modsig = field;
                return true;
        case XATTR_NAMES:
                return field.left == 0 || parse_text(place, field, id, &names);
        case XATTR_LENGTHS:
                return field.left % 4 == 0 || field_error(place, field, id, "is no list of numbers");
        case XATTR_VALUES:
                return true;
        case IUID:
        case IGID:
                return field.left == 0 || field.left == 2 || field.left == 4 ||
                       field_error(place, field, id, "is no number");
        case IMODE:
                return field.left == 0 || field.left == 2 || field_error(place, field, id, "is no file mode");
        }
        return false;
}

static bool parse_fields(const Place *place, const Template *t, AttImaRecord *r) {
        AttCursor c = r->data;

        for (size_t i = 0; i < t->n_fields; i++) {
                AttCursor at = c, field;

                field = att_take_sub(&c, att_take_u32le(&c));
                if (c.failed)
                        return field_error(place, at, t->fields[i], "is longer than the template data");
                if (!parse_field(place, field, t->fields[i], r))
                        return false;
        }
        if (c.left > 0)
                return att_error_set(place->error, ATT_ERROR_BAD_DATA,
                                     "the template data goes on at byte %zu of the record, behind its last field",
                                     (size_t) (c.at - place->record));
        return true;
}

/* "d-ng|n-ng|sig" */
static bool parse_format(const Place *place, const char *name, size_t size, Template *ret) {
        const char *end = name + size;
        unsigned seen = 0;

        ret->n_fields = 0;
        for (const char *p = name; p <= end;) {
                const char *bar = memchr(p, '|', (size_t) (end - p)), *stop = bar ? bar : end;
                size_t id = 0;

                while (id < G_N_ELEMENTS(field_names) && !is_name(field_names[id], p, (size_t) (stop - p)))
                        id++;
                if (id == G_N_ELEMENTS(field_names) || (seen & 1u << id) || ret->n_fields == FIELDS_MAX) {
                        g_autofree char *text = printable(name, size), *part = printable(p, (size_t) (stop - p));
                        const char *why = id == G_N_ELEMENTS(field_names) ? "is not known" : "stands there twice";

                        if (part[0] && stop - p < end - name)
                                return att_error_set(place->error, ATT_ERROR_BAD_DATA, "field %s of template %s %s",
                                                     part, text, why);
                        return att_error_set(place->error, ATT_ERROR_BAD_DATA, "template %s is not known", text);
                }
                seen |= 1u << id;
                ret->fields[ret->n_fields++] = (Field) id;
                p = stop + 1;
        }
        return true;
}

static bool parse_data(const Place *place, AttImaRecord *r) {
        Template custom = { 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(templates); i++)
                if (templates[i].name_size == r->template_name_size &&
                    memcmp(templates[i].name, r->template_name, r->template_name_size) == 0)
                        return parse_fields(place, &templates[i], r);
        return parse_format(place, r->template_name, r->template_name_size, &custom) && parse_fields(place, &custom, r);
}

/* 20 bytes, then a length and so many bytes of the path: no length of the whole, no NUL. */
static AttImaParsed take_legacy(const Place *place, AttCursor *c, AttImaRecord *r) {
        AttCursor whole = *c;
        const uint8_t *digest = att_take(c, LEGACY_DIGEST);
        uint32_t size = att_take_u32le(c);

        if (c->failed)
                return ATT_IMA_MORE;
        if (size > LEGACY_NAME_MAX) {
                att_error_set(place->error, ATT_ERROR_BAD_DATA, "template ima has a path of %u bytes, %u at most", size,
                              LEGACY_NAME_MAX);
                return ATT_IMA_BAD;
        }
        r->path = att_take_sub(c, size);
        if (c->failed)
                return ATT_IMA_MORE;
        if (size > 0 && memchr(r->path.at, '\0', size)) {
                (void) field_error(place, r->path, N, "has a NUL within");
                return ATT_IMA_BAD;
        }

        r->is_legacy = true;
        r->algorithm = "sha1";
        r->algorithm_size = strlen("sha1");
        r->file_digest = att_cursor(digest, LEGACY_DIGEST);
        r->data = att_cursor(whole.at, LEGACY_DIGEST + 4 + size);
        return ATT_IMA_RECORD;
}

static AttImaParsed take_data(const Place *place, AttCursor *c, AttImaRecord *r) {
        uint32_t size = att_take_u32le(c);

        if (c->failed)
                return ATT_IMA_MORE;
        if (size > ATT_IMA_DATA_MAX) {
                att_error_set(place->error, ATT_ERROR_TOO_LARGE, "template data of %u bytes, %u at most", size,
                              ATT_IMA_DATA_MAX);
                return ATT_IMA_BAD;
        }
        r->data = att_take_sub(c, size);
        if (c->failed)
                return ATT_IMA_MORE;
        return parse_data(place, r) ? ATT_IMA_RECORD : ATT_IMA_BAD;
}

AttImaParsed att_ima_record_parse(AttCursor *log, AttBank bank, AttImaRecord *ret, GError **error) {
        const Place place = { .record = log->at, .error = error };
        AttCursor c = *log;
        AttImaRecord r = { 0 };
        uint32_t name_size;
        AttImaParsed parsed;

        r.pcr = att_take_u32le(&c);
        if (c.failed)
                return ATT_IMA_MORE;
        if (r.pcr > PCR_MAX) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "PCR %u, %u at most", r.pcr, PCR_MAX);
                return ATT_IMA_BAD;
        }
        r.digest = att_take(&c, att_bank_size(bank));
        name_size = att_take_u32le(&c);
        if (c.failed)
                return ATT_IMA_MORE;
        if (name_size == 0 || name_size > ATT_IMA_TEMPLATE_NAME_MAX) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "a template name of %u bytes, not 1 to %u", name_size,
                              ATT_IMA_TEMPLATE_NAME_MAX);
                return ATT_IMA_BAD;
        }
        r.template_name = (const char *) att_take(&c, name_size);
        r.template_name_size = name_size;
        if (c.failed)
                return ATT_IMA_MORE;

        r.is_violation = is_zero(att_cursor(r.digest, att_bank_size(bank)));
        parsed = is_name("ima", r.template_name, name_size) ? take_legacy(&place, &c, &r) : take_data(&place, &c, &r);
        if (parsed != ATT_IMA_RECORD)
                return parsed;
        if (r.is_violation && !is_zero(r.file_digest)) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "a violation with a file digest");
                return ATT_IMA_BAD;
        }

        *log = c;
        *ret = r;
        return ATT_IMA_RECORD;
}
