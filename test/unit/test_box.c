#include "harness.h"

#include <math.h>

#include "model/box.h"

static void assert_edges(const double *edges, const double *expected, double tolerance)
{
    for (int i = 0; i < 9; i++) {
        if (!(fabs(edges[i] - expected[i]) <= tolerance))
            fail_msg("edge %d: %.17g, not %.17g", i, edges[i], expected[i]);
    }
}

static void lammps_orthogonal(void **state)
{
    (void)state;
    const double low[3] = {-1, 0, 2}, high[3] = {3, 5, 8};
    const double expected[9] = {4, 0, 0, 0, 5, 0, 0, 0, 6};
    double edges[9];
    assert_int_equal(trajlog_box_from_lammps(low, high, NULL, edges), TRAJLOG_OK);
    assert_edges(edges, expected, 0);
}

static void lammps_triclinic(void **state)
{
    (void)state;
    const double low[3] = {0, 0, 0}, high[3] = {4, 5, 6}, tilt[3] = {1, -0.5, 0.25};
    const double expected[9] = {4, 0, 0, 1, 5, 0, -0.5, 0.25, 6};
    double edges[9];
    assert_int_equal(trajlog_box_from_lammps(low, high, tilt, edges), TRAJLOG_OK);
    assert_edges(edges, expected, 0);
}

/* A dump prints the bounding box of the triclinic one. */
static void lammps_dump_bounds(void **state)
{
    (void)state;
    const double tilts[4][3] = {{1, -0.5, 0.25}, {-1, -0.5, -0.25}, {1, 0.5, 0.25}, {-1, 0.5, -0.25}};
    for (int k = 0; k < 4; k++) {
        const double xy = tilts[k][0], xz = tilts[k][1], yz = tilts[k][2];
        const double low[3] = {10 + fmin(fmin(0, xy), fmin(xz, xy + xz)), 20 + fmin(0, yz), 30};
        const double high[3] = {14 + fmax(fmax(0, xy), fmax(xz, xy + xz)), 25 + fmax(0, yz), 36};
        const double expected[9] = {4, 0, 0, xy, 5, 0, xz, yz, 6};
        double edges[9], origin[3];
        assert_int_equal(trajlog_box_from_lammps_dump(low, high, tilts[k], edges, origin), TRAJLOG_OK);
        assert_edges(edges, expected, 1e-14);
        assert_true(origin[0] == 10 && origin[1] == 20 && origin[2] == 30);
    }
}

static void lengths_and_right_angles(void **state)
{
    (void)state;
    const double lengths[3] = {3, 4, 5}, angles[3] = {90, 90, 90};
    const double expected[9] = {3, 0, 0, 0, 4, 0, 0, 0, 5};
    double edges[9];
    assert_int_equal(trajlog_box_from_lengths_angles(lengths, angles, edges), TRAJLOG_OK);
    assert_edges(edges, expected, 0);
    assert_int_equal(trajlog_box_from_lengths_angles(lengths, NULL, edges), TRAJLOG_OK);
    assert_edges(edges, expected, 0);
}

static double cosine_between(const double *a, const double *b)
{
    return (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) /
           sqrt((a[0] * a[0] + a[1] * a[1] + a[2] * a[2]) * (b[0] * b[0] + b[1] * b[1] + b[2] * b[2]));
}

static void lengths_and_angles(void **state)
{
    (void)state;
    const double lengths[3] = {3, 4, 5}, angles[3] = {75, 81.5, 102.25};
    const double degree = acos(-1) / 180;
    double edges[9];
    assert_int_equal(trajlog_box_from_lengths_angles(lengths, angles, edges), TRAJLOG_OK);
    for (int k = 0; k < 3; k++) {
        const double *edge = edges + 3 * k;
        assert_true(fabs(sqrt(edge[0] * edge[0] + edge[1] * edge[1] + edge[2] * edge[2]) - lengths[k]) < 1e-13);
    }
    assert_true(fabs(cosine_between(edges + 3, edges + 6) - cos(angles[0] * degree)) < 1e-14);
    assert_true(fabs(cosine_between(edges, edges + 6) - cos(angles[1] * degree)) < 1e-14);
    assert_true(fabs(cosine_between(edges, edges + 3) - cos(angles[2] * degree)) < 1e-14);
    assert_true(edges[1] == 0 && edges[2] == 0 && edges[5] == 0 && edges[8] > 0);
}

static void rhombic_dodecahedron(void **state)
{
    (void)state;
    /* GROMACS's, in the xy-square form: a = (d, 0, 0), b = (0, d, 0), c = (d/2, d/2, d/sqrt 2). */
    const double lengths[3] = {2, 2, 2}, angles[3] = {60, 60, 90};
    const double expected[9] = {2, 0, 0, 0, 2, 0, 1, 1, sqrt(2)};
    double edges[9];
    assert_int_equal(trajlog_box_from_lengths_angles(lengths, angles, edges), TRAJLOG_OK);
    assert_edges(edges, expected, 1e-15);
}

static void bad_boxes_are_refused(void **state)
{
    (void)state;
    const double zero[3] = {0, 0, 0}, one[3] = {1, 1, 1}, broken[3] = {1, NAN, 1};
    const double open[3] = {90, 90, 180}, flat[3] = {30, 30, 120};
    double edges[9];
    assert_int_equal(trajlog_box_from_lammps(one, zero, NULL, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error_remembered_message(), "upper bound"));
    assert_int_equal(trajlog_box_from_lammps(zero, broken, NULL, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_box_from_lammps(zero, one, broken, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_box_from_lammps(NULL, one, NULL, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_box_from_lengths_angles(zero, NULL, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_box_from_lengths_angles(one, open, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_box_from_lengths_angles(one, flat, edges), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error_remembered_message(), "do not close"));
    assert_int_equal(trajlog_box_from_lammps_dump(zero, one, NULL, NULL, NULL), TRAJLOG_INVALID_ARGUMENT);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lammps_orthogonal),     cmocka_unit_test(lammps_triclinic),
    cmocka_unit_test(lammps_dump_bounds),    cmocka_unit_test(lengths_and_right_angles),
    cmocka_unit_test(lengths_and_angles),    cmocka_unit_test(rhombic_dodecahedron),
    cmocka_unit_test(bad_boxes_are_refused),
};
TEST_MAIN(tests)
