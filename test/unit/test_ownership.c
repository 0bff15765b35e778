#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "store/ownership.h"

static char directory[100], file[120], lock[140];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_ownership_XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(file, sizeof file, "%s/run.h5", directory);
    snprintf(lock, sizeof lock, "%s.lock", file);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(lock);
    unlink(file);
    return rmdir(directory);
}

static void is_refused(const char *path)
{
    struct ownership *second;
    struct error error = {0};
    assert_int_equal(ownership_take(&second, path, false, &error), TRAJLOG_FILE_LOCKED);
    assert_null(second);
    assert_non_null(strstr(error.message, "run.h5"));
    assert_non_null(strstr(error.message, "process "));
}

static void is_free(const char *path)
{
    struct ownership *ownership;
    assert_int_equal(ownership_take(&ownership, path, false, NULL), TRAJLOG_OK);
    ownership_release(&ownership);
    assert_null(ownership);
}

static void a_second_writer_in_the_same_process_is_refused(void **state)
{
    (void)state;
    struct ownership *ownership;
    assert_false(ownership_is_taken(file));
    assert_int_equal(ownership_take(&ownership, file, false, NULL), TRAJLOG_OK);
    assert_string_equal(ownership_path(ownership), file);
    assert_true(ownership_is_taken(file));
    is_refused(file);
    is_refused(file);
    ownership_release(&ownership);
    assert_int_equal(access(lock, F_OK), -1);
    assert_false(ownership_is_taken(file));
    is_free(file);
}

/* A child that owns the file, and waits to be killed; if wanted, with a child of its own. Returns when both are
 * there. */
static pid_t start_owner(bool with_child, pid_t *grandchild)
{
    int ends[2];
    pid_t ready;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct ownership *ownership;
        alarm(60);
        if (ownership_take(&ownership, file, false, NULL) != TRAJLOG_OK) _exit(1);
        if (with_child && fork() == 0) alarm(60);
        ready = getpid();
        if (write(ends[1], &ready, sizeof ready) != sizeof ready) _exit(1);
        for (;;) pause();
    }
    close(ends[1]);
    for (int i = 0; i < 1 + with_child; i++) {
        assert_int_equal(read(ends[0], &ready, sizeof ready), sizeof ready);
        if (ready != child) *grandchild = ready;
    }
    close(ends[0]);
    return child;
}

static void another_process_is_refused_until_the_owner_is_killed(void **state)
{
    (void)state;
    pid_t child = start_owner(false, NULL);
    is_refused(file);
    assert_true(ownership_is_taken(file));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(access(lock, F_OK), 0); /* left by the killed one */
    assert_false(ownership_is_taken(file));
    is_free(file);
}

static void a_child_does_not_keep_what_its_killed_parent_owned(void **state)
{
    (void)state;
    pid_t grandchild = 0, child = start_owner(true, &grandchild);
    is_refused(file);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    is_free(file);
    kill(grandchild, SIGKILL);
}

static void a_forked_child_cannot_give_up_its_parents_file(void **state)
{
    (void)state;
    int status;
    struct ownership *ownership;
    assert_int_equal(ownership_take(&ownership, file, false, NULL), TRAJLOG_OK);
    pid_t child = fork();
    if (child == 0) {
        ownership_release(&ownership);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_int_equal(access(lock, F_OK), 0);
    is_refused(file);
    ownership_release(&ownership);
}

static int lock_errno;
static int lock_fails(int descriptor)
{
    (void)descriptor;
    errno = lock_errno;
    return -1;
}

static void file_systems_without_locks_are_named_and_can_be_used(void **state)
{
    (void)state;
    const int numbers[] = {ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL, 524};
    int (*usual)(int) = ownership_lock_call;
    struct ownership *ownership;
    ownership_lock_call = lock_fails;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct error error = {0};
        lock_errno = numbers[i];
        assert_int_equal(ownership_take(&ownership, file, false, &error), TRAJLOG_IO_ERROR);
        assert_int_equal(error.number, numbers[i]);
        assert_non_null(strstr(error.message, "has no locks"));
        assert_non_null(strstr(error.message, "without a lock"));
        assert_int_equal(access(lock, F_OK), -1);
    }
    assert_int_equal(ownership_take(&ownership, file, true, NULL), TRAJLOG_OK);
    assert_int_equal(access(lock, F_OK), -1);
    ownership_release(&ownership);
    ownership_lock_call = usual;
}

static void one_file_has_one_owner_by_whatever_link(void **state)
{
    (void)state;
    char other[130];
    struct ownership *ownership;
    snprintf(other, sizeof other, "%s/latest.h5", directory);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(symlink("run.h5", other), 0);
    assert_int_equal(ownership_take(&ownership, other, false, NULL), TRAJLOG_OK);
    assert_string_equal(ownership_path(ownership), file);
    is_refused(file);
    ownership_release(&ownership);
    unlink(other);
}

static void a_missing_directory_is_not_found(void **state)
{
    (void)state;
    struct ownership *ownership;
    struct error error = {0};
    assert_int_equal(ownership_take(&ownership, "/tmp/no/such/directory/run.h5", false, &error), TRAJLOG_NOT_FOUND);
    assert_int_equal(error.number, ENOENT);
    assert_null(ownership);
    ownership_release(&ownership);
    assert_false(ownership_is_taken("/tmp/no/such/directory/run.h5"));
}

static void relative_names_are_resolved(void **state)
{
    (void)state;
    char before[4096];
    struct ownership *ownership;
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(ownership_take(&ownership, "run.h5", false, NULL), TRAJLOG_OK);
    assert_string_equal(ownership_path(ownership), file);
    ownership_release(&ownership);
    assert_int_equal(chdir(before), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(a_second_writer_in_the_same_process_is_refused, make_directory, remove_directory),
    cmocka_unit_test_setup_teardown(another_process_is_refused_until_the_owner_is_killed, make_directory,
                                    remove_directory),
    cmocka_unit_test_setup_teardown(a_child_does_not_keep_what_its_killed_parent_owned, make_directory,
                                    remove_directory),
    cmocka_unit_test_setup_teardown(a_forked_child_cannot_give_up_its_parents_file, make_directory, remove_directory),
    cmocka_unit_test_setup_teardown(file_systems_without_locks_are_named_and_can_be_used, make_directory,
                                    remove_directory),
    cmocka_unit_test_setup_teardown(one_file_has_one_owner_by_whatever_link, make_directory, remove_directory),
    cmocka_unit_test_setup_teardown(a_missing_directory_is_not_found, make_directory, remove_directory),
    cmocka_unit_test_setup_teardown(relative_names_are_resolved, make_directory, remove_directory),
};

TEST_MAIN(tests)
