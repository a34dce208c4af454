/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"
#include "util/bytes.h"

int att_attester1_get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        const AttTee *tee = att_attester_tee(a->attester);
        const char *text;

        (void) bus, (void) path, (void) interface, (void) error;
        if (g_str_equal(property, "Version"))
                text = ATT_VERSION;
        else if (g_str_equal(property, "Tee"))
                text = att_tee_name(tee);
        else if (g_str_equal(property, "Provider"))
                text = att_tee_provider(tee);
        else if (g_str_equal(property, "ReportSource"))
                text = att_tee_source(tee);
        else if (g_str_equal(property, "State"))
                text = att_tee_state_name(att_tee_state(tee));
        else
                text = att_tee_detail(tee);
        return sd_bus_message_append_basic(reply, 's', text);
}

int att_attester1_get_runtime(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        const AttRuntime *rt = att_attester_runtime(a->attester);
        g_autofree char *valid = NULL;
        const char *text;

        (void) bus, (void) path, (void) interface, (void) error;
        if (g_str_equal(property, "ImaState"))
                text = att_ima_state_name(att_runtime_ima_state(rt));
        else if (g_str_equal(property, "ImaDetail"))
                text = att_runtime_ima_detail(rt);
        else if (g_str_equal(property, "ImaListed"))
                text = att_runtime_ima_listed(rt);
        else if (g_str_equal(property, "ImaRoot"))
                text = att_runtime_root(rt);
        else if (g_str_equal(property, "RootDetail"))
                text = att_runtime_root_detail(rt);
        else if (g_str_equal(property, "EventSource"))
                text = att_runtime_event_source(rt);
        else
                text = att_runtime_event_detail(rt);

        valid = g_utf8_make_valid(text, -1); /* it may name what stands in a garbled log */
        return sd_bus_message_append_basic(reply, 's', valid);
}

int att_attester1_get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        const AttGeneration *g = att_attester_generation(a->attester);
        const uint8_t *id = g_str_equal(property, "BootId") ? att_generation_boot_id(g) : att_generation_instance_id(g);
        char text[ATT_ID_TEXT_SIZE];

        (void) bus, (void) path, (void) interface, (void) error;
        att_hex(id, ATT_INSTANCE_ID_SIZE, text);
        return sd_bus_message_append_basic(reply, 's', text);
}

int att_attester1_get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        uint64_t n;

        (void) bus, (void) path, (void) interface, (void) error;
        if (g_str_equal(property, "Generation"))
                n = att_generation_get(att_attester_generation(a->attester));
        else if (g_str_equal(property, "ImaCount"))
                n = att_runtime_ima_count(att_attester_runtime(a->attester));
        else if (g_str_equal(property, "ImaViolations"))
                n = att_runtime_ima_violations(att_attester_runtime(a->attester));
        else if (g_str_equal(property, "ReportThrottlePeriod"))
                n = att_tee_throttle_period_us(att_attester_tee(a->attester));
        else if (g_str_equal(property, "ReportWait"))
                n = (uint64_t) att_tee_expected_wait_us(att_attester_tee(a->attester), 1);
        else
                n = att_tee_interval_us(att_attester_tee(a->attester));
        return sd_bus_message_append_basic(reply, 't', &n);
}

int att_attester1_get_throttle_count(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        uint32_t n = att_tee_throttle_count(att_attester_tee(a->attester));

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append_basic(reply, 'u', &n);
}

int att_attester1_get_profiles(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append_strv(reply, (char **) att_profiles);
}

int att_attester1_get_session_generation(sd_bus *bus, const char *path, const char *interface, const char *property,
                                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Session *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append(reply, "t", att_session_evidence_generation(s->inner));
}

int att_attester1_get_session_stale(sd_bus *bus, const char *path, const char *interface, const char *property,
                                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Session *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append(reply, "b", (int) att_session_is_stale(s->inner));
}
