#include "harness.h"

#include <errno.h>
#include <pthread.h>

#include "model/status.h"

static void first_error_wins(void **state)
{
    struct error error = {0};
    (void)state;
    assert_int_equal(error_set(&error, TRAJLOG_IO_ERROR, 0, "step %d", 7), TRAJLOG_IO_ERROR);
    assert_int_equal(error_set(&error, TRAJLOG_NOT_FOUND, 0, "later"), TRAJLOG_NOT_FOUND);
    assert_int_equal(error.status, TRAJLOG_IO_ERROR);
    assert_string_equal(error.message, "step 7");
    assert_int_equal(error_set(NULL, TRAJLOG_IO_ERROR, 0, "nobody listens"), TRAJLOG_IO_ERROR);
    error_clear(&error);
    assert_int_equal(error.status, TRAJLOG_OK);
    assert_string_equal(error.message, "");
}

static void errno_is_kept_and_spelled_out(void **state)
{
    struct error error = {0};
    char expected[200];
    (void)state;
    error_set(&error, TRAJLOG_IO_ERROR, ENOSPC, "run.h5");
    snprintf(expected, sizeof expected, "run.h5: %s", strerror(ENOSPC));
    assert_string_equal(error.message, expected);
    assert_int_equal(error.number, ENOSPC);
}

static void prefix_goes_in_front(void **state)
{
    struct error error = {0};
    (void)state;
    error_prefix(&error, "nothing happened");
    assert_string_equal(error.message, "");
    error_set(&error, TRAJLOG_IO_ERROR, 0, "why");
    error_prefix(&error, "field \"%s\"", "x");
    error_prefix(&error, "group \"%s\"", "g");
    assert_string_equal(error.message, "group \"g\": field \"x\": why");
}

static void long_messages_are_cut(void **state)
{
    struct error error = {0};
    char text[3000];
    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(&error, TRAJLOG_IO_ERROR, ENOSPC, "%s", text);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    error_prefix(&error, "where");
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_memory_equal(error.message, "where: aaa", 10);
    error_prefix(&error, "%s", text);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void *message_of_new_thread(void *message)
{
    snprintf(message, 100, "%s", error_remembered_message());
    return NULL;
}

static void each_thread_remembers_its_own(void **state)
{
    struct error error = {0};
    char other[100] = "unset";
    pthread_t thread;
    (void)state;
    error_set(&error, TRAJLOG_IO_ERROR, EIO, "mine");
    error_remember(&error);
    error_clear(&error);
    assert_int_equal(error_remembered_number(), EIO);
    assert_memory_equal(error_remembered_message(), "mine", 4);
    assert_int_equal(pthread_create(&thread, NULL, message_of_new_thread, other), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(other, "");
}

static void names_and_texts(void **state)
{
    char version[40];
    (void)state;
    snprintf(version, sizeof version, "%d.%d.%d", TRAJLOG_VERSION_MAJOR, TRAJLOG_VERSION_MINOR, TRAJLOG_VERSION_PATCH);
    assert_string_equal(trajlog_version(), version);
    assert_string_equal(trajlog_status_name(TRAJLOG_OK), "TRAJLOG_OK");
    assert_string_equal(trajlog_status_name(TRAJLOG_END), "TRAJLOG_END");
    assert_string_equal(trajlog_status_text(TRAJLOG_QUEUE_FULL), "the queue is full");
    assert_string_equal(trajlog_status_name((trajlog_status)999), "TRAJLOG_UNKNOWN");
    assert_string_equal(trajlog_status_text((trajlog_status)-1), "TRAJLOG_UNKNOWN");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(first_error_wins),     cmocka_unit_test(errno_is_kept_and_spelled_out),
    cmocka_unit_test(prefix_goes_in_front), cmocka_unit_test(long_messages_are_cut),
    cmocka_unit_test(names_and_texts),      cmocka_unit_test(each_thread_remembers_its_own),
};
TEST_MAIN(tests)
