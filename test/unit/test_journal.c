#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "store/checksum.h"
#include "store/front_page.h"
#include "store/guard.h"
#include "store/journal.h"

#define FILE_SIZE 20000

static char directory[100], path[120], journal_path[140];
static int file;
static struct front_page front;

static void write_front(void)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    front_page_encode(&front, bytes);
    assert_int_equal(pwrite(file, bytes, sizeof bytes, 0), sizeof bytes);
}

static int make_file(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_journal_XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/run.h5", directory);
    snprintf(journal_path, sizeof journal_path, "%s.journal", path);
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, FILE_SIZE) != 0) return -1;
    static const unsigned char superblock[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n', 3, 8, 8, 5};
    memset(&front, 0, sizeof front);
    memcpy(front.superblock, superblock, sizeof superblock);
    memset(front.file_id, 7, sizeof front.file_id);
    front.sequence = 10, front.announced_end = FILE_SIZE, front.true_end = 9000;
    write_front();
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    close(file);
    unlink(path);
    unlink(journal_path);
    return rmdir(directory);
}

static struct journal begin_journal(void)
{
    return (struct journal){.io = &driver_io_system, .path = path_with_suffix(path, JOURNAL_SUFFIX), .descriptor = -1};
}

static void add(struct journal_blocks *blocks, uint64_t address, const char *text)
{
    assert_non_null(journal_blocks_add(blocks, address, text, strlen(text)));
}

static struct journal_identity identity_now(void)
{
    struct journal_identity identity = {.sequence = front.sequence};
    memcpy(identity.file_id, front.file_id, sizeof identity.file_id);
    journal_boot_id(identity.boot_id);
    return identity;
}

/* A journal with two blocks, and a third in a segment of its own. */
static void write_journal(enum journal_kind kind, const struct journal_identity *identity)
{
    struct journal journal = begin_journal();
    struct journal_blocks blocks = {0}, more = {0};
    add(&blocks, 5000, "first");
    add(&blocks, 6000, "second");
    add(&more, 7000, "third");
    assert_int_equal(journal_write(&journal, kind, identity, &blocks), 0);
    assert_int_equal(journal_append(&journal, &more), 0);
    journal_blocks_free(&blocks);
    journal_blocks_free(&more);
    journal_close(&journal);
}

static enum journal_finding inspect(bool power_loss, size_t block_count)
{
    enum journal_finding finding;
    struct journal_blocks blocks;
    struct error error = {0};
    assert_int_equal(journal_inspect(&driver_io_system, path, file, power_loss, &finding, &blocks, &error), TRAJLOG_OK);
    assert_int_equal(blocks.count, finding == JOURNAL_NEEDED ? block_count : 0);
    journal_blocks_free(&blocks);
    return finding;
}

static bool file_has(off_t offset, const char *text)
{
    char bytes[100];
    return pread(file, bytes, strlen(text), offset) == (ssize_t)strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static void lookup3_is_the_published_one(void **state)
{
    (void)state;
    /* From the comments of lookup3.c. */
    assert_int_equal(checksum_lookup3("", 0, 0), 0xdeadbeef);
    assert_int_equal(checksum_lookup3("Four score and seven years ago", 30, 0), 0x17770551);
    assert_int_equal(checksum_lookup3("Four score and seven years ago", 30, 1), 0xcd628161);
}

static void the_front_page_comes_back(void **state)
{
    (void)state;
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct front_page read;
    assert_int_equal(pread(file, bytes, sizeof bytes, 0), sizeof bytes);
    assert_true(front_page_decode(&read, bytes));
    assert_true(read.has_record && read.is_current);
    assert_int_equal(read.sequence, 10);
    assert_int_equal(read.true_end, 9000);
    assert_int_equal(read.announced_end, FILE_SIZE);
    assert_int_equal(read.superblock[11], 0); /* "open for write" was cleared */
    /* Another program has moved the end: the record is not of this state. */
    superblock_set_end(bytes, FILE_SIZE + 1);
    assert_true(front_page_decode(&read, bytes));
    assert_false(read.is_current);
    assert_true(read.has_record);
    assert_int_equal(read.true_end, FILE_SIZE + 1);
    bytes[70] ^= 1;
    assert_true(front_page_decode(&read, bytes));
    assert_false(read.has_record);
    for (size_t i = 0; i < 8 * FRONT_PAGE_SUPERBLOCK; i++) {
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_false(front_page_decode(&read, bytes));
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
}

static void no_journal_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(inspect(false, 0), JOURNAL_NONE);
}

static void a_base_is_for_power_losses_only(void **state)
{
    (void)state;
    struct journal_identity identity = identity_now();
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_NOT_NEEDED);
    assert_int_equal(inspect(true, 3), JOURNAL_NEEDED);
    identity.boot_id[3] ^= 1;
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_NEEDED);
    memset(identity.boot_id, 0, sizeof identity.boot_id);
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_NEEDED);
}

static void a_batch_is_always_taken_back_unless_the_file_went_on(void **state)
{
    (void)state;
    struct journal_identity identity = identity_now();
    write_journal(JOURNAL_BATCH, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_NEEDED);
    identity.sequence++;
    write_journal(JOURNAL_BATCH, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_NEEDED);
    identity.sequence++;
    write_journal(JOURNAL_BATCH, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_FOREIGN);
    identity.sequence = front.sequence - 1;
    write_journal(JOURNAL_BATCH, &identity);
    assert_int_equal(inspect(false, 3), JOURNAL_FOREIGN);
}

static void a_journal_of_another_file_is_left_alone(void **state)
{
    (void)state;
    struct journal_identity identity = identity_now();
    identity.file_id[0] ^= 1;
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(inspect(true, 3), JOURNAL_FOREIGN);
    identity = identity_now();
    identity.sequence++; /* of a state that this file has not reached */
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(inspect(true, 3), JOURNAL_FOREIGN);
}

static void recovery_writes_the_blocks_and_removes_the_journal(void **state)
{
    (void)state;
    enum journal_finding finding;
    struct journal_identity identity = identity_now();
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(journal_recover(&driver_io_system, path, file, true, &finding, NULL), TRAJLOG_OK);
    assert_int_equal(finding, JOURNAL_NEEDED);
    assert_true(file_has(5000, "first") && file_has(6000, "second") && file_has(7000, "third"));
    assert_int_equal(access(journal_path, F_OK), -1);
}

static void recovery_leaves_a_file_that_is_in_order(void **state)
{
    (void)state;
    enum journal_finding finding;
    struct journal_identity identity = identity_now();
    write_journal(JOURNAL_BASE, &identity);
    assert_int_equal(journal_recover(&driver_io_system, path, file, false, &finding, NULL), TRAJLOG_OK);
    assert_int_equal(finding, JOURNAL_NOT_NEEDED);
    assert_false(file_has(5000, "first"));
    assert_int_equal(access(journal_path, F_OK), -1);
}

static void a_torn_journal_counts_as_far_as_it_is_whole(void **state)
{
    (void)state;
    struct journal_identity identity = identity_now();
    write_journal(JOURNAL_BASE, &identity);
    int journal = open(journal_path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(journal, 0, SEEK_END), first = 80 + 40 + 16 + 5 + 16 + 6 + 8;
    for (off_t cut = size - 1; cut >= 0; cut--) {
        assert_int_equal(ftruncate(journal, cut), 0);
        enum journal_finding finding = inspect(true, 2);
        assert_int_equal(finding, cut >= first ? JOURNAL_NEEDED : JOURNAL_TORN);
    }
    close(journal);
}

static void no_flipped_bit_is_believed(void **state)
{
    (void)state;
    struct journal_identity identity = identity_now();
    write_journal(JOURNAL_BASE, &identity);
    int journal = open(journal_path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(journal, 0, SEEK_END), first = 80 + 40 + 16 + 5 + 16 + 6 + 8;
    for (off_t bit = 0; bit < 8 * size; bit++) {
        unsigned char byte, flipped;
        assert_int_equal(pread(journal, &byte, 1, bit / 8), 1);
        flipped = byte ^ (unsigned char)(1 << bit % 8);
        assert_int_equal(pwrite(journal, &flipped, 1, bit / 8), 1);
        /* In the second segment it costs that segment only. */
        assert_int_equal(inspect(true, 2), bit / 8 >= first ? JOURNAL_NEEDED : JOURNAL_TORN);
        assert_int_equal(pwrite(journal, &byte, 1, bit / 8), 1);
    }
    assert_int_equal(inspect(true, 3), JOURNAL_NEEDED);
    close(journal);
}

static void what_an_earlier_journal_left_behind_does_not_count(void **state)
{
    (void)state;
    struct journal_identity identity = identity_now();
    struct journal journal = begin_journal();
    struct journal_blocks blocks = {0}, none = {0};
    add(&blocks, 5000, "first");
    /* The same shape twice: the first one's second segment lies exactly behind the second one's end. */
    assert_int_equal(journal_write(&journal, JOURNAL_BASE, &identity, &blocks), 0);
    assert_int_equal(journal_append(&journal, &blocks), 0);
    assert_int_equal(inspect(true, 2), JOURNAL_NEEDED);
    front.sequence = ++identity.sequence;
    write_front();
    assert_int_equal(journal_write(&journal, JOURNAL_BASE, &identity, &blocks), 0);
    assert_int_equal(inspect(true, 1), JOURNAL_NEEDED);
    journal_blocks_free(&blocks);
    journal_blocks_free(&none);
    journal_close(&journal);
}

static void blocks_overlay_what_they_meet_and_the_last_wins(void **state)
{
    (void)state;
    struct journal_blocks blocks = {0};
    char bytes[11] = "..........";
    add(&blocks, 8, "aaaa");
    add(&blocks, 10, "bb");
    add(&blocks, 18, "cccc");
    add(&blocks, 100, "d");
    journal_blocks_overlay(&blocks, 10, 10, bytes);
    assert_string_equal(bytes, "bb......cc");
    journal_blocks_free(&blocks);
}

static void a_guard_takes_in_each_byte_once_and_knows_the_newest(void **state)
{
    (void)state;
    struct guard guard = {0};
    struct journal_blocks added = {0}, all = {0};
    char bytes[31] = {0};
    assert_int_equal(pwrite(file, "abcdefghijklmnopqrstuvwxyz", 26, 5000), 26);
    assert_int_equal(guard_cover(&guard, &driver_io_system, file, 5010, 5, &added), 0);
    assert_int_equal(guard_cover(&guard, &driver_io_system, file, 5000, 4, &added), 0);
    assert_int_equal(guard_cover(&guard, &driver_io_system, file, 5002, 20, &added), 0);
    assert_int_equal(guard_cover(&guard, &driver_io_system, file, 5000, 22, &added), 0);
    assert_int_equal(added.count, 4);
    journal_blocks_overlay(&added, 5000, 22, bytes);
    assert_string_equal(bytes, "abcdefghijklmnopqrstuv");
    guard_store(&guard, 5008, 4, "1234");
    guard_store(&guard, 5020, 10, "..........");
    assert_int_equal(guard_collect(&guard, &all), 0);
    memset(bytes, 0, sizeof bytes);
    journal_blocks_overlay(&all, 5000, 22, bytes);
    assert_string_equal(bytes, "abcdefgh1234mnopqrst..");
    journal_blocks_free(&added);
    journal_blocks_free(&all);
    guard_free(&guard);
}

static void what_is_not_overwritten_for_long_leaves_the_guard(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_int_equal(guard_cover(&guard, &driver_io_system, file, 5000, 10, NULL), 0);
    assert_int_equal(guard_cover(&guard, &driver_io_system, file, 6000, 10, NULL), 0);
    for (int i = 0; i < 40; i++) {
        struct journal_blocks blocks = {0};
        guard_store(&guard, 6000, 10, "0123456789");
        assert_int_equal(guard_collect(&guard, &blocks), 0);
        assert_int_equal(blocks.count, i < 16 ? 2 : 1);
        journal_blocks_free(&blocks);
    }
    guard_free(&guard);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lookup3_is_the_published_one),
    FILE_TEST(the_front_page_comes_back),
    FILE_TEST(no_journal_is_no_error),
    FILE_TEST(a_base_is_for_power_losses_only),
    FILE_TEST(a_batch_is_always_taken_back_unless_the_file_went_on),
    FILE_TEST(a_journal_of_another_file_is_left_alone),
    FILE_TEST(recovery_writes_the_blocks_and_removes_the_journal),
    FILE_TEST(recovery_leaves_a_file_that_is_in_order),
    FILE_TEST(a_torn_journal_counts_as_far_as_it_is_whole),
    FILE_TEST(no_flipped_bit_is_believed),
    FILE_TEST(what_an_earlier_journal_left_behind_does_not_count),
    cmocka_unit_test(blocks_overlay_what_they_meet_and_the_last_wins),
    FILE_TEST(a_guard_takes_in_each_byte_once_and_knows_the_newest),
    FILE_TEST(what_is_not_overwritten_for_long_leaves_the_guard),
};

TEST_MAIN(tests)
