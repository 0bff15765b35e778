#include "harness.h"

#include "model/unit.h"

static void accepts(const char *unit)
{
    struct error error = {0};
    if (unit_check(unit, &error) != TRAJLOG_OK) fail_msg("\"%s\": %s", unit, error.message);
}

static void suggests(const char *unit, const char *meant)
{
    struct error error = {0};
    char expected[128];
    if (unit_check(unit, &error) != TRAJLOG_INVALID_ARGUMENT) fail_msg("\"%s\" was accepted", unit);
    snprintf(expected, sizeof expected, "write \"%s\"", meant);
    if (strstr(error.message, expected) == NULL) fail_msg("\"%s\": %s", unit, error.message);
}

static void refuses(const char *unit, const char *fault)
{
    struct error error = {0};
    if (unit_check(unit, &error) != TRAJLOG_INVALID_ARGUMENT) fail_msg("\"%s\" was accepted", unit);
    if (strstr(error.message, fault) == NULL) fail_msg("\"%s\": %s", unit, error.message);
}

static void no_unit_is_reduced(void **state)
{
    (void)state;
    accepts("");
    for (int quantity = UNIT_TIME; quantity <= UNIT_FORCE; quantity++) {
        assert_int_equal(unit_check_quantity("", (enum unit_quantity)quantity, NULL), TRAJLOG_OK);
    }
}

static void spellings_of_readers(void **state)
{
    (void)state;
    static const char *const units[] = {"nm",
                                        "Angstrom",
                                        "angstrom",
                                        "A",
                                        "pm",
                                        "fm",
                                        "ps",
                                        "fs",
                                        "ns",
                                        "s",
                                        "second",
                                        "sec",
                                        "AKMA",
                                        "nm ps-1",
                                        "Angstrom AKMA-1",
                                        "m s-1",
                                        "kJ mol-1 nm-1",
                                        "kcal mol-1 Angstrom-1",
                                        "Newton",
                                        "N",
                                        "J m-1",
                                        "u",
                                        "amu",
                                        "e",
                                        "K",
                                        "bar",
                                        "atm",
                                        "MPa",
                                        "kJ mol-1",
                                        "eV",
                                        "nm+3",
                                        "um+2 s-1",
                                        "60 s",
                                        "10+3 m",
                                        "0.5 nm",
                                        "degree",
                                        "kB K",
                                        "Ang",
                                        "Da",
                                        "hartree bohr-1",
                                        "g mol-1",
                                        "mmol L-1",
                                        "dag"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) accepts(units[i]);
}

static void other_spellings_are_suggested(void **state)
{
    (void)state;
    suggests("kJ/mol", "kJ mol-1");
    suggests("kJ/mol/nm", "kJ mol-1 nm-1");
    suggests("kJ/(mol nm)", "kJ mol-1 nm-1");
    suggests("nm/ps", "nm ps-1");
    suggests("nm^2", "nm+2");
    suggests("nm**3", "nm+3");
    suggests("nm3", "nm+3");
    suggests("nm*ps^-1", "nm ps-1");
    suggests("kj mol-1", "kJ mol-1");
    suggests("NM", "nm");
    suggests("Kelvin", "K");
    suggests("\xc3\x85", "Angstrom");
    suggests("\xc3\x85/fs", "Angstrom fs-1");
    suggests("angstroms", "Angstrom");
    suggests("picoseconds", "ps");
    suggests("elementary_charge", "e");
    suggests("nm\xc2\xb7ps-1", "nm ps-1");
    suggests("nm  ps-1", "nm ps-1");
    suggests("nm ", "nm");
    suggests(" nm", "nm");
}

static void faults_are_named(void **state)
{
    (void)state;
    refuses("furlong", "unit \"furlong\": not a unit that readers know");
    refuses("nm nm", "a symbol occurs twice");
    refuses("nm-0", "not a unit");
    refuses("nm- 1", "not a unit");
    refuses("nm 60", "not a unit");
    refuses("-1", "not a unit");
    refuses("1.", "not a unit");
    refuses("+", "not a unit");
    refuses("/", "signed powers");
    refuses("lj", "signed powers");
    refuses("a b c d e f g h i j k l m n o p q r s", "not a unit");
}

static void a_long_text_does_no_harm(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(unit_check(text, NULL), TRAJLOG_INVALID_ARGUMENT);
    for (size_t i = 0; i + 3 < sizeof text; i += 3) memcpy(text + i, "nm ", 3);
    assert_int_equal(unit_check(text, NULL), TRAJLOG_INVALID_ARGUMENT);
}

static void quantities_have_lists(void **state)
{
    (void)state;
    struct error error = {0};
    assert_int_equal(unit_check_quantity("nm", UNIT_LENGTH, &error), TRAJLOG_OK);
    assert_int_equal(unit_check_quantity("A fs-1", UNIT_VELOCITY, &error), TRAJLOG_OK);
    assert_int_equal(unit_check_quantity("kcal mol-1 A-1", UNIT_FORCE, &error), TRAJLOG_OK);
    assert_int_equal(unit_check_quantity("um", UNIT_LENGTH, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "MDAnalysis"));
    assert_non_null(strstr(error.message, "\"Angstrom\""));
    error_clear(&error);
    assert_int_equal(unit_check_quantity("nm/ps", UNIT_VELOCITY, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "write \"nm ps-1\""));
    error_clear(&error);
    assert_int_equal(unit_check_quantity("nm", UNIT_TIME, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "\"ps\""));
}

static void the_units_module_is_claimed_for_its_own(void **state)
{
    (void)state;
    assert_true(unit_is_si("") && unit_is_si("nm ps-1") && unit_is_si("60 s") && unit_is_si("Ang") &&
                unit_is_si("kJ mol-1 nm-1") && unit_is_si("10+3 m"));
    assert_false(unit_is_si("Angstrom") || unit_is_si("kJ/mol") || unit_is_si("AKMA") || unit_is_si("nm Angstrom-1"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_unit_is_reduced),
    cmocka_unit_test(spellings_of_readers),
    cmocka_unit_test(other_spellings_are_suggested),
    cmocka_unit_test(faults_are_named),
    cmocka_unit_test(a_long_text_does_no_harm),
    cmocka_unit_test(quantities_have_lists),
    cmocka_unit_test(the_units_module_is_claimed_for_its_own),
};
TEST_MAIN(tests)
