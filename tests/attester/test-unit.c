/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/unit.h"

#include "run.h"

#include <glib.h>
#include <string.h>

#define LEGACY "9:name=systemd:/system.slice/other.service\n1:cpu:/\n"

static const struct {
        const char *text;
        AttUnitKind kind;
        const char *name;
} rows[] = {
        { "0::/system.slice/payroll.service\n", ATT_UNIT_SYSTEM, "payroll.service" },
        { LEGACY "0::/system.slice/payroll.service\n", ATT_UNIT_SYSTEM, "payroll.service" },
        { "0::/payroll.service\n", ATT_UNIT_SYSTEM, "payroll.service" },
        { "0::/a.slice/a-b.slice/a-b-c.slice/payroll@7.service/worker/1\n", ATT_UNIT_SYSTEM, "payroll@7.service" },
        { "0::/system.slice/system-pay.slice/pay@x\\x2dy.service\n", ATT_UNIT_SYSTEM, "pay@x\\x2dy.service" },
        { "0::/system.slice/_cgroup.service\n", ATT_UNIT_SYSTEM, "cgroup.service" },
        { "0::/system.slice/docker.service\n", ATT_UNIT_SYSTEM, "docker.service" },
        { "0::/system.slice/docker-registry.service\n", ATT_UNIT_SYSTEM, "docker-registry.service" },
        { "0::/system.slice/run-x.mount\n", ATT_UNIT_SYSTEM, "run-x.mount" },
        { "0::/system.slice/cups.socket\n", ATT_UNIT_SYSTEM, "cups.socket" },

        /* The user's word, whatever it says. */
        { "0::/user.slice/user-7.slice/user@7.service/app.slice/payroll.service\n", ATT_UNIT_USER, "payroll.service" },
        { "0::/user.slice/user-7.slice/user@7.service/system.slice/a.service\n", ATT_UNIT_USER, "a.service" },
        { "0::/user.slice/user-7.slice/user@7.service/docker/abc\n", ATT_UNIT_USER, "user@7.service" },
        { "0::/user.slice/user-7.slice/user@7.service/init.scope\n", ATT_UNIT_USER, "init.scope" },
        { "0::/user.slice/user-7.slice/user@7.service\n", ATT_UNIT_USER, "user@7.service" },
        { "0::/user.slice/user-7.slice/session-3.scope\n", ATT_UNIT_SCOPE, "session-3.scope" },
        { "0::/user.slice/user-7.slice/session-3.scope/payroll.service\n", ATT_UNIT_SCOPE, "session-3.scope" },
        { "0::/init.scope\n", ATT_UNIT_SCOPE, "init.scope" },

        { "0::/system.slice/docker-0123.scope\n", ATT_UNIT_CONTAINER, "docker-0123.scope" },
        { "0::/docker/0123\n", ATT_UNIT_CONTAINER, "0123" },
        { "0::/lxc.payload.web/system.slice/payroll.service\n", ATT_UNIT_CONTAINER, "payroll.service" },
        { "0::/kubepods.slice/kubepods-pod1.slice/crio-9.scope\n", ATT_UNIT_CONTAINER, "crio-9.scope" },
        { "0::/machine.slice/machine-web.scope/payload/system.slice/payroll.service\n", ATT_UNIT_CONTAINER,
                "payroll.service" },
        { "0::/machine.slice/systemd-nspawn@web.service\n", ATT_UNIT_CONTAINER, "systemd-nspawn@web.service" },
        { "0::/system.slice/systemd-nspawn@web.service\n", ATT_UNIT_CONTAINER, "systemd-nspawn@web.service" },
        { "0::/system.slice/payroll.service/libpod-payload-0123\n", ATT_UNIT_CONTAINER, "libpod-payload-0123" },
        { "0::/system.slice/containerd.service/kubepods/pod1\n", ATT_UNIT_CONTAINER, "pod1" },

        /* Nothing that is clearly a unit. */
        { "", ATT_UNIT_NONE, "" },
        { "0::/\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice\n", ATT_UNIT_NONE, "" },
        { "0::/mine/system.slice/payroll.service\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice/mine/payroll.service\n", ATT_UNIT_NONE, "" },
        { "0::/../system.slice/payroll.service\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice/../payroll.service\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice//payroll.service\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice/pay roll.service\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice/.service\n", ATT_UNIT_NONE, "" },
        { "0::/system.slice/\xff.service\n", ATT_UNIT_NONE, "" },
        { "0::system.slice/payroll.service\n", ATT_UNIT_NONE, "" },
        { "10::/system.slice/payroll.service\n", ATT_UNIT_NONE, "" },
        { LEGACY, ATT_UNIT_NONE, "" },
};

START_TEST(reads_the_unit_of_a_control_group) {
        AttUnit u = att_unit_from_cgroup(rows[_i].text, strlen(rows[_i].text));

        ck_assert_msg(u.kind == rows[_i].kind && g_str_equal(u.name, rows[_i].name), "%s: kind %d, \"%s\"",
                      rows[_i].text, (int) u.kind, u.name);
}
END_TEST

/* A path that was cut must not be another unit. */
START_TEST(a_prefix_is_no_unit) {
        const char *whole = "0::/system.slice/payroll.service\n";

        for (gsize n = 0; n < strlen(whole); n++) {
                g_autofree char *exact = g_memdup2(whole, n);

                ck_assert_int_eq(att_unit_from_cgroup(exact, n).kind, ATT_UNIT_NONE);
        }
}
END_TEST

START_TEST(a_name_that_is_too_long_is_no_unit) {
        for (gsize n = 240; n < 260; n++) {
                g_autofree char *name = g_strnfill(n, 'a');
                g_autofree char *text = g_strdup_printf("0::/system.slice/%s.service\n", name);
                AttUnit u = att_unit_from_cgroup(text, strlen(text));

                ck_assert_int_eq(u.kind, n + 8 <= 255 ? ATT_UNIT_SYSTEM : ATT_UNIT_NONE);
        }
}
END_TEST

START_TEST(knows_names_of_units) {
        ck_assert(att_unit_name_is_valid("payroll.service"));
        ck_assert(att_unit_name_is_valid("a@b.service"));
        ck_assert(!att_unit_name_is_valid("payroll"));
        ck_assert(!att_unit_name_is_valid("payroll.slice"));
        ck_assert(!att_unit_name_is_valid(".service"));
        ck_assert(!att_unit_name_is_valid("../x.service"));
        ck_assert(!att_unit_name_is_valid("x/y.service"));
        ck_assert(!att_unit_name_is_valid("1000"));
}
END_TEST

int main(void) {
        Suite *s = suite_create("unit");
        TCase *t = tcase_create("unit");

        tcase_add_loop_test(t, reads_the_unit_of_a_control_group, 0, G_N_ELEMENTS(rows));
        tcase_add_test(t, a_prefix_is_no_unit);
        tcase_add_test(t, a_name_that_is_too_long_is_no_unit);
        tcase_add_test(t, knows_names_of_units);
        suite_add_tcase(s, t);
        return run_suite(s);
}
