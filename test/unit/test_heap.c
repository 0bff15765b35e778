#include "harness.h"

#include "read/heap.h"
#include "store/checksum.h"

#define SIZE 4096

static unsigned char heap[SIZE];

static void put_object(size_t place, unsigned char number, uint64_t size)
{
    heap[place] = number;
    put_u64(heap + place + 8, size);
}

/* Two texts and what is free, as libhdf5 writes them. */
static void make_heap(void)
{
    memset(heap, 0, sizeof heap);
    memcpy(heap, "GCOL\1", 5);
    put_u64(heap + 8, SIZE);
    put_object(16, 1, 21);
    put_object(16 + 16 + 24, 2, 8);
    put_object(80, 0, SIZE - 80);
}

static void a_heap_is_known_by_its_beginning(void **state)
{
    (void)state;
    uint64_t size;
    make_heap();
    assert_true(heap_begins(heap, &size));
    assert_int_equal(size, SIZE);
    heap[5] = 1;
    assert_false(heap_begins(heap, &size));
}

static void sizes_that_fit_are_sound(void **state)
{
    (void)state;
    make_heap();
    assert_true(heap_is_sound(heap, SIZE));
    /* Less than an object's header is left over. */
    put_object(80, 3, SIZE - 80 - 16 - 8);
    assert_true(heap_is_sound(heap, SIZE));
    assert_true(heap_is_sound(heap, 16));
}

static void sizes_that_lead_astray_are_not(void **state)
{
    (void)state;
    static const struct {
        size_t place;
        unsigned char number;
        uint64_t size;
    } bad[] = {{16, 1, SIZE},       /* beyond the end */
               {16, 1, UINT64_MAX}, /* with padding, past the largest number */
               {16, 1, UINT64_MAX - 7},
               {80, 0, 0},             /* for ever */
               {80, 0, 8},             /* less than its header */
               {80, 0, SIZE - 80 + 1}, /* a byte too long */
               {80, 5, SIZE - 80 - 8}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_heap();
        put_object(bad[i].place, bad[i].number, bad[i].size);
        if (heap_is_sound(heap, SIZE)) fail_msg("case %zu", i);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_heap_is_known_by_its_beginning),
    cmocka_unit_test(sizes_that_fit_are_sound),
    cmocka_unit_test(sizes_that_lead_astray_are_not),
};

TEST_MAIN(tests)
